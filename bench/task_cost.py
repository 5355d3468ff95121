#!/usr/bin/env python3
"""What one task of three parameters costs over the bare function: bytes of object file, time of the compiler's front end.

Each is a slope: (COUNT tasks - COUNT bare functions) / COUNT, so that what the headers cost once drops out. First a program
with the very same text is linked and run, so that what is measured is known to work."""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOAL_BYTES, GOAL_MS = 450, 3.0
BODY = '\n{\n    return n > 0 ? a * %d + b / n : 0;\n}\n'
CHECK = '''
#include <stdio.h>
int main(void)
{
    struct yoke_args_work_%d args;
    double ret = 0;
    const yoke_task *task = yoke_find("work_%d");
    if (!task || task != &yoke_task_work_%d || task->nparams != 3)
        return 1;
    task->defaults(&args);
    args.a = 2;
    args.b = 6;
    task->call(&args, &ret);
    return args.n == 3 && ret == 2 * %d + 2 ? 0 : 1;
}
'''


def text(count, task):
    head = 'YOKE_TASK(double, work_%d, (double, a), (double, b), (long, n, "how many", 3))' if task else \
        'double work_%d(double a, double b, long n);\ndouble work_%d(double a, double b, long n)'
    lines = ['#include <yoke.h>']
    for i in range(count):
        lines.append((head % (i if task else (i, i))) + BODY % i)
    return '\n'.join(lines)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    if done.returncode != 0:
        sys.exit('failed: %s\n%s' % (' '.join(command), done.stderr))
    return done.stdout


def cpu_ms(command):
    before = os.times()
    run(command)
    after = os.times()
    return 1000 * (after.children_user + after.children_system - before.children_user - before.children_system)


def object_bytes(cc, folder, source):
    out = os.path.join(folder, 'out.o')
    run([cc, '-O2', '-I' + os.path.join(ROOT, 'include'), '-c', source, '-o', out])
    return int(run(['size', out]).splitlines()[1].split()[3])


def check(cc, folder, count, library):
    source = os.path.join(folder, 'check.c')
    last = count - 1
    with open(source, 'w') as f:
        f.write(text(count, True) + CHECK % (last, last, last, last))
    program = os.path.join(folder, 'check')
    where = os.path.dirname(library)
    run([cc, '-O2', '-I' + os.path.join(ROOT, 'include'), source, library, '-Wl,-rpath,' + where, '-o', program])
    run([program])


def front_end(cc, sources, runs):
    """The two texts alternate, so that both meet the same machine."""
    command = [cc, '-fsyntax-only', '-I' + os.path.join(ROOT, 'include')]
    return [[cpu_ms(command + [s]) for s in sources] for _ in range(runs)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=200, help='tasks in one file')
    parser.add_argument('--runs', type=int, default=7)
    parser.add_argument('build', nargs='?', default=os.path.join(ROOT, 'build'), help='where libyoke.so is')
    parser.add_argument('--strict', action='store_true', help='exit 1 when a goal is missed')
    args = parser.parse_args()
    missed = False
    print('one task of 3 parameters over the bare function (%d tasks, -O2, %d runs)' % (args.count, args.runs))
    for cc in ('gcc', 'clang'):
        with tempfile.TemporaryDirectory() as folder:
            check(cc, folder, args.count, os.path.join(os.path.abspath(args.build), 'libyoke.so'))
            sources = []
            for kind in (False, True):
                sources.append(os.path.join(folder, 'task.c' if kind else 'bare.c'))
                with open(sources[-1], 'w') as f:
                    f.write(text(args.count, kind))
            size = [object_bytes(cc, folder, s) for s in sources]
            times = front_end(cc, sources, args.runs)
        cost = [(task - bare) / args.count for bare, task in times]
        in_bytes, in_ms = (size[1] - size[0]) / args.count, statistics.median(cost)
        missed |= in_bytes > GOAL_BYTES or in_ms > GOAL_MS
        print('%-6s %5.0f bytes (goal %d)   %.2f ms of front end, min %.2f, max %.2f (goal %.0f)   ran: yes' % (
            cc, in_bytes, GOAL_BYTES, in_ms, min(cost), max(cost), GOAL_MS))
    return 1 if missed and args.strict else 0


if __name__ == '__main__':
    sys.exit(main())
