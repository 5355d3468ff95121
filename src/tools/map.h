/* map: what the files of `yoke map` share.
 *
 *     map.c         the command line              map_run.c      opens, runs, closes, exit code
 *     map_loop.c    records in, jobs on their way, results in order
 *     map_input.c   records                       map_output.c   result lines, error lines, job log rows
 *     map_record.c  what a record means           joblog.c tally.c progress.c  as their headers say */
#ifndef YK_MAP_H
#define YK_MAP_H
#include "exec/exec.h"
#include "tools/joblog.h"
#include "tools/map_input.h"
#include "tools/progress.h"
#include "tools/tally.h"

enum yk_map_input { YK_INPUT_AUTO, YK_INPUT_JSON, YK_INPUT_TEXT };

/* The command line, read. */
typedef struct yk_map_config {
    const yoke_task *task;
    const char *target;     /* FILE:TASK as it was written */
    const char *uri;        /* of the executor */
    const char *on;         /* --on as it was written, or NULL */
    enum yk_map_input input;
    bool null, unordered, errors_inline, quiet, json, dry_run, summary;
    unsigned json_flags;
    int progress;           /* as in yk_progress_open() */
    const char *joblog, *trace;
    const char *summary_file; /* NULL: stderr */
    enum yk_resume resume;
    yoke_opts opts;
    int64_t delay;
    yk_halt halt;
    const char *const *paths; /* -a */
    size_t npaths;
    const char *const *words; /* ::: ; NULL: none */
    size_t nwords;
} yk_map_config;

/* ---- map_output.c: what leaves. Result lines, error lines and job log rows are gathered, and written in that order, so that
 * a row is on disk only when its result is. ---- */

typedef struct yk_output {
    const yk_map_config *c;
    yk_tally *tally;
    yk_joblog *log;         /* NULL: none */
    yk_progress *progress;
    yk_buf results, errors;
    int64_t flushed;        /* when last; yoke_now() */
    double mean_result;     /* bytes, of the latest ones */
} yk_output;

/* The line and the row of a record whose job has ended. True when it succeeded. */
bool yk_output_add(yk_output *o, yk_job *job, uint64_t number);
/* True when much is waiting to be written. */
bool yk_output_is_full(const yk_output *o);
/* Writes everything out. 0, or a negative code with its text. */
int yk_output_flush(yk_output *o, yk_error *e);
/* One line for people on stderr, after what is waiting there. */
void yk_output_say(yk_output *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes what is complete, without touching memory that may be half changed: for a signal handler. */
void yk_output_rescue(yk_output *o);
void yk_output_done(yk_output *o);

/* ---- map_record.c: what a record means ---- */

/* Reads a record into the task's arguments by the rule of --input. 0 or a negative code with its text. */
int yk_map_args(const yk_map_config *c, const char *text, size_t len, yk_region *region, void *args, yk_error *e);
/* Whether there is a text to be read. 0 or a negative code with its text. */
int yk_map_check(const yk_record *r, yk_error *e);
/* The task that runs a record of c: from its text (yoke_str) to the line of its result, with the newline (yoke_str). Before
 * executors are opened, and c must live on. 0 or -ENOMEM. */
int yk_map_record_task(const yk_map_config *c, const yoke_task **ret);
/* A record or word for a task of one string that may be JSON beyond doubt. 1: it has been read into args. 0: it is text. A
 * negative code with its text: it is JSON, of a string that the task cannot be given. */
int yk_map_json_text(const yoke_task *t, const char *text, size_t len, unsigned flags, yk_region *region, void *args,
                     yk_error *e);
/* Appends the command that runs one record: "yoke map FILE:TASK ::: ", to be followed by the quoted record. With the options
 * that say what the record means; for --dry-run, which tells people how it would run, with those of the executor too. */
void yk_map_command_line(const yk_map_config *c, yk_buf *out);
/* True when the task takes exactly one string, so that a record may be plain text. */
bool yk_map_takes_text(const yoke_task *t);

/* ---- map_run.c ---- */

/* SIGINT, SIGTERM and SIGHUP are counted and wake the loop through the returned descriptor; SIGPIPE is ignored. Negative
 * code on failure. While *rescue is set, the second one calls it and ends the process. */
int yk_signals_open(void);
/* How many there were; SIGTERM is as good as two. */
int yk_signals_count(void);
/* Becomes 1 with the second: a blocked write gives up. */
extern _Atomic int yk_signals_hard;
/* A function for the end of the process while the loop itself is inside a task; NULL: none. It is told by what the process is
 * interrupted, as people are told it; NULL: the task itself ends it. */
void yk_signals_rescue(void (*fn)(void *arg, const char *why), void *arg);
/* A task in another thread is ending the process and waits for what has ended to be written; yk_signals_saved() lets it, and
 * does not return. */
bool yk_signals_dying(void);
__attribute__((noreturn)) void yk_signals_saved(void);
void yk_signals_close(void);

/* ---- map_loop.c ---- */

enum { YK_MAP_WINDOW = 4096 };
/* Bytes of records and results that may be on their way. */
#define YK_MAP_BYTES ((size_t)64 << 20)

enum yk_map_stop { YK_MAP_RUNS, YK_MAP_SOON, YK_MAP_NOW };

typedef struct yk_map {
    const yk_map_config *c;
    yoke_executor *ex;
    const yoke_task *record;  /* see yk_map_record_task() */
    yk_input in;
    yk_joblog log;
    yk_seqset done;
    yk_tally tally;
    yk_progress progress;
    yk_output out;
    int wake;                 /* eventfd: a hook or a signal has news */
    enum yk_map_stop stop;
    bool tracing;             /* a trace is being recorded */
    const char *stopped;      /* why it stopped early, or NULL */
    unsigned all_held;        /* it stopped as so many threads, which are all, go on with records that timed out */
    int status;               /* exit code so far */
    struct map_window *window;
} yk_map;

/* --dry-run: writes what would be run, as shell commands; records that are wrong are told as always. */
void yk_map_dry_run(yk_map *m);

/* Does all of it and returns the exit code. */
int yk_map_run(const yk_map_config *c);


/* Runs every record of m->in. What went wrong has been said; m->status and m->stop tell the rest. */
void yk_map_loop(yk_map *m);

#endif
