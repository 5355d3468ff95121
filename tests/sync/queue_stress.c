/* queue_stress.c - many threads, more than there are CPUs: nothing is lost, nothing comes twice, and what one thread puts is
 * taken in its order; whatever calls they use, and whenever the queue is shut. Each of it also without membarrier(2), where
 * both sides use ordered operations instead. */
#include "sync/queue.h"
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum { PRODUCERS = 8, CONSUMERS = 8, MOST = 20000 };

/* Sanitizers make threads up to ten times slower. */
static int scaled(int n)
{
    const char *sanitize = getenv("YOKE_SANITIZE");
    return sanitize && strcmp(sanitize, "none") != 0 ? n / 10 : n;
}

typedef struct item {
    uint32_t producer, number, check;
} item;

static bool less(const void *a, const void *b)
{
    return ((const item *)a)->number % 16 < ((const item *)b)->number % 16;
}

/* How threads call the queue. */
typedef enum manner { PLAIN, MIXED, HASTY } manner;

static struct {
    yoke_queue *q;
    yoke_queue_kind kind;
    manner how;
    int items;             /* of each producer, unless shut before */
    uint32_t putters;      /* producers that are not done */
    bool done;             /* consumers say when they are done with an item */
    _Atomic uint32_t left; /* producers still at work */
    _Atomic uint32_t put[PRODUCERS], got;
    _Atomic unsigned char seen[PRODUCERS][MOST];
} s;

/* Each thread has its own random numbers. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

/* 1 when the item was put, 0 when there was no time, or less. */
static ptrdiff_t put_somehow(const item *i, size_t n, uint32_t *random)
{
    int err;
    switch (s.how == PLAIN ? 0 : next_random(random) % (s.how == MIXED ? 5 : 2) + 1) {
    case 1:
        err = yoke_queue_put_timed(s.q, i, next_random(random) % 30000);
        break;
    case 2:
        err = yoke_queue_put_try(s.q, i);
        break;
    case 3:
        return yoke_queue_put_many(s.q, i, n);
    default:
        err = yoke_queue_put(s.q, i);
    }
    return err == 0 ? 1 : err == -EAGAIN || err == -ETIMEDOUT ? 0 : err;
}

static void *producer(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, random = me + 1;
    item batch[7];
    for (int i = 0; i < s.items;) {
        size_t n = 0;
        for (; n < 7 && i + (int)n < s.items; n++)
            batch[n] = (item){me, (uint32_t)i + (uint32_t)n, me * 7919 + (uint32_t)i + (uint32_t)n};
        ptrdiff_t k = put_somehow(batch, n, &random);
        if (k < 0) {
            CHECK_INT(k, -ESHUTDOWN);
            break;
        }
        i += (int)k;
        atomic_fetch_add_explicit(&s.put[me], (uint32_t)k, memory_order_relaxed);
    }
    if (atomic_fetch_sub(&s.left, 1) == 1)
        CHECK_INT(yoke_queue_shutdown(s.q, false), 0);
    return NULL;
}

static ptrdiff_t get_somehow(item *i, size_t n, uint32_t *random)
{
    int err;
    switch (s.how == PLAIN ? 0 : next_random(random) % (s.how == MIXED ? 5 : 2) + 1) {
    case 1:
        err = yoke_queue_get_timed(s.q, i, next_random(random) % 30000);
        break;
    case 2:
        err = yoke_queue_get_try(s.q, i);
        break;
    case 3:
        return yoke_queue_get_many(s.q, i, n);
    default:
        err = yoke_queue_get(s.q, i);
    }
    return err == 0 ? 1 : err == -EAGAIN || err == -ETIMEDOUT ? 0 : err;
}

static void take(const item *i, int64_t last[PRODUCERS])
{
    CHECK(i->producer < PRODUCERS && i->number < MOST);
    CHECK_INT(i->check, i->producer * 7919 + i->number);
    CHECK_INT(atomic_fetch_add_explicit(&s.seen[i->producer][i->number], 1, memory_order_relaxed), 0);
    if (s.kind == YOKE_QUEUE_FIFO || s.kind == YOKE_QUEUE_SPSC)
        CHECK(last[i->producer] < i->number);
    last[i->producer] = i->number;
}

static void *consumer(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg + 100;
    int64_t last[PRODUCERS];
    memset(last, 0xFF, sizeof last);
    item batch[5];
    ptrdiff_t k;
    while ((k = get_somehow(batch, 5, &random)) >= 0) {
        for (ptrdiff_t i = 0; i < k; i++) {
            take(&batch[i], last);
            if (s.done)
                CHECK_INT(yoke_queue_task_done(s.q), 0);
        }
        atomic_fetch_add_explicit(&s.got, (uint32_t)k, memory_order_relaxed);
    }
    CHECK_INT(k, -ESHUTDOWN);
    CHECK_INT(yoke_queue_get(s.q, batch), -ESHUTDOWN); /* and it stays so */
    return NULL;
}

static uint32_t sum_of_puts(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < PRODUCERS; i++)
        sum += atomic_load(&s.put[i]);
    return sum;
}

static void start(yoke_queue_kind kind, size_t capacity, manner how, int items)
{
    memset(&s, 0, sizeof s);
    s.kind = kind;
    s.how = how;
    s.items = items < MOST ? items : MOST;
    CHECK_INT(yoke_queue_open(kind, sizeof(item), capacity, kind == YOKE_QUEUE_PRIORITY ? less : NULL, &s.q), 0);
}

/* Producers and consumers until all is put and taken; `disturb` meanwhile. */
static void run(int producers, int consumers, void (*disturb)(void))
{
    pthread_t threads[PRODUCERS + CONSUMERS];
    atomic_store(&s.left, (uint32_t)producers);
    for (int i = 0; i < consumers; i++)
        CHECK_INT(pthread_create(&threads[PRODUCERS + i], NULL, consumer, (void *)(uintptr_t)i), 0);
    for (int i = 0; i < producers; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, producer, (void *)(uintptr_t)i), 0);
    if (disturb)
        disturb();
    for (int i = 0; i < producers; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < consumers; i++)
        pthread_join(threads[PRODUCERS + i], NULL);
}

static void check_all_came(void)
{
    for (int p = 0; p < PRODUCERS; p++)
        for (uint32_t i = 0; i < MOST; i++)
            CHECK_INT(s.seen[p][i], i < atomic_load(&s.put[p]));
    CHECK_INT(s.got, sum_of_puts());
    CHECK_INT(yoke_queue_size(s.q), 0);
    CHECK_INT(yoke_queue_close(s.q), 0);
}

static void all_come(yoke_queue_kind kind, size_t capacity, manner how, int items)
{
    start(kind, capacity, how, scaled(items));
    bool pair = kind == YOKE_QUEUE_SPSC;
    run(pair ? 1 : PRODUCERS, pair ? 1 : CONSUMERS, NULL);
    CHECK_INT(sum_of_puts(), s.items * (pair ? 1 : PRODUCERS));
    check_all_came();
}

static int no_membarrier(int command, unsigned flags, int cpu)
{
    errno = ENOSYS;
    return -1;
}

/* Each stress comes twice. */
#define STRESS(name)                                                                                                   \
    static void stress_##name(void);                                                                                   \
    TEST_LIMIT(name, 120)                                                                                              \
    {                                                                                                                  \
        stress_##name();                                                                                               \
    }                                                                                                                  \
    TEST_LIMIT(name##_without_membarrier, 120)                                                                         \
    {                                                                                                                  \
        yk_sys.membarrier = no_membarrier;                                                                             \
        CHECK(!yk_has_heavy_barrier());                                                                                \
        stress_##name();                                                                                               \
    }                                                                                                                  \
    static void stress_##name(void)

STRESS(in_order_without_loss)
{
    all_come(YOKE_QUEUE_FIFO, 64, PLAIN, 4000);
    all_come(YOKE_QUEUE_FIFO, 64, MIXED, 2000);
    all_come(YOKE_QUEUE_FIFO, 3, MIXED, 1000);
    all_come(YOKE_QUEUE_FIFO, 1, PLAIN, 500);
}

STRESS(in_order_without_limit)
{
    all_come(YOKE_QUEUE_FIFO, 0, PLAIN, 10000);
    all_come(YOKE_QUEUE_FIFO, 0, MIXED, 4000);
}

STRESS(under_a_lock_without_loss)
{
    all_come(YOKE_QUEUE_LIFO, 10, MIXED, 1000);
    all_come(YOKE_QUEUE_LIFO, 0, PLAIN, 2000);
    all_come(YOKE_QUEUE_PRIORITY, 10, MIXED, 1000);
    all_come(YOKE_QUEUE_PRIORITY, 0, PLAIN, 1000);
}

STRESS(one_to_one_without_loss)
{
    all_come(YOKE_QUEUE_SPSC, 100, PLAIN, 20000);
    all_come(YOKE_QUEUE_SPSC, 1, PLAIN, 5000);
    all_come(YOKE_QUEUE_SPSC, 5, MIXED, 5000);
}

/* Short times on both sides: each wake-up races with a waiter that gives up. */
STRESS(timeouts_against_wakes)
{
    all_come(YOKE_QUEUE_FIFO, 2, HASTY, 300);
    all_come(YOKE_QUEUE_LIFO, 2, HASTY, 300);
    all_come(YOKE_QUEUE_SPSC, 1, HASTY, 1000);
}

/* ---- Shutdown in the middle ---- */

static void shut_at_some_time(void)
{
    uint32_t enough = (uint32_t)(test_random() % 300);
    while (sum_of_puts() < enough && atomic_load(&s.left) > 0)
        sched_yield();
    CHECK_INT(yoke_queue_shutdown(s.q, false), 0);
}

static void drop_at_some_time(void)
{
    shut_at_some_time();
    CHECK_INT(yoke_queue_shutdown(s.q, true), 0);
}

static void each_round(void (*disturb)(void), void (*check)(void))
{
    static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_LIFO, YOKE_QUEUE_PRIORITY, YOKE_QUEUE_SPSC};
    for (int round = 0; round < scaled(100); round++) {
        yoke_queue_kind kind = kinds[round % 4];
        bool pair = kind == YOKE_QUEUE_SPSC;
        size_t capacity = kind == YOKE_QUEUE_FIFO && round % 8 < 4 ? 0 : 1 + test_random() % 8;
        start(kind, capacity, test_random() % 2 ? PLAIN : MIXED, MOST);
        s.done = true;
        run(pair ? 1 : 3, pair ? 1 : 3, disturb);
        check();
    }
}

/* What was put before the shutdown is got, all of it, and nothing else. */
STRESS(shutdown_in_the_middle)
{
    each_round(shut_at_some_time, check_all_came);
}

/* Each item is taken once or dropped once, and counted as done once. */
static void check_some_came(void)
{
    uint32_t seen = 0;
    for (int p = 0; p < PRODUCERS; p++)
        for (uint32_t i = 0; i < MOST; i++) {
            CHECK(s.seen[p][i] <= (i < atomic_load(&s.put[p])));
            seen += s.seen[p][i];
        }
    CHECK_INT(s.got, seen);
    CHECK_INT(yoke_queue_size(s.q), 0);
    CHECK_INT(yoke_queue_unfinished(s.q), 0);
    CHECK_INT(yoke_queue_join(s.q), 0);
    CHECK_INT(yoke_queue_task_done(s.q), -EINVAL);
    CHECK_INT(yoke_queue_close(s.q), 0);
}

STRESS(dropping_in_the_middle)
{
    each_round(drop_at_some_time, check_some_came);
}

/* ---- Join ---- */

/* Joins while items come and go. Whenever it returns, all that was put before is done. */
static void join_again_and_again(void)
{
    while (atomic_load(&s.left) > 0) {
        int err = yoke_queue_join_timed(s.q, YOKE_MS);
        CHECK(err == 0 || err == -ETIMEDOUT);
    }
    CHECK_INT(yoke_queue_join(s.q), 0);
    CHECK_INT(yoke_queue_unfinished(s.q), 0);
}

STRESS(join_while_items_come_and_go)
{
    static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_PRIORITY};
    for (int k = 0; k < 2; k++) {
        start(kinds[k], 16, PLAIN, scaled(2000));
        s.done = true;
        run(PRODUCERS, CONSUMERS, join_again_and_again);
        CHECK_INT(yoke_queue_task_done(s.q), -EINVAL);
        check_all_came();
    }
}

/* ---- Hand-overs ---- */

static yoke_queue *there, *back;
static int rounds;

static void *echo(void *arg)
{
    for (int i = 0, got; i < rounds; i++) {
        CHECK_INT(yoke_queue_get(there, &got), 0);
        CHECK_INT(got, i);
        CHECK_INT(yoke_queue_put(back, &got), 0);
    }
    return NULL;
}

/* One item goes to and fro, so each side waits for the other every time. `sleepy`: without spinning before. */
static void ping_pong(yoke_queue_kind kind, int n, bool sleepy)
{
    CHECK_INT(yoke_queue_open(kind, sizeof(int), 1, NULL, &there), 0);
    CHECK_INT(yoke_queue_open(kind, sizeof(int), 1, NULL, &back), 0);
    there->spin = there->spin && !sleepy;
    back->spin = back->spin && !sleepy;
    rounds = scaled(n);
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, echo, NULL), 0);
    for (int i = 0, got; i < rounds; i++) {
        CHECK_INT(yoke_queue_put(there, &i), 0);
        CHECK_INT(yoke_queue_get(back, &got), 0);
        CHECK_INT(got, i);
    }
    pthread_join(thread, NULL);
    CHECK_INT(yoke_queue_close(there) + yoke_queue_close(back), 0);
}

STRESS(no_wake_up_is_lost)
{
    ping_pong(YOKE_QUEUE_FIFO, 20000, true);
    ping_pong(YOKE_QUEUE_SPSC, 20000, true);
    ping_pong(YOKE_QUEUE_LIFO, 20000, true);
    ping_pong(YOKE_QUEUE_FIFO, 50000, false);
}

static void *fill(void *arg)
{
    for (int i = 0; i < rounds; i++)
        CHECK_INT(yoke_queue_put(there, &i), 0);
    return NULL;
}

/* A queue that is always full or empty: 250000 for each kind, with and without membarrier. */
STRESS(a_million_through_one_place)
{
    static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_SPSC};
    for (int k = 0; k < 2; k++) {
        CHECK_INT(yoke_queue_open(kinds[k], sizeof(int), 1, NULL, &there), 0);
        rounds = scaled(250000);
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, fill, NULL), 0);
        for (int i = 0, got; i < rounds; i++) {
            CHECK_INT(yoke_queue_get(there, &got), 0);
            CHECK_INT(got, i);
        }
        pthread_join(thread, NULL);
        CHECK_INT(yoke_queue_close(there), 0);
    }
}
