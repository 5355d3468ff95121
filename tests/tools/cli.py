"""The commands `yoke run`, `yoke ls`, `yoke doctor` and what all share, from outside: forms of arguments, results, bad input.

Bad input gives one line on stderr that says what was wrong, where and what would be right; nothing on stdout; status 2. A task
that fails, in whatever way, gives status 1 and one line that names the task.
"""
import json
import os
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
TASKS = os.path.join(FOLDER, "cli_tasks.c")
shutil.copy(os.path.join(SOURCE, "tests", "tools", "cli_tasks.c"), TASKS)
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
SANITIZED = "address" in os.environ.get("YOKE_SANITIZE", "")


def write(name, text, mode="w"):
    name = os.path.join(FOLDER, name)
    with open(name, mode) as f:
        f.write(text)
    return name


def task(name, *words, **more):
    return run([YOKE, "run", *more.pop("options", []), f"{TASKS}:{name}", *words], **more)


def comes(condition, what):
    """Waits until it holds: as long as it takes on a busy machine, but not for ever."""
    end = time.monotonic() + 300
    while not condition():
        check(time.monotonic() < end, what)
        time.sleep(0.01)


def says(name, *words, **more):
    """The result of a call that must work."""
    status, out, err = task(name, *words, **more)
    equal((status, err), (0, ""))
    check(out.endswith("\n"), repr(out))
    return out[:-1]


def refused(words, *parts, status=2):
    """The command must refuse these words with one line on stderr that has all the parts."""
    got, out, err = run([YOKE, *words])
    check((got, out) == (status, ""), f"{words}: status {got}, stdout {out!r}, stderr {err!r}")
    check(err.startswith("yoke") and err.count("\n") == 1, f"{words}: not one line: {err!r}")
    for part in parts:
        check(part in err, f"{words}: {err!r} lacks {part!r}")


def task_refused(name, words, *parts):
    refused(["run", f"{TASKS}:{name}", *words], *parts)


# ---- Arguments ----

@test
def words_in_order_and_by_name():
    pi = says("integrate", "0", "1")
    check(abs(float(pi) - 3.14159265) < 1e-6, pi)
    equal(says("integrate", "0", "1", "1000"), pi)
    equal(says("integrate", "b=1", "a=0"), pi)
    equal(says("integrate", "0", "n=1000", "b=1"), pi)
    equal(says("integrate", "n=1000", "0", "1"), pi)
    equal(says("two", "second=1", "2"), "201")


@test
def a_word_for_a_task_of_one_string():
    """The rule of yoke map: JSON only beyond doubt, and never behind NAME=."""
    for name in ("same_text", "same_str"):
        for word, text in (('["x"]', "x"), ('{"v": "x"}', "x"), ("[x]", "[x]"), ('["x",1]', '["x",1]'), ('["x"', '["x"'),
                           ('{"w":"x"}', '{"w":"x"}'), ("[]", "[]"), ("v=abc", "abc"), ('v=["x"]', '["x"]'),
                           ("v=v=abc", "v=abc"), ("w=abc", "w=abc"), ("[1]", "[1]")):
            equal(says(name, word), json.dumps(text, separators=(",", ":")))
            if not word.startswith("v="):
                equal(run([YOKE, "map", f"{TASKS}:{name}", ":::", word]), (0, says(name, word) + "\n", ""))


@test
def json_in_one_word_and_on_stdin():
    equal(says("two", "[1,2]"), "102")
    equal(says("two", ' {"second":1, "first":2} '), "201")
    for text in ("[3,4]", '{"first":3,"second":4}\n'):
        done = subprocess.run([YOKE, "run", f"{TASKS}:two", "-"], input=text.encode(), capture_output=True)
        equal((done.returncode, done.stdout, done.stderr), (0, b"304\n", b""))


@test
def options_before_and_after_the_task():
    for words in (["--on", "threads:2", f"{TASKS}:two", "1", "2"], [f"{TASKS}:two", "--on=inline", "1", "2"],
                  ["--on", "processes:1", "--timeout", "20s", "--retries", "1", f"{TASKS}:two", "1", "2"],
                  [f"{TASKS}:two", "1", "--", "2"]):
        equal(run([YOKE, "run", *words]), (0, "102\n", ""))
    equal(says("same_i32", "--", "-5"), "-5")
    equal(says("same_text", "--", "--help"), '"--help"')


@test
def negative_numbers_are_no_options():
    equal(says("same_i32", "-5"), "-5")
    equal(says("same_f64", "-1.5e3"), "-1500.0")
    equal(says("two", "-1", "-2"), "-102")


@test
def the_only_task_need_not_be_named():
    only = write("only.c", '#include <yoke.h>\nYOKE_TASK(long, single, (long, n)) { return n + 1; }\n')
    equal(run([YOKE, "run", only, "41"]), (0, "42\n", ""))
    refused(["run", TASKS, "1"], "tasks: say which")


# ---- Results ----

@test
def every_type_goes_in_and_out():
    for name, word, expected in (
            ("negate", "true", "false"), ("negate", "false", "true"), ("same_i8", "-128", "-128"), ("same_i8", "127", "127"),
            ("same_i16", "-32768", "-32768"), ("same_i32", "2147483647", "2147483647"),
            ("same_i64", "-9223372036854775808", "-9223372036854775808"),
            ("same_i64", "9223372036854775807", "9223372036854775807"),
            ("same_u8", "255", "255"), ("same_u16", "65535", "65535"), ("same_u32", "4294967295", "4294967295"),
            ("same_u64", "18446744073709551615", "18446744073709551615"), ("same_f32", "0.1", "0.1"),
            ("same_f64", "0.1", "0.1"), ("same_f64", "1e300", "1e+300"), ("same_f64", "5e-324", "5e-324"),
            ("same_f64", "123456789", "123456789"), ("same_text", "plain words", '"plain words"'),
            ("same_text", 'a "quoted"\\ \t\n', '"a \\"quoted\\"\\\\ \\t\\n"'), ("same_text", "", '""'),
            ("same_text", "ünï ☃ 😀", '"ünï ☃ 😀"'), ("same_str", "[1,2]", '"[1,2]"'), ("same_bytes", "aGk=", '"aGk="'),
            ("same_json", '[{"a": [1, null]}]', '{"a": [1, null]}'), ("same_json", "7", "7"),
            ("same_array", "[1,2.5,-3]", "[1.0,2.5,-3.0]"), ("same_array", "[]", "[]"),
            ("same_array", "[[1,2]]", "[1.0,2.0]"), ("same_array", "[[]]", "[]"),
            ("same_array", "[[[1,2],[3,4]]]", "[[1.0,2.0],[3.0,4.0]]"), ("same_array", '{"v":[1,2]}', "[1.0,2.0]")):
        got = says(name, word)
        check(json.loads(got) == json.loads(expected) and (got == expected or name in ("same_f64", "same_f32")),
              f"{name} {word}: {got!r}, expected {expected!r}")
    equal(says("nothing"), "null")
    equal(float(says("total", "[1,2,3.5]")), 6.5)


@test
def raw_results():
    equal(task("same_text", "a\tb", options=["--raw"]), (0, "a\tb\n", ""))
    equal(task("same_str", "x y", options=["-r"]), (0, "x y\n", ""))
    equal(task("same_bytes", "aGkK", options=["--raw"]), (0, "hi\n", ""))


@test
def what_a_task_prints_is_no_result():
    for on in ("inline", "threads", "processes"):
        status, out, err = task("chatty", "7", options=["--on", on])
        equal((on, status, out, err), (on, 0, "7\n", "for people: 7\ncut"))


@test
def numbers_that_are_none():
    status, out, err = task("divide", "1", "0")
    equal((status, out), (1, ""))
    has(err, "--nonfinite")
    for words, expected in ((("1", "0"), '"Infinity"'), (("-1", "0"), '"-Infinity"'), (("0", "0"), None)):
        got = says("divide", *words, options=["--nonfinite"])
        check(got == expected or (expected is None and got in ('"NaN"', '"-NaN"')), got)


@test
def arrays_as_base64():
    got = json.loads(says("same_array", "[1,2]", options=["--base64"]))
    equal(got["shape"], [2])
    equal(got["base64"], "AAAAAAAA8D8AAAAAAAAAQA==")


@test
def one_answer_on_every_executor():
    answers = {on: says("integrate", "0", "1", "12345", options=["--on", on])
               for on in ("inline", "threads", "threads:3", "processes", "processes:2")}
    equal(len(set(answers.values())), 1)


# ---- What does not exist ----

@test
def no_such_command():
    refused(["rnu"], 'no command "rnu"', 'did you mean "run"?')
    refused(["mpa"], 'did you mean "map"?')
    refused(["frobnicate"], 'no command "frobnicate"', "see yoke --help")
    refused([""], 'no command ""')
    refused(["--verson"], 'no option "--verson"', 'did you mean "--version"?')
    refused(["--hlep"], 'did you mean "--help"?')
    refused(["hepl"], 'did you mean "help"?')
    refused(["-v"], 'no option "-v"', "see yoke --help")
    status, out, err = run([YOKE])
    equal((status, out), (2, ""))
    has(err, "yoke run")


@test
def no_such_file():
    for command in ("run", "ls", "map"):
        refused([command, "/nonexistent/file.c:task"], "/nonexistent/file.c", "No such file")
        refused([command, FOLDER], FOLDER)
        refused([command, "nowhere.so"], "nowhere.so")
    refused(["run"], "FILE:TASK")
    refused(["ls"], "FILE")
    refused(["ls", TASKS, "more"], 'unexpected "more"')


@test
def no_such_task():
    task_refused("integrat", ["0", "1"], 'has no task "integrat"', 'did you mean "integrate"?')
    task_refused("qqqqqqqqqq", [], 'has no task "qqqqqqqqqq"', "it has: ")


@test
def no_such_executor():
    for on, *parts in (("thread", 'did you mean "threads"?'), ("procesess:2", 'did you mean "processes"?'),
                       ("smoke-signals", "smoke-signals", "threads"), ("", "executor"), (":", "executor")):
        refused(["run", "--on", on, f"{TASKS}:two", "1", "2"], *parts)


@test
def executors_with_a_bad_number():
    for scheme in ("threads", "processes"):
        for number in ("0", "-1", "x", "1x", " 1", "1 ", "99999999999", "18446744073709551617", "1.5", "+2", "0x2", "2:3"):
            refused(["run", "--on", f"{scheme}:{number}", f"{TASKS}:two", "1", "2"], f"{scheme}:{number}")
    refused(["run", "--on", "inline:2", f"{TASKS}:two", "1", "2"], "inline")


@test
def no_such_option():
    refused(["run", "--timout", "1s", f"{TASKS}:two"], "no option --timout", "did you mean --timeout?")
    refused(["run", "--frobnicate", f"{TASKS}:two"], "no option --frobnicate")
    refused(["run", "-Z", f"{TASKS}:two"], "no option -Z")
    refused(["ls", "--jsno", TASKS], "did you mean --json?")
    refused(["doctor", "--jsn"], "did you mean --json?")
    refused(["run", f"{TASKS}:two", "--timeout"], "--timeout", "needs a value")
    refused(["run", "--raw=yes", f"{TASKS}:two"], "takes no value")
    refused(["run", "--timeout", "soon", f"{TASKS}:two"], "expected a duration")
    refused(["run", "--retries", "many", f"{TASKS}:two"], "expected a whole number")
    refused(["ls", "--color", "mauve", TASKS], "auto|always|never")


# ---- Arguments that do not fit ----

@test
def wrong_arguments():
    task_refused("two", ["1"], 'argument 2 "second"', "two is missing")
    task_refused("two", [], 'argument 1 "first"', "is missing")
    task_refused("two", ["1", "2", "3"], "two takes 2 arguments", '"3" is too many')
    task_refused("nothing", ["1"], "nothing takes 0 arguments", '"1" is too many')
    task_refused("two", ["first=1", "first=2"], '"first"', "given twice")
    task_refused("two", ["ten", "2"], 'argument 1 "first" of two: expected integer, got "ten"')
    task_refused("two", ["1", "2.5"], 'argument 2 "second" of two: expected integer, got 2.5')
    task_refused("two", ["1", "x=2"], "second")
    task_refused("two", ["1", "secnod=2"], 'did you mean "second"?')
    task_refused("integrate", ["0", "1", "1e3x"], "integer")
    task_refused("negate", ["yes"], "expected true or false", "yes")
    task_refused("same_text", [], 'argument 1 "v" (cstr) of same_text is missing')
    task_refused("total", ["five"], "total")


@test
def names_that_no_argument_has():
    task_refused("two", ["1", "secnd=5"], 'two has no argument "secnd"; did you mean "second"?')
    task_refused("two", ["1", "2", "secnd=5"], 'two has no argument "secnd" (it is ')  # second is given already
    task_refused("two", ["1", "zzzzzzz=5"], 'two has no argument "zzzzzzz" (it is ', "first")
    task_refused("two", ["1", "9=5"], 'argument 2 "second" of two')


@test
def structs():
    """Not to be given here: the message says so and what to do instead, whatever the user tried."""
    task_struct = 'argument 1 "p" of swap: a struct has no JSON form (give it from C: yoke_kw_submit(ex, swap, p = ((pair){...}))'
    for words in (['{"x":1,"y":2}'], ['[{"x":1,"y":2}]'], ["[]"], ["5"], [], [""], ["p={}"], ['{"p":[1,2]}']):
        task_refused("swap", words, task_struct)
        if len(words) == 1 and "=" not in words[0] and words[0]:
            status, out, err = run([YOKE, "map", f"{TASKS}:swap", ":::", *words])
            equal((status, out, err.count("\n")), (2, "", 1))
            has(err, "yoke map: " + task_struct)
    both = f"{TASKS}:both"
    for words in (["run", both, "1"], ["map", both, ":::", "1", "2"], ["map", "-n", both, ":::", "1"]):
        refused(words, f"yoke {words[0]}: result of both: a struct has no JSON form (let the task return yoke_json, a view or "
                       "text)\n")
    equal(says("shift"), "6")
    equal(says("shift", "by=4"), "7")
    equal(says("shift", '{"by":5}'), "8")
    task_refused("shift", ["5"], 'argument 1 "p" of shift', "(leave it out, it has a default, as in by=...)")
    task_refused("shift", ["[{},5]"], '(leave it out, it has a default, as in {"by":...})')
    status, out, err = run([YOKE, "ls", TASKS])
    equal((status, err), (0, ""))
    for part in ("shift(p: struct pair/8?, by: i32?)", "p   pair  from where (struct of 8 bytes, with a default)",
                 "by  int   how far (default 3)", "p  pair  (struct of 8 bytes, given from C only)"):
        has(out, part)
    tasks = {t["name"]: t["params"] for t in json.loads(run([YOKE, "ls", "--json", TASKS])[1])}
    equal([(p["size"], p["has_default"], "default" in p) for p in tasks["swap"] + tasks["shift"][:1]],
          [(8, False, False), (8, True, False)])
    check("size" not in tasks["shift"][1], "only a struct has a size")


@test
def a_word_and_a_record_for_one_text_parameter_mean_the_same():
    for word in ('["x"]', '{"v":"x"}', ' [ "x" ] ', '["x","y"]', "[]", "{}", '"x"', '["x"', "[5]", '{"w":"x"}', '["\\ud800"]',
                 "", "x", "v", '["a\\u0000"]', "[[\"x\"]]"):
        for task in ("same_text", "same_str"):
            one = run([YOKE, "run", f"{TASKS}:{task}", "--", word])
            many = run([YOKE, "map", f"{TASKS}:{task}", ":::", word])
            equal((task, word, one[0], one[1]), (task, word, 2 if many[0] else 0, many[1]))
            equal(one[2].replace("yoke run: ", "yoke: record 1: "), "".join(many[2].splitlines(True)[:1]))
    equal(says("same_text", '["x"]'), '"x"')


@test
def json_arguments_that_do_not_fit():
    for text, *parts in (
            ("[1]", 'argument 2 "second"'), ("[1,2,3]", "too many"), ("[1,]", "at byte 4"), ("[1 2]", "at byte 4"),
            ("[1,2", "end of the text"), ("{", "end of the text"), ('{"first":1}', "second"),
            ('{"first":1,"second":2,"third":3}', '"third"'), ('{"first":1,"first":2,"second":3}', "twice"),
            ('["1",2]', 'argument 1 "first" of two: expected integer, got "1" at byte 2'),
            ("[null,1]", "expected integer, got null"), ("[1.5,1]", "got 1.5"), ("[[1],2]", "got an array"),
            ("[true,2]", "got true"), ("[1,2]]", "at byte 6"), ("[1,2] x", "at byte 7"), ("[01,2]", "at byte"),
            ('{"first":1,"secnod":2}', '"secnod"')):
        task_refused("two", [text], *parts)


@test
def numbers_out_of_range():
    for name, word, limits in (
            ("same_i8", "128", "-128 to 127"), ("same_i8", "-129", "-128 to 127"), ("same_i16", "32768", "-32768 to 32767"),
            ("same_i32", "2147483648", "-2147483648 to 2147483647"), ("same_u8", "256", "0 to 255"),
            ("same_u8", "-1", "0 to 255"), ("same_u16", "65536", "0 to 65535"), ("same_u32", "4294967296", "0 to 4294967295"),
            ("same_i64", "9223372036854775808", "9223372036854775807"),
            ("same_u64", "18446744073709551616", "18446744073709551615"), ("same_u64", "-1", "0 to"),
            ("same_f64", "1e400", "does not fit"), ("same_f32", "1e39", "does not fit")):
        task_refused(name, [word], "does not fit", limits, f'argument 1 "v" of {name}')


def feed(data, name="same_json"):
    done = subprocess.run([YOKE, "run", f"{TASKS}:{name}", "-"], input=data, capture_output=True, timeout=300)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


@test
def hostile_json():
    for data, part in ((b"[" * 100000, "nested"), (b"[" + b"[" * 100000 + b"]" * 100000 + b"]", "nested"),
                       (b'["\xff"]', "UTF-8"), (b'["\xc0\xaf"]', "UTF-8"), (b'["\xed\xa0\x80"]', "UTF-8"),
                       (b'["\xf4\x90\x80\x80"]', "UTF-8"), (b'["\xe2\x82', "UTF-8"), (b'["\\ud800"]', "surrogate"),
                       (b'["a\x00b"]', "control character"), (b'["a', "without its closing quote"), (b"", "end of the text"),
                       (b"\xef\xbb\xbf[1]", "byte order mark"), (b"[1] [2]", "at byte 5"), (b"[nul]", "at byte 2"),
                       (b"[\x00]", "at byte 2"), (b"[1e]", "at byte")):
        status, out, err = feed(data)
        check((status, out) == (2, b"") and err.startswith("yoke run: ") and err.count("\n") == 1, f"{data[:30]}: {err!r}")
        check(part in err and len(err) < 500, f"{data[:30]}: {err!r} lacks {part!r}")


@test
def large_but_good():
    text = "x" * 3000000
    status, out, err = feed(json.dumps([text]).encode(), "same_text")
    equal((status, err), (0, ""))
    equal(json.loads(out), text)
    numbers = list(range(200000))
    status, out, err = feed(json.dumps([numbers]).encode(), "same_array")
    equal((status, err), (0, ""))
    equal(json.loads(out), numbers)


@test
def an_unreadable_stdin():
    status, out, err = run(f"{YOKE} run {TASKS}:two - <&-")
    equal((status, out), (2, ""))
    has(err, "cannot read stdin: Bad file descriptor")
    status, out, err = run(f"{YOKE} run {TASKS}:two - < {FOLDER}")
    equal((status, out), (2, ""))
    has(err, "Is a directory")


# ---- Where the output cannot go ----

@test
def a_closed_stdout():
    for words in (f"run {TASKS}:two 1 2", f"ls {TASKS}", f"ls --json {TASKS}", "doctor", "doctor --json", "--help",
                  "run --help", "--version", f"map {TASKS}:two ::: '[1,2]'", "--generate bash", "--generate man"):
        status, out, err = run(f"{YOKE} {words} >&-")
        equal((words, status), (words, 1))
        has(err, "cannot write")
        check("is closed" in err if words.split()[0] in ("run", "map") and "--help" not in words else
              "Bad file descriptor" in err, err)
        equal(err.count("\n"), 1)


@test
def the_doctor_looks_at_the_choice_of_the_user():
    status, out, err = run(f"YOKE_ASYNC_BACKEND=io_urin {YOKE} doctor")
    has(out, 'YOKE_ASYNC_BACKEND is "io_urin"; it can be io_uring, epoll or auto')
    status, out, err = run(f"YOKE_ASYNC_BACKEND=epoll {YOKE} doctor")
    has(out, "epoll: works, and is used")


@test
def a_full_disk():
    for words in (f"run {TASKS}:two 1 2", f"ls {TASKS}", "doctor", "--help", "run --help", "--version",
                  f"map {TASKS}:two ::: '[1,2]'"):
        status, out, err = run(f"{YOKE} {words} >/dev/full")
        equal((words, status), (words, 1))
        has(err, "No space left on device")
        equal(err.count("\n"), 1)


@test
def a_reader_that_has_gone():
    for words in (f"run {TASKS}:two 1 2", f"ls {TASKS}", "doctor", "--help"):
        status, out, err = run(["bash", "-c", f"{{ {YOKE} {words}; echo $? >&2; }} | true"])
        check(err in ("1\n", "0\n"), f"{words}: {err!r}")


# ---- Tasks that end badly ----

def ends(name, *words, options=()):
    status, out, err = task(name, *words, options=list(options))
    equal((name, out), (name, ""))
    return status, err


@test
def a_task_that_fails():
    for on in ("inline", "threads", "processes"):
        status, err = ends("fails", "22", options=["--on", on])
        equal(status, 1)
        check(re.fullmatch(r"yoke run: fails: it was to fail with 22 \(cli_tasks\.c:\d+\)\n", err), err)


@test
def crashes_in_a_worker_process():
    for name, words, part in (("aborts", [], "SIGABRT"), ("reads_null", ["0"], "SIGSEGV"), ("exits", ["3"], "exit(3)"),
                              ("exits", ["0"], "exit(0)"), ("raises", ["8"], "SIGFPE"), ("raises", ["9"], "SIGKILL"),
                              ("raises", ["4"], "SIGILL"), ("raises", ["7"], "SIGBUS"), ("overflows", [], "SIGSEGV")):
        if SANITIZED and name in ("reads_null", "overflows", "aborts", "raises") and words != ["9"]:
            continue  # the sanitizer reports these itself
        status, err = ends(name, *words)
        equal((name, status), (name, 1))
        check(err.startswith(f"yoke run: {name}: ") and part in err and err.count("\n") == 1, f"{name}: {err!r}")


@test
def crashes_in_the_command_itself():
    if SANITIZED:
        return  # as above
    for on in ("inline", "threads:2"):
        for name, words, part in (("aborts", [], "SIGABRT"), ("reads_null", ["0"], "SIGSEGV"), ("raises", ["8"], "SIGFPE"),
                                  ("overflows", [], "SIGSEGV")):
            status, err = ends(name, *words, options=["--on", on])
            check(status != 0, f"{on} {name}: {status}")
            first = err.split("\n")[0]
            check(name in first and part in first, f"{on} {name}: {err!r}")
            has(err, "processes")


@test
def a_task_that_loops_past_its_timeout():
    for on in ("processes", "threads"):
        status, err = ends("loops", options=["--timeout", "200ms", "--on", on])
        equal((on, status), (on, 124))
        check(re.search(r"loops: timed out after 0\.2 s", err) and err.count("\n") == 1, err)


@test
def a_task_that_allocates_until_refused():
    if SANITIZED:
        return  # AddressSanitizer reserves more address space than any limit

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    for on in ("processes:1", "inline", "threads:1"):
        status, out, err = task("hoards", options=["--on", on], preexec_fn=limit)
        equal((on, status, out), (on, 1, ""))
        check(re.search(r"hoards: refused after \d+ MiB", err), err)


@test
def an_interrupt_ends_it():
    for on in ("processes", "threads"):
        began = os.path.join(FOLDER, f"began.{on}")
        child = subprocess.Popen([YOKE, "run", "--on", on, f"{TASKS}:begins_to_loop", began], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        comes(lambda: os.path.exists(began), "the task has not begun")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
        check(child.returncode in (130, -signal.SIGINT), f"{on}: {child.returncode} {err}")


@test
def nothing_is_left_behind():
    before = set(os.listdir("/dev/shm"))
    for name, words in (("exits", ["3"]), ("raises", ["9"]), ("two", ["1", "2"])):
        task(name, *words)
    # Others come and go there too.
    comes(lambda: not [n for n in os.listdir("/dev/shm") if n not in before and "yoke" in n], "shared memory is left")
    comes(lambda: not [p for p in os.listdir("/proc") if p.isdigit() and FOLDER in cmdline(p)], "processes are left")


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as f:
            return f.read()
    except OSError:
        return ""


# ---- ls, doctor, help ----

@test
def ls_shows_every_task():
    status, out, err = run([YOKE, "ls", TASKS])
    equal((status, err), (0, ""))
    for part in ("integrate(a: f64, b: f64, n: i64?) -> f64", "from", "steps (default 1000)", "cli_tasks.c:"):
        has(out, part)
    lacks(out, "\x1b")
    has(run([YOKE, "ls", "--color=always", TASKS])[1], "\x1b[")


@test
def ls_as_json():
    status, out, err = run([YOKE, "ls", "--json", TASKS])
    equal((status, err), (0, ""))
    tasks = {t["name"]: t for t in json.loads(out)}
    with open(TASKS) as f:
        equal(set(tasks), set(re.findall(r"^YOKE_TASK\([^,]+, (\w+)", f.read(), re.M)))
    t = tasks["integrate"]
    equal([p["name"] for p in t["params"]], ["a", "b", "n"])
    equal([p["has_default"] for p in t["params"]], [False, False, True])
    equal(t["params"][2]["default"], 1000)
    equal(t["params"][0]["doc"], "from")
    equal(t["returns"], "double")
    check(t["line"] > 0 and t["file"].endswith("cli_tasks.c"), t)
    equal(len({t["hash"] for t in tasks.values()}) > 15, True)


@test
def doctor_tells_what_there_is():
    status, out, err = run([YOKE, "doctor"])
    equal((status, err), (0, ""))
    for part in ("machine: ok", "threads: ok", "processes: ok", "inline: ok", "compiler:", "\n  topology: ", "processes:cuda:0"):
        has(out, part)
    status, out, err = run([YOKE, "doctor", "--json"])
    equal((status, err), (0, ""))
    json.loads(out)


@test
def doctor_tells_where_the_topology_comes_from():
    line = [line for line in run([YOKE, "doctor"])[1].split("\n") if line.startswith("  topology: ")][0]
    check(re.match(r"  topology: (hwloc 2|/sys \(lib|unknown \(lib)", line), line)
    if "hwloc 2" not in line:
        return
    fake = {**os.environ, "HWLOC_SYNTHETIC": "package:2 numa:2 l3:1 core:4 pu:2"}
    has(run([YOKE, "doctor"], env=fake)[1], ": 2 packages, 4 NUMA nodes, 4 L3 caches, 16 cores, 32 threads\n")


@test
def doctor_without_a_compiler():
    status, out, err = run([YOKE, "doctor"], env={**os.environ, "CC": "/nonexistent/cc"})
    check(status in (0, 1), f"{status}")
    has(out, "/nonexistent/cc")


@test
def doctor_lists_opencl_devices():
    found = json.loads(run([YOKE, "doctor", "--json"])[1])["findings"]
    opencl = [f for f in found if f["name"] == "opencl"][0]
    check(opencl["optional"] and len(opencl["details"]) >= 2, f"{opencl}")
    if opencl["ok"]:
        check(opencl["details"][1].startswith("opencl:0: "), f"{opencl}")
    for driver, why in (("/nonexistent/lib.so", "YOKE_OPENCL_DRIVER cannot be opened"), ("libm.so.6", "lacks clGetPlatformIDs")):
        status, out, err = run([YOKE, "doctor"], env={**os.environ, "YOKE_OPENCL_DRIVER": driver})
        equal((status, err), (0, ""))
        has(out, "opencl: not here\n")
        has(out, why)


@test
def doctor_lists_cuda_devices():
    fakes = os.path.join(BUILD, "tests", "gpu")
    for driver, line, detail in (("/nonexistent/lib.so", "cuda: not here\n", "no driver: /nonexistent/lib.so"),
                                 (fakes + "/fake-cuda-stub.so", "cuda: not here\n", "a toolkit's stub for linking"),
                                 (fakes + "/fake-cuda.so", "cuda: ok\n", "  cuda:0: Fake A100, 132 units, 1.0 GiB\n")):
        status, out, err = run([YOKE, "doctor"], env={**os.environ, "YOKE_CUDA_DRIVER": driver})
        equal((status, err), (0, ""))
        has(out, line)
        has(out, detail)
    for nvrtc, detail in ((fakes + "/fake-cuda.so", f"  kernels are compiled by {fakes}/fake-cuda.so\n"),
                          ("/nonexistent", "  cuda: no compiler: there is no NVRTC at YOKE_NVRTC=/nonexistent\n")):
        has(run([YOKE, "doctor"], env={**os.environ, "YOKE_CUDA_DRIVER": driver, "YOKE_NVRTC": nvrtc})[1], detail)
    for cublas, detail in ((fakes + "/fake-cuda.so", f"  matrices are multiplied by {fakes}/fake-cuda.so\n"),
                           ("off", "  matrices are multiplied by kernels of yoke's own (cuda: no BLAS: YOKE_CUBLAS=off)\n"),
                           ("/none", "yoke's own (cuda: no BLAS: there is no cuBLAS at YOKE_CUBLAS=/none)\n")):
        has(run([YOKE, "doctor"], env={**os.environ, "YOKE_CUDA_DRIVER": driver, "YOKE_CUBLAS": cublas})[1], detail)


@test
def help_for_all():
    status, out, err = run([YOKE, "--help"])
    equal((status, err), (0, ""))
    for command in ("ls", "run", "map", "kernel", "doctor"):
        has(out, f"  {command}")
        status, text, err = run([YOKE, command, "--help"])
        equal((command, status, err), (command, 0, ""))
        for part in (f"yoke {command}", "--help", "Examples", "exit"):
            check(part.lower() in text.lower(), f"{command} --help lacks {part!r}")
        equal(run([YOKE, "help", command]), (0, text, ""))
        check(max(len(line) for line in text.split("\n")) <= 120, f"{command}: long lines")
    has(run([YOKE, "--version"])[1], "yoke ")


main()
