#!/usr/bin/env python3
"""fork_cost.py BUILD: the instructions of a fork and its join, beside those of a plain call, counted by valgrind, so that a busy
machine makes no difference. Goal: at most 15 for the pair, beyond what the function does itself."""
import re
import subprocess
import sys

PROGRAM = sys.argv[1] + "/bench/bench-fork_cost"
SMALL, LARGE = 16, 22
# fib(n) forks fib(n + 1) - 1 times, and is called twice as often, and once.
FORKS = {16: 1596, 22: 28656}


def instructions(what, n):
    p = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, what, str(n)],
                       stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", p.stderr)
    if p.returncode != 0 or not found:
        sys.exit("the program did not run under valgrind: " + p.stderr)
    return int(found.group(1))


def each(what):
    return (instructions(what, LARGE) - instructions(what, SMALL)) / (FORKS[LARGE] - FORKS[SMALL])


forks, calls = each("forks"), each("calls")
print("\n%-56s %10s" % ("instructions of one call of fib and its two parts", "each"))
print("%-56s %10.1f" % ("plain calls", calls))
print("%-56s %10.1f" % ("one forked, one called, one joined", forks))
print("%-56s %10.1f   (goal: at most 15)" % ("  a fork and a join", forks - calls))
