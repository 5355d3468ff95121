#!/usr/bin/python3
"""The documents work as written. For each one, in a folder of its own and from top to bottom:

    ```c NAME.c      is saved as NAME.c; ```c without a name is compiled alone, and run when it has a main
    ```jsonl NAME    any other block with a name is saved too
    ```console       each line that begins with "$ " is run by sh; the lines after it are what it prints (stdout and
                     stderr together). "..." stands for any text, alone on a line for any lines; "[exit 2]" for a
                     status that is not 0.

A document is tested as it would be read with yoke installed: yoke, cc and pkg-config find the build directory."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

ENV = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": BUILD + ":" + os.environ["PATH"], "LD_LIBRARY_PATH": BUILD,
       "PKG_CONFIG_PATH": os.path.join(BUILD, "meson-uninstalled"), "XDG_CACHE_HOME": scratch(), "NO_COLOR": "1"}
BLOCK = re.compile(r"^```(\w+)?[ ]*([^\s`]*)\n(.*?)^```$", re.S | re.M)


def documents():
    found = ["README.md", "CONTRIBUTING.md"]
    for folder, _, names in os.walk(os.path.join(SOURCE, "doc")):
        found += [os.path.relpath(os.path.join(folder, n), SOURCE) for n in names if n.endswith(".md")]
    return [n for n in sorted(found) if os.path.exists(os.path.join(SOURCE, n))]


def alone(text, folder, place):
    """A block without a name: a whole program is built and run; anything else must at least compile."""
    source = os.path.join(folder, "block.c")
    program = re.search(r"\bmain\s*\(", text)
    with open(source, "w", encoding="utf-8") as out:
        out.write(text)
    flags = ["-Wall", "-Werror", "-I" + os.path.join(SOURCE, "include")]
    link = ["-o", "block", "-L" + BUILD, "-lyoke"] if program else ["-fsyntax-only"]
    status, _, err = run(["cc", *flags, source, *link], cwd=folder, env=ENV)
    check(status == 0, f"{place}: {err}")
    if program:
        status, out, err = run(["./block"], cwd=folder, env=ENV)
        check(status == 0 and not err, f"{place}: exit {status}: {out}{err}")


def matches(expected, actual):
    """Whole texts, line by line; "..." is any number of lines."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n"
                      for line in expected.splitlines())
    return re.fullmatch(pattern, actual) is not None


def console(text, folder, place):
    steps, command = [], None
    for line in text.splitlines():
        if line.startswith("$ "):
            command = [line[2:], ""]
            steps.append(command)
        elif line.startswith("> ") and command and not command[1]:
            command[0] += "\n" + line[2:]
        else:
            check(command is not None, f"{place}: output before any command")
            command[1] += line + "\n"
    for words, expected in steps:
        status, out, _ = run(f"exec 2>&1\n{words}", cwd=folder, env=ENV)
        if out and not out.endswith("\n"):
            out += "\n"
        if status:
            out += f"[exit {status}]\n"
        check(matches(expected, out), f"{place}: $ {words}\nprinted:\n{out}\ninstead of:\n{expected}")


def follow(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8") as text:
        page = text.read()
    folder = scratch()
    for block in BLOCK.finditer(page):
        language, saved, body = block.groups()
        place = f"{name}:{page.count(chr(10), 0, block.start()) + 1}"
        if saved:
            path = os.path.join(folder, saved)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(body)
        elif language == "c":
            alone(body, folder, place)
        elif language == "console":
            console(body, folder, place)


for each in documents():
    def case(each=each):
        follow(each)
    case.__name__ = "follow_" + re.sub(r"\W", "_", each)
    test(case)


@test
def the_examples_run():
    """As a program, and from the command line."""
    folder = scratch()
    examples = os.path.join(SOURCE, "examples")
    console(f"$ cc {examples}/first.c -Wall -Werror -o first $(pkg-config --cflags --libs yoke) && ./first\n21\n", folder,
            "first")
    for executor in ("inline", "threads", "processes"):
        console(f"$ yoke run {examples}/integrate.c:integrate 0 1 --on {executor} | cut -c1-10\n3.14159265\n"
                f"$ yoke map {examples}/integrate.c:integrate --on {executor} ::: '[0, 0.5]' '[1, 1]' | cut -c1-6\n1.8545\n0.0\n",
                folder, executor)


@test
def the_tutorial_has_something_to_follow():
    with open(os.path.join(SOURCE, "doc", "tutorial.md"), encoding="utf-8") as text:
        kinds = [(block[1], bool(block[2])) for block in BLOCK.finditer(text.read())]
    check(kinds.count(("c", True)) >= 3 and kinds.count(("console", False)) >= 5, str(kinds))


@test
def every_answer_stands_alone():
    """Each C block of the how-to is a whole file as printed, and each that has no name a whole program."""
    with open(os.path.join(SOURCE, "doc", "how-to.md"), encoding="utf-8") as text:
        blocks = [block for block in BLOCK.finditer(text.read()) if block[1] == "c"]
    check(len(blocks) >= 8, str(len(blocks)))
    for block in blocks:
        check(block[3].startswith("#include"), block[3])
        check(block[2] or re.search(r"\bmain\s*\(", block[3]), block[3])


@test
def every_file_is_used():
    """A program with a name is only saved, so a command must build or run it, or another one of the page must include it."""
    for name in documents():
        with open(os.path.join(SOURCE, name), encoding="utf-8") as text:
            blocks = list(BLOCK.finditer(text.read()))
        for block in blocks:
            if block[1] == "c" and block[2]:
                users = [other[3] for other in blocks if other[1] in ("console", "cmake") or f'#include "{block[2]}"' in other[3]]
                check(any(re.search(rf"\b{re.escape(block[2])}\b", text) for text in users), f"{name}: nobody uses {block[2]}")


@test
def the_readme_has_a_program_of_at_most_15_lines():
    """Blank lines and the include lines of the frame not counted."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as text:
        program = [block[3] for block in BLOCK.finditer(text.read()) if block[1] == "c"][0]
    lines = [line for line in program.splitlines() if line.strip()]
    check(len(lines) <= 15, f"{len(lines)} lines")
    with open(os.path.join(SOURCE, "examples", "first.c"), encoding="utf-8") as text:
        equal(text.read(), program)


main()
