/* pool: the `processes` executor: worker processes that crash alone. This file opens and closes it and joins it to the interface
 * of executors; shared.h says what the processes share, dispatch.c and harvest.c how jobs go out and come back, supervise.c what
 * happens when a worker dies, zygote.c where workers come from, worker.c what they do. */
#include "process/pool.h"
#include "topo/topo.h"
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define ARENA_WANTED ((size_t)16 << 30) /* address space for the parent and for each worker; memory only where touched */
#define ARENA_LEAST ((size_t)16 << 20)

/* ---- Opening ---- */

static size_t desks_offset(void)
{
    return YK_ALIGN_UP(sizeof(yk_board), PAGE);
}

static size_t arenas_offset(unsigned width)
{
    return YK_ALIGN_UP(desks_offset() + width * sizeof(yk_desk), PAGE);
}

/* Reserves as much address space as this machine allows, up to what is wanted. */
static int map_memory(yk_processes *p, yk_error *e)
{
    unsigned width = p->base.width;
    p->arena_count = width + YK_MIN(width, (unsigned)YK_SPARE_ARENAS);
    p->memory = yk_sys.memfd_create("yoke", MFD_CLOEXEC);
    if (p->memory < 0)
        return yk_errorf(e, errno, "no memory file for shared memory: %s", strerrordesc_np(errno));
    for (size_t arena = ARENA_WANTED; arena >= ARENA_LEAST; arena /= 2) {
        size_t size = arenas_offset(width) + arena * (p->arena_count + 1);
        if (size / (p->arena_count + 1) < arena || size > (size_t)64 << 40 || yk_sys.ftruncate(p->memory, (off_t)size) < 0)
            continue;
        void *map = yk_sys.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, p->memory, 0);
        if (map == MAP_FAILED)
            continue;
        p->map = map;
        p->map_size = size;
        p->arena_size = arena;
        p->board = map;
        atomic_store_explicit(&p->board->spinner, -1, memory_order_relaxed);
        p->desks = (yk_desk *)(void *)(p->map + desks_offset());
        p->arenas = p->map + arenas_offset(width) + arena; /* after the parent's own */
        p->window = (yk_window){.base = p->map, .size = size};
        return yk_arena_open(&p->arena, p->map + arenas_offset(width), arena);
    }
    return yk_errorf(e, ENOMEM, "no address space for shared memory (%zu MiB would do; see ulimit -v)",
                     (ARENA_LEAST * (p->arena_count + 1)) >> 20);
}

static int fork_zygote(yk_processes *p, yk_error *e)
{
    int pair[2];
    if (yk_sys.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return yk_errorf(e, errno, "no socket: %s", strerrordesc_np(errno));
    p->setup = (yk_zygote_setup){.socket = pair[1], .parent = getpid(), .base = p->map, .size = p->map_size,
                                 .board = p->board, .desks = p->desks, .arenas = p->arenas, .arena_size = p->arena_size,
                                 .width = p->base.width, .spin = yk_cpus_to_spare(), .device = p->device};
    p->socket = pair[0];
    p->known_tasks = yk_task_count();
    pid_t pid = yk_zygote_fork(&p->setup);
    close(pair[1]);
    if (pid < 0)
        return yk_errorf(e, pid, "cannot fork: %s", yoke_strerror(pid));
    p->zygote = pid;
    return 0;
}

/* Asks for all workers, and waits for the first: if that one cannot be started, none can. What the socket does not take now
 * the supervisor sends. */
static int start_workers(yk_processes *p, yk_error *e)
{
    for (unsigned i = 0; i < p->base.width; i++) {
        int err = yk_start_worker(p, i);
        if (err < 0 && (i == 0 || err == -EPIPE))
            return yk_errorf(e, err, "the zygote process is gone: %s", yoke_strerror(err));
    }
    yk_zygote_report first;
    struct iovec v = {&first, sizeof first};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t n;
    while ((n = yk_sys.recvmsg(p->socket, &m, MSG_PEEK)) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof first)
        return yk_errorf(e, n < 0 ? errno : ECHILD, "the zygote process could not start");
    if (first.news == YK_NEWS_FAILED)
        return yk_errorf(e, first.status ? first.status : EAGAIN, "cannot start a worker process: %s",
                         strerrordesc_np(first.status));
    return yk_hear(p, true) ? 0 : yk_errorf(e, ECHILD, "the zygote process is gone");
}

static int start_threads(yk_processes *p, yk_error *e)
{
    p->poke = yk_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->poke < 0)
        return yk_errorf(e, errno, "no eventfd: %s", strerrordesc_np(errno));
    int err = yk_thread_start(&p->supervisor, 0, yk_supervisor_thread, p);
    p->supervised = err == 0;
    if (err == 0) {
        err = yk_thread_start(&p->harvester, 0, yk_harvester_thread, p);
        p->harvesting = err == 0;
    }
    return err < 0 ? yk_errorf(e, err, "cannot start a thread: %s", yoke_strerror(err)) : 0;
}

static void processes_stop(yoke_executor *ex)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    p->stopping = true;
    yk_mutex_unlock(&p->lock);
    if (p->supervised) {
        yk_poke(p);
        pthread_join(p->supervisor, NULL);
        p->supervised = false;
    }
    if (p->harvesting) {
        atomic_fetch_add_explicit(&p->harvest_word, 1, memory_order_release);
        yk_futex_wake(&p->harvest_word, 1, false);
        yk_bell(p);
        pthread_join(p->harvester, NULL);
        p->harvesting = false;
    }
    /* The end of the socket ends the zygote, and that all workers; it waits for them, and we for it. */
    if (p->socket >= 0)
        close(p->socket);
    p->socket = -1;
    if (p->zygote > 0)
        while (waitpid(p->zygote, NULL, 0) < 0 && errno == EINTR)
            ;
    p->zygote = 0;
}

static void processes_close(yoke_executor *ex)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    processes_stop(ex);
    for (unsigned i = 0; i < p->base.width; i++) {
        if (p->clerks[i].pidfd >= 0)
            close(p->clerks[i].pidfd);
        free(p->clerks[i].overdue);
    }
    yk_arena_close(&p->arena);
    if (p->map)
        munmap(p->map, p->map_size);
    if (p->memory >= 0)
        close(p->memory);
    if (p->poke >= 0)
        close(p->poke);
    free(p->arena_books);
    free(p->device);
    free(p);
}

/* "4", "cuda:0", "2:cuda:0": how many workers, and the device that each of them is to have, *ret_device "" when none. A device
 * is busy with one worker's kernels, and each further one costs it memory for another context, so that one is the default. */
static int read_arg(const char *arg, unsigned *ret_width, const char **ret_device, yk_error *e)
{
    char number[64];
    size_t len = isalpha((unsigned char)*arg) ? 0 : strcspn(arg, ":");
    bool has_device = arg[len] != '\0';
    *ret_device = arg + len + (arg[len] == ':');
    snprintf(number, sizeof number, "%.*s", (int)len, arg);
    int err = yk_width_arg("processes", number, has_device ? 1 : yk_cpu_budget(), YK_PROCESSES_MAX, ret_width, e);
    if (err == 0 && has_device)
        err = yk_device_care_hook ? yk_device_care_hook->check(*ret_device, e) : yk_errorf(e, ENOENT, "there are no devices");
    if (err != -ENOENT)
        return err;
    yk_error own = *e;
    return yk_errorf(e, EINVAL, "bad \"processes:%.100s\": expected a number of workers, 1 to %d, a device, or both with a "
                                "colon between: %.300s", arg, YK_PROCESSES_MAX, own.text);
}

static int keep_device(yk_processes *p, const char *name)
{
    size_t size = strlen(name) + 1;
    if (size == 1)
        return 0;
    p->device = yk_sys.malloc(size);
    if (!p->device)
        return -ENOMEM;
    memcpy(p->device, name, size);
    return 0;
}

static int processes_open(const char *arg, yoke_executor **ret, yk_error *e)
{
    unsigned width;
    const char *device;
    int err = read_arg(arg, &width, &device, e);
    if (err < 0)
        return err;
    void *memory;
    size_t size = sizeof(yk_processes) + width * sizeof(yk_clerk);
    if (yk_sys.posix_memalign(&memory, YK_LINES, size) != 0)
        return yk_errorf(e, ENOMEM, "out of memory");
    yk_processes *p = memory;
    memset(p, 0, size);
    p->base.width = width;
    p->memory = p->socket = p->poke = -1;
    p->credit = 8;
    for (unsigned c = 0; c < YK_CLASSES; c++)
        yk_list_init(&p->backlog[c]);
    for (unsigned i = 0; i < width; i++)
        p->clerks[i].pidfd = p->clerks[i].arena = -1;
    e->text[0] = '\0';
    err = keep_device(p, device);
    if (err == 0)
        err = map_memory(p, e);
    if (err == 0) {
        p->arena_books = yk_sys.calloc(p->arena_count, sizeof *p->arena_books);
        err = p->arena_books ? fork_zygote(p, e) : -ENOMEM;
    }
    if (err == 0)
        err = start_workers(p, e);
    if (err == 0)
        err = start_threads(p, e);
    if (err < 0) {
        if (!e->text[0])
            yk_errorf(e, err, "%s", yoke_strerror(err));
        processes_close(&p->base);
        return err;
    }
    *ret = &p->base;
    return 0;
}

/* ---- Jobs ---- */

enum { LOOK_EVERY = 16 };

static void processes_submit(yoke_executor *ex, yk_job *job)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    yk_backlog_push(p, job);
    /* A long run of submits must not starve the workers it feeds. */
    if (p->backlog_count > 1 && ++p->submits % LOOK_EVERY == 0)
        yk_harvest(p, &o);
    yk_dispatch(p, &o);
    yk_call_harvester(p);
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
}

static void processes_poll(yoke_executor *ex)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    if (yk_has_news(p))
        yk_round(p);
}

/* Where a job is that a worker has; false when none has it. Locked, as is the next. */
static bool find_place(yk_processes *p, const yk_job *job, unsigned *ret_slot, uint64_t *ret_number)
{
    uint64_t place = job->owner.number, number = place & 0xffffffffffffu;
    unsigned slot = (unsigned)(place >> 48) - 1;
    const yk_clerk *c = place != 0 && slot < p->base.width ? &p->clerks[slot] : NULL;
    if (!c || number < c->next || number >= c->sent || c->jobs[number % YK_RING] != job)
        return false;
    *ret_slot = slot;
    *ret_number = number;
    return true;
}

/* False when its worker has begun it. The worker may have nothing else, and then no end of a job would bring it one of those that
 * wait. */
static bool take_back(yk_processes *p, yk_job *job, unsigned slot, uint64_t number, yk_outcome *o)
{
    yk_shipment *s = p->clerks[slot].shipments[number % YK_RING];
    if (!yk_revoke(p, slot, number))
        return false;
    p->in_flight--;
    p->timed -= job->opts.timeout != 0;
    if (s)
        yk_free_shipment(p, s);
    job->owner.number = 0;
    yk_dispatch(p, o);
    return true;
}

static bool processes_cancel(yoke_executor *ex, yk_job *job, bool expired)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    unsigned slot;
    uint64_t number;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    bool there = find_place(p, job, &slot, &number), back = there && take_back(p, job, slot, number, &o);
    if (there && !back) {
        atomic_store(&p->desks[slot].requests[number % YK_RING].cancel, YK_CANCEL);
        if (expired && yk_doom(p, slot, number))
            yk_dispatch(p, &o); /* what was saved from it */
    }
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
    return back;
}

static bool processes_take_back(yoke_executor *ex, yk_job *job)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    unsigned slot;
    uint64_t number;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    bool back = find_place(p, job, &slot, &number) && take_back(p, job, slot, number, &o);
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
    return back;
}

static void processes_progress(yoke_executor *ex, yk_job *job)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    uint64_t place = job->owner.number, number = place & 0xffffffffffffu;
    unsigned slot = (unsigned)(place >> 48) - 1;
    yk_clerk *c = place != 0 && slot < p->base.width ? &p->clerks[slot] : NULL;
    yk_desk *d = &p->desks[slot];
    if (c && c->jobs[number % YK_RING] == job && atomic_load(&d->claimed) == number)
        for (int i = 0; i < 2; i++)
            atomic_store_explicit(&job->progress[i], atomic_load_explicit(&d->progress[i], memory_order_relaxed),
                                  memory_order_relaxed);
    yk_mutex_unlock(&p->lock);
}

static void processes_hooked(yoke_executor *ex, yk_job *job)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    p->hooked++;
    yk_call_harvester(p);
    yk_mutex_unlock(&p->lock);
    yk_bell(p); /* whoever sleeps there now must ask for every ring */
}

static void processes_unhooked(yoke_executor *ex, unsigned count)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    p->hooked -= count;
    yk_mutex_unlock(&p->lock);
}

static void processes_released(yoke_executor *ex, yk_job *job)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    yk_return_block(p, (uint64_t)((char *)job->held - p->map));
    yk_mutex_unlock(&p->lock);
    job->held = NULL;
}

static void processes_wake(yoke_executor *ex)
{
    yk_bell((yk_processes *)(void *)ex);
}

static void processes_kill(yoke_executor *ex)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    p->no_restart = true;
    for (unsigned i = 0; i < p->base.width; i++)
        if (p->clerks[i].state == YK_PRESENT && p->clerks[i].outstanding > 0)
            yk_end_worker(p, i);
    yk_give_up(p, &o);
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
}

static void *processes_shared_alloc(yoke_executor *ex, size_t size)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    void *block = yk_arena_take(&p->arena, size);
    yk_mutex_unlock(&p->lock);
    return block;
}

static void processes_shared_free(yoke_executor *ex, void *memory)
{
    yk_processes *p = (yk_processes *)(void *)ex;
    yk_mutex_lock(&p->lock);
    yk_arena_give(&p->arena, memory);
    yk_mutex_unlock(&p->lock);
}

static int processes_doctor(yk_buf *out, yk_error *e)
{
    int memory = yk_sys.memfd_create("yoke-doctor", MFD_CLOEXEC);
    if (memory < 0)
        return yk_errorf(e, errno, "memfd_create: %s", strerrordesc_np(errno));
    close(memory);
    int pidfd = yk_sys.pidfd_open(getpid(), 0);
    yk_buf_printf(out, "  workers by default: %u, forked from a zygote\n", yk_cpu_budget());
    yk_buf_printf(out, "  shared memory: memory file, %zu GiB of addresses for each worker\n", ARENA_WANTED >> 30);
    yk_buf_printf(out, "  pidfd: %s\n", pidfd >= 0 ? "yes" : "no (Linux 5.3 has it); the zygote's socket is watched instead");
    if (pidfd >= 0)
        close(pidfd);
    if (yk_device_care_hook)
        yk_buf_text(out, "  with a device in each worker: processes:cuda:0, processes:2:opencl; one that is lost costs a job and "
                         "a worker\n");
    return 0;
}

static yk_executor_type processes_type = {
    .scheme = "processes",
    .about = "worker processes: a crash costs only the job that ran",
    .most = YK_PROCESSES_MAX,
    .capabilities = YK_ISOLATED | YK_CAN_KILL,
    .open = processes_open,
    .submit = processes_submit,
    .wait = yk_processes_wait,
    .wake = processes_wake,
    .poll = processes_poll,
    .progress = processes_progress,
    .cancel = processes_cancel,
    .take_back = processes_take_back,
    .hooked = processes_hooked,
    .unhooked = processes_unhooked,
    .released = processes_released,
    .unload = yk_processes_unload,
    .kill = processes_kill,
    .stop = processes_stop,
    .close = processes_close,
    .shared_alloc = processes_shared_alloc,
    .shared_free = processes_shared_free,
    .doctor = processes_doctor,
};

static __attribute__((constructor)) void register_processes(void)
{
    yk_executor_register(&processes_type);
}
