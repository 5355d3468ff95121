#!/usr/bin/python3
"""yoke kernel check: what kernels give on devices beside what they give on the CPU; kernels that crash, hang, leave their
arrays or race; and the simulator that sees more."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
os.environ.pop("YOKE_DEVICE", None)
# The simulator stands before a sanitizer's library, which does not run then: there are no such tests under one.
SANITIZED = os.environ.get("YOKE_SANITIZE", "none") not in ("", "none")
simulator_test = (lambda function: function) if SANITIZED else test
FRONT = """// yoke-flags: -lm
#include <yoke/kernel.h>
#include <yoke/program.h>
#include <yoke/scan_kernel.h>
#ifndef __OPENCL_VERSION__
#define __OPENCL_VERSION__ 0
#endif
"""
LINES = FRONT.count("\n")
GOOD = FRONT + """YOKE_DEVICE_CODE(
    struct body { float x[2]; int hits; };
    YOKE_FN float square(float x) { return x * x; }
)
YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i] - square(x[i]) * 3;)
YOKE_KERNEL(waves, ((in, double, x), (in, float, z), (out, double, y)), y[i] = sin(x[i]) * exp(z[i]) / sqrt(fabs(x[i]) + 1);)
YOKE_KERNEL(nans, ((in, float, x), (out, float, y)), y[i] = sqrt(x[i]);)
YOKE_KERNEL(bits, ((in, uint8_t, a), (in, int64_t, b), (out, int16_t, c)), c[i] = (int16_t)(a[i] ^ (uint8_t)b[i]);)
YOKE_KERNEL(flags, ((in, bool, a), (out, bool, b)), b[i] = !a[i];)
YOKE_KERNEL(gathered, ((in, int, at), (in, float, x), (out, float, y)), y[i] = x[at[i]];)
YOKE_KERNEL(counted, ((in, uint8_t, x), (inout, int, bins, 256)), yoke_atomic_add(&bins[x[i]], 1);)
YOKE_KERNEL(table, ((val, long, m), (in, float, t, m), (out, float, y)), y[i] = t[i % m];)
YOKE_KERNEL(bodies, ((inout, struct body, b)), b[i].x[1] += b[i].x[0] * 0.1f; b[i].hits++;)
YOKE_REDUCTION(float, longest, (0), yoke_greater(a, b), fabs(x[i]), ((in, float, x)));
YOKE_REDUCTION(double, energy, (0), a + b, sin(x[i]) * x[i], ((in, double, x)));
YOKE_SCAN_KERNEL(int, running, (0), a + b, x[i], ((in, int, x), (out, int, y)), y[i] = item;)
YOKE_SEGMENTED_SCAN_KERNEL(float, parts, (0), a + b, x[i], i % 5 == 0, ((in, float, x), (out, float, y)), y[i] = prev_item;)
YOKE_PROGRAM(mirrored, 64, ((inout, int, y, groups * 64)), YOKE_SHARED(int, s, 64); YOKE_ITEMS(l) { s[l] = y[group * 64 + l]; }
             YOKE_ITEMS(l) { y[group * 64 + l] = s[63 - l]; })
YOKE_PROGRAM(sums, 64, ((in, float, x, m), (val, long, m), (out, float, sum, groups)), YOKE_SHARED(float, s, 64);
             YOKE_ITEMS(l) { s[l] = group * 64 + l < m ? x[group * 64 + l] : 0; }
             for (int half = 32; half > 0; half /= 2)
                 YOKE_ITEMS(l) { if (l < half) s[l] += s[l + half]; }
             YOKE_ITEMS(l) { if (l == 0) sum[group] = s[0]; })
"""
NAMES = re.findall(r"^YOKE_(?:KERNEL|PROGRAM)\((\w+)|^YOKE_\w+\(\w+, (\w+)", GOOD, re.M)
NAMES = [a or b for a, b in NAMES if a or b != "body"]


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def has_opencl():
    if not hasattr(has_opencl, "answer"):
        path = write("one.c", FRONT + "YOKE_KERNEL(one, ((out, int, y)), y[i] = 1;)\n")
        has_opencl.answer = run([YOKE, "run", path + ":one", "3", "--on", "opencl"])[0] == 0
    return has_opencl.answer


def without_oclgrind():
    """A PATH that has what the command needs, and no Oclgrind."""
    folder = os.path.join(FOLDER, "path")
    if not os.path.exists(folder):
        os.mkdir(folder)
        for part in os.environ["PATH"].split(":"):
            for name in os.listdir(part) if os.path.isdir(part) else []:
                if name != "oclgrind" and not os.path.lexists(os.path.join(folder, name)):
                    os.symlink(os.path.join(part, name), os.path.join(folder, name))
    return dict(os.environ, PATH=folder)


def checked(text, *words, name="k.c", simulate=False, **environment):
    """Status and lines of kernels, "NAME: rest" as pairs, without those of compilers; and stderr."""
    if not has_opencl():
        skip("no OpenCL here")
    env = dict(os.environ) if simulate else without_oclgrind()
    env.update(environment)
    status, out, err = run([YOKE, "kernel", "check", write(name, text), "--language", "opencl", *words], env=env)
    lines = [line for line in out.splitlines() if not re.search(r"^\w+: opencl:\d+: ok$", line)]
    return status, lines, err


def about(lines, name):
    return [line[len(name) + 2:] for line in lines if line.startswith(name + ": ")]


def one(text, *words, **more):
    """The lines of the one kernel of a file."""
    status, lines, _ = checked(FRONT + text, *words, **more)  # OpenCL's compiler may have written of warnings
    name = re.search(r"YOKE_(?:KERNEL|PROGRAM)\((\w+)|YOKE_[A-Z_]*(?:REDUCTION|SCAN_KERNEL)\(\w+, (\w+)", text)
    name = name[1] or name[2]
    return status, about(lines, name)


# ---- What gives the same ----

@test
def good_kernels_give_the_same():
    status, lines, err = checked(GOOD)
    equal((status, err), (0, ""))
    for name in NAMES:
        equal(len(about(lines, name)), 1)
        groups = name in ("mirrored", "sums")
        has(about(lines, name)[0], "opencl:0: the same as on the CPU, with " + ("1, 3, 17 groups" if groups else
                                                                                "1, 17, 1000, 4097 elements"))
    has(about(lines, "gathered")[0], "of numbers that may be indices alone (of others: with ")
    has(about(lines, "gathered")[0], "is out of bounds: it has ")
    for name in ("axpy", "waves", "running", "energy", "bodies"):
        lacks(about(lines, name)[0], "alone")
    has(lines[-1], "oclgrind: not installed (apt-get install oclgrind): races and bounds not checked")


@test
def one_kernel_of_a_file():
    if not has_opencl():
        skip("no OpenCL here")
    path = write("good.c", GOOD)
    status, out, err = run([YOKE, "kernel", "check", path + ":running", "--language", "opencl"], env=without_oclgrind())
    equal((status, err), (0, ""))
    has(out, "running: opencl:0: the same")
    lacks(out, "axpy")
    status, out, err = run([YOKE, "kernel", "check", path + ":running", "--compile-only"])
    equal((status, err), (0, ""))
    lacks(out, "the same")
    lacks(out, "oclgrind")


@test
def values_of_the_first_sort_that_fits_are_taken():
    for text, sort in (
            ("YOKE_KERNEL(k, ((in, int, at), (inout, int, y)), yoke_atomic_add(&y[at[i]], 1);)\n",
             "numbers that may be indices"),
            ("YOKE_KERNEL(k, ((val, int, by), (in, int, x), (out, int, y)), y[i] = x[i + 2 * by];)\n", "zeros"),
            ("YOKE_KERNEL(k, ((val, long, by), (in, int, x), (out, int, y)), y[i] = x[i] / by + x[i + by - 1];)\n",
             "zeros, and ones as values")):
        status, lines = one(text)
        equal((status, len(lines)), (0, 1))
        has(lines[0], f", of {sort} alone (of others: ")


@test
def bits_of_every_integer_are_compared():
    for ctype in ("int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t", "char", "bool"):
        status, lines = one(f"YOKE_KERNEL(k, ((in, {ctype}, x), (out, {ctype}, y)), "
                            "y[i] = i == 16 && __OPENCL_VERSION__ > 0 ? !x[i] : x[i];)\n")
        equal(status, 1)
        check(re.match(r"opencl:0: with 17 elements y\[16\] is [01], and on the CPU -?\d+ \(x\[16\] = -?\d+\)$", lines[0]),
              lines)


@test
def many_seeds_give_the_same():
    for seed in ("2", "3", "99"):
        status, lines, err = checked(GOOD, "--seed", seed)
        equal((status, err), (0, ""))


# ---- What does not ----

@test
def a_kernel_that_depends_on_the_driver_is_found():
    status, lines = one("YOKE_KERNEL(wrong, ((in, int, x), (out, int, y)), "
                        "y[i] = x[i] + (i == 11 && __OPENCL_VERSION__ > 0);)\n")
    equal(status, 1)
    check(len(lines) == 1 and re.fullmatch(r"opencl:0: with 17 elements y\[11\] is (-?\d+), and on the CPU (-?\d+) "
                                           r"\(x\[11\] = (-?\d+)\)", lines[0]), lines)
    got, cpu, x = map(int, re.findall(r"(?:is|CPU|=) (-?\d+)", lines[0]))
    equal((got, cpu), (x + 1, x))


@test
def floats_are_compared_in_ulps():
    body = "y[i] = x[i] + 0; if (__OPENCL_VERSION__ > 0) y[i] = yoke_as_float(yoke_as_uint(y[i]) + 5u);"
    kernel = f"YOKE_KERNEL(near, ((in, float, x), (out, float, y)), {body})\n"
    status, lines = one(kernel)
    equal(status, 1)
    has(lines[0], ": 5 ulp apart, 0 allowed (x[0] = ")
    rounded = kernel.replace("x[i] + 0", "x[i] / 3")
    equal(one(rounded)[0], 0)
    status, lines = one(rounded, "--ulp", "4")
    equal(status, 1)
    check(re.search(r": [456] ulp apart, 4 allowed", lines[0]), lines)


@test
def contraction_would_be_found():
    status, lines = one("YOKE_KERNEL(fused, ((in, float, x), (in, float, z), (out, float, y)), "
                        "y[i] = __OPENCL_VERSION__ > 0 ? fma(x[i], z[i], x[i]) : x[i] * z[i] + x[i];)\n")
    equal(status, 1)
    has(lines[0], " ulp apart, 0 allowed")


@test
def other_forms_are_compared():
    status, lines = one("YOKE_REDUCTION(int, total, (0), a + b, x[i] + (__OPENCL_VERSION__ > 0), ((in, int, x)));\n")
    equal(status, 1)
    has(lines[0], "opencl:0: with 1 element the result is ")
    status, lines = one("YOKE_SCAN_KERNEL(int, scan, (0), a + b, x[i], ((in, int, x), (out, int, y)), "
                        "y[i] = item + (i == 999 && __OPENCL_VERSION__ > 0);)\n")
    equal(status, 1)
    has(lines[0], "opencl:0: with 1000 elements y[999] is ")
    status, lines = one("YOKE_PROGRAM(p, 64, ((inout, int, y, groups * 64)), YOKE_ITEMS(l) "
                        "{ if (group == 2) y[group * 64 + l] += __OPENCL_VERSION__ > 0; })\n")
    equal(status, 1)
    has(lines[0], "opencl:0: with 3 groups y[128] is ")
    has(lines[0], "; so do 63 more")
    status, lines = one("YOKE_DEVICE_CODE(struct pair { int a; float b; };)\n"
                        "YOKE_KERNEL(s, ((inout, struct pair, p)), p[i].b += __OPENCL_VERSION__ > 0;)\n")
    equal(status, 1)
    has(lines[0], "opencl:0: with 1 element p[0].b is ")


@test
def nan_and_a_number_differ():
    status, lines = one("YOKE_KERNEL(n, ((in, float, x), (out, float, y)), y[i] = __OPENCL_VERSION__ > 0 ? NAN : x[i];)\n")
    equal(status, 1)
    check(re.search(r"y\[0\] is -?nan, and on the CPU .*: one is no number", lines[0]), lines)


# ---- The CPU alone ----

@test
def who_leaves_its_arrays_is_told():
    for body, place in (("y[i + 1] = x[i];", "y[1]"), ("y[i] = x[i - 1];", "x[-1]"), ("y[n] = x[i];", "y[1]")):
        status, lines = one(f"YOKE_KERNEL(far, ((in, float, x), (out, float, y)), {body})\n")
        equal(status, 1)
        check(len(lines) == 1 and re.match(r"cpu: with \d+ elements? " + re.escape(place.split("[")[0]) +
                                           r"\[-?\d+\] is out of bounds: it has \d+ elements? \(n\)", lines[0]), lines)


@test
def what_depends_on_the_order_is_told():
    status, lines = one("YOKE_KERNEL(raced, ((in, int, x), (inout, int, y)), y[0] = x[i];)\n")
    equal(status, 1)
    has(lines[0], "cpu: with 17 elements y[0] depends on the order in which elements are done: it is ")


@test
def an_out_array_that_is_not_written_whole_is_told():
    shows_through = "depends on what was in an out array before; make the one that is read inout"
    for params, body, what in (
            ("(in, int, x), (out, int, y)", "if (x[i] > 0) y[i] = 1;",
             r"y\[\d+\] is not written: an out array is written whole; make it inout"),
            ("(in, int, x), (out, bool, y)", "if (i != 16) y[i] = x[i] > 0;",
             r"y\[16\] is not written: an out array is written whole; make it inout"),
            ("(out, int, y)", "y[i] |= 1;", r"y\[0\] " + shows_through),
            ("(out, float, y)", "y[i] += 1;", r"y\[\d+\] " + shows_through),
            ("(out, int, y, n + 1)", "y[i] = 1;",
             r"y\[1\] is not written: an out array is written whole; make it inout")):
        status, lines = one(f"YOKE_KERNEL(k, ({params}), {body})\n")
        equal((status, len(lines)), (1, 1))
        check(re.fullmatch(r"cpu: with \d+ elements? " + what, lines[0]), lines)
    status, lines = one("YOKE_DEVICE_CODE(struct pair { char a; float b; };)\n"
                        "YOKE_KERNEL(k, ((out, struct pair, p)), p[i].a = 1; p[i].b = NAN;)\n")
    equal(status, 0)
    status, lines = one("YOKE_DEVICE_CODE(struct pair { char a; float b; };)\n"
                        "YOKE_KERNEL(k, ((out, struct pair, p)), p[i].a = 1;)\n")
    equal((status, lines), (1, ["cpu: with 1 element p[0].b is not written: an out array is written whole; make it inout"]))
    status, lines = one("YOKE_KERNEL(k, ((in, int, x), (out, int, y), (out, int, z)), z[i] = y[i]; y[i] = x[i];)\n")
    equal((status, lines), (1, [f"cpu: with 1 element z[0] {shows_through}"]))  # y is read, z shows it
    for params in ("(val, long, m), (out, int, y, m * m)", "(out, int, y, 5000)"):  # n may have to be so large
        equal(one(f"YOKE_KERNEL(k, ({params}), y[i] = 1;)\n")[0], 0)
    equal(one("YOKE_PROGRAM(p, 64, ((out, int, y)), YOKE_ITEMS(l) { if (l == 0) y[group] = 1; })\n")[0], 0)  # how long is it?
    status, lines = one("YOKE_PROGRAM(p, 64, ((out, int, y, groups + 1)), YOKE_ITEMS(l) { if (l == 0) y[group] = 1; })\n")
    equal((status, len(lines)), (1, 1))
    has(lines[0], "with 1 group y[1] is not written")


@test
def a_variable_of_the_group_that_items_share_is_told():
    status, lines = one("YOKE_PROGRAM(p, 64, ((in, float, x, groups * 64), (out, float, y, groups * 64)), float acc = 0; "
                        "YOKE_ITEMS(l) { acc += x[group * 64 + l]; } YOKE_ITEMS(l) { y[group * 64 + l] = acc; })\n")
    equal((status, len(lines)), (1, 1))
    check(re.match(r"opencl:0 as a GPU: with 1 group y\[0\] is .*, and on the CPU .*; so do 6\d more", lines[0]), lines)


@test
def arguments_that_a_kernel_cannot_live_with():
    status, lines = one("YOKE_KERNEL(d, ((in, int, x), (out, int, y)), y[i] = 7 / (x[i] & 0x4000);)\n")
    equal(status, 1)
    has(lines[0], "divides by zero")
    status, lines = one("YOKE_PROGRAM(p, 64, ((val, long, m), (in, float, x, m), (out, float, y, groups)), "
                        "YOKE_ITEMS(l) { if (l == 0) y[group] = x[m]; })\n")
    equal(status, 0)  # nobody tells what a program expects
    has(lines[0], "not compared: with 1 group x[64] is out of bounds: it has 64 elements (m), with arguments that were made up")
    status, lines = one("YOKE_PROGRAM(p, 64, ((inout, int, x)), YOKE_ITEMS(l) { if (l == 0) x[64 * groups] = 1; })\n")
    equal(status, 0)
    has(lines[0], "not compared: with 1 group x[64] is out of bounds: it has 64 elements (made up), with arguments that")


@test
def what_is_not_compared_is_told():
    for text, why in (
            ("YOKE_KERNEL(k, ((in, float, x), (inout, int, at, 1), (out, float, y)), y[yoke_atomic_add(&at[0], 1)] = x[i];)\n",
             "not compared: what yoke_atomic_add() does depends on the order of elements"),
            ("YOKE_KERNEL(k, ((in, float, x), (out, float, y)), y[i] = yoke_fast_sin(x[i]);)\n",
             "not compared: yoke_fast_... is as exact as each device likes"),
            ("YOKE_DEVICE_CODE(struct odd { union { int a; float b; } u; };)\n"
             "YOKE_KERNEL(k, ((inout, struct odd, x)), x[i].u.a = 1;)\n",
             "not compared: what is in struct odd, the type of x, is not known")):
        status, lines = one(text)
        equal((status, len(lines)), (0, 1))
        has(lines[0], why)


# ---- Processes that end ----

CRASH = """YOKE_KERNEL(first, ((out, int, y)), y[i] = 1;)
YOKE_KERNEL(crashes, ((out, int, y)), y[i + (__OPENCL_VERSION__ > 0 ? 1000000000000l : 0)] = 1;)
YOKE_KERNEL(last, ((out, int, y)), y[i] = 2;)
"""


@test
def a_crash_on_the_device_is_one_line():
    status, lines, err = checked(FRONT + CRASH)
    equal((status, err), (1, ""))
    equal(about(lines, "crashes"), ["opencl:0: with 1 element it ends the process: signal 11 (Segmentation fault)"])
    for name in ("first", "last"):
        has(about(lines, name)[0], "the same as on the CPU")


@test
def loops_without_end_are_ended():
    text = CRASH.replace("y[i + (__OPENCL_VERSION__ > 0 ? 1000000000000l : 0)] = 1;",
                         "for (long j = 0; j != n - 1000; j += WHERE) yoke_atomic_or(&y[i], 1);")
    text = text.replace("crashes, ((out,", "crashes, ((inout,")
    status, lines, err = checked(FRONT + text.replace("WHERE", "(__OPENCL_VERSION__ > 0 ? 0 : n - 1000)"), "--timeout", "2s")
    equal((status, err), (1, ""))
    equal(about(lines, "crashes"), ["opencl:0: with 1 element it does not end within 2 s"])
    has(about(lines, "last")[0], "the same as on the CPU")
    status, lines, err = checked(FRONT + text.replace("WHERE", "0"), "--timeout", "2s")
    equal((status, err), (0, ""))  # the arguments may be to blame
    equal(about(lines, "crashes"), ["cpu: with 1 element it does not end within 2 s"])
    has(about(lines, "last")[0], "the same as on the CPU")


@test
def what_kernels_print_is_not_in_the_way():
    status, lines = one('YOKE_KERNEL(k, ((out, int, y)), printf("-k: cpu: lies\\n"); y[i] = 1;)\n')
    equal(status, 0)
    equal(len(lines), 1)


# ---- Devices ----

@test
def devices_are_chosen():
    text = FRONT + "YOKE_KERNEL(k, ((out, int, y)), y[i] = 1;)\n"
    for words, environment in ((["--device", "opencl:0"], {}), ([], {"YOKE_DEVICE": "opencl:0"}),
                               ([], {"YOKE_DEVICE": "cpu"})):
        status, lines, err = checked(text, *words, **environment)
        equal((status, err), (0, ""))
        has(about(lines, "k")[0], "opencl:0: the same")
    status, lines, err = checked(text, "--device", "opencl:99")
    equal(status, 3)
    has(err, "opencl:99: devices are counted from 0")
    status, lines, err = checked(text, "--device", "cpu")
    equal(status, 2)
    has(err, "--device: the CPU is what devices are compared with")
    status, out, err = run([YOKE, "--run-kernels", "x.c"])
    equal((status, out), (2, ""))


@test
def files_without_devices_or_tasks():
    text = FRONT + "YOKE_SCAN_KERNEL(int, total, (0), a + b, x[i], ((in, int, x), (out, int, y)), y[i] = item;)\n"  # no task
    status, lines, err = checked(text)
    equal((status, err), (0, ""))
    has(about(lines, "total")[0], "opencl:0: the same")
    path = write("k.c", text)
    status, out, err = run([YOKE, "kernel", "show", path])
    equal((status, err), (0, ""))
    status, out, err = run([YOKE, "ls", path])
    equal((status, out), (2, ""))
    has(err, "has no tasks")
    # With no OpenCL there is still CUDA's compiler, perhaps, and nothing to compare with.
    env = dict(without_oclgrind(), YOKE_OPENCL_DRIVER="/nonexistent.so")
    status, out, err = run([YOKE, "kernel", "check", path], env=env)
    if status == 3:
        has(err, "there is no compiler for CUDA or OpenCL here")
    elif "cuda:0" not in run([YOKE, "doctor"])[1]:
        equal((status, err), (0, ""))
        has(out, "there is no device here to compare the CPU with")


# ---- The simulator ----

FAKE = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case $1 in --max-errors) shift ;; esac
    shift
done
"""


def faked(script):
    """What comes of a program called oclgrind that is none."""
    env = without_oclgrind()
    folder = os.path.join(FOLDER, "fake")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "oclgrind")
    with open(path, "w", encoding="utf-8") as file:
        file.write(FAKE + script)
    os.chmod(path, 0o755)
    text = (FRONT + "YOKE_KERNEL(k, ((in, int, x), (out, int, y)), y[i] = x[i];)\n"
            "YOKE_REDUCTION(int, total, (0), a + b, x[i], ((in, int, x)));\n")
    status, lines, err = checked(text, PATH=folder + ":" + env["PATH"])
    equal(err, "")
    return status, [line for line in lines if "oclgrind: " in line], path


@test
def a_simulator_that_cannot_be_used_is_told():
    for script, why in (("echo 'no library' >&2; exit 1\n", "no library"),
                        ("exit 7\n", "the process that runs kernels has ended at once: exit code 7"),
                        ("unset YOKE_OPENCL_DRIVER; exec \"$@\"\n", "yoke: the device under it is ")):
        status, lines, path = faked(script)
        equal((status, len(lines)), (0, 1))
        has(lines[0], f"oclgrind: {path} cannot be used, races and bounds are not checked: ")
        has(lines[0], why)


@test
def messages_are_taken_apart():
    message = ("\n{what} at global memory address 0x1000000000000\n\tKernel: {kernel}\n\t\n"
               "\tFirst entity:  Global(3,0,0) Local(3,0,0) Group(0,0,0)\n\t  store i32 0\n\tAt line {line} of {file}:\n"
               "\t  (source not available)\n\t\n\tSecond entity: Global(2,0,0) Local(2,0,0) Group(0,0,0)\n"
               "\tAt line 1 of input.cl:\n\t  x\n")
    path = os.path.join(FOLDER, "k.c")
    good = {name: f"{name}: oclgrind: no race, nothing out of bounds" for name in ("k", "total")}

    def told(kernel=None, places=(), what="Write-write data race", end="echo '+k: oclgrind: same'\necho .\n"):
        """Each of the two kernels has a process, to which these messages come; other kernels' are passed over."""
        text = "".join(message.format(what=what, kernel=kernel, line=line, file=file) for file, line in places)
        return faked(f"cat >&2 <<'END'\nsome text\n{text}END\necho \"@0 0 $4: oclgrind: with 1 element\"\n{end}")[:2]

    def line(name, number, what="Write-write data race"):
        return f"{name}: oclgrind: {path}:{number}: {what} at global memory, first by item Global(3,0,0)"

    equal(told(), (0, [good["k"], good["total"]]))
    equal(told("kernel_k", [(path, 700)]), (1, [line("k", 700), good["total"]]))
    equal(told("kernel_k", [(path, 5), (path, 6), (path, 5)]),
          (1, [line("k", 5) + "; 2 times", line("k", 6), good["total"]]))
    read = "Invalid read of size 4"
    equal(told("last_total", [("input.cl", 9)], read), (1, [good["k"], line("total", LINES + 2, read)]))
    equal(told("kernel_k", [("input.cl", 9)]), (0, [good["k"], good["total"]]))  # atomic operations of yoke's own
    equal(told("kernel_other", [(path, 5)]), (0, [good["k"], good["total"]]))
    equal(told(end="kill -SEGV $$\n"),
          (1, [f"{name}: oclgrind: with 1 element it ends the process: signal 11 (Segmentation fault)" for name in good]))


def simulated(text, *words):
    if not shutil.which("oclgrind"):
        skip("no Oclgrind here")
    status, lines, _ = checked(FRONT + text if "#include" not in text else text, *words, simulate=True)
    return status, [line for line in lines if "oclgrind: " in line]


@simulator_test
def good_kernels_raise_no_alarm():
    status, lines = simulated(GOOD)
    equal(lines, [f"{name}: oclgrind: no race, nothing out of bounds" for name in NAMES])
    equal(status, 0)


@simulator_test
def who_leaves_a_buffer_is_seen():
    text = ("YOKE_KERNEL(far, ((in, int, x), (out, int, y)),\n            y[i + (__OPENCL_VERSION__ > 0)] = x[i];)\n"
            "YOKE_KERNEL(well, ((in, int, x), (out, int, y)), y[i] = x[i];)\n")
    path, before = os.path.join(FOLDER, "k.c"), os.getcwd()
    for folder in ("/", os.path.dirname(FOLDER)):  # the compiler leaves out what a path shares with the working folder
        os.chdir(folder)
        status, lines = simulated(text)
        os.chdir(before)
        equal(status, 1)
        start = f"far: oclgrind: {path}:{LINES + 2}: Invalid write of size 4 at global memory"
        check(any(line.startswith(start) for line in lines), lines)
        has("\n".join(lines), "well: oclgrind: no race, nothing out of bounds")


@simulator_test
def races_in_a_group_are_seen():
    text = ("YOKE_KERNEL(well, ((in, int, x), (out, int, y)), y[i] = x[i];)\n"
            "YOKE_PROGRAM(raced, 64, ((inout, int, y, groups * 64)),\n    YOKE_SHARED(int, s, 64);\n"
            "    YOKE_ITEMS(l) { s[l] = y[group * 64 + l]; if (l > 0) y[group * 64 + l] = s[l - 1]; })\n")
    status, lines = simulated(text)
    equal(status, 1)
    path = os.path.join(FOLDER, "k.c")
    # Of the macro that begins in line 2 behind the front, the fourth line: the texts of devices have but one.
    check(any(line.startswith(f"raced: oclgrind: {path}:{LINES + 4}: Read-write data race at local memory") for line in lines),
          lines)
    has("\n".join(lines), "well: oclgrind: no race, nothing out of bounds")


@simulator_test
def atomic_operations_are_no_races():
    status, lines = simulated(
        "YOKE_KERNEL(k, ((in, int, x), (inout, int, a, 8), (inout, long, b, 1), (inout, float, s, 1)),\n"
        "            yoke_atomic_add(&a[0], x[i]); yoke_atomic_max(&a[1], x[i]); yoke_atomic_cas(&a[2], 0, x[i]);\n"
        "            yoke_atomic_xor(&b[0], 3l); yoke_atomic_addf(&s[0], 0.5f);)\n")
    equal((status, lines), (0, ["k: oclgrind: no race, nothing out of bounds"]))
    status, lines = simulated("YOKE_KERNEL(k, ((inout, float, s, 1)),\n  yoke_atomic_addf(&s[0], 0.5f); if (i == 3) s[0] = 1;)\n")
    equal(status, 1)
    path = os.path.join(FOLDER, "k.c")
    check(any(re.match(rf"k: oclgrind: {re.escape(path)}:{LINES + 2}: .*race", line) for line in lines), lines)


@simulator_test
def what_the_simulator_cannot_run_is_told():
    # What a compiler makes a rotation of, which this simulator does not know.
    status, lines = simulated("YOKE_KERNEL(k, ((in, unsigned, x), (in, unsigned, y), (out, unsigned, z)), "
                              "z[i] = (x[i] << (y[i] & 31u)) | (x[i] >> ((32u - y[i]) & 31u));)\n")
    equal((status, len(lines)), (0, 1))
    check(lines[0].startswith("k: oclgrind: it cannot run this kernel: ") or "no race" in lines[0], lines)


@simulator_test
def races_between_elements_are_seen():
    status, lines = simulated("YOKE_KERNEL(raced, ((in, int, x), (inout, int, y)), y[i / 2] = x[i];)\n")
    equal(status, 1)
    check(any(re.match(r"raced: oclgrind: .*race at global memory", line) for line in lines), lines)


main()
