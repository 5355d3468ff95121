/* limits.c - large arguments and results at the limits of the arenas, and when these are full: what does not fit
 * is an error of its job that says so, everything else runs, and all of it fits again once it has been given back. */
#include "process/pool.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK(size_t, length, (yoke_bytes, data))
{
    return data.len;
}

YOKE_TASK(yoke_bytes, bytes, (size_t, n), (int, mark))
{
    char *p = yoke_alloc(n);
    if (!p) {
        yoke_fail(ENOMEM, "no room for %zu bytes", n);
        return (yoke_bytes){NULL, 0};
    }
    memset(p, mark, n);
    return (yoke_bytes){p, n};
}

YOKE_TASK(void, marks, (yoke_out_u8, x), (int, mark))
{
    for (size_t i = 0; i < x.shape[0]; i++)
        x.ptr[(ptrdiff_t)i * x.step[0]] = (uint8_t)mark;
}

static void ignore(const char *text, void *arg)
{
}

static yk_processes *pool_of(yoke_executor *ex)
{
    return (yk_processes *)(void *)ex;
}

/* Takes blocks of the parent's arena until none of at least `least` bytes is left. Returns how many there are. */
static int fill(yoke_executor *ex, void **blocks, int most, size_t least)
{
    int n = 0;
    for (size_t size = pool_of(ex)->arena_size; size >= least; size /= 2)
        while (n < most && (blocks[n] = yoke_shared_alloc(ex, size)))
            n++;
    CHECK(n < most);
    return n;
}

/* ---- Where a frame goes: sizes around every limit ---- */

TEST(sizes_around_the_limits)
{
    static const size_t limits[] = {0, 1, YK_FRAME_CELL - sizeof(yoke_bytes), YK_FRAME_CELL, YK_FRAME_INLINE, 8192,
                                    65536, 1 << 20};
    yoke_executor *ex = yoke_open("processes:1");
    char *data = calloc(1, (1 << 20) + 16);
    CHECK(data != NULL);
    for (size_t i = 0; i < YK_COUNT_OF(limits); i++)
        for (int off = -9; off <= 9; off++) {
            if (off < 0 && limits[i] < (size_t)-off)
                continue;
            size_t n = limits[i] + (size_t)off;
            yoke_future *there = yoke_submit(ex, length, (yoke_bytes){data, n}), *back = yoke_submit(ex, bytes, n, 'z');
            CHECK_INT(yoke_await(there, size_t), n);
            yoke_bytes b = yoke_await(back, yoke_bytes);
            CHECK_INT(b.len, n);
            for (size_t at = 0; at < n; at += at < 300 || n - at < 300 ? 1 : 97)
                CHECK_INT(((const char *)b.ptr)[at], 'z');
            yoke_release(there);
            yoke_release(back);
        }
    CHECK_INT(pool_of(ex)->arena.live, 0);
    free(data);
    yoke_close(ex);
}

/* ---- The parent's arena is full ---- */

TEST(arguments_without_room)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:2");
    static void *blocks[200];
    static char data[100000];
    static uint8_t marked[100000];
    int n = fill(ex, blocks, 200, 64);
    for (int round = 0; round < 3; round++) {
        yoke_future *large = yoke_submit(ex, length, (yoke_bytes){data, sizeof data});
        yoke_future *out = yoke_submit(ex, marks, yoke_1d(yoke_out_u8, marked, sizeof marked), 7);
        yoke_future *small = yoke_submit(ex, length, (yoke_bytes){data, 20}), *none = yoke_submit(ex, add, 1, 2);
        CHECK_INT(yoke_wait(large), -ENOMEM);
        CHECK_HAS(yoke_error(large), "shared memory");
        CHECK_HAS(yoke_error(large), "argument 1 \"data\" of length");
        CHECK_INT(yoke_wait(out), -ENOMEM);
        CHECK_HAS(yoke_error(out), "100000 bytes of argument 1 \"x\" of marks");
        CHECK_INT(yoke_await(small, size_t), 20);
        CHECK_INT(yoke_await(none, long), 3);
        CHECK_INT(marked[0], 0);
        CHECK_INT(pool_of(ex)->arena.live, n);
        yoke_release(large);
        yoke_release(out);
        yoke_release(small);
        yoke_release(none);
    }
    for (int i = 0; i < n; i++)
        yoke_shared_free(ex, blocks[i]);
    CHECK_INT(pool_of(ex)->arena.live, 0);
    CHECK_INT(yoke_await(yoke_submit(ex, length, (yoke_bytes){data, sizeof data}), size_t), sizeof data);
    CHECK_INT(yoke_wait(yoke_submit(ex, marks, yoke_1d(yoke_out_u8, marked, sizeof marked), 7)), 0);
    CHECK(marked[0] == 7 && marked[sizeof marked - 1] == 7);
    yoke_close(ex);
}

/* A job fails for want of room with retries left: it has room as soon as somebody gives some back. */
TEST(room_comes_back_for_a_retry)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    static void *blocks[200];
    static char data[50000];
    int n = fill(ex, blocks, 200, 64);
    yoke_future *f = yoke_opt_submit(ex, (retries = 20, backoff = 5 * YOKE_MS), length,
                                     (yoke_bytes){data, sizeof data});
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    CHECK(!yoke_done(f));
    for (int i = 0; i < n; i++)
        yoke_shared_free(ex, blocks[i]);
    CHECK_INT(yoke_await(f, size_t), sizeof data);
    yoke_close(ex);
}

/* ---- A worker's arena is full: the caller holds its results ---- */

TEST(results_without_room)
{
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    size_t whole = pool_of(ex)->arena_size;
    yoke_future *held[8];
    int ok = 0;
    for (int i = 0; i < 8; i++) {
        held[i] = yoke_submit(ex, bytes, 40000, 'a' + i);
        ok += yoke_wait(held[i]) == 0;
    }
    CHECK_INT(ok, 8);
    CHECK_INT(yoke_wait(yoke_submit(ex, bytes, whole + 1, 0)), -ENOMEM);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 2, 3), long), 5);
    for (int i = 0; i < 8; i++) {
        yoke_bytes b = yoke_await(held[i], yoke_bytes);
        CHECK(((const char *)b.ptr)[0] == 'a' + i && ((const char *)b.ptr)[39999] == 'a' + i);
        yoke_release(held[i]);
    }
    yoke_close(ex);
}

/* Results held while workers die keep their arenas; without a free one a worker still does what needs none. */
TEST(no_arena_left)
{
    enum { DEATHS = 4 };
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = pool_of(ex);
    yoke_future *held[DEATHS];
    int n = 0;
    for (; n < DEATHS; n++) {
        held[n] = yoke_opt_submit(ex, (retries = 3), bytes, 50000, 'a' + n);
        if (yoke_wait(held[n]) < 0)
            break;
        yk_mutex_lock(&p->lock);
        pid_t pid = p->clerks[0].pid;
        yk_mutex_unlock(&p->lock);
        kill(pid, SIGKILL);
        for (bool replaced = false; !replaced;) {
            yk_mutex_lock(&p->lock);
            replaced = p->clerks[0].state == YK_PRESENT && p->clerks[0].pid != pid;
            yk_mutex_unlock(&p->lock);
        }
    }
    CHECK_INT(n, p->arena_count);
    CHECK_INT(yoke_code(held[n]), -ENOMEM);
    CHECK_INT(yoke_await(yoke_submit(ex, add, 4, 5), long), 9);
    for (int i = 0; i < n; i++) {
        yoke_bytes b = yoke_await(held[i], yoke_bytes);
        for (size_t at = 0; at < 50000; at++)
            CHECK_INT(((const char *)b.ptr)[at], 'a' + i);
    }
    for (int i = 0; i <= n; i++)
        yoke_release(held[i]);
    for (unsigned i = 0; i < p->arena_count; i++)
        CHECK_INT(p->arena_books[i].held, 0);
    yoke_close(ex);
}
