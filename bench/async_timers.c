/* async_timers.c - what a loop's timers cost beside libuv's, in nanoseconds, with 10^3, 10^5 and 10^6 of them: any one cleared
 * and set anew, as I/O does with its timeouts; the same with the earliest one, after its deadline was asked for; and one set and
 * expired, all in one turn of the loop. Goal: clear + set in 60 ns with 10^6 timers, 11 ns with 10^3. */
#include "bench.h"
#include "async/wheel.h"
#include <uv.h>

enum { CALLS = 500000, MOST = 1000000, CROWDS = 3, TIMEOUT = 60000, SOON = 100 };
enum { ANY, EARLIEST, EXPIRE, KINDS };

/* Which timers are set to how many milliseconds ahead: the same for both, and not part of what is measured. */
static struct {
    uint32_t timer[CALLS], ms[CALLS], first[MOST];
} plan;

static uint32_t next_random(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

static void make_plan(unsigned count)
{
    for (unsigned i = 0; i < CALLS; i++) {
        plan.timer[i] = next_random() % count;
        plan.ms[i] = 1 + next_random() % TIMEOUT;
    }
    for (unsigned i = 0; i < count; i++)
        plan.first[i] = 1 + next_random() % TIMEOUT;
}

/* Of equal timeouts, started one after the other throughout one. */
static uint32_t in_turn(unsigned i, unsigned count)
{
    return TIMEOUT + (uint32_t)((uint64_t)i * TIMEOUT / count);
}

/* ---- The wheel ---- */

static yk_wheel wheel;
static yk_wheel_timer *ours;
static int64_t started;
static unsigned expired;

static void ours_set(unsigned i, uint32_t ms)
{
    yk_wheel_set(&wheel, &ours[i], started + ms * YOKE_MS);
}

static double ours_any(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ours_set(i, plan.first[i]);
    double start = bench_now();
    for (unsigned i = 0; i < CALLS; i++) {
        yk_wheel_clear(&wheel, &ours[plan.timer[i]]);
        ours_set(plan.timer[i], plan.ms[i]);
    }
    return (bench_now() - start) / CALLS;
}

static double ours_earliest(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        ours_set(i, in_turn(i, count));
    int64_t wrong = 0;
    double start = bench_now();
    for (unsigned i = 0, k = count; i < CALLS; i++, k++) {
        yk_wheel_timer *t = &ours[i % count];
        wrong |= yk_wheel_next(&wheel) ^ t->when;
        yk_wheel_clear(&wheel, t);
        ours_set(i % count, in_turn(k, count));
    }
    double took = bench_now() - start;
    BENCH_CHECK(wrong == 0);
    return took / CALLS;
}

static double ours_expire(unsigned count)
{
    expired = 0;
    double start = bench_now();
    for (unsigned i = 0; i < count; i++)
        ours_set(i, plan.first[i] % SOON);
    for (yk_wheel_timer *t = yk_wheel_expire(&wheel, started + SOON * YOKE_MS); t; t = t->next)
        expired++;
    double took = bench_now() - start;
    BENCH_CHECK(expired == count);
    return took / count;
}

static double ours_measure(int kind, unsigned count)
{
    double (*const measure[])(unsigned) = {ours_any, ours_earliest, ours_expire};
    started = yoke_now();
    yk_wheel_init(&wheel, started);
    memset(ours, 0, count * sizeof *ours);
    return measure[kind](count);
}

/* ---- libuv ---- */

static uv_loop_t loop;
static uv_timer_t *theirs;

static void on_expired(uv_timer_t *t)
{
    expired++;
}

static void theirs_set(unsigned i, uint32_t ms)
{
    uv_timer_start(&theirs[i], on_expired, ms, 0);
}

static double theirs_any(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        theirs_set(i, plan.first[i]);
    double start = bench_now();
    for (unsigned i = 0; i < CALLS; i++) {
        uv_timer_stop(&theirs[plan.timer[i]]);
        theirs_set(plan.timer[i], plan.ms[i]);
    }
    return (bench_now() - start) / CALLS;
}

static double theirs_earliest(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        theirs_set(i, in_turn(i, count));
    uint32_t wrong = 0;
    double start = bench_now();
    for (unsigned i = 0, k = count; i < CALLS; i++, k++) {
        wrong |= (uint32_t)uv_backend_timeout(&loop) ^ in_turn(i, count);
        uv_timer_stop(&theirs[i % count]);
        theirs_set(i % count, in_turn(k, count));
    }
    double took = bench_now() - start;
    BENCH_CHECK(wrong == 0);
    return took / CALLS;
}

/* Its clock is the real one; the wait is not measured. */
static double theirs_expire(unsigned count)
{
    expired = 0;
    double start = bench_now();
    for (unsigned i = 0; i < count; i++)
        theirs_set(i, plan.first[i] % SOON);
    double took = bench_now() - start;
    usleep((SOON + 1) * 1000);
    start = bench_now();
    uv_run(&loop, UV_RUN_NOWAIT);
    took += bench_now() - start;
    BENCH_CHECK(expired == count);
    return took / count;
}

static double theirs_measure(int kind, unsigned count)
{
    double (*const measure[])(unsigned) = {theirs_any, theirs_earliest, theirs_expire};
    uv_update_time(&loop);
    double took = measure[kind](count);
    for (unsigned i = 0; i < count; i++)
        uv_timer_stop(&theirs[i]);
    return took;
}

/* ---- Both ---- */

int main(void)
{
    static const unsigned crowds[CROWDS] = {1000, 100000, MOST};
    static const char *const titles[KINDS] = {"clear and set any one", "ask for the earliest, clear and set it",
                                               "set one and expire it"};
    static const char *const goals[CROWDS] = {"11 ns", "none", "60 ns"};
    static samples mine, other;
    int rounds = bench_rounds(9);
    ours = calloc(MOST, sizeof *ours);
    theirs = calloc(MOST, sizeof *theirs);
    BENCH_CHECK(ours && theirs && uv_loop_init(&loop) == 0);
    for (int i = 0; i < MOST; i++)
        uv_timer_init(&loop, &theirs[i]);
    theirs_set(0, 0);
    uv_run(&loop, UV_RUN_ONCE); /* until then it does not say when it would wake */
    for (int kind = 0; kind < KINDS; kind++)
        for (int c = 0; c < CROWDS; c++) {
            char title[100], name[100];
            snprintf(title, sizeof title, "%u timers: %s", crowds[c], titles[kind]);
            snprintf(name, sizeof name, "yoke%s%s", kind == ANY ? ", goal: " : "", kind == ANY ? goals[c] : "");
            mine.n = other.n = 0;
            make_plan(crowds[c]);
            for (int r = 0; r < rounds; r++) {
                sample(&mine, ours_measure(kind, crowds[c]));
                sample(&other, theirs_measure(kind, crowds[c]));
            }
            head(title);
            row(name, &mine, 1, "ns");
            row("libuv", &other, 1, "ns");
            ratio_row("yoke / libuv", &mine, &other, "below 1");
        }
    return 0;
}
