#!/usr/bin/python3
"""Kernels as tasks of the command: yoke ls, run and map on every executor, what fails and how, devices that are none."""
import base64
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
os.environ.pop("YOKE_DEVICE", None)
FILE = os.path.join(FOLDER, "k.c")
TEXT = """#include <yoke/kernel.h>
#include <yoke/program.h>
#include <yoke/scan_kernel.h>
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
YOKE_KERNEL(squares, ((in, int32_t, x), (out, int64_t, y)), y[i] = (int64_t)x[i] * x[i];)
YOKE_KERNEL(count_up, ((val, long, m), (out, int32_t, y, m)), if (i < m) y[i] = (int32_t)(i + n);)
YOKE_DEVICE_CODE(struct pair { int32_t a; int32_t b; };)
YOKE_KERNEL(swap_pairs, ((inout, struct pair, p)), const int32_t a = p[i].a; p[i].a = p[i].b; p[i].b = a;)
YOKE_KERNEL(blur, ((in, double, x), (out, double, y)), y[i] = (x[i > 0 ? i - 1 : i] + x[i] + x[i < n - 1 ? i + 1 : i]) / 4;)
YOKE_REDUCTION(float, dot, (0), a + b, x[i] * y[i], ((in, float, x), (in, float, y)));
YOKE_REDUCTION(bool, odd, (0), a != b, x[i] % 2 != 0, ((in, int32_t, x)));
YOKE_DEVICE_CODE(YOKE_FN struct pair pair_of(int32_t v) { struct pair p; p.a = v; p.b = 0; return p; })
YOKE_REDUCTION(int64_t, bump, (0), a + b, (y[i] += 2), ((inout, int32_t, y)));
YOKE_REDUCTION(long double, wide, (0), a + b, x[i], ((in, int32_t, x)));
YOKE_REDUCTION(struct pair, ends, ({0, 0}), a, pair_of(x[i]), ((in, int32_t, x)));
YOKE_SCAN_KERNEL(int, up_to, (0), a + b, x[i], ((in, int, x), (out, int, y)), y[i] = item;)
YOKE_PROGRAM(ones, 64, ((out, int, y, groups * 64)), YOKE_ITEMS(l) { y[group * 64 + l] = 1; })
static int in_c_alone(int v) { return v + 1; }
YOKE_KERNEL(only_c, ((inout, int32_t, x)), x[i] = in_c_alone(x[i]);)
YOKE_TASK(const char *, usual)
{
    yoke_device *d = yoke_device_open(NULL);
    if (yoke_device_status(d) < 0)
        yoke_fail(yoke_device_status(d), "%s", yoke_device_error(d));
    bool is_cpu = strcmp(yoke_device_about(d)->driver, "cpu") == 0;
    yoke_device_close(d);
    return is_cpu ? "cpu" : "another";
}
YOKE_TASK(const char *, own)
{
    yoke_device *d = yoke_current_device();
    return d ? yoke_device_about(d)->driver : "none";
}
"""
with open(FILE, "w", encoding="utf-8") as source:
    source.write(TEXT)
AXPY, SQUARES = FILE + ":axpy", FILE + ":squares"
AXPY_ERROR = 'axpy: array "y" has 3 elements, and should have 2 (n)'


def has_opencl():
    """Whether there is an OpenCL device: asked once."""
    if not hasattr(has_opencl, "answer"):
        has_opencl.answer = run([YOKE, "run", AXPY, "2", "[1]", "[1]", "--on", "opencl"])[0] == 0
    return has_opencl.answer


def executors():
    here = ["inline", "threads:2", "processes:2", "gpu", "gpu:cpu", "cpu", "cpu:2", "processes:2:cpu"]
    return here + (["opencl", "gpu:opencl", "processes:opencl"] if has_opencl() else [])


def called(task, *words, on=None, **more):
    return run([YOKE, "run", f"{FILE}:{task}", *words, *(["--on", on] if on else [])], **more)


def mapped(task, records, *words, **more):
    done = subprocess.run([YOKE, "map", f"{FILE}:{task}", *words], input=records.encode(), capture_output=True, timeout=300,
                          **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def gives(expected, task, *words, on=None):
    status, out, err = called(task, *words, on=on)
    check(status == 0 and json.loads(out) == expected and err == "", f"{task} on {on}: {status}, {out!r}, {err!r}")


def refused(result, status, part):
    """Nothing on stdout, and one line that says why."""
    equal(result[:2], (status, ""))
    has(result[2], part)
    equal(result[2].count("\n"), 1)
    check(re.match(r"yoke( run)?: ", result[2]), result[2])


# ---- Seeing and calling them ----

@test
def kernels_are_listed_as_tasks():
    status, out, err = run([YOKE, "ls", FILE])
    equal((status, err), (0, ""))
    listed = [line.split("  ") for line in out.splitlines() if line[0] != " "]
    has(out, "\n    y  int64_t  (given by its shape: 3 or [2,2])\n")
    lacks(out, "\n    x  ")
    equal([signature for signature, _ in listed],
          ["axpy(a: f32, x: f32[] in, y: f32[] inout) -> void", "squares(x: i32[] in, y: i64[] out) -> void",
           "count_up(n: i64, m: i64, y: i32[] out) -> void", "swap_pairs(p: u8[] inout) -> void",
           "blur(x: f64[] in, y: f64[] out) -> void", "dot(x: f32[] in, y: f32[] in) -> f32", "odd(x: i32[] in) -> bool",
           "bump(y: i32[] inout) -> i64", "only_c(x: i32[] inout) -> void", "usual() -> cstr", "own() -> cstr"])
    lines = TEXT.splitlines()
    for signature, place in listed:
        number = int(place.rsplit(":", 1)[1])
        has(lines[number - 1], signature.split("(")[0])
    status, out, err = run([YOKE, "ls", "--json", FILE])
    equal((status, err), (0, ""))
    equal([task["name"] for task in json.loads(out)][:3], ["axpy", "squares", "count_up"])


@test
def one_call_on_every_executor():
    for on in executors():
        gives({"y": [12, 24, 36]}, "axpy", "2", "[1,2,3]", "[10,20,30]", on=on)
        gives({"y": [12, 24, 36]}, "axpy", "y=[10,20,30]", "x=[1,2,3]", "a=2", on=on)
        gives({"y": []}, "axpy", "2", "[]", "[]", on=on)
        gives({"y": [1, 4, 3600000000]}, "squares", "[1,-2,60000]", "3", on=on)
        gives({"y": [3, 5, 7, 9]}, "axpy", "2", "[[1,2],[3,4]]", "[1,1,1,1]", on=on)
        gives({"y": [5, 6]}, "count_up", "5", "2", "[2]", on=on)
        gives({"p": [2, 0, 0, 0, 1, 0, 0, 0]}, "swap_pairs", "[[1,0,0,0,2,0,0,0]]", on=on)
        gives({"y": [1, 1.5, 2.25, 2.75]}, "blur", "[1,2,3,4]", "4", on=on)


@test
def tasks_know_their_device():
    for on, driver in (("inline", "none"), ("threads:1", "none"), ("processes:1", "none"), ("gpu:cpu", "cpu"), ("cpu:2", "cpu"),
                       ("processes:cpu", "cpu"), ("processes:2:cpu:1", "cpu")):
        gives(driver, "own", on=on)
    if has_opencl():
        gives("opencl", "own", on="opencl:0")
        gives("opencl", "own", on="gpu:opencl")
        gives("opencl", "own", on="processes:opencl")


@test
def devices_in_worker_processes_stay_when_their_number_is_given():
    for on, jobs, becomes in (("processes:cpu", "2", "processes:2:cpu"), ("processes:3:cpu:1", "2", "processes:2:cpu:1"),
                              ("processes:3", "2", "processes:2"), ("processes:", "2", "processes:2"),
                              ("gpu:cpu", "1", "gpu:cpu")):
        driver = '"cpu"' if "cpu" in on else '"none"'
        status, out, err = mapped("own", "[]\n" * 5, "--on", on, "-j", jobs, "--summary")
        equal((status, out), (0, (driver + "\n") * 5))
        has(err, f'"executor": "{becomes}"')
    for words, code, why in ((["--on", "processes:cdua"], 2, 'no kind of device is named "cdua", did you mean "cuda"'),
                             (["--on", "processes:2x:cpu"], 2, 'bad number of workers "2x"'),
                             (["--on", "threads:cpu", "-j", "2"], 2, "bad number of workers")):
        status, out, err = mapped("own", "[]\n", *words)
        equal((status, out), (code, ""))
        has(err, why)


@test
def a_device_that_is_not_there_fails_the_records():
    status, out, err = mapped("axpy", "[2,[1],[1]]\n" * 3, "--on", "processes:cuda:0", "--retries", "1",
                              env={**os.environ, "YOKE_CUDA_DRIVER": "/nonexistent/driver.so"})
    equal((status, out), (1, ""))
    equal(err.count("axpy: cuda: no driver: /nonexistent/driver.so"), 3)


@test
def long_arrays_go_through():
    n = 30000
    x = bytes(b for i in range(n) for b in (i * 7 - 1000).to_bytes(4, "little", signed=True))
    record = json.dumps([{"shape": [n], "base64": base64.b64encode(x).decode()}, n]) + "\n"
    answers = set()
    for on in executors():
        status, out, err = mapped("squares", record * 3, "--on", on, "--base64")
        equal((status, err), (0, ""))
        lines = out.splitlines()
        equal(len(lines), 3)
        answers.update(lines)
    equal(len(answers), 1)
    y = json.loads(answers.pop())["y"]
    equal(y["shape"], [n])
    got = base64.b64decode(y["base64"])
    for i in range(n):
        if int.from_bytes(got[8 * i:8 * i + 8], "little", signed=True) != (i * 7 - 1000) ** 2:
            raise AssertionError(f"element {i}")


# ---- Wrong calls ----

@test
def wrong_lengths_fail_the_task():
    for on in executors():
        refused(called("axpy", "2", "[1,2]", "[1,2,3]", on=on), 1, "yoke run: " + AXPY_ERROR)
        refused(called("squares", "[1,2,-3]", "[2]", on=on), 1,
                'squares: array "y" has 2 elements, and should have 3 (n): it is an out array, given by its shape, here 3')
        refused(called("squares", "[1,2,-3]", "[9,9,9]", on=on), 1, 'array "y" has 729 elements, and should have 3 (n): it is')
        refused(called("count_up", "5", "2", "3", on=on), 1, 'count_up: array "y" has 3 elements, and should have 2 (m)')
        refused(called("count_up", "n=-1", "m=2", "y=2", on=on), 1, "count_up: n is -1, and should be 0 or more")
        refused(called("swap_pairs", "[[1,2,3,4,5,6,7]]", on=on), 1,
                'swap_pairs: array "p" has 7 bytes, no multiple of the 8 of an element')


@test
def wrong_arguments_are_wrong_usage():
    for words, part in ((["2"], 'argument 2 "x" (f32[] in) of axpy is missing'),
                        (["2", "[1]"], 'argument 3 "y" (f32[] inout) of axpy is missing'),
                        (["2", "1", "[1]"], 'argument 2 "x" of axpy: expected array'),
                        (["2", "[1]", '["a"]'], 'argument 3 "y" of axpy: expected number'),
                        (["[2]", "[1]", "[1]"], 'argument 1 "a" of axpy'),
                        (["a=2", "x=[1]", "y=[1]", "z=3"], 'axpy has no argument "z"')):
        refused(called("axpy", *words), 2, part)
    refused(called("squares", "[3000000000]", "1"), 2, 'of squares: ')
    refused(called("axpi", "1"), 2, 'has no task "axpi"; did you mean "axpy"?')
    for task, form in (("up_to", "scan"), ("ones", "program"), ("ends", "reduction whose result has no JSON form"),
                       ("wide", "reduction whose result has no JSON form")):  # which are called from C alone
        refused(called(task, "[1]", "[1]"), 2,
                f"{task} is a {form}; yoke run and yoke map run tasks, YOKE_KERNELs and reductions to numbers")
    status, out, err = mapped("up_to", "[1]\n")
    equal((status, out), (2, ""))
    has(err, "up_to is a scan; yoke run and yoke map run tasks, YOKE_KERNELs and reductions to numbers")


@test
def a_reduction_is_a_task():
    has(run([YOKE, "ls", FILE])[1], "dot(x: f32[] in, y: f32[] in) -> f32")
    for on in executors():
        equal(called("dot", "[1,2,3]", "[4,5,6]", on=on), (0, "32.0\n", ""))
        equal(called("dot", "[]", "[]", on=on), (0, "0.0\n", ""))
        equal(called("odd", "[1,2,3]", on=on), (0, "false\n", ""))
        refused(called("dot", "[1,2]", "[1]", on=on), 1, 'dot: array "y" has 1 elements, and should have 2 (n)')
        gives({"return": 12, "y": [3, 4, 5]}, "bump", "[1,2,3]", on=on)
    equal(mapped("dot", '[[1],[2]]\n[[1,2],[3,4]]\n')[:2], (0, "2.0\n11.0\n"))


@test
def a_helper_does_not_stand_in_the_way():
    """A reduction beside the one task of a file, and one with a task's name."""
    front = "#include <yoke.h>\n#include <yoke/kernel.h>\n"
    sums = "YOKE_REDUCTION(double, total, (0), a + b, x[i], ((in, double, x)));\n"
    path = os.path.join(FOLDER, "one.c")
    for text, words, answer in ((sums + "YOKE_TASK(long, twice, (long, v)) { return 2 * v; }\n", ["21"], "42\n"),
                                (sums, ["[1,2]"], "3.0\n"),
                                (sums + "YOKE_TASK(long, total, (long, v)) { return v + 1; }\n", ["1"], "2\n"),
                                ("YOKE_TASK(long, total, (long, v)) { return v + 1; }\n" + sums, ["1"], "2\n")):
        with open(path, "w") as f:
            f.write(front + text)
        equal(run([YOKE, "run", path, *words]), (0, answer, ""))


@test
def what_does_not_compile_for_a_device_runs_elsewhere():
    for on in ("inline", "threads:2", "processes:1", "gpu:cpu"):
        gives({"x": [2, 3]}, "only_c", "[[1,2]]", on=on)
    if not has_opencl():
        skip("no OpenCL here")
    gives({"x": [2, 3]}, "only_c", "[[1,2]]", on="gpu:opencl")
    status, out, err = called("only_c", "[[1,2]]", on="opencl")
    equal((status, out), (1, ""))
    number = 1 + [line.startswith("YOKE_KERNEL(only_c") for line in TEXT.splitlines()].index(True)
    has(err, f"yoke run: only_c: opencl:0: kernel only_c ({FILE}:{number}) does not compile for opencl:0: ")
    has(err, "in_c_alone")
    lacks(err, "launch.c")


# ---- Records ----

def rows(path):
    with open(path, encoding="utf-8") as log:
        lines = log.read().splitlines()
    has(lines[0], "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand")
    return [line.split("\t", 8) for line in lines[1:]]


RECORDS = '[2,[1,2],[3,4]]\n[1,[1,2],[1,2,3]]\n{"a":3,"x":[1],"y":[1]}\n{"a":3,"y":[],"x":[]}\n'


@test
def records_with_one_that_fails():
    for number, on in enumerate(executors()):
        log = os.path.join(FOLDER, f"log{number}")
        status, out, err = mapped("axpy", RECORDS, "--on", on, "--joblog", log)
        equal((status, out), (1, '{"y":[5.0,8.0]}\n{"y":[4.0]}\n{"y":[]}\n'))
        equal(err, f"yoke: record 2: {AXPY_ERROR}\n")
        equal(sorted((row[0], row[6], row[7]) for row in rows(log)),
              [("1", "0", "0"), ("2", "1", "0"), ("3", "0", "0"), ("4", "0", "0")])
        for row in rows(log):
            has(row[8], f"yoke map {AXPY} ")


@test
def a_log_is_gone_on_from():
    log = os.path.join(FOLDER, "resumed")
    first = "\n".join(RECORDS.splitlines()[:2]) + "\n"
    equal(mapped("axpy", first, "--on", "threads:2", "--joblog", log)[:2], (1, '{"y":[5.0,8.0]}\n'))
    on = "opencl" if has_opencl() else "gpu"
    equal(mapped("axpy", RECORDS, "--on", on, "--joblog", log, "--resume"), (0, '{"y":[4.0]}\n{"y":[]}\n', ""))
    equal(sorted(row[0] for row in rows(log)), ["1", "2", "3", "4"])
    mended = RECORDS.replace("[1,2,3]", "[1,2]")
    equal(mapped("axpy", mended, "--on", on, "--joblog", log, "--resume-failed"), (0, '{"y":[2.0,4.0]}\n', ""))


@test
def many_records_in_order():
    records = "".join(f"[{i},[1,2,3],[0,{i},1]]\n" for i in range(200))
    expected = [{"y": [i, 3 * i, 3 * i + 1]} for i in range(200)]
    for on in executors():
        status, out, err = mapped("axpy", records, "--on", on)
        equal((status, err), (0, ""))
        equal([json.loads(line) for line in out.splitlines()], expected)


@test
def arguments_as_records():
    equal(run([YOKE, "map", AXPY, "--on", "threads:2", ":::", "[2,[1],[1]]", "[3,[1],[1]]"]),
          (0, '{"y":[3.0]}\n{"y":[4.0]}\n', ""))
    status, out, err = mapped("axpy", "[2,[1]]\n[2,[1],[1]]\n", "--on", "gpu:cpu")
    equal((status, out), (1, '{"y":[3.0]}\n'))
    has(err, 'record 1: argument 3 "y" of axpy: missing')


# ---- Devices that are none ----

def everyone_refuses(on, status, part, **more):
    refused(called("axpy", "2", "[1]", "[1]", on=on, **more), status, part)
    refused(mapped("axpy", "[2,[1],[1]]\n", "--on", on, **more), status, part)


@test
def unknown_devices_are_exit_3():
    everyone_refuses("gpu:cdua", 3, 'no kind of device is named "cdua", did you mean "cuda"; there are cuda, opencl, gpu and '
                     "cpu")
    everyone_refuses("gpu:cpu:0", 3, "the number of threads is 1 to ")
    everyone_refuses("gpu:cpu:x", 3, "cpu:x: the number of threads is 1 to ")
    everyone_refuses("gpu:" + "x" * 200, 3, "a device's name has at most 127 characters")
    if has_opencl():
        everyone_refuses("opencl:99", 3, "opencl:99: devices are counted from 0, and there ")
        everyone_refuses("gpu:opencl:99", 3, "opencl:99: devices are counted from 0, and there ")
        everyone_refuses("opencl:no such thing", 3, 'no OpenCL device has "no such thing" in its name')
        everyone_refuses("opencl:-1", 3, 'no OpenCL device has "-1" in its name')
        gives({"y": [3]}, "axpy", "2", "[1]", "[1]", on="gpu:opencl:99,cpu")  # the first that works


@test
def unknown_executors_are_exit_2():
    everyone_refuses("cudas", 2, 'no executor "cudas"')
    everyone_refuses("threads:x", 2, 'bad number of workers "x"')


def without(**names):
    return {"env": dict(os.environ, **names)}


@test
def no_cuda_is_one_line():
    nothing = os.path.join(FOLDER, "no such folder", "libcuda.so.1")
    for on in ("cuda", "cuda:0", "cuda:H100", "gpu:cuda"):
        everyone_refuses(on, 3, "cuda: no driver: " + nothing, **without(YOKE_CUDA_DRIVER=nothing))
    everyone_refuses("cuda", 3, "cuda: no driver: " + FILE, **without(YOKE_CUDA_DRIVER=FILE))  # no library
    status, out, err = run([YOKE, "doctor"], **without(YOKE_CUDA_DRIVER=nothing))
    equal((status, err), (0, ""))
    has(out, "cuda: not here\n  tasks that own a CUDA device\n  cuda: no driver: " + nothing)
    has(out, "gpu: ")


@test
def no_opencl_is_one_line():
    nothing = os.path.join(FOLDER, "no such folder", "libOpenCL.so.1")
    for on in ("opencl", "opencl:0", "opencl:pocl", "gpu:opencl"):
        everyone_refuses(on, 3, nothing, **without(YOKE_OPENCL_DRIVER=nothing))
    status, out, err = run([YOKE, "doctor"], **without(YOKE_OPENCL_DRIVER=nothing))
    equal((status, err), (0, ""))
    has(out, "opencl: not here\n")
    has(out, nothing)


@test
def with_neither_the_cpu_does_it():
    env = without(YOKE_CUDA_DRIVER=os.path.join(FOLDER, "none"), YOKE_OPENCL_DRIVER=os.path.join(FOLDER, "none"))
    status, out, err = called("axpy", "2", "[1,2,3]", "[10,20,30]", on="gpu", **env)
    equal((status, json.loads(out), err), (0, {"y": [12, 24, 36]}, ""))
    status, out, err = called("usual", **env)
    equal((status, out, err), (0, '"cpu"\n', ""))


@test
def the_usual_device_is_named_by_the_environment():
    equal(called("usual", **without(YOKE_DEVICE="cpu:2")), (0, '"cpu"\n', ""))
    equal(called("usual", **without(YOKE_DEVICE="")), called("usual"))
    equal(called("usual", **without(YOKE_DEVICE="nothing,cpu"))[:2], (0, '"cpu"\n'))
    for name, part in (("cpx", 'no kind of device is named "cpx", did you mean "cpu"; there are'),
                       ("gpu:cpu", '"gpu" is the first GPU there is, without a number'),
                       ("nothing,cpx", 'no kind of device is named "nothing"'),
                       (",", 'no kind of device is named ""'), ("cpu:none", "cpu:none: the number of threads")):
        refused(called("usual", **without(YOKE_DEVICE=name)), 1, "yoke run: usual: YOKE_DEVICE: " + part)
    equal(called("own", on="gpu", **without(YOKE_DEVICE="nothing, cpu:2 ")), (0, '"cpu"\n', ""))
    refused(called("own", on="gpu", **without(YOKE_DEVICE="cpx")), 3, 'YOKE_DEVICE: no kind of device is named "cpx"')
    # It does not count where a device is named.
    equal(called("axpy", "2", "[1]", "[1]", on="gpu:cpu", **without(YOKE_DEVICE="cpx"))[:2], (0, '{"y":[3.0]}\n'))


main()
