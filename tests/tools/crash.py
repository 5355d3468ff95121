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


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die(on, how):
    done = subprocess.run([YOKE, "map", f"{TASKS}:die", "--on", on, ":::", "0", str(int(how)), "0"],
                          capture_output=True, timeout=60, cwd=FOLDER, preexec_fn=no_core)
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
def in_a_worker_it_costs_one_record():
    for number, name in NAMES.items():
        status, out, err = die("processes:2", number)
        equal((status, out), (1, "0\n0\n"))
        has(err, "yoke: record 2: ")
        has(err, f"SIG{name}")
        lacks(err, "would have lost")


main()
