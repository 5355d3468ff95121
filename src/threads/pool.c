/* pool: the `threads` executor: a work-stealing pool of threads in this process. This file opens and closes it and joins it
 * to the interface of executors; queue.c says where jobs wait, worker.c what a thread does, deque.c how stealing works. */
#include "threads/pool.h"
#include "topo/topo.h"
#include <stdlib.h>

static void pool_free(yk_pool *p)
{
    for (uint32_t i = 0; i < atomic_load_explicit(&p->worker_count, memory_order_relaxed); i++)
        yk_pool_worker_free(p->workers[i]);
    yk_inbox_done(&p->inbox);
    free(p);
}

static int pool_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    unsigned width;
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    int err = yk_width_arg("threads", arg, cpus.budget, YK_POOL_MAX, &width, e);
    if (err < 0)
        return err;
    unsigned most = YK_MAX(width, YK_MIN(cpus.online, (unsigned)YK_POOL_MAX));
    uint32_t slots = (*arg ? width : most) + YK_POOL_SPARES + YK_POOL_GUESTS;
    void *memory;
    if (yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(yk_pool) + slots * sizeof(yk_pool_worker *)) != 0)
        return yk_errorf(e, ENOMEM, "out of memory");
    yk_pool *p = memory;
    memset(p, 0, sizeof *p);
    p->base.width = width;
    p->own_width = *arg != '\0';
    p->places_max = most;
    p->looked_at = p->opened = yoke_now();
    p->places = (int32_t)width;
    p->room = slots;
    for (int i = 0; i < YK_PRIORITIES; i++)
        p->lists[i].last = &p->lists[i].first;
    if (!yk_inbox_init(&p->inbox)) {
        free(p);
        return yk_errorf(e, ENOMEM, "out of memory");
    }
    for (unsigned i = 0; i < width; i++) {
        yk_mutex_lock(&p->park_lock);
        err = yk_pool_add_worker(p);
        yk_mutex_unlock(&p->park_lock);
        if (err < 0) {
            yk_pool_stop(p);
            pool_free(p);
            return yk_errorf(e, err, "cannot start thread %u of %u: %s", i + 1, width, yoke_strerror(err));
        }
    }
    yk_pool_budget(p, &cpus);
    *ret = &p->base;
    return 0;
}

static void pool_submit(yoke_executor *ex, yk_job *job)
{
    yk_pool_put((yk_pool *)(void *)ex, job);
}

/* A task that waits for a job of its own pool runs it at once if nobody has claimed it: the wait costs nothing, and a pool
 * whose every worker waits for queued jobs still makes progress. The queue's entry for it is dropped when it turns up. */
static bool pool_help(yoke_executor *ex, yk_job *job)
{
    yk_pool_worker *w = yk_pool_self((yk_pool *)(void *)ex);
    if (!w || !yk_job_claim(job))
        return false;
    yoke_ref(job); /* the queue's entry keeps the executor's reference; finish consumes this one */
    yk_job_execute(job, w->index);
    return yk_job_ended(job); /* not when it is to be tried again */
}

static yk_job *pool_take(yoke_executor *ex)
{
    yk_pool_worker *w = yk_pool_self((yk_pool *)(void *)ex);
    return w && !w->guest ? yk_pool_next(w) : NULL;
}

static void pool_give_back(yoke_executor *ex, yk_job *job)
{
    yk_pool_put((yk_pool *)(void *)ex, job); /* on top of the worker's own, which are taken from there */
}

/* The task sees its flag by itself; forks look only when asked. */
static bool pool_cancel(yoke_executor *ex, yk_job *job, bool expired)
{
    yk_forks_ask((yk_pool *)(void *)ex);
    return false;
}

static void pool_stop(yoke_executor *ex)
{
    yk_pool_stop((yk_pool *)(void *)ex);
}

static void pool_close(yoke_executor *ex)
{
    yk_pool *p = (yk_pool *)(void *)ex;
    yk_pool_stop(p);
    pool_free(p);
}

static int pool_doctor(yk_buf *out, yk_error *e)
{
    yk_cpus cpus;
    yk_cpus_read(&cpus);
    yk_buf_printf(out, "  workers by default: %u (CPUs online %u, affinity %u, ", cpus.budget, cpus.online, cpus.affinity);
    if (cpus.quota > 0)
        yk_buf_printf(out, "cgroup quota %.2f)\n", cpus.quota);
    else
        yk_buf_text(out, "no cgroup quota)\n");
    return 0;
}

static yk_executor_type threads_type = {
    .scheme = "threads",
    .about = "a work-stealing pool of threads in this process",
    .most = YK_POOL_MAX,
    .capabilities = YK_SHARES_MEMORY | YK_LEAN,
    .open = pool_open,
    .submit = pool_submit,
    .help = pool_help,
    .take = pool_take,
    .give_back = pool_give_back,
    .cancel = pool_cancel,
    .stop = pool_stop,
    .close = pool_close,
    .doctor = pool_doctor,
};

yk_pool *yk_pool_of(yoke_executor *ex)
{
    /* By what it does and not by its name: a pool may have a device besides (gpu/executor.c). */
    bool ours = ex && ex->type->submit == pool_submit && ex->status == 0 && !yk_is_of_parent(ex);
    return ours ? (yk_pool *)(void *)ex : NULL;
}

static __attribute__((constructor)) void register_threads(void)
{
    yk_executor_register(&threads_type);
}
