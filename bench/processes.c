/* processes.c - what a job on `processes` costs: a round trip with the worker asleep, beside a bare futex round trip between
 * two processes in the same run; awake; pipelined; 8 MiB arrays there and back, copied and in yoke's memory; and how soon
 * the death of a worker is an error at the caller. Peers: Python's multiprocessing.Pool and ProcessPoolExecutor (pools.py). */
#include "bench.h"
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke.h>

enum { MIB8 = 1 << 20, WINDOW = 1000 }; /* doubles in 8 MiB; jobs in flight */

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

/* Looks at the ends only: the cost of travelling, not of the memory. */
YOKE_TASK(yoke_inout_f64, touch, (yoke_inout_f64, x))
{
    x.ptr[0] += 1;
    x.ptr[x.shape[0] - 1] += 1;
    return x;
}

YOKE_TASK(yoke_out_f64, negate, (yoke_in_f64, x))
{
    double *p = yoke_alloc(x.shape[0] * sizeof *p);
    for (size_t i = 0; p && i < x.shape[0]; i++)
        p[i] = -x.ptr[i];
    if (!p)
        yoke_fail(ENOMEM, "no memory for %zu elements", x.shape[0]);
    return yoke_1d(yoke_out_f64, p, p ? x.shape[0] : 0);
}

YOKE_TASK(void, dies, (yoke_inout_i64, when))
{
    when.ptr[0] = yoke_now();
    kill(getpid(), SIGKILL);
}

/* ---- The floor: two processes, two words, nobody spins ---- */

static _Atomic uint32_t *words;

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void await_word(_Atomic uint32_t *word, uint32_t value)
{
    for (uint32_t seen; (seen = atomic_load(word)) != value;)
        futex(word, FUTEX_WAIT, seen);
}

static pid_t start_echo(void)
{
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (uint32_t i = 1;; i++) {
        await_word(&words[0], i);
        atomic_store(&words[16], i);
        futex(&words[16], FUTEX_WAKE, 1);
    }
}

static double bare_round_trip(uint32_t i)
{
    usleep(1000);
    double start = bench_now();
    atomic_store(&words[0], i);
    futex(&words[0], FUTEX_WAKE, 1);
    await_word(&words[16], i);
    return bench_now() - start;
}

/* ---- yoke ---- */

static double round_trip(yoke_executor *ex, long i)
{
    double start = bench_now();
    yoke_future *f = yoke_submit(ex, add, i, 1);
    long v = yoke_await(f, long);
    double took = bench_now() - start;
    BENCH_CHECK(v == i + 1);
    yoke_release(f);
    return took;
}

static double awake(yoke_executor *ex)
{
    double start = bench_now();
    for (long i = 0; i < 1000; i++) {
        yoke_future *f = yoke_submit(ex, add, i, 1);
        BENCH_CHECK(yoke_await(f, long) == i + 1);
        yoke_release(f);
    }
    return (bench_now() - start) / 1000;
}

static double pipelined(yoke_executor *ex)
{
    enum { N = 200000 };
    static yoke_future *fs[WINDOW];
    long sum = 0;
    double start = bench_now();
    for (long i = 0; i < N + WINDOW; i++) {
        yoke_future **slot = &fs[i % WINDOW];
        if (i >= WINDOW) {
            sum += yoke_await(*slot, long);
            yoke_release(*slot);
        }
        if (i < N)
            *slot = yoke_submit(ex, add, i, 1);
    }
    BENCH_CHECK(sum == (long)N * (N + 1) / 2);
    return (bench_now() - start) / N;
}

static double copied(yoke_executor *ex, const double *x)
{
    double start = bench_now();
    yoke_future *f = yoke_submit(ex, negate, yoke_1d(yoke_in_f64, x, MIB8));
    yoke_out_f64 r = yoke_await(f, yoke_out_f64);
    double took = bench_now() - start;
    BENCH_CHECK(r.shape[0] == MIB8 && r.ptr[MIB8 - 1] == -x[MIB8 - 1] && r.ptr[12345] == -x[12345]);
    yoke_release(f);
    return took;
}

static double shared(yoke_executor *ex, double *x)
{
    double before = x[MIB8 - 1], start = bench_now();
    yoke_future *f = yoke_submit(ex, touch, yoke_1d(yoke_inout_f64, x, MIB8));
    yoke_inout_f64 r = yoke_await(f, yoke_inout_f64);
    double took = bench_now() - start;
    BENCH_CHECK(r.ptr == x && x[MIB8 - 1] == before + 1);
    yoke_release(f);
    return took;
}

static void ignore(const char *text, void *arg)
{
}

/* From just before the kill to the error; meanwhile another job runs unharmed. */
static double death(yoke_executor *ex, int64_t *when, long i)
{
    yoke_future *dying = yoke_submit(ex, dies, yoke_1d(yoke_inout_i64, when, 1)), *other = yoke_submit(ex, add, i, 1);
    BENCH_CHECK(yoke_wait(dying) == -EOWNERDEAD);
    double now = bench_now();
    BENCH_CHECK(yoke_await(other, long) == i + 1);
    yoke_release(dying);
    yoke_release(other);
    return now - (double)*when;
}

static void python(samples *s, const char *what)
{
    char command[4200];
    snprintf(command, sizeof command, "/usr/bin/python3 %s %s", bench_file("pools.py"), what);
    sample(s, peer(command));
}

int main(void)
{
    static samples bare, asleep, over, woken, pipe, pool, pool_pipe, futures, copy, share, numpy, deaths;
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1"), *two = yoke_open("processes:2");
    pid_t echo = start_echo();
    for (uint32_t i = 1; i <= 300; i++) {
        sample(&bare, bare_round_trip(i));
        usleep(1000);
        sample(&asleep, round_trip(ex, i));
    }
    sample(&over, quantile(&asleep, 0.5) - quantile(&bare, 0.5));
    kill(echo, SIGKILL);
    waitpid(echo, NULL, 0);
    double *x = malloc(MIB8 * sizeof *x), *in_yoke = yoke_shared_alloc(ex, MIB8 * sizeof *x);
    for (size_t i = 0; i < MIB8; i++)
        x[i] = in_yoke[i] = (double)i;
    for (int i = 0; i < 7; i++) {
        for (int k = 0; k < 20; k++)
            sample(&woken, awake(ex));
        sample(&pipe, pipelined(two));
        python(&pool, "roundtrip");
        python(&pool_pipe, "pipelined");
        python(&futures, "executor");
        for (int k = 0; k < 5; k++) {
            sample(&copy, copied(ex, x));
            sample(&share, shared(ex, in_yoke));
        }
        python(&numpy, "array 8");
    }
    int64_t *when = yoke_shared_alloc(two, sizeof *when);
    for (long i = 0; i < 300; i++)
        sample(&deaths, death(two, when, i));
    yoke_shared_free(two, when);
    head("processes: round trip of a small job");
    row("bare futex round trip between processes, asleep", &bare, 1e-3, "us");
    row("yoke, asleep", &asleep, 1e-3, "us");
    row("  over the bare one (medians; goal <= 1.5 us)", &over, 1e-3, "us");
    row("yoke, awake (goal <= 1 us)", &woken, 1e-3, "us");
    row("multiprocessing.Pool", &pool, 1e-3, "us");
    row("ProcessPoolExecutor", &futures, 1e-3, "us");
    head("processes: pipelined, 1000 in flight");
    row("yoke (goal >= 1 M/s = 1 us, aim 3 M/s)", &pipe, 1e-3, "us a job");
    row("multiprocessing.Pool.imap", &pool_pipe, 1e-3, "us a job");
    ratio_row("  times faster", &pool_pipe, &pipe, "more");
    head("processes: an array of 8 MiB");
    row("copied there, computed, result back (goal <= 3 ms)", &copy, 1e-6, "ms");
    row("in yoke's memory, both ways (goal <= 50 us)", &share, 1e-3, "us");
    row("Pool with numpy", &numpy, 1e-6, "ms");
    head("processes: SIGKILL of a worker to the error at the caller");
    row("yoke (others unharmed)", &deaths, 1e-6, "ms");
    printf("%-56s %10.3f ms (goal <= 5, aim 1)\n", "  99 of 100 within", quantile(&deaths, 0.99) * 1e-6);
    yoke_shared_free(ex, in_yoke);
    free(x);
    return yoke_close(ex) + yoke_close(two);
}
