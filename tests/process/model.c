/* model.c - a pool against a sequential model: random submits, cancels, timeouts, deadlines, deaths, retries and
 * dependencies. The model knows which ends each job may have; the pool must give it one of them, once, whatever
 * the order. */
#include "process/pool.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <yoke.h>

static void nap(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

enum what { VALUE, FAIL, DIE, LEAVE, HANG, LATE, RETRIED, WHATS };

/* Does what it is told. attempts: from that one on it succeeds. */
YOKE_TASK(long, does, (int, what), (long, n), (unsigned, attempts), (yoke_inout_i64, runs))
{
    __atomic_fetch_add(runs.ptr, 1, __ATOMIC_SEQ_CST);
    if (yoke_attempt() >= attempts)
        return n * 3;
    switch (what) {
    case FAIL:
    case RETRIED: yoke_fail(EDOM, "job %ld", n); break;
    case DIE: raise(SIGKILL); break;
    case LEAVE: _exit(5);
    case HANG: nap(3600 * YOKE_S); break;
    default: break;
    }
    return n * 3;
}

typedef struct expected {
    enum what what;
    unsigned attempts; /* until it would succeed; 1: at once */
    unsigned retries;
    int after;         /* the job it comes after, or -1 */
    bool asked, cancelled; /* yoke_cancel() was called; it said that this was in time */
    int code;          /* what it ended with */
} expected;

/* What the job ends with if nobody interferes and all that it depends on has succeeded. */
static int own_end(const expected *x)
{
    if (x->attempts <= 1 + x->retries)
        return 0;
    switch (x->what) {
    case FAIL:
    case RETRIED: return -EDOM;
    case DIE:
    case LEAVE: return -EOWNERDEAD;
    case HANG: return -ETIMEDOUT;
    default: return 0;
    }
}

static bool is_possible(const expected *all, int i, int code)
{
    const expected *x = &all[i];
    if (x->cancelled)
        return code == -ECANCELED;
    if (x->after >= 0 && all[x->after].code != 0)
        return code == -ECANCELED;
    if (x->what == LATE)
        return code == -ETIMEDOUT || (x->asked && code == -ECANCELED);
    if (code == own_end(x))
        return true;
    /* A cancel that came too late for the attempt that ran is in time for the next. */
    if (x->asked && x->attempts > 1)
        return code == -ECANCELED || code == -EDOM || code == -EOWNERDEAD || code == -ETIMEDOUT;
    return false;
}

static enum what some_kind(void)
{
    uint64_t r = test_random() % 1000;
    return r < 700 ? VALUE : r < 800 ? FAIL : r < 850 ? RETRIED : r < 900 ? DIE
           : r < 940 ? LEAVE : r < 990 ? LATE : HANG;
}

static expected some_job(int i)
{
    expected x = {.what = some_kind(), .attempts = 1, .after = -1};
    if (x.what == FAIL || x.what == DIE || x.what == LEAVE || x.what == HANG)
        x.attempts = 99;
    if (x.what == RETRIED || (x.what == DIE && test_random() % 2)) {
        x.attempts = 1 + (unsigned)(test_random() % 4);
        x.retries = (unsigned)(test_random() % 4);
    }
    if (i > 0 && x.what == VALUE && test_random() % 8 == 0)
        x.after = i - 1 - (int)(test_random() % YK_MIN((unsigned)i, 40u));
    return x;
}

static yoke_future *submit(yoke_executor *ex, const expected *x, long i, yoke_future *const *f, int64_t *runs)
{
    int64_t deadline = x->what == LATE ? yoke_now() - 1 : 0; /* past: it may begin, but never has a value */
    int64_t timeout = x->what == HANG ? 20 * YOKE_MS : test_random() % 5 == 0 ? 3600 * YOKE_S : 0;
    int32_t priority = (int32_t)(test_random() % 3) - 1;
    return yoke_opt_submit(ex, (retries = x->retries, backoff = YOKE_US, deadline = deadline, timeout = timeout,
                                priority = priority, after = x->after >= 0 ? f[x->after] : NULL),
                           does, (int)x->what, i, x->attempts, yoke_1d(yoke_inout_i64, &runs[i], 1));
}

static void cancel_some(expected *x, yoke_future *const *f, int i)
{
    int j = i - (int)(test_random() % 30);
    if (j < 0 || x[j].cancelled)
        return;
    int err = yoke_cancel(f[j]);
    x[j].asked = true;
    x[j].cancelled = err == 0;
}

static void check_end(expected *x, yoke_future *f, long i, const int64_t *counter)
{
    long v = -1;
    x[i].code = yoke_try(f, &v);
    if (!is_possible(x, (int)i, x[i].code))
        test_fail(__FILE__, __LINE__, "job %ld of kind %d (attempts %u, retries %u, after %d, cancel %d/%d) ended with %d: %s",
                  i, (int)x[i].what, x[i].attempts, x[i].retries, x[i].after, x[i].asked, x[i].cancelled, x[i].code,
                  yoke_error(f));
    if (x[i].code == 0)
        CHECK_INT(v, i * 3);
    else
        CHECK(yoke_error(f)[0] != '\0' && v == -1);
    int64_t runs = __atomic_load_n(counter, __ATOMIC_SEQ_CST);
    /* As many runs as attempts, but for those that never began. */
    CHECK(runs <= (int64_t)x[i].retries + 1);
    if (x[i].code == 0 && runs < 1)
        test_fail(__FILE__, __LINE__, "job %ld of kind %d (%d) ran %d times", i, (int)x[i].what, x[i].code, (int)runs);
    if (x[i].code == -EDOM)
        CHECK_HAS(yoke_error(f), "job ");
    if (x[i].code == -EOWNERDEAD)
        CHECK_HAS(yoke_error(f), x[i].what == LEAVE ? "exit(5)" : "SIGKILL");
}

static void ignore(const char *text, void *arg)
{
}

static void against_the_model(const char *uri, int n)
{
    enum { MOST = 4000 };
    static yoke_future *f[MOST];
    static expected x[MOST];
    yoke_on_lost_error(ignore, NULL);
    yoke_executor *ex = yoke_open(uri);
    CHECK_INT(yoke_executor_status(ex), 0);
    int64_t *runs = yoke_shared_alloc(ex, MOST * sizeof *runs);
    CHECK(runs && n <= MOST);
    memset(runs, 0, MOST * sizeof *runs);
    for (int i = 0; i < n; i++) {
        x[i] = some_job(i);
        f[i] = submit(ex, &x[i], i, f, runs);
        if (test_random() % 6 == 0)
            cancel_some(x, f, i);
        if (test_random() % 50 == 0)
            yoke_wait(f[i - (int)(test_random() % YK_MIN((unsigned)i + 1, 50u))]);
    }
    int kinds[WHATS] = {0}, ended_well = 0;
    for (int i = 0; i < n; i++) { /* in order: what a job comes after has been checked before it */
        check_end(x, f[i], i, &runs[i]);
        kinds[x[i].what]++;
        ended_well += x[i].code == 0;
    }
    for (int i = 0; i < n; i++)
        yoke_release(f[i]);
    printf("# %d of %d ended well; %d died, %d hung, %d late\n", ended_well, n, kinds[DIE] + kinds[LEAVE], kinds[HANG],
           kinds[LATE]);
    CHECK(ended_well > n / 3);
    yk_processes *p = (yk_processes *)(void *)ex;
    yoke_shared_free(ex, runs);
    yk_mutex_lock(&p->lock);
    CHECK(p->backlog_count == 0 && p->in_flight == 0 && p->timed == 0 && p->arena.live == 0);
    yk_mutex_unlock(&p->lock);
    yoke_close(ex);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

TEST_LIMIT(one_worker, 300) { against_the_model("processes:1", 1500); }
TEST_LIMIT(two_workers, 300) { against_the_model("processes:2", 4000); }
TEST_LIMIT(five_workers, 300) { against_the_model("processes:5", 4000); }
TEST_LIMIT(small_pools_again_and_again, 300)
{
    for (int i = 0; i < 10; i++)
        against_the_model(i % 2 ? "processes:1" : "processes:3", 120);
}
