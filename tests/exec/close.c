/* close.c - an executor may be closed while its jobs still wait for a pause, or are waited for by what belongs to executors
 * that live on. AddressSanitizer sees what is touched too late. */
#include "exec/exec.h"
#include "test.h"
#include <sys/mman.h>
#include <unistd.h>
#include <yoke.h>

YOKE_TASK(long, add, (long, a), (long, b))
{
    return a + b;
}

static _Atomic int *begun; /* attempts, in whatever process */

YOKE_TASK(void, fails_slowly)
{
    if (begun)
        atomic_fetch_add(begun, 1);
    usleep(1000);
    yoke_fail(EIO, "no luck");
}

static _Atomic int gate;

YOKE_TASK(long, waits_for_gate)
{
    while (!atomic_load(&gate))
        usleep(200);
    return 50;
}

static const char *const uris[] = {"threads:2", "processes:1"};
enum { URIS = sizeof uris / sizeof *uris };

/* False when the machine was so slow that the pause was over before the executor was closed. */
static bool closes_during_the_pause(const char *uri, int64_t pause)
{
    atomic_store(begun, 0);
    yoke_executor *keeps = yoke_open("threads:1"); /* keeps the timer's thread alive */
    yoke_executor *ex = yoke_open(uri);
    yoke_future *f = yoke_opt_submit(ex, (retries = 3, backoff = pause), fails_slowly);
    while (!yoke_done(f) && (atomic_load(&f->state) & YK_PHASE) != YK_WAITING)
        usleep(200); /* yoke_done() looks at the rings of processes */
    yoke_release(f);
    CHECK_INT(yoke_close_now(ex), 0);
    bool in_time = atomic_load(begun) == 1;
    /* When this one has paused for longer, that pause is over, and the timer has come to it. */
    CHECK_INT(yoke_wait(yoke_opt_submit(keeps, (retries = 1, backoff = 2 * pause), fails_slowly)), -EIO);
    CHECK(!in_time || atomic_load(begun) == 3);
    yoke_close(keeps);
    return in_time;
}

TEST(closed_during_the_pause_before_a_retry)
{
    begun = mmap(NULL, sizeof *begun, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(begun != MAP_FAILED);
    for (int i = 0; i < URIS; i++)
        for (int64_t pause = 30 * YOKE_MS; !closes_during_the_pause(uris[i], pause); pause *= 2)
            ;
}

TEST(closed_while_a_job_of_another_is_waited_for)
{
    for (int i = 0; i < URIS; i++) {
        yoke_executor *first = yoke_open("threads:1"), *ex = yoke_open(uris[i]);
        atomic_store(&gate, 0);
        yoke_future *before = yoke_submit(first, waits_for_gate);
        yoke_future *f = yoke_opt_submit(ex, (after = before), add, 1, 2);
        CHECK_INT(yoke_cancel(f), 0);
        yoke_release(f);
        CHECK_INT(yoke_close(ex), 0);
        atomic_store(&gate, 1);
        CHECK_INT(yoke_await(before, long), 50);
        yoke_release(before);
        yoke_close(first);
    }
}

TEST(closed_at_once_after_a_job_that_another_executor_started)
{
    for (int round = 0; round < 200; round++) {
        yoke_executor *first = yoke_open("threads:1"), *ex = yoke_open("threads:1");
        yoke_future *before = yoke_submit(first, add, 1, 1);
        yoke_future *f = yoke_opt_submit(ex, (after = before), add, 1, 2);
        CHECK_INT(yoke_await(f, long), 3);
        yoke_release(f);
        CHECK_INT(yoke_close(ex), 0);
        yoke_release(before);
        yoke_close(first);
    }
}

TEST(parts_of_a_whole_are_let_go_as_they_end)
{
    for (int i = 0; i < URIS; i++) {
        yoke_executor *slow = yoke_open("threads:1"), *ex = yoke_open(uris[i]);
        atomic_store(&gate, 0);
        yoke_future *parts[3] = {yoke_submit(ex, add, 1, 2), yoke_submit(slow, waits_for_gate), yoke_submit(ex, add, 3, 4)};
        yoke_future *all = yoke_all(parts, 3), *any = yoke_any(parts, 3);
        CHECK_INT(yoke_wait(parts[0]), 0);
        CHECK_INT(yoke_wait(parts[2]), 0);
        yoke_release(parts[0]);
        yoke_release(parts[2]);
        CHECK_INT(yoke_close(ex), 0);
        CHECK(!yoke_done(all));
        atomic_store(&gate, 1);
        CHECK_INT(yoke_wait(all), 0);
        CHECK_INT(yoke_wait(any), 0);
        yoke_release(all);
        yoke_release(any);
        yoke_release(parts[1]);
        yoke_close(slow);
    }
}

TEST(a_whole_reports_the_first_failure_of_a_closed_executor)
{
    yoke_executor *slow = yoke_open("threads:1"), *ex = yoke_open("threads:2");
    atomic_store(&gate, 0);
    yoke_future *parts[3] = {yoke_submit(slow, waits_for_gate), yoke_submit(ex, fails_slowly), yoke_submit(ex, fails_slowly)};
    yoke_future *all = yoke_all(parts, 3);
    yoke_release(parts[1]);
    yoke_release(parts[2]);
    CHECK_INT(yoke_close(ex), 0);
    atomic_store(&gate, 1);
    CHECK_INT(yoke_wait(all), -EIO);
    CHECK(strstr(yoke_error(all), "fails_slowly: no luck"));
    yoke_release(all);
    yoke_release(parts[0]);
    yoke_close(slow);
}
