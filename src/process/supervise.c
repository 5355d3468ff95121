/* supervise: starting workers, noticing their deaths, replacing them; and ending those whose job has run out of time.
 *
 * The zygote reports every start and every end. When a worker has ended, its ring still says exactly what became of its
 * jobs: completed ones are read as always, the one that is CLAIMED and has no completion is the one it died of, and
 * those still READY go back to the head of the backlog. Then the desk is wiped and a new worker is asked for, at once,
 * unless workers keep dying before they have done anything. */
#include "process/pool.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_FIRST (1 * YOKE_MS)
#define RESTART_MAX (1 * YOKE_S)
#define ASK_AGAIN (10 * YOKE_MS)
#define ORPHANS_LAST (2 * YOKE_S) /* for those of a dead zygote to end before the rest goes on without them */
#define LINGER_LOOK (100 * YOKE_MS)
enum { QUICK = 3, HOPELESS = 12 }; /* deaths in a row before pauses begin, and before the backlog is given up */

void yk_poke(yk_processes *p)
{
    uint64_t one = 1;
    ssize_t n = write(p->poke, &one, sizeof one);
    (void)n; /* full means that it is awake anyway */
}

/* ---- Asking the zygote ---- */

static void note_unsent(yk_processes *p, yk_clerk *c, uint32_t ask)
{
    p->unsent += ask != YK_ASK_NOTHING;
    p->unsent -= c->unsent != YK_ASK_NOTHING;
    c->unsent = ask;
}

/* Never waits: the zygote reports over the same socket, and we, who hold the lock, are the ones who would read that. */
static int ask_zygote(yk_processes *p, uint32_t ask, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    yk_zygote_request q = {ask, slot, c->incarnation, c->arena};
    struct iovec v = {&q, sizeof q};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t n;
    while ((n = yk_sys.sendmsg(p->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EINTR)
        ;
    int err = n < 0 ? -errno : 0;
    note_unsent(p, c, err < 0 ? ask : YK_ASK_NOTHING);
    p->queue_full = err == -EAGAIN;
    return err;
}

/* By the pidfd, which cannot mean anybody else, wherever the worker has put itself; else by the zygote, whose child it is. What
 * its tasks have left in its group ends when the zygote buries it. */
static int kill_worker(yk_processes *p, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    if (c->pidfd < 0 || (yk_sys.pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH))
        return ask_zygote(p, YK_ASK_KILL, slot);
    note_unsent(p, c, YK_ASK_NOTHING);
    return 0;
}

void yk_end_worker(yk_processes *p, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    if (c->killing)
        return;
    c->killing = true;
    if (kill_worker(p, slot) < 0)
        yk_poke(p);
}

/* Asks again for what could not be sent. Returns when to try again; when the queue is full, the socket tells. Locked. */
static int64_t ask_again(yk_processes *p, int64_t now)
{
    for (unsigned i = 0; i < p->base.width && p->unsent > 0 && p->zygote > 0; i++) {
        uint32_t ask = p->clerks[i].unsent;
        if (ask == YK_ASK_NOTHING)
            continue;
        int err = ask == YK_ASK_KILL ? kill_worker(p, i) : ask_zygote(p, ask, i);
        if (err < 0)
            return err == -EAGAIN ? YOKE_FOREVER : now + ASK_AGAIN;
    }
    return YOKE_FOREVER;
}

/* ---- Starting ---- */

static int free_arena(yk_processes *p)
{
    for (unsigned i = 0; i < p->arena_count; i++)
        if (!p->arena_books[i].used && p->arena_books[i].held == 0) {
            p->arena_books[i].used = true;
            return (int)i;
        }
    return -1; /* such a worker cannot return large results, but works */
}

int yk_start_worker(yk_processes *p, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    c->incarnation++;
    c->state = YK_STARTING;
    c->arena = free_arena(p);
    c->restart_at = 0;
    int err = ask_zygote(p, YK_ASK_START, slot);
    if (err < 0)
        yk_poke(p);
    return err;
}

/* The desk as it was before its first worker. */
static void wipe(yk_processes *p, unsigned slot)
{
    yk_clerk *c = &p->clerks[slot];
    yk_desk *d = &p->desks[slot];
    atomic_store(&d->sent, 0);
    atomic_store(&d->ring_at, 0);
    atomic_store(&d->seen, 0);
    atomic_store(&d->returned, 0);
    atomic_store(&d->done, 0);
    atomic_store(&d->taken, 0);
    atomic_store(&d->returns_taken, 0);
    atomic_store(&d->sleeping, 0);
    atomic_store(&d->claimed_at, 0);
    atomic_store(&d->claimed, UINT64_MAX);
    /* Numbers begin anew: a completion of this worker must not pass for one of the next. */
    for (unsigned i = 0; i < YK_RING; i++)
        d->completions[i].number = UINT64_MAX;
    c->sent = c->next = c->seen = c->returned = 0;
    c->outstanding = 0;
    c->overdue_count = 0;
    c->doomed = c->timed_out = c->dirty = c->killing = false;
    note_unsent(p, c, YK_ASK_NOTHING);
    c->pid = 0;
    if (c->pidfd >= 0)
        close(c->pidfd);
    c->pidfd = -1;
    if (c->arena >= 0) {
        p->arena_books[c->arena].used = false;
        p->arena_books[c->arena].held++; /* empties the range now, if nobody holds a part of it */
        yk_drop_block(p, (uint64_t)(p->arenas - p->map) + (uint64_t)c->arena * p->arena_size);
        c->arena = -1;
    }
}

/* ---- Deaths ---- */

static const char closed[] = "stopped, because its executor is being closed";

static void fail(yk_processes *p, yk_job *job, const yk_clerk *c, const yk_zygote_report *r, yk_outcome *o)
{
    job->owner.number = 0;
    job->found_pause = -1;
    if (c->timed_out) {
        job->found_code = -ETIMEDOUT;
        job->found_error = yk_job_text(job, "timed out after %.6g s", (double)job->opts.timeout / 1e9);
    } else if (p->no_restart) {
        job->found_code = -ECANCELED;
        job->found_error = yk_job_text(job, closed);
    } else if (r->code == CLD_EXITED) {
        job->found_code = -EOWNERDEAD;
        job->cause = 256 + r->status;
        job->found_error = yk_job_text(job, "worker (pid %d) ended: the task called exit(%d)", (int)c->pid, r->status);
    } else {
        const char *name = sigabbrev_np(r->status), *text = sigdescr_np(r->status);
        job->found_code = -EOWNERDEAD;
        job->cause = r->status;
        job->found_error = yk_job_text(job, "worker (pid %d) killed by signal %d, SIG%s (%s)", (int)c->pid, r->status,
                                 name ? name : "?", text ? text : "unknown");
    }
}

/* From the newest to the oldest, so that the head of the backlog is the oldest. */
static void redistribute(yk_processes *p, unsigned slot, const yk_zygote_report *r, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    for (uint64_t number = c->sent; number-- > c->next;) {
        yk_job *job = c->jobs[number % YK_RING];
        yk_shipment *s = c->shipments[number % YK_RING];
        if (!job)
            continue;
        c->jobs[number % YK_RING] = NULL;
        if (atomic_load_explicit(&p->desks[slot].requests[number % YK_RING].state, memory_order_acquire) == YK_CELL_CLAIMED) {
            p->in_flight--;
            p->timed -= job->opts.timeout != 0;
            job->started = atomic_load_explicit(&p->desks[slot].claimed_at, memory_order_relaxed);
            job->ended = yoke_now();
            if (job->started <= 0 || job->started > job->ended) /* not begun, or scribbled over */
                job->started = job->ended;
            job->worker = slot;
            job->cargo = s;
            fail(p, job, c, r, o);
            yk_list_push(&o->finished, job);
            continue;
        }
        yk_requeue(p, job, s);
    }
}

/* Nobody can be started and nobody is there: whoever waits must be told. */
static void give_up_backlog(yk_processes *p, int error, yk_outcome *o)
{
    for (unsigned c = 0; c < YK_CLASSES; c++)
        for (yk_job *job; (job = yk_list_pop(&p->backlog[c]));) {
            p->backlog_count--;
            if (!yk_job_claim(job)) {
                yk_list_push(&o->dropped, job);
                continue;
            }
            job->found_code = error;
            job->found_error = error == -ECANCELED
                                   ? yk_job_text(job, closed)
                                   : yk_job_text(job, "no worker process can be started: %s", yoke_strerror(error));
            job->found_pause = -1;
            yk_list_push(&o->finished, job);
        }
}

static bool nobody_left(const yk_processes *p)
{
    for (unsigned i = 0; i < p->base.width; i++)
        if (p->clerks[i].state == YK_PRESENT ||
            (p->clerks[i].state != YK_LINGERING && p->clerks[i].quick_deaths < HOPELESS))
            return false;
    return true;
}

/* Each job has been cancelled, but one that was with a worker then may have come back when that died. */
void yk_give_up(yk_processes *p, yk_outcome *o)
{
    for (unsigned i = 0; i < p->base.width; i++)
        if (p->clerks[i].state == YK_STARTING || p->clerks[i].state == YK_PRESENT)
            return;
    give_up_backlog(p, -ECANCELED, o);
}

static void restart(yk_processes *p, unsigned slot, int error, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    c->state = YK_ABSENT;
    if (p->no_restart)
        yk_give_up(p, o);
    if (p->stopping || p->no_restart)
        return;
    c->quick_deaths++;
    if (c->quick_deaths <= QUICK) {
        yk_start_worker(p, slot);
        return;
    }
    if (nobody_left(p))
        give_up_backlog(p, error, o);
    unsigned doublings = YK_MIN(c->quick_deaths - QUICK, 10u);
    c->restart_at = yoke_now() + YK_MIN(RESTART_FIRST << doublings, RESTART_MAX);
}

static void worker_ended(yk_processes *p, unsigned slot, const yk_zygote_report *r, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    yk_harvest_one(p, slot, o);
    bool had_job = c->outstanding > 0;
    redistribute(p, slot, r, o);
    wipe(p, slot);
    if (had_job)
        c->quick_deaths = 0; /* it died of its job, not of itself */
    restart(p, slot, -EOWNERDEAD, o);
}

/* To be sure of its end, and to end it. -1: none, on old kernels, or because the program needs its descriptors itself. */
static int watch(pid_t pid)
{
    int fd = yk_sys.pidfd_open(pid, 0);
    struct rlimit limit;
    if (fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd >= limit.rlim_cur / 2) {
        close(fd);
        return -1;
    }
    return fd;
}

static void worker_started(yk_processes *p, unsigned slot, const yk_zygote_report *r)
{
    yk_clerk *c = &p->clerks[slot];
    c->pid = r->pid;
    c->pidfd = watch(r->pid);
    c->state = YK_PRESENT;
    c->started_at = yoke_now();
}

bool yk_hear(yk_processes *p, bool block)
{
    yk_zygote_report r;
    struct iovec v = {&r, sizeof r};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t n;
    while ((n = yk_sys.recvmsg(p->socket, &m, block ? 0 : MSG_DONTWAIT)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    if (n != (ssize_t)sizeof r || r.slot >= p->base.width || r.incarnation != p->clerks[r.slot].incarnation)
        return true;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    if (r.news == YK_NEWS_STARTED) {
        worker_started(p, r.slot, &r);
    } else if (r.news == YK_NEWS_ENDED) {
        worker_ended(p, r.slot, &r, &o);
    } else {
        wipe(p, r.slot);
        restart(p, r.slot, -r.status, &o);
    }
    yk_dispatch(p, &o);
    yk_call_harvester(p);
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
    yk_bell(p);
    return true;
}

/* ---- The zygote's own death ---- */

/* True when a worker that is not our child is dead for certain. */
static bool is_gone(const yk_clerk *c, int64_t deadline)
{
    int fd = c->pidfd >= 0 ? c->pidfd : yk_sys.pidfd_open(c->pid, 0);
    if (fd < 0) {
        while (kill(c->pid, 0) == 0) {
            if (yoke_now() >= deadline)
                return false;
            yk_sys.poll(NULL, 0, 1);
        }
        return errno == ESRCH;
    }
    struct pollfd f = {.fd = fd, .events = POLLIN};
    int n;
    do {
        int64_t left = deadline - yoke_now();
        left = YK_MAX(left, 0);
        n = yk_sys.poll(&f, 1, (int)((left + YOKE_MS - 1) / YOKE_MS));
    } while (n < 0 && yoke_now() < deadline);
    if (fd != c->pidfd)
        close(fd);
    return n > 0;
}

/* Its workers die with it; wait until they have, because their desks are about to be wiped. What their tasks have left behind
 * in their process groups is ended here, as the zygote would have done. The numbers are at most a moment old, far less than
 * the kernel needs to come round to them again. */
static void await_orphans(yk_processes *p)
{
    for (unsigned i = 0; i < p->base.width; i++)
        if (p->clerks[i].state == YK_PRESENT && p->clerks[i].pid > 0) {
            kill(-p->clerks[i].pid, SIGKILL);
            if (p->clerks[i].pidfd >= 0) /* it may have left its group, and asked not to be told of the zygote's death */
                yk_sys.pidfd_send_signal(p->clerks[i].pidfd, SIGKILL, NULL, 0);
            else
                kill(p->clerks[i].pid, SIGKILL);
        }
    int64_t deadline = yoke_now() + ORPHANS_LAST;
    for (unsigned i = 0; i < p->base.width; i++)
        p->clerks[i].lives_on = p->clerks[i].state == YK_PRESENT && !is_gone(&p->clerks[i], deadline);
}

/* A worker that does not end keeps its desk, its arena and what the job that it is at has of ours; all else is saved from it. */
static void let_linger(yk_processes *p, unsigned slot, const yk_zygote_report *r, yk_outcome *o)
{
    yk_clerk *c = &p->clerks[slot];
    yk_harvest_one(p, slot, o);
    for (uint64_t number = c->sent; number-- > c->next;) {
        yk_job *job = c->jobs[number % YK_RING];
        yk_shipment *s = c->shipments[number % YK_RING];
        if (!job)
            continue;
        if (yk_revoke(p, slot, number))
            yk_requeue(p, job, s);
        else if (s)
            s->block_count = 0; /* it may write there for as long as it lives */
    }
    redistribute(p, slot, r, o);
    c->outstanding = 0;
    c->next = c->sent;
    c->dirty = false;
    c->state = YK_LINGERING;
    if (nobody_left(p))
        give_up_backlog(p, -EOWNERDEAD, o);
}

/* Gives the desk of one that has ended after all to another. Returns when to look again. */
static int64_t look_at_lingering(yk_processes *p, unsigned slot, int64_t now, yk_outcome *o)
{
    if (!is_gone(&p->clerks[slot], 0)) {
        if (nobody_left(p))
            give_up_backlog(p, -EOWNERDEAD, o);
        return now + LINGER_LOOK;
    }
    wipe(p, slot);
    restart(p, slot, -EOWNERDEAD, o);
    return now;
}

static void new_zygote(yk_processes *p, yk_outcome *o)
{
    int pair[2];
    if (yk_sys.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    p->setup.socket = pair[1];
    p->known_tasks = yk_task_count();
    p->zygote = yk_zygote_fork(&p->setup);
    close(pair[1]);
    if (p->zygote < 0) {
        close(pair[0]);
        p->zygote = 0;
        return;
    }
    dup3(pair[0], p->socket, O_CLOEXEC); /* the old number stays valid for those who are about to send */
    close(pair[0]);
}

static void zygote_ended(yk_processes *p)
{
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    if (p->zygote > 0) {
        kill(p->zygote, SIGKILL); /* should only its socket be out of order */
        while (waitpid(p->zygote, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    yk_mutex_lock(&p->lock);
    p->zygote = 0;
    yk_mutex_unlock(&p->lock);
    await_orphans(p);
    yk_mutex_lock(&p->lock);
    if (!p->stopping) {
        new_zygote(p, &o);
        for (unsigned i = 0; i < p->base.width; i++) {
            yk_zygote_report r = {.code = CLD_KILLED, .status = SIGKILL};
            if (p->clerks[i].lives_on)
                let_linger(p, i, &r, &o);
            else if (p->clerks[i].state == YK_PRESENT)
                worker_ended(p, i, &r, &o);
            else if (p->clerks[i].state != YK_LINGERING)
                wipe(p, i), restart(p, i, -EOWNERDEAD, &o);
        }
        if (p->zygote == 0)
            give_up_backlog(p, -EAGAIN, &o);
        yk_dispatch(p, &o);
    }
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
    yk_bell(p);
}

/* ---- Time ---- */

/* When the worker began the job with a timeout that it runs, and that job's number; 0 when it runs none. It writes both without
 * a lock: number after having taken the time away, time after the number. */
static int64_t running_since(yk_desk *d, uint64_t *number)
{
    int64_t since = atomic_load_explicit(&d->claimed_at, memory_order_acquire);
    *number = atomic_load_explicit(&d->claimed, memory_order_acquire);
    return since == atomic_load_explicit(&d->claimed_at, memory_order_acquire) ? since : 0;
}

/* Ends a worker whose job has run for too long; else returns when that will be. */
static int64_t look_at_job(yk_processes *p, unsigned slot, int64_t now)
{
    yk_clerk *c = &p->clerks[slot];
    uint64_t number;
    int64_t since = running_since(&p->desks[slot], &number);
    if (c->state != YK_PRESENT || since == 0 || c->doomed || number < c->next || number >= c->sent)
        return YOKE_FOREVER;
    yk_job *job = c->jobs[number % YK_RING];
    if (!job || job->opts.timeout == 0)
        return YOKE_FOREVER;
    int64_t due = since > YOKE_FOREVER - job->opts.timeout ? YOKE_FOREVER : since + job->opts.timeout;
    if (due > now)
        return due;
    c->timed_out = yk_doom(p, slot, number);
    return YOKE_FOREVER;
}

/* Ends workers whose job has run for too long, and starts those whose pause is over. Returns when to look again, and whether to
 * do so as soon as the zygote has room in its queue. */
static int64_t look_at_clock(yk_processes *p, bool *ret_full)
{
    int64_t now = yoke_now(), next = YOKE_FOREVER;
    yk_outcome o;
    yk_list_init(&o.finished);
    yk_list_init(&o.dropped);
    yk_mutex_lock(&p->lock);
    if (p->timed > 0) {
        yk_harvest(p, &o); /* what has ended needs no more looking at, though nobody waits for it */
        for (unsigned i = 0; i < p->base.width; i++)
            next = YK_MIN(next, look_at_job(p, i, now));
        if (p->timed > 0)
            next = YK_MIN(next, now + p->least_timeout);
        yk_dispatch(p, &o);
    }
    for (unsigned i = 0; i < p->base.width; i++) {
        yk_clerk *c = &p->clerks[i];
        if (c->state == YK_LINGERING && !p->stopping)
            next = YK_MIN(next, look_at_lingering(p, i, now, &o));
        if (c->state != YK_ABSENT || c->restart_at == 0 || p->stopping)
            continue;
        if (c->restart_at <= now)
            yk_start_worker(p, i);
        else
            next = YK_MIN(next, c->restart_at);
    }
    next = YK_MIN(next, ask_again(p, now));
    *ret_full = p->unsent > 0 && p->queue_full;
    yk_mutex_unlock(&p->lock);
    yk_settle(p, &o);
    return next;
}

static int until(int64_t when)
{
    if (when == YOKE_FOREVER)
        return -1;
    int64_t ms = (when - yoke_now() + YOKE_MS - 1) / YOKE_MS;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

void *yk_supervisor_thread(void *arg)
{
    yk_processes *p = arg;
    pthread_setname_np(pthread_self(), "yoke-supervisor");
    struct pollfd fds[2] = {{.fd = p->socket, .events = POLLIN}, {.fd = p->poke, .events = POLLIN}};
    for (;;) {
        bool full;
        int64_t next = look_at_clock(p, &full);
        fds[0].fd = p->zygote > 0 ? p->socket : -1;
        fds[0].events = full ? POLLIN | POLLOUT : POLLIN;
        if (yk_sys.poll(fds, 2, p->zygote > 0 ? until(next) : 1000) < 0 && errno != EINTR)
            sched_yield(); /* out of kernel memory: try again */
        uint64_t pokes;
        if (fds[1].revents && read(p->poke, &pokes, sizeof pokes) < 0 && errno != EAGAIN)
            sched_yield();
        yk_mutex_lock(&p->lock);
        bool stop = p->stopping;
        yk_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        if (p->zygote == 0 || (fds[0].revents && !yk_hear(p, false)))
            zygote_ended(p);
    }
}
