/* data.c - what travels between the processes: large arguments and results, copied or not; whose memory it is and when it goes
 * back; workers that write nonsense into the memory they share. */
#include "process/pool.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(yoke_out_f64, doubled, (yoke_in_f64, x))
{
    size_t n = x.shape[0];
    double *y = yoke_alloc(n * sizeof *y);
    if (!y) {
        yoke_fail(ENOMEM, "no memory for %zu elements", n);
        return yoke_1d(yoke_out_f64, y, 0);
    }
    for (size_t i = 0; i < n; i++)
        y[i] = 2 * x.ptr[(ptrdiff_t)i * x.step[0]];
    return yoke_1d(yoke_out_f64, y, n);
}

YOKE_TASK(uint64_t, address_of, (yoke_in_f64, x))
{
    return (uintptr_t)x.ptr;
}

YOKE_TASK(void, counts, (yoke_inout_i32, x), (bool, fail))
{
    for (size_t i = 0; i < x.shape[0]; i++)
        for (size_t j = 0; j < x.shape[1]; j++)
            x.ptr[(ptrdiff_t)i * x.step[0] + (ptrdiff_t)j * x.step[1]] += (int32_t)(10 * i + j);
    if (fail)
        yoke_fail(EIO, "after all");
}

YOKE_TASK(yoke_str, letters, (size_t, n))
{
    char *p = yoke_alloc(n);
    if (!p) {
        yoke_fail(ENOMEM, "no memory for %zu letters", n);
        return (yoke_str){NULL, 0};
    }
    memset(p, 'x', n);
    return (yoke_str){p, n};
}

YOKE_TASK(size_t, length, (yoke_str, text), (const char *, more))
{
    return text.len + strlen(more);
}

YOKE_TASK(int, complains, (size_t, n), (unsigned, times))
{
    if (yoke_attempt() > times)
        return 1;
    char *text = malloc(n + 1);
    memset(text, 'e', n);
    text[n] = '\0';
    yoke_fail(EIO, "%s", text);
    free(text);
    return 0;
}

YOKE_TASK(yoke_str, echoes, (yoke_str, text), (size_t, from))
{
    return (yoke_str){text.ptr + from, text.len - from};
}

YOKE_TASK(yoke_in_f64, upper_half, (yoke_in_f64, x))
{
    size_t n = x.shape[0] / 2;
    return yoke_1d(yoke_in_f64, x.ptr + n, n);
}

/* Its argument, and so many elements more, as the result. */
YOKE_TASK(yoke_inout_f64, same, (yoke_inout_f64, x), (size_t, more))
{
    x.ptr[0] = -1;
    x.shape[0] += more;
    return x;
}

YOKE_TASK(long, worker_pid)
{
    return getpid();
}

static void ignore(const char *text, void *arg)
{
}

static double *numbers(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (double)i;
    return x;
}

/* ---- Arrays ---- */

static void check_doubled(yoke_executor *ex, double *x, size_t n, const char *what)
{
    int64_t best = YOKE_FOREVER;
    for (int i = 0; i < 5; i++) {
        int64_t start = yoke_now();
        yoke_future *f = yoke_submit(ex, doubled, yoke_1d(yoke_in_f64, x, n));
        yoke_out_f64 y;
        CHECK_INT(yoke_try(f, &y), 0);
        best = YK_MIN(best, yoke_now() - start);
        CHECK_INT(y.shape[0], n);
        for (size_t j = 0; j < n; j++)
            CHECK(y.ptr[j] == 2 * (double)j);
        yoke_release(f);
    }
    if (what)
        printf("# 8 MiB there and back, %s: %.2f ms\n", what, best / 1e6);
}

TEST(arrays_of_all_sizes)
{
    yoke_executor *ex = yoke_open("processes:1");
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 511, 512, 513, 4096, 100001, 1 << 20};
    double *x = numbers(malloc(8 << 20), 1 << 20), *shared = numbers(yoke_shared_alloc(ex, 8 << 20), 1 << 20);
    for (size_t i = 0; i < YK_COUNT_OF(sizes); i++) {
        check_doubled(ex, x, sizes[i], sizes[i] == 1 << 20 ? "copied" : NULL);
        check_doubled(ex, shared, sizes[i], sizes[i] == 1 << 20 ? "shared" : NULL);
    }
    yoke_shared_free(ex, shared);
    yoke_close(ex);
    free(x);
}

TEST(shared_arrays_are_not_copied)
{
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    double *shared = numbers(yoke_shared_alloc(ex, 8000), 1000), own[1000];
    CHECK_INT(yoke_await(yoke_submit(ex, address_of, yoke_1d(yoke_in_f64, shared, 1000)), uint64_t), (uintptr_t)shared);
    CHECK(yoke_await(yoke_submit(ex, address_of, yoke_1d(yoke_in_f64, numbers(own, 1000), 1000)), uint64_t) != (uintptr_t)own);
    yoke_future *f = yoke_submit(ex, doubled, yoke_1d(yoke_in_f64, shared, 1000));
    yoke_out_f64 y = yoke_await(f, yoke_out_f64);
    CHECK((char *)y.ptr > p->map && (char *)y.ptr < p->map + p->map_size); /* the worker's own copy */
    yoke_close(ex);
}

TEST(outs_are_copied_back)
{
    yoke_executor *ex = yoke_open("processes:2");
    int32_t x[6][8];
    for (int fail = 0; fail < 2; fail++) {
        memset(x, 0, sizeof x);
        /* every second row and column, upside down */
        yoke_inout_i32 v = {.ptr = &x[5][0], .ndim = 2, .shape = {3, 4}, .step = {-16, 2}};
        CHECK_INT(yoke_wait(yoke_submit(ex, counts, v, fail)), fail ? -EIO : 0);
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 8; j++)
                CHECK_INT(x[i][j], !fail && i % 2 == 1 && j % 2 == 0 ? 10 * ((5 - i) / 2) + j / 2 : 0);
    }
    yoke_close(ex);
}

TEST(texts_of_all_sizes)
{
    yoke_executor *ex = yoke_open("processes:2");
    for (size_t n = 0; n < 300000; n = n * 5 / 3 + 1) {
        char *text = malloc(n + 1);
        memset(text, 't', n);
        text[n] = '\0';
        yoke_future *f = yoke_submit(ex, length, ((yoke_str){text, n}), text), *g = yoke_submit(ex, letters, n);
        free(text);
        CHECK_INT(yoke_await(f, size_t), 2 * n);
        yoke_str s = yoke_await(g, yoke_str);
        CHECK_INT(s.len, n);
        for (size_t i = 0; i < n; i++)
            CHECK_INT(s.ptr[i], 'x');
        yoke_release(f);
        yoke_release(g);
    }
    yoke_close(ex);
}

/* ---- Whose memory ---- */

static size_t held_blocks(yk_processes *p)
{
    size_t held = 0;
    yk_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->arena_count; i++)
        held += p->arena_books[i].held;
    yk_mutex_unlock(&p->lock);
    return held;
}

static pid_t pid_of(yk_processes *p, unsigned slot)
{
    yk_mutex_lock(&p->lock);
    pid_t pid = p->clerks[slot].pid;
    yk_mutex_unlock(&p->lock);
    return pid;
}

/* A result may point into the arguments, wherever these lay: it is the caller's for as long as he holds the future, though their
 * cells and blocks have long been used again. */
TEST(results_that_are_arguments)
{
    enum { N = 3000 };
    static const size_t sizes[] = {8, 60, 200, 4000, 5000, 30000};
    static yoke_future *f[N];
    yoke_executor *ex = yoke_open("processes:2");
    char *text = malloc(30001);
    CHECK(text != NULL);
    for (int i = 0; i < N; i++) {
        size_t size = sizes[i % 6];
        memset(text, 'a' + i % 26, size);
        snprintf(text, 8, "%07d", i);
        text[7] = '.';
        f[i] = yoke_submit(ex, echoes, (yoke_str){text, size}, i % 3);
    }
    for (int i = 0; i < N; i++)
        CHECK_INT(yoke_wait(f[i]), 0);
    for (int i = 0; i < N; i++) {
        size_t size = sizes[i % 6], from = i % 3;
        yoke_str s = yoke_await(f[i], yoke_str);
        memset(text, 'a' + i % 26, size);
        snprintf(text, 8, "%07d", i);
        text[7] = '.';
        CHECK_INT(s.len, size - from);
        CHECK_INT(memcmp(s.ptr, text + from, s.len), 0);
        yoke_release(f[i]);
    }
    free(text);
    yoke_close(ex);
}

/* The same for arrays. */
TEST(arrays_that_are_arguments)
{
    enum { N = 200, LENGTH = 1000 };
    static yoke_future *f[N];
    static double x[LENGTH];
    yoke_executor *ex = yoke_open("processes:2");
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < LENGTH; j++)
            x[j] = i + j / 1024.0;
        f[i] = yoke_submit(ex, upper_half, yoke_1d(yoke_in_f64, x, LENGTH));
        CHECK_INT(yoke_wait(f[i]), 0);
    }
    memset(x, 0, sizeof x);
    for (int i = 0; i < N; i++) {
        yoke_in_f64 v = yoke_await(f[i], yoke_in_f64);
        CHECK_INT(v.shape[0], LENGTH / 2);
        for (size_t j = 0; j < LENGTH / 2; j++)
            CHECK_NEAR(v.ptr[(ptrdiff_t)j * v.step[0]], i + (LENGTH / 2 + (double)j) / 1024.0, 0);
        yoke_release(f[i]);
    }
    yoke_close(ex);
}

/* What lies in the caller's shared memory stays there, also as a result, and also when the job goes from one worker's queue
 * to another's; all else that an argument points to is copied, as another worker's result, which its future may take away. */
TEST(shared_arrays_that_are_results_are_not_copied)
{
    enum { N = 100, LENGTH = 1 << 16 };
    static yoke_future *f[N];
    yoke_executor *ex = yoke_open("processes:2");
    double *shared = numbers(yoke_shared_alloc(ex, LENGTH * sizeof *shared), LENGTH), own[16];
    for (int i = 0; i < N; i++)
        f[i] = yoke_submit(ex, upper_half, yoke_1d(yoke_in_f64, shared, LENGTH - 2 * (size_t)i));
    for (int i = 0; i < N; i++) {
        yoke_in_f64 v = yoke_await(f[i], yoke_in_f64);
        CHECK(v.ptr == shared + LENGTH / 2 - i);
        CHECK_INT(v.shape[0], LENGTH / 2 - i);
        CHECK_NEAR(v.ptr[7], LENGTH / 2 - i + 7, 0);
        yoke_release(f[i]);
    }
    yoke_inout_f64 back = yoke_await(yoke_submit(ex, same, yoke_1d(yoke_inout_f64, shared, LENGTH), 0), yoke_inout_f64);
    CHECK(back.ptr == shared && shared[0] == -1);
    /* Upside down, every third. */
    yoke_inout_f64 turned = {.ptr = shared + 3000, .ndim = 1, .shape = {1000}, .step = {-3}};
    back = yoke_await(yoke_submit(ex, same, turned, 0), yoke_inout_f64);
    CHECK(back.ptr == shared + 3000 && back.step[0] == -3 && shared[3000] == -1);
    /* More than the argument holds: copied, as nobody promised the rest. */
    back = yoke_await(yoke_submit(ex, same, yoke_1d(yoke_inout_f64, shared, 8), 8), yoke_inout_f64);
    CHECK(back.ptr != shared && back.shape[0] == 16 && back.ptr[15] == 15);
    back = yoke_await(yoke_submit(ex, same, yoke_1d(yoke_inout_f64, numbers(own, 16), 16), 0), yoke_inout_f64);
    CHECK(back.ptr != own && back.ptr[0] == -1 && back.ptr[15] == 15);
    yoke_future *first = yoke_submit(ex, doubled, yoke_1d(yoke_in_f64, shared, LENGTH));
    yoke_out_f64 there = yoke_await(first, yoke_out_f64);
    yoke_in_f64 half = yoke_await(yoke_submit(ex, upper_half, yoke_1d(yoke_in_f64, there.ptr, LENGTH)), yoke_in_f64);
    CHECK(half.ptr != there.ptr + LENGTH / 2 && half.ptr[0] == LENGTH);
    yoke_release(first);
    yoke_shared_free(ex, shared);
    yoke_close(ex);
}

TEST(long_errors_hold_no_memory)
{
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    for (size_t n = 10; n < 3000; n *= 3) {
        yoke_future *f = yoke_opt_submit(ex, (retries = 3, backoff = 1), complains, n, 9);
        CHECK_INT(yoke_wait(f), -EIO);
        CHECK(strlen(yoke_error(f)) > YK_MIN(n, 300u));
        CHECK_HAS(yoke_error(f), "eeeeeeeee");
        CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3, backoff = 1), complains, n, 2), int), 1);
        CHECK_INT(held_blocks(p), 0);
    }
    CHECK_INT(p->arena.live, 0);
    yoke_close(ex);
}

TEST(nothing_is_held_when_all_is_released)
{
    yoke_executor *ex = yoke_open("processes:2");
    yk_processes *p = (yk_processes *)(void *)ex;
    double *x = numbers(malloc(80000), 10000);
    enum { N = 2000 };
    static yoke_future *fs[N]; /* more than the ring of returned blocks has slots */
    for (int i = 0; i < N; i++)
        fs[i] = yoke_submit(ex, doubled, yoke_1d(yoke_in_f64, x, i % 2 ? 10000 : 1200));
    for (int i = 0; i < N; i++)
        CHECK_INT(yoke_wait(fs[i]), 0);
    CHECK_INT(held_blocks(p), N);
    CHECK_INT(p->arena.live, 0);
    for (int i = 0; i < N; i++)
        yoke_release(fs[i]);
    CHECK_INT(held_blocks(p), 0);
    free(x);
    yoke_close(ex);
}

/* The same memory again and again, in worker and parent. */
TEST(memory_does_not_grow)
{
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    double *x = numbers(malloc(8 << 20), 1 << 20);
    for (int i = 0; i < 60; i++) {
        yoke_future *f = yoke_submit(ex, doubled, yoke_1d(yoke_in_f64, x, 1 << 20));
        CHECK_INT(yoke_wait(f), 0);
        yoke_release(f);
    }
    struct stat st;
    CHECK_INT(fstat(p->memory, &st), 0);
    printf("# %lld MiB after 60 times 16 MiB\n", (long long)st.st_blocks >> 11);
    CHECK(st.st_blocks / 2 < 200 << 10);
    free(x);
    yoke_close(ex);
}

/* A result stays though its worker is dead; when it goes, so does the memory; and when too many are held, that is an error and
 * not a crash. */
TEST(results_survive_their_worker)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    yoke_future *held[6];
    int kept = 0, refused = 0;
    for (int i = 0; i < 6; i++) {
        pid_t pid = (pid_t)yoke_await(yoke_submit(ex, worker_pid), long);
        held[i] = yoke_opt_submit(ex, (retries = 2), letters, 100000);
        int err = yoke_wait(held[i]);
        CHECK(err == 0 || err == -ENOMEM);
        kept += err == 0;
        refused += err != 0;
        kill(pid, SIGKILL);
        while (pid_of(p, 0) == pid)
            usleep(1000);
    }
    CHECK(kept >= 2 && refused >= 1);
    for (int i = 0; i < 6; i++) {
        yoke_str s;
        if (yoke_try(held[i], &s) == 0)
            for (size_t j = 0; j < 100000; j++)
                CHECK_INT(s.ptr[j], 'x');
        yoke_release(held[i]);
    }
    CHECK_INT(held_blocks(p), 0);
    kill((pid_t)yoke_await(yoke_opt_submit(ex, (retries = 3), worker_pid), long), SIGKILL);
    CHECK_INT(yoke_await(yoke_opt_submit(ex, (retries = 3), letters, 100000), yoke_str).len, 100000);
    yoke_close(ex);
}

TEST(too_large_for_the_arena)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    CHECK(!yoke_shared_alloc(ex, SIZE_MAX));
    CHECK(!yoke_shared_alloc(ex, p->arena_size + 1));
    CHECK_INT(yoke_wait(yoke_submit(ex, letters, p->arena_size * 4)), -ENOMEM);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
    yoke_close(ex);
}

/* ---- Workers that scribble ---- */

enum { DONE_AHEAD, DONE_BACK, CELLS, WRONG_FRAME, CLAIMS, RANDOM_CELLS, KINDS };

static void scribble_over(void *at, size_t n, uint64_t seed)
{
    unsigned char *p = at;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (unsigned char)(seed >> 56);
    }
}

YOKE_TASK(yoke_str, scribbles, (uint64_t, desk), (int, kind), (uint64_t, seed), (bool, then_die))
{
    yk_desk *d = (yk_desk *)(uintptr_t)desk;
    uint64_t done = atomic_load(&d->done);
    yk_completion_cell *mine = &d->completions[done % YK_RING];
    switch (kind) {
    case DONE_AHEAD: atomic_store(&d->done, done + 1 + seed % 5); break;
    case DONE_BACK: atomic_store(&d->done, done - 1 - seed % 5); break;
    case CELLS: scribble_over(d->completions, sizeof d->completions, seed); break;
    case WRONG_FRAME: /* a completion of its own making, with a block that is not there */
        *mine = (yk_completion_cell){.number = atomic_load(&d->claimed), .frame_len = (uint32_t)seed, .retry_after = -1,
                                     .block = seed, .in_block = (uint32_t)(seed & 1)};
        atomic_store(&d->done, done + 1);
        break;
    case CLAIMS:
        atomic_store(&d->claimed, seed);
        atomic_store(&d->claimed_at, (int64_t)seed);
        break;
    case RANDOM_CELLS:
        for (int i = 0; i < 50; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            scribble_over((char *)&d->completions[seed % YK_RING] + seed / YK_RING % 100, 8, seed);
        }
        break;
    }
    if (then_die)
        raise(SIGKILL);
    return (yoke_str){"harmless", 8};
}

TEST_LIMIT(scribbling_workers, 300)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    for (int i = 0; i < 40 * KINDS; i++) {
        yoke_future *fs[12];
        for (int j = 0; j < 12; j++)
            fs[j] = j == 4 ? yoke_submit(ex, scribbles, (uintptr_t)p->desks, i % KINDS, test_random(), i / KINDS % 2)
                           : yoke_submit(ex, add, i, j);
        for (int j = 0; j < 12; j++) {
            int err = yoke_wait_until(fs[j], yoke_now() + 60 * YOKE_S);
            CHECK(yoke_done(fs[j]));
            long v;
            if (j != 4 && err == 0 && yoke_try(fs[j], &v) == 0 && i % KINDS != CELLS && i % KINDS != RANDOM_CELLS)
                CHECK_INT(v, i + j); /* otherwise it may have forged results that were still lying there */
            yoke_error(fs[j]);
            yoke_release(fs[j]);
        }
        for (long v = -1; v != 3;) { /* the pool goes on */
            yoke_future *f = yoke_opt_submit(ex, (retries = 5, backoff = YOKE_MS), add, 1, 2);
            yoke_wait_until(f, yoke_now() + 60 * YOKE_S);
            CHECK(yoke_done(f));
            if (yoke_try(f, &v) < 0)
                yoke_error(f);
            yoke_release(f);
        }
    }
    yoke_close(ex);
}

YOKE_TASK(const char *, line, (size_t, n))
{
    char *p = yoke_alloc(n + 1);
    if (!p)
        return "no memory";
    memset(p, 'l', n);
    p[n] = '\0';
    return p;
}

/* A C string must not lie where a worker can take its end away. */
TEST(strings_lie_in_private_memory)
{
    yoke_executor *ex = yoke_open("processes:1");
    const yk_processes *p = (const yk_processes *)(void *)ex;
    for (size_t n = 1; n < 100000; n = n * 3 + 1) {
        yoke_future *f = yoke_submit(ex, line, n);
        const char *text = yoke_await(f, const char *);
        CHECK(text < p->map || text >= p->map + p->map_size);
        CHECK_INT(strlen(text), n);
        CHECK(text[0] == 'l' && text[n - 1] == 'l');
        yoke_release(f);
    }
    yoke_close(ex);
}

/* A completion with times of its own making. */
YOKE_TASK(void, lies_about_time, (uint64_t, desk), (uint64_t, board), (int64_t, started), (int64_t, ended))
{
    yk_desk *d = (yk_desk *)(uintptr_t)desk;
    yk_board *b = (yk_board *)(uintptr_t)board;
    uint64_t done = atomic_load(&d->done);
    d->completions[done % YK_RING] = (yk_completion_cell){.number = atomic_load(&d->claimed), .retry_after = -1,
                                                          .started = started, .ended = ended};
    atomic_store(&d->done, done + 1);
    atomic_fetch_add(&b->bell, 1); /* as a worker does for who sleeps */
    yk_futex_wake(&b->bell, INT32_MAX, true);
    for (;;)
        pause();
}

TEST(durations_are_durations)
{
    static const int64_t times[][2] = {{INT64_MIN, INT64_MAX}, {-1, INT64_MAX}, {INT64_MAX, INT64_MIN}, {0, -1}};
    for (size_t i = 0; i < YK_COUNT_OF(times); i++) {
        yoke_executor *ex = yoke_open("processes:1");
        yk_processes *p = (yk_processes *)(void *)ex;
        CHECK_INT(yoke_await(yoke_submit(ex, add, 1, 2), long), 3);
        /* The number of a job that runs is known to its worker when it has a timeout. */
        yoke_future *f = yoke_opt_submit(ex, (timeout = 3600 * YOKE_S), lies_about_time, (uintptr_t)p->desks,
                                         (uintptr_t)p->board, times[i][0], times[i][1]);
        CHECK_INT(yoke_wait(f), 0);
        CHECK(f->started >= 0 && f->ended >= f->started);
        yoke_release(f);
        yk_mutex_lock(&p->lock);
        yk_end_worker(p, 0);
        yk_mutex_unlock(&p->lock);
        yoke_close(ex);
    }
}

#ifndef __SANITIZE_THREAD__ /* the table of calls is changed while threads use it */
static yk_processes *victim;
static int (*real_memalign)(void **, size_t, size_t);
static int interrupted;

/* What a thread left behind in a worker could do between two looks at a completion. */
static int scribbling_memalign(void **ret, size_t alignment, size_t size)
{
    if (victim && size >= 1000) {
        interrupted++;
        for (unsigned i = 0; i < YK_RING; i++)
            victim->desks->completions[i].block = UINT64_MAX / 2;
    }
    return real_memalign(ret, alignment, size);
}

TEST(a_completion_is_read_once)
{
    real_memalign = yk_sys.posix_memalign;
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    victim = p;
    yk_sys.posix_memalign = scribbling_memalign;
    yoke_future *f = yoke_submit(ex, complains, 3000, 1);
    CHECK(yoke_wait(f) < 0);
    yk_sys.posix_memalign = real_memalign;
    CHECK(interrupted > 0);
    CHECK_INT(p->arena_books[p->clerks[0].arena].held, 0);
    yoke_release(f);
    yoke_close(ex);
}
#endif
