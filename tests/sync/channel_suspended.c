/* channel_suspended.c - channels between parties that are not threads: those whose waits go to yk_blocking.wait and who are woken
 * by yk_wake_hook, as coroutines will. Here each is a thread that runs only while it has its loop's baton, so that a loop runs
 * one of its parties at a time; and parties of two loops and plain threads meet in the same channels. */
#include "channel_room.h"

enum { PARTIES = 8, ROUNDS = 400 / CREW_SLOWER };

/* One loop: whoever has the baton runs. */
typedef struct loop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool taken;
} loop;

typedef struct fiber {
    yk_blocking blocking; /* first: the hook is given this */
    loop *home;
    pthread_t thread;
    _Atomic uint32_t *word; /* where it sleeps; under the home's lock */
    bool woken;
    int cancel_after, waits; /* the wait that is cancelled, counted from 1; 0: none */
    int me;
} fiber;

static loop loops[2] = {{PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false},
                        {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}};
static fiber fibers[2 * PARTIES];
static yoke_channel *there, *back;
static _Atomic int cancelled, wakes;
static _Atomic long sent, received;

static void take_baton(loop *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->taken)
        pthread_cond_wait(&l->changed, &l->lock);
    l->taken = true;
    pthread_mutex_unlock(&l->lock);
}

static void give_baton(loop *l)
{
    pthread_mutex_lock(&l->lock);
    CHECK(l->taken);
    l->taken = false;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* As yk_wait() of a coroutine: others of its loop run meanwhile. */
static int suspend(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    fiber *f = (fiber *)b;
    loop *l = f->home;
    int err = 0;
    CHECK(deadline == YOKE_FOREVER);
    if (++f->waits == f->cancel_after) {
        atomic_fetch_add(&cancelled, 1);
        return -ECANCELED; /* before it slept, or it may have been served just now */
    }
    pthread_mutex_lock(&l->lock);
    f->word = word;
    f->woken = false;
    if (atomic_load(word) != value) {
        err = -EAGAIN;
    } else {
        l->taken = false;
        pthread_cond_broadcast(&l->changed);
        while (!f->woken || l->taken)
            pthread_cond_wait(&l->changed, &l->lock);
        l->taken = true;
    }
    f->word = NULL;
    pthread_mutex_unlock(&l->lock);
    return err;
}

static int wake_fibers(_Atomic uint32_t *word, int n)
{
    int woken = 0;
    for (fiber *f = fibers; f < fibers + 2 * PARTIES && woken < n; f++) {
        if (!f->home)
            continue;
        pthread_mutex_lock(&f->home->lock);
        if (f->word == word && !f->woken) {
            f->woken = true;
            woken++;
            pthread_cond_broadcast(&f->home->changed);
        }
        pthread_mutex_unlock(&f->home->lock);
    }
    atomic_fetch_add(&wakes, woken);
    return woken;
}

/* ---- Bodies ---- */

static void as_fiber(fiber *f, void (*body)(int me))
{
    yk_blocked_hook = &f->blocking;
    take_baton(f->home);
    body(f->me);
    give_baton(f->home);
    yk_blocked_hook = NULL;
}

static void (*bodies[2])(int me);

static void *run_fiber(void *arg)
{
    fiber *f = arg;
    as_fiber(f, bodies[f->me % 2]);
    return NULL;
}

/* Sends; what is cancelled is sent again. */
static void sender(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int value = me * 10000 + i, err;
        while ((err = yoke_channel_send(there, &value)) == -ECANCELED)
            ;
        CHECK_INT(err, 0);
        atomic_fetch_add(&sent, value);
    }
    CHECK_INT(yoke_channel_sender_unref(there), 0);
}

static void receiver(int me)
{
    int got, err;
    while ((err = yoke_channel_receive(there, &got)) != -ESHUTDOWN) {
        CHECK(err == 0 || err == -ECANCELED);
        atomic_fetch_add(&received, err == 0 ? got : 0);
    }
    CHECK_INT(yoke_channel_receiver_unref(there), 0);
}

/* The same by selects on both channels at once. */
static void selecting_sender(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int value = me * 10000 + i, which;
        yoke_case cases[] = {yoke_case_send(there, &value), yoke_case_send(back, &value)};
        while ((which = yoke_channel_select(cases, 2)) == -ECANCELED)
            ;
        CHECK(which >= 0 && cases[which].err == 0);
        atomic_fetch_add(&sent, value);
    }
    CHECK_INT(yoke_channel_sender_unref(there) + yoke_channel_sender_unref(back), 0);
}

static void selecting_receiver(int me)
{
    int got;
    yoke_case cases[] = {yoke_case_receive(there, &got), yoke_case_receive(back, &got)};
    while (cases[0].channel || cases[1].channel) {
        int which = yoke_channel_select(cases, 2);
        CHECK(which >= 0 || which == -ECANCELED);
        if (which >= 0 && cases[which].err == 0)
            atomic_fetch_add(&received, got);
        else if (which >= 0)
            cases[which].channel = NULL;
    }
    CHECK_INT(yoke_channel_receiver_unref(there) + yoke_channel_receiver_unref(back), 0);
}

/* ---- The tests ---- */

static void begin(size_t capacity, void (*sends)(int), void (*receives)(int), bool two)
{
    memset(fibers, 0, sizeof fibers);
    there = channel_of_ints(capacity);
    back = two ? channel_of_ints(capacity) : NULL;
    bodies[0] = sends;
    bodies[1] = receives;
    cancelled = wakes = 0;
    sent = received = 0;
    yk_wake_hook = wake_fibers;
}

static void add_place(int me)
{
    yoke_channel *both[] = {there, back};
    for (int i = 0; i < (back ? 2 : 1); i++)
        CHECK_INT(me % 2 ? yoke_channel_receiver_ref(both[i]) : yoke_channel_sender_ref(both[i]), 0);
}

static void start_fiber(int i, loop *home, int cancel_after)
{
    fibers[i] = (fiber){.blocking = {.wait = suspend}, .home = home, .cancel_after = cancel_after, .me = i};
    add_place(i);
}

static void *plain_thread(void *arg)
{
    int me = (int)(intptr_t)arg;
    bodies[me % 2](me);
    return NULL;
}

/* `count` fibers on each of `homes` loops, and `count` threads when `threads`. */
static void meet(int homes, int count, bool threads, bool cancels)
{
    pthread_t plain[PARTIES];
    for (int i = 0; i < homes * count; i++)
        start_fiber(i, &loops[i / count], cancels ? 1 + i % 7 : 0);
    for (int i = 0; threads && i < count; i++)
        add_place(i);
    CHECK_INT(yoke_channel_close(there) + yoke_channel_close(back), 0); /* the first places; theirs are enough */
    for (int i = 0; i < homes * count; i++)
        fibers[i].thread = crew_start(run_fiber, &fibers[i]);
    for (int i = 0; threads && i < count; i++)
        plain[i] = crew_start(plain_thread, (void *)(intptr_t)i);
    for (int i = 0; i < homes * count; i++)
        crew_join(fibers[i].thread);
    for (int i = 0; threads && i < count; i++)
        crew_join(plain[i]);
    CHECK_INT(atomic_load(&received), atomic_load(&sent));
    CHECK(atomic_load(&sent) > 0);
}

/* With one loop nobody but the parties themselves can go on, so a wait that kept the thread would hang. */
TEST(two_on_one_loop)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        begin(capacity, sender, receiver, false);
        meet(1, 2, false, false);
        CHECK(atomic_load(&wakes) > 0);
    }
}

TEST(many_on_one_loop)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        begin(capacity, sender, receiver, false);
        meet(1, PARTIES, false, false);
        begin(capacity, selecting_sender, selecting_receiver, true);
        meet(1, PARTIES, false, false);
    }
}

TEST(between_loops_and_threads)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        begin(capacity, sender, receiver, false);
        meet(2, 4, true, false);
        begin(capacity, selecting_sender, selecting_receiver, true);
        meet(2, 4, true, false);
    }
}

/* A wait that is cancelled has done nothing, or was served just before and has done it: never both, never half. */
TEST(cancelled_waits_lose_nothing)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        begin(capacity, sender, receiver, false);
        meet(2, PARTIES, true, true);
        begin(capacity, selecting_sender, selecting_receiver, true);
        meet(2, PARTIES, true, true);
        CHECK(atomic_load(&cancelled) > 0);
    }
}

static int cancel(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    return -ECANCELED;
}

TEST(a_cancelled_wait_leaves_nothing_behind)
{
    static yk_blocking blocking = {.wait = cancel};
    yoke_channel *a = channel_of_ints(0), *b = channel_of_ints(1);
    int value = 7;
    yoke_case cases[] = {yoke_case_receive(a, &value), yoke_case_send(a, &value), yoke_case_receive(b, &value)};
    yk_blocked_hook = &blocking;
    CHECK_INT(yoke_channel_send(a, &value), -ECANCELED);
    CHECK_INT(yoke_channel_receive(a, &value), -ECANCELED);
    CHECK_INT(yoke_channel_receive_timed(b, &value, YOKE_S), -ECANCELED);
    CHECK_INT(yoke_channel_select(cases, 3), -ECANCELED);
    CHECK_INT(yoke_channel_send(b, &value), 0); /* what need not wait is done */
    CHECK_INT(yoke_channel_send(b, &value), -ECANCELED);
    yk_blocked_hook = NULL;
    CHECK_INT(value, 7);
    CHECK_INT(yoke_channel_size(b), 1);
    check_alone(a);
    check_alone(b);
    CHECK_INT(yoke_channel_close(a) + yoke_channel_close(b), 0);
}
