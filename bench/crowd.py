#!/usr/bin/env python3
"""crowd.py BUILD - more workers than CPUs: fork and join with twice as many workers as the machine, an affinity or a quota has
CPUs for, beside the number that fits, for yoke and for its peers, all in turns in one run. The problems are those of forks.h,
which check their answers. A quota needs a cgroup, so root; without one that part is left out, and the output says so."""
import os
import statistics
import subprocess
import sys
import time

BUILD = sys.argv[1]
PROBLEMS = ("queens", "uts-t3")
LEAST = 300  # ms that one measurement takes: some periods of a quota
RUNTIMES = ("yoke", "libgomp", "oneTBB")
ROUNDS = max(1, int(os.environ.get("BENCH_ROUNDS", "3")))
GROUP = f"yoke-bench-{os.getpid()}"


class Quota:
    """A cgroup of one CPU's time, of version 2 or 1."""
    PERIOD = 100000

    def __init__(self):
        self.path = None
        for root, name, text in (("/sys/fs/cgroup", "cpu.max", f"{self.PERIOD} {self.PERIOD}"),
                                 ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", str(self.PERIOD))):
            path = os.path.join(root, GROUP)
            try:
                if not os.path.exists(os.path.join(root, "cgroup.procs")):
                    continue  # not a cgroup
                os.mkdir(path)
                self.path = path
                with open(os.path.join(path, name), "w", encoding="ascii") as f:
                    f.write(text)
                return
            except OSError:
                self.close()

    def enter(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(os.getpid()))

    def close(self):
        for _ in range(100):  # the last process may still be on its way out
            try:
                if self.path:
                    os.rmdir(self.path)
                self.path = None
                return
            except OSError:
                time.sleep(0.05)


class Peer:
    def __init__(self, runtime, threads, prepare):
        program = os.path.join(BUILD, "bench", f"peer-{runtime}")
        self.process = subprocess.Popen([program, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=prepare, env=dict(os.environ, OMP_STACKSIZE="64M"))

    def solve(self, problem):
        """ms, wall clock, for one time."""
        total = count = 0
        while total < LEAST:
            self.process.stdin.write(problem + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer:
                sys.exit(f"{self.process.args}: no answer to {problem}")
            total += float(answer) / 1e6
            count += 1
        return total / count

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"{self.process.args}: exit {self.process.returncode}")


def row(name, values, unit):
    print(f"{name:<56} {min(values):10.2f} {statistics.median(values):10.2f} {max(values):10.2f} {unit}", flush=True)


def scene(title, ideal, many, prepare=None):
    """Each runtime with `ideal` workers and with `many`."""
    print(f"\n{title:<56} {'min':>10} {'median':>10} {'max':>10}")
    peers = {(r, n): Peer(r, n, prepare) for r in RUNTIMES for n in (ideal, many)}
    try:
        compare(peers, ideal, many)
    finally:
        for peer in peers.values():
            peer.close()


def compare(peers, ideal, many):
    for problem in PROBLEMS:
        took = {key: [] for key in peers}
        for _ in range(ROUNDS):
            for key, peer in peers.items():
                time.sleep(0.15)  # until the threads of the one before sleep, and a quota is whole again
                took[key].append(peer.solve(problem))
        for runtime in RUNTIMES:
            for n in (ideal, many):
                row(f"{problem}, {runtime}, {n}", took[runtime, n], "ms")
            ratios = [m / i for i, m in zip(took[runtime, ideal], took[runtime, many])]
            row(f"  {runtime}, {many} / {ideal} workers", ratios,
                "x   (goal: <= 1.15)" if runtime == "yoke" else "x")


def main():
    cpus = sorted(os.sched_getaffinity(0))
    scene("twice as many workers as CPUs", len(cpus), 2 * len(cpus))
    scene("2 workers on one CPU", 1, 2, lambda: os.sched_setaffinity(0, cpus[:1]))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in cpus]
    try:
        scene("twice as many workers as CPUs, and others use them", len(cpus), 2 * len(cpus))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    quota = Quota()
    if quota.path:
        try:
            scene("2 workers, a quota of one CPU", 1, 2, quota.enter)
        finally:
            quota.close()
    else:
        print("\n2 workers, a quota of one CPU: left out, no cgroup can be made here")


main()
