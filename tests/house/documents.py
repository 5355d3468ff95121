#!/usr/bin/python3
"""tests/doc/doc.py notices a document that does not work, and tap.py, which all of this stands on, notices a test that
fails, hangs or skips."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

DOC = os.path.join(SOURCE, "tests", "doc", "doc.py")
HARNESS = os.path.join(SOURCE, "tests", "harness")


def follow(page):
    """Lets doc.py follow a README of ours; returns (status, output)."""
    root = scratch()
    with open(os.path.join(root, "README.md"), "w", encoding="utf-8") as out:
        out.write(page)
    os.symlink(os.path.join(SOURCE, "include"), os.path.join(root, "include"))
    status, out, err = run([DOC, "follow_README_md"], env={**os.environ, "YOKE_SOURCE": root, "YOKE_BUILD": BUILD})
    equal(err, "")
    return status, out


def works(page):
    status, out = follow(page)
    check(status == 0, out)


def breaks(page, complaint):
    status, out = follow(page)
    equal(status, 1)
    has(out, complaint)


def block(kind, *lines):
    return "text\n\n```" + kind + "\n" + "".join(line + "\n" for line in lines) + "```\n"


@test
def commands_print_what_the_page_says():
    works(block("console", "$ echo one; echo two", "one", "two", "$ true", "$ echo three >&2", "three"))
    breaks(block("console", "$ echo one", "two"), "instead of:")
    breaks(block("console", "$ echo one"), "printed:")
    breaks(block("console", "$ true", "one"), "instead of:")
    works(block("console", "$ printf one", "one"))


@test
def dots_stand_for_any_lines():
    works(block("console", "$ printf '1\\n2\\n3\\n'", "1", "...", "3"))
    works(block("console", "$ printf '1\\n3\\n'", "1", "...", "3"))
    breaks(block("console", "$ printf '1\\n2\\n3\\n'", "1", "...", "4"), "README.md:3")


@test
def dots_in_a_line_stand_for_any_text():
    works(block("console", "$ echo pid $$ ends", "pid ... ends"))
    breaks(block("console", "$ echo pid $$ ends", "pid ... end"), "instead of:")
    breaks(block("console", "$ printf 'a\\nb\\n'", "a...b"), "instead of:")


@test
def the_status_counts():
    works(block("console", "$ echo no; exit 3", "no", "[exit 3]"))
    breaks(block("console", "$ echo no; exit 3", "no"), "[exit 3]")
    breaks(block("console", "$ true", "[exit 1]"), "instead of:")


@test
def named_blocks_are_files_for_what_follows():
    works(block("text a.txt", "ox") + block("console", "$ cat a.txt", "ox"))
    breaks(block("text a.txt", "ox") + block("console", "$ cat b.txt", "ox"), "[exit 1]")


@test
def a_command_may_go_on():
    works(block("console", "$ if true; then", "> echo one", "> fi", "one"))


@test
def nameless_c_must_compile():
    works(block("c", "static int f(void);", "int g(void) { return f(); }", "static int f(void) { return 1; }"))
    breaks(block("c", "int f(void) { return undeclared; }"), "undeclared")


@test
def a_page_without_blocks_is_fine():
    works("# Nothing\n")


VICTIM = """
import sys
sys.path.insert(0, {harness!r})
from tap import *
import time

@test
def good(): equal(1, 1)

@test
def wrong(): equal(1, 2)

@test
def lacking(): has("ox", "yoke")

@test
def skipped(): skip("no ox")

@test
def slow(): time.sleep(30)

main(3)
"""


def victim(*words):
    path = os.path.join(scratch(), "victim.py")
    with open(path, "w", encoding="utf-8") as out:
        out.write(VICTIM.format(harness=HARNESS))
    env = {k: v for k, v in os.environ.items() if k != "TEST_TIME_SCALE"}
    return run(["/usr/bin/python3", path, *words], env=env)


@test
def tap_reports_each_end():
    status, out, err = victim()
    equal((status, err), (1, ""))
    lines = [line for line in out.splitlines() if not line.startswith("#")]
    equal(lines, ["TAP version 13", "1..5", "ok 1 - good", "not ok 2 - wrong", "not ok 3 - lacking",
                  "ok 4 - skipped # SKIP no ox", "not ok 5 - slow"])
    has(out, "got 1, expected 2")
    has(out, "'ox' lacks 'yoke'")
    has(out, "out of time")


@test
def tap_runs_only_what_is_named():
    equal(victim("good", "skipped")[0], 0)
    equal(victim("good")[1], "TAP version 13\n1..1\nok 1 - good\n")
    equal(victim("--list")[1].split(), ["good", "wrong", "lacking", "skipped", "slow"])


main()
