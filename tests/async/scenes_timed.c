/* scenes_timed.c - scenes of waits with a time limit, for what is private and for what lies in memory that processes share; see
 * scenes.h. */
#include "scenes.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <yoke/sync.h>

/* How long something is held, or takes to come: above the time limits that pass, and below those that do not. What is shared is
 * looked at again and again while it is waited for, so that it comes sooner. */
typedef struct times {
    int64_t takes, too_short, enough;
} times;
static const times here = {YOKE_S, YOKE_MS, 3600 * YOKE_S}, across = {4 * YOKE_MS, YOKE_MS, 200 * YOKE_MS};

/* ---- What is held ---- */

typedef struct held {
    int (*take)(void *l);
    int (*timed)(void *l, int64_t ns);
    int (*until)(void *l, int64_t deadline);
    int (*give)(void *l);
    void *l;
    times t;
    int inside;
} held;

#define HELD(name, type, TAKE, TIMED, UNTIL, GIVE)                                                                     \
    static int name##_take(void *l) { return TAKE((type *)l); }                                                        \
    static int name##_timed(void *l, int64_t ns) { return TIMED((type *)l, ns); }                                      \
    static int name##_until(void *l, int64_t deadline) { return UNTIL((type *)l, deadline); }                          \
    static int name##_give(void *l) { return GIVE((type *)l); }                                                        \
    static held name(type *l, times t)                                                                                 \
    {                                                                                                                  \
        return (held){name##_take, name##_timed, name##_until, name##_give, l, t, 0};                                  \
    }
static int one_more(yoke_semaphore *s) { return yoke_semaphore_release(s, 1); }
HELD(a_lock, yoke_lock, yoke_lock_acquire, yoke_lock_timed, yoke_lock_until, yoke_lock_release)
HELD(an_rlock, yoke_rlock, yoke_rlock_acquire, yoke_rlock_timed, yoke_rlock_until, yoke_rlock_release)
HELD(a_writer, yoke_rwlock, yoke_rwlock_write, yoke_rwlock_write_timed, yoke_rwlock_write_until, yoke_rwlock_write_release)
HELD(a_reader, yoke_rwlock, yoke_rwlock_write, yoke_rwlock_read_timed, yoke_rwlock_read_until, yoke_rwlock_read_release)
HELD(a_permit, yoke_semaphore, yoke_semaphore_acquire, yoke_semaphore_timed, yoke_semaphore_until, one_more)

static int holds(void *arg)
{
    held *h = arg;
    TRY(h->take(h->l));
    CHECK_INT(h->inside++, 0);
    int err = yoke_sleep(h->t.takes);
    h->inside--;
    CHECK_INT(h->give == a_reader_give ? yoke_rwlock_write_release(h->l) : h->give(h->l), 0);
    return err;
}

/* It had it if err is 0, and gives it back. */
static int had(held *h, int err)
{
    if (err == 0) {
        CHECK_INT(h->inside, 0);
        CHECK_INT(h->give(h->l), 0);
    }
    return err;
}

static int takes_it(void *arg)
{
    held *h = arg;
    TRY(had(h, h->timed(h->l, h->t.enough)));
    return had(h, h->until(h->l, yoke_now() + h->t.enough));
}

static int takes_it_by_then(void *arg)
{
    held *h = arg;
    return had(h, h->until(h->l, yoke_now() + h->t.enough));
}

/* Only when who held it was told to stop there is something to be had. */
static int is_too_late(void *arg)
{
    held *h = arg;
    int err = had(h, h->timed(h->l, h->t.too_short));
    if (err != -ETIMEDOUT)
        TRY(err);
    err = had(h, h->until(h->l, yoke_now() + h->t.too_short));
    return err == -ETIMEDOUT ? 0 : err;
}

static int in_time(held h)
{
    return RUN_ALL(&h, holds, takes_it, is_too_late, takes_it_by_then);
}

SCENE(locks_in_time)
{
    yoke_lock l = {0};
    int err = in_time(a_lock(&l, here));
    CHECK_INT(yoke_lock_done(&l), 0);
    return err;
}

SCENE(rlocks_in_time)
{
    yoke_rlock l = {0};
    int err = in_time(an_rlock(&l, here));
    CHECK_INT(yoke_rlock_done(&l), 0);
    return err;
}

SCENE(writers_in_time)
{
    yoke_rwlock l = {0};
    int err = in_time(a_writer(&l, here));
    CHECK_INT(yoke_rwlock_done(&l), 0);
    return err;
}

SCENE(readers_in_time)
{
    yoke_rwlock l = {0};
    int err = in_time(a_reader(&l, here));
    CHECK_INT(yoke_rwlock_done(&l), 0);
    return err;
}

SCENE(permits_in_time)
{
    yoke_semaphore s = YOKE_SEMAPHORE_INIT(1);
    int err = in_time(a_permit(&s, here));
    CHECK_INT(yoke_semaphore_permits(&s), 1);
    return err;
}

/* ---- What comes ---- */

typedef struct awaited {
    yoke_event event;
    yoke_latch latch;
    yoke_lock lock;
    yoke_condition condition;
    yoke_barrier barrier;
    yoke_once once;
    times t;
    bool is_there;
} awaited;

static void begin_waits(awaited *a, times t, unsigned flags)
{
    *a = (awaited){.t = t};
    CHECK_INT(yoke_event_init(&a->event, flags), 0);
    CHECK_INT(yoke_latch_init(&a->latch, 2, flags), 0);
    CHECK_INT(yoke_lock_init(&a->lock, flags), 0);
    CHECK_INT(yoke_condition_init(&a->condition, flags), 0);
    CHECK_INT(yoke_barrier_init(&a->barrier, 2, NULL, NULL, flags), 0);
    CHECK_INT(yoke_once_init(&a->once, flags), 0);
}

static int waits_for_event(void *arg)
{
    awaited *a = arg;
    int came = yoke_event_timed(&a->event, a->t.too_short);
    TRY(came);
    came = yoke_event_until(&a->event, yoke_now() + a->t.too_short / 2);
    TRY(came);
    came = yoke_event_timed(&a->event, a->t.enough);
    CHECK(came == 1 || came == -ECANCELED);
    TRY(came);
    return yoke_event_wait(&a->event) < 0 ? -EINVAL : 0; /* it is set: no wait */
}

static int waits_until_event(void *arg)
{
    awaited *a = arg;
    int came = yoke_event_until(&a->event, yoke_now() + a->t.enough);
    CHECK(came == 1 || came == -ECANCELED);
    return came;
}

static int waits_long_for_event(void *arg)
{
    return yoke_event_wait(&((awaited *)arg)->event);
}

static int sets_event(void *arg)
{
    awaited *a = arg;
    TRY(yoke_sleep(a->t.takes));
    return yoke_event_set(&a->event);
}

static int late_is_well(int err)
{
    return err == -ETIMEDOUT ? 0 : err;
}

static int waits_for_latch(void *arg)
{
    awaited *a = arg;
    TRY(late_is_well(yoke_latch_timed(&a->latch, a->t.too_short)));
    TRY(late_is_well(yoke_latch_until(&a->latch, yoke_now() + a->t.too_short / 2)));
    return yoke_latch_timed(&a->latch, a->t.enough);
}

static int waits_until_latch(void *arg)
{
    awaited *a = arg;
    return yoke_latch_until(&a->latch, yoke_now() + a->t.enough);
}

static int waits_long_for_latch(void *arg)
{
    return yoke_latch_wait(&((awaited *)arg)->latch);
}

static int counts_down(void *arg)
{
    awaited *a = arg;
    for (int i = 0; i < 2; i++) {
        TRY(yoke_sleep(a->t.takes / 2));
        yoke_latch_down(&a->latch, 1);
    }
    return 0;
}

static bool is_there(void *arg)
{
    return ((awaited *)arg)->is_there;
}

/* Each of the forms waits for the next notification, with the lock in hand. */
static int waits_in_turn(awaited *a)
{
    yoke_condition *c = &a->condition;
    yoke_lock *l = &a->lock;
    TRY(yoke_condition_wait(c, l));
    TRY(yoke_condition_timed(c, l, a->t.too_short));
    TRY(yoke_condition_timed(c, l, a->t.enough));
    TRY(yoke_condition_until(c, l, yoke_now() + a->t.too_short));
    return yoke_condition_until(c, l, yoke_now() + a->t.enough);
}

static int waits_for_condition(void *arg)
{
    awaited *a = arg;
    TRY(yoke_lock_until(&a->lock, YOKE_FOREVER));
    int err = waits_in_turn(a);
    CHECK_INT(yoke_lock_release(&a->lock), 0);
    return err;
}

static int waits_for_that(void *arg)
{
    awaited *a = arg;
    TRY(yoke_lock_until(&a->lock, YOKE_FOREVER));
    int err = yoke_condition_wait_for_timed(&a->condition, &a->lock, is_there, a, a->t.too_short);
    if (err >= 0)
        err = yoke_condition_wait_for_until(&a->condition, &a->lock, is_there, a, yoke_now() + a->t.enough);
    if (err >= 0)
        err = yoke_condition_wait_for(&a->condition, &a->lock, is_there, a);
    CHECK(err < 0 || a->is_there);
    CHECK_INT(yoke_lock_release(&a->lock), 0);
    return err;
}

static int waits_long_for_that(void *arg)
{
    awaited *a = arg;
    TRY(yoke_lock_until(&a->lock, YOKE_FOREVER));
    int err = yoke_condition_wait_for(&a->condition, &a->lock, is_there, a);
    CHECK_INT(yoke_lock_release(&a->lock), 0);
    return err;
}

static int notifies(void *arg)
{
    awaited *a = arg;
    for (int i = 0; i < 3; i++) {
        TRY(yoke_sleep(a->t.takes));
        TRY(yoke_lock_until(&a->lock, YOKE_FOREVER));
        a->is_there = i == 2;
        yoke_condition_notify_all(&a->condition, &a->lock);
        CHECK_INT(yoke_lock_release(&a->lock), 0);
    }
    return 0;
}

static int meets(void *arg)
{
    awaited *a = arg;
    TRY(yoke_barrier_wait(&a->barrier));
    TRY(yoke_barrier_timed(&a->barrier, a->t.enough));
    TRY(yoke_barrier_until(&a->barrier, yoke_now() + a->t.enough));
    return yoke_barrier_wait_with(&a->barrier, NULL, NULL, YOKE_FOREVER);
}

static int meets_slowly(void *arg)
{
    awaited *a = arg;
    for (int i = 0; i < 4; i++) {
        TRY(yoke_sleep(a->t.takes));
        int at = yoke_barrier_wait(&a->barrier);
        TRY(at);
    }
    return 0;
}

static int begins_slowly(void *arg)
{
    return yoke_sleep(((awaited *)arg)->t.takes);
}

static int runs_once(void *arg)
{
    awaited *a = arg;
    return yoke_once_run(&a->once, begins_slowly, a);
}

static int runs_once_in_time(void *arg)
{
    awaited *a = arg;
    TRY(late_is_well(yoke_once_timed(&a->once, begins_slowly, a, a->t.too_short)));
    TRY(late_is_well(yoke_once_until(&a->once, begins_slowly, a, yoke_now() + a->t.too_short)));
    return yoke_once_until(&a->once, begins_slowly, a, yoke_now() + a->t.enough);
}

static int comes(times t, unsigned flags, int (*fn)(awaited *a))
{
    static awaited *a; /* in pages of its own, as what is shared must be */
    if (!a)
        a = mmap(NULL, sizeof *a, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(a != MAP_FAILED);
    begin_waits(a, t, flags);
    return fn(a);
}

static int events(awaited *a)
{
    return RUN_ALL(a, waits_for_event, waits_until_event, sets_event, waits_long_for_event);
}

static int latches(awaited *a)
{
    return RUN_ALL(a, waits_for_latch, waits_until_latch, counts_down, waits_long_for_latch);
}

static int conditions(awaited *a)
{
    return RUN_ALL(a, waits_for_condition, waits_for_that, notifies, waits_long_for_that);
}

static int barriers(awaited *a)
{
    return RUN_ALL(a, meets, meets_slowly);
}

static int once(awaited *a)
{
    return RUN_ALL(a, runs_once, runs_once_in_time, runs_once_in_time);
}

SCENE(events_in_time)
{
    return comes(here, 0, events);
}

SCENE(latches_in_time)
{
    return comes(here, 0, latches);
}

SCENE(conditions_in_time)
{
    return comes(here, 0, conditions);
}

SCENE(barriers_in_time)
{
    return comes(here, 0, barriers);
}

SCENE(once_in_time)
{
    return comes(here, 0, once);
}

/* ---- The same in shared memory, where a thread sleeps in the coroutine's place: when it wakes is the kernel's to say ---- */

typedef struct shared_locks {
    yoke_lock lock;
    yoke_rlock rlock;
    yoke_rwlock rwlock;
    yoke_semaphore permits, there, back;
} shared_locks;

static shared_locks *shared(void)
{
    static shared_locks *s;
    if (!s)
        s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_INT(yoke_lock_init(&s->lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_rlock_init(&s->rlock, YOKE_SHARED), 0);
    CHECK_INT(yoke_rwlock_init(&s->rwlock, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&s->permits, 1, YOKE_SHARED), 0);
    return s;
}

SCENE_OF_THREADS(shared_lock)
{
    return in_time(a_lock(&shared()->lock, across));
}

SCENE_OF_THREADS(shared_rlock)
{
    return in_time(an_rlock(&shared()->rlock, across));
}

SCENE_OF_THREADS(shared_writers)
{
    return in_time(a_writer(&shared()->rwlock, across));
}

SCENE_OF_THREADS(shared_readers)
{
    return in_time(a_reader(&shared()->rwlock, across));
}

SCENE_OF_THREADS(shared_permits)
{
    return in_time(a_permit(&shared()->permits, across));
}

SCENE_OF_THREADS(shared_event)
{
    return comes(across, YOKE_SHARED, events);
}

SCENE_OF_THREADS(shared_latch)
{
    return comes(across, YOKE_SHARED, latches);
}

/* Fewer, as each takes many looks. */
static int shared_conditions(awaited *a)
{
    return RUN_ALL(a, waits_for_that, notifies);
}

SCENE_OF_THREADS(shared_condition)
{
    return comes(across, YOKE_SHARED, shared_conditions);
}

SCENE_OF_THREADS(shared_barrier)
{
    return comes(across, YOKE_SHARED, barriers);
}

SCENE_OF_THREADS(shared_once)
{
    return comes(across, YOKE_SHARED, once);
}

/* ---- Another process, which gives back what it has got, late enough for a thread to sleep until then ---- */

static void *echo(void *arg)
{
    shared_locks *s = arg;
    while (yoke_semaphore_acquire(&s->there) == 0) {
        usleep(10 * 1000);
        yoke_semaphore_release(&s->back, 1);
    }
    _exit(1);
}

/* In a thread, for whom time is real: the coroutine that forked goes on in a copy of the loop, with the test's clock. */
static void be_another_process(shared_locks *s)
{
    pthread_t t;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pthread_create(&t, NULL, echo, s) == 0)
        pthread_join(t, NULL);
    _exit(1);
}

static shared_locks *other_process(void)
{
    static shared_locks *s;
    if (s)
        return s;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    CHECK_INT(yoke_semaphore_init(&s->there, 0, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&s->back, 0, YOKE_SHARED), 0);
    fflush(stdout);
    if (fork() == 0)
        be_another_process(s);
    return s;
}

SCENE_OF_THREADS(another_process)
{
    shared_locks *s = other_process();
    CHECK_INT(yoke_semaphore_release(&s->there, 1), 0);
    int err = yoke_semaphore_acquire(&s->back);
    while (err < 0 && yoke_semaphore_try(&s->back) != 0) /* it comes in any case */
        usleep(100);
    return err;
}
