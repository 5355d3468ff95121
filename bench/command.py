#!/usr/bin/python3
"""command.py BUILD: the yoke command beside what people use today, in turn, in one run.

    yoke map     records a second with a job log, and memory from 10^4 to 10^7 records; GNU parallel, Python's Pool.imap
    yoke run     from start to result, of a source compiled before; python3 -c pass

Every run's answer is checked. Records: lines "[A, B, N]" for a task of three scalars.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

build = os.path.abspath(sys.argv[1])
yoke = os.path.join(build, "yoke")
source = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 5
N = 1_000_000

TASK = """#include <yoke.h>
YOKE_TASK(double, madd, (double, a), (double, b), (long, n)) { return a * b + (double)n; }
"""

IMAP = """
import json, multiprocessing, sys
def madd(line):
    a, b, n = json.loads(line)
    return a * b + n
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool() as pool:
        for v in pool.imap(madd, sys.stdin):
            print(json.dumps(v))
"""


def record(i):
    return i * 0.5, i % 97 * 0.25, i


def write_records(path, n):
    with open(path, "w") as f:
        for i in range(n):
            f.write("[%.1f, %.2f, %d]\n" % record(i))


def expected(i):
    a, b, n = record(i)
    return a * b + n


def run(command, stdin, stdout, check):
    """Seconds."""
    with open(stdin) as i, open(stdout, "w") as o:
        start = time.perf_counter()
        p = subprocess.Popen(command, stdin=i, stdout=o, stderr=subprocess.PIPE)
        p.wait()
        took = time.perf_counter() - start
    if p.returncode != 0:
        sys.exit(f"{command[0]}: exit {p.returncode}: {p.stderr.read().decode()}")
    p.stderr.close()
    check(stdout)
    return took


def tree(pid):
    """The process and all that descend from it."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [each for child in f.read().split() for each in tree(int(child))]


def peak(pid):
    """VmHWM in KiB: the most that was resident since its exec. ru_maxrss would not do: an exec keeps in it what the forked
    copy of this interpreter had."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def peaks(records, n, stdout, task):
    """Peak KiB of `yoke map` itself and of its largest worker. Its second input is a pipe that ends only when the results of
    the first are all there, so that the processes can be looked at before they end."""
    with open(stdout, "w") as o:
        p = subprocess.Popen([yoke, "map", "-a", records, "-a", "-", f"{task}:madd"], stdin=subprocess.PIPE, stdout=o)
    count = 0
    with open(stdout, "rb") as results:
        while count < n:
            part = results.read(1 << 20)
            count += part.count(b"\n")
            if not part and p.poll() is not None:
                sys.exit(f"yoke map: exit {p.returncode} after {count} results")
            if not part:
                time.sleep(0.01)
    own, *others = [peak(each) for each in tree(p.pid)]
    p.stdin.close()
    if p.wait() != 0:
        sys.exit(f"yoke map: exit {p.returncode}")
    check_count(n)(stdout)
    return own, max(others)


def check_count(n):
    def check(path):
        count = 0
        with open(path) as f:
            for i, line in enumerate(f):
                count += 1
                if (i < 1000 or i % 9973 == 0) and float(line) != expected(i):
                    sys.exit(f"wrong answer at record {i}: {line}")
        if count != n:
            sys.exit(f"{count} results instead of {n}")
    return check


def row(name, values, unit):
    print(f"{name:<56} {min(values):12.1f} {statistics.median(values):12.1f} {max(values):12.1f} {unit}")


def head(title):
    print(f"\n{title:<56} {'min':>12} {'median':>12} {'max':>12}")


def ratios(name, a, b, goal):
    r = [x / y for x, y in zip(a, b)]
    print(f"{name:<56} {min(r):12.1f} {statistics.median(r):12.1f} {max(r):12.1f} x   (goal: {goal})")


def bench_map(tmp):
    task, records, few = (os.path.join(tmp, x) for x in ("madd.c", "records", "few"))
    out, log, imap = (os.path.join(tmp, x) for x in ("out", "log", "imap.py"))
    for path, text in ((task, TASK), (imap, IMAP)):
        with open(path, "w") as f:
            f.write(text)
    write_records(records, N)
    write_records(few, 20_000)
    with open(few) as f, open(os.path.join(tmp, "hundred"), "w") as h:
        h.writelines(f.readlines()[:100])
    rates = {"processes": [], "threads": [], "inline": []}
    parallel, pool = [], []
    for _ in range(ROUNDS):
        for on, kept in rates.items():
            if os.path.exists(log):
                os.unlink(log)
            seconds = run([yoke, "map", "--on", on, "--joblog", log, f"{task}:madd"], records, out, check_count(N))
            kept.append(N / seconds)
        seconds = run(["parallel", "--joblog", "/dev/null", "echo"], os.path.join(tmp, "hundred"), out, lambda _: None)
        parallel.append(100 / seconds)
        seconds = run(["/usr/bin/python3", imap], few, out, check_count(20_000))
        pool.append(20_000 / seconds)
    head("yoke map, 3 scalars, job log on (goal >= 1 M, aim 3 M)")
    for on, kept in rates.items():
        row(f"--on {on}", kept, "records/s")
    row("GNU parallel, echo", parallel, "records/s")
    row("Python Pool.imap", pool, "records/s")
    ratios("processes to GNU parallel", rates["processes"], parallel, "more")
    ratios("processes to Pool.imap", rates["processes"], pool, "more")
    return task, out


def bench_memory(tmp, task, out):
    head("memory of yoke map: most resident at a time (VmHWM)")
    path, medians = os.path.join(tmp, "records"), []
    for n in (10_000, 100_000, 1_000_000, 10_000_000):
        write_records(path, n)
        kept = [peaks(path, n, out, task) for _ in range(3 if n < 10_000_000 else 1)]
        row(f"{n} records, the command", [own for own, _ in kept], "KiB")
        row("  its largest other process", [other for _, other in kept], "KiB")
        medians.append(statistics.median(own for own, _ in kept))
    print(f"{'10^7 records to 10^4, the command':<56} {medians[-1] / medians[0]:12.2f} x   (goal: flat)")
    print(f"{'10^7 records to 10^6, the command':<56} {medians[-1] / medians[-2]:12.2f} x   (goal: flat)")


def bench_start(task):
    def once(command):
        start = time.perf_counter()
        out = subprocess.run(command, capture_output=True, check=True).stdout
        return (time.perf_counter() - start) * 1e3, out
    isolated, inline, python = [], [], []
    for _ in range(100):
        for kept, on in ((isolated, "processes:1"), (inline, "inline")):
            took, out = once([yoke, "run", "--on", on, f"{task}:madd", "2", "3", "4"])
            if out != b"10.0\n":
                sys.exit(f"wrong answer: {out}")
            kept.append(took)
        python.append(once(["/usr/bin/python3", "-c", "pass"])[0])
    head("yoke run of a cached source (goal <= 5 ms, aim 2 ms)")
    row("in a process of its own", isolated, "ms")
    row("--on inline", inline, "ms")
    row("python3 -c pass", python, "ms")
    ratios("python3 to yoke run", python, isolated, "more than 1")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="yoke-bench-") as tmp:
        os.environ["YOKE_CACHE"] = os.path.join(tmp, "cache")
        task, out = bench_map(tmp)
        bench_start(task)
        bench_memory(tmp, task, out)
