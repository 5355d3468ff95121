/* scenes_sync.c - scenes of time, scopes, groups and locks; see scenes.h. */
#include "scenes.h"
#include <yoke/sync.h>

/* ---- Time, scopes, groups ---- */

SCENE(time)
{
    TRY(yoke_sleep(YOKE_S));
    TRY(yoke_sleep_until(yoke_now() + YOKE_S));
    TRY(yoke_sleep(0));
    TRY(yoke_yield());
    TRY(yoke_checkpoint());
    return 0;
}

SCENE(scopes)
{
    int late = 1, cleaned = 1;
    YOKE_TIMEOUT(YOKE_S, &late)
    {
        yoke_sleep(2 * YOKE_S);
        YOKE_SHIELD(YOKE_S) cleaned = yoke_sleep(YOKE_MS);
    }
    CHECK(late == -ETIMEDOUT || late == -ECANCELED || late == 0);
    CHECK(cleaned == 0 || cleaned == -ECANCELED); /* the shield itself may be what was cancelled */
    return yoke_checkpoint();
}

static int sleeps(void *arg)
{
    return yoke_sleep(YOKE_S);
}

static int nests(void *arg)
{
    int err = RUN_ALL(arg, sleeps, sleeps);
    return err < 0 ? err : yoke_yield();
}

static int starts_up(void *arg)
{
    TRY(yoke_sleep(YOKE_S));
    yoke_started(arg);
    return yoke_sleep(YOKE_S);
}

SCENE(groups)
{
    void *value = NULL;
    int x;
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, nests, NULL);
    yoke_go_with(&g, &(yoke_go_opts){.eager = true}, sleeps, NULL);
    int err = yoke_start(&g, starts_up, &x, &value);
    CHECK(err == 0 ? value == &x : err == -ECANCELED || err == -EPROTO);
    yoke_yield();
    return yoke_group_end(&g);
}

/* ---- Locks ---- */

typedef struct shared {
    yoke_lock lock;
    yoke_rlock rlock;
    yoke_rwlock rwlock;
    yoke_semaphore semaphore;
    yoke_condition condition;
    yoke_event event;
    yoke_latch latch;
    yoke_barrier barrier;
    yoke_once once;
    int inside, ready;
} shared;

static int uses_lock(void *arg)
{
    shared *s = arg;
    for (int i = 0; i < 2; i++) {
        TRY(yoke_lock_acquire(&s->lock));
        CHECK_INT(s->inside++, 0);
        int err = yoke_sleep(YOKE_S);
        s->inside--;
        CHECK_INT(yoke_lock_release(&s->lock), 0);
        TRY(err);
    }
    return 0;
}

SCENE(locks)
{
    shared s = {0};
    int err = RUN_ALL(&s, uses_lock, uses_lock, uses_lock);
    CHECK_INT(yoke_lock_try(&s.lock), 0);
    CHECK_INT(yoke_lock_release(&s.lock), 0);
    CHECK_INT(yoke_lock_done(&s.lock), 0);
    return err;
}

static int uses_rlock(void *arg)
{
    shared *s = arg;
    TRY(yoke_rlock_acquire(&s->rlock));
    int err = yoke_rlock_acquire(&s->rlock);
    CHECK(err == 0 || err == -ECANCELED);
    if (err == 0) {
        err = yoke_sleep(YOKE_S);
        CHECK_INT(yoke_rlock_release(&s->rlock), 0);
    }
    CHECK_INT(yoke_rlock_release(&s->rlock), 0);
    return err;
}

SCENE(rlocks)
{
    shared s = {0};
    int err = RUN_ALL(&s, uses_rlock, uses_rlock);
    CHECK_INT(yoke_rlock_done(&s.rlock), 0);
    return err;
}

static int reads(void *arg)
{
    shared *s = arg;
    TRY(yoke_rwlock_read(&s->rwlock));
    CHECK(s->inside >= 0);
    int err = yoke_sleep(YOKE_S);
    CHECK_INT(yoke_rwlock_read_release(&s->rwlock), 0);
    return err;
}

static int writes(void *arg)
{
    shared *s = arg;
    TRY(yoke_rwlock_write(&s->rwlock));
    CHECK_INT(s->inside--, 0);
    int err = yoke_sleep(YOKE_S);
    s->inside++;
    CHECK_INT(yoke_rwlock_write_release(&s->rwlock), 0);
    return err;
}

SCENE(rwlocks)
{
    shared s = {0};
    int err = RUN_ALL(&s, reads, writes, reads, writes);
    CHECK_INT(yoke_rwlock_write_try(&s.rwlock), 0);
    CHECK_INT(yoke_rwlock_write_release(&s.rwlock), 0);
    CHECK_INT(yoke_rwlock_done(&s.rwlock), 0);
    return err;
}

/* Such a block is entered in any case. */
static int uses_blocks(void *arg)
{
    shared *s = arg;
    int err = 0;
    yoke_with(&s->lock) {
        CHECK_INT(s->inside++, 0);
        err = yoke_sleep(YOKE_S);
        s->inside--;
    }
    yoke_with_write(&s->rwlock) {
        CHECK_INT(s->ready++, 0);
        err = err < 0 ? err : yoke_sleep(YOKE_S);
        s->ready--;
    }
    yoke_with_read(&s->rwlock) {
        CHECK_INT(s->ready, 0);
        err = err < 0 ? err : yoke_sleep(YOKE_S);
    }
    return err;
}

SCENE(blocks)
{
    shared s = {0};
    int err = RUN_ALL(&s, uses_blocks, uses_blocks, uses_blocks);
    CHECK_INT(yoke_lock_done(&s.lock), 0);
    CHECK_INT(yoke_rwlock_done(&s.rwlock), 0);
    return err;
}

static int takes_permit(void *arg)
{
    shared *s = arg;
    TRY(yoke_semaphore_acquire(&s->semaphore));
    CHECK(++s->inside <= 2);
    int err = yoke_sleep(YOKE_S);
    s->inside--;
    yoke_semaphore_release(&s->semaphore, 1);
    return err;
}

SCENE(semaphores)
{
    shared s = {.semaphore = YOKE_SEMAPHORE_INIT(2)};
    int err = RUN_ALL(&s, takes_permit, takes_permit, takes_permit, takes_permit);
    CHECK_INT(yoke_semaphore_permits(&s.semaphore), 2);
    return err;
}

static int waits_for_event(void *arg)
{
    TRY(yoke_event_wait(&((shared *)arg)->event));
    return 0;
}

static int waits_for_event_in_time(void *arg)
{
    int err = yoke_event_timed(&((shared *)arg)->event, YOKE_MS);
    return err == -ETIMEDOUT ? 0 : err;
}

static int sets_event(void *arg)
{
    TRY(yoke_sleep(YOKE_S));
    yoke_event_set(&((shared *)arg)->event);
    return 0;
}

SCENE(events)
{
    shared s = {0};
    return RUN_ALL(&s, waits_for_event, waits_for_event_in_time, sets_event, waits_for_event);
}

static int waits_for_latch(void *arg)
{
    TRY(yoke_latch_wait(&((shared *)arg)->latch));
    return 0;
}

static int counts_down(void *arg)
{
    TRY(yoke_sleep(YOKE_S));
    yoke_latch_down(&((shared *)arg)->latch, 1);
    return 0;
}

SCENE(latches)
{
    shared s = {.latch = YOKE_LATCH_INIT(2)};
    return RUN_ALL(&s, waits_for_latch, counts_down, counts_down, waits_for_latch);
}

static int meets_others(void *arg)
{
    shared *s = arg;
    TRY(yoke_sleep(YOKE_S * ++s->inside));
    int at = yoke_barrier_wait(&s->barrier);
    CHECK((at >= 0 && at < 3) || at == -ECANCELED);
    return at;
}

SCENE(barriers)
{
    shared s = {.barrier = YOKE_BARRIER_INIT(3)};
    int err = RUN_ALL(&s, meets_others, meets_others, meets_others);
    CHECK_INT(yoke_barrier_waiting(&s.barrier), 0);
    CHECK_INT(yoke_barrier_done(&s.barrier), 0);
    return err;
}

static int waits_until_ready(void *arg)
{
    shared *s = arg;
    int err = 0;
    TRY(yoke_lock_acquire(&s->lock));
    while (err >= 0 && s->ready == 0)
        err = yoke_condition_wait(&s->condition, &s->lock); /* holds it in any case */
    if (err >= 0)
        s->ready--;
    CHECK_INT(yoke_lock_release(&s->lock), 0);
    return err;
}

static int makes_ready(void *arg)
{
    shared *s = arg;
    TRY(yoke_sleep(YOKE_S));
    TRY(yoke_lock_acquire(&s->lock));
    s->ready++;
    yoke_condition_notify(&s->condition, &s->lock, 1);
    CHECK_INT(yoke_lock_release(&s->lock), 0);
    return 0;
}

SCENE(conditions)
{
    shared s = {0};
    int err = RUN_ALL(&s, waits_until_ready, makes_ready, waits_until_ready, makes_ready);
    CHECK_INT(yoke_lock_done(&s.lock), 0);
    CHECK_INT(yoke_condition_done(&s.condition), 0);
    return err;
}

static int begin_slowly(void *arg)
{
    TRY(yoke_sleep(YOKE_S));
    ((shared *)arg)->inside++;
    return 0;
}

static int runs_once(void *arg)
{
    shared *s = arg;
    int err = yoke_once_run(&s->once, begin_slowly, s);
    CHECK(err < 0 || s->inside == 1);
    return err;
}

SCENE(once)
{
    shared s = {0};
    return RUN_ALL(&s, runs_once, runs_once, runs_once);
}
