/* condition.c - the rules of Python's threading.Condition, one test each, with a lock and with an rlock; the
 * same between processes; and queues of waiters under load. */
#include "crew.h"
#include "sync/lock.h"

#define RETURN(v) return (void *)(intptr_t)(v)

/* What the tests' threads share; in shared memory when the test is about that. */
typedef struct room {
    yoke_lock lock;
    yoke_rlock rlock;
    yoke_condition condition;
    int64_t deadline;
    _Atomic int waiting, woken;
    int order[64], turn; /* under the lock: in which order waiters went on */
    int items;
} room;

static room plain;

static room *shared_room(void)
{
    room *r = crew_shared(sizeof *r);
    CHECK_INT(yoke_lock_init(&r->lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_rlock_init(&r->rlock, YOKE_SHARED), 0);
    CHECK_INT(yoke_condition_init(&r->condition, YOKE_SHARED), 0);
    return r;
}

static void enter(room *r)
{
    CHECK_INT(yoke_lock_acquire(&r->lock), 0);
}

static void leave(room *r)
{
    CHECK_INT(yoke_lock_release(&r->lock), 0);
}

/* Waits once; what the wait returned. */
static void *waiter(void *arg)
{
    room *r = arg;
    enter(r);
    int me = r->waiting++;
    int result = yoke_condition_until(&r->condition, &r->lock, r->deadline ? r->deadline : YOKE_FOREVER);
    CHECK(yoke_lock_held(&r->lock));
    r->order[r->turn++] = me;
    r->woken++;
    leave(r);
    RETURN(result);
}

/* Until n wait: they have given up the lock, for we get it. */
static void until_waiting(room *r, int n)
{
    AWAIT(r->waiting == n);
    enter(r);
    leave(r);
}

static int notify(room *r, int n)
{
    enter(r);
    int woken = yoke_condition_notify(&r->condition, &r->lock, n);
    leave(r);
    return woken;
}

TEST(without_the_lock_nothing)
{
    room *rooms[] = {&plain, shared_room()};
    for (int i = 0; i < 2; i++) {
        room *r = rooms[i];
        CHECK_INT(yoke_condition_wait(&r->condition, &r->lock), -EPERM);
        CHECK_INT(yoke_condition_timed(&r->condition, &r->lock, 0), -EPERM);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->lock, 1), -EPERM);
        CHECK_INT(yoke_condition_notify_all(&r->condition, &r->rlock), -EPERM);
        CHECK_INT(yoke_condition_wait_for(&r->condition, &r->lock, NULL, NULL), -EPERM);
        enter(r);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->lock, 1), 0);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->lock, 0), 0);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->lock, -1), -EINVAL);
        CHECK_INT(yoke_condition_notify_all(&r->condition, &r->lock), 0);
        CHECK_INT(yoke_condition_wait(&r->condition, &rooms[!i]->lock), -EINVAL); /* one shared and one not */
        CHECK_INT(yoke_condition_done(&r->condition), 0);
        CHECK_INT(yoke_condition_wait(&r->condition, &r->lock), -EINVAL);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->lock, 1), -EINVAL);
        leave(r);
    }
    CHECK_INT(yoke_condition_init(&plain.condition, 4), -EINVAL);
}

TEST(a_wait_that_nobody_ends)
{
    room *rooms[] = {&plain, shared_room()};
    for (int i = 0; i < 2; i++) {
        room *r = rooms[i];
        enter(r);
        int64_t begin = yoke_now();
        CHECK_INT(yoke_condition_timed(&r->condition, &r->lock, 3 * YOKE_MS), 0);
        CHECK(yoke_now() - begin >= 3 * YOKE_MS);
        CHECK_INT(yoke_condition_timed(&r->condition, &r->lock, 0), 0);
        CHECK_INT(yoke_condition_timed(&r->condition, &r->lock, -5), 0); /* negative acts as 0 */
        CHECK_INT(yoke_condition_until(&r->condition, &r->lock, 0), 0);
        CHECK_INT(yoke_condition_notify_all(&r->condition, &r->lock), 0); /* none of them is still there */
        CHECK(yoke_lock_held(&r->lock));
        leave(r);
        CHECK_INT(yoke_condition_done(&r->condition), 0);
    }
}

static void wake_in_order(room *r)
{
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        t[i] = crew_start(waiter, r);
        until_waiting(r, i + 1);
    }
    CHECK_INT(yoke_condition_done(&r->condition), -EBUSY);
    CHECK_INT(notify(r, 1), 1);
    AWAIT(r->woken == 1);
    CHECK_INT(notify(r, 2), 2);
    AWAIT(r->woken == 3);
    CHECK_INT(notify(r, INT32_MAX), 3);
    for (int i = 0; i < 6; i++)
        CHECK_INT(crew_join(t[i]), 1);
    CHECK_INT(r->order[0], 0); /* first in, first out */
    CHECK_INT(r->order[1] + r->order[2], 1 + 2);
    CHECK_INT(r->order[3] + r->order[4] + r->order[5], 3 + 4 + 5);
    CHECK_INT(notify(r, 1), 0);
}

TEST(notify_wakes_n_in_order)
{
    wake_in_order(&plain);
}

TEST(notify_wakes_n_in_order_shared)
{
    wake_in_order(shared_room());
}

/* No waking for nothing: neither by signals nor by time passing do waiters go on. */
static void ignore(int number)
{
}

static void stay_asleep(room *r)
{
    struct sigaction handler = {.sa_handler = ignore};
    sigaction(SIGUSR1, &handler, NULL);
    pthread_t t = crew_start(waiter, r);
    until_waiting(r, 1);
    for (int i = 0; i < 20; i++) {
        pthread_kill(t, SIGUSR1);
        crew_nap();
    }
    CHECK_INT(r->woken, 0);
    CHECK_INT(notify(r, 5), 1);
    CHECK_INT(crew_join(t), 1);
}

TEST(signals_wake_nobody)
{
    stay_asleep(&plain);
    stay_asleep(shared_room());
}

static void *recursive_waiter(void *arg)
{
    room *r = arg;
    for (int i = 0; i < 3; i++)
        CHECK_INT(yoke_rlock_acquire(&r->rlock), 0);
    r->waiting++;
    CHECK_INT(yoke_condition_wait(&r->condition, &r->rlock), 1);
    for (int i = 0; i < 3; i++) {
        CHECK(yoke_rlock_mine(&r->rlock));
        CHECK_INT(yoke_rlock_release(&r->rlock), 0);
    }
    CHECK_INT(yoke_rlock_release(&r->rlock), -EPERM);
    return NULL;
}

TEST(a_wait_gives_up_every_level_of_an_rlock)
{
    room *rooms[] = {&plain, shared_room()};
    for (int i = 0; i < 2; i++) {
        room *r = rooms[i];
        pthread_t t = crew_start(recursive_waiter, r);
        AWAIT(r->waiting == 1);
        CHECK_INT(yoke_rlock_acquire(&r->rlock), 0);
        CHECK_INT(yoke_rlock_acquire(&r->rlock), 0);
        CHECK_INT(yoke_condition_notify(&r->condition, &r->rlock, 1), 1);
        CHECK_INT(yoke_rlock_release(&r->rlock), 0);
        CHECK_INT(yoke_rlock_release(&r->rlock), 0);
        crew_join(t);
    }
}

/* Notified under the lock after the time was over, but before the waiter has the lock: notified, or still
 * not; never both lost. */
TEST(a_notification_at_the_last_moment_counts)
{
    room *rooms[] = {&plain, shared_room()};
    for (int i = 0; i < 2; i++) {
        room *r = rooms[i];
        r->deadline = yoke_now() + 2 * YOKE_MS;
        pthread_t t = crew_start(waiter, r);
        until_waiting(r, 1);
        enter(r);
        while (yoke_now() < r->deadline + 3 * YOKE_MS)
            crew_nap(); /* the waiter's time is over, and it waits for the lock */
        int woken = r->woken ? 0 : yoke_condition_notify(&r->condition, &r->lock, 1);
        leave(r);
        CHECK_INT(crew_join(t), woken);
        CHECK_INT(notify(r, 1), 0);
    }
}

static bool has_items(void *arg)
{
    return ((room *)arg)->items > 0;
}

static void *consumer(void *arg)
{
    room *r = arg;
    enter(r);
    r->waiting++;
    int result = yoke_condition_wait_for(&r->condition, &r->lock, has_items, r);
    r->items -= result == 1;
    leave(r);
    RETURN(result);
}

TEST(wait_for_a_predicate)
{
    room *r = &plain;
    enter(r);
    CHECK_INT(yoke_condition_wait_for_until(&r->condition, &r->lock, has_items, r, 0), 0);
    CHECK_INT(yoke_condition_wait_for_timed(&r->condition, &r->lock, has_items, r, 0), 0);
    CHECK_INT(yoke_condition_wait_for_timed(&r->condition, &r->lock, has_items, r, INT64_MIN), 0);
    r->items = 1;
    CHECK_INT(yoke_condition_wait_for_timed(&r->condition, &r->lock, has_items, r, YOKE_FOREVER), 1);
    CHECK_INT(yoke_condition_wait_for(&r->condition, &r->lock, has_items, r), 1);
    r->items = 0;
    leave(r);
    pthread_t t = crew_start(consumer, r);
    until_waiting(r, 1);
    CHECK_INT(notify(r, 1), 1); /* for nothing: it waits again */
    enter(r);
    AWAIT(r->items == 0);
    r->items = 1;
    yoke_condition_notify_all(&r->condition, &r->lock);
    leave(r);
    for (bool taken = false; !taken; crew_nap()) { /* it may have gone back to wait only after the second notify */
        enter(r);
        taken = r->items == 0;
        yoke_condition_notify_all(&r->condition, &r->lock);
        leave(r);
    }
    CHECK_INT(crew_join(t), 1);
}

TEST(a_shared_condition_has_room_for_so_many)
{
    room *r = shared_room();
    pthread_t t[YOKE_SHARED_WAITERS];
    for (int i = 0; i < YOKE_SHARED_WAITERS; i++)
        t[i] = crew_start(waiter, r);
    until_waiting(r, YOKE_SHARED_WAITERS);
    enter(r);
    CHECK_INT(yoke_condition_wait(&r->condition, &r->lock), -ENOSPC);
    CHECK(yoke_lock_held(&r->lock));
    CHECK_INT(yoke_condition_notify_all(&r->condition, &r->lock), YOKE_SHARED_WAITERS);
    leave(r);
    for (int i = 0; i < YOKE_SHARED_WAITERS; i++)
        CHECK_INT(crew_join(t[i]), 1);
}

/* A queue of one place, many producers and consumers with impatient ones among them. Every item arrives once. */
enum { PEOPLE = 8, ITEMS = 3000 / CREW_SLOWER };
static yoke_condition not_empty, not_full;
static long sum;

static void *produce(void *arg)
{
    room *r = arg;
    for (int i = 1; i <= ITEMS; i++) {
        enter(r);
        while (r->items)
            if (i % 5 == 0)
                yoke_condition_timed(&not_full, &r->lock, i % 50 * YOKE_US);
            else
                CHECK_INT(yoke_condition_wait(&not_full, &r->lock), 1);
        r->items = i;
        yoke_condition_notify(&not_empty, &r->lock, 1);
        leave(r);
    }
    return NULL;
}

static void *consume(void *arg)
{
    room *r = arg;
    for (int i = 0; i < ITEMS; i++) {
        enter(r);
        while (!r->items)
            if (i % 7 == 0)
                yoke_condition_timed(&not_empty, &r->lock, i % 50 * YOKE_US);
            else
                CHECK_INT(yoke_condition_wait(&not_empty, &r->lock), 1);
        sum += r->items;
        r->items = 0;
        yoke_condition_notify(&not_full, &r->lock, 1);
        leave(r);
    }
    return NULL;
}

static void *both(void *arg)
{
    static _Atomic int number;
    return number++ % 2 ? produce(arg) : consume(arg);
}

TEST_LIMIT(a_queue_loses_nothing, 100)
{
    crew_run(2 * PEOPLE, both, &plain);
    CHECK_INT(sum, (long)PEOPLE * ITEMS * (ITEMS + 1) / 2);
}

TEST_LIMIT(a_queue_loses_nothing_shared, 100)
{
    CHECK_INT(yoke_condition_init(&not_empty, YOKE_SHARED), 0);
    CHECK_INT(yoke_condition_init(&not_full, YOKE_SHARED), 0);
    crew_run(2 * PEOPLE, both, shared_room());
    CHECK_INT(sum, (long)PEOPLE * ITEMS * (ITEMS + 1) / 2);
}

static yoke_lock ended_lock = YOKE_LOCK_INIT;
static yoke_condition ended_condition = YOKE_CONDITION_INIT;
static _Atomic int ended_waits;

static void *waits_for_what_ends(void *arg)
{
    CHECK_INT(yoke_lock_acquire(&ended_lock), 0);
    ended_waits = 1;
    CHECK_INT(yoke_condition_wait(&ended_condition, &ended_lock), -EINVAL); /* notified, but there is no lock any more */
    return NULL;
}

/* A wait that cannot have its lock again says so, and not that it holds it. */
TEST(a_lock_that_ends_during_the_wait)
{
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, waits_for_what_ends, NULL), 0);
    while (!ended_waits)
        sched_yield();
    CHECK_INT(yoke_lock_acquire(&ended_lock), 0); /* it waits now */
    CHECK_INT(yoke_condition_notify(&ended_condition, &ended_lock, 0), 0);
    CHECK_INT(yoke_lock_release(&ended_lock), 0);
    CHECK_INT(yoke_lock_done(&ended_lock), 0);
    /* Woken without the lock, which nobody has: as a signal would wake it. */
    __atomic_store_n((uint32_t *)((char *)ended_condition.u.list.first + sizeof(void *)), 1, __ATOMIC_SEQ_CST);
    yk_wake((_Atomic uint32_t *)(void *)((char *)ended_condition.u.list.first + sizeof(void *)), 1, false);
    CHECK_INT(pthread_join(t, NULL), 0);
}
