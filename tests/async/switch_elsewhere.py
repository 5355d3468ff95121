#!/usr/bin/python3
"""The switch of coroutines where the other tests do not see it: on arm64, cross-compiled and run by an emulator; with landing
pads for indirect jumps; under Valgrind."""
import os
import platform
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

FLAGS = "-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wno-unused-parameter -Werror".split()
SOURCES = [os.path.join(SOURCE, name) for name in ("tests/async/switch.c", "tests/harness/test.c", "src/async/switch.c")]
INCLUDES = [f"-I{os.path.join(SOURCE, name)}" for name in ("src", "include", "tests/harness")]
GCC, CLANG = ["aarch64-linux-gnu-gcc"], ["clang", "--target=aarch64-linux-gnu"]
X86 = platform.machine() == "x86_64"


def need(*commands):
    for command in commands:
        if not shutil.which(command):
            skip(f"there is no {command}")


def compiled(compiler, *flags):
    program = os.path.join(scratch(), "switch")
    done = run([*compiler, *FLAGS, *flags, *INCLUDES, f'-DTEST_SOURCE="{SOURCE}"', *SOURCES, "-o", program, "-lm"])
    check(done[0] == 0 and not done[2], done[2])
    return program


def on_arm64(compiler, *flags):
    need(compiler[0], "aarch64-linux-gnu-gcc", "qemu-aarch64")
    status, out, err = run(["qemu-aarch64", "-cpu", "max", compiled(compiler, "-static", *flags)])
    check(status == 0, out + err)
    lacks(out, "not ok")
    has(out, ", 0 failed, 0 skipped")


for name, compiler in (("gcc", GCC), ("clang", CLANG)):
    for level in ("-O0", "-O2", "-O3"):
        def case(compiler=compiler, level=level):
            on_arm64(compiler, level)
        case.__name__ = f"arm64_{name}_{level[1:]}"
        test(case)


@test
def arm64_with_signed_returns_and_landing_pads():
    on_arm64(GCC, "-O2", "-mbranch-protection=standard")


@test
def arm64_with_vectors_of_any_length():
    on_arm64(GCC, "-O3", "-march=armv8.2-a+sve")


def notes_and_code(compiler, prefix, *flags):
    """The properties that an object claims, and its instructions."""
    need(compiler[0], prefix + "objdump", prefix + "readelf")
    made = os.path.join(scratch(), "object.o")
    done = run([*compiler, *FLAGS, *flags, "-O2", *INCLUDES, "-c", SOURCES[0], "-o", made])
    check(done[0] == 0, done[2])
    start = made + "2"
    done = run([*compiler, *FLAGS, *flags, "-O2", *INCLUDES, "-c", SOURCES[2], "-o", start])
    check(done[0] == 0, done[2])
    return [(run([prefix + "readelf", "-n", each])[1], run([prefix + "objdump", "-d", "--no-show-raw-insn", each])[1])
            for each in (made, start)]


def lands(code, jump, pad):
    """Behind each jump of a switch stands the landing pad."""
    found = re.findall(jump + r"\n\s*[0-9a-f]+:\s*(\w+\b[^\n]*)", code)
    check(found, f"no {jump}")
    for next_one in found:
        check(re.match(pad, next_one), f"{next_one!r} is no landing pad")


@test
def jumps_lead_to_landing_pads():
    if not X86:
        skip("for x86-64")
    for compiler in (["gcc"], ["clang"]):
        (note, code), (start_note, start) = notes_and_code(compiler, "", "-fcf-protection=branch")
        lands(code, r"jmp\s+\*%rcx", "endbr64")
        check(re.search(r"<yk_switch_start>:\n\s*[0-9a-f]+:\s*endbr64", start), start)
        for text in (note, start_note):
            has(text, "IBT")
            lacks(text, "SHSTK")


@test
def jumps_lead_to_landing_pads_on_arm64():
    (note, code), (start_note, start) = notes_and_code(GCC, "aarch64-linux-gnu-", "-mbranch-protection=bti")
    lands(code, r"br\s+x17", "bti\tjc|bti jc|hint\s+#0x26")
    check(re.search(r"<yk_switch_start>:\n\s*[0-9a-f]+:\s*(bti\s+jc|hint\s+#0x26)", start), start)
    has(note, "BTI")
    has(start_note, "BTI")


@test
def the_library_claims_no_shadow_stack():
    need("readelf")
    lacks(run(["readelf", "-n", os.path.join(BUILD, "libyoke.so")])[1], "SHSTK")


@test
def wide_registers_are_kept():
    """Where the compiler may hold values in registers that only newer processors have."""
    if not X86:
        skip("for x86-64")
    for compiler in (["gcc"], ["clang"]):
        for flags in (["-march=x86-64-v3"], ["-march=x86-64-v4"], ["-fno-omit-frame-pointer"], ["-fPIC", "-O1"]):
            program = compiled(compiler, "-O3", *flags)
            if "v4" in flags[0] and "avx512vl" not in open("/proc/cpuinfo", encoding="utf-8").read():
                continue
            status, out, err = run([program])
            check(status == 0, out + err)


@test
def valgrind_follows():
    need("valgrind")
    if os.environ.get("YOKE_SANITIZE", "none") != "none":
        skip("a sanitizer's program does not run under Valgrind")
    for name, cases in (("switch", ["values_travel_both_ways", "locals_are_kept"]),
                        ("stack", ["contexts_run_on_them", "random_takes_gives_and_trims", "closing_leaves_nothing"])):
        program = os.path.join(scratch(), name)
        # Valgrind 3.19 ends at what clang writes for debuggers.
        run(["objcopy", "--strip-debug", os.path.join(BUILD, "tests", "test-async-" + name), program])
        status, out, err = run(["valgrind", "-q", "--error-exitcode=9", program, "--in-process", *cases])
        check(status == 0, out + err)
        lacks(err, "==")


main()
