#!/usr/bin/python3
"""Every wrong use in cases.py fails to compile with every compiler it names, and the first line with an error says what is
wrong. The text before each case compiles on its own, so that no case can fail for another reason."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'harness'), HERE]
import subprocess
from tap import *
from cases import ALL, C, CXX, END, FRONT, cases

# gcc makes the first two errors by itself from version 14 on.
FLAGS = ['-fsyntax-only', '-Werror=int-conversion', '-Werror=incompatible-pointer-types', '-I', os.path.join(SOURCE, 'include')]
PLAIN = '''
int plain(void);
int plain(void) { return (int)integrate(1, 2, 3); }
yoke_future *no_name(yoke_executor *ex);
yoke_future *no_name(yoke_executor *ex) { return yoke_wait(yoke_kw_submit(ex, nothing)) ? NULL : yoke_kw_submit(ex, integrate); }
'''

THREADS = '''
static void begin(struct point *p) { p->x = 1; }
YOKE_LOCAL(struct point, here, begin, NULL);
YOKE_LOCAL(long, there, NULL, NULL);
static int look(void *arg) { return here()->x + (int)*there() + *(int *)arg; }
static void tick(void *arg) { ++*(int *)arg; }
int use(const char *name);
int use(const char *name)
{
    int n = 3, got = 0;
    double v = 0;
    yoke_timer *timer;
    yoke_timer_opts how = {1, 0, NULL};
    yoke_thread *a = yoke_thread_start(name, integrate, 1, 2, 3), *b = yoke_thread_start(NULL, nothing);
    yoke_thread *c = yoke_opt_thread_start((name = "c", background = true, stack = 1 << 20), greet, "you");
    yoke_thread *d = yoke_thread_call("d", look, &n), *e = yoke_opt_thread_call((name = name ? name : "e"), look, &n);
    if (yoke_thread_try(a, &v) < 0 || yoke_thread_try(yoke_thread_ref(d), &got) < 0)
        return yoke_thread_join_timed(b, YOKE_MS) + yoke_thread_join_until(c, 5);
    v = yoke_await(yoke_thread_future(a), double);
    return yoke_timer_start(&how, tick, &n, &timer) + yoke_thread_kind_of(e) + (int)v;
}
'''

VIEWS = '''
YOKE_ORDER(double, up, a, b) { return *a < *b; }
YOKE_KEY(double, double, itself, p) { return *p; }
YOKE_LOOP(halve, i, (yoke_inout_f64, x)) { yoke_at(x, i) /= 2; }
YOKE_LOOP2(clear, i, j, (yoke_out_f64, x)) { yoke_at(x, i, j) = 0; }
YOKE_REDUCE(double, sum, i, acc, other, (0), (*acc += *other), (yoke_in_f64, x)) { *acc += yoke_at(x, i); }
YOKE_PREDICATE(big, i, (yoke_in_f64, x)) { return yoke_at(x, i) > 1; }
YOKE_TRANSFORM(double, twice, i, (yoke_in_f64, x)) { return 2 * yoke_at(x, i); }
static yoke_in_f64 made(const double *p) { return yoke_1d(yoke_in_f64, p, 3); }
double use_views(yoke_in_f64 in, const yoke_inout_f64 io, yoke_out_f64 out, const yoke_in_f64 *several);
double use_views(yoke_in_f64 in, const yoke_inout_f64 io, yoke_out_f64 out, const yoke_in_f64 *several)
{
    size_t kept = 0;
    const double *p = yoke_data(in), *q = yoke_data(made(p));
    double *to = yoke_data(out);
    yoke_for(NULL, yoke_elements(io), halve, io);
    yoke_for2(NULL, out.shape[0], out.shape[1], clear, out);
    yoke_transform(NULL, yoke_elements(in), to, twice, in);
    int err = yoke_sort(NULL, yoke_flat(io), up) + yoke_radix_sort(NULL, yoke_flat(io), itself)
        + yoke_sort_f64(NULL, yoke_flat(io)) + yoke_select(NULL, yoke_flat(in), yoke_data(out), &kept, big, in)
        + yoke_unique(NULL, yoke_flat(in), to, &kept, up)
        + yoke_scan_f64(NULL, yoke_flat(made(q)), to);
    size_t at = yoke_min(NULL, yoke_flat(several[1]), up) + yoke_max(NULL, yoke_flat(*several), up);
    return err + yoke_reduce(NULL, yoke_elements(in), sum, in) + (double)at + yoke_at(several[0], 0, 1, 2, 3);
}
'''

KERNELS = '''
#include <yoke/kernel.h>
YOKE_DEVICE_CODE(
    struct both { float least, most; };
    YOKE_FN float returned(float x) { if (x < 0) return 0; return x; }
    YOKE_CONST float table[2] = {1, 2};
)
YOKE_KERNEL(clip, ((val, float, most), (in, float, x, n + 1), (out, float, returns)),
            returns[i] = returned(x[i + 1]) + table[i & 1]; if (returns[i] < most) continue; returns[i] = most;)
YOKE_REDUCTION(float, longest, (0), yoke_greater(a, b), sqrt(x[i]), ((in, float, x)));
int enqueue(yoke_stream *s, float *x);
int enqueue(yoke_stream *s, float *x)
{
    return yoke_enqueue(s, clip, 9, 2, x, x) + (int)yoke_reduction(s, longest, 9, x) +
           yoke_enqueue_reduction(s, longest, 9, x, x);
}
'''


def compile_text(compiler, code):
    """What the compiler says of it, and whether it took it."""
    language = ['-x', 'c', '-std=c11'] if compiler in C else ['-x', 'c++', '-std=c++17']
    flags = FLAGS if compiler in C else ['-fsyntax-only'] + FLAGS[-2:]
    done = subprocess.run([compiler] + language + flags + ['-'], input=FRONT + code + END, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, env=dict(os.environ, LC_ALL='C'))
    return done.returncode == 0, done.stdout


def first_error(output):
    return next((line for line in output.splitlines() if re.search(r'\berror\b', line)), '')


def patterns(case, compiler):
    return [e.get(compiler, '') if isinstance(e, dict) else e for e in case.expected]


def complaint(case, compiler):
    """What is wrong with the compiler's answer, or None."""
    taken, output = compile_text(compiler, case.code)
    if taken:
        return '%s compiles it' % compiler
    line = first_error(output)
    missing = [p for p in patterns(case, compiler) if not re.search(p, line)]
    if missing or not line:
        return '%s: "%s" lacks %s' % (compiler, line, ' and '.join(missing))
    return None


def add(case):
    def body():
        wrong = [c for c in (complaint(case, compiler) for compiler in case.only) if c]
        check(not wrong, '\n'.join(wrong))
    body.__name__ = re.sub(r'\W+', '_', case.name)
    test(body)


@test
def right_uses_compile():
    for compiler in ALL:
        taken, output = compile_text(compiler, PLAIN)
        check(taken, '%s: %s' % (compiler, output))


@test
def right_uses_of_threads_compile():
    for compiler in ALL:
        taken, output = compile_text(compiler, THREADS)
        check(taken, '%s: %s' % (compiler, output))


@test
def right_uses_of_views_compile():
    for compiler in ALL:
        taken, output = compile_text(compiler, VIEWS)
        check(taken, '%s: %s' % (compiler, output))


@test
def right_uses_of_kernels_compile():
    for compiler in ALL:
        taken, output = compile_text(compiler, KERNELS)
        check(taken, '%s: %s' % (compiler, output))


@test
def there_are_enough_cases():
    names = [case.name for case in cases]
    equal(len(set(names)), len(names))
    check(sum(set(C) <= set(case.only) for case in cases) >= 30, 'at least 30 wrong uses for both C compilers')


for each in cases:
    add(each)
main()
