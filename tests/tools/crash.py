"""A task that crashes or exits in the process of the command itself: the last line names it, and the
status is the signal's."""
import os
import resource
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
TASKS = os.path.join(FOLDER, "map_tasks.c")
shutil.copy(os.path.join(SOURCE, "tests", "tools", "map_tasks.c"), TASKS)
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
NAMES = {signal.SIGSEGV: "SEGV", signal.SIGBUS: "BUS", signal.SIGFPE: "FPE", signal.SIGILL: "ILL",
         signal.SIGABRT: "ABRT"}


def path(name):
    return os.path.join(FOLDER, name)


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die(on, how):
    done = subprocess.run([YOKE, "map", f"{TASKS}:die", "--on", on, ":::", "0", str(int(how)), "0"],
                          capture_output=True, timeout=300, cwd=FOLDER, preexec_fn=no_core)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@test
def a_crash_in_this_process_is_named():
    for on in ("inline", "threads:1"):
        for number, name in NAMES.items():
            status, out, err = die(on, number)
            equal(status, -number)
            last = err.strip().split("\n")[-1]
            has(last, f"yoke: die crashed: SIG{name} (")
            has(last, "map_tasks.c:")
            has(last, "--on processes would have lost this one job only")


@test
def an_exit_in_this_process_is_named():
    for on in ("inline", "threads:1"):
        for code in (0, 3):
            status, out, err = die(on, 100 + code)
            equal(status, 1)
            has(err, "yoke: die called exit(), which ends the whole command (")


@test
def what_has_ended_is_written():
    """However the task ends the process: results, error lines and the job log have all that came before it."""
    for on in ("inline", "threads:1"):
        for how, status, last in ((200, 1, "hard called _exit(), which"), (203, 1, "hard called _exit(), which"),
                                  (100, 1, "hard called exit(), which"), (11, -11, "hard crashed: SIGSEGV")):
            if os.path.exists(path("log")):
                os.remove(path("log"))
            done = subprocess.run([YOKE, "map", f"{TASKS}:hard", "--on", on, "--joblog", path("log"), ":::", "0", "-1", "-2",
                                   str(how)], capture_output=True, timeout=300, cwd=FOLDER, preexec_fn=no_core)
            err = done.stderr.decode()
            equal((done.returncode, done.stdout), (status, b"0\n-2\n"))
            has(err, "yoke: record 2: hard: minus one")
            has(err, f"yoke: {last}")
            with open(path("log")) as f:
                equal(sorted(line.split("\t")[0] for line in f.read().split("\n")[1:-1]), ["1", "2", "3"])


@test
def a_child_of_a_task_ends_as_it_likes():
    # A child that calls exit() has what its parent's other threads held, which looks like leaks.
    env = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    for on in ("inline", "threads:2"):
        done = subprocess.run([YOKE, "map", f"{TASKS}:forks", "--on", on, ":::", "0", "1", "2", "3"], capture_output=True,
                              timeout=300, env=env)
        equal((done.returncode, done.stdout, done.stderr), (0, b"0\n256\n512\n768\n", b""))


@test
def in_a_worker_it_costs_one_record():
    for number, name in NAMES.items():
        status, out, err = die("processes:2", number)
        equal((status, out), (1, "0\n0\n"))
        has(err, "yoke: record 2: ")
        has(err, f"SIG{name}")
        lacks(err, "would have lost")


main()
