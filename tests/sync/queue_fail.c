/* queue_fail.c - queues without memory, and without the barrier they counted on. */
#include "sync/queue.h"
#include "test.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static bool less(const void *a, const void *b)
{
    return *(const int *)a < *(const int *)b;
}

static int open_kind(yoke_queue_kind kind, size_t capacity, yoke_queue **ret)
{
    return yoke_queue_open(kind, sizeof(int), capacity, kind == YOKE_QUEUE_PRIORITY ? less : NULL, ret);
}

static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_LIFO, YOKE_QUEUE_PRIORITY, YOKE_QUEUE_SPSC};

/* The n-th call fails, for n = 1, 2, ... until the queue opens. */
static int failures_until_open(const char *call, yoke_queue_kind kind)
{
    for (int n = 1;; n++) {
        yoke_queue *q = (yoke_queue *)&q;
        yk_sys_fail(call, n, ENOMEM);
        int err = open_kind(kind, 10, &q);
        int calls = yk_sys_fail(call, 0, 0);
        if (err == 0) {
            CHECK(calls < n);
            CHECK_INT(yoke_queue_close(q), 0);
            return n - 1;
        }
        CHECK_INT(err, -ENOMEM);
        CHECK(q == (yoke_queue *)&q);
    }
}

TEST(open_without_memory)
{
    for (int k = 0; k < 4; k++) {
        int failed = failures_until_open("posix_memalign", kinds[k]) + failures_until_open("calloc", kinds[k]) +
                     failures_until_open("realloc", kinds[k]);
        CHECK_INT(failed, kinds[k] == YOKE_QUEUE_FIFO ? 3 : 2);
    }
}

TEST(more_than_there_can_be)
{
    static const size_t much[] = {SIZE_MAX,     SIZE_MAX / 2,     SIZE_MAX / 3, SIZE_MAX / 4,
                                  SIZE_MAX / 5, SIZE_MAX / 8 + 1, SIZE_MAX / 64};
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof much / sizeof *much; i++) {
            yoke_queue *q;
            CHECK_INT(yoke_queue_open(kinds[k], 64, much[i], kinds[k] == YOKE_QUEUE_PRIORITY ? less : NULL, &q), -ENOMEM);
            CHECK_INT(yoke_queue_open(kinds[k], much[i], 64, kinds[k] == YOKE_QUEUE_PRIORITY ? less : NULL, &q), -ENOMEM);
        }
}

/* A put that finds no memory to grow leaves the queue as it was; and it grows when there is memory again. */
static void grow_without_memory(yoke_queue_kind kind, const char *call, int which)
{
    yoke_queue *q;
    CHECK_INT(open_kind(kind, 0, &q), 0);
    int puts = 0, err, got, items[10] = {0};
    yk_sys_fail(call, which, ENOMEM);
    while ((err = yoke_queue_put(q, &puts)) == 0)
        puts++;
    CHECK_INT(err, -ENOMEM);
    CHECK(puts >= 10);
    CHECK_INT(yoke_queue_size(q), puts);
    CHECK_INT(yoke_queue_unfinished(q), puts);
    yk_sys_fail(call, which, ENOMEM);
    CHECK_INT(yoke_queue_put_many_try(q, items, 10), -ENOMEM);
    yk_sys_fail(call, which, ENOMEM);
    CHECK_INT(yoke_queue_get(q, &got), 0);
    CHECK_INT(got, kind == YOKE_QUEUE_LIFO ? puts - 1 : 0);
    CHECK_INT(yoke_queue_put(q, items), 0); /* in the place that is free now */
    CHECK_INT(yoke_queue_put(q, items), -ENOMEM);
    yk_sys_fail(call, 0, 0);
    CHECK_INT(yoke_queue_put_many(q, items, 10), 10);
    CHECK_INT(yoke_queue_size(q), puts + 10);
    int taken = 0;
    for (int last = 0; yoke_queue_get_try(q, &got) == 0; taken++, last = got)
        if (kind == YOKE_QUEUE_FIFO && taken < puts - 1)
            CHECK_INT(got, last + 1);
    CHECK_INT(taken, puts + 10);
    CHECK_INT(yoke_queue_close(q), 0);
}

TEST(grow_without_memory)
{
    grow_without_memory(YOKE_QUEUE_FIFO, "posix_memalign", 1);
    grow_without_memory(YOKE_QUEUE_FIFO, "calloc", 1);
    grow_without_memory(YOKE_QUEUE_LIFO, "realloc", 1);
    grow_without_memory(YOKE_QUEUE_PRIORITY, "realloc", 1);
}

/* ---- Without membarrier ---- */

static int no_membarrier(int command, unsigned flags, int cpu)
{
    errno = EPERM;
    return -1;
}

static void *put_one(void *arg)
{
    yoke_queue *q = arg;
    int item = 5;
    while (!yk_waiters_any(&q->getters))
        sched_yield();
    CHECK_INT(yoke_queue_put(q, &item), 0);
    return NULL;
}

/* The barrier was there when the queue was opened, and is then forbidden: whoever waits looks again by itself. */
TEST(the_barrier_goes_away)
{
    yoke_queue *q;
    CHECK_INT(open_kind(YOKE_QUEUE_FIFO, 1, &q), 0);
    if (!q->light)
        SKIP("no membarrier here");
    yk_sys.membarrier = no_membarrier;
    CHECK(!yk_heavy_barrier());
    yk_waiter w;
    yk_waiters_enter(&q->getters, &w, false);
    CHECK(w.unsure);
    CHECK_INT(yk_waiters_sleep(&q->getters, &w, YOKE_FOREVER, 0), 0); /* nobody wakes it */
    CHECK_INT(atomic_load(&q->getters.count), 0);

    int got = 0;
    CHECK_INT(yoke_queue_get_timed(q, &got, 5 * YOKE_MS), -ETIMEDOUT);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, put_one, q), 0);
    CHECK_INT(yoke_queue_get(q, &got), 0);
    CHECK_INT(got, 5);
    pthread_join(thread, NULL);
    CHECK_INT(yoke_queue_join_timed(q, 3 * YOKE_MS), -ETIMEDOUT);
    CHECK_INT(yoke_queue_shutdown(q, true), 0);
    CHECK_INT(yoke_queue_close(q), 0);
}

TEST(the_barrier_is_asked_for_once_more)
{
    if (!yk_has_heavy_barrier())
        SKIP("no membarrier here");
    yk_sys_fail("membarrier", 1, EPERM);
    CHECK(yk_heavy_barrier());
    CHECK_INT(yk_sys_fail("membarrier", 0, 0), 3); /* failed, registered, passed */
}

TEST(no_barrier_from_the_start)
{
    for (int n = 1; n <= 2; n++) {
        pid_t child = fork(); /* whether there is one is found out once */
        if (child == 0) {
            yk_sys_fail("membarrier", n, ENOSYS);
            bool has = yk_has_heavy_barrier();
            yoke_queue *q = NULL;
            int got = 0, item = 3, err = open_kind(YOKE_QUEUE_SPSC, 1, &q);
            bool works = err == 0 && !q->light && yoke_queue_put(q, &item) == 0 && yoke_queue_get(q, &got) == 0 && got == 3 &&
                         yoke_queue_get_timed(q, &got, YOKE_MS) == -ETIMEDOUT && yoke_queue_shutdown(q, true) == 0 &&
                         yoke_queue_close(q) == 0;
            _exit(!has && works ? 0 : 1);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
}
