"""Random programs of scopes, groups, deadlines, shields, cleaning up and errors: every task sees the same as in Python's trio, at
the same times (trees_lang.py: the programs; trees_trio.py: there; trees.c: here).

In an instant in which several tasks go on, their order is not defined, and a few programs make something of it. Where the logs
differ, trio is given every chance: its order is drawn again and tasks overtaken at random statements, and only if it never gives
the log of yoke, the program is a failure, and is shown with as much left out as still fails.

In the environment: TREES=100000 is how many programs (3,000), TREES_FROM=1 the first seed (0), TREES_TIMES how many other orders
of trio are tried (600).
"""
import collections
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

try:
    import trees_trio
except ImportError as missing:
    trees_trio = None
    MISSING = str(missing)
from trees_lang import BLOCKS, generate, parse, smaller, unparse

PROGRAM = os.path.join(BUILD, "tests", "async", "async-trees")
TREES = int(os.environ.get("TREES", "3000"))
FIRST = int(os.environ.get("TREES_FROM", "0"))
TIMES = int(os.environ.get("TREES_TIMES", "600"))
CHUNK = 100
LIMIT = 60 * int(os.environ.get("TEST_TIME_SCALE", "1"))  # a chunk takes a fraction of a second
SHRINK = 60
ENOUGH = 3  # wrong ones in a chunk: beyond that all that differ count as such
Way = collections.namedtuple("Way", "backend order")  # how trees runs: what its loop waits with; the seed of its order, or 0
BROKE = "the program broke off with"


def yoke_once(programs, way):
    """The logs of the programs up to the first that ends the process or hangs, whose log says so."""
    path = os.path.join(FOLDER, f"in-{os.getpid()}")
    with open(path, "w") as f:
        f.write("".join(f"tree {i}\n" + "\n".join(lines) + "\nend\n" for i, lines in enumerate(programs)))
    environment = {**os.environ, "YOKE_ASYNC_BACKEND": way.backend}
    with open(path) as f:
        try:
            status, out, err = run([PROGRAM, way.order], timeout=LIMIT, stdin=f, env=environment)
        except subprocess.TimeoutExpired as late:
            status, out, err = "hangs", (late.stdout or b"").decode(), ""
    logs = [part.partition("\n")[2] for part in out.split("tree ")[1:]]
    return logs + [f"{BROKE} {status}: {err[-3000:]}\n"] if len(logs) < len(programs) else logs


def yoke_logs(programs, way):
    logs = []
    while len(logs) < len(programs):
        logs += yoke_once(programs[len(logs):], way)
    return logs


def trio_can(lines, log):
    """Whether trio may give this log, in some order of what happens at once."""
    return BROKE not in log and any(trees_trio.run([lines], order, order % 2 > 0)[0] == log for order in range(1, TIMES))


def suspects(programs, way):
    """The programs whose logs differ, the shortest first, as pairs of index and log."""
    expected = trees_trio.run(programs)
    logs = yoke_logs(programs, way)
    return sorted(((i, logs[i]) for i in range(len(programs)) if logs[i] != expected[i]), key=lambda s: len(programs[s[0]]))


def chunk(first, count, way):
    """The seeds of those that trio does not run so, and how many needed another order."""
    programs = [generate(seed) for seed in range(first, first + count)]
    wrong, other = [], 0
    for i, log in suspects(programs, way):
        if len(wrong) < ENOUGH and trio_can(programs[i], log):
            other += 1
        else:
            wrong.append(first + i)
    return wrong, other


def shrink(lines, way):
    ends = time.monotonic() + SHRINK
    less = lines
    while less and time.monotonic() < ends:
        lines = less
        tries = [unparse(nodes) for nodes in smaller(parse(lines))]
        less = next((tries[i] for i, log in suspects(tries, way) if not trio_can(tries[i], log)), None)
    return lines


def tell(seed, way):
    lines = shrink(generate(seed), way)
    expected = trees_trio.run([lines])[0].splitlines()
    log = yoke_logs([lines], way)[0].splitlines()
    print(f"# seed {seed}, made smaller:")
    depth = 0
    for line in lines:
        depth -= line in ("}", "then")
        print("#   " + "    " * depth + line)
        depth += line == "then" or line.split()[0] in BLOCKS
    for name, mine, other in (("trio", expected, log), ("yoke", log, expected)):
        print(f"# {name}:")
        for line in mine:
            print(("#   " if line in other else "# * ") + line)


def compare(trees, backend, order="0"):
    if trees_trio is None:
        skip(MISSING)
    way, failed, other = Way(backend, order), [], 0
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("fork")) as pool:
        jobs = [pool.submit(chunk, first, min(CHUNK, FIRST + trees - first), way)
                for first in range(FIRST, FIRST + trees, CHUNK)]
        for job in jobs:
            wrong, more = job.result()
            failed += wrong
            other += more
    print(f"# {trees} programs on {backend}: {len(failed)} differ; {other} are the same in another order of what happens at once")
    if failed:
        tell(min(failed, key=lambda seed: len(generate(seed))), way)
    equal(failed, [])


@test
def the_language_is_read_as_it_is_written():
    for seed in range(300):
        equal(unparse(parse(generate(seed))), generate(seed))


@test
def trio_is_the_same_each_time():
    if trees_trio is None:
        skip(MISSING)
    programs = [generate(seed) for seed in range(50)]
    equal(trees_trio.run(programs, 3, True), trees_trio.run(programs, 3, True))


@test
def same_as_trio():
    compare(TREES, "auto")


@test
def same_as_trio_on_epoll():
    compare(TREES // 3, "epoll")


@test
def same_as_trio_in_an_order_of_chance():
    compare(TREES // 3, "epoll", "1")


FOLDER = scratch()
main(limit=3600)
