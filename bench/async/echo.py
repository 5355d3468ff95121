#!/usr/bin/env python3
"""echo.py BUILD - what an echo of 64 bytes costs a server, in CPU time, with 1, 64 and 1000 connections: yoke beside the raw
servers, which are the floor, and beside libuv, Go, uvloop and asyncio where they are installed, in turns in one run; then with
connections that are made anew for each echo. The server has a CPU of its own, echo_load another, and checks every answer. At the
end, what 1000 connections cost that say nothing: wake-ups, CPU time and memory.
BENCH_ROUNDS is the number of turns, BENCH_SECONDS how long a server works in one; BENCH_SERVERS, a pattern, names those that
take part."""
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

PROGRAMS = os.path.join(sys.argv[1], "bench", "async")
HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = max(1, int(os.environ.get("BENCH_ROUNDS", "5")))
SLICES = 4  # of a turn: in short ones, what else the machine does meets all servers alike
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.4"))
CPUS = sorted(os.sched_getaffinity(0))
CROWD = 1000
IDLE = 5  # s


class Server:
    def __init__(self, name, words, floor=None, env=None):
        self.name, self.floor = name, floor
        self.forget()
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})},
                                        preexec_fn=lambda: os.sched_setaffinity(0, CPUS[:1]))
        line = self.process.stdout.readline().split()
        self.port = int(line[1]) if line[:1] == ["port"] else None

    def slice(self, connections, each):
        """Requests, seconds, ns of the server's CPU time, and the 99th percentile of the time of a request in ns."""
        words = [os.path.join(PROGRAMS, "echo_load"), self.process.pid, self.port, connections, SECONDS / SLICES, each]
        done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60,
                              preexec_fn=lambda: os.sched_setaffinity(0, CPUS[-1:]))
        if done.returncode != 0:
            sys.exit(f"{self.name}: the load failed")
        requests, seconds, cpu, _, p99 = (float(word) for word in done.stdout.split())
        self.slices.append((requests, seconds, cpu, p99))

    def end_turn(self):
        requests, seconds, cpu, _ = (sum(column) for column in zip(*self.slices))
        self.cpu.append(cpu / requests / 1e3)
        self.rate.append(requests / seconds)
        self.p99.append(max(s[3] for s in self.slices) / 1e3)
        self.slices = []

    def forget(self):
        self.cpu, self.rate, self.p99 = [], [], []  # of the turns: us a request, requests a second, us
        self.slices = []

    def status(self):
        """Of all its threads: how often they went to sleep, and ns on a CPU; and KiB of memory."""
        woken = ran = 0
        folder = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/status", encoding="ascii") as f:
                text = f.read()
            woken += int(re.search(r"(?m)^voluntary_ctxt_switches:\s*(\d+)", text)[1])
            with open(f"{folder}/{thread}/schedstat", encoding="ascii") as f:
                ran += int(f.read().split()[0])
        return woken, ran, int(re.search(r"VmRSS:\s*(\d+)", text)[1])

    def close(self):
        self.process.kill()
        self.process.wait()


def python_with(module):
    for python in ("python3", "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return python
    return None


def contenders():
    def program(name):
        return os.path.join(PROGRAMS, name)
    script = os.path.join(HERE, "echo_python.py")
    # asyncio takes 256 KiB for each read, which glibc maps and unmaps each time until it has freed one whole: that is when the
    # first connection ends. From then on it is four times as fast; this way it is from the start.
    keep = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
    yield "raw epoll", [program("echo_epoll")], None, None
    yield "raw io_uring", [program("echo_uring")], None, None
    for backend in ("epoll", "io_uring"):
        yield f"yoke, {backend}", [program("echo_yoke")], f"raw {backend}", {"YOKE_ASYNC_BACKEND": backend}
    yield "libuv", [program("echo_libuv")], "raw epoll", None
    yield "Go", [program("echo_go")], "raw epoll", {"GOMAXPROCS": "1"}
    python = python_with("uvloop")
    if python:
        yield "uvloop, protocol", [python, script, "uvloop", "protocol"], "raw epoll", None
    python = python or python_with("asyncio")
    for name, env in (("protocol", None), ("protocol, malloc keeps", keep), ("streams", None)):
        yield f"asyncio, {name}", [python, script, "asyncio", name.split(",")[0]], "raw epoll", env


def started():
    servers = []
    for name, words, floor, env in contenders():
        if not shutil.which(words[0]) or not re.search(os.environ.get("BENCH_SERVERS", ""), name):
            continue
        server = Server(name, words, floor, env)
        if server.port:
            servers.append(server)
        elif server.process.wait() != 0 and name.startswith(("raw epoll", "yoke, epoll")):
            sys.exit(f"{name}: it did not start")
        else:
            print(f"{name}: left out, it did not start")
    return servers


def row(name, values, unit):
    print(f"{name:<60} {min(values):11.3f} {statistics.median(values):11.3f} {max(values):11.3f} {unit}", flush=True)


def head(title):
    print(f"\n{title:<60} {'min':>11} {'median':>11} {'max':>11}")


def measure(servers, connections, each=0):
    """`each` is the number of requests of a connection, 0: it stays."""
    for server in servers:
        server.forget()
    for _ in range(ROUNDS):
        for _ in range(SLICES):
            for server in servers:
                server.slice(connections, each)
        for server in servers:
            server.end_turn()
    by_name = {server.name: server for server in servers}
    several = f"{connections} connection{'s' if connections > 1 else ''}{', each new' if each else ''}"
    head(f"the server's CPU time for an echo, {several}")
    for server in servers:
        row(server.name, server.cpu, "us")
    for server in servers:
        if server.floor in by_name:
            row(f"  {server.name} / {server.floor}", [a / b for a, b in zip(server.cpu, by_name[server.floor].cpu)],
                "x" + ("   (goal: <= 1.05)" if server.name.startswith("yoke") else ""))
    for server in servers:
        row(f"  requests a second, {server.name}", [v / 1e3 for v in server.rate], "k")
    for server in servers:
        row(f"  99 of 100 answered within, {server.name}", server.p99, "us")


def crowd(server):
    """Connections that have each been answered once."""
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CROWD)]
    for number, s in enumerate(sockets):
        s.sendall(number.to_bytes(64, "big"))
    for number, s in enumerate(sockets):
        if s.recv(64, socket.MSG_WAITALL) != number.to_bytes(64, "big"):
            sys.exit(f"{server.name}: other bytes came back")
    return sockets


def measure_idle(before):
    """All at once: whoever sleeps disturbs nobody."""
    servers = started()
    bare = [server.status() for server in servers]
    sockets = [crowd(server) for server in servers]
    time.sleep(1)
    calm = [server.status() for server in servers]
    time.sleep(IDLE)
    after = [server.status() for server in servers]
    print(f"\n{f'{CROWD} connections that say nothing for {IDLE} s':<60} {'wake-ups':>11} {'CPU us':>11} {'KiB each':>11}")
    for server, b, c, a in zip(servers, bare, calm, after):
        goal = "(goal: 0 wake-ups)" if server.name.startswith("yoke") else ""
        print(f"{server.name:<60} {a[0] - c[0]:11d} {(a[1] - c[1]) / 1e3:11.3f} {(c[2] - b[2]) / CROWD:11.3f} {goal}".rstrip())
    for several in sockets:
        for s in several:
            s.close()
    for server in servers + before:
        server.close()


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if len(CPUS) < 2:
        print("one CPU for the server and the load: they get in each other's way")
    servers = started()
    for connections in (1, 64, CROWD):
        measure(servers, connections)
    measure(servers, 64, each=1)
    measure_idle(servers)


main()
