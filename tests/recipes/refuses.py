#!/usr/bin/python3
"""tests/recipes/recipes.py notices a recipe that is incomplete, unlisted, wrong or not a recipe at all."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

RECIPES = os.path.join(SOURCE, "tests", "recipes", "recipes.py")
GOOD = """/* Half of a number.
 *
 * Use it when two must share. */
#include <stdio.h>
#include <yoke.h>

YOKE_TASK(int, half, (int, x))
{
    return x / 2;
}

int main(void)
{
    yoke_executor *ex = yoke_open("threads:2");
    int64_t start = yoke_now();
    printf("%d", yoke_await(yoke_submit(ex, half, 42), int));
    printf(" in %lld ns\\n", (long long)(yoke_now() - start));
    return yoke_close(ex);
}
"""
README = """# Cookbook

```console
$ cc -O2 a/half.c -o half $(pkg-config --cflags --libs yoke)
$ ./half
...
```

## 1 Halves

| recipe | shows |
|---|---|
| [a/half.c](a/half.c) | a half |
"""
GPU_README = README + """
## 2 GPU

| recipe | shows |
|---|---|
| [gpu/where.c](gpu/where.c) | which device it is |
"""
GPU = """/* Which device is it?
 *
 * Use it when in doubt. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/kernel.h>

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    printf("%s, a %s device\\n", getenv("YOKE_DEVICE"), yoke_device_about(dev)->driver);
    puts(yoke_device_error(dev));
    return yoke_device_close(dev);
}
"""
# A CUDA driver that is none, of tests/gpu, beside the CPU.
NO_DRIVERS = {"YOKE_OPENCL_DRIVER": "/none.so", "YOKE_CUDA_DRIVER": "/none.so"}
FAKE_CUDA = {**NO_DRIVERS, "YOKE_CUDA_DRIVER": os.path.join(BUILD, "tests", "gpu", "fake-cuda.so")}


def cookbook(env=None, **changed):
    files = {"README_md": README, "a_half_c": GOOD, "a_half_expected": "21 in # ns\n", **changed}
    root = scratch()
    for name, text in files.items():
        place = {"README_md": "README.md"}.get(name) or name.replace("_", "/", 1).replace("_", ".")
        os.makedirs(os.path.dirname(os.path.join(root, place)), exist_ok=True)
        if text is not None:
            with open(os.path.join(root, place), "w", encoding="utf-8") as out:
                out.write(text)
    status, out, err = run(["/usr/bin/python3", RECIPES], env={**os.environ, "YOKE_RECIPES": root, **(env or {})})
    equal(err, "")
    return status, out


def refused(complaint, **changed):
    status, out = cookbook(**changed)
    equal(status, 1)
    has(out, complaint)


@test
def a_complete_one_passes():
    status, out = cookbook()
    check(status == 0, out)
    has(out, "cook_a_half")


@test
def without_expected():
    refused("a/half.c has no a/half.expected", a_half_expected=None)


@test
def without_a_row():
    refused("each_is_in_the_list_once", README_md=README[:README.index("| [a")])
    refused("not ok 2 - each_is_in_the_list_once", README_md=README.replace("(a/half.c)", "(a/other.c)"))


@test
def a_row_without_a_recipe():
    refused("not ok 2 - each_is_in_the_list_once", README_md=README + "| [a/none.c](a/none.c) | nothing |\n")
    refused("not ok 2 - each_is_in_the_list_once", README_md=README + "| [a/half.c](a/half.c) | twice |\n")


@test
def without_a_command_in_the_readme():
    refused("does not say how to build", README_md=README.replace("$ cc", "cc"))
    refused("no such recipe", README_md=README.replace("-O2 a/half.c", "-O2 a/none.c"))


@test
def another_answer():
    refused("a/half.c printed", a_half_c=GOOD.replace("x / 2", "x / 3"))
    refused("a/half.c printed", a_half_expected="21 in # ns\n21 in # ns\n")
    refused("a/half.c printed", a_half_expected="")


@test
def a_failure_or_a_word_on_stderr():
    refused("ended with 3", a_half_c=GOOD.replace("yoke_close(ex);", "yoke_close(ex) + 3;"))
    refused("oh\n", a_half_c=GOOD.replace("int64_t start", 'fputs("oh\\n", stderr);\n    int64_t start'))


@test
def a_warning():
    refused("unused", a_half_c=GOOD.replace("int64_t start", "int unused;\n    int64_t start"))


@test
def another_header():
    refused("each_uses_public_headers_only", a_half_c=GOOD.replace("<stdio.h>\n", "<stdio.h>\n#include <yoke/task.h>\n"))
    refused("each_uses_public_headers_only", a_half_c=GOOD.replace("<stdio.h>\n", '<stdio.h>\n#include "stddef.h"\n'))
    refused("does not include <yoke.h>", a_half_c=GOOD.replace("<yoke.h>", "<yoke/kernel.h>"))


@test
def any_lines():
    status, out = cookbook(a_half_expected="...\n21 in # ns\n...\n")
    check(status == 0, out)
    refused("a/half.c printed", a_half_expected="...\n22 in # ns\n...\n")
    refused("a/half.expected expects nothing", a_half_expected="...\n")


def gpu(env, **changed):
    recipe = {"README_md": GPU_README, "gpu_where_c": GPU, "gpu_where_expected": "cpu, a cpu device\n\n"}
    return cookbook(env, **{**recipe, **changed})


@test
def once_on_each_device():
    status, out = gpu(NO_DRIVERS)
    check(status == 0, out)
    status, out = gpu(FAKE_CUDA)
    equal(status, 1)
    has(out, "gpu/where.c on cuda printed\n# cuda, a cuda device\n")
    lacks(out, "a/half.c on")
    status, out = gpu(FAKE_CUDA, gpu_where_expected="...\n\n")
    check(status == 0, out)


@test
def another_answer_on_one_device():
    status, out = gpu(FAKE_CUDA, gpu_where_c=GPU.replace("return ", "return yoke_device_about(dev)->driver[1] == 'u' ? 5 : "),
                      gpu_where_expected="...\n\n")
    equal(status, 1)
    has(out, "gpu/where.c on cuda ended with 5")
    status, out = gpu(NO_DRIVERS, gpu_where_expected="cuda, a cuda device\n\n")
    equal(status, 1)
    has(out, "gpu/where.c on cpu printed")


@test
def no_word_when_to_use_it():
    refused("Use it", a_half_c=GOOD.replace("Use it", "Good"))
    refused("a comment comes first", a_half_c="#include <stddef.h>\n" + GOOD)


@test
def too_long_or_too_short():
    refused("62 lines", a_half_c=GOOD + "\n" * (62 - GOOD.count("\n")))
    refused("4 lines", a_half_c="/* Use it never. */\n#include <yoke.h>\nint main(void)\n{}\n")


@test
def a_left_over():
    refused("has no recipe", a_old_expected="1\n")


@test
def two_chapters_for_a_folder():
    more = "\n## 2 More\n\n| recipe | shows |\n|---|---|\n| [a/two.c](a/two.c) | a half again |\n"
    refused("not ok 4 - each_lies_under_its_chapter", README_md=README + more, a_two_c=GOOD, a_two_expected="21 in # ns\n")


main()
