/* joblog: GNU parallel's job log, written.
 *
 * A row costs no call and no printf: integers are written by hand into one buffer, which goes out in large pieces; the
 * second in which it began is kept from the row before. Source of the format: parallel(1), --joblog. */
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

static const char pairs[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static char *put_long(char *p, uint64_t v)
{
    char digits[20], *end = digits + sizeof digits, *first = end;
    for (; v >= 10; v /= 100) {
        first -= 2;
        memcpy(first, pairs + v % 100 * 2, 2);
    }
    if (v > 0)
        *--first = (char)('0' + v);
    size_t n = (size_t)(end - first);
    memcpy(p, first, n);
    return p + n;
}

/* Most have one digit. */
static inline char *put_u64(char *p, uint64_t v)
{
    if (v >= 10)
        return put_long(p, v);
    *p = (char)('0' + v);
    return p + 1;
}

static char *put_int(char *p, int v)
{
    if (v < 0)
        *p++ = '-';
    return put_u64(p, (uint64_t)(v < 0 ? -(int64_t)v : v));
}

/* A point and three decimals. */
static char *put_milliseconds(char *p, unsigned ms)
{
    p[0] = '.';
    p[1] = (char)('0' + ms / 100);
    memcpy(p + 2, pairs + ms % 100 * 2, 2);
    return p + 4;
}

/* Since 1970. The seconds are those of the row before, nearly always. */
static char *put_start(char *p, yk_joblog *log, int64_t when)
{
    uint64_t ns = (uint64_t)YK_MAX(when, 0), second = ns / YOKE_S;
    if (YK_UNLIKELY(second != log->second || log->second_len == 0)) {
        log->second = second;
        log->second_len = (unsigned)(put_u64(log->second_text, second) - log->second_text);
    }
    memcpy(p, log->second_text, sizeof log->second_text); /* all of it: a copy of fixed size is two moves */
    return put_milliseconds(p + log->second_len, (unsigned)(ns % YOKE_S / YOKE_MS));
}

/* Rounded, and filled with blanks on the left. */
static char *put_duration(char *p, int64_t ns)
{
    enum { SECONDS = 6 };
    uint64_t ms = ((uint64_t)YK_MAX(ns, 0) + YOKE_MS / 2) / YOKE_MS;
    char text[20];
    size_t n = (size_t)(put_u64(text, ms / 1000) - text), blanks = n < SECONDS ? SECONDS - n : 0;
    memset(p, ' ', SECONDS);
    memcpy(p + blanks, text, n);
    return put_milliseconds(p + blanks + n, (unsigned)(ms % 1000));
}

static bool is_safe(unsigned char c)
{
    static const char others[] = "@%_+=:,./-";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

/* As it stands, or in quotes. */
static bool needs_quotes(const char *word, size_t len)
{
    size_t safe = 0;
    while (safe < len && is_safe((unsigned char)word[safe]))
        safe++;
    return safe < len || len == 0;
}

static size_t count_apostrophes(const char *word, size_t len)
{
    size_t n = 0;
    for (const char *end = word + len; (word = memchr(word, '\'', (size_t)(end - word))); word++)
        n++;
    return n;
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
    if (!needs_quotes(word, len)) {
        yk_buf_put(out, word, len);
        return;
    }
    char *p = yk_buf_room(out, len + 3 * count_apostrophes(word, len) + 2);
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
    p = put_start(p + 3, log, row->started + log->to_epoch);
    *p++ = '\t';
    p = put_duration(p, row->ended - row->started);
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
    if (err < 0 || !copy) {
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
