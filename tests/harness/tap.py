"""tap.py - the harness for tests that are Python: the same output and the same options as test.h gives to C.

    from tap import *

    @test
    def adds(): equal(1 + 1, 2)

    main()

A test fails by any exception. $YOKE_SOURCE and $YOKE_BUILD name the two trees; scratch() is a folder that goes away.
"""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

__all__ = ["test", "equal", "has", "lacks", "check", "skip", "run", "scratch", "main", "SOURCE", "BUILD"]

# What nohup(1) or a shell's & made ignored would stay ignored in the commands that tests send signals to.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler)  # and the default in those commands

# As in test.c: the OpenCL of CPUs keeps what it compiled a kernel with.
os.environ.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions="
                      + os.path.join(os.path.dirname(os.path.abspath(__file__)), "lsan.txt"))

SOURCE = os.environ.get("YOKE_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("YOKE_BUILD") or os.path.join(SOURCE, "build")
tests = []


class Skip(Exception):
    pass


def test(function):
    tests.append(function)
    return function


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(actual, expected):
    check(actual == expected, f"got {actual!r}, expected {expected!r}")


def has(text, part):
    check(part in text, f"{text!r} lacks {part!r}")


def lacks(text, part):
    check(part not in text, f"{text!r} has {part!r}")


def skip(reason):
    raise Skip(reason)


def run(command, timeout=300, **more):
    """Runs a command (a list, or text for sh) and returns its status, stdout and stderr as text. The time limit guards against
    hangs alone: it is far beyond what a command takes on the slowest machine."""
    done = subprocess.run(command, shell=isinstance(command, str), capture_output=True, timeout=timeout,
                          stdin=more.pop("stdin", subprocess.DEVNULL), **more)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def scratch():
    folder = tempfile.mkdtemp(prefix="yoke-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def out_of_time(*_):
    raise TimeoutError("out of time")


def main(limit=500):
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    chosen = [t for t in tests if not names or t.__name__ in names]
    if "--list" in sys.argv:
        print("\n".join(t.__name__ for t in tests))
        return
    scale = int(os.environ.get("TEST_TIME_SCALE", "1"))
    signal.signal(signal.SIGALRM, out_of_time)
    print(f"TAP version 13\n1..{len(chosen)}", flush=True)
    failed = 0
    for number, t in enumerate(chosen, 1):
        outcome, directive = "ok", ""
        signal.alarm(limit * scale)
        try:
            t()
        except Skip as reason:
            directive = f" # SKIP {reason}"
        except Exception:
            outcome = "not ok"
            failed += 1
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="")
        signal.alarm(0)
        print(f"{outcome} {number} - {t.__name__}{directive}", flush=True)
    sys.exit(1 if failed else 0)
