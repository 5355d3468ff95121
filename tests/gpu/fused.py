#!/usr/bin/python3
"""Products and sums stay apart where results are promised to be the same bits everywhere: the instructions that compilers make
of these files, for CPUs that could fuse them. Without the line that forbids it they do, or this would show nothing."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

FLAGS = "-std=gnu11 -D_GNU_SOURCE -O2 -S".split()
INCLUDES = [f"-I{os.path.join(SOURCE, name)}" for name in ("src", "include")]
FILES = ("matmul_cpu", "array_random")
COMPILERS = {"gcc": ["gcc", "-march=haswell"], "clang": ["clang", "--target=x86_64-linux-gnu", "-march=haswell"],
             "arm64": ["aarch64-linux-gnu-gcc"]}
FUSED = re.compile(r"^\s+(vf?n?m(?:add|sub)\d+[ps][sd]|vfn?m(?:add|sub)\w*|fn?m(?:add|sub)|fml[as])\s", re.M)
PRODUCT = re.compile(r"^\s+(v?mul[ps][sd]|fmul)\s", re.M)


def code(compiler, name, forbidden=True):
    source = os.path.join(SOURCE, "src", "gpu", name + ".c")
    if not forbidden:
        with open(source) as f:
            text = f.read()
        plain = re.sub(r'(, )?"fp-contract=off"|#pragma STDC FP_CONTRACT OFF', "", text)
        check(plain != text, f"{name} does not forbid it")
        source = os.path.join(scratch(), name + ".c")
        with open(source, "w") as f:
            f.write(plain)
    made = os.path.join(scratch(), name + ".s")
    fuses = [] if forbidden else ["-ffp-contract=fast"]
    status, _, err = run([*compiler, *FLAGS, *fuses, *INCLUDES, source, "-o", made])
    check(status == 0, err)
    with open(made) as f:
        return f.read()


for kind, compiler in COMPILERS.items():
    def case(compiler=compiler):
        if not shutil.which(compiler[0]):
            skip(f"there is no {compiler[0]}")
        for name in FILES:
            text = code(compiler, name)
            check(PRODUCT.search(text), f"{name}: no products")
            check(not FUSED.search(text), f"{name}: {FUSED.search(text) and FUSED.search(text)[1]}")
            check(FUSED.search(code(compiler, name, forbidden=False)), f"{name}: nothing is fused that may be")
    case.__name__ = f"nothing_is_fused_by_{kind}"
    test(case)

main()
