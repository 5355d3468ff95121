/* tally: what `yoke map` counts, its summary, and when the counts make it stop.
 *
 * Run times go into a histogram with logarithmic buckets (as in HdrHistogram: the highest set bit and the four after it), so
 * that a quantile of any number of records costs 8 KiB and no sorting.
 *
 * The words of --halt are GNU parallel's (parallel(1)). A percentage is of all records when their number is known, else of
 * those that have ended, and then not before three have, as one failure of one would be 100%. */
#include "tools/tally.h"
#include "task/task.h"
#include <stdlib.h>

static unsigned bucket_of(uint64_t ns)
{
    if (ns < YK_TALLY_SUB)
        return (unsigned)ns;
    unsigned high = 63 - (unsigned)__builtin_clzll(ns);
    unsigned bucket = (high - 3) * YK_TALLY_SUB + (unsigned)(ns >> (high - 4) & (YK_TALLY_SUB - 1));
    return YK_MIN(bucket, (unsigned)YK_TALLY_BUCKETS - 1);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < YK_TALLY_SUB)
        return bucket;
    unsigned high = bucket / YK_TALLY_SUB + 3;
    return (((uint64_t)YK_TALLY_SUB + bucket % YK_TALLY_SUB + 1) << (high - 4)) - 1;
}

void yk_tally_time(yk_tally *t, int64_t ns)
{
    t->times[bucket_of(ns < 0 ? 0 : (uint64_t)ns)]++;
    t->longest = YK_MAX(t->longest, ns);
}

int64_t yk_tally_quantile(const yk_tally *t, double q)
{
    uint64_t n = 0, seen = 0;
    for (unsigned i = 0; i < YK_TALLY_BUCKETS; i++)
        n += t->times[i];
    if (n == 0)
        return 0;
    uint64_t wanted = (uint64_t)(q * (double)n);
    wanted = YK_MIN(YK_MAX(wanted, 1), n);
    unsigned i = 0;
    while ((seen += t->times[i]) < wanted)
        i++;
    return YK_MIN((int64_t)bucket_end(i), t->longest);
}

static void member(yk_buf *out, const char *name)
{
    if (out->len > 0 && out->ptr[out->len - 1] != '{')
        yk_buf_text(out, ", ");
    yk_json_quote(out, name, strlen(name));
    yk_buf_text(out, ": ");
}

static void put_count(yk_buf *out, const char *name, uint64_t n)
{
    member(out, name);
    yk_json_u64(out, n);
}

static void put_number(yk_buf *out, const char *name, double v)
{
    member(out, name);
    yk_buf_printf(out, "%.6g", v);
}

static void put_text(yk_buf *out, const char *name, const char *text)
{
    member(out, name);
    if (text)
        yk_json_quote(out, text, strlen(text));
    else
        yk_buf_text(out, "null");
}

void yk_tally_summary(const yk_tally *t, const char *task, const char *executor, unsigned width, const char *stopped,
                      int64_t now, yk_buf *out)
{
    double seconds = (double)(now - t->began) / 1e9;
    uint64_t ended = t->ok + t->failed;
    yk_buf_text(out, "{");
    put_text(out, "task", task);
    put_count(out, "records", t->records);
    put_count(out, "ok", t->ok);
    put_count(out, "failed", t->failed);
    put_count(out, "timed_out", t->timed_out);
    put_count(out, "skipped", t->skipped);
    put_count(out, "cancelled", t->cancelled);
    put_number(out, "seconds", seconds);
    put_number(out, "records_per_second", seconds > 0 ? (double)ended / seconds : 0);
    put_count(out, "result_bytes", t->out_bytes);
    put_text(out, "executor", executor);
    put_count(out, "width", width);
    put_number(out, "run_seconds_p50", (double)yk_tally_quantile(t, 0.5) / 1e9);
    put_number(out, "run_seconds_p99", (double)yk_tally_quantile(t, 0.99) / 1e9);
    put_number(out, "run_seconds_max", (double)t->longest / 1e9);
    put_text(out, "stopped", stopped);
    yk_buf_text(out, "}\n");
}

/* ---- --halt ---- */

#define FEWEST_FOR_PERCENT 3

static int bad(const char *text, const char *what, yk_error *e)
{
    return yk_errorf(e, EINVAL, "--halt %s: %s; write now|soon,fail|success|done=N or N%%, or never", text, what);
}

/* A word at *p; true and *p after it when it is there. */
static bool word(const char **p, const char *expected)
{
    size_t n = strlen(expected);
    if (strncmp(*p, expected, n) != 0)
        return false;
    *p += n;
    return true;
}

static int parse_amount(yk_halt *h, const char *text, const char *amount, yk_error *e)
{
    char *end;
    if (amount[strspn(amount, "0123456789.%")] != '\0' || *amount < '0' || *amount > '9')
        return bad(text, "the number is missing or wrong", e);
    if (strchr(amount, '%')) {
        h->percent = strtod(amount, &end);
        if (strcmp(end, "%") != 0 || !(h->percent > 0 && h->percent <= 100))
            return bad(text, "a percentage is above 0% and at most 100%", e);
        return 0;
    }
    errno = 0;
    h->count = strtoull(amount, &end, 10);
    if (*end != '\0' || errno != 0 || h->count == 0)
        return bad(text, "the number must be 1 or more", e);
    return 0;
}

int yk_halt_parse(yk_halt *h, const char *text, yk_error *e)
{
    const char *p = text;
    *h = (yk_halt){.when = YK_HALT_NEVER};
    if (strcmp(text, "never") == 0)
        return 0;
    yk_halt parsed = {.when = YK_HALT_NEVER};
    if (word(&p, "now,"))
        parsed.when = YK_HALT_NOW;
    else if (word(&p, "soon,"))
        parsed.when = YK_HALT_SOON;
    else
        return bad(text, "it must begin with now or soon", e);
    if (word(&p, "fail="))
        parsed.why = YK_HALT_FAIL;
    else if (word(&p, "success="))
        parsed.why = YK_HALT_SUCCESS;
    else if (word(&p, "done="))
        parsed.why = YK_HALT_DONE;
    else
        return bad(text, "the reason must be fail=, success= or done=", e);
    int err = parse_amount(&parsed, text, p, e);
    if (err == 0)
        *h = parsed;
    return err;
}

enum yk_halt_when yk_halt_decide(const yk_halt *h, uint64_t failed, uint64_t succeeded, uint64_t total)
{
    if (h->when == YK_HALT_NEVER)
        return YK_HALT_NEVER;
    uint64_t ended = failed + succeeded;
    uint64_t n = h->why == YK_HALT_FAIL ? failed : h->why == YK_HALT_SUCCESS ? succeeded : ended;
    if (h->count > 0)
        return n >= h->count ? h->when : YK_HALT_NEVER;
    if (total == 0 && (ended < FEWEST_FOR_PERCENT || h->why == YK_HALT_DONE))
        return YK_HALT_NEVER;
    double of = (double)(total > 0 ? total : ended);
    return (double)n * 100 >= h->percent * of && n > 0 ? h->when : YK_HALT_NEVER;
}
