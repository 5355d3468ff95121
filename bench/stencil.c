/* stencil.c - the least size of task at which half of the time is still work: METG(50 %) of Task Bench (Slaughter et al., SC
 * 2020), for its one-dimensional stencil with as many points as workers and 1000 steps. Each point of a step needs itself and its
 * two neighbours of the step before, and checks, as Task Bench does, that what it was given are these.
 *
 * In yoke each point is a fork that goes on with its next step for as long as its neighbours have got there: it looks at their
 * step numbers and waits, a little and then with sched_yield(), while one is behind. Beside it, a fork for each point and step
 * with a join after each step; and, as the peer, tasks with `depend` in OpenMP, that
 * of the compiler this is built with. */
#include "bench.h"
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <yoke.h>

#ifdef __clang__
#define OPENMP "libomp"
#else
#define OPENMP "libgomp"
#endif

enum { POINTS_MAX = 64, STEPS = 1000 };

typedef struct value {
    long step, point;
    double x;
} value;

/* Two values a point, for odd and even steps, and the step that it has finished; a line of its own for each. */
typedef struct point {
    _Alignas(128) value v[2];
    _Alignas(64) _Atomic long done;
} point;
static point points[POINTS_MAX];

/* What is computed: `work` dependent multiplications. */
static double compute(long work, double x)
{
    for (long i = 0; i < work; i++)
        x = x * 1.0000001 + 1e-9;
    return x;
}

static void do_point(int p, int width, long step, long work)
{
    double sum = 0;
    for (int q = p - 1; q <= p + 1; q++)
        if (q >= 0 && q < width) {
            const value *in = &points[q].v[(step + 1) % 2];
            BENCH_CHECK(in->step == step - 1 && in->point == q);
            sum += in->x;
        }
    points[p].v[step % 2] = (value){step, p, compute(work, sum / 3)};
}

static void prepare(int width)
{
    for (int p = 0; p < width; p++) {
        points[p].v[0] = (value){0, p, 1};
        atomic_store(&points[p].done, 0);
    }
}

static void check(int width)
{
    for (int p = 0; p < width; p++)
        BENCH_CHECK(points[p].v[STEPS % 2].step == STEPS && points[p].v[STEPS % 2].x > 0);
}

/* ---- yoke ---- */

static bool is_ready(int p, int width, long step)
{
    bool left = p == 0 || atomic_load_explicit(&points[p - 1].done, memory_order_acquire) >= step - 1;
    return left && (p == width - 1 || atomic_load_explicit(&points[p + 1].done, memory_order_acquire) >= step - 1);
}

/* Steps of the points [first, end) as far as `to`, for as long as there is none to wait for; true when there are more. */
static bool advance(int first, int end, int width, long work)
{
    bool more = true, moved = true;
    while (more && moved) {
        more = moved = false;
        for (int p = first; p < end; p++) {
            long step = atomic_load_explicit(&points[p].done, memory_order_relaxed) + 1;
            if (step > STEPS)
                continue;
            more = true;
            if (!is_ready(p, width, step))
                continue;
            do_point(p, width, step, work);
            atomic_store_explicit(&points[p].done, step, memory_order_release);
            moved = true;
        }
    }
    return more;
}

YOKE_FORK(void, strip, (int, first), (int, end), (int, width), (long, work))
{
    if (end - first > 1) {
        int middle = (first + end) / 2;
        yoke_fork(strip, middle, end, width, work);
        yoke_call(strip, first, middle, width, work);
        yoke_join(strip);
        return;
    }
    /* A neighbour may not have been stolen yet: then it is this worker that must run it, after this has given up. */
    for (int spins = 0; advance(first, end, width, work) && spins < 100000; spins++)
        if (spins % 64 == 63)
            sched_yield();
}

static double ours(yoke_executor *ex, int width, long work)
{
    prepare(width);
    double start = bench_now();
    yoke_run(ex, strip, 0, width, width, work);
    while (advance(0, width, width, work)) /* what nobody stole */
        ;
    double took = bench_now() - start;
    check(width);
    return took;
}

/* ---- One fork for each point and step, a join after each step ---- */

YOKE_FORK(void, one_step, (int, first), (int, end), (int, width), (long, step), (long, work))
{
    if (end - first > 1) {
        int middle = (first + end) / 2;
        yoke_fork(one_step, middle, end, width, step, work);
        yoke_call(one_step, first, middle, width, step, work);
        yoke_join(one_step);
        return;
    }
    do_point(first, width, step, work);
}

YOKE_FORK(void, all_steps, (int, width), (long, work))
{
    for (long step = 1; step <= STEPS; step++)
        yoke_call(one_step, 0, width, width, step, work);
}

static double joined(yoke_executor *ex, int width, long work)
{
    prepare(width);
    double start = bench_now();
    yoke_run(ex, all_steps, width, work);
    double took = bench_now() - start;
    check(width);
    return took;
}

/* ---- OpenMP ---- */

static double openmp(yoke_executor *unused, int width, long work)
{
    (void)unused;
    prepare(width);
    double start = bench_now();
#pragma omp parallel num_threads(width)
#pragma omp single
    for (long step = 1; step <= STEPS; step++)
        for (int p = 0; p < width; p++) {
            int left = p > 0 ? p - 1 : p, right = p < width - 1 ? p + 1 : p;
            long odd = step % 2;
#pragma omp task firstprivate(p, step)                                                                                 \
    depend(in : points[left].v[1 - odd], points[p].v[1 - odd], points[right].v[1 - odd]) depend(out : points[p].v[odd])
            do_point(p, width, step, work);
        }
    double took = bench_now() - start;
    check(width);
    return took;
}

/* ---- METG ---- */

typedef double stencil(yoke_executor *ex, int width, long work);

/* ns for each unit of work, of one CPU with nothing else to do. */
static double peak(void)
{
    enum { LARGE = 1 << 16, TIMES = 20 };
    double least = 1e18;
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now();
        BENCH_CHECK(compute(LARGE, 1) > 1);
        double took = bench_now() - start;
        least = took < least ? took : least;
    }
    return least / LARGE;
}

/* The least mean time of a task, in ns, at which at least half of it is work: elapsed time times workers over tasks, and there
 * are as many points as workers. With two workers, one that does all the work alone just misses it. */
static void metg(stencil *run, yoke_executor *ex, int width, samples *ret)
{
    enum { LARGEST = 1 << 14, TIMES = 7, MISSES = 4 };
    double least = 1e18, unit = peak();
    int missed = 0;
    for (double size = LARGEST; size >= 4 && missed < MISSES; size *= size > 2048 ? 0.5 : 0.84) {
        long work = (long)size;
        double took = 1e18;
        for (int i = 0; i < (size > 2048 ? 1 : TIMES); i++) {
            double t = run(ex, width, work);
            took = t < took ? t : took;
        }
        bool half = unit * (double)work >= 0.5 * took / STEPS;
        missed = half ? 0 : missed + (size <= 2048);
        if (half && took / STEPS < least)
            least = took / STEPS;
    }
    /* None: even the largest tasks were not worth while, as the machine is busy with something else. */
    sample(ret, least < 1e18 ? least : INFINITY);
}

int main(void)
{
    static const struct {
        const char *name;
        stencil *run;
    } ways[] = {{"yoke, points that go on by themselves", ours},
                {"yoke, a fork for each point and step", joined},
                {OPENMP ", tasks with depend", openmp}};
    int rounds = bench_rounds(5);
    head("stencil of as many points as workers, 1000 steps: METG(50 %)");
    for (int width = 1; width <= 2; width++) {
        static samples s[3];
        memset(s, 0, sizeof s);
        char uri[32], text[100];
        snprintf(uri, sizeof uri, "threads:%d", width);
        yoke_executor *ex = yoke_open(uri);
        for (int r = 0; r < rounds; r++)
            for (int k = 0; k < 3; k++)
                metg(ways[k].run, ex, width, &s[k]);
        yoke_close(ex);
        for (int k = 0; k < 3; k++) {
            snprintf(text, sizeof text, "%s, %d", ways[k].name, width);
            row(text, &s[k], 1e-3, "us");
        }
        ratio_row("  times less than OpenMP", &s[2], &s[0], "more than 1; METG at most 0.6 us");
    }
    return 0;
}
