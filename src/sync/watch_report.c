/* watch_report: the words of watch: one report is written by one call, so that reports of several threads do not mix; and
 * one for the same places is made once only. Everything here is called under yk_who_lock. */
#include "sync/watching.h"
#include <stdio.h>
#include <unistd.h>

enum { SEEN = 512 };

static char text[8192];
static size_t len;
static uint64_t seen[SEEN]; /* of the reports made: what tells them apart; the oldest goes first */
static unsigned seen_count;

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text + len, sizeof text - len, format, ap);
    va_end(ap);
    len = YK_MIN(len + (size_t)YK_MAX(n, 0), sizeof text - 1);
}

static void write_out(void)
{
    ssize_t n = yk_sys.write(STDERR_FILENO, text, len);
    (void)n;
    len = 0;
}

/* ---- Labels ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *yk_site_label(yk_site site, char *out, size_t size)
{
    if (site.file)
        snprintf(out, size, "%s:%d", base_name(site.file), site.line);
    else
        snprintf(out, size, "an unknown place");
    return out;
}

const char *yk_lock_label(const yk_watched *lock, char *out, size_t size)
{
    char place[100];
    const char *where = lock->between ? "shared " : "";
    if (lock->name[0])
        snprintf(out, size, "%s%s \"%s\"", where, lock->kind, lock->name);
    else if (lock->first.file)
        snprintf(out, size, "%s%s #%llu (first acquired at %s)", where, lock->kind, (unsigned long long)lock->serial,
                 yk_site_label(lock->first, place, sizeof place));
    else
        snprintf(out, size, "%s%s #%llu", where, lock->kind, (unsigned long long)lock->serial);
    return out;
}

static const char *side(bool shared, const yk_watched *lock)
{
    return strcmp(lock->kind, "rwlock") != 0 ? "" : shared ? " to read" : " to write";
}

/* ---- Once ---- */

static uint64_t hash_site(yk_site site)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)(unsigned)site.line;
    for (const char *c = site.file; c && *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    return h * 0x9e3779b97f4a7c15u;
}

static bool is_new(uint64_t what)
{
    for (unsigned i = 0; i < YK_MIN(seen_count, SEEN); i++)
        if (seen[i] == what)
            return false;
    seen[seen_count++ % SEEN] = what;
    return true;
}

/* ---- Reports ---- */

/* Sums do not depend on where a cycle begins. */
void yk_report_order(const yk_step *steps, unsigned count, bool now)
{
    uint64_t what = count;
    for (unsigned i = 0; i < count; i++)
        what += hash_site(steps[i].variant->from_site) * 31 + hash_site(steps[i].variant->to_site);
    if (!is_new(what))
        return;
    char label[160], place[100];
    put("yoke: lock order inversion: %u locks are acquired in orders that can deadlock\n", count);
    for (unsigned i = 0; i < count; i++) {
        const yk_variant *v = steps[i].variant;
        const yk_edge *e = steps[i].edge;
        put("  %s %s %s%s at %s\n", v->thread, now && i == 0 ? "acquires" : "acquired",
            yk_lock_label(e->to, label, sizeof label), side(v->to_shared, e->to),
            yk_site_label(v->to_site, place, sizeof place));
        put("    while it %s %s, acquired%s at %s\n", now && i == 0 ? "holds" : "held",
            yk_lock_label(e->from, label, sizeof label), side(v->from_shared, e->from),
            yk_site_label(v->from_site, place, sizeof place));
    }
    put("  Acquire them in the same order everywhere, or under one lock that is always acquired first.\n");
    write_out();
}

static void put_held(const yk_who *who)
{
    char label[160], place[100];
    yk_keeper *k = (yk_keeper *)(void *)who->held;
    for (const yk_held *h = k ? k->held : NULL; h; h = h->next_of_thread)
        put("    and holds %s, acquired%s at %s\n", yk_lock_label(h->lock, label, sizeof label), side(h->shared, h->lock),
            yk_site_label(h->site, place, sizeof place));
}

/* What tells a wait from others: its place, or else its words. */
static uint64_t hash_wish(const yk_wish *w)
{
    char wish[300];
    if (w->kind == &yk_lock_wish)
        return hash_site(((const yk_want *)w->object)->site);
    w->kind->tell(w->object, wish, sizeof wish);
    return hash_site((yk_site){wish, 0});
}

static const char doubt[] = ", unless another thread releases the lock";

void yk_report_deadlock(yk_who *const *way, unsigned count, bool certain)
{
    char name[YK_WHO_LABEL], wish[300];
    uint64_t what = 77 + certain;
    for (unsigned i = 0; i < count; i++)
        what += hash_wish(way[i]->wish);
    if (!is_new(what))
        return;
    put("yoke: %sdeadlock: ", certain ? "" : "likely ");
    if (count == 1)
        put("a thread waits for itself");
    else
        put("%u threads wait for each other", count);
    put("%s\n", certain ? "" : doubt);
    for (unsigned i = 0; i < count; i++) {
        way[i]->wish->kind->tell(way[i]->wish->object, wish, sizeof wish);
        put("  %s %s", yk_who_label(way[i], name, sizeof name), wish);
        if (way[i]->wish->kind->by)
            put(", %s %s", way[i]->wish->kind->by, yk_who_label(way[(i + 1) % count], name, sizeof name));
        put("\n");
        put_held(way[i]);
    }
    write_out();
}

static void put_again(const yk_keeper *k, const yk_held *held)
{
    char name[YK_WHO_LABEL], label[160], place[100];
    put("  %s acquires %s%s at %s\n", yk_who_label(held->who, name, sizeof name),
        yk_lock_label(held->lock, label, sizeof label), side(k->want.shared, held->lock),
        yk_site_label(k->want.site, place, sizeof place));
    put("    and holds it already, acquired%s at %s\n", side(held->shared, held->lock),
        yk_site_label(held->site, place, sizeof place));
}

void yk_report_again(const yk_keeper *k, const yk_held *held, bool certain)
{
    if (!is_new(hash_site(k->want.site) + 31 * hash_site(held->site) + 5 + certain))
        return;
    put("yoke: %sdeadlock: a thread waits for itself%s\n", certain ? "" : "likely ", certain ? "" : doubt);
    put_again(k, held);
    write_out();
}

void yk_report_read_again(const yk_keeper *k, const yk_held *held)
{
    if (!is_new(hash_site(k->want.site) + 31 * hash_site(held->site) + 7))
        return;
    put("yoke: lock order inversion: a thread reads under a lock twice, and deadlocks when a writer comes in between\n");
    put_again(k, held);
    put("  Read under it once, or use yoke_rwlock_read_try() or a time limit for the second time.\n");
    write_out();
}

static void put_ended(const yk_left *left, const yk_watched *lock)
{
    char place[100];
    put("    which %s held when it %s, acquired%s at %s\n", left->thread,
        left->forked ? "stayed behind in the parent process" : "ended", side(left->shared, lock),
        yk_site_label(left->site, place, sizeof place));
}

void yk_report_orphan(const yk_keeper *k, bool certain)
{
    char name[YK_WHO_LABEL], label[160], place[100];
    const yk_watched *l = k->want.lock;
    if (!is_new(hash_site(k->want.site) + 31 * hash_site(l->left.site) + 11 + certain))
        return;
    put("yoke: %sdeadlock: a thread waits for a lock that nobody is left to release%s\n", certain ? "" : "likely ",
        certain ? "" : doubt);
    put("  %s waits for %s at %s\n", yk_who_label(k->want.who, name, sizeof name),
        yk_lock_label(l, label, sizeof label), yk_site_label(k->want.site, place, sizeof place));
    put_ended(&l->left, l);
    write_out();
}

void yk_tell_orphan(const yk_want *want, char *out, size_t size)
{
    char name[YK_WHO_LABEL], label[160], place[100];
    const yk_left *left = &want->lock->left;
    snprintf(out, size, "deadlock: %s waits for %s at %s, which %s held when it %s",
             yk_who_label(want->who, name, sizeof name), yk_lock_label(want->lock, label, sizeof label),
             yk_site_label(want->site, place, sizeof place), left->thread,
             left->forked ? "stayed behind in the parent process" : "ended");
}

void yk_report_left(yk_who *who, const yk_held *held)
{
    char name[YK_WHO_LABEL], label[160], place[100];
    if (!is_new(hash_site(held->site) + 9))
        return;
    put("yoke: %s ended holding %s, acquired%s at %s\n", yk_who_label(who, name, sizeof name),
        yk_lock_label(held->lock, label, sizeof label), side(held->shared, held->lock),
        yk_site_label(held->site, place, sizeof place));
    put(held->lock->between ? "  The next to acquire it is given it, with -EOWNERDEAD.\n"
        : held->lock->owned ? "  Nobody can release it any more.\n"
                            : "  It stays held until another thread releases it.\n");
    write_out();
}
