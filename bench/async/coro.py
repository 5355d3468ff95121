#!/usr/bin/env python3
"""coro.py BUILD - what it costs in CPU time to start a coroutine and wait for its end, and to let another go on: yoke beside Go
where that is installed, on one CPU, in turns in one run. BENCH_ROUNDS is the number of turns."""
import os
import statistics
import subprocess
import sys

PROGRAMS = os.path.join(sys.argv[1], "bench", "async")
ROUNDS = max(1, int(os.environ.get("BENCH_ROUNDS", "7")))
COUNT = "1000000"
WORDS = {"spawn": "start one and wait for its end", "spawn1000": "start 1000 and wait for their ends, each",
         "yield": "let the other go on, of 2", "yield1000": "let the others go on, of 1000, each"}


def ask(program, word):
    """ns of one."""
    cpu = min(os.sched_getaffinity(0))
    done = subprocess.run([program, word, COUNT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=120,
                          preexec_fn=lambda: os.sched_setaffinity(0, [cpu]))
    if done.returncode != 0:
        sys.exit(f"{program} {word}: exit {done.returncode}")
    return float(done.stdout)


def row(name, values, unit):
    print(f"{name:<60} {min(values):11.3f} {statistics.median(values):11.3f} {max(values):11.3f} {unit}", flush=True)


def main():
    peers = {name: os.path.join(PROGRAMS, program) for name, program in (("yoke", "coro_yoke"), ("Go", "coro_go"))}
    peers = {name: program for name, program in peers.items() if os.path.exists(program)}
    for word, title in WORDS.items():
        took = {name: [] for name in peers}
        for _ in range(ROUNDS):
            for name, program in peers.items():
                took[name].append(ask(program, word))
        print(f"\n{title:<60} {'min':>11} {'median':>11} {'max':>11}")
        for name, values in took.items():
            row(name, values, "ns")
        if len(took) == 2:
            row("  Go / yoke", [a / b for a, b in zip(took["Go"], took["yoke"])], "x   (goal: > 1)")


main()
