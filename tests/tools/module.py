#!/usr/bin/python3
"""Modules as users meet them: `yoke run FILE.c:TASK`, many at once, killed, as another user, with folders that are full, read
only or absent; what is printed, and the exit code."""
import glob
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.path.join(BUILD, "yoke")
MODULE = '#include "h.h"\n#include <yoke.h>\nYOKE_TASK(int, f, (int, x, "", 1)) { return x + H; }\n'
NOBODY = 65534


class Place:
    """A folder with a module m.c, its header, and an environment whose cache is in it."""

    def __init__(self):
        self.root = scratch()
        os.chmod(self.root, 0o755)
        os.mkdir(self.path("tmp"))
        os.chmod(self.path("tmp"), 0o1777)
        self.env = {k: v for k, v in os.environ.items() if k not in ("CC", "HOME", "XDG_CACHE_HOME")}
        self.env.update(YOKE_INCLUDE=os.path.join(SOURCE, "include"), YOKE_CACHE=self.path("cache"), TMPDIR=self.path("tmp"),
                        NO_COLOR="1", LC_ALL="C.UTF-8")
        self.write("h.h", "#define H 10\n")
        self.write("m.c", MODULE)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        return self.path(name)

    def start(self, target="m.c:f", **more):
        return subprocess.Popen([YOKE, "run", self.path(target)], env=self.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more)

    def run(self, target="m.c:f", **more):
        process = self.start(target, **more)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def as_nobody(self, target="m.c:f"):
        """As somebody without rights, with a copy of the command that he can reach; who is not root runs as he is."""
        command = self.path("yoke")
        if not os.path.exists(command):
            shutil.copy(YOKE, command)
            shutil.copytree(self.env["YOKE_INCLUDE"], self.path("include"))
            self.env["YOKE_INCLUDE"] = self.path("include")
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return run([command, "run", self.path(target)], env=self.env, **user)

    def counting(self):
        """A compiler that leaves a line for each call; returns where."""
        log = self.path("tmp.log")
        os.chmod(self.write("tmp.log", ""), 0o666)
        os.chmod(self.write("cc.sh", f'#!/bin/sh\necho x >>{log}\nexec cc "$@"\n'), 0o755)
        self.env["CC"] = self.path("cc.sh")
        return log

    def entries(self, suffix=".so"):
        return glob.glob(self.path("cache/*" + suffix))

    def tidy(self):
        equal(self.entries(".tmp") + self.entries(".d") + os.listdir(self.path("tmp")), [])


def size(path):
    return os.stat(path).st_size


@test
def eight_at_once_on_a_cold_file():
    place = Place()
    log = place.counting()
    for process in [place.start() for _ in range(8)]:
        equal((*process.communicate(timeout=300), process.returncode), ("11\n", "", 0))
    equal(len(place.entries()), 1)
    equal(len(place.entries(".deps")), 1)
    equal(size(log), 2)
    place.tidy()


@test
def eight_files_at_once():
    place = Place()
    names = [f"m{i}.c" for i in range(8)]
    for i, name in enumerate(names):
        place.write(name, MODULE.replace("x + H", f"x + H * {i}"))
    for i, process in enumerate([place.start(name + ":f") for name in names]):
        equal((*process.communicate(timeout=300), process.returncode), (f"{1 + 10 * i}\n", "", 0))
    equal(len(place.entries()), 8)
    place.tidy()


@test
def an_edit_is_seen_at_once():
    place = Place()
    for h in (10, 20, 10, 30):
        place.write("h.h", f"#define H {h}\n")
        equal(place.run(), (0, f"{h + 1}\n", ""))
    place.write("m.c", MODULE.replace("x + H", "x - H"))
    equal(place.run(), (0, "-29\n", ""))
    place.write("m.c", "// yoke-flags: -DH=5\n" + MODULE.replace('#include "h.h"\n', ""))
    equal(place.run(), (0, "6\n", ""))
    place.write("m.c", "// yoke-flags: -DH=6\n" + MODULE.replace('#include "h.h"\n', ""))
    equal(place.run(), (0, "7\n", ""))


@test
def a_library_from_the_flags():
    place = Place()
    place.write("m.c", "// yoke-flags: -lcrypto\n#include <openssl/evp.h>\n#include <yoke.h>\n"
                       "YOKE_TASK(int, f) { return EVP_MD_size(EVP_sha256()); }\n")
    equal(place.run(), (0, "32\n", ""))
    place.write("m.c", "// yoke-flags: -lnowhere\n" + MODULE)
    status, out, err = place.run()
    equal((status, out), (2, ""))
    has(err, "nowhere")
    has(err, "m.c does not compile\n")


@test
def the_compilers_words_come_first_and_unchanged():
    place = Place()
    place.write("m.c", MODULE.replace("x + H", "x + undeclared + 'ü'"))
    status, out, err = place.run()
    equal((status, out), (2, ""))
    words = run(["cc", "-O2", "-g", "-fPIC", "-shared", "-std=gnu11", "-fdiagnostics-color=never",
                 "-I" + place.env["YOKE_INCLUDE"], place.path("m.c"), "-o", place.path("x.so")], env=place.env)[2]
    has(words, "undeclared")
    equal(err, words + f"yoke run: {place.path('m.c')} does not compile\n")
    place.tidy()


@test
def a_compiler_that_is_missing_or_dies():
    place = Place()
    place.env["CC"] = "/nonexistent"
    equal(place.run(), (2, "", 'yoke run: the C compiler "/nonexistent" (from CC) is not there or cannot be run\n'))
    place.env["CC"] = os.path.join(place.root, "cc.sh")
    os.chmod(place.write("cc.sh", "#!/bin/sh\nkill -9 $$\n"), 0o755)
    equal(place.run(), (2, "", f"yoke run: {place.env['CC']} was killed by signal 9 (Killed)\n"))
    del place.env["CC"]
    place.env["PATH"] = place.path("tmp")
    equal(place.run(), (2, "", "yoke run: there is no C compiler: install gcc or clang, or set CC\n"))


@test
def one_line_for_each_file_that_is_no_module():
    place = Place()
    place.write("text.so", "just text, " * 100)
    place.write("none.c", "int x;\n")
    place.write("abi.c", MODULE.replace("YOKE_TASK", "#undef YOKE_ABI\n#define YOKE_ABI 99u\nYOKE_TASK"))
    os.mkdir(place.path("folder.so"))
    os.mkdir(place.path("folder.c"))
    os.mkfifo(place.path("fifo.c"))
    os.mkfifo(place.path("fifo.so"))
    for name, reason in (("text.so", "invalid ELF header"), ("none.c", "has no tasks"), ("abi.c", "ABI 99"),
                         ("folder.so", "not a regular file"), ("folder.c", "directory"), ("fifo.c", "not a regular file"),
                         ("fifo.so", "not a regular file"), ("gone.c", "gone.c: no such file"),
                         ("gone.so", "gone.so: no such file"), ("m.h", "m.h: ")):
        status, out, err = place.run(name + ":f")
        equal((status, out), (2, ""))
        check(err.startswith("yoke run: ") and err.count("\n") == 1, err)
        has(err.lower(), reason.lower())


@test
def an_object_without_its_end():
    place = Place()
    equal(place.run()[0], 0)
    with open(place.entries()[0], "rb") as file:
        whole = file.read()
    for part in (0, 63, 64, 500, 4096, 5000, 9000):
        with open(place.path("cut.so"), "wb") as file:
            file.write(whole[:part])
        status, out, err = place.run("cut.so:f")
        equal((status, out), (2, ""))
        has(err, "cannot load ")
        with open(place.entries()[0], "wb") as file:
            file.write(whole[:part])
        equal(place.run(), (0, "11\n", ""))


@test
def files_that_may_not_be_read():
    place = Place()
    place.env["YOKE_CACHE"] = place.path("tmp/cache")
    for name in ("m.c", "m.so"):
        place.write(name, MODULE)
        os.chmod(place.path(name), 0)
        equal(place.as_nobody(name + ":f"), (2, "", f"yoke run: {place.path(name)}: Permission denied\n"))


@test
def a_cache_that_may_not_be_written():
    place = Place()
    os.mkdir(place.path("cache"))
    os.chmod(place.path("cache"), 0o555)
    for _ in range(2):
        equal(place.as_nobody(), (0, "11\n", ""))
    equal(place.entries(""), [])
    place.tidy()


@test
def a_cache_of_somebody_else_is_used():
    """Read only, but the entry is there: nothing is compiled."""
    place = Place()
    log = place.counting()
    shutil.copytree(place.env["YOKE_INCLUDE"], place.path("include"))
    shutil.copy(YOKE, place.path("yoke"))
    place.env["YOKE_INCLUDE"] = place.path("include")
    equal(place.run(), (0, "11\n", ""))
    for entry in place.entries(""):
        os.chmod(entry, 0o444)
    os.chmod(place.path("cache"), 0o555)
    equal(place.as_nobody(), (0, "11\n", ""))
    equal(size(log), 2)
    before = sorted(place.entries(""))
    place.write("h.h", "#define H 20\n")
    equal(place.as_nobody(), (0, "21\n", ""))
    equal(size(log), 4)
    equal(sorted(place.entries("")), before)
    place.tidy()


@test
def a_cache_on_a_full_disk():
    """A real one where this may be mounted; tests/task/module_failures.c has what can be had without."""
    place = Place()
    os.mkdir(place.path("cache"))
    script = f"mount -t tmpfs -o size=16k none {place.path('cache')} && exec {YOKE} run {place.path('m.c')}:f"
    if run(["unshare", "-m", "true"])[0] or run(["unshare", "-m", "mount", "-t", "tmpfs", "none", place.path("tmp")])[0]:
        return
    equal(run(["unshare", "-m", "sh", "-c", script], env=place.env), (0, "11\n", ""))
    place.write("m.c", "nonsense\n")
    status, out, err = run(["unshare", "-m", "sh", "-c", script], env=place.env)
    equal((status, out), (2, ""))
    has(err, "error:")
    place.tidy()


@test
def no_home():
    place = Place()
    del place.env["YOKE_CACHE"]
    equal(place.run(), (0, "11\n", ""))
    place.tidy()
    place.env["HOME"] = place.path("home")
    equal(place.run(), (0, "11\n", ""))
    equal(len(glob.glob(place.path("home/.cache/yoke/*.so"))), 1)
    place.env.update(HOME="/proc/nonexistent/home", TMPDIR="/proc/nonexistent/tmp")
    if os.geteuid() != 0:
        status, out, err = place.run()
        equal((status, out), (2, ""))
        has(err, "cannot write to a cache folder")


@test
def killed_at_any_moment():
    """Whatever is left, the next run works, and nothing hangs on a lock."""
    place = Place()
    dice = random.Random(7)
    for i in range(15):
        place.write("h.h", f"#define H {i}\n")
        process = place.start()
        time.sleep(dice.random() * 0.12)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        equal(place.run(), (0, f"{i + 1}\n", ""))
    for entry in place.entries(".tmp") + place.entries(".d"):
        os.utime(entry, (time.time() - 7200,) * 2)
    place.write("h.h", "#define H 100\n")
    equal(place.run(), (0, "101\n", ""))
    equal(place.entries(".tmp") + place.entries(".d"), [])


@test
def what_the_killed_leave_without_a_cache():
    """It is removed by the next compile, without a cache and with one; what belongs to the living is not."""
    place = Place()
    cache = place.env.pop("YOKE_CACHE")
    os.chmod(place.write("cc.sh", f'#!/bin/sh\ntouch {place.path("started")}\nsleep 3600\n'), 0o755)
    for next_has_cache in (False, True):
        place.env.pop("YOKE_CACHE", None)
        place.env["CC"] = place.path("cc.sh")
        processes = []
        for _ in range(2):
            processes.append(place.start())
            while not os.path.exists(place.path("started")):
                time.sleep(0.01)
            os.unlink(place.path("started"))
        dead, living = (glob.glob(place.path(f"tmp/yoke-{p.pid}-*")) for p in processes)
        equal((len(dead), len(living)), (1, 1))
        os.killpg(processes[0].pid, signal.SIGKILL)
        processes[0].communicate()
        equal(len(os.listdir(place.path("tmp"))), 2)
        del place.env["CC"]
        if next_has_cache:
            place.env["YOKE_CACHE"] = cache
        equal(place.run(), (0, "11\n", ""))
        equal(glob.glob(place.path("tmp/*")), living)
        os.killpg(processes[1].pid, signal.SIGKILL)
        processes[1].communicate()
        place.write("h.h", f"#define H 10 /* {next_has_cache} */\n")  # so that the cache has it not yet
        equal(place.run(), (0, "11\n", ""))
        equal(os.listdir(place.path("tmp")), [])


@test
def interrupted_while_it_compiles():
    """Ctrl-C reaches compiler and command alike; then all works."""
    place = Place()
    os.chmod(place.write("cc.sh", f'#!/bin/sh\ntouch {place.path("started")}\nsleep 3600\n'), 0o755)
    place.env["CC"] = place.path("cc.sh")
    process = place.start()
    while not os.path.exists(place.path("started")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    equal(out, "")
    check(process.returncode in (2, 130, -signal.SIGINT), str(process.returncode))
    del place.env["CC"]
    equal(place.run(), (0, "11\n", ""))


@test
def warnings_and_symbols_that_are_nowhere():
    place = Place()
    place.write("w.c", "#include <yoke.h>\n#warning careful\nYOKE_TASK(int, f, (int, x, \"\", 1)) { return x; }\n")
    status, out, err = place.run("w.c:f")
    equal((status, out), (0, "1\n"))
    has(err, "careful")
    equal(place.run("w.c:f"), (0, "1\n", ""))
    place.write("u.c", "#include <yoke.h>\n#warning careful\nint undefd(void);\nYOKE_TASK(int, f) { return undefd(); }\n")
    equal(place.run("u.c:f"), (2, "", f"yoke run: cannot load {place.path('u.c')}: undefined symbol: undefd; "
                               "if a library has undefd, add a line \"// yoke-flags: -lNAME\"\n"))


main()
