"""The command `yoke map`, from outside: every option, bad input, order, resuming, interrupts, bounds."""
import json
import os
import pty
import random
import re
import resource
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
SANITIZED = "address" in os.environ.get("YOKE_SANITIZE", "")
EXECUTORS = ["inline", "threads", "processes"]
HEADER = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"


def path(name):
    return os.path.join(FOLDER, name)


def yoke(task, *words, stdin="", **more):
    """Runs yoke map on a task; returns status, stdout, stderr. stdin is text or bytes."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run([YOKE, "map", f"{TASKS}:{task}", *words], input=data, capture_output=True, timeout=300, **more)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def start(task, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more):
    return subprocess.Popen([YOKE, "map", f"{TASKS}:{task}", *words], stdin=stdin, stdout=stdout,
                            stderr=subprocess.PIPE, **more)


def comes(condition, what):
    """Waits until it holds: as long as it takes on a busy machine, but not for ever."""
    end = time.monotonic() + 300
    while not condition():
        check(time.monotonic() < end, what)
        time.sleep(0.01)


def said(child, part):
    """What the command says on stderr, up to and with that part."""
    text = b""
    while part.encode() not in text:
        chunk = os.read(child.stderr.fileno(), 4096)
        check(chunk, f"{text!r} ends without {part!r}")
        text += chunk
    return text.decode()


def rows(name):
    """The rows of a job log as lists of columns."""
    with open(path(name), newline="\n") as f:
        lines = f.read().split("\n")
    equal(lines[0], HEADER)
    equal(lines[-1], "")
    return [line.split("\t", 8) for line in lines[1:-1]]


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


# ---- Records ----

@test
def json_records_on_every_executor():
    for on in EXECUTORS:
        equal(yoke("add3", "--on", on, stdin='[1,2,3]\n{"b":2,"a":1}\n  [ 0.5 , 0, 1 ] \r\n{"n":-1,"a":0,"b":0}'),
              (0, "6\n4\n1.5\n-1\n".replace("6\n", yoke("add3", ":::", "[1,2,3]")[1]).replace("4\n", yoke("add3",
                                                                                                          ":::", "[1,2]")[1])
               .replace("-1\n", yoke("add3", ":::", "[0,0,-1]")[1]), ""))


@test
def bare_values():
    equal(yoke("nap", stdin="5\n 1 \n[2]\n{\"ms\":3}\n"), (0, "5\n1\n2\n3\n", ""))


@test
def text_records():
    records = ["plain", "", " two  words ", '"quoted"', '["json"]', '{"text":"by name"}', "[]", "{}", "[1]",
               '["a","b"]', "[broken",
               '{"other":"x"}', "tab\there", "back\\slash", "carriage\r", "naïve ☃"]
    meant = records[:4] + ["json", "by name"] + records[6:]
    for on in EXECUTORS:
        status, out, err = yoke("echo", "--on", on, stdin="\n".join(records) + "\n")
        equal([json.loads(line) for line in out.split("\n")[:-1]], meant)
        equal((status, err), (0, ""))


@test
def json_that_a_task_of_one_string_cannot_be_given():
    """What is JSON by its grammar is never taken as text; what only begins like it is."""
    refused = {'["a\\u0000b"]': "\\u0000 in a string", ' [ "\\ud800" ] ': "half of a surrogate pair",
               '{"text":"\\u0000"}': "\\u0000 in a string", '{ "text" : "\\udc00\\"x" }\r': "half of a surrogate pair"}
    text = ['["a\\u0000b"', '["a\\u0000b"] x', '["a\\u0000","b"]', '["\\u00"]', '["\\q\\u0000"]', '{"texts":"\\u0000"}',
            '{"text":"\\u0000","x":1}', '{"text" "\\u0000"}', '{"text":1}', '["tab\t\\u0000"]', '["', '["\\', '["\\u', '{"text"',
            '{"text":', '{"text":"', '["\\u0000"}', '{"text":"\\u0000"]', '["\\u000g"]']
    for on in EXECUTORS:
        status, out, err = yoke("echo", "--on", on, stdin="\n".join([*refused, *text]) + "\n")
        equal((status, [json.loads(line) for line in out.split("\n")[:-1]]), (1, text))
        lines = err.split("\n")[:-1]
        equal(len(lines), len(refused))
        for n, (line, why) in enumerate(zip(lines, refused.values()), 1):
            check(line.startswith(f'yoke: record {n}: argument 1 "text" of echo: ') and why in line, line)
    equal(yoke("echo", "--input", "text", ":::", '["\\u0000"]')[:2], (0, '"[\\"\\\\u0000\\"]"\n'))
    equal(yoke("length", ":::", '["a\\u0000b"]'), (0, "3\n", ""))  # yoke_str may hold a NUL
    equal(yoke("length", stdin=b'["\\u0000\xff"]\n'), (0, "11\n", ""))  # no JSON, but it may be a file's name
    status, out, err = run([YOKE, "run", f"{TASKS}:echo", '["\\u0000"]'])
    equal((status, out), (2, ""))
    has(err, 'argument 1 "text" of echo: \\u0000 in a string')
    equal(run([YOKE, "run", f"{TASKS}:echo", 'text=["\\u0000"]'])[:2], (0, '"[\\"\\\\u0000\\"]"\n'))


@test
def lone_values_for_several_parameters():
    equal(yoke("power", ":::", "[4]", '{"x":4}', "[4,3]"), (0, "16.0\n16.0\n64.0\n", ""))
    for record, got in (("4", "4 (write [4])"), (" true ", "true (write [true])"), ("4 5", "4"), ("four", "four")):
        status, out, err = yoke("power", ":::", record)
        equal((status, out), (1, ""))
        has(err, f"yoke: record 1: arguments of power: expected an array or an object, got {got} at byte ")
    has(yoke("add3", ":::", "4")[2], "got 4 (write [4, ...]) at byte 1")


@test
def options_too_late():
    """They are records, and that is said once, whatever becomes of them."""
    hint = "yoke: --on is a record, as all that follows :::; options go before it\n"
    equal(yoke("echo", ":::", "a", "--on", "inline", "-q"), (0, '"a"\n"--on"\n"inline"\n"-q"\n', hint))
    equal(yoke("echo", ":::", "-", "--", "-0", "--onn", "on"), (0, '"-"\n"--"\n"-0"\n"--onn"\n"on"\n', ""))
    equal(yoke("echo", "-q", ":::", "--on=inline"), (0, '"--on=inline"\n', ""))
    equal(yoke("echo", stdin="--on\n"), (0, '"--on"\n', ""))
    status, out, err = yoke("nap", ":::", "1", "--jobs=4")
    equal((status, out, err.splitlines()[0]),
          (1, "1\n", "yoke: --jobs is a record, as all that follows :::; options go before it"))


@test
def names_that_are_near_and_free():
    for record, word in (('{"X":1}', "x"), ('{"P":1}', "p")):
        has(yoke("power", ":::", record)[2], f'(did you mean "{word}"?)')
    for record in ('{"x":1,"X":2}', '{"q":1}', '{"x":4,"q":1}', '{"p":1,"P":2}'):
        status, out, err = yoke("power", ":::", record)
        equal((status, out), (1, ""))
        has(err, "an argument it does not have at byte")


@test
def input_kinds():
    equal(yoke("echo", "--input", "text", ":::", '["x"]')[1], '"[\\"x\\"]"\n')
    equal(yoke("echo", "--input", "json", ":::", '["x"]', '"y"', '{"text":"z"}')[1], '"x"\n"y"\n"z"\n')
    status, out, err = yoke("echo", "--input=json", ":::", "x")
    equal((status, out), (1, ""))
    has(err, "yoke: record 1: ")
    status, out, err = yoke("add3", "--input", "text", ":::", "x")
    equal((status, out), (2, ""))
    has(err, "needs a task of one string")


@test
def empty_lines_count():
    status, out, err = yoke("nap", stdin="1\n\n2\n\n")
    equal((status, out), (1, "1\n2\n"))
    equal(err, "yoke: record 2: the record is empty\nyoke: record 4: the record is empty\n")
    equal(yoke("length", stdin="\n\nab\n"), (0, "0\n0\n2\n", ""))
    equal(yoke("length", stdin=""), (0, "", ""))


@test
def records_end_with_nul():
    equal(yoke("echo", "-0", stdin="a\nb\0c\0"), (0, '"a\\nb"\n"c"\n', ""))
    equal(yoke("length", "--null", stdin="\n\0\0"), (0, "1\n0\n", ""))


@test
def records_from_files():
    a, b = write("a", "1\n2\n"), write("b", "3")
    equal(yoke("nap", "-a", a, "--arg-file", b), (0, "1\n2\n3\n", ""))
    equal(yoke("nap", "-a", a, "-a", "-", stdin="4\n5"), (0, "1\n2\n4\n5\n", ""))
    os.mkfifo(path("fifo"))
    writer = subprocess.Popen(["sh", "-c", f"echo 7 > {path('fifo')}"])
    equal(yoke("nap", "-a", path("fifo")), (0, "7\n", ""))
    writer.wait()


@test
def malformed_records_fail_alone():
    bad = ["[1,2", "[1,2,]", "nonsense", "[1,2,3,4]", "{\"a\":1}", "{\"a\":1,\"b\":2,\"c\":3}",
           "{\"a\":1,\"a\":1,\"b\":2}", "[1,2,2.5]",
           "[1,2,9223372036854775808]", "[\"1\",2]", "[1,2] x", "[1e999,0]", "[" * 100000, "\ufeff[1,2]"]
    text = "".join(f"[{i},0,0]\n{record}\n" for i, record in enumerate(bad))
    status, out, err = yoke("add3", "--on", "threads", stdin=text)
    equal(status, 1)
    equal([float(line) for line in out.split()], [float(i) for i in range(len(bad))])
    lines = err.split("\n")[:-1]
    equal(len(lines), len(bad))
    for i, line in enumerate(lines):
        check(line.startswith(f"yoke: record {2 * i + 2}: "), line)
        check(len(line) < 500, "a short line")
    has(lines[7], "argument 3 \"n\" of add3")


@test
def hostile_bytes():
    status, out, err = yoke("length", "--on", "threads", stdin=b"ok\n\xff\xfe\n\xc0\x80\nnul\0byte\nok\n")
    check(out.startswith("2\n") and out.endswith("2\n"), out)
    check(status in (0, 1), status)
    status, out, err = yoke("echo", "--on", "threads", stdin=b"a\0b\nok\n")
    equal((status, out), (1, '"ok"\n'))
    has(err, "record 1: ")


@test
def text_that_is_not_utf8():
    """A plain record reaches the task byte for byte; JSON is strict, as input and as output."""
    for on in EXECUTORS:
        equal(yoke("length", "--on", on, stdin=b"a\xffb\n\xc0\x80\xe2\x82\n"), (0, "3\n4\n", ""))
        status, out, err = yoke("echo", "--on", on, stdin=b"a\xffb\nok\n")
        equal((status, out), (1, '"ok"\n'))
        has(err, "yoke: record 1: result of echo: text that is not valid UTF-8 at byte 2")
    status, out, err = yoke("length", "--input", "json", stdin=b'"a\xffb"\n')
    equal((status, out), (1, ""))
    has(err, "not valid UTF-8 (0xff)")
    raw = subprocess.run([YOKE, "run", "--raw", f"{TASKS}:echo", b"a\xffb"], capture_output=True, timeout=300)
    equal((raw.returncode, raw.stdout, raw.stderr), (0, b"a\xffb\n", b""))
    whole = subprocess.run([YOKE, "run", f"{TASKS}:echo", b"a\xffb"], capture_output=True, timeout=300)
    equal((whole.returncode, whole.stdout), (1, b""))
    has(whole.stderr.decode(), "not valid UTF-8 at byte 2")


@test
def a_record_that_is_too_long():
    child = start("length", "--on", "threads", "--joblog", path("long"))
    block = b"x" * (1 << 20)
    child.stdin.write(b"before\n")
    for _ in range(66):
        child.stdin.write(block)
    child.stdin.write(b"\nafter\n")
    out, err = child.communicate()
    equal((child.returncode, out), (1, b"6\n5\n"))
    equal(err, b"yoke: record 2: the record is longer than 64 MiB\n")
    equal([row[6] for row in rows("long")], ["0", "1", "0"])


@test
def results_without_a_value():
    equal(yoke("nothing", ":::", "1", "2")[1], "null\nnull\n")


@test
def what_tasks_print_is_no_result():
    for on in EXECUTORS:
        status, out, err = yoke("chatty", "--on", on, ":::", "0", "1", "2")
        equal((on, status, out), (on, 0, "0\n1\n2\n"))
        for n in range(3):
            has(err, f"for people: {n}\n")
        equal((err.count("from a shell\n"), err.count("cut")), (3, 3))
    status, out, err = yoke("chatty", "--on", "inline", "--summary=-", ":::", "0")
    equal((status, out[:3]), (0, "0\n{"))
    has(err, "for people: 0\n")


@test
def nonfinite_results():
    status, out, err = yoke("root", ":::", "4", "-1", "9")
    equal((status, out.split()), (1, [o for o in yoke("root", ":::", "4", "9")[1].split()]))
    has(err, "yoke: record 2: ")
    status, out, err = yoke("root", "--nonfinite", ":::", "-1", "\"Infinity\"")
    equal((status, err), (0, ""))
    has(out, "NaN")
    has(out, '"Infinity"')


# ---- Order ----

@test
def order_under_random_delays():
    naps = [random.choice([0, 0, 0, 1, 2, 5, 20]) for _ in range(200)]
    for on in ["threads:4", "processes:3"]:
        status, out, err = yoke("nap", "--on", on, stdin="".join(f"{n}\n" for n in naps))
        equal((status, err), (0, ""))
        equal([int(n) for n in out.split()], naps)


@test
def unordered_streams():
    for on in ["threads:2", "processes:2"]:
        gate = path("gate")
        child = start("waits_for", "--unordered", "--on", on, ":::", json.dumps([gate, 1]), '["/", 2]', '["/", 3]',
                      '["/", 13]', '["/", 4]', stdin=subprocess.DEVNULL)
        equal([child.stdout.readline() for _ in range(3)], [b"2\n", b"3\n", b"4\n"])
        write("gate", "")
        out, err = child.communicate()
        os.remove(gate)
        equal((child.returncode, out), (1, b"1\n"))
        has(err.decode(), "yoke: record 4: waits_for: 13 is unlucky (map_tasks.c:")
    status, out, err = yoke("nap", "-u", "--on", "threads:2", stdin="0\n" * 20000)
    equal((status, out.count("\n"), err), (0, 20000, ""))
    equal(yoke("nap", "-u", "--on", "inline", ":::", "2", "1"), (0, "2\n1\n", ""))


@test
def results_come_while_input_is_slow():
    for words in (["--on", "threads"], ["--on", "processes"], ["--on", "processes", "-u"], ["--on", "inline"]):
        child = start("nap", *words)
        for i in range(5):
            child.stdin.write(b"%d\n" % i)
            child.stdin.flush()
            equal(child.stdout.readline(), b"%d\n" % i)  # one that is held back would never come
        child.stdin.close()
        equal(child.wait(), 0)
        child.stdout.close()
        child.stderr.close()


@test
def a_slow_head_holds_back_no_more_than_the_window():
    """The first record takes long; the joblog and the results of the others follow it, and all are there."""
    status, out, err = yoke("nap", "--on", "threads:2", stdin="300\n" + "0\n" * 20000)
    equal((status, err), (0, ""))
    equal(out, "300\n" + "0\n" * 20000)


# ---- Errors ----

@test
def a_failed_record_is_one_line():
    status, out, err = yoke("nap", ":::", "1", "13", "2", "113")
    equal((status, out), (1, "1\n2\n"))
    lines = err.split("\n")
    equal(len(lines), 3)
    check(re.fullmatch(r"yoke: record 2: nap: 13 is unlucky \(map_tasks\.c:\d+\)", lines[0]), lines[0])
    check(lines[1].startswith("yoke: record 4: nap: 113 is unlucky"), lines[1])


@test
def errors_inline_and_as_json():
    status, out, err = yoke("nap", "--errors", "inline", ":::", "1", "13", "2")
    equal((status, err), (1, ""))
    first, second, third = out.strip().split("\n")
    equal((first, third), ("1", "2"))
    error = json.loads(second)
    equal((error["record"], error["task"]), (2, "nap"))
    has(error["error"], "13 is\nunlucky")
    status, out, err = yoke("nap", "--json", ":::", "1", "13", "2")
    equal((status, out), (1, "1\n2\n"))
    equal(json.loads(err), error)


@test
def quiet_counts():
    equal(yoke("nap", "-q", ":::", "13", "1", "13"), (1, "1\n", "yoke: 2 of 3 records failed\n"))
    equal(yoke("nap", "-q", ":::", "1"), (0, "1\n", ""))


@test
def all_of_many_errors():
    status, out, err = yoke("nap", "--on", "threads", stdin="13\n" * 20000)
    equal((status, out, err.count("\n")), (1, "", 20000))
    has(err, "yoke: record 20000: ")


@test
def crashes_cost_one_record():
    status, out, err = yoke("die", "--on", "processes", "--joblog", path("crash"), ":::", "0", "9", "0", "11", "8",
                            "103", "100", "0")
    equal((status, out), (1, "0\n0\n0\n"))
    for record, text in ((2, "signal 9"), (4, "signal 11"), (5, "signal 8"), (6, "3"), (7, "0")):
        line = [l for l in err.split("\n") if l.startswith(f"yoke: record {record}: die: ")]
        equal(len(line), 1)
        has(line[0], text)
    equal([row[6:8] for row in rows("crash")],
          [["0", "0"], ["0", "9"], ["0", "0"], ["0", "11"], ["0", "8"], ["3", "0"], ["1", "0"], ["0", "0"]])


@test
def retries():
    for n, retries, expected in ((3, "2", 0), (3, "1", 1), (1, "0", 0)):
        counter = path(f"count{n}{retries}")
        status, out, err = yoke("flaky", "--retries", retries, ":::", json.dumps([counter, n]))
        equal(status, expected)
        equal(os.path.getsize(counter), min(n, int(retries) + 1))
    lacks(yoke("nap", "--retries", "1", ":::", "13")[2], "record 2")
    # Neither a wrong record nor a result without a form is helped by another attempt, of which twelve would take half a minute.
    for on in ("inline", "threads:2", "processes:2"):
        status, out, err = yoke("add3", "--on", on, "--retries", "12", ":::", '[1,"x"]', "[1e308,1e308]", "[1,2]", "[]")
        equal((status, out), (1, "4.0\n"))
        for part in ('1: argument 2 "b" of add3: expected number, got "x" at byte 4', "2: result of add3: Infinity",
                     '4: argument 1 "a" of add3: missing'):
            has(err, "record " + part)


@test
def timeouts():
    for on in ("processes", "threads"):
        for seconds in (1, 5, 25):  # on a busy machine the others may be late too
            # A worker process is killed, however long it would take; a thread is waited for.
            long = "3600000" if on == "processes" else str(seconds * 3000)
            status, out, err = yoke("nap", "--on", on, "--timeout", f"{seconds}s", "--joblog", path("timeout"), ":::", "1", long,
                                    "2")
            if out == "1\n2\n":
                break
        equal((status, out), (1, "1\n2\n"))
        has(err, "yoke: record 2: nap: ")
        has(err, "timed out")
        row = rows("timeout")[1]
        equal(row[6:8], ["-1", "15"])


def within(expected, *words, also=lambda err: True):
    """Runs with growing timeouts until the output is that one: on a busy machine short records may be late too."""
    for ms in (200, 2000, 20000):
        status, out, err = yoke(*words[:1], "--timeout", f"{ms}ms", *words[1:])
        if out == expected and also(err):
            break
    equal(out, expected)
    return status, err


@test
def threads_that_go_on_after_a_timeout():
    """A run ends although nothing can end its tasks, and says why; in the order of the records and without."""
    for words in ([], ["-u"], ["--halt", "soon,fail=7"]):
        log = path("held")
        status, err = within("1\n3\n", "hang", "--on", "threads:2", *words, "--joblog", log, "--summary", ":::",
                             *"1234567")
        equal(status, 1)
        lines = err.strip().split("\n")
        for n in (2, 4):
            equal(sum(line.startswith(f"yoke: record {n}: hang: timed out after") for line in lines), 1)
        equal(lines.count("yoke: record 2 timed out, but its thread goes on: only --on processes can end a task"), 1)
        equal(err.count("goes on"), 1)
        equal(lines[-2], "yoke: all 2 threads are held by records that timed out; 3 of 7 records read were not run")
        summary = json.loads(lines[-1])
        equal([summary[key] for key in ("ok", "failed", "timed_out", "cancelled", "stopped")], [2, 2, 2, 3, "timeouts"])
        equal(sorted(row[0] for row in rows("held")), ["1", "2", "3", "4"])


@test
def one_thread_that_goes_on():
    status, err = within("", "hang", "--on", "threads:1", "-q", ":::", "2", "1", "3")
    equal(status, 1)
    equal(err, "yoke: the only thread is held by a record that timed out; 2 of 3 records read were not run\n"
          "yoke: 1 of 3 records failed\n")


@test
def more_records_than_fit_behind_a_held_thread():
    status, err = within("", "hang", "--on", "threads:1", "-a", write("evens", "2\n" * 10000))
    equal(status, 1)
    found = re.search(r"the only thread is held by a record that timed out; (\d+) of (\d+) records read were not run", err)
    equal(int(found[2]) - int(found[1]), 1)


@test
def a_held_thread_while_input_is_slow():
    """The word comes though no record does, and the run ends when records wait."""
    child = start("hang", "--on", "threads:1", "--timeout", "200ms")
    child.stdin.write(b"2\n")
    child.stdin.flush()
    said(child, "record 1 timed out, but its thread goes on")
    child.stdin.write(b"4\n")
    child.stdin.flush()
    said(child, "the only thread is held by a record that timed out; 1 of 2 records read were not run")
    equal(child.wait(timeout=300), 1)
    child.communicate()


@test
def a_held_thread_that_comes_back():
    """Then the others are run."""
    gate = path("comes_back")
    for ms in (300, 3000, 30000):  # on a busy machine the gate may come too late
        if os.path.exists(gate):
            os.remove(gate)
        child = start("waits_for", "--on", "threads:1", "--timeout", f"{ms}ms", ":::", json.dumps([gate, 1]), '["/",5]',
                      '["/",6]', stdin=subprocess.DEVNULL)
        said(child, "record 1 timed out, but its thread goes on")
        write("comes_back", "")
        out, err = child.communicate(timeout=300)
        equal(child.returncode, 1)
        if out == b"5\n6\n":
            break
    equal((out, err), (b"5\n6\n", b""))


@test
def tasks_that_ask_are_ended_by_a_timeout():
    """No thread goes on, and all records are run; killed workers hold nothing either."""
    never = path("never")
    for on in ("threads:2", "processes:2"):
        records = [json.dumps([never, 1]), '["/",2]'] * 3
        status, err = within("2\n" * 3, "asks", "--on", on, ":::", *records, also=lambda err: "goes on" not in err)
        equal((status, err.count("timed out after")), (1, 3))
        lacks(err, "goes on")
        lacks(err, "held")


@test
def delay():
    for words in (["--on", "threads:2"], ["--on", "processes:2", "-u"], ["--on", "inline"]):
        began = time.time()
        yoke("nap", *words, "--delay", "100ms", "--joblog", path("delay"), ":::", "0", "0", "250", "0", "0")
        starts = sorted(float(row[2]) - began for row in rows("delay"))
        equal(len(starts), 5)
        # Each may come late, and the next one then soon after it, but none before its time.
        check(all(start > 0.1 * i - 0.01 for i, start in enumerate(starts)), starts)


# ---- Halt ----

@test
def halt_soon():
    """What runs when it is halted goes on, and that is one on the other worker, if at all."""
    gate = path("halt.gate")
    child = start("waits_for", "--on", "threads:2", "--halt", "soon,fail=1", "--joblog", path("halt"), ":::", '["/", 13]',
                  *[json.dumps([gate, n]) for n in range(14, 34)], stdin=subprocess.DEVNULL)
    said(child, "halting after 1 failed")
    write("halt.gate", "")
    out, err = child.communicate(timeout=300)
    equal(child.returncode, 1)
    done = rows("halt")
    check(1 <= len(done) <= 2, done)
    equal(out, b"14\n" * (len(done) - 1))


@test
def halt_in_time_for_short_tasks():
    short = "".join(f"{n}\n" for n in [0, 13, 0, 13, 0, *[0] * 200])
    for on in EXECUTORS:
        for width in (1, 3) if on != "inline" else (1,):
            for halt, least in (("done=3", 3), ("fail=1", 2), ("fail=2", 4), ("success=3", 5), ("done=40", 40)):
                if os.path.exists(path("short")):
                    os.remove(path("short"))
                # Rows are in the order of the input, which is that of the ends only at width 1, or with -u.
                words = ["--on", on, f"-j{width}", "--joblog", path("short"), *(["-u"] if width > 1 else [])]
                yoke("nap", *words, "--halt", f"soon,{halt}", stdin=short)
                ran = [row for row in rows("short") if row[6] != "-1"]
                kind, count = halt.split("=")
                ends = [n for n, row in enumerate(ran, 1) if kind == "done" or (kind == "fail") == (row[6] != "0")]
                # Of several workers one may be so late that what waits there is taken back.
                check((least if width == 1 else int(count)) <= len(ran), (on, width, halt, len(ran)))
                check(len(ran) - ends[int(count) - 1] < width, (on, width, halt, ends, len(ran)))


@test
def halt_leaves_others_running_behind_a_long_one():
    late = path("late2")
    for seconds in (2, 10, 50):  # on a busy machine the others may be late too
        status, out, err = yoke("waits_for", "--on", "threads:2", "--halt", "soon,fail=1", "-a",
                                write("behind", json.dumps([late, 1]) + "\n" + "".join(
                                    json.dumps([write("here", ""), n]) + "\n" for n in range(14, 34))),
                                "--timeout", f"{seconds}s")
        if out.count("\n") == 20:
            break
    equal((status, out.count("\n")), (1, 20))
    has(err, "yoke: record 1: ")


@test
def halt_now():
    for on in ("threads:2", "processes:2"):
        status, out, err = yoke("nap", "--on", on, "--halt", "now,fail=1", ":::", "3600000", "13", "3600000")
        equal((status, out), (1, ""))
        has(err, "yoke: record 2: nap: 13 is unlucky")
        has(err, "1 of 2 records read were not run")
        lacks(err, "never looked at")


@test
def halt_on_success_and_done():
    status, out, err = yoke("nap", "--on", "threads:1", "--halt", "soon,success=2", ":::", "1", "2", *["100"] * 20)
    equal(status, 0)
    check(2 <= out.count("\n") < 22, out)
    status, out, err = yoke("nap", "--on", "processes:1", "--halt", "soon,done=50%", ":::", *["100"] * 20)
    equal(status, 0)
    check(10 <= out.count("\n") < 20, out)
    equal(yoke("nap", "--halt", "never", ":::", "13", "1")[1], "1\n")


@test
def halt_at_a_share_of_what_nobody_knows():
    text = ("yoke map: --halt {}: how many records there are is known only of those after :::; write done=N, not a "
            "percentage, for records from stdin or -a FILE\n")
    for halt in ("now,done=20%", "soon,done=100%"):
        for words in ([], ["-a", write("ten", "1\n" * 10)], ["-a", "-"]):
            equal(yoke("nap", "--halt", halt, *words, stdin="1\n" * 10), (2, "", text.format(halt)))
        equal(yoke("nap", "--halt", halt, ":::"), (0, "", ""))
    # The other shares are of those that have ended.
    status, out, err = yoke("nap", "--on", "inline", "--halt", "soon,fail=100%", stdin="13\n" * 10)
    equal((status, out, err.count("unlucky")), (1, "", 3))
    has(err, "halting after 3 failed and 0 ok")
    equal(yoke("nap", "--halt", "never", stdin="1\n2\n"), (0, "1\n2\n", ""))


# ---- Job log ----

@test
def joblog_rows():
    yoke("echo", "--joblog", path("log"), ":::", "a b", "it's", "tab\there", "[1]")
    found = rows("log")
    equal([row[0] for row in found], ["1", "2", "3", "4"])
    for row, size in zip(found, (6, 7, 12, 6)):
        equal(row[1], ":")
        check(re.fullmatch(r"\d{10}\.\d{3}", row[2]) and abs(float(row[2]) - time.time()) < 3600, row[2])
        check(re.fullmatch(r" *\d+\.\d{3}", row[3]) and len(row[3]) == 10, row[3])
        equal(row[4:8], ["0", str(size), "0", "0"])
    equal(found[1][8], f"yoke map {TASKS}:echo ::: 'it'\\''s'")
    equal(found[2][8], f"yoke map {TASKS}:echo ::: 'tab\there'")
    for row, text in zip(found, ("a b", "it's", "tab\there", "[1]")):
        status, out, err = run(row[8].replace("yoke", YOKE, 1))
        equal((status, json.loads(out), err), (0, text, ""))


@test
def joblog_of_records_with_newlines():
    yoke("echo", "-0", "--joblog", path("nul"), stdin="a\nb\0c\0")
    equal([row[8] for row in rows("nul")], [f"yoke map {TASKS}:echo ::: 'a\0b'", f"yoke map {TASKS}:echo ::: c"])


@test
def resume():
    log = path("resume")
    yoke("nap", "--joblog", log, ":::", "1", "13", "3")
    equal(yoke("nap", "--joblog", log, "--resume", ":::", "1", "13", "3", "4"), (0, "4\n", ""))
    equal([row[0] for row in rows("resume")], ["1", "2", "3", "4"])
    status, out, err = yoke("nap", "--joblog", log, "--resume-failed", ":::", "1", "2", "3", "4", "5")
    equal((status, out), (0, "2\n5\n"))
    equal([row[0] for row in rows("resume")], ["1", "2", "3", "4", "2", "5"])
    equal(yoke("nap", "--joblog", log, "--resume-failed", ":::", "1", "2", "3", "4", "5"), (0, "", ""))
    equal(yoke("nap", "--joblog", path("new"), "--resume", ":::", "1")[1], "1\n")
    yoke("nap", "--joblog", log, ":::", "1")
    equal(len(rows("resume")), 1)


@test
def resume_what_is_no_log():
    text = "my diary\n"
    status, out, err = yoke("nap", "--joblog", write("diary", text), "--resume", ":::", "1")
    equal((status, out), (2, ""))
    has(err, "is not a job log")
    equal(open(path("diary")).read(), text)


@test
def resume_after_kill():
    """Killed at random moments, resumed until done: every record is there, none but the last few twice."""
    total = 20000
    text = "".join(f"[{i},0,0]\n" for i in range(1, total + 1))
    source, out, log = write("records", text), path("killed.out"), path("killed.log")
    kills = 0
    with open(out, "ab") as sink:
        while True:
            child = start("add3", "--on", random.choice(["threads", "processes"]), "--joblog", log, "--resume", "-a",
                          source, stdout=sink,
                          stdin=subprocess.DEVNULL)
            if kills < 8:
                time.sleep(random.uniform(0.001, 0.03))
                child.kill()
                kills += 1
            _, err = child.communicate()
            if child.returncode == 0:
                break
            equal(child.returncode, -9)
    found = open(out).read().split("\n")
    # A kill may tear the last line of a write; the record is run again then, as its row is missing.
    values = [float(line) for line in found if re.fullmatch(r"\d+(\.0)?", line)]
    equal(set(range(1, total + 1)) - set(values), set())
    equal(sorted(int(row[0]) for row in rows("killed.log")), list(range(1, total + 1)))


@test
def gnu_parallel_reads_our_log():
    if not shutil.which("parallel"):
        skip("GNU parallel is not installed")
    log = path("ours")
    yoke("nap", "--joblog", log, ":::", "1", "13", "3")
    parallel = ["parallel", "--will-cite", "-k", "-j1", "--joblog", log]
    status, out, err = run([*parallel, "--resume", "echo run {}", ":::", "1", "13", "3", "4"])
    equal((status, out), (0, "run 4\n"))
    status, out, err = run([*parallel, "--resume-failed", "echo run {}", ":::", "1", "13", "3", "4", "5"])
    check((status, out) == (0, "run 13\nrun 5\n"), f"{status} {out!r} {err!r} {open(log).read()!r}")
    status, out, err = yoke("nap", "--joblog", log, "--resume", ":::", "1", "2", "3", "4", "5", "6")
    equal((status, out), (0, "6\n"))


@test
def we_read_gnu_parallels_log():
    if not shutil.which("parallel"):
        skip("GNU parallel is not installed")
    log = path("theirs")
    run(["parallel", "--will-cite", "-j2", "--joblog", log, "sh -c 'exit {}'", ":::", "0", "3", "0"])
    run(["parallel", "--will-cite", "-j2", "--timeout", "1", "--joblog", log, "--resume", "sleep {}", ":::", "0",
         "0", "0", "9"])
    equal(yoke("nap", "--joblog", log, "--resume", ":::", "1", "2", "3", "4", "5"), (0, "5\n", ""))
    equal(yoke("nap", "--joblog", log, "--resume-failed", ":::", "1", "2", "3", "4", "5"), (0, "2\n4\n", ""))


@test
def gnu_parallel_retries_our_failures():
    if not shutil.which("parallel"):
        skip("GNU parallel is not installed")
    log = path("retry")
    os.symlink(YOKE, path("yoke"))
    yoke("echo", "--joblog", log, ":::", "fine", "it's 5\t$HOME")
    lines = open(log).read().split("\n")
    lines[2] = lines[2].replace("\t0\t0\tyoke", "\t1\t0\tyoke")
    write("retry", "\n".join(lines))
    status, out, err = run(["parallel", "--will-cite", "--retry-failed", "--joblog", log],
                           env={**os.environ, "PATH": FOLDER + ":" + os.environ["PATH"]})
    equal((status, out), (0, '"it\'s 5\\t$HOME"\n'))


# ---- Interrupts ----

def held(on, log):
    """Eleven records, of which the first has ended and at least one more runs; it ends when the gate is there, and so do the
    rest. What has been read of the output, and what is still to come of it, comes with it."""
    began, gate = path("began"), path("gate")
    for name in (began, gate):
        if os.path.exists(name):
            os.remove(name)
    child = start("holds", "--on", on, "--joblog", log, ":::", '["","/",0]', *[json.dumps([began, gate, 600])] * 10,
                  stdin=subprocess.DEVNULL)
    out = child.stdout.readline() if on != "inline" else b""  # which is busy with the task, and writes it later
    comes(lambda: os.path.exists(began), "no task has begun")
    return child, out, gate


@test
def first_interrupt_finishes_what_runs():
    for on, number in (("threads:2", signal.SIGINT), ("processes:2", signal.SIGHUP), ("inline", signal.SIGINT)):
        child, out, gate = held(on, path("int"))
        child.send_signal(number)
        if on != "inline":
            said(child, "interrupted: finishing what runs")
        write("gate", "")
        rest, err = child.communicate(timeout=300)
        equal(child.returncode, 130)
        done = rows("int")
        check(2 <= len(done) <= (2 if on == "inline" else 3), done)
        equal(out + rest, b"0\n" + b"600\n" * (len(done) - 1))
        check(on != "inline" or b"interrupted: finishing what runs" in err, err)


@test
def second_interrupt_stops_now():
    for on in ("threads:2", "processes:2", "inline"):
        child, out, _ = held(on, path("int2"))
        child.send_signal(signal.SIGINT)
        if on != "inline":
            said(child, "interrupted: finishing what runs")
        child.send_signal(signal.SIGTERM)  # another one, as two of the same that are pending are one
        rest, err = child.communicate(timeout=300)
        equal((child.returncode, out + rest), (130, b"0\n"))
        equal([row[0] for row in rows("int2")], ["1"])
        # Of two signals that come at once to a busy thread, either is handled first.
        again = "( again)?" if on == "inline" else " again"
        check(re.search(f"^yoke: interrupted{again}: stopping now$", err.decode(), re.M), (on, err))
        check(re.search(r"^yoke: \d+ of \d+ records read were not run\n", err.decode(), re.M), (on, err))
        if on == "inline":
            has(err.decode(), "\nyoke: 1 of 2 records read were not run\n")


@test
def one_sigterm_stops_now():
    for on in ("threads:2", "processes:2", "inline"):
        child, out, _ = held(on, path("term"))
        child.send_signal(signal.SIGTERM)
        rest, err = child.communicate(timeout=300)
        equal((child.returncode, out + rest), (130, b"0\n"))
        has(err.decode(), "yoke: interrupted: stopping now\n")
        has(err.decode(), " records read were not run\n")
        equal([row[0] for row in rows("term")], ["1"])


@test
def interrupt_while_waiting_for_input():
    for on in EXECUTORS:
        child = start("nap", "--on", on, "--summary")
        child.stdin.write(b"1\n")
        child.stdin.flush()
        equal(child.stdout.readline(), b"1\n")
        child.send_signal(signal.SIGINT)
        equal(child.wait(timeout=300), 130)
        summary = json.loads(child.stderr.read().decode().strip().split("\n")[-1])
        equal((summary["ok"], summary["stopped"]), (1, "interrupted"))


@test
def interrupt_with_a_blocked_output():
    child = start("big", "--on", "threads", ":::", *["1000000"] * 4, stdin=subprocess.DEVNULL)
    equal(os.read(child.stdout.fileno(), 1), b'"')
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    equal(child.wait(timeout=300), 130)


def with_variable(name):
    """The processes that have it in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if name.encode() in f.read():
                    found.append(pid)
        except OSError:
            pass
    return found


@test
def no_process_stays():
    marker = f"YOKE_TEST_{os.getpid()}"
    for signals in ([], [signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGKILL]):
        child = start("nap", "--on", "processes:2", ":::", *["1500"] * 4, stdin=subprocess.DEVNULL,
                      env={**os.environ, marker: "1"})
        time.sleep(0.3)
        for number in signals or [signal.SIGTERM, signal.SIGTERM]:
            child.send_signal(number)
            time.sleep(0.1)
        child.communicate(timeout=300)
        comes(lambda: not with_variable(marker), "processes stay")


# ---- Outputs that fail ----

@test
def a_closed_output():
    child = start("nap", "--on", "threads", stdin=open(write("many", "0\n" * 300000)), stdout=subprocess.PIPE)
    equal(child.stdout.readline(), b"0\n")
    child.stdout.close()
    err = child.stderr.read().decode()
    equal(child.wait(timeout=300), 1)
    equal(err.split("\n")[0], "yoke: cannot write results: Broken pipe")
    status, out, err = run(f"{YOKE} map {TASKS}:nap ::: 1 >&-")
    equal((status, err), (1, "yoke: cannot write results: standard output is closed\n"))


@test
def a_full_disk():
    full = open("/dev/full", "w")
    child = start("nap", "--on", "threads", ":::", "1", "2", stdin=subprocess.DEVNULL, stdout=full)
    err = child.communicate()[1].decode()
    equal(child.returncode, 1)
    equal(err.split("\n")[0], "yoke: cannot write results: No space left on device")
    for option, what in (("--joblog", "job log"), ("--trace", "trace"), ("--summary=/dev/full", "summary")):
        words = [option] if "=" in option else [option, "/dev/full"]
        status, out, err = yoke("nap", *words, ":::", "1", "2")
        equal(status, 1)
        equal(err.count("\n"), 1)
        has(err, what)
        has(err, "No space left on device")


@test
def a_full_disk_stops_the_jobs():
    records = write("hours", "0\n" + "300\n" * 100000)  # eight hours, if it goes on
    child = start("nap", "--on", "processes:1", "-a", records, stdin=subprocess.DEVNULL, stdout=open("/dev/full", "w"))
    child.communicate(timeout=300)
    equal(child.returncode, 1)


@test
def no_log_row_without_its_result():
    log = path("unwritten")
    child = start("nap", "--joblog", log, ":::", "1", "2", stdin=subprocess.DEVNULL, stdout=open("/dev/full", "w"))
    child.communicate()
    equal(rows("unwritten"), [])


# ---- Summary, trace, progress, dry run ----

@test
def summary():
    log = path("sum")
    yoke("nap", "--joblog", log, ":::", "1")
    status, out, err = yoke("nap", "-q", "--joblog", log, "--resume", f"--summary={path('summary')}", "--on", "threads:2",
                            ":::", "1", "20", "13", "20")
    s = json.load(open(path("summary")))
    equal((s["task"], s["records"], s["ok"], s["failed"], s["timed_out"], s["skipped"], s["cancelled"]), ("nap", 4,
                                                                                                          2, 1, 0, 1, 0))
    equal((s["executor"], s["width"], s["result_bytes"], s["stopped"]), ("threads:2", 2, 6, None))
    check(0.015 < s["run_seconds_p99"] < 300 and 0.02 < s["seconds"] < 300 and s["records_per_second"] > 0, s)
    status, out, err = yoke("nap", "--summary", ":::", "1")
    equal(json.loads(err)["ok"], 1)
    status, out, err = yoke("nap", "--summary=-", ":::", "1")
    equal(json.loads(out.split("\n")[1])["ok"], 1)


@test
def trace():
    for on in EXECUTORS:
        name = path("trace")
        yoke("nap", "--on", on, "--retries", "1", "--trace", name, ":::", "1", "13", "2")
        trace = json.load(open(name))
        events = [e for e in (trace["traceEvents"] if isinstance(trace, dict) else trace) if e.get("ph") == "X"]
        equal(len(events), 4)
        equal({e["name"] for e in events}, {"nap"})


@test
def progress_on_a_terminal():
    leader, follower = pty.openpty()
    child = subprocess.Popen([YOKE, "map", f"{TASKS}:nap", "--on", "threads:1", ":::", "200", "200", "13", "200"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    child.wait()
    text = b""
    try:
        while True:
            text += os.read(leader, 4096)
    except OSError:
        pass
    text = text.decode()
    has(text, "\r[")
    has(text, "of 4")
    has(text, "failed 1")
    has(text, "yoke: record 3: nap")
    has(text.split("\r")[-1] + text, "4 of 4")
    os.close(leader)


@test
def progress_counts_what_is_done_of_a_file():
    here, later = write("here", ""), path("late")
    names = [here] * 3 + [later] * 7  # of one length
    records = write("ten.jsonl", "".join(json.dumps([name, 1]) + "\n" for name in names))
    leader, follower = pty.openpty()
    child = subprocess.Popen([YOKE, "map", f"{TASKS}:waits_for", "--on", "threads:1", "-a", records],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    text = ""
    while "  3 records  " not in text:  # all ten have been read by then
        text += os.read(leader, 4096).decode()
    write("late", "")
    equal(child.wait(timeout=300), 0)
    os.close(leader)
    line = next(line for line in text.split("\r") if "  3 records  " in line)
    has(line, "]  30%  3 records")


@test
def progress_elsewhere():
    equal(yoke("nap", ":::", "1")[2], "")
    has(yoke("nap", "--progress", ":::", "1")[2], "1 of 1")
    equal(yoke("nap", "--progress", "--no-progress", ":::", "1")[2], "")


@test
def dry_run():
    status, out, err = yoke("add3", "-n", "--joblog", path("dry"), "--nonfinite", ":::", "[1,2]", "oops", '{"a":1,"b":2}')
    equal(status, 1)
    equal(out,
          f"yoke map --nonfinite {TASKS}:add3 ::: '[1,2]'\nyoke map --nonfinite {TASKS}:add3 ::: '{{\"a\":1,\"b\":2}}'\n")
    has(err, "yoke: record 2: ")
    check(not os.path.exists(path("dry")), "it writes no log")
    for options in (["--on", "threads:2"], ["--timeout", "1s"], ["--timeout", "1500ms", "--retries", "3"], ["--input", "json"],
                    ["--on", "threads", "--timeout", "90s", "--retries", "1", "--input", "json", "--base64"]):
        status, out, err = yoke("add3", "-n", *options, ":::", "[1,2]")
        equal((status, out, err), (0, f"yoke map {' '.join(options)} {TASKS}:add3 ::: '[1,2]'\n", ""))
    yoke("add3", "--on", "threads", "--timeout", "60s", "--joblog", path("short"), ":::", "[1,2]")
    equal(rows("short")[0][-1], f"yoke map {TASKS}:add3 ::: '[1,2]'")
    equal(run(out.split("\n")[0].replace("yoke", YOKE, 1))[0], 0)


# ---- Usage ----

@test
def a_log_survives_what_cannot_run():
    """It is emptied when all else is ready, and is nothing else's file."""
    text = HEADER + "\n1\t:\t1\t1\t0\t0\t0\t0\tc\n"
    for words in (["--on", "nosuch"], ["--on", "threads:zero"], ["--trace", "/proc/nonexistent/t"]):
        log = write("kept", text)
        status, out, err = yoke("nap", *words, "--joblog", log, ":::", "1")
        check(status in (2, 3) and out == "", f"{status} {out} {err}")
        equal(open(log).read(), text)
    data = write("data", "1\n3\n")
    for words in (["-a", data], ["--trace", data, ":::", "1"], ["--summary=" + data, ":::", "1"]):
        status, out, err = yoke("nap", "--joblog", data, *words)
        equal((status, out), (2, ""))
        has(err, "cannot be the job log too")
        equal(open(data).read(), "1\n3\n")


@test
def files_that_may_grow_no_more():
    """SIGXFSZ would end the command without a word."""
    many = write("many", "3\n" * 20000)
    for words in (f"-a {many} >{path('limited')}", f"-a {many} --joblog {path('limited.log')} >/dev/null"):
        status, out, err = run(["sh", "-c", f"ulimit -f 1; exec {YOKE} map --on inline {TASKS}:nap {words}"])
        equal((status, out), (1, ""))
        has(err, "File too large")


@test
def usage_errors():
    target = f"{TASKS}:nap"
    for words, text in (
            ([], "expected FILE:TASK"), (["/nonexistent.c:nap"], "/nonexistent.c"), ([TASKS + ":nip"],
                                                                                     'did you mean "nap"?'),
            ([TASKS + ":zzzzzz"], 'has no task "zzzzzz"'), ([TASKS], "tasks: say which"),
            ([target, "--jblog", "x"], "did you mean --joblog?"), ([target, "--zzzzzzzz"], "no option --zzzzzzzz"),
            ([target, "-z"], "no option -z"), ([target, "--joblog"], "needs a value"), ([target, "-j"], "needs a value"),
            ([target, "--null=1"], "takes no value"), ([target, "more"], 'unexpected "more"'), ([target, "-j", "0"],
                                                                                                "from 1 to 1024 for processes"),
            ([target, "-j", "x"], "expected a number"), ([target, "--on", "inline", "-j2"],
                                                          'inline runs one record at a time, got "2"'),
            ([target, "-j5000"], 'from 1 to 1024 for processes, got "5000"'),
            ([target, "-j5000", "--on", "threads:2"], "from 1 to 4096 for threads"),
            ([target, "-j5000", "--on", "threds"], "from 1 to 4096 for threds"),
            ([target, "--retries", "-1"], "--retries"), ([target, "--timeout", "fast"], "expected a duration"),
            ([target, "--delay", "-1s"], "expected a duration"), ([target, "--timeout", "1y"], "expected a duration"),
            ([target, "--timeout", ""], "expected a duration"),
            ([target, "--halt", "later"], "--halt later"), ([target, "--input", "xml"], "auto|json|text"),
            ([target, "--errors", "mail"], "stderr|inline"), ([target, "--resume"], "needs --joblog"),
            ([target, "-a", "/dev/null", ":::", "1"], "not from both"), ([target, ":::", "1", ":::", "2"], "only one :::"),
            ([target, "-a", "/proc/nonexistent"], "cannot read /proc/nonexistent"), ([target, "-a", "/"], "Is a directory"),
            ([target, "--on", "threads:x", ":::", "1"], "threads"), ([target, "--on", "thread", ":::", "1"], "thread"),
            ([target, "--joblog", "/proc/nonexistent/log", ":::", "1"], "cannot open the job log"),
            ([target, "--trace", "/proc/nonexistent/trace", ":::", "1"], "cannot open the trace")):
        status, out, err = run([YOKE, "map", *words])
        check((status, out) == (2, ""), f"{words}: {status} {out} {err}")
        has(err, text)
        check(err.startswith("yoke") and err.count("\n") == 1, err)


@test
def a_terminal_is_told_that_records_are_read():
    for words, told in (([], 1), (["-a", "-"], 1), (["-q"], 0), ([":::", "1"], 0), (["-a", write("one", "1\n")], 0)):
        master, slave = pty.openpty()
        child = start("nap", *words, stdin=slave)
        os.close(slave)
        os.write(master, b"2\n\x04")
        out, err = child.communicate(timeout=300)
        os.close(master)
        equal((words, child.returncode, err.decode().count("Ctrl-D ends them\n")), (words, 0, told))
        equal(out, b"2\n" if not words or "-" in words or "-q" in words else b"1\n")


@test
def a_closed_input():
    status, out, err = run(f"{YOKE} map {TASKS}:nap <&-")
    equal((status, out, err), (2, "", "yoke: cannot read standard input: Bad file descriptor\n"))


@test
def a_source_that_does_not_compile():
    broken = write("broken.c", '#include <yoke.h>\nYOKE_TASK(long, t, (long, x)) { return y; }\n')
    status, out, err = run([YOKE, "map", f"{broken}:t", ":::", "1"])
    equal((status, out), (2, ""))
    has(err, "broken.c:2")


@test
def help_is_complete():
    status, out, err = run([YOKE, "map", "--help"])
    equal((status, err), (0, ""))
    for name in ("on", "jobs", "arg-file", "input", "null", "unordered", "joblog", "resume", "resume-failed",
                 "retries", "timeout", "delay",
                 "halt", "dry-run", "progress", "no-progress", "summary", "trace", "errors", "nonfinite", "base64",
                 "quiet", "json"):
        has(out, f"--{name}")
    check(max(len(line) for line in out.split("\n")) <= 120, "long lines")


@test
def options_in_any_place_and_form():
    equal(run([YOKE, "map", "--on=inline", f"{TASKS}:nap", "-q0", "-a", write("nul0", "1\0002\0")])[1], "1\n2\n")
    equal(run([YOKE, "map", "-j2", "--on", "threads:7", "--", f"{TASKS}:echo", ":::", "--help", "-1", "--"])[1],
          '"--help"\n"-1"\n"--"\n')
    has(yoke("nap", "--summary", "--on", "threads", "-j", "3", ":::", "1")[2], '"executor": "threads:3"')


# ---- Bounds ----

def peak(words, records):
    """Peak memory in KiB of a map over so many records."""
    child = subprocess.Popen([YOKE, "map", f"{TASKS}:add3", *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    block = b"[1,2,3]\n" * 10000
    for _ in range(records // 10000):
        child.stdin.write(block)
    child.stdin.close()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    equal(status, 0)
    return usage.ru_maxrss


@test
def memory_is_bounded():
    for on in ("threads", "processes"):
        words = ["--on", on, "--joblog", path("memory")]
        few, many = peak(words, 10000), peak(words, 1000000)
        check(many < few * 1.5 + 8000, f"{on}: {few} KiB for 10^4 records, {many} KiB for 10^6")


@test
def memory_is_bounded_with_large_results():
    child = start("big", "--on", "threads:2", stdin=open(write("large", "1000000\n" * 1000)), stdout=subprocess.PIPE)
    size = 0
    while chunk := child.stdout.read(1 << 20):
        size += len(chunk)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    equal((status, size), (0, 1000 * 1000003))
    check(usage.ru_maxrss < 600000 or SANITIZED, f"{usage.ru_maxrss} KiB")


@test
def a_million_records():
    source = path("million")
    with open(source, "w") as f:
        f.writelines(f"[{i},0.5,{i % 7}]\n" for i in range(1000000))
    for on in EXECUTORS:
        child = start("add3", "--on", on, "--joblog", path("million.log"), f"--summary={path('million.sum')}", "-a", source,
                      stdin=subprocess.DEVNULL)
        out, err = child.communicate(timeout=300)
        equal((child.returncode, err), (0, b""))
        lines = out.split(b"\n")
        equal(len(lines), 1000001)
        check(all(float(line) == i + 0.5 + i % 7 for i, line in enumerate(lines[:-1])), "every answer is right")
        print(f"# {on}: {json.load(open(path('million.sum')))['records_per_second'] / 1e6:.2f} M records/s")
    with open(path("million.log")) as f:
        equal(sum(1 for _ in f), 1000001)


main()
