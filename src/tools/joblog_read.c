/* joblog_read: what a job log says is done, as a set of record numbers.
 *
 * The scan must take what GNU parallel has written, and refuse a file that is something else before anything is appended to it.
 * The numbers of a log are nearly consecutive, so they are kept as bits, in pages of 32768 that a hash table finds: ten
 * million numbers take 1.3 MB. A log with wild numbers costs one page of 4 KiB for each. */
#include "tools/joblog.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Numbers ---- */

#define PAGE_SHIFT 15
#define WORD_BITS 64

typedef struct seqset_page {
    uint64_t number; /* of the page: member >> PAGE_SHIFT */
    uint64_t bits[(1 << PAGE_SHIFT) / WORD_BITS];
} seqset_page;

/* Where the page is, or the empty slot where it would be. */
static seqset_page **find_slot(seqset_page **table, size_t slots, uint64_t number)
{
    size_t i = (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slots - 1);
    while (table[i] && table[i]->number != number)
        i = (i + 1) & (slots - 1);
    return &table[i];
}

static int grow(yk_seqset *s)
{
    size_t slots = s->slots ? s->slots * 2 : 16;
    seqset_page **table = yk_sys.calloc(slots, sizeof *table);
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < s->slots; i++)
        if (s->table[i])
            *find_slot(table, slots, s->table[i]->number) = s->table[i];
    free(s->table);
    s->table = table;
    s->slots = slots;
    return 0;
}

int yk_seqset_add(yk_seqset *s, uint64_t n)
{
    if (2 * (s->pages + 1) > s->slots) {
        int err = grow(s);
        if (err < 0)
            return err;
    }
    seqset_page **slot = find_slot(s->table, s->slots, n >> PAGE_SHIFT);
    if (!*slot) {
        *slot = yk_sys.calloc(1, sizeof **slot);
        if (!*slot)
            return -ENOMEM;
        (*slot)->number = n >> PAGE_SHIFT;
        s->pages++;
    }
    uint64_t in_page = n & ((1u << PAGE_SHIFT) - 1), bit = UINT64_C(1) << (in_page % WORD_BITS);
    uint64_t *word = &(*slot)->bits[in_page / WORD_BITS];
    s->count += (*word & bit) == 0;
    *word |= bit;
    return 0;
}

bool yk_seqset_has(const yk_seqset *s, uint64_t n)
{
    if (s->count == 0)
        return false;
    const seqset_page *page = *find_slot(s->table, s->slots, n >> PAGE_SHIFT);
    if (!page)
        return false;
    uint64_t in_page = n & ((1u << PAGE_SHIFT) - 1);
    return page->bits[in_page / WORD_BITS] >> (in_page % WORD_BITS) & 1;
}

void yk_seqset_done(yk_seqset *s)
{
    for (size_t i = 0; i < s->slots; i++)
        free(s->table[i]);
    free(s->table);
    *s = (yk_seqset){0};
}

/* ---- Rows ---- */

/* The columns of a row that matter; false when it is not a row. */
static bool read_row(const char *line, size_t len, uint64_t *seq, bool *succeeded)
{
    const char *p = line, *end = line + len;
    uint64_t n = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return false;
    if (p == line || p == end || *p != '\t' || n == 0)
        return false;
    const char *column[9] = {line};
    for (int i = 1; i < 9; i++) {
        p = memchr(column[i - 1], '\t', (size_t)(end - column[i - 1]));
        if (!p)
            return false;
        column[i] = p + 1;
    }
    for (const char *q = column[2]; q < column[8] - 1; q++)
        if (!*q || !strchr("0123456789.- \t", *q))
            return false;
    *seq = n;
    *succeeded = column[7] - column[6] == 2 && *column[6] == '0' && column[8] - column[7] == 2 && *column[7] == '0';
    return true;
}

#define LONGEST_ROW ((size_t)1 << 30) /* a record is at most that long */

typedef struct reading {
    enum yk_resume resume;
    yk_seqset *done;
    const char *path;
    uint64_t line;
    off_t good; /* bytes up to the end of the last whole line */
} reading;

static int no_header(const reading *r, yk_error *e)
{
    return yk_errorf(e, EBADMSG, "%s is not a job log: its first line is not the header", r->path);
}

/* What follows the last newline so far: it may be long, but not whatever its length. */
static int check_rest(const reading *r, const yk_buf *rest, yk_error *e)
{
    size_t header = sizeof YK_JOBLOG_HEADER - 1;
    if (r->line == 0 && memcmp(rest->ptr, YK_JOBLOG_HEADER, YK_MIN(rest->len, header)) != 0)
        return no_header(r, e);
    if (rest->len > LONGEST_ROW)
        return yk_errorf(e, EBADMSG, "%s: line %llu is longer than a row can be", r->path, (unsigned long long)r->line + 1);
    return 0;
}

static int read_line(reading *r, const char *line, size_t len, yk_error *e)
{
    uint64_t seq;
    bool succeeded;
    r->line++;
    r->good += (off_t)len + 1;
    if (r->line == 1)
        return len == sizeof YK_JOBLOG_HEADER - 2 && memcmp(line, YK_JOBLOG_HEADER, len) == 0 ? 0 : no_header(r, e);
    if (!read_row(line, len, &seq, &succeeded))
        return yk_errorf(e, EBADMSG, "%s: line %llu is not a row of a job log", r->path, (unsigned long long)r->line);
    if (r->resume == YK_RESUME_FAILED && !succeeded)
        return 0;
    return yk_seqset_add(r->done, seq) < 0 ? yk_errorf(e, ENOMEM, "out of memory while reading %s", r->path) : 0;
}

/* Reads the whole file, a block at a time. What is left after the last newline stays unread. */
static int read_rows(int fd, reading *r, yk_error *e)
{
    yk_buf block = {0};
    int err = 0;
    while (err == 0) {
        char *room = yk_buf_room(&block, 1 << 16);
        ssize_t n = room ? yk_sys.read(fd, room, 1 << 16) : -1;
        if (n < 0 && room && errno == EINTR)
            continue;
        if (n < 0)
            err = yk_errorf(e, room ? errno : ENOMEM, "cannot read %s: %s", r->path, strerror(room ? errno : ENOMEM));
        if (n <= 0)
            break;
        char *line = block.ptr, *from = block.ptr + block.len, *newline; /* no newline before from */
        block.len += (size_t)n;
        char *end = block.ptr + block.len;
        while (err == 0 && (newline = memchr(from, '\n', (size_t)(end - from)))) {
            err = read_line(r, line, (size_t)(newline - line), e);
            line = from = newline + 1;
        }
        block.len = (size_t)(end - line);
        memmove(block.ptr, line, block.len);
        if (err == 0)
            err = check_rest(r, &block, e);
    }
    yk_buf_done(&block);
    return err;
}

/* Reads what is there, cuts off a torn end, and leaves the file ready to append to. */
int yk_joblog_resume(int fd, const char *path, enum yk_resume resume, yk_seqset *done, bool *empty, yk_error *e)
{
    reading r = {.resume = resume, .done = done, .path = path};
    int err = read_rows(fd, &r, e);
    if (err < 0)
        return err;
    *empty = r.good == 0;
    struct stat st;
    bool torn = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > r.good;
    /* Torn in its header by a crash is all right; anything else without a newline is some other file. */
    if (torn && *empty) {
        char start[sizeof YK_JOBLOG_HEADER];
        ssize_t n = pread(fd, start, sizeof start, 0);
        if (n < 0 || (size_t)n >= sizeof YK_JOBLOG_HEADER || memcmp(start, YK_JOBLOG_HEADER, (size_t)n) != 0)
            return yk_errorf(e, EBADMSG, "%s is not a job log: its first line is not the header", path);
    }
    if (torn && yk_sys.ftruncate(fd, r.good) < 0)
        return yk_errorf(e, errno, "cannot cut the torn last row off %s: %s", path, strerror(errno));
    if (lseek(fd, 0, SEEK_END) < 0 && errno != ESPIPE)
        return yk_errorf(e, errno, "cannot append to %s: %s", path, strerror(errno));
    return 0;
}
