/* watch: which locks there are and who holds them; see watch.h. The orders are in watch_order.c, the words in watch_report.c.
 *
 * Locks are found by address in a table that grows; a thread's part hangs on its record (who.h). When memory runs out a lock or
 * a thread is not watched: less is seen, nothing goes wrong. */
#include "sync/self.h"
#include "sync/watching.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool yoke_watching_locks;
int64_t yk_likely_after = YOKE_S;

enum { FIRST_BUCKETS = 64 };

static struct {
    yk_watched **buckets;
    size_t size, count; /* size: a power of two */
    uint64_t serial;
} table;

/* ---- The table of locks ---- */

static size_t bucket_of(const void *address, size_t size)
{
    return (size_t)(((uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15u) >> 32) & (size - 1);
}

static yk_watched *find(const void *address)
{
    yk_watched *l = table.size > 0 ? table.buckets[bucket_of(address, table.size)] : NULL;
    while (l && l->address != address)
        l = l->next;
    return l;
}

static bool grow(void)
{
    size_t size = table.size ? table.size * 2 : FIRST_BUCKETS;
    yk_watched **buckets = yk_sys.calloc(size, sizeof(*buckets));
    if (!buckets)
        return table.size > 0; /* crowded is good enough */
    for (size_t i = 0; i < table.size; i++) {
        for (yk_watched *l = table.buckets[i], *next; l; l = next) {
            next = l->next;
            size_t b = bucket_of(l->address, size);
            l->next = buckets[b];
            buckets[b] = l;
        }
    }
    free(table.buckets);
    table.buckets = buckets;
    table.size = size;
    return true;
}

/* kind without what is said before it of the memory. */
static const char *bare(const char *kind)
{
    return strncmp(kind, "shared ", 7) == 0 ? kind + 7 : kind;
}

static bool is_side(const char *kind)
{
    return strcmp(kind, "read") == 0 || strcmp(kind, "write") == 0 || strcmp(kind, "rwlock") == 0;
}

static yk_watched *find_or_make(const void *address, const char *kind, const char *name, yk_site site)
{
    yk_watched *l = find(address);
    if (l)
        return l;
    if (table.count >= table.size && !grow())
        return NULL;
    l = yk_sys.calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->address = address;
    l->serial = ++table.serial;
    l->between = bare(kind) != kind;
    kind = bare(kind);
    l->kind = is_side(kind) ? "rwlock" : kind;
    l->recursive = strcmp(kind, "rlock") == 0;
    l->owned = l->recursive || is_side(kind) || l->between;
    l->first = site;
    snprintf(l->name, sizeof l->name, "%s", name ? name : "");
    size_t b = bucket_of(address, table.size);
    l->next = table.buckets[b];
    table.buckets[b] = l;
    table.count++;
    return l;
}

void yk_watched_each(void (*fn)(yk_watched *lock, void *arg), void *arg)
{
    for (size_t i = 0; i < table.size; i++)
        for (yk_watched *l = table.buckets[i]; l; l = l->next)
            fn(l, arg);
}

/* ---- Places ---- */

/* The name of a file, for good: what is remembered of a place may be told when the module that came with the name is unloaded.
 * More names than NAMES, or than there is memory for, are not known. */
enum { NAME_BUCKETS = 256, NAMES = 8192 };

typedef struct file_name {
    struct file_name *next; /* in its bucket */
    char text[];
} file_name;

static file_name *names[NAME_BUCKETS];
static unsigned name_count;

static const char *keep(const char *file)
{
    uint64_t hash = 14695981039346656037u;
    size_t size = 1;
    for (const char *c = file; *c; c++, size++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    file_name **bucket = &names[(hash >> 32) % NAME_BUCKETS], *n = *bucket;
    while (n && strcmp(n->text, file) != 0)
        n = n->next;
    if (n)
        return n->text;
    n = name_count < NAMES ? yk_sys.malloc(sizeof *n + size) : NULL;
    if (!n)
        return NULL;
    memcpy(n->text, file, size);
    n->next = *bucket;
    *bucket = n;
    name_count++;
    return n->text;
}

/* The only way to a place that is remembered. */
static yk_site site_of(const char *file, int line)
{
    return (yk_site){file ? keep(file) : NULL, line};
}

/* ---- Threads ---- */

yk_keeper *yk_keeper_of(yk_who *who)
{
    return (yk_keeper *)(void *)who->held;
}

static yk_keeper *keeper(yk_who *who)
{
    if (who && !who->held)
        who->held = yk_sys.calloc(1, sizeof(yk_keeper));
    return who ? yk_keeper_of(who) : NULL;
}

static void wake_up(yk_keeper *k)
{
    if (k->asleep)
        k->wish.whose->wish = k->wish.outer;
    k->asleep = false;
}

/* Takes the lock's entry out of both lists. */
static void take_out(yk_held *h)
{
    yk_held **at = &h->lock->holders;
    while (*at != h)
        at = &(*at)->next_of_lock;
    *at = h->next_of_lock;
    at = &yk_keeper_of(h->who)->held;
    while (*at != h)
        at = &(*at)->next_of_thread;
    *at = h->next_of_thread;
    free(h);
}

static yk_held *held_by(const yk_watched *l, const yk_who *who)
{
    yk_held *h = l->holders;
    while (h && h->who != who)
        h = h->next_of_lock;
    return h;
}

/* The lock stays held, and nobody has it any more. Between processes the next who wants it is given it. A "lock" may be handed
 * over by that, so unless it has often been used otherwise nothing is said before somebody waits for it. */
static void leave_behind(yk_who *who, const yk_held *h, bool ended)
{
    const yk_watched *l = h->lock;
    yk_left *left = &h->lock->left;
    if (ended && !l->passed_on && (l->owned || l->returned >= YK_CERTAIN))
        yk_report_left(who, h);
    if (l->passed_on || l->between || left->is)
        return;
    *left = (yk_left){.is = true, .shared = h->shared, .forked = !ended, .site = h->site};
    yk_who_label(who, left->thread, sizeof left->thread);
}

/* A thread ends, or has stayed behind in the parent process. */
static void keeper_ends(yk_who *who, bool ended)
{
    yk_keeper *k = yk_keeper_of(who);
    if (!k)
        return;
    wake_up(k);
    while (k->held) {
        leave_behind(who, k->held, ended);
        take_out(k->held);
    }
    free(k);
    who->held = NULL;
}

/* In a child made by fork(): what the thread holds of what processes share is still the parent's. */
static void child_begins(void)
{
    yk_keeper *k = yk_who_mine ? yk_keeper_of(yk_who_mine) : NULL;
    for (yk_held *h = k ? k->held : NULL, *next; h; h = next) {
        next = h->next_of_thread;
        if (h->lock->between)
            take_out(h);
    }
    if (k) {
        wake_up(k);
        k->want = k->dropped = (yk_want){0};
    }
}

/* ---- What locks call ---- */

static void remember(yk_keeper *k, const yk_who *me, const void *lock, const char *kind, const char *name, yk_site site)
{
    wake_up(k);
    k->want = (yk_want){.address = lock, .lock = kind ? find_or_make(lock, kind, name, site) : find(lock), .who = me,
                        .site = site, .shared = kind && strcmp(bare(kind), "read") == 0, .since = yoke_now()};
    k->doubted = false;
}

/* Whether this thread, which holds the lock, is the one that will release it. */
static bool is_sure(const yk_watched *l)
{
    if (l->owned || l->returned >= YK_CERTAIN)
        return true;
    for (size_t i = 0; i < YK_USERS; i++)
        if (l->users[i] == yk_self_id() || (l->users[i] != 0 && yk_self_was(l->users[i])))
            return true;
    return false;
}

/* The wait for what it wants, as others see it. */
static void fall_asleep(yk_keeper *k, yk_who *me, bool forever)
{
    wake_up(k);
    k->wish = (yk_wish){.kind = &yk_lock_wish, .object = &k->want, .forever = forever, .outer = me->wish, .whose = me};
    me->wish = &k->wish;
    k->asleep = true;
}

static int waits_for_itself(yk_keeper *k, yk_who *me, const yk_held *h)
{
    yk_report_again(k, h, true);
    fall_asleep(k, me, true);
    yk_wish_tell(&me, 1);
    wake_up(k);
    return -EDEADLK;
}

/* It is held by this thread already. A "lock" that others might release is looked at again when it has to wait. */
static int check_again(yk_keeper *k, yk_who *me, const yk_held *h)
{
    if (h->shared && k->want.shared)
        yk_report_read_again(k, h);
    if (h->lock->recursive || (h->shared && k->want.shared) || !is_sure(h->lock))
        return 0;
    return waits_for_itself(k, me, h);
}

int yk_watch_want(const void *lock, const char *kind, const char *name, const char *file, int line)
{
    yk_who *me = yk_who_self();
    int err = 0;
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k) {
        remember(k, me, lock, kind, name, site_of(file, line));
        yk_watched *l = k->want.lock;
        yk_held *h = l ? held_by(l, me) : NULL;
        if (l && !l->passed_on) {
            if (h)
                err = check_again(k, me, h);
            else
                yk_order_note(k, me);
        }
    }
    yk_mutex_unlock(&yk_who_lock);
    return err;
}

void yk_watch_try(const void *lock, const char *kind, const char *name, const char *file, int line)
{
    yk_who *me = yk_who_self();
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k)
        remember(k, me, lock, kind, name, site_of(file, line));
    yk_mutex_unlock(&yk_who_lock);
}

/* Who keeps a wanted lock from being had. A writer that has shut the door on new readers holds the lock itself, and waits for
 * the others. */
static yk_who *holder(const void *object, unsigned i)
{
    const yk_want *want = object;
    if (!want->lock || want->lock->passed_on)
        return NULL;
    for (const yk_held *h = want->lock->holders; h; h = h->next_of_lock)
        if (h->who != want->who && !(h->shared && want->shared) && i-- == 0)
            return h->who;
    return NULL;
}

static void tell(const void *object, char *text, size_t size)
{
    const yk_want *want = object;
    char label[160], place[100];
    snprintf(text, size, "waits for %s at %s", want->lock ? yk_lock_label(want->lock, label, sizeof label) : "a lock",
             yk_site_label(want->site, place, sizeof place));
}

static bool sure(const void *object)
{
    const yk_want *want = object;
    return want->lock && yk_is_lock(want->lock);
}

static bool pending(const void *object)
{
    const yk_watched *l = ((const yk_want *)object)->lock;
    return l && !l->passed_on && (l->holders || l->left.is);
}

const yk_wish_kind yk_lock_wish = {.holder = holder, .tell = tell, .sure = sure, .pending = pending, .by = "held by"};

/* Whether the lock was left behind by a thread, in a way that keeps this one out. */
static bool is_orphan(const yk_want *want)
{
    return want->lock->left.is && !want->lock->passed_on && !(want->lock->left.shared && want->shared);
}

/* Three ways in which a wait may never be over: this thread itself has the lock, nobody has it, threads wait in a ring. */
typedef struct outlook {
    const yk_held *again;
    bool orphan, certain;
    unsigned count;
    yk_who *way[YK_WHO_WAY];
} outlook;

static void look_ahead(outlook *o, const yk_keeper *k, const yk_who *me)
{
    const yk_watched *l = k->want.lock;
    *o = (outlook){.again = l->owned || l->passed_on ? NULL : held_by(l, me), .orphan = is_orphan(&k->want)};
    o->count = yk_wish_cycle(&k->wish, o->way, &o->certain);
    if (o->orphan && l->owned)
        o->certain = true;
    if (!o->certain && (o->again || o->orphan))
        o->certain = yk_wish_all();
}

static void report(const outlook *o, const yk_keeper *k, yk_who *me)
{
    char text[400];
    if (o->orphan)
        yk_report_orphan(k, o->certain);
    else if (o->again)
        yk_report_again(k, o->again, o->certain);
    else
        yk_report_deadlock(o->way, o->count, o->certain);
    if (!o->certain)
        return;
    if (o->orphan) {
        yk_tell_orphan(&k->want, text, sizeof text);
        yk_wish_say(me, text);
    } else {
        yk_wish_tell(o->again ? &me : o->way, o->again ? 1 : o->count);
    }
}

int yk_watch_blocked_until(const void *lock, int64_t deadline)
{
    yk_who *me = yk_who_self();
    outlook o = {0};
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k && k->want.address == lock && k->want.lock) {
        fall_asleep(k, me, deadline == YOKE_FOREVER);
        if (deadline == YOKE_FOREVER)
            look_ahead(&o, k, me);
        bool likely = (o.again || o.orphan || o.count > 0) && !k->doubted && yoke_now() - k->want.since >= yk_likely_after;
        if (o.certain || likely)
            report(&o, k, me);
        k->doubted = k->doubted || likely;
        if (o.certain)
            wake_up(k);
    }
    yk_mutex_unlock(&yk_who_lock);
    return o.certain ? -EDEADLK : 0;
}

void yk_watch_blocked(const void *lock)
{
    yk_watch_blocked_until(lock, YOKE_FOREVER);
}

void yk_watch_quit(const void *lock)
{
    yk_who *me = yk_who_self();
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k)
        wake_up(k);
    yk_mutex_unlock(&yk_who_lock);
}

static void add(yk_keeper *k, yk_who *me, yk_watched *l)
{
    const yk_want *w = k->want.address == l->address ? &k->want : k->dropped.lock == l ? &k->dropped : NULL;
    yk_held *h = held_by(l, me);
    if (h) {
        h->count++;
        return;
    }
    if (!w || !w->shared)
        l->left.is = false; /* however it has become free */
    h = yk_sys.calloc(1, sizeof *h);
    if (!h)
        return;
    *h = (yk_held){.next_of_lock = l->holders, .next_of_thread = k->held, .lock = l, .who = me, .count = 1,
                   .site = w ? w->site : (yk_site){0}, .shared = w && w->shared};
    l->holders = k->held = h;
}

void yk_watch_have(const void *lock)
{
    yk_who *me = yk_who_self();
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k) {
        wake_up(k);
        yk_watched *l = find(lock);
        if (l)
            add(k, me, l);
        k->want = (yk_want){0};
    }
    yk_mutex_unlock(&yk_who_lock);
}

static void note_return(yk_watched *l)
{
    if (l->owned || l->passed_on || l->returned == YK_CERTAIN)
        return;
    l->users[l->returned % YK_USERS] = yk_self_id();
    if (l->returned++ == 0)
        yk_order_settle(l);
}

/* One that another thread may release tells what happened, not who is inside: it is left alone from now on. */
static void pass_on(yk_watched *l)
{
    if (l->holders)
        take_out(l->holders);
    l->left.is = false;
    if (l->owned || l->passed_on)
        return;
    l->passed_on = true;
    yk_order_forget(l);
}

void yk_watch_drop(const void *lock)
{
    yk_who *me = yk_who_self();
    yk_mutex_lock(&yk_who_lock);
    yk_keeper *k = keeper(me);
    if (k)
        wake_up(k);
    yk_watched *l = find(lock);
    yk_held *h = l ? held_by(l, me) : NULL;
    if (k && h)
        k->dropped = (yk_want){.address = lock, .lock = l, .site = h->site, .shared = h->shared};
    if (h)
        note_return(l);
    if (h && --h->count == 0)
        take_out(h);
    else if (l && !h && (l->holders ? !l->holders->shared : l->left.is))
        pass_on(l);
    yk_mutex_unlock(&yk_who_lock);
}

static void forget_wanted(yk_watched *l)
{
    for (yk_who *w = yk_who_first(); w; w = w->next) {
        yk_keeper *k = yk_keeper_of(w);
        if (k && k->want.lock == l)
            k->want.lock = NULL;
        if (k && k->dropped.lock == l)
            k->dropped.lock = NULL;
    }
}

void yk_watch_forget(const void *lock)
{
    yk_mutex_lock(&yk_who_lock);
    yk_watched *l = find(lock);
    if (l) {
        for (yk_held *h = l->holders, *next; h; h = next) {
            next = h->next_of_lock;
            take_out(h);
        }
        yk_order_forget(l);
        forget_wanted(l);
        yk_watched **at = &table.buckets[bucket_of(lock, table.size)];
        while (*at != l)
            at = &(*at)->next;
        *at = l->next;
        table.count--;
        free(l);
    }
    yk_mutex_unlock(&yk_who_lock);
}

/* ---- YOKE_DEBUG ---- */

bool yk_watching_forks;
bool yk_watching_loops;

static const char *word_at(void *ctx, size_t i)
{
    static const char *const words[] = {"locks", "forks", "async"};
    return i < YK_COUNT_OF(words) ? words[i] : NULL;
}

static void read_word(const char *word, size_t len)
{
    char copy[64], line[300];
    snprintf(copy, sizeof copy, "%.*s", (int)YK_MIN(len, sizeof copy - 1), word);
    if (strcmp(copy, "locks") == 0) {
        yoke_watching_locks = true;
        return;
    }
    if (strcmp(copy, "forks") == 0) {
        yk_watching_forks = true;
        return;
    }
    if (strcmp(copy, "async") == 0) {
        yk_watching_loops = true;
        return;
    }
    const char *near = yk_nearest(copy, word_at, NULL);
    int n = near ? snprintf(line, sizeof line, "yoke: YOKE_DEBUG: no word \"%s\"; did you mean \"%s\"?\n", copy, near)
                 : snprintf(line, sizeof line, "yoke: YOKE_DEBUG: no word \"%s\"; there are: locks, forks, async\n", copy);
    ssize_t written = yk_sys.write(STDERR_FILENO, line, (size_t)n);
    (void)written;
}

void yk_watch_read_debug(const char *text)
{
    while (text && *text) {
        size_t len = strcspn(text, ", ");
        if (len > 0)
            read_word(text, len);
        text += len;
        text += strspn(text, ", ");
    }
}

static void report_ring(yk_who *const *way, unsigned count)
{
    if (yoke_watching_locks)
        yk_report_deadlock(way, count, true);
}

static __attribute__((constructor)) void read_debug(void)
{
    yk_who_held_end = keeper_ends;
    yk_who_report = report_ring;
    pthread_atfork(NULL, NULL, child_begins);
    yk_watch_read_debug(getenv("YOKE_DEBUG"));
}
