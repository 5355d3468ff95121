#!/usr/bin/env python3
"""gpu.py BUILD - kernels and primitives on the devices that are there, in turns with peers: on an OpenCL device C with OpenMP and
PyOpenCL, on a CUDA device CuPy, each where it is installed, and what the memory could do at best. YOKE_DEVICE names one device;
BENCH_LOG2N the number of elements (24 on a CPU, 28 on a GPU)."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = max(1, int(os.environ.get("BENCH_ROUNDS", "5")))
BYTES = {"copy": 8, "axpy": 12, "triad": 12, "exp": 8, "sum": 4, "scan": 8}
# Goals beside OpenMP with OpenCL (on the CPU itself all are 1) and beside PyOpenCL, and of the memory's peak on a GPU.
OPENMP = {"copy": 0.9, "axpy": 0.9, "triad": 0.9, "exp": 0.9, "sum": 0.8, "scan": 0.6}
PEERS = ("triad", "sum", "scan", "sort", "matmul")  # what they can do
PYOPENCL = {"triad": 20, "sum": 1.5, "scan": 5, "sort": 20}
PEAK = {"copy": 0.90, "axpy": 0.90, "triad": 0.90, "exp": 0.90, "sum": 0.90, "scan": 0.75}


class Peer:
    """A program that does what a word says, and tells how many nanoseconds that took. None when it cannot."""
    def __init__(self, words, env=None):
        self.words, self.log2n = words, int(words[-1])
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})
        self.name = self.process.stdout.readline().strip()

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.words}: no answer to {word}: {self.process.stderr.read()[-2000:]}")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f"{self.words}: exit {self.process.returncode}: {self.process.stderr.read()[-2000:]}")


class Inside:
    """OpenMP in the program of another peer, over the same memory: where arrays lie makes 5 % and more."""
    def __init__(self, peer):
        self.peer, self.log2n, self.name = peer, peer.log2n, "OpenMP"

    def ask(self, word):
        time.sleep(0.02)  # its threads spin for a while after
        took = self.peer.ask("omp " + word)
        time.sleep(0.02)
        return took

    def close(self):
        pass


def row(name, values, unit):
    print(f"{name:<60} {min(values):11.3f} {statistics.median(values):11.3f} {max(values):11.3f} {unit}", flush=True)


def head(title):
    print(f"\n{title:<60} {'min':>11} {'median':>11} {'max':>11}")


def in_turns(peers, word, *after):
    """What each peer took for word, a value a round; and yoke for the words after it."""
    asked = [(name, peer, word) for name, peer in peers.items()] + [(more, peers["yoke"], more) for more in after]
    took = {name: [] for name, _, _ in asked}
    for _, peer, what in asked:
        peer.ask(what) # the first time compiles
    for _ in range(ROUNDS):
        for name, peer, what in asked:
            took[name].append(peer.ask(what))
    return took


def ratio(name, above, below, goal):
    row(name, [a / b for a, b in zip(above, below)], f"x   (goal: {goal})")


def measure(word, peers, log2n, device):
    peers = {name: p for name, p in peers.items() if word in PEERS or name in ("yoke", "OpenMP")}
    took = in_turns(peers, word)
    for name, values in took.items(): # one with fewer elements, in proportion
        took[name] = [v * 2.0 ** (log2n - peers[name].log2n) for v in values]
    head(f"{word} of " + ("4096 x 4096 floats" if word == "matmul" else f"2^{log2n}") + f", {device['uri']}")
    for name, values in took.items():
        row(name, [v / 1e6 for v in values], "ms")
    ours = took["yoke"]
    if word == "sort":
        row("  keys a second, yoke", [2.0 ** log2n / v * 1e3 for v in ours],
            "M" + ("" if device["is_gpu"] else "   (goal: >= 30)"))
    if word == "matmul":
        row("  operations a second, yoke", [2 * 4096 ** 3 / v for v in ours], "G")
    if word in BYTES and device["bandwidth"]:
        row("  of the memory's peak, yoke", [BYTES[word] * 2.0 ** log2n / v * 1e9 / device["bandwidth"] for v in ours],
            f"    (goal: >= {PEAK[word]})")
    for name, values in took.items():
        if name == "OpenMP":
            goal = 1 if device["driver"] == "cpu" else OPENMP.get(word)
            ratio("  OpenMP / yoke", values, ours, f">= {goal}" if goal else "none")
        elif name.startswith("PyOpenCL"):
            ratio("  PyOpenCL / yoke", values, ours, f">= {PYOPENCL[word]}")
        elif name.startswith(("CuPy", "NumPy")):
            ratio(f"  {name.split()[0]} / yoke", values, ours, ">= 1" if name.startswith("CuPy") else "none")


def measure_launch(peers, device):
    asked = {name: p for name, p in peers.items() if name != "OpenMP"}
    took = in_turns(asked, "launch", "raw", "set")
    raw, set_too = took.pop("raw"), took.pop("set")
    head(f"the host's cost of a launch with 4 arguments, {device['uri']}")
    for name, values in took.items():
        row(name, [v / 1e3 for v in values], "us")
    row("the driver's calls, arguments and launch", [v / 1e3 for v in set_too], "us")
    row("  yoke over that", [(a - b) / 1e3 for a, b in zip(took["yoke"], set_too)], "us   (goal: <= 0.3)")
    row("the driver's call for the launch alone", [v / 1e3 for v in raw], "us")
    row("  yoke over that", [(a - b) / 1e3 for a, b in zip(took["yoke"], raw)], "us")


def measure_graph(yoke, device):
    took = {word: in_turns({"yoke": yoke}, word)["yoke"] for word in ("stepsput", "replaysput", "steps", "replays")}
    head(f"one of 100 small launches in a row, {device['uri']}")
    for word, name in (("stepsput", "the host's cost, one by one"), ("replaysput", "the host's cost, recorded and replayed"),
                       ("steps", "until it is done, one by one"), ("replays", "until it is done, recorded and replayed")):
        row(name, [v / 1e3 for v in took[word]], "us")
    ratio("  one by one / replayed, the host's cost", took["stepsput"], took["replaysput"], "> 1")
    ratio("  one by one / replayed, until it is done", took["steps"], took["replays"], ">= 1")


def measure_jobs(yoke, device):
    took = in_turns({"yoke": yoke}, "jobs")["yoke"]
    head(f"one of 1000 small kernels as jobs of an executor, {device['uri']}")
    row("from its submission until all have ended", [v / 1e3 for v in took], "us")


def measure_link(yoke, device):
    words = {"up": "both arrays up", "down": "the result down", "both": "both ways at once, nothing worked on",
             "over": "yoke_launch(): up, worked on, down", "pageable": "the same from memory that is not pinned"}
    words.update({word: word for word in os.environ.get("BENCH_PIECES", "").split()}) # over4 over16 ...: in MiB
    took = {word: in_turns({"yoke": yoke}, word)["yoke"] for word in words}
    head(f"a triad over pinned memory of the host, {device['uri']}")
    for word, name in words.items():
        row(name, [v / 1e6 for v in took[word]], "ms")
    slowest = [max(u, d) for u, d in zip(took["up"], took["down"])]
    ratio("  over the slowest leg", took["over"], slowest, "<= 1.1")


def measure_first(device):
    took = {"empty": [], "cached": []}
    for _ in range(ROUNDS):
        folder = tempfile.mkdtemp(prefix="yoke-bench-")
        for which in took:
            peer = Peer([os.path.join(BUILD, "bench", "gpu", "gpu-yoke"), device["uri"], "20"],
                        {"YOKE_CACHE_DIR": folder, "XDG_CACHE_HOME": folder, "CUDA_CACHE_DISABLE": "1"})
            took[which].append(peer.ask("first"))
            peer.close()
        shutil.rmtree(folder)
    head(f"the first kernel of a process, {device['uri']}")
    row("from its source, cache empty", [v / 1e6 for v in took["empty"]], "ms" + "   (goal on CUDA: <= 150)")
    row("from the cache", [v / 1e6 for v in took["cached"]], "ms" + "   (goal on CUDA: <= 3)")


def measure_matmul(peers, log2n, device):
    """Beside CuPy, and on a CPU beside NumPy, which calls the best BLAS that is installed."""
    asked = {name: p for name, p in peers.items() if name.startswith(("yoke", "CuPy"))}
    if not device["is_gpu"]:
        numpy = Peer(["/usr/bin/python3", os.path.join(HERE, "peer.py"), "numpy", str(log2n)])
        asked[numpy.name] = numpy
    measure("matmul", asked, log2n, device)
    if not device["is_gpu"]:
        numpy.close()


def devices():
    """The devices worth a measurement."""
    done = subprocess.run([os.path.join(BUILD, "bench", "gpu", "gpu-devices")], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def installed(python, which):
    return subprocess.run([python, "-c", f"import {which}"], capture_output=True).returncode == 0


def main():
    for device in devices():
        log2n = int(os.environ.get("BENCH_LOG2N", "28" if device["is_gpu"] else "24"))
        peers = {"yoke": Peer([os.path.join(BUILD, "bench", "gpu", "gpu-yoke"), device["uri"], str(log2n)])}
        print(f"\n{device['uri']}: {device['name']}")
        if device["driver"] == "cpu":
            peers["OpenMP"] = Inside(peers["yoke"])
        elif not device["is_gpu"]:
            peers["OpenMP"] = Peer([os.path.join(BUILD, "bench", "gpu", "gpu-omp"), str(log2n)])
        for driver, which in (("opencl", "pyopencl"), ("cuda", "cupy")):
            if device["driver"] != driver:
                continue
            python = next((p for p in ("python3", "/usr/bin/python3") if installed(p, which)), None)
            if python:
                peer = Peer([python, os.path.join(HERE, "peer.py"), which, str(log2n)])
                peers[peer.name] = peer
        for word in ("copy", "axpy", "triad", "exp", "sum", "scan"):
            measure(word, peers, log2n, device)
        for name in list(peers): # whose sort takes half a minute for 2^24 on two CPUs
            if name.startswith("PyOpenCL") and log2n > 20:
                peers[name].close()
                peers[name] = Peer(peers[name].words[:-1] + ["20"])
        measure("sort", peers, log2n, device)
        if log2n >= 24:
            measure_matmul(peers, log2n, device)
        measure_graph(peers["yoke"], device)
        if device["driver"] != "cpu":
            measure_launch(peers, device)
            measure_jobs(peers["yoke"], device)
            measure_link(peers["yoke"], device)
            measure_first(device)
        for peer in peers.values():
            peer.close()


main()
