/* sync_race.c - cancels that arrive together with what was waited for: for every primitive, some workers that are told to stop at
 * random moments, above all in the iteration in which somebody hands them what they want, among others that never are. Nothing is
 * lost, doubled or left behind, and nobody sleeps while there is something for him: then the test would not end.
 *
 * Each primitive in coroutines of one loop, on two loops of an executor, and in coroutines beside threads. */
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include <yoke/async.h>
#include <yoke/channel.h>
#include <yoke/executor.h>
#include <yoke/queues.h>
#include <yoke/sync.h>
#include <yoke/task.h>

enum { MOST = 16, STEADY_ROUNDS = 60, FLAKY_ROUNDS = 120, ROOM = 2, PERMITS = 2, PARTIES = 3 };

/* Workers of one loop, or of one thread. */
typedef struct squad {
    int count;
    yoke_scope *scope[MOST]; /* where a flaky one waits; NULL: it does not */
    uint64_t random;
} squad;

typedef struct kind {
    const char *name;
    void (*begin)(void);
    /* One turn: waits, has, gives. 0 or more: done; -ECANCELED, -ETIMEDOUT: nothing happened. */
    int (*turn)(squad *s, int who, int64_t deadline);
    /* While some steady ones still wait and no flaky one is left: what they need, if there is nothing they could take. */
    void (*feed)(void);
    void (*end)(void);
    bool untimed; /* time limits have effects of their own */
} kind;

static const kind *now;
static _Atomic int steady_left, flaky_left;
static _Atomic long done; /* turns */

/* ---- Chance ---- */

static unsigned chance(squad *s, unsigned n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(s->random >> 33) % n;
}

/* Tells one of the squad to stop, perhaps; around the moment in which it is served. */
static void meddle(squad *s)
{
    if (!s || s->count == 0 || chance(s, 2))
        return;
    yoke_scope *victim = s->scope[chance(s, (unsigned)s->count)];
    if (victim)
        yoke_scope_cancel(victim);
}

/* ---- Locks ---- */

static yoke_lock lock;
static yoke_rlock rlock;
static yoke_rwlock rwlock;
static _Atomic int inside, readers;

static void have(squad *s)
{
    CHECK_INT(atomic_fetch_add(&inside, 1), 0);
    if (chance(s, 3) == 0)
        yoke_yield();
    atomic_fetch_sub(&inside, 1);
    meddle(s);
}

static int lock_turn(squad *s, int who, int64_t deadline)
{
    int err = yoke_lock_until(&lock, deadline);
    if (err < 0)
        return err;
    have(s);
    CHECK_INT(yoke_lock_release(&lock), 0);
    meddle(s);
    return 0;
}

static void lock_end(void)
{
    CHECK_INT(yoke_lock_try(&lock), 0);
    yoke_lock_release(&lock);
    CHECK_INT(yoke_lock_done(&lock), 0);
    lock = (yoke_lock)YOKE_LOCK_INIT;
}

static int rlock_turn(squad *s, int who, int64_t deadline)
{
    int err = yoke_rlock_until(&rlock, deadline);
    if (err < 0)
        return err;
    CHECK_INT(yoke_rlock_acquire(&rlock), 0);
    have(s);
    CHECK_INT(yoke_rlock_release(&rlock), 0);
    CHECK(yoke_rlock_mine(&rlock));
    CHECK_INT(yoke_rlock_release(&rlock), 0);
    meddle(s);
    return 0;
}

static void rlock_end(void)
{
    CHECK_INT(yoke_rlock_done(&rlock), 0);
    rlock = (yoke_rlock)YOKE_RLOCK_INIT;
}

static int read_turn(squad *s, int64_t deadline)
{
    int err = yoke_rwlock_read_until(&rwlock, deadline);
    if (err < 0)
        return err;
    atomic_fetch_add(&readers, 1);
    CHECK_INT(atomic_load(&inside), 0);
    yoke_yield();
    CHECK_INT(atomic_load(&inside), 0);
    atomic_fetch_sub(&readers, 1);
    meddle(s);
    CHECK_INT(yoke_rwlock_read_release(&rwlock), 0);
    meddle(s);
    return 0;
}

static int rwlock_turn(squad *s, int who, int64_t deadline)
{
    if (chance(s, 3))
        return read_turn(s, deadline);
    int err = yoke_rwlock_write_until(&rwlock, deadline);
    if (err < 0)
        return err;
    CHECK_INT(atomic_load(&readers), 0);
    have(s);
    CHECK_INT(yoke_rwlock_write_release(&rwlock), 0);
    meddle(s);
    return 0;
}

static void rwlock_end(void)
{
    CHECK_INT(yoke_rwlock_write_try(&rwlock), 0);
    yoke_rwlock_write_release(&rwlock);
    CHECK_INT(yoke_rwlock_done(&rwlock), 0);
    rwlock = (yoke_rwlock)YOKE_RWLOCK_INIT;
}

/* ---- Semaphore ---- */

static yoke_semaphore semaphore;

static void semaphore_begin(void)
{
    CHECK_INT(yoke_semaphore_init_bounded(&semaphore, PERMITS, 0), 0);
}

static int semaphore_turn(squad *s, int who, int64_t deadline)
{
    int err = yoke_semaphore_until(&semaphore, deadline);
    if (err < 0)
        return err;
    CHECK(atomic_fetch_add(&inside, 1) < PERMITS);
    if (chance(s, 2))
        yoke_yield();
    atomic_fetch_sub(&inside, 1);
    meddle(s);
    CHECK_INT(yoke_semaphore_release(&semaphore, 1), 0);
    meddle(s);
    return 0;
}

static void semaphore_end(void)
{
    CHECK_INT(yoke_semaphore_permits(&semaphore), PERMITS);
}

/* ---- What holds items: queues, a channel ---- */

static _Atomic long put_count, got_count, put_sum, got_sum;

static void count_put(long value)
{
    atomic_fetch_add(&put_count, 1);
    atomic_fetch_add(&put_sum, value);
}

static void count_got(long value)
{
    atomic_fetch_add(&got_count, 1);
    atomic_fetch_add(&got_sum, value);
}

static void forget_counts(void)
{
    put_count = got_count = put_sum = got_sum = 0;
}

/* Even ones put, odd ones get. */
static int item_turn(squad *s, int who, int64_t deadline, int (*put)(long value, int64_t deadline),
                     int (*get)(long *ret, int64_t deadline))
{
    long value = (long)chance(s, 1000000);
    int err = who % 2 == 0 ? put(value, deadline) : get(&value, deadline);
    if (err == 0)
        (who % 2 == 0 ? count_put : count_got)(value);
    meddle(s);
    return err;
}

static yoke_queue *queue;

static bool before(const void *a, const void *b)
{
    return *(const long *)a < *(const long *)b;
}

static void queue_begin_as(yoke_queue_kind what)
{
    forget_counts();
    CHECK_INT(yoke_queue_open(what, sizeof(long), ROOM, what == YOKE_QUEUE_PRIORITY ? before : NULL, &queue), 0);
}

static void fifo_begin(void)
{
    queue_begin_as(YOKE_QUEUE_FIFO);
}

static void lifo_begin(void)
{
    queue_begin_as(YOKE_QUEUE_LIFO);
}

static void priority_begin(void)
{
    queue_begin_as(YOKE_QUEUE_PRIORITY);
}

static int queue_put(long value, int64_t deadline)
{
    return yoke_queue_put_until(queue, &value, deadline);
}

static int queue_get(long *ret, int64_t deadline)
{
    return yoke_queue_get_until(queue, ret, deadline);
}

static int queue_turn(squad *s, int who, int64_t deadline)
{
    return item_turn(s, who, deadline, queue_put, queue_get);
}

static void queue_feed(void)
{
    long value = 1;
    if (yoke_queue_empty(queue) && yoke_queue_put_try(queue, &value) == 0)
        count_put(value);
    else if (yoke_queue_full(queue) && yoke_queue_get_try(queue, &value) == 0)
        count_got(value);
}

static void queue_end(void)
{
    long value;
    while (yoke_queue_get_try(queue, &value) == 0)
        count_got(value);
    CHECK_INT(got_count, put_count);
    CHECK_INT(got_sum, put_sum);
    CHECK_INT(yoke_queue_close(queue), 0);
}

static yoke_channel *channel;

static void channel_begin(void)
{
    forget_counts();
    CHECK_INT(yoke_channel_open(sizeof(long), ROOM, &channel), 0);
}

static void rendezvous_begin(void)
{
    forget_counts();
    CHECK_INT(yoke_channel_open(sizeof(long), 0, &channel), 0);
}

static int channel_put(long value, int64_t deadline)
{
    return yoke_channel_send_until(channel, &value, deadline);
}

static int channel_get(long *ret, int64_t deadline)
{
    return yoke_channel_receive_until(channel, ret, deadline);
}

static int channel_turn(squad *s, int who, int64_t deadline)
{
    return item_turn(s, who, deadline, channel_put, channel_get);
}

static void channel_feed(void)
{
    long value = 1;
    if (yoke_channel_send_try(channel, &value) == 0)
        count_put(value);
    if (yoke_channel_receive_try(channel, &value) == 0)
        count_got(value);
}

static void channel_end(void)
{
    long value;
    while (yoke_channel_receive_try(channel, &value) == 0)
        count_got(value);
    CHECK_INT(got_count, put_count);
    CHECK_INT(got_sum, put_sum);
    CHECK_INT(yoke_channel_close(channel), 0);
}

/* ---- Condition: what notify says it woke is what came back notified ---- */

static yoke_condition condition;
static long available;
static _Atomic long notified, woken;

static void condition_begin(void)
{
    available = 0;
    atomic_store(&notified, 0);
    atomic_store(&woken, 0);
}

static void produce(squad *s)
{
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    available++;
    meddle(s);
    atomic_fetch_add(&notified, yoke_condition_notify(&condition, &lock, 1));
    meddle(s);
    CHECK_INT(yoke_lock_release(&lock), 0);
    meddle(s);
}

static int consume(int64_t deadline)
{
    int err = yoke_lock_until(&lock, deadline);
    if (err < 0)
        return err;
    while (available == 0 && (err = yoke_condition_until(&condition, &lock, deadline)) == 1)
        atomic_fetch_add(&woken, 1);
    if (available > 0)
        available--;
    else
        err = err == 0 ? -ETIMEDOUT : err;
    /* Whoever was told to stop holds the lock, like all others. */
    CHECK(yoke_lock_held(&lock));
    CHECK_INT(yoke_lock_release(&lock), 0);
    return err;
}

static int condition_turn(squad *s, int who, int64_t deadline)
{
    if (who % 2)
        return consume(deadline);
    produce(s);
    return 0;
}

static void condition_feed(void)
{
    CHECK_INT(yoke_lock_acquire(&lock), 0);
    bool none = available == 0;
    CHECK_INT(yoke_lock_release(&lock), 0);
    if (none)
        produce(NULL);
}

static void condition_end(void)
{
    CHECK_INT(woken, notified);
    CHECK_INT(yoke_condition_done(&condition), 0);
    condition = (yoke_condition)YOKE_CONDITION_INIT;
    lock_end();
}

/* ---- Barrier: whoever is told to stop leaves, and breaks nothing ---- */

static yoke_barrier barrier;
static _Atomic long acted;

static int act(void *arg)
{
    atomic_fetch_add(&acted, 1);
    yoke_yield();
    return 0;
}

static void barrier_begin(void)
{
    CHECK_INT(yoke_barrier_init(&barrier, PARTIES, NULL, NULL, 0), 0);
}

static void acting_begin(void)
{
    acted = 0;
    CHECK_INT(yoke_barrier_init(&barrier, PARTIES, act, NULL, 0), 0);
}

static int barrier_turn(squad *s, int who, int64_t deadline)
{
    int index = yoke_barrier_wait(&barrier);
    CHECK(index == -ECANCELED || (index >= 0 && index < PARTIES));
    meddle(s);
    return index;
}

static int fill(void *arg)
{
    if (yoke_barrier_wait(&barrier) >= 0)
        atomic_fetch_add(&done, 1);
    return 0;
}

/* As many as may be missing; those who were too many leave again. */
static void barrier_feed(void)
{
    yoke_scope limit;
    yoke_group g;
    if (yoke_barrier_waiting(&barrier) == 0)
        return;
    yoke_scope_begin_timed(&limit, YOKE_MS);
    yoke_group_begin(&g);
    for (int i = 0; i < PARTIES - 1; i++)
        yoke_go(&g, fill, NULL);
    yoke_group_end(&g);
    yoke_scope_end(&limit);
}

static void barrier_end(void)
{
    CHECK(!yoke_barrier_broken(&barrier));
    CHECK_INT(yoke_barrier_waiting(&barrier), 0);
    CHECK_INT(atomic_load(&done) % PARTIES, 0);
    if (barrier.action)
        CHECK_INT(acted, atomic_load(&done) / PARTIES);
    CHECK_INT(yoke_barrier_done(&barrier), 0);
}

static const kind kinds[] = {
    {"lock", NULL, lock_turn, NULL, lock_end, false},
    {"rlock", NULL, rlock_turn, NULL, rlock_end, false},
    {"rwlock", NULL, rwlock_turn, NULL, rwlock_end, false},
    {"semaphore", semaphore_begin, semaphore_turn, NULL, semaphore_end, false},
    {"fifo", fifo_begin, queue_turn, queue_feed, queue_end, false},
    {"lifo", lifo_begin, queue_turn, queue_feed, queue_end, false},
    {"priority", priority_begin, queue_turn, queue_feed, queue_end, false},
    {"channel", channel_begin, channel_turn, channel_feed, channel_end, false},
    {"rendezvous", rendezvous_begin, channel_turn, channel_feed, channel_end, false},
    {"condition", condition_begin, condition_turn, condition_feed, condition_end, false},
    {"barrier", barrier_begin, barrier_turn, barrier_feed, barrier_end, true},
    {"barrier with an action", acting_begin, barrier_turn, barrier_feed, barrier_end, true}};

/* ---- Workers ---- */

typedef struct worker {
    squad *of;
    int who;
} worker;

/* The first half of a squad is steady; beyond it are the same roles again. */
static void steady_rounds(squad *s, int who)
{
    for (int i = 0; i < STEADY_ROUNDS; i++) {
        CHECK(now->turn(s, who, YOKE_FOREVER) >= 0);
        atomic_fetch_add(&done, 1);
    }
    atomic_fetch_sub(&steady_left, 1);
}

static int steady(void *arg)
{
    worker *w = arg;
    steady_rounds(w->of, w->who);
    return 0;
}

static int64_t some_deadline(squad *s)
{
    return now->untimed || chance(s, 3) ? YOKE_FOREVER : yoke_now() + chance(s, 40) * YOKE_US;
}

static int flaky(void *arg)
{
    worker *w = arg;
    squad *s = w->of;
    for (int i = 0; i < FLAKY_ROUNDS; i++) {
        yoke_scope scope;
        if (chance(s, 8) == 0)
            yoke_yield();
        yoke_scope_begin_timed(&scope, chance(s, 4) ? 200 * YOKE_US : chance(s, 30) * YOKE_US);
        s->scope[w->who] = &scope;
        if (chance(s, 20) == 0)
            yoke_scope_cancel(&scope);
        int got = now->turn(s, w->who, some_deadline(s));
        bool cancelled = yoke_scope_cancelled(&scope);
        s->scope[w->who] = NULL;
        int told = yoke_scope_end(&scope);
        CHECK(got >= 0 || got == -ETIMEDOUT || (got == -ECANCELED && cancelled && told < 0));
        if (got >= 0)
            atomic_fetch_add(&done, 1);
    }
    atomic_fetch_sub(&flaky_left, 1);
    return 0;
}

static void start(squad *s, yoke_group *g, worker *w)
{
    for (int i = 0; i < s->count; i++) {
        w[i] = (worker){s, i};
        CHECK_INT(yoke_go(g, i < s->count / 2 ? steady : flaky, &w[i]), 0);
    }
}

static void expect(int squads, int count)
{
    atomic_store(&steady_left, squads * (count / 2));
    atomic_store(&flaky_left, squads * (count - count / 2));
    atomic_store(&done, 0);
    if (now->begin)
        now->begin();
}

static void feed_until_done(void)
{
    while (atomic_load(&steady_left) > 0) {
        if (atomic_load(&flaky_left) == 0 && now->feed)
            now->feed();
        yoke_sleep(20 * YOKE_US);
    }
}

static int one_squad(void *arg)
{
    squad *s = arg;
    worker w[MOST];
    yoke_group g;
    yoke_group_begin(&g);
    start(s, &g, w);
    feed_until_done();
    return yoke_group_end(&g);
}

static squad squad_of(int count, uint64_t seed)
{
    return (squad){.count = count, .random = test_random() + seed};
}

/* ---- One loop ---- */

static void on_one_loop(const kind *k)
{
    now = k;
    for (int i = 0; i < 3; i++) {
        squad s = squad_of(4 + 4 * i, 0);
        expect(1, s.count);
        CHECK_INT(yoke_async_run(one_squad, &s), 0);
        now->end();
    }
}

/* ---- Two loops ---- */

YOKE_TASK(int, squad_task, (long, seed), (int, count))
{
    squad s = squad_of(count, (uint64_t)seed);
    return one_squad(&s);
}

static void on_two_loops(const kind *k)
{
    yoke_executor *ex = yoke_open("async:2");
    now = k;
    expect(2, 8);
    yoke_future *f[2];
    for (int i = 0; i < 2; i++)
        f[i] = yoke_submit(ex, squad_task, i, 8);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(yoke_await(f[i], int), 0);
        yoke_release(f[i]);
    }
    now->end();
    CHECK_INT(yoke_close(ex), 0);
}

/* ---- Beside threads ---- */

static void *steady_thread(void *arg)
{
    worker *w = arg;
    squad alone = {.random = test_random() + (uint64_t)w->who};
    steady_rounds(&alone, w->who);
    return NULL;
}

/* Threads are not told to stop, but have time limits. */
static void *flaky_thread(void *arg)
{
    worker *w = arg;
    squad alone = {.random = test_random() + (uint64_t)w->who};
    for (int i = 0; i < FLAKY_ROUNDS; i++) {
        int got = now->turn(&alone, w->who, yoke_now() + chance(&alone, 100) * YOKE_US);
        CHECK(got >= 0 || got == -ETIMEDOUT);
        if (got >= 0)
            atomic_fetch_add(&done, 1);
    }
    atomic_fetch_sub(&flaky_left, 1);
    return NULL;
}

static void beside_threads(const kind *k)
{
    pthread_t t[4];
    worker w[4];
    squad s = squad_of(8, 0);
    now = k;
    int steady_threads = 2, flaky_threads = k->untimed ? 0 : 2;
    expect(1, s.count);
    atomic_fetch_add(&steady_left, steady_threads);
    atomic_fetch_add(&flaky_left, flaky_threads);
    for (int i = 0; i < steady_threads + flaky_threads; i++) {
        w[i] = (worker){NULL, i};
        CHECK_INT(pthread_create(&t[i], NULL, i < steady_threads ? steady_thread : flaky_thread, &w[i]), 0);
    }
    CHECK_INT(yoke_async_run(one_squad, &s), 0);
    for (int i = 0; i < steady_threads + flaky_threads; i++)
        pthread_join(t[i], NULL);
    now->end();
}

#define EACH(name, number)                                                                                             \
    TEST(one_loop_##name) { on_one_loop(&kinds[number]); }                                                             \
    TEST(two_loops_##name) { on_two_loops(&kinds[number]); }                                                           \
    TEST(threads_##name) { beside_threads(&kinds[number]); }
EACH(lock, 0)
EACH(rlock, 1)
EACH(rwlock, 2)
EACH(semaphore, 3)
EACH(fifo, 4)
EACH(lifo, 5)
EACH(priority, 6)
EACH(channel, 7)
EACH(rendezvous, 8)
EACH(condition, 9)
EACH(barrier, 10)
EACH(acting_barrier, 11)
