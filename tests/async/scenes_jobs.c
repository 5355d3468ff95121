/* scenes_jobs.c - scenes of jobs of executors, and of threads; see scenes.h.
 *
 * A job ends when its gate is opened, by a coroutine that another has asked, just before it waits: so there is always something
 * to wait for. When it begins is chance: who waits just then looks again, which is a point more. The executor is closed in each
 * run, and its memory with it. */
#include "scenes.h"
#include <sys/mman.h>
#include <yoke/executor.h>
#include <yoke/json.h>
#include <yoke/sync.h>
#include <yoke/task.h>
#include <yoke/thread.h>

enum { JOBS = 3 };

/* In memory that processes share, for jobs that are run by others. */
static yoke_semaphore *gates;

static void close_gates(void)
{
    if (!gates)
        gates = mmap(NULL, JOBS * sizeof *gates, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(gates != MAP_FAILED);
    for (int i = 0; i < JOBS; i++)
        CHECK_INT(yoke_semaphore_init(&gates[i], 0, YOKE_SHARED), 0);
}

YOKE_TASK(int, passes, (int, gate))
{
    yoke_semaphore_acquire(&gates[gate]);
    return gate;
}

typedef struct work {
    yoke_executor *ex;
    yoke_future *fs[JOBS];
    yoke_thread *threads[JOBS];
    yoke_semaphore asked;
} work;

/* The next gate may be opened; the caller waits for what is behind it, and for nothing before. */
static void ask(work *w)
{
    CHECK_INT(yoke_semaphore_release(&w->asked, 1), 0);
}

static int opens_gates(void *arg)
{
    work *w = arg;
    for (int i = 0; i < JOBS; i++) {
        TRY(yoke_semaphore_acquire(&w->asked));
        CHECK_INT(yoke_semaphore_release(&gates[i], 1), 0);
    }
    return 0;
}

/* One that has passed finds its gate open once more. */
static void open_all(void)
{
    for (int i = 0; i < JOBS; i++)
        CHECK_INT(yoke_semaphore_release(&gates[i], 1), 0);
}

static int with_jobs(const char *where, int (*fn)(void *arg))
{
    work w = {0};
    close_gates();
    w.ex = yoke_open(where);
    for (int i = 0; i < JOBS; i++)
        w.fs[i] = yoke_submit(w.ex, passes, i);
    int err = RUN_ALL(&w, fn, opens_gates);
    open_all();
    for (int i = 0; i < JOBS; i++) {
        while (!yoke_done(w.fs[i])) /* not a wait: who is told to stop has no more of them to come to */
            usleep(100);
        yoke_code(w.fs[i]); /* seen */
        yoke_release(w.fs[i]);
    }
    CHECK_INT(yoke_close(w.ex), 0);
    return err;
}

/* ---- Jobs ---- */

static int waits(void *arg)
{
    work *w = arg;
    ask(w);
    TRY(yoke_wait(w->fs[0]));
    ask(w);
    TRY(yoke_wait_timed(w->fs[1], 3600 * YOKE_S));
    ask(w);
    return yoke_wait_until(w->fs[2], yoke_now() + 3600 * YOKE_S);
}

SCENE_OF_THREADS(jobs)
{
    return with_jobs("threads:2", waits);
}

SCENE_OF_THREADS(jobs_of_loops)
{
    return with_jobs("async:1", waits);
}

SCENE_OF_THREADS(jobs_of_processes)
{
    return with_jobs("processes:1", waits);
}

static int looks_at_values(void *arg)
{
    work *w = arg;
    int value = 7;
    ask(w);
    TRY(yoke_try(w->fs[0], &value));
    CHECK_INT(value, 0);
    ask(w);
    value = yoke_await(w->fs[1], int);
    CHECK(value == 1 || yoke_checkpoint() == -ECANCELED);
    yoke_str text;
    ask(w);
    int err = yoke_json_result(w->fs[2], 0, &text);
    CHECK(err == -ECANCELED || strcmp(text.ptr, "2") == 0);
    return err;
}

SCENE_OF_THREADS(values)
{
    return with_jobs("threads:2", looks_at_values);
}

static int takes_completed(void *arg)
{
    work *w = arg;
    yoke_future *f;
    yoke_completion *c = yoke_as_completed(w->fs, JOBS);
    ask(w);
    f = yoke_next_completed(c);
    CHECK(f == w->fs[0] || !f);
    int err = f ? 0 : yoke_checkpoint();
    if (f) {
        ask(w);
        err = yoke_next_completed_timed(c, 3600 * YOKE_S, &f);
    }
    if (f && err == 0) {
        ask(w);
        err = yoke_next_completed_until(c, yoke_now() + 3600 * YOKE_S, &f);
        CHECK(f == w->fs[2] || err == -ECANCELED);
    }
    yoke_completion_close(c);
    return err;
}

SCENE_OF_THREADS(completions)
{
    return with_jobs("threads:2", takes_completed);
}

static int waits_for_any_and_all(void *arg)
{
    work *w = arg;
    size_t at;
    ask(w);
    TRY(yoke_wait_any(w->fs, JOBS, &at));
    CHECK_INT(at, 0);
    ask(w);
    TRY(yoke_wait_any(w->fs + 1, JOBS - 1, &at));
    CHECK_INT(at, 0);
    ask(w);
    return yoke_gather(w->fs, JOBS);
}

SCENE_OF_THREADS(any_and_all)
{
    return with_jobs("threads:2", waits_for_any_and_all);
}

/* A job that has begun is waited for, whatever comes, so its gate is opened by somebody who is not told to stop. */
static int opens_in_any_case(void *arg)
{
    yoke_scope shield;
    yoke_shield_begin_timed(&shield, YOKE_FOREVER);
    yoke_yield();
    for (int i = 0; i < JOBS; i++)
        ask(arg);
    yoke_yield();
    open_all();
    yoke_scope_end(&shield);
    return 0;
}

static int adds_jobs(void *arg)
{
    work *w = arg;
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < JOBS; i++)
        yoke_group_add(&g, w->fs[i]);
    yoke_go(&g, opens_in_any_case, w);
    return yoke_group_end(&g);
}

SCENE_OF_THREADS(jobs_in_a_group) /* in which order they end, and which had not begun when they are cancelled */
{
    return with_jobs("threads:2", adds_jobs);
}

/* ---- Threads ---- */

static int passes_gate(void *arg)
{
    return yoke_semaphore_acquire(arg);
}

static int joins(void *arg)
{
    work *w = arg;
    int value = 7;
    ask(w);
    TRY(yoke_thread_join(w->threads[0]));
    TRY(yoke_thread_try(w->threads[0], &value));
    CHECK_INT(value, 0);
    ask(w);
    TRY(yoke_thread_join_timed(w->threads[1], 3600 * YOKE_S));
    ask(w);
    return yoke_thread_join_until(w->threads[2], yoke_now() + 3600 * YOKE_S);
}

SCENE_OF_THREADS(threads)
{
    work w = {0};
    close_gates();
    for (int i = 0; i < JOBS; i++)
        w.threads[i] = yoke_thread_call("gated", passes_gate, &gates[i]);
    int err = RUN_ALL(&w, joins, opens_gates);
    open_all();
    for (int i = 0; i < JOBS; i++) {
        while (!yoke_thread_done(w.threads[i]))
            usleep(100);
        yoke_thread_release(w.threads[i]);
    }
    return err;
}

static int blocks(void *arg)
{
    usleep(200);
    return 5;
}

static void dropped(void *arg)
{
    free(arg);
}

SCENE(calls_in_threads)
{
    int code = yoke_to_thread(blocks, NULL);
    CHECK(code == 5 || code == -ECANCELED);
    TRY(code);
    void *memory = malloc(10);
    code = yoke_to_thread_abandon(blocks, memory, dropped);
    CHECK(code == 5 || code == -ECANCELED);
    if (code != -ECANCELED)
        free(memory); /* only what is abandoned is dropped */
    return code;
}
