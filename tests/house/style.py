#!/usr/bin/python3
"""Each rule of tests/lint/style.py speaks when it should: every test makes a small tree with one breach and looks for it."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

STYLE = os.path.join(SOURCE, "tests", "lint", "style.py")
SYS = "/* sys */\n#define YK_SYS_CALLS(X) \\\n    X(void *, malloc, (size_t size)) \\\n    X(ssize_t, read, (int fd))\n"
FILLER = "/* filler */\n" + "int filler;\n" * 120
GOOD = {
    "src/base/sys.h": SYS,
    "src/base/good.c": FILLER,
    "tests/base/good.c": "/* tests */\n" + "int filler;\n" * 400,
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n",
    "README.md": "see [changes](CHANGELOG.md)\n",
    "ARCHITECTURE.md": "x\n",
    "CONTRIBUTING.md": "x\n",
    "SECURITY.md": "x\n",
    "doc/index.md": "x\n",
}


def style(files):
    """Runs the script over GOOD with these files put over it; returns (status, output)."""
    root = scratch()
    for name, text in {**GOOD, **files}.items():
        if text is None:
            continue
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
    status, out, err = run([STYLE, root])
    shutil.rmtree(root)
    equal(err, "")
    return status, out


def breach(files, complaint):
    status, out = style(files)
    equal(status, 1)
    has(out, complaint)


def fine(files):
    status, out = style(files)
    check(status == 0, out)


def c(body, filler=FILLER):
    """A source file of legal length with this in it."""
    return filler + body


@test
def a_clean_tree_is_clean():
    fine({})


@test
def line_rules():
    breach({"src/base/x.c": c("\tint a;\n")}, "src/base/x.c:122: tab")
    breach({"src/base/x.c": c("int a; \n")}, "src/base/x.c:122: blanks")
    breach({"src/base/x.c": c("int a;")}, "newline")
    breach({"src/base/x.c": c("int " + "a" * 130 + ";\n")}, "length: 135 columns")
    fine({"src/base/x.c": c("int " + "a" * 125 + ";\n")})
    fine({"doc/long.md": "a" * 300 + "\n"})
    fine({"Makefile": "all:\n\ttrue\n"})
    breach({"tests/base/x.py": "\tx\n"}, "tests/base/x.py:1: tab")


@test
def foreign_words():
    for word in ("/ro" + "ot/x", "/ho" + "me/me", "/wo" + "rk/x", "TO" + "DO", "FIX" + "ME", "XX" + "X"):
        breach({"doc/x.md": f"see {word}\n"}, "doc/x.md:1: foreign")
    fine({"doc/x.md": "mkstemp wants XX" + "XXXX at the end\n"})


@test
def comment_rules():
    breach({"src/base/x.c": c("int a; // note\n")}, "src/base/x.c:122: comment")
    fine({"src/base/x.c": c('const char *a = "http://x";\n')})
    fine({"src/base/x.c": c("/* http://x */\n")})
    fine({"examples/x.c": "// yoke-flags: -lcrypto\nint a;\n"})
    breach({"src/base/x.c": "int a;\n" + FILLER}, "src/base/x.c:1: header")
    breach({"src/base/x.h": "int a;\n"}, "src/base/x.h:1: header")


@test
def banned_calls():
    for call in ("strcpy", "strcat", "sprintf", "strtok", "atoi"):
        breach({"tests/base/x.c": f"void f(void) {{ {call}(a, b); }}\n"}, f"banned: {call}()")
    fine({"tests/base/x.c": "void f(void) { snprintf(a, 1, b); yoke_atoi(c); }\n"})
    fine({"tests/base/x.c": "/* strcpy(a, b) is banned */\n"})
    fine({"tests/base/x.c": 'const char *s = "strcpy(a, b)";\n'})


@test
def bare_calls():
    breach({"src/base/x.c": c("void *f(void) { return malloc(3); }\n")}, "bare: malloc() instead of yk_sys.malloc()")
    fine({"src/base/x.c": c("void *f(void) { return yk_sys.malloc(3); }\n")})
    fine({"src/base/x.c": c("void *f(struct t *t) { return t->read(3); }\n")})
    fine({"tests/base/x.c": "void *f(void) { return malloc(3); }\n"})


@test
def name_rules():
    breach({"src/base/x.c": c("int a__b;\n")}, "name: a__b")
    breach({"src/base/x.c": c("struct _a;\n")}, "name: _a")
    breach({"src/base/x.h": "/* x */\n#define _X_H\n"}, "name: _X_H")
    fine({"src/base/x.c": c("int a = __builtin_clz(3) + sizeof(struct __attribute__((packed)) x);\n")})


@test
def floor_rules():
    breach({"src/base/x.c": c('#include "exec/exec.h"\n')}, "base includes exec, which stands above it")
    breach({"src/task/x.c": c('#include <yoke/executor.h>\n'), "tests/task/x.c": "int a;\n"}, "task includes exec")
    breach({"src/base/x.c": c('#include "good.h"\n')}, 'without its part: write "base/good.h"')
    breach({"src/base/x.c": c('#include "nowhere/nowhere.h"\n')}, "nowhere is no part")
    breach({"src/nowhere/x.c": FILLER}, "part nowhere stands on no floor")
    both = {"tests/exec/x.c": "int a;\n", "src/exec/x.c": c('#include "task/inner.h"\n')}
    breach(both, "task/inner.h is private to task")
    down = '#include "task/task.h"\n#include <yoke/json.h>\n#include <stdio.h>\n'
    fine({"tests/exec/x.c": "int a;\n", "src/exec/x.c": c(down)})
    fine({"src/task/x.c": c('#include "sync/mutex.h"\n#include "task/inner.h"\n'), "tests/task/x.c": "int a;\n"})


@test
def size_rules():
    breach({"src/base/x.c": "/* x */\nint a;\n"}, "size: 2 lines, at least 100")
    breach({"src/base/x.c": "/* x */\n" + "int a;\n" * 800, "tests/base/more.c": "int a;\n" * 700}, "size: 801 lines")
    breach({"tests/base/x.c": "int a;\n" * 801}, "size: 801 lines, at most 800")


def function(name, lines):
    return f"void {name}(void)\n{{\n" + "    a();\n" * (lines - 3) + "}\n"


@test
def function_rules():
    breach({"src/base/x.c": c(function("f", 151))}, "f has 151 lines, at most 150")
    fine({"src/base/x.c": c(function("f", 150))})
    branches = "void f(int a)\n{\n" + "    if (a)\n        b();\n" * 25 + "}\n"
    breach({"src/base/x.c": c(branches)}, "complexity: f has complexity 26, at most 25")
    many = "".join(function(f"f{i}", 16) for i in range(30))
    breach({"src/base/x.c": "/* x */\n" + many, "tests/base/more.c": "int a;\n" * 700}, "the median function has 16 lines")


@test
def test_rules():
    breach({"tests/base/good.c": "int a;\n"}, "lines of tests for")
    breach({"src/exec/x.c": FILLER}, "no tests/exec")


@test
def document_rules():
    breach({"SECURITY.md": None}, "SECURITY.md:0: document: is missing")
    breach({"CHANGELOG.md": "# Changelog\n"}, "no section Unreleased")
    breach({"doc/x.md": "see [this](nowhere.md)\n"}, "doc/x.md:1: document: nowhere.md is not there")
    fine({"doc/x.md": "see [this](../README.md#part), [that](https://example.org/)\n```\n[x](y)\n```\n"})


@test
def exceptions():
    small = {"src/base/x.c": "/* x */\nint a;\n"}
    fine({**small, "tests/lint/allow": "# words\nsize src/base/x.c it is small\n"})
    breach({**small, "tests/lint/allow": "size src/base/x.c\n"}, "and a reason, please")
    breach({"tests/lint/allow": "size src/base/x.c it was small\n"}, "nothing needs size src/base/x.c any more")
    long = {"src/base/x.c": c(function("f", 151) + function("g", 151))}
    breach({**long, "tests/lint/allow": "function src/base/x.c:f it is a table\n"}, "g has 151 lines")
    lacks(style({**long, "tests/lint/allow": "function src/base/x.c:f it is a table\n"})[1], "f has")


main()
