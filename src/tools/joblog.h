/* joblog: GNU parallel's job log, written and read. A header, then one row for each record that has ended, with TABs
 * between the columns:
 *
 *     Seq  Host  Starttime  JobRuntime  Send  Receive  Exitval  Signal  Command
 *
 * Seq is the record's number, Host ":", Starttime in seconds since 1970 with three decimals, JobRuntime "%10.3f" seconds,
 * Send 0, Receive the bytes of the result line. Exitval and Signal: 0 0 success; 1 0 the task failed; N 0 the worker
 * exited with N; 0 S a worker killed by signal S; -1 15 the timeout. Command comes last and is what a shell would run;
 * a newline in it is written as NUL, as GNU parallel does. */
#ifndef YK_JOBLOG_H
#define YK_JOBLOG_H
#include "base/base.h"

#define YK_JOBLOG_HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

/* A set of record numbers that stays small when they are mostly consecutive: one bit each, in pages. {0} is the empty set. */
typedef struct yk_seqset {
    struct seqset_page **table; /* open addressing; a power of two, at most half full */
    size_t slots, pages;
    uint64_t count;             /* members */
} yk_seqset;

/* 0, or -ENOMEM. Adding a member again changes nothing. */
int yk_seqset_add(yk_seqset *s, uint64_t n);
bool yk_seqset_has(const yk_seqset *s, uint64_t n);
void yk_seqset_done(yk_seqset *s);

typedef struct yk_joblog_row {
    uint64_t seq;
    int64_t started, ended; /* yoke_now() */
    size_t receive;
    int exitval, signal;
    const char *record;     /* quoted into the command */
    size_t len;
} yk_joblog_row;

typedef struct yk_joblog {
    int fd;            /* -1: none */
    int64_t to_epoch;  /* what makes a yoke_now() nanoseconds since 1970 */
    char *command;     /* the words before the record, quoted and ended by a blank */
    size_t command_len;
    yk_buf rows;       /* not written yet */
    uint64_t second;   /* of the row before; its text, and how long that is; 0: none yet */
    unsigned second_len;
    char second_text[20];
    bool empty;        /* until begin: what is in the file goes, or there is nothing */
} yk_joblog;

enum yk_resume { YK_RESUME_NOT, YK_RESUME_ALL, YK_RESUME_FAILED };

/* Opens path, creating it, and locks it against other runs (-EBUSY). Nothing in it is touched yet. With resume, every Seq that
 * need not run again is added to done: all that are present, or with YK_RESUME_FAILED those that succeeded. A last row without
 * its newline, left by a crash, is cut off. command is copied. 0 or a negative code with its text: -EBADMSG for a file that is
 * no job log. */
int yk_joblog_open(yk_joblog *log, const char *path, enum yk_resume resume, const char *command, yk_seqset *done,
                   yk_error *e);
/* When all else is ready: empties the file, unless it is resumed, and writes the header where there is none. */
int yk_joblog_begin(yk_joblog *log, const char *path, yk_error *e);
/* The reading part of open: adds to done and cuts off a torn end. *empty: there is not even a header. */
int yk_joblog_resume(int fd, const char *path, enum yk_resume resume, yk_seqset *done, bool *empty, yk_error *e);
/* Appends a row to the buffer. */
void yk_joblog_add(yk_joblog *log, const yk_joblog_row *row);
/* Writes the buffer out: 0, or the error of write() or memory. */
int yk_joblog_flush(yk_joblog *log);
/* Closes without flushing. */
void yk_joblog_close(yk_joblog *log);

/* Appends a word as sh reads it: as it stands when nothing in it is special, else in quotes. */
void yk_shell_quote(yk_buf *out, const char *word, size_t len);
/* write() until all is written. 0 or a negative code: -EINTR when *stop is set and the reader does not take it at once. */
int yk_write_all(int fd, const char *bytes, size_t len, const _Atomic int *stop);

#endif
