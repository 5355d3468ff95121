/* map_run: opens all that a `yoke map` needs, runs its records, closes all again, and finds the exit code.
 *
 *     0 every record succeeded   1 some failed, or something could not be written   2 unreadable input or job log
 *     3 the executor could not start   130 interrupted
 *
 * The signal handler counts and writes to an eventfd, nothing more, so that it may run in any thread. One case needs more:
 * when a task runs inside the loop's own thread (the inline executor), the loop cannot look at the count; there the second
 * interrupt writes out what is complete, says so, and ends the process from the handler. */
#include "tools/map.h"
#include "tools/commands.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Interrupts ---- */

/* How long a dying process waits for its results to be written. */
#define LAST_WISH (2 * YOKE_S)

_Atomic int yk_signals_hard;
static _Atomic int arrived;
static int wake_fd = -1;
static void (*_Atomic rescue_fn)(void *arg, const char *why);
static void *rescue_arg;
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
static struct sigaction before[YK_COUNT_OF(caught)];

static void interrupted(int number)
{
    int saved = errno;
    int more = number == SIGTERM ? 2 : 1, count = atomic_fetch_add(&arrived, more) + more; /* who terminates does not ask twice */
    if (count > 1)
        atomic_store(&yk_signals_hard, 1);
    void (*rescue)(void *, const char *) = atomic_load(&rescue_fn);
    if (count > 1 && rescue) {
        rescue(rescue_arg, count > more ? "interrupted again" : "interrupted");
        yk_end_command(130);
    }
    uint64_t one = 1;
    ssize_t n = yk_sys.write(wake_fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

int yk_signals_open(void)
{
    wake_fd = yk_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return -errno;
    atomic_store(&arrived, 0);
    atomic_store(&yk_signals_hard, 0);
    for (size_t i = 0; i < YK_COUNT_OF(caught); i++) {
        struct sigaction a = {.sa_handler = caught[i] == SIGPIPE ? SIG_IGN : interrupted};
        sigaction(caught[i], NULL, &before[i]);
        /* What nohup or a shell's & made ignored stays ignored. */
        if (before[i].sa_handler != SIG_IGN)
            sigaction(caught[i], &a, NULL);
    }
    return wake_fd;
}

int yk_signals_count(void)
{
    return atomic_load_explicit(&arrived, memory_order_relaxed);
}

void yk_signals_rescue(void (*fn)(void *arg, const char *why), void *arg)
{
    rescue_arg = arg;
    atomic_store(&rescue_fn, fn);
}

/* ---- The end of this process from within a task ---- */

enum { WISH_NONE, WISH_MADE, WISH_GRANTED };
static _Atomic int wish;

/* In the loop's own thread what is complete can be written at once; from another one the loop is asked to, and may be unable. */
static void make_last_wish(void)
{
    void (*rescue)(void *, const char *) = atomic_load(&rescue_fn);
    if (rescue) {
        rescue(rescue_arg, NULL);
        return;
    }
    uint64_t one = 1;
    atomic_store(&wish, WISH_MADE);
    ssize_t n = yk_sys.write(wake_fd, &one, sizeof one);
    (void)n;
    for (int64_t end = yoke_now() + LAST_WISH; atomic_load(&wish) != WISH_GRANTED && yoke_now() < end;)
        usleep(1000);
}

bool yk_signals_dying(void)
{
    return atomic_load_explicit(&wish, memory_order_relaxed) == WISH_MADE;
}

void yk_signals_saved(void)
{
    atomic_store(&wish, WISH_GRANTED);
    for (;;)
        pause();
}

void yk_signals_close(void)
{
    atomic_store(&yk_last_wish, NULL);
    for (size_t i = 0; i < YK_COUNT_OF(caught); i++)
        sigaction(caught[i], &before[i], NULL);
    close(wake_fd);
    wake_fd = -1;
}

/* ---- Opening and closing ---- */

/* A log that is also an input, the trace or the summary would destroy it, or itself. */
static int is_apart(const yk_map *m, yk_error *e)
{
    const yk_map_config *c = m->c;
    struct stat log, other;
    if (fstat(m->log.fd, &log) < 0 || !S_ISREG(log.st_mode))
        return 0;
    for (size_t i = 0; i < c->npaths + 2; i++) {
        const char *path = i < c->npaths ? c->paths[i] : i == c->npaths ? c->trace : c->summary_file;
        if (path && stat(path, &other) == 0 && other.st_dev == log.st_dev && other.st_ino == log.st_ino)
            return yk_errorf(e, EINVAL, "%s cannot be the job log too", path);
    }
    return 0;
}

static int open_log(yk_map *m, yk_error *e)
{
    m->log.fd = -1;
    if (!m->c->joblog || m->c->dry_run)
        return 0;
    yk_buf command = {0};
    yk_map_command_line(m->c, &command);
    int err = yk_joblog_open(&m->log, m->c->joblog, m->c->resume, yk_buf_str(&command), &m->done, e);
    yk_buf_done(&command);
    if (err == 0)
        err = is_apart(m, e);
    if (err == 0)
        m->out.log = &m->log;
    return err;
}

/* Writes the summary; true when it could be written. */
static bool write_summary(yk_map *m)
{
    const yk_map_config *c = m->c;
    yk_buf text = {0};
    yk_tally_summary(&m->tally, c->task->name, c->uri, m->ex ? yoke_executor_width(m->ex) : 0, m->stopped, yoke_now(), &text);
    int err = text.failed ? -ENOMEM : 0, fd = STDERR_FILENO;
    if (err == 0 && c->summary_file && strcmp(c->summary_file, "-") == 0)
        fd = yk_results_fd;
    else if (err == 0 && c->summary_file)
        fd = yk_sys.openat(AT_FDCWD, c->summary_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        err = -errno;
    if (err == 0)
        err = yk_write_all(fd, text.ptr, text.len, &yk_signals_hard);
    if (fd > STDERR_FILENO && fd != yk_results_fd && close(fd) < 0 && err == 0)
        err = -errno;
    if (err < 0)
        yk_output_say(&m->out, "cannot write the summary: %s", strerror(-err));
    yk_buf_done(&text);
    return err == 0;
}

static void last_words(yk_map *m)
{
    const yk_tally *t = &m->tally;
    yk_progress_state s = {.done = t->ok + t->failed + t->skipped, .total = m->in.nwords, .failed = t->failed, .share = -1};
    yk_progress_close(&m->progress, &s, yoke_now());
    char why[100] = "";
    if (m->all_held > 1)
        snprintf(why, sizeof why, "all %u threads are held by records that timed out; ", m->all_held);
    else if (m->all_held == 1)
        snprintf(why, sizeof why, "the only thread is held by a record that timed out; ");
    if (m->stopped && t->cancelled > 0 && (!m->c->quiet || *why))
        yk_output_say(&m->out, "%s%llu of %llu records read were not run", why, (unsigned long long)t->cancelled,
                      (unsigned long long)t->records);
    if (t->failed > 0 && m->c->quiet && !m->c->errors_inline)
        yk_output_say(&m->out, "%llu of %llu records failed", (unsigned long long)t->failed, (unsigned long long)t->records);
    if (m->c->summary && !write_summary(m) && m->status == 0)
        m->status = 1;
    if (t->failed > 0 && m->status == 0)
        m->status = 1;
}

/* Closes what the jobs may still use. A task that runs on in a thread cannot be stopped or waited for: then the process must
 * end with it. */
static void close_jobs(yk_map *m)
{
    bool can_kill = m->ex && m->ex->type->capabilities & YK_CAN_KILL;
    bool stuck = m->ex && !can_kill && !(m->ex->type->capabilities & YK_SYNCHRONOUS) &&
                 (m->stop == YK_MAP_NOW || m->tally.timed_out > 0);
    if (!stuck && m->ex) {
        if (m->stop == YK_MAP_NOW) {
            yoke_on_lost_error(NULL, NULL); /* of those that it kills */
            yoke_close_now(m->ex);
        } else {
            yoke_close(m->ex);
        }
        m->ex = NULL;
    }
    int err = m->tracing ? yoke_trace_close() : 0;
    if (err < 0) {
        yk_output_say(&m->out, "cannot write the trace %s: %s", m->c->trace, strerror(-err));
        if (m->status == 0)
            m->status = 1;
    }
    if (stuck)
        _exit(m->status);
}

static int refuse(yk_map *m, int status, const char *text)
{
    yk_output_say(&m->out, "%s", text);
    return status;
}

/* A disk that fails is no wrong usage. */
static bool is_full(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EFBIG || code == -EIO;
}

static int start(yk_map *m)
{
    const yk_map_config *c = m->c;
    yk_error e;
    if (yk_results_closed())
        return refuse(m, 1, "cannot write results: standard output is closed");
    if (yk_input_open(&m->in, c->paths, c->npaths, c->words, c->nwords, c->null ? '\0' : '\n', &e) < 0)
        return refuse(m, 2, e.text);
    if (open_log(m, &e) < 0)
        return refuse(m, is_full(e.code) ? 1 : 2, e.text);
    m->wake = yk_signals_open();
    if (m->wake < 0)
        return refuse(m, 3, "cannot watch for interrupts: no more file descriptors");
    int err = c->trace && !c->dry_run ? yoke_trace_open(c->trace) : 0;
    if (err < 0) {
        yk_errorf(&e, -err, "cannot open the trace %s: %s", c->trace, strerror(-err));
        return refuse(m, 2, e.text);
    }
    m->tracing = c->trace && !c->dry_run;
    if (c->dry_run)
        return 0;
    if (yk_map_record_task(c, &m->record) < 0)
        return refuse(m, 1, "out of memory");
    m->ex = yoke_open(c->uri);
    if (yoke_executor_status(m->ex) < 0)
        return refuse(m, yoke_executor_status(m->ex) == -EINVAL ? 2 : 3, yoke_executor_error(m->ex));
    m->ex->timed = true; /* for the joblog and the summary */
    if (m->out.log && yk_joblog_begin(&m->log, c->joblog, &e) < 0)
        return refuse(m, is_full(e.code) ? 1 : 2, e.text);
    if (!(m->ex->type->capabilities & YK_ISOLATED))
        yk_watch_crashes();
    atomic_store(&yk_last_wish, make_last_wish);
    yk_progress_open(&m->progress, STDERR_FILENO, c->progress, c->quiet);
    return 0;
}

int yk_map_run(const yk_map_config *c)
{
    yk_map m = {.c = c, .wake = -1, .in.fd = -1, .log.fd = -1};
    m.out = (yk_output){.c = c, .tally = &m.tally, .progress = &m.progress};
    m.status = start(&m);
    m.tally.began = yoke_now();
    if (m.status == 0 && c->dry_run) {
        yk_map_dry_run(&m);
        m.status = m.status ? m.status : m.tally.failed > 0;
    } else if (m.status == 0) {
        yk_map_loop(&m);
        last_words(&m);
    }
    close_jobs(&m);
    if (m.wake >= 0)
        yk_signals_close();
    yk_input_close(&m.in);
    yk_joblog_close(&m.log);
    yk_seqset_done(&m.done);
    yk_output_done(&m.out);
    free(m.window);
    return m.status;
}
