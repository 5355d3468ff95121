/* fork_match: with the word "forks" in YOKE_DEBUG, forks and joins that do not match are reported on stderr, once per place.
 *
 * While forks are watched each fork and each join takes the slow way (see refresh() in fork.c) and says here of what name it is.
 * A worker keeps a list of the forks that are not joined yet, by slot. As every body gets the first free slot from its caller,
 * and gives it back by returning, the slots themselves tell:
 *
 *     a fork at slot i, or the join of slot i,      and more is in the list: a body has returned without those joins
 *     the end of a call from outside, or of a theft,    likewise
 *     the join of slot i, which is not in the list, or of another call: there was no fork for it
 *     the join of slot i by another name            joins in another order than their forks
 *
 * The one thing that cannot be told is a join too many in a body that its caller has forks before, of the same name: it takes
 * the caller's, and the caller's own join is reported. The list is the worker's own: only the thread that is the worker now
 * looks at it. */
#include "threads/fork.h"
#include "sync/mutex.h"
#include "sync/who.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct watched_fork {
    const char *name;  /* NULL: a slot that is another call's, of which nothing is known */
    const void *place; /* in the code, right behind the fork */
} watched_fork;

struct yk_fork_match {
    uint32_t count, room;
    watched_fork forks[];
};

enum { REPORTS_MAX = 256 };

/* ---- Reports ---- */

static struct {
    yk_mutex lock;
    unsigned count;
    struct {
        const char *joined, *forked;
        const void *place;
    } told[REPORTS_MAX];
} reports;

/* Whether it is the first time; beyond REPORTS_MAX nothing is. */
static bool is_new(const char *joined, const char *forked, const void *place)
{
    yk_mutex_lock(&reports.lock);
    unsigned i = 0;
    while (i < reports.count
           && (reports.told[i].joined != joined || reports.told[i].forked != forked || reports.told[i].place != place))
        i++;
    bool new = i == reports.count && i < REPORTS_MAX;
    if (new) {
        reports.told[i].joined = joined;
        reports.told[i].forked = forked;
        reports.told[i].place = place;
        reports.count++;
    }
    yk_mutex_unlock(&reports.lock);
    return new;
}

static void say(const char *line, int length, size_t size)
{
    ssize_t written = yk_sys.write(STDERR_FILENO, line, YK_MIN((size_t)length, size - 1));
    (void)written; /* there is nobody else to tell */
}

/* "program+0x1234", as addr2line -e program 0x1234 takes it. */
static void place_text(const void *place, char *text, size_t size)
{
    Dl_info of;
    if (place && dladdr(place, &of) && of.dli_fname) {
        const char *slash = strrchr(of.dli_fname, '/');
        /* One byte back: the call, not what comes after it. */
        snprintf(text, size, "%s+0x%zx", slash ? slash + 1 : of.dli_fname,
                 (size_t)((const char *)place - 1 - (const char *)of.dli_fbase));
    } else {
        snprintf(text, size, "%p", place);
    }
}

static void report_left(const watched_fork *f)
{
    char line[600], at[300];
    if (!f->name || !is_new(NULL, f->name, f->place))
        return;
    place_text(f->place, at, sizeof at);
    int n = snprintf(line, sizeof line,
                     "yoke: fork without a join: the body that forks %s at %s has returned without joining it\n", f->name, at);
    say(line, n, sizeof line);
}

static void report_too_many(const char *name)
{
    char line[400];
    if (!is_new(name, NULL, NULL))
        return;
    int n = snprintf(line, sizeof line,
                     "yoke: join without a fork: a body, or one that it calls, joins %s more often than it forks it\n", name);
    say(line, n, sizeof line);
}

static void report_other(const char *name, const watched_fork *f)
{
    char line[700], at[300];
    if (!is_new(name, f->name, f->place))
        return;
    place_text(f->place, at, sizeof at);
    int n = snprintf(line, sizeof line, "yoke: join of another fork: %s is joined while the newest fork is that of %s at %s\n",
                     name, f->name, at);
    say(line, n, sizeof line);
}

/* ---- The list ---- */

/* Room for slots below `count`; without memory, what does not fit is not watched. */
static yk_fork_match *with_room(yk_forks *f, uint32_t count)
{
    yk_fork_match *m = f->match;
    if (m && count <= m->room)
        return m;
    uint32_t room = m ? m->room : 64;
    while (room < count)
        room *= 2;
    yk_fork_match *more = yk_sys.malloc(sizeof *more + room * sizeof more->forks[0]);
    if (!more)
        return NULL;
    more->count = 0;
    if (m) {
        more->count = m->count;
        memcpy(more->forks, m->forks, m->count * sizeof m->forks[0]);
    }
    more->room = room;
    free(m);
    return f->match = more;
}

/* Of slots below `count` alone; those above have been left. */
static void cut_to(yk_fork_match *m, uint32_t count)
{
    while (m->count > count)
        report_left(&m->forks[--m->count]);
}

/* Slots up to `count` are in use. */
static void fill_to(yk_fork_match *m, uint32_t count)
{
    while (m->count < count)
        m->forks[m->count++] = (watched_fork){0};
}

void yk_fork_match_forked(yk_forks *f, const yk_fork_slot *top, const char *name, const void *place)
{
    if (top < f->base)
        return; /* after a join without a fork */
    uint32_t i = (uint32_t)(top - f->base);
    yk_fork_match *m = with_room(f, i + 1);
    if (!m)
        return;
    cut_to(m, i);
    fill_to(m, i);
    m->forks[m->count++] = (watched_fork){name, place};
}

bool yk_fork_match_joined(yk_forks *f, const yk_fork_slot *top, const char *name)
{
    ptrdiff_t i = top - f->base;
    if (!f->frame || i < (ptrdiff_t)f->frame->first) {
        report_too_many(name);
        return false;
    }
    yk_fork_match *m = f->match;
    if (!m || i >= (ptrdiff_t)m->room)
        return true; /* there was no memory for it */
    cut_to(m, (uint32_t)i + 1);
    if (m->count <= (uint32_t)i) {
        report_too_many(name);
        return false;
    }
    const watched_fork *at = &m->forks[--m->count];
    if (at->name && strcmp(at->name, name) != 0)
        report_other(name, at);
    return true;
}

void yk_fork_match_begin(yk_forks *f, yk_fork_frame *frame)
{
    yk_fork_match *m = with_room(f, frame->first);
    if (!m)
        return;
    cut_to(m, frame->first);
    frame->watched = m->count;
    fill_to(m, frame->first);
}

void yk_fork_match_end(yk_forks *f, const yk_fork_frame *frame)
{
    yk_fork_match *m = f->match;
    if (!m)
        return;
    cut_to(m, frame->first);
    m->count = YK_MIN(m->count, frame->watched);
}
