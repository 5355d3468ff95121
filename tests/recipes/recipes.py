#!/usr/bin/python3
"""Every recipe works: it is built by the very command that recipes/README.md gives, run, and what it prints is compared
with NAME.expected, where "#" stands for any number, a run of blanks for one blank, and a line "..." for any lines, or none.
Those in gpu/ are run on each kind of device that there is, and print the same on all.

A recipe without NAME.expected, without a row in recipes/README.md, with another header than <yoke.h>, <yoke/kernel.h> and the
system's, or without a comment at its top is refused. YOKE_RECIPES names another folder, for the test of this test."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

FOLDER = os.environ.get("YOKE_RECIPES") or os.path.join(SOURCE, "recipes")
# What recipes compile is kept in folders of their own; the user's stays in sight, where CUDA's compiler may lie.
ENV = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": BUILD + ":" + os.environ["PATH"],
       "LD_LIBRARY_PATH": ":".join(filter(None, [BUILD, os.environ.get("LD_LIBRARY_PATH")])),
       "PKG_CONFIG_PATH": os.path.join(BUILD, "meson-uninstalled"), "YOKE_CACHE": scratch(), "POCL_CACHE_DIR": scratch(),
       "NO_COLOR": "1"}
NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"
COMMAND = re.compile(r"^\$ (cc .*\$\(pkg-config .*\))$", re.M)
ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\) \| (.+) \|$", re.M)
LINES_MAX = 60
ANY_LINES = "..."
MAY_INCLUDE = ["<yoke.h>", "<yoke/kernel.h>"]


def text_of(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as text:
        return text.read()


def recipes():
    found = []
    for folder, _, names in os.walk(FOLDER):
        found += [os.path.relpath(os.path.join(folder, n), FOLDER) for n in names if n.endswith(".c")]
    return sorted(found)


def lines_of(text):
    return [re.sub(r"[ \t]+", " ", line.rstrip()) for line in text.splitlines()]


def matches(expected, actual):
    def pattern(line):
        if line == ANY_LINES:
            return r"(?:.*\n)*"
        return NUMBER.join(re.escape(part) for part in line.split("#")) + r"\n"
    wanted = "".join(pattern(line) for line in lines_of(expected))
    return re.fullmatch(wanted, "".join(line + "\n" for line in lines_of(actual))) is not None


def devices():
    """The kinds of devices that can be opened here, as YOKE_DEVICE names them."""
    _, out, _ = run([os.path.join(BUILD, "yoke"), "doctor"], env=ENV)
    return ["cpu"] + re.findall(r"^(opencl|cuda): ok$", out, re.M)


def places_of(name):
    """For each run of a recipe what its environment has more."""
    return [{"YOKE_DEVICE": kind} for kind in devices()] if name.startswith("gpu/") else [{}]


def words_to_build(name, program):
    """The README's command, for this recipe, with warnings as errors."""
    command = COMMAND.search(text_of("README.md"))
    check(command is not None, "recipes/README.md does not say how to build a recipe")
    example = re.search(r"(\S+)\.c -o (\S+)", command[1])
    check(example is not None and os.path.exists(os.path.join(FOLDER, example[1] + ".c")), f"no such recipe: {command[1]}")
    return command[1].replace(example[0], f"-Wall -Wextra -Werror {name} -o {program}")


def cook(name):
    program = os.path.join(scratch(), "recipe")
    status, _, err = run(words_to_build(name, program), cwd=FOLDER, env=ENV)
    check(status == 0 and not err, f"{name} does not build:\n{err}")
    expected = os.path.splitext(name)[0] + ".expected"
    check(os.path.exists(os.path.join(FOLDER, expected)), f"{name} has no {expected}")
    wanted = text_of(expected)
    check(set(lines_of(wanted)) != {ANY_LINES}, f"{expected} expects nothing")
    for place in places_of(name):
        what = " on ".join([name, *place.values()])
        status, out, err = run([program], cwd=os.path.dirname(program), env={**ENV, **place})
        check(status == 0 and not err, f"{what} ended with {status} and wrote on stderr:\n{err}")
        check(matches(wanted, out), f"{what} printed\n{out}instead of\n{wanted}")


for each in recipes():
    def case(each=each):
        cook(each)
    case.__name__ = "cook_" + re.sub(r"\W", "_", each[:-2])
    test(case)


def without_installing():
    """In a tree that has this build directory as build/: what the README exports, then its command."""
    tree = scratch()
    shutil.copytree(FOLDER, os.path.join(tree, "recipes"))
    os.symlink(BUILD, os.path.join(tree, "build"))
    exports = re.search(r"^```sh\n(.*?)^```$", text_of("README.md"), re.S | re.M)[1]
    command = COMMAND.search(text_of("README.md"))[1]
    env = {name: value for name, value in os.environ.items() if name not in ("PKG_CONFIG_PATH", "LD_LIBRARY_PATH")}
    status, _, err = run(f"set -e\n{exports}\n{command}\n./speedup", cwd=tree, env=env)
    equal((status, err), (0, ""))


if "YOKE_RECIPES" not in os.environ:
    test(without_installing)


@test
def each_is_in_the_list_once():
    rows = ROW.findall(text_of("README.md"))
    for shown, link, idea in rows:
        equal(shown, link)
        check(len(idea) <= 120, f"{link}: the idea in one line")
    listed = [link for _, link, _ in rows]
    equal(sorted(listed), recipes())


@test
def each_lies_under_its_chapter():
    """Rows of a chapter share a folder, and no folder has two chapters."""
    seen = {}
    for chapter in re.split(r"^## ", text_of("README.md"), flags=re.M)[1:]:
        title = chapter.splitlines()[0]
        for _, link, _ in ROW.findall(chapter):
            equal(seen.setdefault(link.split("/")[0], title), title)
    equal(sorted(seen), sorted({name.split("/")[0] for name in recipes()}))


@test
def each_says_when_to_use_it():
    for name in recipes():
        text = text_of(name)
        comment = re.match(r"/\*(.*?)\*/", text, re.S)
        check(comment is not None, f"{name}: a comment comes first")
        has(comment[1], "Use it ")
        check(15 <= len(text.splitlines()) <= LINES_MAX, f"{name}: {len(text.splitlines())} lines")


@test
def each_uses_public_headers_only():
    for name in recipes():
        included = re.findall(r'^\s*#\s*include\s*([<"][^>"]+[>"])', text_of(name), re.M)
        check("<yoke.h>" in included, f"{name} does not include <yoke.h>")
        equal([n for n in included if n.startswith('"') or (n.startswith("<yoke") and n not in MAY_INCLUDE)], [])


@test
def nothing_is_left_over():
    """An .expected without its recipe."""
    for folder, _, names in os.walk(FOLDER):
        for n in names:
            if n.endswith(".expected"):
                check(n[:-len("expected")] + "c" in names, f"{os.path.join(folder, n)} has no recipe")


@test
def the_mask_stands_for_numbers_only():
    check(matches("# s\n", "1.5 s\n") and matches("a # b\n", "a   -2e-09 b \n") and matches("", ""), "numbers")
    for expected, actual in (("# s", "fast s"), ("# s", " s"), ("1 s", "2 s"), ("#\n#", "1"), ("#", "1\n2"), ("a#", "ab"),
                             ("#", "nan"), ("#", "inf"), ("a.c #", "abc 1"), ("", "1")):
        check(not matches(expected, actual), f"{actual!r} passed for {expected!r}")


@test
def dots_stand_for_whole_lines():
    for expected, actual in (("...", ""), ("...", "a\nb"), ("...", "a\n\nb"), ("a\n...\nb", "a\nb"), ("a\n...\nb", "a\nb\nb\nb"),
                             ("...\n# a", "x\n1 a"), ("...\na\n...\nb", "x\na\ny\nz\nb"), (" ...", " ..."), ("a...", "a...")):
        check(matches(expected, actual), f"{actual!r} did not pass for {expected!r}")
    for expected, actual in (("...\na", "b"), ("...\na", "xa"), ("a\n...", ""), ("a\n...\nb", "a\nx"), (" ...", "x"),
                             ("a...", "ab"), ("... a", "b a"), ("...\na\n...\nb", "b\na"), ("....", "a")):
        check(not matches(expected, actual), f"{actual!r} passed for {expected!r}")


main()
