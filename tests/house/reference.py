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
 */
#ifndef YOKE_X_H
#define YOKE_X_H
/* ---- Teams ---- */

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
#endif
"""
PAGE = """# yoke/x.h

Things that pull.

```c
yoke_x *x = yoke_x_open();
```

A team is two.

## Teams

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
def usage():
    status, _, err = run([TOOL, "x.h"])
    equal(status, 1)
    has(err, "usage: tools/reference HEADER... --out DIR")


main()
