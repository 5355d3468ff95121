#!/usr/bin/python3
"""What is installed is enough: a program outside of the tree is built against it through pkg-config and through CMake,
shared and static, from C and from C++, and runs on every executor.

Installs the build directory under a scratch DESTDIR; with YOKE_PREFIX it uses what was installed there for real."""
import json
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))
from tap import *

EXPECTED = "42 6 ox\n" * 3
STRICT = "-Wall -Wextra -Wpedantic -Werror".split()


def installed():
    """Returns (prefix as files lie now, sysroot for pkg-config)."""
    if os.environ.get("YOKE_PREFIX"):
        return os.environ["YOKE_PREFIX"], ""
    root = scratch()
    status, out, err = run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root])
    check(status == 0, out + err)
    with open(os.path.join(BUILD, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as text:
        prefix = [option["value"] for option in json.load(text) if option["name"] == "prefix"][0]
    return root + prefix, root


PREFIX, SYSROOT = installed()
WORK = scratch()


def find(name):
    for folder, _, files in os.walk(PREFIX):
        if name in files:
            return os.path.join(folder, name)
    raise AssertionError(f"{name} is not installed")


LIBDIR = os.path.dirname(find("libyoke.so"))
ENV = {**os.environ, "PKG_CONFIG_PATH": os.path.join(LIBDIR, "pkgconfig"), "LD_LIBRARY_PATH": LIBDIR}
ENV.update({"PKG_CONFIG_SYSROOT_DIR": SYSROOT} if SYSROOT else {})


def pkg_config(*words):
    status, out, err = run(["pkg-config", *words, "yoke"], env=ENV)
    check(status == 0, err)
    return out.split()


def build(compiler, source, *words):
    program = os.path.join(WORK, "app")
    status, _, err = run([compiler, *STRICT, os.path.join(HERE, source), "-o", program, *words], env=ENV)
    equal((status, err), (0, ""))
    return program


def runs(program, expected=EXPECTED):
    equal(run([program], env=ENV), (0, expected, ""))


@test
def the_files_are_there():
    names = {os.path.relpath(os.path.join(folder, f), PREFIX) for folder, _, files in os.walk(PREFIX) for f in files}
    for wanted in ("include/yoke.h", "include/yoke/task.h", "include/yoke/executor.h"):
        check(wanted in names, f"{wanted} is missing")
    for ending in ("libyoke.so.0", "libyoke.a", "pkgconfig/yoke.pc", "cmake/yoke/yokeConfig.cmake"):
        check(any(n.endswith(ending) for n in names), f"{ending} is missing")
    for wanted in ("yoke", "ls", "run", "map", "doctor"):
        page = "yoke.1" if wanted == "yoke" else f"yoke-{wanted}.1"
        check(any(n.endswith("man/man1/" + page) for n in names), f"{page} is missing")
    for wanted in ("bash-completion/completions/yoke", "zsh/site-functions/_yoke", "fish/vendor_completions.d/yoke.fish"):
        check(f"share/{wanted}" in names, f"{wanted} is missing")
    strangers = [n for n in names if not re.search(r"yoke", n)]
    equal(strangers, [])


@test
def every_header_is_installed():
    ours = sorted(os.listdir(os.path.join(SOURCE, "include", "yoke")))
    equal(sorted(os.listdir(os.path.join(PREFIX, "include", "yoke"))), ours)


@test
def the_soname_is_0():
    has(run(["objdump", "-p", find("libyoke.so")])[1], "SONAME               libyoke.so.0")


@test
def no_path_of_the_build_is_left_in_the_library():
    dynamic = run(["objdump", "-p", find("libyoke.so")])[1]
    lacks(dynamic, "RPATH")
    lacks(dynamic, "RUNPATH")


@test
def pkg_config_has_no_flags_of_its_own():
    equal([w for w in pkg_config("--cflags") if not w.startswith("-I")], [])
    equal([w for w in pkg_config("--libs") if w.startswith("-l")], ["-lyoke", "-lm"])
    has(pkg_config("--static", "--libs"), "-pthread")
    has(pkg_config("--modversion")[0], ".")


def with_pkg_config(compiler, source, expected, *words):
    runs(build(compiler, source, *words, *pkg_config("--cflags", "--libs")), expected)


@test
def pkg_config_shared_gcc():
    with_pkg_config("gcc", "app.c", EXPECTED, "-std=c11")


@test
def pkg_config_shared_clang():
    with_pkg_config("clang", "app.c", EXPECTED, "-std=c17")


@test
def pkg_config_shared_cplusplus():
    with_pkg_config("g++", "app.cpp", "42\n" * 3, "-std=c++17")


@test
def pkg_config_static():
    """The archive needs nothing of the shared library, and its executors register themselves."""
    flags = [w.replace("-lyoke", "-l:libyoke.a") for w in pkg_config("--static", "--cflags", "--libs")]
    program = build("gcc", "app.c", "-std=c11", *flags)
    lacks(run(["objdump", "-p", program])[1], "libyoke.so")
    runs(program)


@test
def the_archive_exports_what_the_library_does():
    def names(*words):
        return {line.split()[2].split("@")[0] for line in run(["nm", "--defined-only", *words])[1].splitlines()
                if len(line.split()) == 3 and line.split()[1].isupper() and line.split()[1] != "A"}
    equal(names("-g", find("libyoke.a")), names("-D", find("libyoke.so")))


@test
def cmake_finds_it():
    tree = os.path.join(WORK, "cmake")
    shutil.copytree(HERE, os.path.join(WORK, "outside"), dirs_exist_ok=True)
    status, out, err = run(["cmake", "-S", os.path.join(WORK, "outside"), "-B", tree, f"-DCMAKE_PREFIX_PATH={PREFIX}"], env=ENV)
    check(status == 0, out + err)
    status, out, err = run(["cmake", "--build", tree], env=ENV)
    check(status == 0, out + err)
    lacks(run(["objdump", "-p", os.path.join(tree, "static")])[1], "libyoke.so")
    runs(os.path.join(tree, "shared"))
    runs(os.path.join(tree, "static"))
    runs(os.path.join(tree, "cplusplus"), "42\n" * 3)


@test
def the_how_to_builds_with_cmake():
    """Its files as printed, and nothing else."""
    folder = os.path.join(WORK, "how-to")
    os.mkdir(folder)
    with open(os.path.join(SOURCE, "doc", "how-to.md"), encoding="utf-8") as text:
        page = text.read()
    for name in ("CMakeLists.txt", "app.cpp"):
        block = re.search(rf"^```\w+ {re.escape(name)}\n(.*?)^```$", page, re.S | re.M)
        check(block is not None, f"no block {name}")
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(block[1])
    tree = os.path.join(folder, "build")
    for words in (["-S", folder, "-B", tree, f"-DCMAKE_PREFIX_PATH={PREFIX}"], ["--build", tree]):
        status, out, err = run(["cmake", *words], env={**os.environ, "PKG_CONFIG_PATH": ""})
        check(status == 0, out + err)
    equal(run([os.path.join(tree, "app")]), (0, "42\n", ""))


@test
def the_reference_is_where_the_how_to_says():
    for name in ("base.md", "task.md"):
        check(os.path.exists(os.path.join(PREFIX, "share", "doc", "yoke", "reference", name)), name)


main()
