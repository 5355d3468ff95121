/* map_output: result lines, error lines and job log rows.
 *
 * Three buffers, always written in one order: results, errors, job log. So a row in the log means that the record's line has
 * left, and a run that is killed at any moment can be resumed without losing a record; at worst, those between the two
 * writes are run and printed again. */
#include "tools/map.h"
#include "tools/commands.h"
#include <stdio.h>
#include <unistd.h>

#define FULL ((size_t)128 << 10)

/* One line, whatever the task put into its message. */
static void put_plain(yk_buf *out, const char *text)
{
    size_t start = out->len;
    yk_buf_text(out, text);
    if (!out->failed)
        yk_plain(out->ptr + start, out->len - start, true);
}

static void put_error_object(yk_buf *out, const yk_job *job, uint64_t number, int code, const char *text)
{
    yk_buf_text(out, "{\"record\": ");
    yk_json_u64(out, number);
    yk_buf_text(out, ", \"task\": ");
    yk_json_quote(out, job->task->name, strlen(job->task->name));
    yk_buf_text(out, ", \"code\": ");
    yk_json_i64(out, code);
    yk_buf_text(out, ", \"error\": ");
    yk_json_quote(out, text, strlen(text));
    yk_buf_text(out, "}\n");
}

static void put_error(yk_output *o, const yk_job *job, uint64_t number, int code, const char *text)
{
    if (o->c->errors_inline) {
        put_error_object(&o->results, job, number, code, text);
    } else if (o->c->json) {
        put_error_object(&o->errors, job, number, code, text);
    } else if (!o->c->quiet) {
        yk_buf_text(&o->errors, "yoke: record ");
        yk_json_u64(&o->errors, number);
        yk_buf_text(&o->errors, ": ");
        put_plain(&o->errors, text);
        yk_buf_char(&o->errors, '\n');
    }
}

/* How the log tells an end: see joblog.h. */
static void set_exit(yk_joblog_row *row, const yk_job *job, int code)
{
    row->exitval = code == 0 ? 0 : 1;
    row->signal = 0;
    if (code == -ETIMEDOUT) {
        row->exitval = -1;
        row->signal = SIGTERM;
    } else if (job->cause > 0 && job->cause < 256 && code != 0) {
        row->exitval = 0;
        row->signal = job->cause;
    } else if (job->cause > 256 && code != 0) {
        row->exitval = job->cause - 256;
    }
}

/* The result line, or on failure the error's. */
static int put_line(yk_output *o, yk_job *job, uint64_t number)
{
    const yoke_str *line = job->ret;
    if (YK_LIKELY(job->code == 0))
        yk_buf_put(&o->results, line->ptr, line->len);
    else
        put_error(o, job, number, job->code, yoke_error(job));
    return job->code;
}

bool yk_output_add(yk_output *o, yk_job *job, uint64_t number)
{
    size_t start = o->results.len;
    int code = put_line(o, job, number);
    size_t line = o->results.len - start;
    o->tally->out_bytes += line;
    double more = (double)line - o->mean_result;
    o->mean_result += more > 0 ? more / 4 : more / 64; /* quick to see that results are large */
    o->tally->ok += code == 0;
    o->tally->failed += code != 0;
    o->tally->timed_out += code == -ETIMEDOUT;
    if (job->ended >= job->started && job->started > 0)
        yk_tally_time(o->tally, job->ended - job->started);
    if (o->log) {
        const yoke_str *record = job->args;
        yk_joblog_row row = {.seq = number, .started = job->started, .ended = job->ended, .receive = line,
                             .record = record->ptr, .len = record->len};
        if (row.started == 0)
            row.started = row.ended = yoke_now();
        if (row.ended < row.started)
            row.ended = yoke_now();
        set_exit(&row, job, code);
        yk_joblog_add(o->log, &row);
    }
    return code == 0;
}

bool yk_output_is_full(const yk_output *o)
{
    return o->results.len >= FULL || o->errors.len >= FULL || (o->log && o->log->rows.len >= 2 * FULL);
}

static int write_errors(yk_output *o)
{
    if (o->errors.len == 0)
        return 0;
    yk_progress_clear(o->progress);
    /* A stderr that cannot be written is no reason to stop, but one that is out of memory would hide errors. */
    yk_write_all(STDERR_FILENO, o->errors.ptr, o->errors.len, NULL);
    o->errors.len = 0;
    return o->errors.failed ? -ENOMEM : 0;
}

int yk_output_flush(yk_output *o, yk_error *e)
{
    o->flushed = yoke_now();
    int err = o->results.failed ? -ENOMEM : 0;
    if (err == 0 && o->results.len > 0)
        err = yk_write_all(yk_results_fd, o->results.ptr, o->results.len, &yk_signals_hard);
    o->results.len = 0;
    if (err < 0) {
        if (o->log)
            o->log->rows.len = 0; /* rows of lines that did not leave */
        write_errors(o);
        return yk_errorf(e, -err, "cannot write results: %s", strerror(-err));
    }
    err = write_errors(o);
    if (err < 0)
        return yk_errorf(e, -err, "cannot write errors: %s", strerror(-err));
    err = o->log ? yk_joblog_flush(o->log) : 0;
    if (err < 0)
        return yk_errorf(e, -err, "cannot write the job log %s: %s", o->c->joblog, strerror(-err));
    return 0;
}

void yk_output_say(yk_output *o, const char *format, ...)
{
    char text[800];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    yk_buf_text(&o->errors, "yoke: ");
    put_plain(&o->errors, text);
    yk_buf_char(&o->errors, '\n');
    write_errors(o);
}

void yk_output_rescue(yk_output *o)
{
    int err = yk_write_all(yk_results_fd, o->results.ptr, o->results.len, &yk_signals_hard);
    yk_write_all(STDERR_FILENO, o->errors.ptr, o->errors.len, &yk_signals_hard);
    if (err == 0 && o->log && !o->log->rows.failed)
        yk_write_all(o->log->fd, o->log->rows.ptr, o->log->rows.len, NULL);
}

void yk_output_done(yk_output *o)
{
    yk_buf_done(&o->results);
    yk_buf_done(&o->errors);
}
