"""`yoke map` killed, interrupted and cut off: resuming after kill -9 at random moments, every signal once and
twice, readers that go away. Whatever happens, the log, the output and the exit code agree."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
TASKS = os.path.join(FOLDER, "map_tasks.c")
shutil.copy(os.path.join(SOURCE, "tests", "tools", "map_tasks.c"), TASKS)
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(1, 1 << 30)
random.seed(SEED)
print(f"# TEST_SEED={SEED}", file=sys.stderr)  # stdout begins with the version of TAP


def path(name):
    return os.path.join(FOLDER, name)


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def start(task, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **more):
    return subprocess.Popen([YOKE, "map", f"{TASKS}:{task}", *words], stdin=stdin, stdout=stdout,
                            stderr=subprocess.PIPE, **more)


def log_rows(name):
    """Whole rows of a job log: (Seq, Exitval, Signal)."""
    if not os.path.exists(path(name)):
        return []
    with open(path(name), newline="\n") as f:
        lines = f.read().split("\n")
    return [(int(c[0]), c[6], c[7]) for c in (line.split("\t", 8) for line in lines[1:-1])]


def start_rows(name, least):
    """Waits until the log has so many rows."""
    end = time.monotonic() + 300
    while len(log_rows(name)) < least:
        check(time.monotonic() < end, f"no {least} rows")
        time.sleep(0.005)


# ---- Resuming ----

def killed_and_resumed(on, moments, *words):
    """Runs until it ends by itself, killed at random moments before; each run's output in a file of its own."""
    total = 3000
    source = write("records", "".join(f'"{i}-é\\n"\n' for i in range(1, total + 1)))
    log = path("killed.log")
    if os.path.exists(log):
        os.remove(log)
    printed, runs, kills = {}, 0, 0
    while True:
        out, before = path("killed.out"), {row[0] for row in log_rows("killed.log")}
        with open(out, "wb") as sink:
            child = start("echo", "--on", on, "--joblog", log, "--resume", *words, "--input", "json", "-a", source,
                          stdout=sink)
            if kills < moments:
                time.sleep(random.uniform(0, 0.025))
                if child.poll() is None:
                    child.kill()
                kills += 1
        _, err = child.communicate(timeout=300)
        runs += 1
        check(child.returncode in (0, -9), err)
        with open(out, "rb") as f:
            lines = f.read().split(b"\n")
        if child.returncode == 0:
            equal(lines[-1], b"")
        after = {row[0] for row in log_rows("killed.log")}
        check(before <= after, "a row has vanished")
        found = set()
        for line in lines[:-1]:  # the last one is whole only when it ends with a newline
            number = int(json.loads(line).split("-")[0])
            equal(json.loads(line), f"{number}-é\n")
            check(number not in found, f"{number} twice in one run of {len(lines)} lines, status {child.returncode}, "
                  f"{len(before)} rows before: {lines[max(0, len(found) - 3):len(found) + 3]}")
            check(number not in before, f"{number} was in the log")
            found.add(number)
        check(after - before <= found, f"rows without a line: {sorted(after - before - found)[:5]}")
        for number in found & (after - before):
            check(number not in printed, f"{number} was counted twice")
            printed[number] = runs
        if child.returncode == 0:
            break
    # By the log, each record has exactly one result over all the runs.
    equal(sorted(printed), list(range(1, total + 1)))
    numbers = [row[0] for row in log_rows("killed.log")]
    equal(sorted(numbers), list(range(1, total + 1)))
    more = start("echo", "--on", on, "--joblog", log, "--resume", "--input", "json", "-a", source)
    equal(more.communicate(timeout=300)[0], b"")


@test
def resumed_after_kills_in_processes():
    killed_and_resumed("processes:2", 20)


@test
def resumed_after_kills_in_threads():
    killed_and_resumed("threads:2", 20)


@test
def resumed_after_kills_inline_and_unordered():
    killed_and_resumed("inline", 10)
    killed_and_resumed("threads:2", 10, "--unordered")


@test
def resumed_after_a_cut_anywhere():
    """A log cut after any of its bytes is resumed: what it lacks is run again, and then it is whole."""
    source = write("few", "".join(f"[{i},0,0]\n" for i in range(1, 6)))
    command = [YOKE, "map", f"{TASKS}:add3", "--on", "inline", "--joblog", path("cut.log"), "--resume", "-a", source]
    subprocess.run(command, check=True, capture_output=True)
    whole = open(path("cut.log"), "rb").read()
    for cut in range(0, len(whole) + 1, 7):
        with open(path("cut.log"), "wb") as f:
            f.write(whole[:cut])
        had = max(0, whole[:cut].count(b"\n") - 1)
        done = subprocess.run(command, capture_output=True)
        equal((done.returncode, done.stdout), (0, b"".join(b"%d.0\n" % i for i in range(had + 1, 6))))
        equal([row[0] for row in log_rows("cut.log")], [1, 2, 3, 4, 5])


# ---- Signals ----

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def said(child, part):
    """What the command says on stderr, up to and with that part."""
    text = b""
    while part.encode() not in text:
        chunk = os.read(child.stderr.fileno(), 4096)
        check(chunk, f"{text!r} ends without {part!r}")
        text += chunk
    return text.decode()


def interrupted(on, numbers):
    """Ten records on two workers, all but the first of which wait at a gate; the first signal comes when the first record is
    in the log and another one runs, each further one when the one before has been answered. A single one opens the gate."""
    log, began, gate = path("signals.log"), path("signals.began"), path("signals.gate")
    for name in (log, began, gate):
        if os.path.exists(name):
            os.remove(name)
    child = start("holds", "--on", on, "--joblog", log, "--summary", ":::", '["","/",0]', *[json.dumps([began, gate, 700])] * 9)
    # The first result waits for others to be written with it, but not for long.
    start_rows("signals.log", 1)
    while not os.path.exists(began):
        time.sleep(0.005)
    child.send_signal(numbers[0])
    err = said(child, "finishing what runs")
    for number in numbers[1:]:
        child.send_signal(number)
    if len(numbers) == 1:
        write("signals.gate", "")
    out, rest = child.communicate(timeout=300)
    return child.returncode, out.decode(), err + rest.decode()


@test
def the_first_signal_finishes_what_runs():
    for number in (signal.SIGINT, signal.SIGHUP):
        for on in ("threads:2", "processes:2"):
            status, out, err = interrupted(on, [number])
            equal(status, 130)
            has(err, "finishing what runs")
            rows = log_rows("signals.log")
            equal(out, "0\n" + "700\n" * (len(rows) - 1))
            check(2 <= len(rows) <= 3, rows)
            check(all(row[1:] == ("0", "0") for row in rows), rows)
            summary = json.loads(err.strip().split("\n")[-1])
            equal((summary["ok"], summary["stopped"]), (len(rows), "interrupted"))
            equal(summary["records"], summary["ok"] + summary["cancelled"])


@test
def any_two_signals_stop_now():
    for on in ("threads:2", "processes:2"):
        for first in (signal.SIGINT, signal.SIGHUP):
            second = random.choice(SIGNALS)
            status, out, err = interrupted(on, [first, second])
            equal((status, out), (130, "0\n"))
            equal([row[0] for row in log_rows("signals.log")], [1])


@test
def an_interrupted_run_is_resumed():
    log = path("again.log")
    words = ["--on", "processes:2", "--joblog", log, "--resume", ":::", *[f"{i}" for i in range(100, 112)]]
    collected = []
    for _ in range(30):
        had = len(log_rows("again.log"))
        child = start("nap", *words)
        while child.poll() is None and len(log_rows("again.log")) == had:
            time.sleep(0.005)
        number = random.choice(SIGNALS)
        if child.poll() is None:
            child.send_signal(number)
        out, err = child.communicate(timeout=300)
        collected += out.decode().split()
        # One that comes when all is over, and only the process has yet to end, ends it as it does any process.
        over = child.returncode == -number and len(log_rows("again.log")) == 12
        if child.returncode == 0 or over:
            break
        equal(child.returncode, 130)
    done = subprocess.run([YOKE, "map", f"{TASKS}:nap", *words], capture_output=True, timeout=300)
    equal((done.returncode, done.stdout), (0, b""))
    equal(sorted(collected), [str(i) for i in range(100, 112)])  # SIGTERM leaves gaps


@test
def a_reader_that_goes_away():
    """SIGPIPE does not kill it: the log is left right, and the exit code tells."""
    for on in ("inline", "threads:2", "processes:2"):
        log = path("pipe.log")
        if os.path.exists(log):
            os.remove(log)
        source = write("pipe", "".join(f'"{i} {"x" * 500}"\n' for i in range(1, 5001)))
        child = start("echo", "--on", on, "--joblog", log, "--input", "json", "-a", source)
        first = child.stdout.readline()
        has(first.decode(), '"1 x')
        child.stdout.close()
        err = child.stderr.read().decode()
        equal(child.wait(timeout=300), 1)
        has(err, "cannot write results")
        check(len(log_rows("pipe.log")) < 5000, "all rows, though not all could be written")


@test
def an_error_reader_that_goes_away():
    """Errors that nobody reads are no reason to stop."""
    ends = os.pipe()
    os.close(ends[0])
    done = subprocess.run([YOKE, "map", f"{TASKS}:nap", "--on", "inline", ":::", "13", "1", "13", "2"],
                          stdout=subprocess.PIPE, stderr=ends[1], timeout=300)
    os.close(ends[1])
    equal((done.returncode, done.stdout), (1, b"1\n2\n"))


@test
def a_dry_run_that_cannot_be_written():
    for n in (1, 20000):  # one piece, and several
        source = write("dry", "1\n" * n)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([YOKE, "map", f"{TASKS}:nap", "--dry-run", "-a", source], stdout=full,
                                  stderr=subprocess.PIPE, timeout=300)
        equal(done.returncode, 1)
        equal(done.stderr, b"yoke: cannot write results: No space left on device\n")


main()
