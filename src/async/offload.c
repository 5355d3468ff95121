/* offload: threads for what would block a loop: files, names, functions of the user's.
 *
 * One set of threads for the process. A thread is started when there is work and none is idle, up to min(32, CPUs + 4), and ends
 * after ten idle seconds. Where no thread can be had the work is done on the spot, so that offloading cannot fail.
 *
 * A child made by fork() has none of the threads and nothing of the work. */
#include "async/async.h"
#include "async/offload.h"
#include "async/ops.h"
#include "topo/topo.h"
#include <signal.h>

enum { MOST_THREADS = 32, MORE_THAN_CPUS = 4 };
int64_t yk_offload_idle = 10 * YOKE_S;
struct yk_loop *(*yk_offload_here)(void) = yk_loop_here;
void (*yk_offload_post)(struct yk_loop *loop, yk_post *p) = yk_loop_post;

/* What an operation holds while it is here. */
_Static_assert(sizeof(yk_post) <= sizeof((yk_op *)0)->post, "room for a post");

enum { QUEUED = 1, WAIT_QUEUED, RUNNING }; /* yk_op.state */

/* A thread. */
typedef struct server {
    struct server *next;
    struct yk_loop *loop; /* whose work it does, until it has handed it over */
} server;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, gone; /* gone: a thread has, or from a loop */
    yk_ops queue;
    server *servers;
    unsigned threads, idle, most, leaving;
    unsigned waits; /* of yk_offload_wait() */
    bool ending;
} set = {.lock = PTHREAD_MUTEX_INITIALIZER, .gone = PTHREAD_COND_INITIALIZER};

/* The time that waits for work are measured by is yoke's. */
static __attribute__((constructor)) void begin(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&set.work, &attr);
    pthread_condattr_destroy(&attr);
}

static void begin_in_child(void)
{
    pthread_mutex_init(&set.lock, NULL);
    pthread_cond_init(&set.gone, NULL);
    begin();
    set.queue = (yk_ops){0};
    set.servers = NULL;
    set.threads = set.idle = set.leaving = set.waits = 0;
    set.ending = false;
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, begin_in_child);
}

static void come_home(yk_post *p)
{
    yk_op *op = (yk_op *)((char *)p - offsetof(yk_op, post));
    if (op->own)
        --*(size_t *)op->own;
    op->done(op);
}

static void run_one(yk_op *op)
{
    struct yk_loop *loop = op->loop;
    yk_post *post = (yk_post *)op->post;
    op->work(op);
    if (!loop) /* nobody is told */
        return;
    post->fn = come_home;
    yk_offload_post(loop, post);
}

/* Under the lock. False: nothing came for so long that the thread may go. */
static bool wait_for_work(void)
{
    int64_t until = yoke_now() + yk_offload_idle;
    struct timespec t = {until / YOKE_S, until % YOKE_S};
    int err = 0;
    set.idle++;
    while (!set.queue.head && !set.ending && err != ETIMEDOUT)
        err = pthread_cond_timedwait(&set.work, &set.lock, &t);
    set.idle--;
    return set.queue.head != NULL;
}

/* Under the lock. */
static void forget_server(const server *s)
{
    server **at = &set.servers;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    set.threads--;
    pthread_cond_broadcast(&set.gone);
}

static void *serve(void *unused)
{
    server own = {.next = NULL};
    pthread_setname_np(pthread_self(), "yoke-offload");
    pthread_mutex_lock(&set.lock);
    own.next = set.servers;
    set.servers = &own;
    while (wait_for_work()) {
        yk_op *op = yk_ops_pop(&set.queue);
        bool waits = op->state == WAIT_QUEUED;
        op->state = RUNNING;
        own.loop = op->loop;
        pthread_mutex_unlock(&set.lock);
        run_one(op);
        pthread_mutex_lock(&set.lock);
        own.loop = NULL;
        set.waits -= waits;
        if (set.leaving > 0)
            pthread_cond_broadcast(&set.gone);
    }
    forget_server(&own);
    pthread_mutex_unlock(&set.lock);
    return unused;
}

/* Under the lock. Signals are for the threads of the program. False: there is none to be had. */
static bool start_thread(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = yk_sys.pthread_create(&thread, NULL, serve, NULL) == 0;
    if (started) {
        pthread_detach(thread);
        set.threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static unsigned most_threads(void)
{
    if (set.most == 0)
        set.most = YK_MIN(yk_cpu_budget() + MORE_THAN_CPUS, (unsigned)MOST_THREADS);
    return set.most;
}

/* Under the lock: the length of the queue matters only as far as there are idle threads. */
static bool is_idle_thread_for_one_more(void)
{
    unsigned queued = 0;
    for (const yk_op *op = set.queue.head; op && queued < set.idle; op = op->next)
        queued++;
    return queued < set.idle;
}

/* False: there is no thread, and none can be had. */
static bool hand_over(yk_op *op, struct yk_loop *loop, void (*work)(yk_op *op))
{
    op->loop = loop;
    op->work = work;
    pthread_mutex_lock(&set.lock);
    if (!is_idle_thread_for_one_more() && set.threads < most_threads())
        start_thread();
    bool taken = set.threads > 0;
    if (taken) {
        op->state = QUEUED;
        yk_ops_push(&set.queue, op);
        pthread_cond_signal(&set.work);
    }
    pthread_mutex_unlock(&set.lock);
    return taken;
}

bool yk_offload(yk_op *op, void (*work)(yk_op *op))
{
    if (hand_over(op, yk_offload_here(), work))
        return false;
    work(op);
    return true;
}

int yk_offload_only(yk_op *op, struct yk_loop *loop, void (*work)(yk_op *op))
{
    return hand_over(op, loop, work) ? 0 : -EAGAIN;
}

void yk_offload_apart(yk_op *op, void (*work)(yk_op *op))
{
    if (!hand_over(op, NULL, work))
        work(op);
}

bool yk_offload_wait(yk_op *op, void (*work)(yk_op *op))
{
    op->loop = yk_offload_here();
    op->work = work;
    pthread_mutex_lock(&set.lock);
    bool taken = set.waits < most_threads() / 2 &&
                 (is_idle_thread_for_one_more() || (set.threads < most_threads() && start_thread()));
    if (taken) {
        op->state = WAIT_QUEUED;
        set.waits++;
        yk_ops_push(&set.queue, op);
        pthread_cond_signal(&set.work);
    }
    pthread_mutex_unlock(&set.lock);
    return taken;
}

bool yk_offload_cancel(yk_op *op)
{
    pthread_mutex_lock(&set.lock);
    bool taken = op->state == QUEUED || op->state == WAIT_QUEUED;
    if (taken) {
        set.waits -= op->state == WAIT_QUEUED;
        yk_ops_remove(&set.queue, op);
        op->state = 0;
    }
    pthread_mutex_unlock(&set.lock);
    return taken;
}

/* Under the lock. */
static bool is_served(const struct yk_loop *loop)
{
    for (const server *s = set.servers; s; s = s->next)
        if (s->loop == loop)
            return true;
    return false;
}

void yk_offload_leave(const struct yk_loop *loop)
{
    pthread_mutex_lock(&set.lock);
    set.leaving++;
    while (is_served(loop))
        pthread_cond_wait(&set.gone, &set.lock);
    set.leaving--;
    pthread_mutex_unlock(&set.lock);
}

void yk_offload_end(void)
{
    pthread_mutex_lock(&set.lock);
    set.ending = true;
    pthread_cond_broadcast(&set.work);
    while (set.threads > 0)
        pthread_cond_wait(&set.gone, &set.lock);
    set.ending = false;
    pthread_mutex_unlock(&set.lock);
}

unsigned yk_offload_most(void)
{
    pthread_mutex_lock(&set.lock);
    unsigned n = most_threads();
    pthread_mutex_unlock(&set.lock);
    return n;
}

unsigned yk_offload_threads(void)
{
    pthread_mutex_lock(&set.lock);
    unsigned n = set.threads;
    pthread_mutex_unlock(&set.lock);
    return n;
}
