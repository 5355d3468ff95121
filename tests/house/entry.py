#!/usr/bin/python3
"""The two entries: the Makefile, whose help lists every target, and .ci/run, whose closing line counts everything."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

TARGETS = "all build run test benches bench gpu-test gpu-bench lint asan tsan fuzz install dist help".split()
# A make that runs this test hands its own variables on: not to the ones below.
ENV = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "BUILD", "YOKE_COUNTS")}
STAGES = "gcc clang asan tsan lint fuzz bench install dist".split()


@test
def help_lists_every_target():
    status, out, err = run(["make", "help"], cwd=SOURCE, env=ENV)
    equal((status, err), (0, ""))
    equal(re.findall(r"^  make ([\w-]+) +\S", out, re.M), TARGETS)
    for word in ("BUILD=", "CC=", "PREFIX=", "DIR="):
        has(out, word)


@test
def every_target_is_phony_and_all_is_first():
    with open(os.path.join(SOURCE, "Makefile"), encoding="utf-8") as text:
        makefile = text.read()
    equal(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split(), TARGETS)
    equal(re.findall(r"^([\w-]+):", makefile, re.M), TARGETS)


def ci(broken="", counts="3 0 0", setup="true"):
    """.ci/run in a tree whose stages are stubs: each leaves these counts, and `broken` fails after them."""
    root = scratch()
    for folder in (".ci", "tools", "tests/install"):
        os.makedirs(os.path.join(root, folder))
    shutil.copy(os.path.join(SOURCE, ".ci", "run"), os.path.join(root, ".ci", "run"))
    stubs = {
        "tools/setup": f"#!/bin/sh\n{setup}\n",
        "tests/install/install.py": "#!/bin/sh\nprintf 'ok 1 - a\\nok 2 - b # SKIP x\\nnot ok 3 - c\\n'; exit 1\n"
                                    if broken == "tap" else "#!/bin/sh\nprintf 'ok 1 - a\\nok 2 - b\\n'\n",
    }
    for name, text in stubs.items():
        with open(os.path.join(root, name), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(os.path.join(root, name), 0o755)
    with open(os.path.join(root, "Makefile"), "w", encoding="utf-8") as out:
        for target in ("test", "asan", "tsan"):
            out.write(f"{target}:\n\t@echo $(if $(findstring clang,$(CC)),clang,{target}) >>called\n")
            out.write(f"\t@[ -z '{counts}' ] || echo {counts} >>$$YOKE_COUNTS\n\t@[ {target} != '{broken}' ]\n")
        for target in ("lint", "fuzz", "benches", "install", "dist"):
            out.write(f"{target}:\n\t@echo {target} >>called\n\t@[ {target} != '{broken}' ]\n")
    status, out, err = run(["bash", ".ci/run"], cwd=root, env=ENV)
    called = []
    if os.path.exists(os.path.join(root, "called")):
        with open(os.path.join(root, "called"), encoding="utf-8") as text:
            called = text.read().split()
    return status, out, called


def last(out):
    return out.strip().splitlines()[-1]


@test
def ci_runs_every_stage_and_adds_up():
    status, out, called = ci()
    equal(called, ["test", "clang", "asan", "tsan", "lint", "fuzz", "benches", "install", "dist"])
    equal((status, last(out)), (0, "18 passed, 0 failed, 0 skipped"))
    for stage in STAGES:
        has(out, f"=== {stage}: ok")


@test
def ci_goes_on_after_a_failure():
    status, out, called = ci(broken="asan", counts="2 1 0")
    equal((status, last(out), len(called)), (1, "14 passed, 4 failed, 0 skipped", 9))
    has(out, "failed stages: asan")


@test
def ci_counts_a_stage_without_cases():
    status, out, _ = ci(broken="lint")
    equal((status, last(out)), (1, "17 passed, 1 failed, 0 skipped"))
    has(out, "=== lint: FAILED")


@test
def ci_counts_a_failure_that_no_case_told():
    """All cases of the stage passed, and it failed all the same."""
    status, out, _ = ci(broken="tsan")
    equal((status, last(out)), (1, "18 passed, 1 failed, 0 skipped"))


@test
def ci_counts_what_is_skipped():
    """Which skips are failures tests/run decides, and a stage that failed is one."""
    status, out, _ = ci(counts="2 0 1")
    equal((status, last(out)), (0, "14 passed, 0 failed, 4 skipped"))


@test
def ci_reads_tap():
    status, out, _ = ci(broken="tap")
    equal((status, last(out)), (1, "17 passed, 1 failed, 1 skipped"))
    has(out, "failed stages: install")


@test
def ci_stops_when_the_machine_cannot_be_set_up():
    status, out, called = ci(setup="exit 2")
    equal((status, called), (2, []))
    equal(last(out), "0 passed, 1 failed, 0 skipped")


main()
