#!/usr/bin/python3
"""Every public header compiles alone, in every language it is promised for, without a warning; and the library exports
what the headers declare, no more and no less."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

INCLUDE = os.path.join(SOURCE, "include")
WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wcast-qual -Wundef -Werror".split()
LANGUAGES = [("gcc", "c11"), ("gcc", "gnu11"), ("gcc", "c17"), ("clang", "c11"), ("clang", "c17"),
             ("g++", "c++11"), ("g++", "c++17"), ("clang++", "c++11"), ("clang++", "c++17")]
# What the macros of the public headers call; everything else that is exported begins with yoke_.
BEHIND_MACROS = {"yk_array_of_view", "yk_array_view",
                 "yk_best", "yk_condition_notify", "yk_condition_timed", "yk_condition_wait", "yk_condition_wait_for",
                 "yk_condition_wait_for_timed",
                 "yk_count_if", "yk_fail", "yk_find", "yk_fork_enter", "yk_fork_leave", "yk_fork_reclaim",
                 "yk_fork_slow", "yk_histogram", "yk_local_make", "yk_lock_consistent", "yk_lock_done", "yk_lock_drop",
                 "yk_lock_init", "yk_lock_name", "yk_lock_owned", "yk_lock_wait", "yk_lock_wake", "yk_loop", "yk_must", "yk_nth",
                 "yk_once_run", "yk_once_try", "yk_radix_sort", "yk_reduce", "yk_result", "yk_rwlock_read", "yk_rwlock_write",
                 "yk_scan", "yk_select", "yk_self", "yk_sort", "yk_stream_histogram", "yk_stream_matmul", "yk_stream_reduce",
                 "yk_stream_scan", "yk_stream_segments", "yk_stream_select", "yk_stream_sort", "yk_stream_spmv",
                 "yk_stream_unique", "yk_thread_executor", "yk_thread_of", "yk_thread_plain",
                 "yk_unique", "yk_device_code_add", "yk_device_code_remove", "yk_enqueue", "yk_enqueue_raw",
                 "yk_enqueue_reduction",
                 "yk_enqueue_scan",
                 "yk_kernel_run", "yk_launch", "yk_prepare", "yk_kernel_add",
                 "yk_kernel_remove",
                 "yk_go", "yk_group_block", "yk_group_block_end", "yk_scope_block", "yk_scope_block_end", "yk_shield_block",
                 "yk_timeout_block"}
# YOKE_TASK(count) makes names with these prefixes: none may be a function of ours.
GENERATED = ["yoke_submit_", "yoke_task_", "yoke_args_", "yoke_spawn_", "yoke_sync_", "yoke_for_", "yoke_launch_",
             "yoke_kernel_", "yoke_kargs_"]


def headers():
    found = ["yoke.h"] + ["yoke/" + name for name in sorted(os.listdir(os.path.join(INCLUDE, "yoke")))]
    check(len(found) > 5, "headers are missing")
    return found


def text_of(header):
    with open(os.path.join(INCLUDE, header), encoding="utf-8") as text:
        return text.read()


def declared():
    """The functions marked YOKE_API, with the header that declares each."""
    found = {}
    for header in headers():
        text = re.sub(r"/\*.*?\*/", " ", text_of(header), flags=re.S)
        text = re.sub(r"^\s*#.*?(?<!\\)$", "", text, flags=re.S | re.M)
        for statement in re.findall(r"\bYOKE_API\b([^;{]*)[;{]", text):
            name = re.search(r"\b(\w+)\s*\(", statement) or re.search(r"(\w+)\s*$", statement)
            found[name[1]] = header
    check(len(found) > 20, f"only {len(found)} declarations found")
    return found


def exported():
    status, out, err = run(["nm", "-D", "--defined-only", os.path.join(BUILD, "libyoke.so")])
    equal((status, err), (0, ""))
    return {line.split()[2].split("@")[0] for line in out.splitlines() if line.split()[1] != "A"}


def compile_alone(compiler, standard):
    complaints = []
    for header in headers():
        language = "c++" if "++" in compiler else "c"
        source = f'#include <{header}>\n#include <{header}>\nint yoke_header_is_there;\n'
        done = run([compiler, f"-std={standard}", *WARNINGS, "-I", INCLUDE, "-x", language, "-fsyntax-only", "-"],
                   stdin=pipe_of(source))
        if done[0] or done[2]:
            complaints.append(f"{header}: {done[2]}")
    check(not complaints, "\n".join(complaints))


CALLS_OF_TASKS = """#include <yoke.h>
YOKE_TASK(int, one, (int, x)) { return x; }
YOKE_TASK(void, none) { }
static_assert(noexcept(yk_call_one(nullptr, nullptr)) && noexcept(yk_call_none(nullptr, nullptr)), "");
"""


@test
def no_exception_leaves_a_task():
    for compiler, standard in LANGUAGES:
        if "++" in compiler:
            done = run([compiler, f"-std={standard}", *WARNINGS, "-I", INCLUDE, "-x", "c++", "-fsyntax-only", "-"],
                       stdin=pipe_of(CALLS_OF_TASKS))
            check(done[0] == 0 and not done[2], f"{compiler} {standard}: {done[2]}")


NUMBERS_AND_SHAPES = """#include <yoke/array.h>
#include <stdio.h>
int main(void)
{
    const bool yes = true;
    const unsigned char small = 3;
    const unsigned long long large = ~0ull;
    size_t n = 7;
    const yoke_dims d = yoke_shape(n, -1, 3l);
    printf("%d %d %d %d ", yoke_number(yes)->type, yoke_number(small)->type, yoke_number('a')->type, yoke_number(3u)->type);
    printf("%d %d ", yoke_number(n)->type, yoke_number(large)->number.u == large);
    printf("%d %d %d %g ", yoke_number(0.5f)->type, yoke_number(0.5)->type, yoke_number(0.5L)->type, yoke_number(0.5L)->number.f);
    printf("%zu %td %td %td\\n", d.count, d.at[0], d.at[1], d.at[2]);
    return 0;
}
"""


@test
def numbers_and_shapes_are_the_same_in_each_language():
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "program")
        for compiler, standard in LANGUAGES:
            language = "c++" if "++" in compiler else "c"
            done = run([compiler, f"-std={standard}", *WARNINGS, "-I", INCLUDE, "-x", language, "-o", program, "-"],
                       stdin=pipe_of(NUMBERS_AND_SHAPES))
            equal((done[0], done[2]), (0, ""))
            equal(run([program])[1], "5 5 5 5 9 1 11 11 11 0.5 3 7 -1 3\n")


def pipe_of(text):
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    return reader


for each in LANGUAGES:
    def case(each=each):
        compile_alone(*each)
    case.__name__ = f"headers_compile_alone_{each[0]}_{each[1]}".replace("+", "x")
    test(case)


@test
def exports_are_what_the_headers_declare():
    ours, theirs = exported(), set(declared())
    equal(sorted(ours - theirs), [])
    equal(sorted(theirs - ours), [])


@test
def exports_carry_the_prefix():
    equal(sorted(n for n in exported() if not n.startswith("yoke_") and n not in BEHIND_MACROS), [])


@test
def the_version_script_names_what_the_macros_call():
    with open(os.path.join(SOURCE, "src", "yoke.map"), encoding="utf-8") as text:
        names = set(re.findall(r"^\s+(yk_\w+);", text.read(), re.M))
    equal(names, BEHIND_MACROS)


@test
def no_function_has_a_generated_prefix():
    equal([n for n in declared() if any(n.startswith(p) for p in GENERATED)], [])


@test
def waits_with_a_limit_have_one_naming():
    """X_timed() takes nanoseconds last or before its result, X_until() a deadline; one code says that the time is over."""
    wrong = []
    for header in headers():
        text = re.sub(r"/\*.*?\*/", " ", text_of(header), flags=re.S)
        wrong += [f"{header}: ETIME"] if re.search(r"\bETIME\b", text_of(header)) else []
        for name, params in re.findall(r"\b(yoke_\w+)\(([^()]*)\)", text):
            limits = [w for w in ("deadline", "ns") if re.search(rf"\bint64_t {w}\b", params)]
            forms = {"deadline": "_until", "ns": "_timed"}
            wrong += [name for w in limits if not name.endswith(forms[w])]
            wrong += [name for w, end in forms.items() if name.endswith(end) and not re.search(rf"\b{w}\b", params)]
            wrong += [name] if re.search(r"_try_|_timeout$|yoke_\w+_for$", name) and name != "yoke_condition_wait_for" else []
    # The waits for time itself, a scope's deadline, and a read that is until something else than a time.
    equal(sorted(set(wrong)), ["yoke_barrier_wait_with", "yoke_conn_read_until", "yoke_scope_set_deadline", "yoke_sleep",
                               "yoke_sleep_until"])


@test
def every_function_is_documented():
    """A comment ends on the line before the declaration, or before the group of declarations it stands in."""
    bare = []
    for header in headers():
        lines = text_of(header).splitlines()
        for number, line in enumerate(lines):
            if not line.startswith("YOKE_API "):
                continue
            above = number - 1
            while above >= 0 and lines[above].strip() and not lines[above].rstrip().endswith("*/"):
                above -= 1
            if above < 0 or not lines[above].rstrip().endswith("*/"):
                bare.append(f"{header}:{number + 1}: {line}")
    equal(bare, [])


@test
def macros_carry_the_prefix():
    wrong = []
    for header in headers():
        for name in re.findall(r"^\s*#\s*define\s+(\w+)", text_of(header), re.M):
            if not re.match(r"(YOKE_|YK_|yoke_|yk_)", name):
                wrong.append(f"{header}: {name}")
    equal(wrong, [])


@test
def types_carry_the_prefix():
    """Those of the system are only said to be there: struct stat;"""
    wrong = []
    for header in headers():
        text = re.sub(r"/\*.*?\*/", " ", text_of(header), flags=re.S)
        for name in re.findall(r"^(?:typedef\s+)?(?:struct|enum|union)\s+(\w+)\b(?!\s*;)", text, re.M):
            if not re.match(r"(yoke_|yk_)", name):
                wrong.append(f"{header}: {name}")
    equal(wrong, [])


@test
def yoke_h_includes_every_part():
    whole = text_of("yoke.h")
    inner = "".join(text_of(h) for h in headers())
    for header in headers()[1:]:
        check(f"<{header}>" in whole or f"<{header}>" in inner, f"{header} is reached from nowhere")


@test
def the_version_is_the_same_everywhere():
    with open(os.path.join(SOURCE, "meson.build"), encoding="utf-8") as text:
        version = re.search(r"\bversion: '([^']+)'", text.read())[1]
    has(text_of("yoke/base.h"), f'#define YOKE_VERSION "{version}"')


main()
