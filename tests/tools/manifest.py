#!/usr/bin/python3
"""examples/manifest/run.sh, which is `make run`: every regular file under a folder, on three executors. Odd names and odd files,
what may not be read, folders that are none, files that change meanwhile, and the list for sha256sum."""
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from urllib.parse import unquote_to_bytes

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

SCRIPT = os.path.join(SOURCE, "examples", "manifest", "run.sh")
CACHE = scratch()
NOBODY = 65534
NAMES = [b"plain", b"with blank", b" lead", b"trail ", b"-dash", b"--null", b"quo\"te", b"apos'trophe", b"back\\slash", b"\\",
         b"a\\\\", b"back\\nslash", b"\\u000a", b"\\u0001", b"\\udce9", b"new\nline", b"\n", b"cr\r", b"mid\rcr", b"tab\t",
         b"\x01\x02\x1f\x7f", b"*?[", b"$(touch pwned)", b"`x`", b"%41", b"100%", b"%zz", b"file:", b"file:%41", b"  file:x",
         b"&|;<>", b"#", b"{}", b"\xe2\x98\x83", b"caf\xc3\xa9", b"caf\xe9", b"caf\xe9%41%", b"\xff\xfe", b"\xc0\x80",
         b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98", b"bad\xff\nline\\", b"\xf0\x9f\x90\x82", b"x" * 255, b"\xe9" * 255]


class Place:
    """A folder to read, and a build folder with nothing but the command."""

    def __init__(self):
        self.root = scratch()
        os.chmod(self.root, 0o755)
        self.folder, self.build = os.path.join(self.root, "data"), os.path.join(self.root, "build")
        os.mkdir(self.folder)
        os.mkdir(self.build)
        os.symlink(os.path.join(BUILD, "yoke"), os.path.join(self.build, "yoke"))
        self.env = {**os.environ, "YOKE_INCLUDE": os.path.join(SOURCE, "include"), "YOKE_CACHE": CACHE, "NO_COLOR": "1"}

    def write(self, name, content=b"one two\nthree\n"):
        path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def run(self, folder=None, script=SCRIPT, **more):
        """(status, the table, stderr)."""
        return run([script, self.folder if folder is None else folder, self.build], env=self.env, timeout=300, **more)

    def out(self, name):
        with open(os.path.join(self.build, "run", name), "rb") as text:
            return text.read()

    def manifest(self):
        """{path as bytes: entry}, in order."""
        entries = [json.loads(line) for line in self.out("manifest.jsonl").decode("utf-8").splitlines()]
        return {unquote_to_bytes(e["path"][5:]) if e["path"].startswith("file:") else e["path"].encode(): e for e in entries}

    def checked(self, cwd=None):
        """What sha256sum -c says to the list."""
        return run(["sha256sum", "--strict", "--quiet", "-c", os.path.join(self.build, "run", "SHA256SUMS")], cwd=cwd)


def agree(out, files):
    has(out, f"executors agree: yes ({files} files, ")


def entry_of(content):
    return {"bytes": len(content), "lines": content.count(b"\n"), "words": len(content.split()),
            "sha256": hashlib.sha256(content).hexdigest()}


@test
def counts_and_checksums():
    place = Place()
    contents = {b"a": b"", b"b": b"\n", b"c": b"x", b"d": b"  two words \n", b"e/f/g": b"\x00\xff\x0b\x0c\r\t\x01 \n" * 1000,
                b"h": os.urandom(1 << 20), b"i": b"y" * ((1 << 18) - 1) + b" z", b"j": b"y" * (1 << 18) + b"z"}
    for name, content in contents.items():
        place.write(name, content)
    status, out, err = place.run()
    equal(status, 0)
    agree(out, len(contents))
    found = place.manifest()
    for name, content in contents.items():
        entry = found[os.path.join(os.fsencode(place.folder), name)]
        del entry["path"]
        equal(entry, entry_of(content))
    equal(err, "".join(f"{len(contents)} files on {on}\n" for on in ("inline", "threads", "processes")))
    equal(place.checked(), (0, "", ""))


@test
def the_table_says_what_was_read():
    place = Place()
    place.write("a", b"x" * 1000)
    place.write("b", b"y" * 234)
    status, out, _ = place.run()
    equal(status, 0)
    rows = [line.split() for line in out.splitlines() if re.match("(inline|threads|processes) ", line)]
    equal([row[:3] for row in rows], [[on, "2", "1234"] for on in ("inline", "threads", "processes")])
    equal(rows[0][5], "1.00")
    total = hashlib.sha256(place.out("manifest.jsonl")).hexdigest()
    equal(out.splitlines()[-1], f"executors agree: yes (2 files, 1234 bytes, manifest sha256 {total})")
    equal(sorted(os.listdir(os.path.join(place.build, "run"))), ["SHA256SUMS", "files", "manifest.jsonl", "times"])


@test
def odd_names():
    place = Place()
    paths = sorted(place.write(name, name) for name in NAMES)
    status, out, err = place.run()
    check(status == 0, out + err)
    agree(out, len(paths))
    found = place.manifest()
    equal(list(found), paths)
    for path, entry in found.items():
        equal(entry["sha256"], hashlib.sha256(os.path.basename(path)).hexdigest())
    equal(place.checked(), (0, "", ""))
    check(not os.path.exists("pwned"), "a name was executed")


@test
def the_list_is_what_sha256sum_writes():
    place = Place()
    paths = sorted(place.write(name, name) for name in NAMES)
    equal(place.run()[0], 0)
    equal(place.out("SHA256SUMS"), subprocess.run(["sha256sum", *paths], capture_output=True, check=True).stdout)


@test
def odd_names_of_folders():
    for name in (b"-name", b"!", b"(", b"with blank", b"a\nb", b"file:", b"caf\xe9", b"x,y", b"*", b"\\", b"--", b"'", b","):
        place = Place()
        path = os.path.join(os.fsencode(place.root), name)
        os.mkdir(path)
        with open(os.path.join(path, b"f"), "wb") as out:
            out.write(b"x")
        status, out, err = run([os.path.abspath(SCRIPT), name, "build"], env=place.env, cwd=place.root)
        check(status == 0, f"{name}: {out}{err}")
        agree(out, 1)
        equal(place.checked(cwd=place.root), (0, "", ""))


@test
def make_run_takes_any_folder():
    """Through make and its shell."""
    place = Place()
    makefile = os.path.join(place.root, "Makefile")
    with open(os.path.join(SOURCE, "Makefile"), encoding="utf-8") as text:
        body = text.read()
    with open(makefile, "w", encoding="utf-8") as out:
        out.write(body)
    has(body, '@examples/manifest/run.sh "$$DIR" $(BUILD)')
    os.mkdir(os.path.join(place.root, "tools"))
    for name in ("setup", "configure"):
        os.symlink("/bin/true", os.path.join(place.root, "tools", name))
    os.symlink("/bin/true", os.path.join(place.root, "ninja"))
    os.symlink(os.path.join(SOURCE, "examples"), os.path.join(place.root, "examples"))
    place.env["PATH"] = place.root + ":" + place.env["PATH"]
    for name in ('with "quote"', "a'b", "x; touch pwned", "`touch pwned`"):
        os.mkdir(os.path.join(place.root, name))
        with open(os.path.join(place.root, name, "f"), "wb") as out:
            out.write(b"x")
        status, out, err = run(["make", "run", "DIR=" + name, "BUILD=" + place.build], env=place.env, cwd=place.root)
        check(status == 0, out + err)
        agree(out, 1)
    check(not os.path.exists(os.path.join(place.root, "pwned")), "the folder's name was executed")


@test
def only_regular_files():
    place = Place()
    place.write("real")
    os.mkfifo(os.path.join(place.folder, "fifo"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.join(place.folder, "socket"))
    for name, to in (("link", "real"), ("broken", "nowhere"), ("loop", "loop"), ("root", "/"), ("up", "..")):
        os.symlink(to, os.path.join(place.folder, name))
    if os.geteuid() == 0:
        try:
            os.mknod(os.path.join(place.folder, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pass # not in every container
    os.mkdir(os.path.join(place.folder, "empty"))
    status, out, err = place.run()
    server.close()
    check(status == 0, err)
    agree(out, 1)
    equal(list(place.manifest()), [os.fsencode(place.folder) + b"/real"])


@test
def a_link_to_the_folder():
    place = Place()
    place.write("f")
    os.symlink("data", os.path.join(place.root, "link"))
    status, out, _ = place.run(os.path.join(place.root, "link"))
    equal(status, 0)
    agree(out, 1)


@test
def what_it_writes_is_not_read():
    place = Place()
    with open(os.path.join(place.root, "f"), "wb") as out:
        out.write(b"x")
    for _ in range(2): # the second time with what the first left
        status, out, err = run([os.path.abspath(SCRIPT), ".", "build"], env=place.env, cwd=place.root)
        check(status == 0, out + err)
        agree(out, 1)
    equal(place.checked(cwd=place.root), (0, "", ""))


def as_nobody(place):
    """run.sh by somebody without rights, from a copy that he can reach; who is not root runs as he is."""
    os.remove(os.path.join(place.build, "yoke"))
    shutil.copy(os.path.join(BUILD, "yoke"), place.build)
    shutil.copytree(os.path.join(SOURCE, "include"), os.path.join(place.root, "include"))
    shutil.copytree(os.path.dirname(SCRIPT), os.path.join(place.root, "manifest"))
    os.chmod(place.build, 0o777)
    place.env.update(YOKE_INCLUDE=os.path.join(place.root, "include"), YOKE_CACHE=os.path.join(place.build, "cache"))
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return place.run(script=os.path.join(place.root, "manifest", "run.sh"), cwd=place.root, **user)


@test
def a_file_that_may_not_be_read():
    place = Place()
    for name in ("a", "b", "c"):
        place.write(name)
    os.chmod(place.write("b"), 0)
    os.chmod(place.write(b"caf\xe9"), 0)
    status, out, err = as_nobody(place)
    equal(status, 1)
    agree(out, 2)
    has(out, "2 of 4 files could not be read\n")
    complaints = [line for line in err.splitlines() if " files on " not in line]
    equal(len(complaints), 2)
    has(complaints[0], f"entry: {place.folder}/b: Permission denied")
    has(complaints[1], f"entry: file:{place.folder}/caf%E9: Permission denied")
    equal(sorted(place.manifest()), [os.fsencode(f"{place.folder}/{name}") for name in "ac"])
    equal(place.checked(), (0, "", ""))


@test
def a_folder_that_may_not_be_entered():
    place = Place()
    place.write("a")
    place.write("closed/b")
    os.chmod(os.path.join(place.folder, "closed"), 0)
    status, out, err = as_nobody(place)
    os.chmod(os.path.join(place.folder, "closed"), 0o755)
    equal(status, 1)
    agree(out, 1)
    complaints = [line for line in err.splitlines() if " files on " not in line]
    equal(len(complaints), 1)
    has(complaints[0], "closed")
    has(complaints[0], "Permission denied")


@test
def the_folder_itself_may_not_be_read():
    place = Place()
    place.write("a")
    os.chmod(place.folder, 0o311)
    equal(as_nobody(place), (2, "", f"make run: {place.folder}: permission denied\n"))
    os.chmod(place.folder, 0o755)


@test
def folders_that_are_none():
    place = Place()
    equal(place.run(), (2, "", f"make run: {place.folder}: no files in it\n"))
    missing = os.path.join(place.root, "missing")
    equal(place.run(missing), (2, "", f"make run: {missing}: no such folder\n"))
    file = os.fsdecode(place.write("file"))
    equal(place.run(file), (2, "", f"make run: {file}: not a folder\n"))
    shutil.rmtree(os.path.join(place.build, "run"))
    with open(os.path.join(place.build, "run"), "w", encoding="utf-8"):
        pass
    status, out, err = place.run()
    equal((status, out), (2, ""))
    has(err, f"make run: {place.build}/run cannot be made\n")


def with_deed(place, on, deed):
    """Lets the command do something to the files just before it reads them on that executor."""
    os.remove(os.path.join(place.build, "yoke"))
    with open(os.path.join(place.build, "yoke"), "w", encoding="utf-8") as out:
        out.write(f'#!/bin/sh\ncase "$*" in *"--on {on}"*)\n{deed}\n;; esac\nexec {BUILD}/yoke "$@"\n')
    os.chmod(os.path.join(place.build, "yoke"), 0o755)


@test
def a_file_that_changes_between():
    for on in ("threads", "processes"):
        place = Place()
        place.write("a")
        place.write("b")
        with_deed(place, on, f"echo more >>{place.folder}/b")
        status, out, _ = place.run()
        equal(status, 1)
        has(out, "executors agree: no (2 files, ")
        left = {os.path.basename(name) for name in glob.glob(os.path.join(place.build, "run", "*.jsonl"))}
        check({"manifest.jsonl", on + ".jsonl"} <= left, str(left)) # both stay, to be compared
        check(place.out("manifest.jsonl") != place.out(on + ".jsonl"), "they differ")
        os.remove(os.path.join(place.build, "yoke"))
        os.symlink(os.path.join(BUILD, "yoke"), os.path.join(place.build, "yoke"))
        status, out, _ = place.run() # and go when all is well again
        equal(status, 0)
        equal(glob.glob(os.path.join(place.build, "run", on + "*")), [])


@test
def a_file_that_goes_away_between():
    place = Place()
    place.write("a")
    place.write("b")
    with_deed(place, "threads", f"rm -f {place.folder}/b")
    status, out, err = place.run()
    equal(status, 1)
    has(out, "executors agree: no (2 files, ")
    equal(err.count("No such file or directory"), 2) # said by threads and by processes, not by inline
    place = Place()
    place.write("a")
    place.write("b")
    with_deed(place, "inline", f"rm -f {place.folder}/b")
    status, out, err = place.run()
    equal(status, 1)
    agree(out, 1)
    has(out, "1 of 2 files could not be read\n")
    equal(err.count("No such file or directory"), 1)


@test
def a_file_becomes_something_else():
    """A FIFO in its place must not make anybody wait."""
    place = Place()
    place.write("a")
    place.write("b")
    with_deed(place, "inline", f"rm -f {place.folder}/b; mkfifo {place.folder}/b")
    status, out, err = place.run()
    equal(status, 1)
    agree(out, 1)
    has(err, f"{place.folder}/b: ")


@test
def a_file_that_shrinks_and_grows_meanwhile():
    place = Place()
    path = place.write("a", b"x" * (8 << 20))
    place.write("b")
    stop = threading.Event()

    def change():
        while not stop.is_set():
            os.truncate(path, 1000)
            os.truncate(path, 8 << 20)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        status, out, err = place.run()
    finally:
        stop.set()
        changer.join()
    check(status in (0, 1), err)
    check(re.search(r"executors agree: (yes|no) \(2 files, \d+ bytes", out) is not None, out)
    equal(place.manifest()[os.fsencode(place.folder) + b"/b"]["bytes"], 14)


@test
def a_command_that_fails():
    place = Place()
    place.write("a")
    with_deed(place, "processes", "exit 3")
    status, out, err = place.run()
    equal((status, out), (3, ""))
    has(err, "make run: yoke map on processes ended with 3\n")
    place.env["CC"] = "/nonexistent"
    status, out, err = place.run()
    equal((status, out), (2, ""))
    has(err, "/nonexistent")
    has(err, "did not load\n")


@test
def many_small_files():
    place = Place()
    for i in range(3000):
        place.write(f"{i % 17}/{i}", b"%d\n" % i)
    status, out, _ = place.run()
    equal(status, 0)
    agree(out, 3000)
    equal(place.checked(), (0, "", ""))
    found = place.manifest()
    equal(len(found), 3000)
    equal(list(found), sorted(found))


main()
