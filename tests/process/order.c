/* order.c - in which order jobs run and on which worker: priorities, first come first served within one, no job
 * behind a long one while a worker idles, all workers used, cancelled jobs out of the way. */
#include "process/pool.h"
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

/* Takes the next number of a counter in shared memory: its place in the order of all that ran. */
YOKE_TASK(int64_t, takes_a_number, (yoke_inout_i64, counter), (int64_t, duration))
{
    int64_t n = __atomic_fetch_add(counter.ptr, 1, __ATOMIC_SEQ_CST);
    if (duration > 0)
        nap(duration);
    return n;
}

YOKE_TASK(void, holds, (yoke_inout_i64, gate))
{
    yoke_progress(1, 1);
    while (__atomic_load_n(gate.ptr, __ATOMIC_SEQ_CST) == 0 && !yoke_cancelled())
        nap(100 * YOKE_US);
}

/* Returns once `all` of them have begun. */
YOKE_TASK(long, who, (yoke_inout_i64, arrived), (int64_t, all))
{
    __atomic_fetch_add(arrived.ptr, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(arrived.ptr, __ATOMIC_SEQ_CST) < all)
        nap(100 * YOKE_US);
    return getpid();
}

typedef struct place {
    yoke_executor *ex;
    int64_t *counter, *gate;
    yoke_future *blocker[8];
    unsigned width;
} place;

static yoke_inout_i64 one(int64_t *p)
{
    return yoke_1d(yoke_inout_i64, p, 1);
}

static int64_t in_flight_with(yk_processes *p, unsigned slot)
{
    yk_mutex_lock(&p->lock);
    int64_t n = p->clerks[slot].outstanding;
    yk_mutex_unlock(&p->lock);
    return n;
}

/* A pool all of whose workers are held at a gate, so that what is submitted now waits. */
static place closed_gate(unsigned width)
{
    char uri[32];
    snprintf(uri, sizeof uri, "processes:%u", width);
    place s = {.ex = yoke_open(uri), .width = width};
    CHECK_INT(yoke_executor_status(s.ex), 0);
    s.counter = yoke_shared_alloc(s.ex, sizeof *s.counter);
    s.gate = yoke_shared_alloc(s.ex, sizeof *s.gate);
    CHECK(s.counter && s.gate);
    *s.counter = *s.gate = 0;
    yk_processes *p = (yk_processes *)(void *)s.ex;
    for (unsigned i = 0; i < width; i++)
        s.blocker[i] = yoke_opt_submit(s.ex, (priority = 1), holds, one(s.gate));
    for (unsigned i = 0; i < width; i++)
        while (in_flight_with(p, i) == 0)
            nap(YOKE_MS);
    return s;
}

static void open_gate(place *s)
{
    __atomic_store_n(s->gate, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < s->width; i++) {
        CHECK_INT(yoke_wait(s->blocker[i]), 0);
        yoke_release(s->blocker[i]);
    }
}

static void leave(place *s)
{
    yoke_shared_free(s->ex, s->counter);
    yoke_shared_free(s->ex, s->gate);
    CHECK_INT(yoke_close(s->ex), 0);
}

/* ---- Priorities ---- */

static int class_of(int priority)
{
    return priority > 0 ? 0 : priority == 0 ? 1 : 2;
}

/* What waits runs by class, and within a class in the order of submission. */
TEST(priorities)
{
    static const int table[] = {0, -1, 5, 0, INT32_MAX, -7, 1, 0, INT32_MIN, 0, 2, -1, 0, 1};
    enum { N = YK_COUNT_OF(table) };
    place s = closed_gate(1);
    yoke_future *f[N];
    for (int i = 0; i < N; i++)
        f[i] = yoke_opt_submit(s.ex, (priority = table[i]), takes_a_number, one(s.counter), 0);
    open_gate(&s);
    for (int i = 0; i < N; i++) {
        int64_t before = 0;
        for (int j = 0; j < N; j++)
            before += class_of(table[j]) < class_of(table[i]) || (class_of(table[j]) == class_of(table[i]) && j < i);
        CHECK_INT(yoke_await(f[i], int64_t), before);
        yoke_release(f[i]);
    }
    leave(&s);
}

/* Many of them, at random. With one worker the order is exact. */
TEST(priorities_at_random)
{
    enum { N = 400 };
    place s = closed_gate(1);
    static yoke_future *f[N];
    static int priority[N];
    for (int i = 0; i < N; i++) {
        priority[i] = (int)(test_random() % 3) - 1;
        f[i] = yoke_opt_submit(s.ex, (priority = priority[i]), takes_a_number, one(s.counter), 0);
    }
    open_gate(&s);
    int64_t last[3] = {-1, -1, -1}, least[3] = {N, N, N};
    for (int i = 0; i < N; i++) {
        int c = class_of(priority[i]);
        int64_t at = yoke_await(f[i], int64_t);
        CHECK(at > last[c]);
        last[c] = at;
        least[c] = YK_MIN(least[c], at);
        yoke_release(f[i]);
    }
    CHECK(last[0] < least[1] && last[1] < least[2]);
    leave(&s);
}

/* The others keep their order. */
TEST(a_cancelled_job_takes_no_place)
{
    enum { N = 60 };
    place s = closed_gate(1);
    yoke_future *f[N];
    for (int i = 0; i < N; i++)
        f[i] = yoke_submit(s.ex, takes_a_number, one(s.counter), 0);
    for (int i = 0; i < N; i += 3)
        CHECK_INT(yoke_cancel(f[i]), 0);
    open_gate(&s);
    int64_t next = 0;
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0)
            CHECK_INT(yoke_wait(f[i]), -ECANCELED);
        else
            CHECK_INT(yoke_await(f[i], int64_t), next++);
        yoke_release(f[i]);
    }
    CHECK_INT(__atomic_load_n(s.counter, __ATOMIC_SEQ_CST), next);
    leave(&s);
}

static pid_t stopped;

static void *go_on_later(void *arg)
{
    (void)arg;
    nap(200 * YOKE_MS);
    CHECK_INT(kill(stopped, SIGCONT), 0);
    return NULL;
}

/* A worker that has lost the only job it had been sent, and not begun, gets the next though everybody who waits is asleep. */
TEST_LIMIT(the_next_is_sent_when_the_only_one_is_late, 60)
{
    yoke_executor *ex = yoke_open("processes:1");
    yk_processes *p = (yk_processes *)(void *)ex;
    CHECK_INT(yoke_executor_status(ex), 0);
    int64_t *counter = yoke_shared_alloc(ex, sizeof *counter);
    CHECK(counter);
    *counter = 0;
    pid_t pid = 0;
    while (pid == 0) {
        yk_mutex_lock(&p->lock);
        pid = p->clerks[0].state == YK_PRESENT ? p->clerks[0].pid : 0;
        yk_mutex_unlock(&p->lock);
        nap(YOKE_MS);
    }
    pthread_t later;
    stopped = pid;
    CHECK_INT(kill(pid, SIGSTOP), 0); /* what it is sent now stays unbegun */
    yoke_future *first = yoke_opt_submit(ex, (deadline = yoke_now() + 50 * YOKE_MS), takes_a_number, one(counter), 0);
    yoke_future *second = yoke_submit(ex, takes_a_number, one(counter), 0); /* not sent: who knows how long the first is */
    CHECK_INT(in_flight_with(p, 0), 1);
    CHECK_INT(pthread_create(&later, NULL, go_on_later, NULL), 0);
    CHECK(yoke_await(second, int64_t) <= 1);
    CHECK_INT(yoke_wait(first), -ETIMEDOUT);
    CHECK_INT(pthread_join(later, NULL), 0);
    yoke_release(first);
    yoke_release(second);
    yoke_shared_free(ex, counter);
    CHECK_INT(yoke_close(ex), 0);
}

/* Those of low priority run as soon as nothing else is there: none starves for ever. */
TEST(low_priority_runs_at_last)
{
    place s = closed_gate(1);
    yoke_future *low = yoke_opt_submit(s.ex, (priority = -1), takes_a_number, one(s.counter), 0);
    for (int i = 0; i < 200; i++)
        yoke_release(yoke_submit(s.ex, takes_a_number, one(s.counter), 0));
    open_gate(&s);
    int64_t at = yoke_await(low, int64_t);
    CHECK_INT(at, 200); /* of two workers the other might have a window full of the others by then */
    yoke_release(low);
    leave(&s);
}

/* ---- Spreading ---- */

/* Long jobs are spread over all workers, one each: each round of them ends only if it has them all. */
TEST(all_workers_are_used)
{
    enum { WIDTH = 4, ROUNDS = 8 };
    yoke_executor *ex = yoke_open("processes:4");
    int64_t *arrived = yoke_shared_alloc(ex, sizeof *arrived);
    CHECK(arrived != NULL);
    *arrived = 0;
    long first[WIDTH] = {0};
    for (int64_t round = 0; round < ROUNDS; round++) {
        yoke_future *f[WIDTH];
        unsigned seen[WIDTH] = {0};
        for (unsigned i = 0; i < WIDTH; i++)
            f[i] = yoke_submit(ex, who, one(arrived), (round + 1) * WIDTH);
        for (unsigned i = 0; i < WIDTH; i++) {
            long pid = yoke_await(f[i], long);
            unsigned j = 0;
            while (j < WIDTH && first[j] != 0 && first[j] != pid)
                j++;
            CHECK(j < WIDTH);
            first[j] = pid;
            seen[j]++;
            yoke_release(f[i]);
        }
        for (unsigned j = 0; j < WIDTH; j++)
            CHECK_INT(seen[j], 1);
    }
    yoke_shared_free(ex, arrived);
    yoke_close(ex);
}

/* Short jobs teach the pool to send many ahead; those behind a long one are then given to whoever has nothing. */
TEST(no_job_waits_behind_a_long_one)
{
    yoke_executor *ex = yoke_open("processes:2");
    int64_t *counter = yoke_shared_alloc(ex, sizeof *counter);
    *counter = 0;
    for (int i = 0; i < 2000; i++)
        yoke_release(yoke_submit(ex, takes_a_number, one(counter), 0));
    int64_t *gate = yoke_shared_alloc(ex, sizeof *gate);
    *gate = 0;
    yoke_future *long_one = yoke_submit(ex, holds, one(gate)); /* until they all have ended */
    static yoke_future *f[200];
    int64_t start = yoke_now();
    for (int i = 0; i < 200; i++)
        f[i] = yoke_submit(ex, takes_a_number, one(counter), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_INT(yoke_wait(f[i]), 0);
        yoke_release(f[i]);
    }
    int64_t took = yoke_now() - start;
    CHECK(!yoke_done(long_one));
    __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
    printf("# 200 short jobs beside a long one: %.1f ms\n", took / 1e6);
    CHECK_INT(yoke_wait(long_one), 0);
    yoke_release(long_one);
    CHECK_INT(*counter, 2200);
    yoke_shared_free(ex, gate);
    yoke_shared_free(ex, counter);
    yoke_close(ex);
}

/* Jobs that a worker has but not begun can be taken back, and the one that runs goes on without noticing. */
TEST(jobs_sent_ahead_are_taken_back)
{
    enum { AHEAD = 40 };
    yoke_executor *ex = yoke_open("processes:1");
    int64_t *counter = yoke_shared_alloc(ex, sizeof *counter), *gate = yoke_shared_alloc(ex, sizeof *gate);
    *counter = *gate = 0;
    /* Short jobs teach the pool to send many ahead; until it does so. */
    int64_t ran = 0;
    yoke_future *running, *ahead[AHEAD];
    for (bool sent = false; !sent;) {
        for (int i = 0; i < 500; i++)
            yoke_release(yoke_submit(ex, takes_a_number, one(counter), 0));
        ran += 500;
        running = yoke_submit(ex, holds, one(gate));
        for (int i = 0; i < AHEAD; i++)
            ahead[i] = yoke_submit(ex, takes_a_number, one(counter), 0);
        while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < ran)
            yoke_done(running); /* looks at the rings, so that what waits is sent on */
        sent = in_flight_with((yk_processes *)(void *)ex, 0) > 1;
        for (int i = AHEAD; i-- > 0;) {
            CHECK(yk_job_take_back(ahead[i], -ECANCELED, "taken back"));
            CHECK(!yk_job_take_back(ahead[i], -ECANCELED, "twice"));
            CHECK_INT(yoke_wait(ahead[i]), -ECANCELED);
            CHECK_STR(yoke_error(ahead[i]), "taken back");
            yoke_release(ahead[i]);
        }
        for (double begun = 0, total; begun == 0; yoke_done(running))
            yoke_future_progress(running, &begun, &total);
        CHECK(!yk_job_take_back(running, -ECANCELED, "too late"));
        __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
        CHECK_INT(yoke_wait(running), 0);
        yoke_release(running);
        __atomic_store_n(gate, 0, __ATOMIC_SEQ_CST);
    }
    CHECK_INT(__atomic_load_n(counter, __ATOMIC_SEQ_CST), ran);
    yoke_shared_free(ex, gate);
    yoke_shared_free(ex, counter);
    CHECK_INT(yoke_close(ex), 0);
}

/* However often jobs are taken back, moved and cancelled, none is lost and none runs twice. */
TEST_LIMIT(moved_and_cancelled, 300)
{
    enum { N = 6000 };
    yoke_executor *ex = yoke_open("processes:3");
    int64_t *counter = yoke_shared_alloc(ex, sizeof *counter);
    *counter = 0;
    static yoke_future *f[N];
    static bool wanted[N];
    for (int i = 0; i < N; i++) {
        int64_t duration = test_random() % 100 == 0 ? (int64_t)(test_random() % 3000) * YOKE_US : 0;
        f[i] = yoke_submit(ex, takes_a_number, one(counter), duration);
        wanted[i] = true;
        int j = i - (int)(test_random() % 50);
        if (j >= 0 && test_random() % 4 == 0 && wanted[j] && yoke_cancel(f[j]) == 0)
            wanted[j] = false;
    }
    static bool taken[N];
    int64_t ran = 0;
    for (int i = 0; i < N; i++) {
        int64_t at = -1;
        int err = yoke_try(f[i], &at);
        CHECK(err == 0 || err == -ECANCELED);
        CHECK(wanted[i] || err == -ECANCELED);
        if (err == 0) {
            CHECK(at >= 0 && at < N && !taken[at]);
            taken[at] = true;
            ran++;
        }
        yoke_release(f[i]);
    }
    CHECK_INT(*counter, ran);
    CHECK(ran > N / 2);
    yoke_shared_free(ex, counter);
    yoke_close(ex);
}
