#!/usr/bin/python3
"""yoke kernel: the texts of kernels, and whether they compile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
os.environ["YOKE_INCLUDE"] = os.path.join(SOURCE, "include")
os.environ["YOKE_CACHE"] = os.path.join(FOLDER, "cache")
FRONT = "#include <yoke/kernel.h>\n#include <yoke/program.h>\n"
GOOD = FRONT + """YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)), y[i] += a * x[i];)
YOKE_REDUCTION(float, longest, (0), yoke_greater(a, b), fabs(x[i]), ((in, float, x)));
YOKE_PROGRAM(mirrored, 64, ((inout, int, y)), YOKE_SHARED(int, s, 64); YOKE_ITEMS(l) { s[l] = y[group * 64 + l]; }
             YOKE_ITEMS(l) { y[group * 64 + l] = s[63 - l]; })
"""
BAD = FRONT + "YOKE_KERNEL(lost, ((out, int, y)),\n            y[i] = (int)strlen(\"C alone has this\");)\n"


def write(name, text):
    path = os.path.join(FOLDER, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def kernel(*words):
    return run([YOKE, "kernel", *words])


def refused(words, what, code=2):
    status, out, err = kernel(*words)
    equal((status, out), (code, ""))
    has(err, what)


@test
def shows_the_texts_of_a_file():
    path = write("good.c", GOOD)
    status, out, err = kernel("show", path)
    equal((status, err), (0, ""))
    for part in ("kernel_axpy(", "kernel_longest(", "last_longest(", "kernel_mirrored(", "uint4", "__syncthreads",
                 f'#line 3 "{path}"', f"/* axpy ({path}:3) for cuda, capability 9.0 */"):
        has(out, part)
    places = [out.index(name) for name in ("kernel_axpy(", "kernel_longest(", "kernel_mirrored(")]
    equal(places, sorted(places))


@test
def shows_one_in_a_language():
    path = write("good.c", GOOD)
    for language, part in (("opencl", "reqd_work_group_size(1, 1, 1)"), ("opencl-gpu", "reqd_work_group_size(256, 1, 1)"),
                           ("cuda", "__launch_bounds__(256)")):
        status, out, err = kernel("show", path + ":axpy", "--language", language)
        equal((status, err), (0, ""))
        has(out, part)
        check("longest" not in out, "shows another kernel too")
        lacks(out, "#define sinf")
    path = write("named.c", "// yoke-flags: -lm\n" + FRONT + "YOKE_KERNEL(named, ((inout, float, y)), y[i] = sinf(y[i]);)\n")
    has(kernel("show", path, "--language", "opencl")[1], "#define sinf(x) sin((float)(x))\n")
    lacks(kernel("show", path, "--language", "cuda")[1], "#define sinf")


@test
def checks_what_compiles():
    path = write("good.c", GOOD)
    status, out, err = kernel("check", path, "--compile-only")
    if status == 3:
        has(err, "there is no compiler for CUDA or OpenCL here")
        skip("no compiler for devices")
    equal((status, err), (0, ""))
    for name in ("axpy", "longest", "mirrored"):
        has(out, name + ": ")
    check(all(": ok" in line for line in out.splitlines()), out)


@test
def checks_what_does_not():
    path = write("bad.c", BAD)
    status, out, err = kernel("check", path)
    if status == 3:
        skip("no compiler for devices")
    equal(status, 1)
    has(out, "lost: ")
    has(out, ": does not compile\n")
    has(out, "strlen")
    has(out, path)


@test
def too_much_shared_memory_is_said():
    path = write("shared.c", FRONT + "YOKE_PROGRAM(big, 64, ((out, float, y, groups)), YOKE_SHARED(float, t, 65536); "
                 "YOKE_ITEMS(l) { t[l] = 1; } YOKE_ITEMS(l) { if (l == 0) y[group] = t[0]; })\n"
                 "YOKE_KERNEL(small, ((out, float, y)), y[i] = 1;)\n")
    status, out, err = kernel("check", path, "--compile-only", "--language", "cuda")
    if status == 3:
        skip("no compiler for CUDA")
    equal((status, err), (1, ""))
    has(out, "does not compile\ncuda: big does not compile: its groups have 262144 bytes of shared memory, and can have 49152 "
        "(48 KiB)\nsmall: ")


@test
def a_break_that_strays_compiles_nowhere():
    path = write("broken.c", FRONT + "YOKE_KERNEL(broken, ((out, float, y)), for (;;) break; if (i > 5) break; y[i] = 1;)\n")
    status, out, err = kernel("check", path, "--compile-only")
    if status == 3:
        skip("no compiler for devices")
    equal((status, err), (1, ""))
    has(out, f"does not compile\nkernel broken ({path}:3): a break stands outside the loops and switches of its body: continue "
        "ends an element\n")


@test
def what_is_wrong_is_said():
    good, none = write("good.c", GOOD), write("none.c", "#include <yoke.h>\nYOKE_TASK(int, one) { return 1; }\n")
    refused(["print", good], '"print": expected show or check')
    refused(["show", good + ":axpi"], "has no kernel axpi: did you mean axpy?")
    refused(["show", good + ":zzzzzzzzz"], "has no kernel zzzzzzzzz")
    refused(["check", none], "has no kernels")
    refused(["show", good, "--language", "hip"], "all|cuda|opencl|opencl-gpu")
    refused(["show"], "FILE")
    refused(["show", "/nonexistent.c"], "/nonexistent.c")


main()
