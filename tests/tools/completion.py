"""What the command writes about itself for others: man pages, and completions for bash, zsh and fish."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

EXECUTORS = ["cpu", "cuda", "gpu", "inline", "opencl", "processes", "threads"]

YOKE = os.environ.get("YOKE") or os.path.join(BUILD, "yoke")
FOLDER = scratch()
COMMANDS = ["ls", "run", "map", "kernel", "doctor"]
TASKS = os.path.join(FOLDER, "cli_tasks.c")
shutil.copy(os.path.join(SOURCE, "tests", "tools", "cli_tasks.c"), TASKS)
ENV = {**os.environ, "PATH": os.path.dirname(YOKE) + ":" + os.environ["PATH"], "YOKE_CACHE": os.path.join(FOLDER, "cache"),
       "YOKE_INCLUDE": os.path.join(SOURCE, "include")}


def generated(*words):
    status, out, err = run([YOKE, "--generate", *words])
    equal((status, err), (0, ""))
    name = os.path.join(FOLDER, "-".join(words))
    with open(name, "w") as f:
        f.write(out)
    return name, out


def options(command):
    return re.findall(r"--([a-z0-9-]+)", run([YOKE, command, "--help"])[1].split("Options:")[1].split("Exit status")[0])


def complete(*words):
    """What bash offers after these words, of which the last is being typed. A colon is a word of its own."""
    script, _ = generated("bash")
    quoted = " ".join("'" + w + "'" for w in words)
    status, out, err = run(["bash", "-c", f'. {script}; COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _yoke; '
                                          'printf "%s\\n" "${COMPREPLY[@]}"'], env=ENV, cwd=FOLDER)
    equal((status, err), (0, ""))
    return sorted(out.split())


def rendered(*words):
    """The page as it is read, in long lines."""
    page, _ = generated("man", *words)
    status, out, err = run(["man", "-l", page], env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "400", "LC_ALL": "C.UTF-8"})
    equal((words, status, err), (words, 0, ""))
    return out


@test
def man_pages_are_good_roff():
    for words in [[]] + [[c] for c in COMMANDS]:
        page, text = generated("man", *words)
        status, out, err = run(["groff", "-ww", "-man", "-Tutf8", page])
        equal((words, status, err), (words, 0, ""))
        status, out, err = run(["man", "--warnings", "-l", page], env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "100"})
        equal((words, status, err), (words, 0, ""))
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT"):
            has(out, section)


@test
def man_pages_say_all_that_help_says():
    for command in COMMANDS:
        text = rendered(command)
        for option in set(options(command)) - {"help"}:
            has(text, f"--{option}")
        for section in ("OPTIONS", "EXAMPLES", "EXIT STATUS"):
            has(text, section)


@test
def man_pages_tell_how_values_are_written():
    """What nobody could guess from a signature, and what would be lost by guessing wrong."""
    pages = {command: " ".join(re.sub(r"\u2010\s+", "", rendered(command)).split()) for command in ("ls", "run", "map")}
    for text in (pages["run"], pages["map"]):
        for part in ("nested arrays of numbers, [1,2,3] or [[1,2],[3,4]]", '{"shape":[2,2],"base64":"..."}', "3, [3] or [2,2]",
                     '{"return":...,"y":[...]}', '"NaN", "Infinity" and "-Infinity"', "A struct has no JSON form"):
            has(text, part)
    has(pages["ls"], "f64[] in, f64[] out or f64[] inout")
    for part in ("those of the last attempt", "without --resume FILE is overwritten", "All words after ::: are records"):
        has(pages["map"], part)


@test
def the_examples_of_man_pages_run_as_printed():
    """Copied from the page as it is shown, not as it is stored."""
    folder = os.path.join(FOLDER, "examples")
    os.mkdir(folder)
    for name in ("axpy.c", "integrate.c", "manifest/manifest.c"):
        shutil.copy(os.path.join(SOURCE, "examples", name), folder)
    with open(os.path.join(folder, "square.c"), "w") as f:
        f.write("#include <yoke.h>\nYOKE_TASK(long, square, (long, n)) { return n * n; }\n")
    with open(os.path.join(folder, "squares.c"), "w") as f:
        f.write("#include <yoke/kernel.h>\nYOKE_KERNEL(squares, ((in, int, x), (out, int, y)), y[i] = x[i] * x[i];)\n")
    with open(os.path.join(folder, "in.jsonl"), "w") as f:
        f.write("[0, 1]\n[1, 2]\n")
    include = os.path.join(SOURCE, "include")
    equal(run(["cc", "-shared", "-fPIC", "-I", include, "square.c", "-o", "libwork.so"], cwd=folder), (0, "", ""))
    for command in COMMANDS:
        lines = rendered(command).split("EXAMPLES\n")[1].split("\nEXIT STATUS")[0].split("\n")
        examples = [line.strip() for line in lines if re.search(r"\byoke [a-z]", line)]
        check(examples, command)
        for example in examples:
            status, out, err = run(f"set -e\n{example}", cwd=folder, env=ENV)
            if status == 3 and "kernel check" in example:
                continue  # there is no compiler for devices
            equal((example, status, err), (example, 0, ""))


@test
def bash_offers_commands():
    equal(complete("yoke", ""), sorted(COMMANDS + ["--help", "--version"]))
    equal(complete("yoke", "d"), ["doctor"])
    equal(complete("yoke", "x"), [])


@test
def bash_offers_every_option():
    for command in COMMANDS:
        equal(complete("yoke", command, "--"), sorted("--" + o for o in set(options(command)) | {"help"}))
    equal(complete("yoke", "map", "--job"), ["--joblog", "--jobs"])


@test
def bash_offers_values_and_files():
    equal(complete("yoke", "run", "--on", ""), EXECUTORS)
    equal(complete("yoke", "ls", "--color", "a"), ["always", "auto"])
    has(complete("yoke", "run", "cli"), "cli_tasks.c")
    has(complete("yoke", "map", "--joblog", "cli"), "cli_tasks.c")


@test
def bash_offers_the_tasks_of_a_file():
    has(complete("yoke", "run", "cli_tasks.c", ":"), "integrate")
    equal(complete("yoke", "run", "cli_tasks.c", ":", "inte"), ["integrate"])
    equal(complete("yoke", "map", "cli_tasks.c", ":", "same_i"), ["same_i16", "same_i32", "same_i64", "same_i8"])
    equal(complete("yoke", "run", "nothing.c", ":", ""), [])


@test
def bash_offers_nothing_that_an_option_does_not_take():
    offered = complete("yoke", "map", "--halt", "")
    has(offered, "soon,fail=1")
    for value in offered:
        words = ["map", "cli_tasks.c:negate", "--halt", value, ":::", "true"]
        equal(run([YOKE, *words], env=ENV, cwd=FOLDER)[:2], (0, "false\n"))
    for option in ("--timeout", "--retries", "-j"):
        equal(complete("yoke", "map", option, ""), [])


@test
def zsh_offers_the_tasks_of_a_file():
    """compset and compadd exist only while zsh completes; here they print."""
    script, _ = generated("zsh")
    stubs = "_arguments() { }; _describe() { }; _files() { print files; }; " \
            "compset() { print -r -- $*; }; compadd() { print -l $names; }"
    for prefix, offered in (("cli_tasks.c:sam", ["-P *:", "same_i8", "integrate"]), ("cli_ta", ["files"]), ("no.c:x", ["files"])):
        code = f"{stubs}; CURRENT=2; words=(yoke x); . {script}; PREFIX={prefix}; _yoke_target"
        status, out, err = run(["zsh", "-f", "-c", code], env=ENV, cwd=FOLDER)
        equal((status, err), (0, ""))
        for name in offered:
            has(out.split("\n"), name)


@test
def fish_offers_the_tasks_of_a_file():
    script, _ = generated("fish")
    for command in ("run", "map"):
        for typed, offered in (("cli_tasks.c:same_i", [f"cli_tasks.c:same_i{n}" for n in ("16", "32", "64", "8")]),
                               ("cli_tasks", ["cli_tasks.c"]), ("cli_tasks.c:zzz", [])):
            status, out, err = run(["fish", "--no-config", "-c", f"source {script}; complete -C 'yoke {command} {typed}'"],
                                   env=ENV, cwd=FOLDER)
            equal((typed, status, sorted(line.split("\t")[0] for line in out.splitlines())), (typed, 0, offered))


@test
def zsh_and_fish_take_theirs():
    for shell in ("zsh", "fish"):
        script, text = generated(shell)
        equal(run([shell, "-n", script]), (0, "", ""))
        for command in COMMANDS:
            for option in options(command):
                check(option == "help" or re.search(rf"(--|-l ){option}\b", text), f"{shell}: {command} --{option}")


@test
def fish_completes():
    script, _ = generated("fish")
    status, out, err = run(["fish", "--no-config", "-c", f"source {script}; complete -C 'yoke map --on '"], env=ENV)
    equal((status, sorted(line.split("\t")[0] for line in out.splitlines())), (0, EXECUTORS))


@test
def nothing_else_is_generated():
    for words in ([], ["tcsh"], ["man", "frobnicate"]):
        status, out, err = run([YOKE, "--generate", *words])
        equal((status, out, err.count("\n")), (2, "", 1))


main()
