#!/usr/bin/python3
"""A program with typed queues compiles in C and C++, with each compiler and without a warning, and gives the same answers."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

PROGRAM = os.path.join(SOURCE, "tests", "sync", "queue_use.cpp")
WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wcast-qual -Wundef -Werror".split()
LANGUAGES = [("gcc", "c11"), ("gcc", "gnu17"), ("clang", "c11"), ("g++", "c++11"), ("g++", "c++20"), ("clang++", "c++11"),
             ("clang++", "c++20")]


def build_and_run(compiler, standard):
    program = os.path.join(scratch(), "use")
    language = "c++" if "++" in compiler else "c"
    posix = [] if language == "c++" else ["-D_POSIX_C_SOURCE=200809L"]
    done = run([compiler, f"-std={standard}", *WARNINGS, *posix, "-O1", "-I", os.path.join(SOURCE, "include"), "-x", language,
                PROGRAM, "-o", program, "-x", "none", os.path.join(BUILD, "libyoke.so"), "-pthread"])
    check(done[0] == 0 and not done[2], done[2])
    done = run([program], env={**os.environ, "LD_LIBRARY_PATH": BUILD})
    check(done == (0, "", ""), f"{PROGRAM}:{done[0]}: wrong, {done[1]}{done[2]}")


for each in LANGUAGES:
    def case(each=each):
        build_and_run(*each)
    case.__name__ = f"queues_in_{each[0]}_{each[1]}".replace("+", "x")
    test(case)


main()
