#!/usr/bin/python3
"""tests/run counts what meson's log says: cases, not programs, and nothing that went wrong goes missing."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

RUN = os.path.join(SOURCE, "tests", "run")


def counted(records, status=0, **environment):
    """tests/run with a meson of ours, which leaves these records as its log."""
    root = scratch()
    log = os.path.join(root, "build", "meson-logs")
    os.makedirs(log)
    with open(os.path.join(root, "records"), "w", encoding="utf-8") as out:
        for record in records:
            print(json.dumps({"name": "p", "result": "OK", "stdout": "", **record}), file=out)
    with open(os.path.join(root, "meson"), "w", encoding="utf-8") as out:
        out.write(f'#!/bin/sh\necho "$*" >{root}/called\n')
        out.write(f"[ -s {root}/records ] && cp {root}/records {log}/testlog.json\nexit {status}\n")
    os.chmod(os.path.join(root, "meson"), 0o755)
    counts = os.path.join(root, "counts")
    env = {"PATH": root + ":/usr/bin:/bin", "YOKE_COUNTS": counts, **environment}
    code, out, err = run([RUN, os.path.join(root, "build"), "--suite", "x"], env=env)
    equal(err, "")
    with open(os.path.join(root, "called"), encoding="utf-8") as text:
        has(text.read(), "test -C " + os.path.join(root, "build") + " --no-rebuild --suite x")
    with open(counts, encoding="utf-8") as text:
        numbers = text.read().strip()
    return code, out, out.splitlines()[-1], numbers


def summary(records, status=0, **environment):
    code, _, last, numbers = counted(records, status, **environment)
    check(numbers == " ".join(w for w in last.replace(",", "").split() if w.isdigit()), f"{numbers} and {last} differ")
    return code, last


@test
def cases_are_counted():
    log = [{"stdout": "1..2\nok 1 - a\nok 2 - b\n"}, {"stdout": "TAP version 13\n1..1\n# note\nok 1 - c\n"}]
    equal(summary(log), (0, "3 passed, 0 failed, 0 skipped"))


@test
def a_program_that_is_not_tap_is_one_case():
    equal(summary([{"result": "OK"}]), (0, "1 passed, 0 failed, 0 skipped"))
    equal(summary([{"result": "FAIL"}], 1), (1, "0 passed, 1 failed, 0 skipped"))
    equal(summary([{"result": "TIMEOUT"}], 1), (1, "0 passed, 1 failed, 0 skipped"))


@test
def failures_are_counted_and_named():
    code, out, last, _ = counted([{"stdout": "1..2\nnot ok 1 - bad\nok 2 - good\n", "result": "FAIL"}], 1)
    equal((code, last), (1, "1 passed, 1 failed, 0 skipped"))
    has(out, "failed: p: bad")


@test
def a_failure_comes_with_what_was_said_about_it():
    said = "1..2\n# about a\nok 1 - a\n# why b\nSanitizer: here\nnot ok 2 - b\n"
    out = counted([{"stdout": said, "stderr": "leak\n", "result": "FAIL"}], 1)[1]
    has(out, "--- p: b\n# why b\nSanitizer: here\n")
    has(out, "--- stderr of p\nleak\n")
    lacks(out, "about a")


@test
def skips_are_counted_and_named():
    log = [{"stdout": "1..2\nok 1 - a # SKIP no ox\nok 2 - b\n"}]
    code, out, last, _ = counted(log)
    equal((code, last), (0, "1 passed, 0 failed, 1 skipped"))
    has(out, "skipped: p: a (no ox)")
    equal(summary([{"stdout": "1..0 # SKIP all of it\n", "result": "SKIP"}]), (0, "0 passed, 0 failed, 1 skipped"))


@test
def a_skip_fails_in_ci():
    equal(summary([{"stdout": "1..1\nok 1 - a # SKIP no ox\n"}], CI="true"), (1, "0 passed, 0 failed, 1 skipped"))
    equal(summary([{"stdout": "1..2\nok 1 - a # SKIP no GPU: no driver\nok 2 - b # SKIP no ox\n"}], CI="true"),
          (1, "0 passed, 0 failed, 2 skipped"))


@test
def a_missing_gpu_may_skip_in_ci():
    equal(summary([{"stdout": "1..2\nok 1 - a # SKIP no GPU: no driver\nok 2 - b\n"}], CI="true"),
          (0, "1 passed, 0 failed, 1 skipped"))


@test
def cases_that_never_reported_are_failures():
    code, out, last, _ = counted([{"stdout": "1..5\nok 1 - a\n", "result": "ERROR"}], 1)
    equal((code, last), (1, "1 passed, 1 failed, 0 skipped"))
    has(out, "4 of 5 cases did not report")


@test
def a_program_that_fails_after_good_cases_is_a_failure():
    equal(summary([{"stdout": "1..1\nok 1 - a\n", "result": "ERROR"}], 1), (1, "1 passed, 1 failed, 0 skipped"))


@test
def no_test_at_all_is_a_failure():
    equal(summary([]), (1, "0 passed, 1 failed, 0 skipped"))


@test
def meson_s_own_failure_counts():
    equal(summary([{"stdout": "1..1\nok 1 - a\n"}], 1)[0], 1)


@test
def it_wants_a_build_directory():
    status, _, err = run([RUN])
    equal(status, 1)
    has(err, "usage: tests/run BUILD")


main()
