/* joblog: GNU parallel's job log, written.
 *
 * A row costs no call and no printf: integers are written by hand into one buffer, which goes out in large pieces. Source of
 * the format: parallel(1), --joblog. */
#include "tools/joblog.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Writing ---- */

int yk_write_all(int fd, const char *bytes, size_t len, const _Atomic int *stop)
{
    while (len > 0) {
        /* Once it is to stop, only what can be written without waiting. */
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        bool hurry = stop && *stop;
        if (hurry && yk_sys.poll(&ready, 1, 0) == 0)
            return -EINTR;
        ssize_t n = yk_sys.write(fd, bytes, hurry ? YK_MIN(len, (size_t)PIPE_BUF) : len);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n == 0) {
            return -EIO;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            yk_sys.poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static char *put_u64(char *p, uint64_t v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0)
        *p++ = digits[--n];
    return p;
}

static char *put_int(char *p, int v)
{
    if (v < 0)
        *p++ = '-';
    return put_u64(p, (uint64_t)(v < 0 ? -(int64_t)v : v));
}

/* Milliseconds as seconds with three decimals, filled with blanks on the left to width. */
static char *put_seconds(char *p, int64_t ms, int width)
{
    char text[32], *t = put_u64(text, (uint64_t)(ms < 0 ? 0 : ms) / 1000);
    unsigned rest = (unsigned)((ms < 0 ? 0 : ms) % 1000);
    *t++ = '.';
    *t++ = (char)('0' + rest / 100);
    *t++ = (char)('0' + rest / 10 % 10);
    *t++ = (char)('0' + rest % 10);
    for (int n = (int)(t - text); n < width; n++)
        *p++ = ' ';
    memcpy(p, text, (size_t)(t - text));
    return p + (t - text);
}

static bool is_safe(unsigned char c)
{
    static const char others[] = "@%_+=:,./-";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

/* Ends at `end`, so that quotes cost one search and not one per byte. */
static char *quote(char *p, const char *word, const char *end)
{
    *p++ = '\'';
    for (;;) {
        const char *apostrophe = memchr(word, '\'', (size_t)(end - word));
        size_t n = (size_t)((apostrophe ? apostrophe : end) - word);
        memcpy(p, word, n);
        p += n;
        if (!apostrophe)
            break;
        memcpy(p, "'\\''", 4);
        p += 4;
        word = apostrophe + 1;
    }
    *p++ = '\'';
    return p;
}

void yk_shell_quote(yk_buf *out, const char *word, size_t len)
{
    size_t safe = 0, apostrophes = 0;
    while (safe < len && is_safe((unsigned char)word[safe]))
        safe++;
    if (safe == len && len > 0) {
        yk_buf_put(out, word, len);
        return;
    }
    for (size_t i = safe; i < len; i++)
        apostrophes += word[i] == '\'';
    char *p = yk_buf_room(out, len + 3 * apostrophes + 2);
    if (p)
        out->len += (size_t)(quote(p, word, word + len) - p);
}

void yk_joblog_add(yk_joblog *log, const yk_joblog_row *row)
{
    char *p = yk_buf_room(&log->rows, 160 + log->command_len), *start = p;
    if (!p)
        return;
    p = put_u64(p, row->seq);
    memcpy(p, "\t:\t", 3);
    p = put_seconds(p + 3, (row->started + log->to_epoch) / YOKE_MS, 0);
    *p++ = '\t';
    p = put_seconds(p, (row->ended - row->started + YOKE_MS / 2) / YOKE_MS, 10);
    memcpy(p, "\t0\t", 3);
    p = put_u64(p + 3, row->receive);
    *p++ = '\t';
    p = put_int(p, row->exitval);
    *p++ = '\t';
    p = put_int(p, row->signal);
    *p++ = '\t';
    memcpy(p, log->command, log->command_len);
    p += log->command_len;
    log->rows.len += (size_t)(p - start);
    size_t at = log->rows.len;
    yk_shell_quote(&log->rows, row->record, row->len);
    for (char *newline; at < log->rows.len && (newline = memchr(log->rows.ptr + at, '\n', log->rows.len - at));)
        *newline = '\0';
    yk_buf_char(&log->rows, '\n');
}

int yk_joblog_flush(yk_joblog *log)
{
    if (log->rows.failed)
        return -ENOMEM;
    int err = log->rows.len > 0 ? yk_write_all(log->fd, log->rows.ptr, log->rows.len, NULL) : 0;
    log->rows.len = 0;
    return err;
}

void yk_joblog_close(yk_joblog *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    yk_buf_done(&log->rows);
    free(log->command);
    log->command = NULL;
}

/* ---- Opening ---- */

static int64_t realtime_minus_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * YOKE_S + t.tv_nsec - yoke_now();
}

int yk_joblog_open(yk_joblog *log, const char *path, enum yk_resume resume, const char *command, yk_seqset *done,
                   yk_error *e)
{
    *log = (yk_joblog){.fd = -1};
    int fd = yk_sys.openat(AT_FDCWD, path, (resume ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return yk_errorf(e, errno, "cannot open the job log %s: %s", path, strerror(errno));
    bool empty = true;
    int err = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        err = yk_errorf(e, EBUSY, "the job log %s is in use by another run", path);
    else if (resume)
        err = yk_joblog_resume(fd, path, resume, done, &empty, e);
    size_t len = strlen(command);
    char *copy = err < 0 ? NULL : yk_sys.malloc(len + 1);
    if (err == 0 && !copy)
        err = yk_errorf(e, ENOMEM, "out of memory");
    if (err < 0) {
        close(fd);
        free(copy);
        return err;
    }
    memcpy(copy, command, len + 1);
    log->fd = fd;
    log->command = copy;
    log->command_len = len;
    log->to_epoch = realtime_minus_now();
    log->empty = empty;
    return 0;
}

int yk_joblog_begin(yk_joblog *log, const char *path, yk_error *e)
{
    struct stat st;
    int err = 0;
    if (!log->empty)
        return 0;
    if (fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && yk_sys.ftruncate(log->fd, 0) < 0)
        err = -errno;
    yk_buf_text(&log->rows, YK_JOBLOG_HEADER);
    if (err == 0)
        err = yk_joblog_flush(log);
    return err < 0 ? yk_errorf(e, -err, "cannot write the job log %s: %s", path, strerror(-err)) : 0;
}
