/* tally: what `yoke map` counts, its summary, and when the counts make it stop. */
#ifndef YK_TALLY_H
#define YK_TALLY_H
#include "base/base.h"

/* Run times in buckets whose bounds differ by at most 1/16: 16 for each power of two. */
#define YK_TALLY_SUB 16
#define YK_TALLY_BUCKETS (60 * YK_TALLY_SUB)

typedef struct yk_tally {
    uint64_t records;   /* read, the skipped ones too */
    uint64_t ok, failed, timed_out; /* timed_out are among failed */
    uint64_t skipped;   /* done already, says the job log */
    uint64_t cancelled; /* read, but not run to an end */
    uint64_t out_bytes;
    int64_t began;      /* yoke_now() */
    uint64_t times[YK_TALLY_BUCKETS];
    int64_t longest;
} yk_tally;

/* Counts one run time. */
void yk_tally_time(yk_tally *t, int64_t ns);
/* The run time that the share q (0 to 1) of records stayed within, in nanoseconds, within 1/16; 0 when there were none. */
int64_t yk_tally_quantile(const yk_tally *t, double q);
/* Appends the summary, one JSON object and a newline. executor may be NULL; stopped says why the run ended early, or is
 * NULL. */
void yk_tally_summary(const yk_tally *t, const char *task, const char *executor, unsigned width, const char *stopped,
                      int64_t now, yk_buf *out);

/* ---- When to stop before the input ends, as GNU parallel's --halt says: "now,fail=1", "soon,success=10%" ---- */

enum yk_halt_when { YK_HALT_NEVER, YK_HALT_SOON, YK_HALT_NOW };
enum yk_halt_why { YK_HALT_FAIL, YK_HALT_SUCCESS, YK_HALT_DONE };

typedef struct yk_halt {
    enum yk_halt_when when;
    enum yk_halt_why why;
    uint64_t count;  /* that many; 0: percent counts */
    double percent;  /* of all records, or when their number is unknown of those that have ended, once they are three */
} yk_halt;

/* Reads "never" or "soon|now,fail|success|done=N|N%". */
int yk_halt_parse(yk_halt *h, const char *text, yk_error *e);
/* What to do now that so many records have failed and succeeded. total is the number of records, or 0 when unknown. */
enum yk_halt_when yk_halt_decide(const yk_halt *h, uint64_t failed, uint64_t succeeded, uint64_t total);

#endif
