#!/usr/bin/python3
"""Every public call that waits is in a scene of tests/async, where it is told to stop at each point at which it can be.

What waits is what its manual says: its comment in include/yoke speaks of waits or of -ECANCELED, or it has forms with a time
limit, or its header says of all calls that they are cancel points. What says so and is in no scene has a reason here.
"""
import glob
import importlib.machinery
import importlib.util
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))
from tap import *

HEADERS = os.path.join(SOURCE, "include", "yoke")
SCENES = os.path.join(SOURCE, "tests", "async")
ALL = "Each call is a cancel point"
WAITS = re.compile(r"\b[Ww]ait(s|ed|ing)?\b|-ECANCELED|\bsuspends?\b")
NOT = re.compile(r"\b(Does not|does not|do not|must not|never|Never|It never) wait|\bwaits? for nothing|\bno wait\b")


def reference():
    loader = importlib.machinery.SourceFileLoader("reference", os.path.join(SOURCE, "tools", "reference"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("reference", loader))
    loader.exec_module(module)
    return module


def calls_in(declaration):
    """Functions and macros that are called as such."""
    return [n for n in reference_tool.names_in(declaration) if re.fullmatch(r"yoke_\w+", n)
            and re.search(rf"\b{n}\(", declaration)]


def says_wait(comment):
    return bool(WAITS.search(NOT.sub("", comment)))


def waiting_in(text):
    """The calls of one header that wait."""
    first = reference_tool.COMMENT.match(text)
    every, found, before = ALL in first[1], [], False
    for comment, declaration, _ in reference_tool.items(text[first.end():]):
        names = calls_in(declaration or "")
        limited = any(n.endswith(("_timed", "_until")) for n in names)
        waits = every or limited or says_wait(comment) or (before and comment.strip().startswith("The same"))
        before = waits
        found += [n for n in names if waits and not n.endswith("_try")]
    return found


def waiting():
    found = []
    for header in sorted(glob.glob(os.path.join(HEADERS, "*.h"))):
        with open(header, encoding="utf-8") as text:
            found += waiting_in(text.read())
    return found


def played():
    """All words of the scenes, but for their comments."""
    words = set()
    for path in glob.glob(os.path.join(SCENES, "scenes_*.c")):
        with open(path, encoding="utf-8") as text:
            words |= set(re.findall(r"\w+", reference_tool.COMMENT.sub("", text.read())))
    return words


reference_tool = reference()

# What the manual says of waits, and why it is in no scene: a pattern of names, and the reason.
NOT_PLAYED = {
    r"yoke_(array|device|stream|graph)_\w+": "waits for a device, which blocks the thread: there is no wait to be told to stop",
    r"yoke_(select|histogram|unique|reduction|enqueue_reduction|pipeline)": "computes: until it is done the thread is its own",
    r"yoke_(isolate_begin|isolate_end)": "says what other calls do while they wait",
    r"yoke_scope_begin\w*": "begins what ends waits",
    r"yoke_(cancel|timer_cancel|child_kill|barrier_abort|barrier_reset|event_done)": "ends waits, or sees whether there are any",
    r"yoke_(async_backend|deadlock|dump|net_error|serve_stopping)": "tells of waits",
    r"yoke_(channel|barrier|child|udp)_(capacity|broken|parties|pid|stdin|stdout|stderr|port|fd)": "tells what there is",
    r"yoke_channel_(sender|receiver)_(ref|unref)": "changes who may wait",
    r"yoke_completion_add": "adds to what is waited for",
    r"yoke_timer_release": "waits for a call of the timers' thread to the end, and nobody can be told otherwise",
    r"yoke_test_cancels": "plays the scenes",
}


def reason(name):
    return next((why for names, why in NOT_PLAYED.items() if re.fullmatch(names, name)), None)


@test
def what_waits_is_found():
    text = """/* yoke/x.h - x. */
/* Waits for it. */
YOKE_API int yoke_x_wait(void);
/* Takes it: 0, -ETIMEDOUT. */
YOKE_API int yoke_x_take(void);
YOKE_API int yoke_x_try(void);
#define yoke_x_timed(ns) yk_x(ns)

/* The same for y, -ECANCELED too. */
YOKE_API int yoke_y_take(void);
/* The same for z. */
YOKE_API int yoke_z_take(void);
/* Gives it. Does not wait. */
YOKE_API int yoke_x_give(void);
/* How many. */
YOKE_API int yoke_x_count(void);
"""
    equal(waiting_in(text), ["yoke_x_wait", "yoke_x_take", "yoke_x_timed", "yoke_y_take", "yoke_z_take"])
    text = "/* yoke/x.h - x. Each call is a cancel point. */\n/* Looks. */\nYOKE_API int yoke_x_look(void);\n"
    equal(waiting_in(text), ["yoke_x_look"])


@test
def the_headers_are_read():
    calls = waiting()
    for name in ("yoke_sleep", "yoke_lock_acquire", "yoke_lock_until", "yoke_read", "yoke_conn_read", "yoke_connect",
                 "yoke_queue_get_many", "yoke_channel_select", "yoke_wait", "yoke_thread_join", "yoke_child_wait"):
        check(name in calls, f"{name} is not seen to wait")
    check(len(calls) > 200, f"only {len(calls)} calls are seen to wait")


@test
def each_call_that_waits_is_in_a_scene():
    words = played()
    missing = [name for name in waiting() if name not in words and not reason(name)]
    equal(missing, [])


@test
def no_reason_is_left_over():
    idle = set(waiting()) - played()
    equal([names for names in NOT_PLAYED if not any(re.fullmatch(names, name) for name in idle)], [])


main()
