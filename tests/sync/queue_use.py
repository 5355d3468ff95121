#!/usr/bin/python3
"""Programs with typed queues and channels, and with locks held for blocks, compile in C and C++, with each compiler and without a
warning, and give the same answers."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

PROGRAMS = {"queues": "queue_use.cpp", "channels": "channel_use.cpp", "with": "with_use.cpp"}
WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wcast-qual -Wundef -Werror".split()
LANGUAGES = [("gcc", "c11"), ("gcc", "gnu17"), ("clang", "c11"), ("g++", "c++11"), ("g++", "c++20"), ("clang++", "c++11"),
             ("clang++", "c++20")]


def build_and_run(name, compiler, standard):
    source = os.path.join(SOURCE, "tests", "sync", name)
    program = os.path.join(scratch(), "use")
    language = "c++" if "++" in compiler else "c"
    posix = [] if language == "c++" else ["-D_POSIX_C_SOURCE=200809L"]
    done = run([compiler, f"-std={standard}", *WARNINGS, *posix, "-O1", "-I", os.path.join(SOURCE, "include"), "-x", language,
                source, "-o", program, "-x", "none", os.path.join(BUILD, "libyoke.so"), "-pthread"])
    check(done[0] == 0 and not done[2], done[2])
    done = run([program], env={**os.environ, "LD_LIBRARY_PATH": BUILD})
    check(done == (0, "", ""), f"{source}:{done[0]}: wrong, {done[1]}{done[2]}")


for what, name in PROGRAMS.items():
    for each in LANGUAGES:
        def case(name=name, each=each):
            build_and_run(name, *each)
        case.__name__ = f"{what}_in_{each[0]}_{each[1]}".replace("+", "x")
        test(case)


main()
