/* halt: when `yoke map` stops before its input ends.
 *
 * The words are GNU parallel's (parallel(1), --halt). A percentage is of the records that are known: of all of them when
 * their number is known, else of those that have ended, and then not before three have, as one failure of one would be
 * 100%. */
#include "tools/halt.h"
#include <stdlib.h>

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
