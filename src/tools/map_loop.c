/* map_loop: records in, jobs on their way, results in order.
 *
 * One thread does it all: it finds a record, copies it into a job and submits it; every so often it writes out what has
 * ended at the head of the window. The window bounds everything: at most YK_MAP_WINDOW records, and YK_MAP_BYTES of text and
 * (expected) results, are between the reader and the writer. It sleeps only when it can neither read nor write:
 *
 *     no input yet     poll() on the input and an eventfd, which a hook on the head's job writes to
 *     window full      yoke_wait_until() on the head: no hook, so that executors need not notice ends by themselves
 *
 * With --unordered, --halt and --delay every job gets a hook, which puts its slot on a list of those that have ended.
 *
 * A record that has timed out has ended, but the thread that runs it goes on until the task returns, if it ever does. When all
 * threads are held so for long enough, the run ends and not the wait. */
#include "tools/map.h"
#include "base/line.h"
#include <unistd.h>

#define DRAIN_EVERY 64
#define FIRST_WINDOW 32
#define FLUSH_EVERY (50 * YOKE_MS)
#define NAP YOKE_MS
#define TICK (50 * YOKE_MS)
/* How long all threads must be held by records that timed out before they are given up: as long as --timeout, or this. */
#define GIVE_UP (1 * YOKE_S)
/* What a slot costs besides its text. */
#define SLOT_BYTES 512

typedef struct map_slot {
    yk_hook hook;
    struct map_window *window;
    struct map_slot *next; /* in the list of those that have ended, or of those that are free */
    yk_job *job;
    size_t len;            /* of the record */
    size_t taken;          /* bytes of the input that it was, its separator too */
    uint64_t number;
    bool hooked;
    bool ended;            /* the loop has seen it on the list */
    _Atomic bool fired;    /* the hook has run; written by whoever ends the job */
} map_slot;

/* Jobs that timed out while the thread that runs them goes on, and what was seen of them at the last look. */
typedef struct map_held {
    bool possible;         /* the executor cannot kill, and there is a timeout */
    bool told;
    yk_job **jobs;         /* those that have been written, each referred to; such a process ends by _exit(): map_run.c */
    size_t n, cap;
    int64_t next_look;
    uint64_t first;        /* lowest record among them, or 0 */
    size_t count;          /* of those in the window, too */
    uint64_t ended;        /* records */
    int64_t all_since;     /* nothing runs, all threads are held */
} map_held;

/* The loop's thread writes everything but: slots' fired, ended_list and sleeping (atomic). */
typedef struct map_window {
    map_slot slots[YK_MAP_WINDOW];
    uint64_t head, tail;   /* in order: slots head to tail are taken */
    map_slot *free;        /* out of order */
    size_t taken;
    uint64_t under_way;    /* with hook_all: submitted, and their ends not collected */
    unsigned width;        /* of the executor */
    size_t bytes;          /* of the texts of those taken */
    uint64_t waiting;      /* bytes of the input that they were: read, but not done */
    bool hook_all, unordered, synchronous;
    unsigned fresh;        /* submitted since the last drain */
    int64_t start_at;      /* --delay: not before */
    int64_t last_ended;    /* of the latest job written */
    uint64_t halt_ok, halt_failed;
    map_held held;
    int wake;
    _Atomic(map_slot *) ended_list;
    _Atomic bool sleeping;
} map_window;

/* ---- Hooks: called by whoever ends a job ---- */

static void wake_loop(map_window *w)
{
    if (atomic_exchange(&w->sleeping, false)) {
        uint64_t one = 1;
        ssize_t n = yk_sys.write(w->wake, &one, sizeof one);
        (void)n;
    }
}

static void job_ended(yk_hook *hook, yoke_future *job)
{
    map_slot *s = (map_slot *)(void *)hook;
    map_window *w = s->window;
    if (w->hook_all) {
        /* Pairs with the acquire in collect(). After it the slot may be used again. */
        s->next = atomic_load_explicit(&w->ended_list, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&w->ended_list, &s->next, s))
            ;
    } else {
        atomic_store(&s->fired, true);
    }
    wake_loop(w);
}

static void set_hook(map_slot *s)
{
    if (s->hooked)
        return;
    s->hooked = true;
    s->hook.fn = job_ended;
    yk_job_hook(s->job, &s->hook);
}

/* ---- The window ---- */

static map_window *open_window(yk_map *m)
{
    map_window *w = yk_sys.calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->wake = m->wake;
    w->unordered = m->c->unordered;
    w->hook_all = m->c->unordered || m->c->halt.when != YK_HALT_NEVER || m->c->delay > 0;
    w->synchronous = m->ex->type->capabilities & YK_SYNCHRONOUS;
    w->held.possible = m->c->opts.timeout > 0 && !(m->ex->type->capabilities & (YK_CAN_KILL | YK_SYNCHRONOUS));
    w->width = YK_MAX(yoke_executor_width(m->ex), 1u);
    for (size_t i = 0; i < YK_MAP_WINDOW; i++) {
        w->slots[i].window = w;
        w->slots[i].next = w->free;
        w->free = &w->slots[i];
    }
    return w;
}

static map_slot *head_slot(map_window *w)
{
    return &w->slots[w->head % YK_MAP_WINDOW];
}

static map_slot *take_slot(map_window *w)
{
    map_slot *s;
    if (w->unordered) {
        s = w->free;
        w->free = s->next;
    } else {
        s = &w->slots[w->tail++ % YK_MAP_WINDOW];
    }
    s->hooked = s->ended = false;
    atomic_store_explicit(&s->fired, false, memory_order_relaxed);
    w->taken++;
    return s;
}

static void give_slot(map_window *w, map_slot *s)
{
    w->bytes -= s->len + SLOT_BYTES;
    w->waiting -= s->taken;
    w->taken--;
    if (w->unordered) {
        s->next = w->free;
        w->free = s;
    } else {
        w->head++;
    }
}

/* How many may be under way. A delay is between starts, so nothing may be submitted that does not start at once; nor where
 * the next end may be the last that --halt wants, as what is short runs before it can be taken back. */
static uint64_t most_under_way(const yk_map *m, const map_window *w)
{
    const yk_halt *h = &m->c->halt;
    if (m->c->delay > 0)
        return w->width;
    if (h->when == YK_HALT_NEVER)
        return UINT64_MAX;
    uint64_t n = (h->why != YK_HALT_SUCCESS ? w->halt_failed : 0) + (h->why != YK_HALT_FAIL ? w->halt_ok : 0);
    return h->count > n ? w->width + YK_MIN(h->count - n - 1, (uint64_t)YK_MAP_WINDOW) : w->width;
}

static bool has_room(const yk_map *m, const map_window *w)
{
    if (w->taken == 0)
        return true;
    /* Nothing is known of the size of results at first, so the window opens as they come. */
    if (w->taken >= YK_MAP_WINDOW || w->under_way >= most_under_way(m, w))
        return false;
    if (w->taken >= FIRST_WINDOW + m->tally.ok + m->tally.failed)
        return false;
    return w->bytes + (size_t)(m->out.mean_result * (double)w->taken) < YK_MAP_BYTES;
}

static bool slot_ended(const map_window *w, const map_slot *s)
{
    if (w->hook_all)
        return s->ended;
    /* A slot with a hook must not be given back before the hook has run. */
    return s->hooked ? atomic_load(&s->fired) : yk_job_ended(s->job);
}

/* ---- Stopping ---- */

static void each_taken(map_window *w, void (*fn)(map_slot *s))
{
    if (!w->unordered) {
        for (uint64_t i = w->tail; i-- > w->head;)
            fn(&w->slots[i % YK_MAP_WINDOW]);
        return;
    }
    for (size_t i = 0; i < YK_MAP_WINDOW; i++)
        if (w->slots[i].job)
            fn(&w->slots[i]);
}

static void cancel_unstarted(map_slot *s)
{
    yk_job_take_back(s->job, -ECANCELED, "cancelled");
}

/* Stops reading. What has not started is cancelled; what runs goes on, unless it is to stop now. */
static void stop(yk_map *m, enum yk_map_stop how, const char *why, int status)
{
    if (m->stop >= how)
        return;
    if (m->stop == YK_MAP_RUNS) {
        m->stopped = why;
        m->status = status;
        each_taken(m->window, cancel_unstarted);
    }
    m->stop = how;
}

static void fail(yk_map *m, const yk_error *e, int status)
{
    if (e->code != -EINTR) /* the second interrupt came while a write was blocked; it is told elsewhere */
        yk_output_say(&m->out, "%s", e->text);
    m->status = YK_MAX(m->status, status);
    stop(m, YK_MAP_NOW, "error", m->status);
}

static void flush(yk_map *m)
{
    yk_error e;
    if (m->stop != YK_MAP_NOW && yk_output_flush(&m->out, &e) < 0)
        fail(m, &e, 1);
}

static void save_all(yk_map *m);

static void look_at_signals(yk_map *m)
{
    int count = yk_signals_count();
    if (YK_UNLIKELY(yk_signals_dying()))
        save_all(m);
    if (YK_LIKELY(count == 0) || m->stop == YK_MAP_NOW)
        return;
    if (count > 1) {
        const char *again = m->status == 130 ? " again" : "";
        stop(m, YK_MAP_NOW, "interrupted", 130);
        m->status = 130;
        yk_output_say(&m->out, "interrupted%s: stopping now", again);
    } else if (m->status != 130) {
        stop(m, YK_MAP_SOON, "interrupted", 130);
        m->status = 130;
        yk_output_say(&m->out, "interrupted: finishing what runs; interrupt again to stop now");
    }
}

static void look_at_halt(yk_map *m)
{
    map_window *w = m->window;
    if (m->c->halt.when == YK_HALT_NEVER || m->stop != YK_MAP_RUNS)
        return;
    enum yk_halt_when when = yk_halt_decide(&m->c->halt, w->halt_failed, w->halt_ok, m->in.nwords);
    if (when == YK_HALT_NEVER)
        return;
    yk_output_say(&m->out, "halting after %llu failed and %llu ok, as --halt says", (unsigned long long)w->halt_failed,
                  (unsigned long long)w->halt_ok);
    stop(m, when == YK_HALT_NOW ? YK_MAP_NOW : YK_MAP_SOON, "halt", 0);
}

/* ---- Records that timed out, and whose threads go on ---- */

/* The executor lets go of a job when its task has returned, however long ago it was ended. */
static bool goes_on(const yk_job *job)
{
    /* Pairs with the release of yk_job_unref(). */
    return job->code == -ETIMEDOUT && atomic_load_explicit(&job->refs, memory_order_acquire) > 1;
}

/* Takes over the reference to a job that has been written. */
static void let_go(map_window *w, yk_job *job)
{
    map_held *h = &w->held;
    if (YK_LIKELY(!h->possible || !goes_on(job))) {
        yoke_release(job);
        return;
    }
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 16;
        yk_job **grown = yk_sys.realloc(h->jobs, cap * sizeof *grown);
        if (!grown) {
            yoke_release(job);
            return;
        }
        h->jobs = grown;
        h->cap = cap;
    }
    h->jobs[h->n++] = job;
}

/* Those that are written, less those whose threads have come back meanwhile. */
static void look_at_written(map_held *h, map_held *seen)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++) {
        yk_job *job = h->jobs[i];
        if (goes_on(job)) {
            seen->first = seen->first ? YK_MIN(seen->first, job->user) : job->user;
            h->jobs[kept++] = job;
        } else {
            yoke_release(job);
        }
    }
    h->n = seen->count = kept;
}

/* True when none of the window's jobs runs, and at least one waits to. */
static bool all_wait(const map_window *w, map_held *seen)
{
    size_t n = w->unordered ? YK_MAP_WINDOW : (size_t)(w->tail - w->head), waiting = 0;
    for (size_t i = 0; i < n; i++) {
        const yk_job *job = w->slots[(w->unordered ? i : w->head + i) % YK_MAP_WINDOW].job;
        if (!job)
            continue;
        bool ended = yk_job_ended(job);
        seen->count += ended && goes_on(job);
        if (!ended && (atomic_load_explicit(&job->state, memory_order_relaxed) & YK_PHASE) > YK_QUEUED)
            return false;
        waiting += !ended;
    }
    return waiting > 0;
}

/* Tells once of a thread that goes on: not one that is about to see that it should stop, so only at the second look. Gives up
 * when nothing at all has happened for long enough; a pool may have spares for threads that sleep. */
static void look_at_held(yk_map *m)
{
    map_held *h = &m->window->held, seen = {.ended = m->tally.ok + m->tally.failed};
    int64_t now = h->possible ? yoke_now() : 0;
    if (YK_LIKELY(!h->possible) || now < h->next_look || m->stop == YK_MAP_NOW)
        return;
    h->next_look = now + TICK;
    look_at_written(h, &seen);
    bool wait = all_wait(m->window, &seen) && seen.count >= m->window->width;
    if (!h->told && seen.first > 0 && seen.first == h->first) {
        h->told = true;
        if (!m->c->quiet) {
            flush(m);
            yk_output_say(&m->out, "record %llu timed out, but its thread goes on: only --on processes can end a task",
                          (unsigned long long)seen.first);
        }
    }
    if (!wait || seen.count != h->count || seen.ended != h->ended)
        h->all_since = now;
    h->first = seen.first;
    h->count = seen.count;
    h->ended = seen.ended;
    if (now - h->all_since < YK_MAX(m->c->opts.timeout, GIVE_UP))
        return;
    m->all_held = m->window->width;
    stop(m, YK_MAP_NOW, "timeouts", 1);
}

/* ---- Results ---- */

static void write_slot(yk_map *m, map_slot *s)
{
    map_window *w = m->window;
    if (s->job->code == -ECANCELED && m->stop != YK_MAP_RUNS)
        m->tally.cancelled++;
    else
        yk_output_add(&m->out, s->job, s->number);
    w->last_ended = YK_MAX(w->last_ended, s->job->ended);
    let_go(w, s->job);
    s->job = NULL;
    give_slot(w, s);
}

/* Takes over the list of ended slots, oldest first; without an order they are written at once. */
static void collect(yk_map *m)
{
    map_window *w = m->window;
    map_slot *newest = atomic_exchange(&w->ended_list, NULL), *oldest = NULL;
    while (newest) {
        map_slot *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        map_slot *s = oldest;
        oldest = s->next;
        s->ended = true;
        w->under_way--;
        *(s->job->code == 0 ? &w->halt_ok : &w->halt_failed) += 1;
        if (w->unordered)
            write_slot(m, s);
        look_at_halt(m);
    }
}

static void tick_progress(yk_map *m, int64_t now)
{
    if (!m->progress.on)
        return;
    const yk_input *in = &m->in;
    yk_progress_state s = {.done = m->tally.ok + m->tally.failed + m->tally.skipped, .total = in->nwords,
                           .failed = m->tally.failed, .running = m->window->taken, .share = -1};
    if (in->total_bytes > 0) {
        uint64_t waiting = in->end - in->start + m->window->waiting;
        s.share = (double)(in->bytes - YK_MIN(waiting, in->bytes)) / (double)in->total_bytes;
    }
    yk_progress_tick(&m->progress, &s, now);
}

/* Writes what can be written, and sends it off when there is much of it or it has waited for long. */
static void drain(yk_map *m)
{
    map_window *w = m->window;
    w->fresh = 0;
    if (w->hook_all)
        collect(m);
    if (!w->unordered) {
        if (w->taken > 0 && m->ex->type->poll && !slot_ended(w, head_slot(w)))
            m->ex->type->poll(m->ex);
        while (w->taken > 0 && slot_ended(w, head_slot(w))) {
            write_slot(m, head_slot(w));
            if (YK_UNLIKELY(yk_output_is_full(&m->out)))
                flush(m);
        }
    }
    if (yk_output_is_full(&m->out) || w->last_ended - m->out.flushed > FLUSH_EVERY) {
        flush(m);
        tick_progress(m, m->out.flushed);
    }
}

/* Of a run that stops now, what has ended is written all the same, with gaps where something has not. */
static void write_rest(yk_map *m)
{
    map_window *w = m->window;
    if (w->hook_all)
        collect(m);
    for (uint64_t i = w->head; !w->unordered && i < w->tail; i++) {
        map_slot *s = &w->slots[i % YK_MAP_WINDOW];
        if (!slot_ended(w, s) || s->job->code == -ECANCELED)
            continue;
        yk_output_add(&m->out, s->job, s->number);
        s->job = yoke_release(s->job);
        w->taken--;
    }
}

/* Before a task of another thread ends the process. */
static void save_all(yk_map *m)
{
    yk_error e;
    m->stop = YK_MAP_NOW; /* what is collected is nothing to act upon any more */
    write_rest(m);
    yk_output_flush(&m->out, &e);
    yk_signals_saved();
}

/* ---- Sleeping ---- */

static bool has_news(const map_window *w)
{
    if (w->hook_all)
        return atomic_load(&w->ended_list) != NULL;
    return !w->unordered && w->taken > 0 && slot_ended(w, &w->slots[w->head % YK_MAP_WINDOW]);
}

/* Sleeps until the input is readable (watch_input), a job has ended, a signal has come, or the deadline. True when the input
 * is readable. */
static bool sleep_until(yk_map *m, bool watch_input, int64_t deadline)
{
    map_window *w = m->window;
    if (!w->hook_all && w->taken > 0)
        set_hook(head_slot(w));
    struct pollfd p[2] = {{.fd = m->wake, .events = POLLIN}, {.fd = watch_input ? m->in.fd : -1, .events = POLLIN}};
    int64_t left = deadline - yoke_now();
    int ms = deadline == YOKE_FOREVER ? -1 : left <= 0 ? 0 : (int)YK_MIN((left + YOKE_MS - 1) / YOKE_MS, 60000);
    /* In this order, and wake_loop() in the opposite one: either the news is seen here or the eventfd is written. */
    atomic_store(&w->sleeping, true);
    int n = yk_sys.poll(p, 2, has_news(w) ? 0 : ms);
    atomic_store(&w->sleeping, false);
    if (n > 0 && p[0].revents) {
        uint64_t count;
        ssize_t got = yk_sys.read(m->wake, &count, sizeof count);
        (void)got;
    }
    return n > 0 && p[1].revents;
}

/* How long a sleep may be: until the progress line is due, or a look at threads that may go on. */
static int64_t next_tick(const yk_map *m)
{
    const map_window *w = m->window;
    if (w->held.possible && (w->held.n > 0 || w->taken > 0))
        return yoke_now() + TICK;
    return m->progress.on ? yoke_now() + YK_PROGRESS_EVERY : YOKE_FOREVER;
}

/* Waits for the next job to end: a moment with what is to be written still in hand, then without. */
static void wait_for_job(yk_map *m)
{
    map_window *w = m->window;
    for (int round = 0; round < 2; round++) {
        int64_t deadline = yoke_now() + (round == 0 ? NAP : TICK);
        if (w->hook_all)
            sleep_until(m, false, deadline);
        else
            yoke_wait_until(head_slot(w)->job, deadline);
        if (has_news(w) || yk_signals_count() > 0)
            break;
        flush(m);
        tick_progress(m, yoke_now());
    }
    drain(m);
}

static void wait_for_input(yk_map *m)
{
    yk_error e;
    drain(m);
    if (m->in.fd >= 0) {
        struct pollfd p = {.fd = m->in.fd, .events = POLLIN};
        if (yk_sys.poll(&p, 1, 0) == 0) {
            flush(m);
            tick_progress(m, yoke_now());
            if (m->stop != YK_MAP_RUNS || !sleep_until(m, true, next_tick(m)))
                return;
        }
    }
    int err = yk_input_fill(&m->in, &e);
    if (err < 0 && err != -EINTR) {
        flush(m);
        yk_output_say(&m->out, "%s", e.text);
        stop(m, YK_MAP_SOON, "unreadable input", 2);
    }
}

static void wait_for_start(yk_map *m)
{
    flush(m);
    sleep_until(m, false, m->window->start_at);
    drain(m);
}

/* ---- Records ---- */

/* In a signal handler, so that nothing may be called that takes a lock. */
static void rescue(void *arg, const char *why)
{
    yk_map *m = arg;
    const yk_tally *t = &m->tally;
    yk_line line = {.len = 0};
    uint64_t done = t->ok + t->failed + t->skipped;
    yk_output_rescue(&m->out);
    if (!why)
        return;
    yk_line_text(&line, "yoke: ");
    yk_line_text(&line, why);
    yk_line_text(&line, ": stopping now\n");
    if (t->records > done && !m->c->quiet) {
        yk_line_text(&line, "yoke: ");
        yk_line_number(&line, t->records - done);
        yk_line_text(&line, " of ");
        yk_line_number(&line, t->records);
        yk_line_text(&line, " records read were not run\n");
    }
    yk_line_tell(&line);
}

/* With an executor that runs jobs in this thread, the second interrupt has to end the process from within the task. */
static void submit(yk_map *m, yk_job *job)
{
    if (m->window->synchronous)
        yk_signals_rescue(rescue, m);
    yk_job_submit(job, &m->c->opts);
    if (m->window->synchronous)
        yk_signals_rescue(NULL, NULL);
}

static yk_job *new_job(yk_map *m)
{
    yk_job *job = yk_job_new(m->ex, m->record);
    while (!job && m->window->taken > 0) {
        wait_for_job(m); /* frees some */
        job = yk_job_new(m->ex, m->record);
    }
    if (!job) {
        yk_error e;
        yk_errorf(&e, ENOMEM, "out of memory for another job");
        fail(m, &e, 1);
    }
    return job;
}

static void run_record(yk_map *m, const yk_record *r)
{
    map_window *w = m->window;
    yk_error e;
    yk_job *job = new_job(m);
    if (!job)
        return;
    int err = yk_map_check(r, &e);
    const char *text = yk_region_copy(&job->region, r->text, r->len);
    *(yoke_str *)job->args = text ? (yoke_str){text, r->len} : (yoke_str){"", 0};
    if (YK_UNLIKELY(!text && err == 0))
        err = yk_errorf(&e, ENOMEM, "out of memory for the record");
    map_slot *s = take_slot(w);
    s->job = job;
    s->len = r->len;
    s->number = job->user = r->number;
    s->taken = r->len + 1;
    w->bytes += s->len + SLOT_BYTES;
    w->waiting += s->taken;
    w->fresh++;
    if (YK_UNLIKELY(err < 0))
        yk_job_refuse(job, err, e.text);
    else
        submit(m, job);
    if (w->hook_all) {
        w->under_way++;
        set_hook(s);
    }
    if (m->c->delay > 0)
        w->start_at = yoke_now() + m->c->delay;
}

static void finish(yk_map *m)
{
    while (m->window->taken > 0 && m->stop != YK_MAP_NOW) {
        look_at_signals(m);
        look_at_held(m);
        wait_for_job(m);
    }
    if (m->stop == YK_MAP_NOW)
        write_rest(m);
    else
        drain(m);
    yk_error e;
    if (yk_output_flush(&m->out, &e) < 0 && m->stop != YK_MAP_NOW)
        fail(m, &e, 1);
    if (yk_signals_count() > 1) {
        m->status = 130;
        m->stopped = "interrupted";
    }
    m->tally.cancelled += m->window->taken;
}

static void take_record(yk_map *m, const yk_record *r)
{
    m->tally.records++;
    if (yk_seqset_has(&m->done, r->number)) {
        m->tally.skipped++;
        return;
    }
    run_record(m, r);
    if (m->window->fresh >= DRAIN_EVERY || m->window->synchronous || m->window->hook_all)
        drain(m);
}

void yk_map_loop(yk_map *m)
{
    m->window = open_window(m);
    if (!m->window) {
        yk_output_say(&m->out, "out of memory");
        m->status = 1;
        return;
    }
    m->out.flushed = yoke_now();
    while (m->stop == YK_MAP_RUNS) {
        yk_record r;
        look_at_signals(m);
        look_at_held(m);
        if (m->stop != YK_MAP_RUNS)
            break;
        if (!has_room(m, m->window)) {
            wait_for_job(m);
        } else if (m->window->start_at > 0 && m->window->start_at > yoke_now()) {
            wait_for_start(m);
        } else {
            int got = yk_input_next(&m->in, &r);
            if (got == -ENODATA)
                break;
            if (got == 1)
                take_record(m, &r);
            else
                wait_for_input(m);
        }
    }
    finish(m);
}
