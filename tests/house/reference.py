#!/usr/bin/python3
"""tools/reference leaves nothing out: each public function has an entry with its comment."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

TOOL = os.path.join(SOURCE, "tools", "reference")
HEADER = """/* yoke/x.h - things that pull.
 *
 *     yoke_x *x = yoke_x_open();
 *
 * A team is two.
 * Rules:
 *   - one that goes
 *     on and on;
 *   - another.
 * And:
 *
 *   left    one side
 *   right   the other
 */
#ifndef YOKE_X_H
#define YOKE_X_H
#ifdef __cplusplus
extern "C" {
#endif

/* ---- For the macros ---- */

/* Not for you. */
static inline int yk_inner(void)
{
    return 1;
}

/* ---- Teams ---- */
/* Of what comes now a team has two. */

/* Opens a team:
 *     yoke_x_open();
 * and returns it. */
YOKE_API yoke_x *yoke_x_open(void);
YOKE_API int yoke_x_close(yoke_x *x);

/* For the macros. */
YOKE_API int yk_hidden(void);

/* Twice. */
#ifdef __cplusplus
#define yoke_twice(f, x) \\
    (f(x), \\
     f(x))
#else
#define yoke_twice(f, x) (f(x), f(x))
#endif
#define YK_INNER 1

/* How many pull. */
static inline int yoke_x_count(const yoke_x *x,
                               int (*fn)(void *arg))
{
    int yk_n = 0;
    if (x)
        yk_n = x->n;
    return yk_n;
}
static inline int yk_hidden_too(void) { return 0; }
template <class T> inline int yk_third(T x)
{
    return x;
}
static inline bool yoke_x_any(const yoke_x *x) { return x->n > 0; }

/* How they pull. */
#define YK_FIELDS \\
    int left;  /* that of the one */ \\
    int right; /* that of the other */
typedef struct yoke_how {
    YK_FIELDS
} yoke_how;

/* What they see; T is i8 or f64. */
#define YK_VIEW(name, T) \\
    typedef struct name { \\
        T *ptr; \\
        size_t n; \\
    } name;
#define YK_VIEWS(suffix, T) YK_VIEW(yoke_in_##suffix, const T) YK_VIEW(yoke_out_##suffix, T)
YK_VIEWS(i8, int8_t)
YK_VIEWS(f64, double)

/* Which team this is. */
struct yoke_other;
YOKE_API struct yoke_other *yoke_x_other(void);
#endif
"""
PAGE = """# yoke/x.h

Things that pull.

```c
yoke_x *x = yoke_x_open();
```

A team is two.
Rules:

  - one that goes
    on and on;
  - another.
And:

```c
left    one side
right   the other
```

## Teams

Of what comes now a team has two.

### yoke_x_open, yoke_x_close

```c
yoke_x *yoke_x_open(void);
int yoke_x_close(yoke_x *x);
```

Opens a team:

```c
yoke_x_open();
```

and returns it.

### yoke_twice

```c
#define yoke_twice(f, x)
```

Twice.

### yoke_x_count, yoke_x_any

```c
int yoke_x_count(const yoke_x *x,
                 int (*fn)(void *arg));
bool yoke_x_any(const yoke_x *x);
```

How many pull.

### yoke_how

```c
typedef struct yoke_how {
    int left;  /* that of the one */
    int right; /* that of the other */
} yoke_how;
```

How they pull.

### yoke_in_T, yoke_out_T

```c
typedef struct yoke_in_T {
    const T *ptr;
    size_t n;
} yoke_in_T;
typedef struct yoke_out_T {
    T *ptr;
    size_t n;
} yoke_out_T;
```

What they see; T is i8 or f64.

### yoke_x_other

```c
struct yoke_other *yoke_x_other(void);
```

Which team this is.
"""


@test
def a_page_is_set_from_a_header():
    folder = scratch()
    with open(os.path.join(folder, "x.h"), "w", encoding="utf-8") as out:
        out.write(HEADER)
    equal(run([TOOL, os.path.join(folder, "x.h"), "--out", os.path.join(folder, "out")]), (0, "", ""))
    with open(os.path.join(folder, "out", "x.md"), encoding="utf-8") as text:
        equal(text.read(), PAGE)


@test
def every_function_has_an_entry():
    missing = []
    for name in sorted(os.listdir(os.path.join(SOURCE, "include", "yoke"))):
        with open(os.path.join(SOURCE, "include", "yoke", name), encoding="utf-8") as text:
            functions = re.findall(r"^YOKE_API\b[^;(]*?\b(yoke_\w+)\(", text.read(), re.M)
        if not functions:
            continue
        with open(os.path.join(BUILD, "doc", name[:-2] + ".md"), encoding="utf-8") as text:
            headings = re.findall(r"^### (.*)$", text.read(), re.M)
        entries = {n for heading in headings for n in heading.split(", ")}
        missing += [f"{name}: {f}" for f in functions if f not in entries]
    equal(missing, [])


@test
def pages_show_what_a_reader_needs():
    """No bodies, no names of the library's own but as fields that have to lie somewhere, and nothing under no heading."""
    for name in sorted(os.listdir(os.path.join(BUILD, "doc"))):
        if not name.endswith(".md"):
            continue
        with open(os.path.join(BUILD, "doc", name), encoding="utf-8") as text:
            page = text.read()
        for line in page.splitlines():
            check(not re.search(r"static inline|template <|^extern \"C\"|\byk_\w+\(|^#define YK_|^#if", line), f"{name}: {line}")
        check(not re.search(r"^## .*\n\n(## |\Z)", page, re.M), f"{name}: a section of nothing")
    with open(os.path.join(BUILD, "doc", "task.md"), encoding="utf-8") as text:
        page = text.read()
    has(page, "### YOKE_TASK\n\n```c\n#define YOKE_TASK(RET, ...)\n```\n")
    has(page, "### yoke_in_T, yoke_out_T, yoke_inout_T\n\n```c\ntypedef struct yoke_in_T {\n    const T *ptr;\n")


@test
def usage():
    status, _, err = run([TOOL, "x.h"])
    equal(status, 1)
    has(err, "usage: tools/reference HEADER... --out DIR")


main()
