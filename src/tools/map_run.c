/* map_run: opens all that a `yoke map` needs, runs its records, closes all again, and finds the exit code.
 *
 *     0 every record succeeded   1 some failed, or something could not be written   2 unreadable input or job log
 *     3 the executor could not start   130 interrupted
 */
#include "tools/map.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int open_log(yk_map *m, yk_error *e)
{
    m->log.fd = -1;
    if (!m->c->joblog || m->c->dry_run)
        return 0;
    yk_buf command = {0};
    yk_output_command(m->c, &command);
    int err = yk_joblog_open(&m->log, m->c->joblog, m->c->resume, yk_buf_str(&command), &m->done, e);
    yk_buf_done(&command);
    if (err == 0)
        m->out.log = &m->log;
    return err;
}

/* --dry-run: what would be run, as shell commands; records that are wrong are told as always. */
static void dry_run(yk_map *m)
{
    yk_error e, why;
    yk_record r;
    yk_buf command = {0};
    yk_output_command(m->c, &command);
    char *args = yk_sys.malloc(YK_MAX((size_t)m->c->task->args_size, (size_t)1));
    int got = args && !command.failed ? 0 : -ENOMEM;
    while (got >= 0 && yk_signals_count() == 0 && (got = yk_input_next(&m->in, &r)) >= 0) {
        if (got == 0) {
            int err = yk_input_fill(&m->in, &e);
            if (err < 0 && err != -EINTR) {
                yk_output_say(&m->out, "%s", e.text);
                m->status = 2;
                break;
            }
            continue;
        }
        yk_region region;
        yk_region_init(&region, NULL, 0, NULL);
        m->tally.records++;
        if (yk_map_args(m->c, m->c->task, &r, &region, args, &e) < 0) {
            m->tally.failed++;
            yk_output_say(&m->out, "record %llu: %s", (unsigned long long)r.number, e.text);
        } else {
            yk_buf_put(&m->out.results, command.ptr, command.len);
            yk_shell_quote(&m->out.results, r.text, r.len);
            yk_buf_char(&m->out.results, '\n');
        }
        yk_region_done(&region);
        if (yk_output_is_full(&m->out) && yk_output_flush(&m->out, &why) < 0)
            break;
    }
    if (yk_output_flush(&m->out, &why) < 0) {
        yk_output_say(&m->out, "%s", why.text);
        m->status = 1;
    }
    free(args);
    yk_buf_done(&command);
}

/* Writes the summary; true when it could be written. */
static bool write_summary(yk_map *m)
{
    const yk_map_config *c = m->c;
    yk_buf text = {0};
    yk_tally_summary(&m->tally, c->task->name, c->uri, m->ex ? yoke_executor_width(m->ex) : 0, m->stopped, yoke_now(), &text);
    int err = text.failed ? -ENOMEM : 0, fd = STDERR_FILENO;
    if (err == 0 && c->summary_file)
        fd = strcmp(c->summary_file, "-") == 0 ? STDOUT_FILENO
                                               : yk_sys.openat(AT_FDCWD, c->summary_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                                                               0666);
    if (fd < 0)
        err = -errno;
    if (err == 0)
        err = yk_write_all(fd, text.ptr, text.len, &yk_signals_hard);
    if (fd > STDERR_FILENO && close(fd) < 0 && err == 0)
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
    if (m->stopped && t->cancelled > 0 && !m->c->quiet)
        yk_output_say(&m->out, "%llu of %llu records read were not run", (unsigned long long)t->cancelled,
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
        if (m->stop == YK_MAP_NOW)
            yoke_close_now(m->ex);
        else
            yoke_close(m->ex);
        m->ex = NULL;
    }
    int err = m->c->trace ? yoke_trace_close() : 0;
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

static int start(yk_map *m)
{
    const yk_map_config *c = m->c;
    yk_error e;
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
        return refuse(m, 1, "cannot write results: standard output is closed");
    if (yk_input_open(&m->in, c->paths, c->npaths, c->words, c->nwords, c->null ? '\0' : '\n', &e) < 0)
        return refuse(m, 2, e.text);
    if (open_log(m, &e) < 0)
        return refuse(m, 2, e.text);
    m->wake = yk_signals_open();
    if (m->wake < 0)
        return refuse(m, 3, "cannot watch for interrupts: no more file descriptors");
    int err = c->trace && !c->dry_run ? yoke_trace_open(c->trace) : 0;
    if (err < 0) {
        yk_errorf(&e, -err, "cannot open the trace %s: %s", c->trace, strerror(-err));
        return refuse(m, 2, e.text);
    }
    if (c->dry_run)
        return 0;
    m->ex = yoke_open(c->uri);
    if (yoke_executor_status(m->ex) < 0)
        return refuse(m, yoke_executor_status(m->ex) == -EINVAL ? 2 : 3, yoke_executor_error(m->ex));
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
        dry_run(&m);
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
