/* who: records of threads, and the search for a cycle of waits; see who.h. */
#include "sync/who.h"
#include "sync/self.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

_Thread_local yk_who *yk_who_mine __attribute__((tls_model("initial-exec")));
yk_mutex yk_who_lock;
void (*yk_who_thread_end)(yk_who *w);
void (*yk_who_held_end)(yk_who *w, bool ended);
void (*yk_who_report)(yk_who *const *way, unsigned count);

static _Atomic(yk_who *) records;
static yk_who *unused; /* of them; linked by `free`, guarded by yk_who_lock */
static uint64_t searches; /* guarded by yk_who_lock, as are the loops */
static yk_who_loop *loops;
static pid_t forking; /* the thread that is in fork() */
static pthread_key_t thread_end;
static bool has_thread_end;

/* ---- Records ---- */

static void give_up(yk_who *w, bool ended)
{
    if (yk_who_thread_end && ended)
        yk_who_thread_end(w);
    yk_mutex_lock(&yk_who_lock);
    if (yk_who_held_end)
        yk_who_held_end(w, ended);
    w->wish = NULL;
    w->name[0] = '\0';
    w->id = 0;
    free(w->told);
    w->told = NULL;
    w->thread = NULL;
    w->loop = NULL;
    atomic_store_explicit(&w->tid, 0, memory_order_relaxed);
    w->free = unused;
    unused = w;
    yk_mutex_unlock(&yk_who_lock);
}

void yk_who_end(yk_who *w)
{
    give_up(w, true);
}

static void thread_ended(void *w)
{
    yk_who_mine = w; /* a destructor that ran before this one may have asked for it again */
    give_up(w, true);
    yk_who_mine = NULL;
}

/* ---- Loops ---- */

void yk_who_loop_begin(yk_who_loop *loop)
{
    loop->tid = gettid();
    yk_mutex_lock(&yk_who_lock);
    loop->next = loops;
    loops = loop;
    yk_mutex_unlock(&yk_who_lock);
}

void yk_who_loop_end(yk_who_loop *loop)
{
    yk_mutex_lock(&yk_who_lock);
    yk_who_loop **at = &loops;
    while (*at && *at != loop)
        at = &(*at)->next;
    if (*at)
        *at = loop->next;
    yk_mutex_unlock(&yk_who_lock);
}

static yk_who_loop *loop_of(pid_t tid)
{
    yk_who_loop *l = loops;
    while (l && l->tid != tid)
        l = l->next;
    return l;
}

/* ---- After a fork ---- */

static void before_fork(void)
{
    yk_mutex_lock(&yk_who_lock);
    forking = gettid();
}

static void in_parent(void)
{
    yk_mutex_unlock(&yk_who_lock);
}

/* In a child made by fork() there is this thread alone, with its coroutines. */
static void in_child(void)
{
    pid_t tid = gettid();
    yk_who_lock = (yk_mutex){0};
    loops = loop_of(forking);
    if (loops) {
        loops->next = NULL;
        loops->tid = tid;
    }
    for (yk_who *w = yk_who_first(); w; w = w->next) {
        pid_t was = atomic_load_explicit(&w->tid, memory_order_relaxed);
        if (w == yk_who_mine || (loops && was == forking))
            atomic_store_explicit(&w->tid, tid, memory_order_relaxed);
        else if (was != 0)
            give_up(w, false);
    }
    if (yk_who_mine)
        yk_who_mine->wish = NULL; /* it is another thread now, and goes on holding what it held; its id: renew_id() */
}

/* self.c has a handler of its own, and which of the two runs first is the linker's affair; so that one calls this. */
static void renew_id(uint64_t id)
{
    if (yk_who_mine)
        yk_who_mine->id = id;
}

static __attribute__((constructor)) void watch_threads(void)
{
    yk_self_renewed = renew_id;
    has_thread_end = pthread_key_create(&thread_end, thread_ended) == 0;
    pthread_atfork(before_fork, in_parent, in_child);
}

yk_who *yk_who_first(void)
{
    return atomic_load_explicit(&records, memory_order_acquire);
}

/* A record that nobody uses, if there is one. */
static yk_who *reuse(pid_t tid)
{
    yk_mutex_lock(&yk_who_lock);
    yk_who *w = unused;
    if (w) {
        unused = w->free;
        atomic_store_explicit(&w->tid, tid, memory_order_relaxed);
    }
    yk_mutex_unlock(&yk_who_lock);
    return w;
}

static yk_who *make(pid_t tid)
{
    yk_who *w = yk_sys.calloc(1, sizeof *w);
    if (!w)
        return NULL;
    atomic_store_explicit(&w->tid, tid, memory_order_relaxed);
    w->next = yk_who_first();
    /* Release: pairs with the acquire of yk_who_first(). */
    while (!atomic_compare_exchange_weak_explicit(&records, &w->next, w, memory_order_release, memory_order_relaxed))
        ;
    return w;
}

yk_who *yk_who_new(void)
{
    pid_t tid = gettid();
    char name[YK_WHO_NAME] = "";
    yk_who *w = reuse(tid);
    if (!w)
        w = make(tid);
    yk_blocking *b = yk_blocked_hook;
    yk_who_loop *loop = w && b && b->introduce ? b->introduce(b, name, sizeof name) : NULL;
    if (w && has_thread_end && !loop) /* else its loop gives it up */
        pthread_setspecific(thread_end, w); /* at worst the record is not used again */
    if (w) {
        yk_mutex_lock(&yk_who_lock);
        w->loop = loop;
        if (loop)
            memcpy(w->name, name, sizeof name);
        w->id = yk_self_id();
        atomic_store_explicit(&w->returned, 0, memory_order_relaxed);
        yk_mutex_unlock(&yk_who_lock);
    }
    return yk_who_mine = w;
}

void yk_who_returned(uint64_t id)
{
    yk_mutex_lock(&yk_who_lock);
    for (yk_who *w = yk_who_first(); w; w = w->next)
        if (w->id == id) {
            atomic_fetch_add_explicit(&w->returned, 1, memory_order_relaxed);
            break;
        }
    yk_mutex_unlock(&yk_who_lock);
}

uint32_t yk_self_holds(void)
{
    yk_who *me = yk_who_mine;
    uint32_t returned = me ? atomic_load_explicit(&me->returned, memory_order_relaxed) : 0;
    return yk_self.held > returned ? yk_self.held - returned : 0;
}

/* The kernel's name of another thread, without the library's help, as its pthread_t may be gone. */
static bool read_comm(pid_t tid, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)tid);
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t n = fd < 0 ? -1 : yk_sys.read(fd, buffer, size - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    buffer[n] = '\0';
    buffer[strcspn(buffer, "\n")] = '\0';
    return true;
}

void yk_who_rename(yk_who *w, const char *name)
{
    yk_mutex_lock(&yk_who_lock);
    snprintf(w->name, sizeof w->name, "%s", name);
    yk_mutex_unlock(&yk_who_lock);
}

const char *yk_who_name(const yk_who *w, char *buffer, size_t size)
{
    pid_t tid = atomic_load_explicit(&w->tid, memory_order_relaxed);
    if (w->name[0])
        snprintf(buffer, size, "%s", w->name);
    else if (tid == getpid())
        snprintf(buffer, size, "main");
    else if (!read_comm(tid, buffer, size))
        snprintf(buffer, size, "%d", (int)tid);
    return buffer;
}

const char *yk_who_label(const yk_who *w, char *buffer, size_t size)
{
    char name[YK_WHO_NAME];
    snprintf(buffer, size, "%s \"%s\"", w->loop ? "coroutine" : "thread", yk_who_name(w, name, sizeof name));
    return buffer;
}

/* ---- The search ---- */

/* Depth first, each thread once. way[0..depth] are the threads so far; the last one's wish is looked at. */
static unsigned follow(const yk_wish *w, yk_who **way, unsigned depth)
{
    if (depth + 1 >= YK_WHO_WAY)
        return 0;
    yk_who *next;
    for (unsigned i = 0; (next = w->kind->holder(w->object, i)); i++) {
        if (next == way[0])
            return depth + 1;
        if (next->mark == searches || !next->wish || !next->wish->forever)
            continue;
        next->mark = searches;
        way[depth + 1] = next;
        unsigned found = follow(next->wish, way, depth + 1);
        if (found > 0)
            return found;
    }
    return 0;
}

/* Locks that anybody may release are taken at their word when all are locks: to use signals in such a ring would be strange. */
static bool is_credible(yk_who *const *way, unsigned count)
{
    bool sure = true, alike = true;
    for (unsigned i = 0; i < count; i++) {
        const yk_wish *w = way[i]->wish;
        sure = sure && (!w->kind->sure || w->kind->sure(w->object));
        alike = alike && w->kind == way[0]->wish->kind;
    }
    return sure || (alike && count > 1);
}

static bool is_pending(const yk_wish *w)
{
    return w->kind->pending ? w->kind->pending(w->object) : w->kind->holder(w->object, 0) != NULL;
}

/* How many loops there are, if all wait: that is, all of their coroutines. Else -1. */
static int waiting_loops(void)
{
    int n = 0;
    for (yk_who_loop *l = loops; l; l = l->next, n++)
        if (l->waiting != atomic_load_explicit(&l->alive, memory_order_relaxed) || l->busy(l))
            return -1;
    return n;
}

/* The kernel counts the threads as links of a folder. */
bool yk_wish_all(void)
{
    struct stat s;
    nlink_t waiting = 0;
    for (yk_who_loop *l = loops; l; l = l->next)
        l->waiting = 0;
    for (const yk_who *w = yk_who_first(); w; w = w->next) {
        pid_t tid = atomic_load_explicit(&w->tid, memory_order_relaxed);
        if (tid == 0 || (!w->loop && loop_of(tid)))
            continue;
        if (!w->wish || !w->wish->forever || !is_pending(w->wish))
            return false;
        *(w->loop ? &w->loop->waiting : &waiting) += 1;
    }
    int n = waiting_loops();
    return n >= 0 && stat("/proc/self/task", &s) == 0 && s.st_nlink == waiting + (nlink_t)n + 2;
}

unsigned yk_wish_cycle(const yk_wish *w, yk_who *way[YK_WHO_WAY], bool *certain)
{
    searches++;
    way[0] = w->whose;
    unsigned count = w->forever ? follow(w, way, 0) : 0;
    *certain = count > 0 && (is_credible(way, count) || yk_wish_all());
    return count;
}

static char *room_for_text(yk_who *me)
{
    if (!me->told)
        me->told = yk_sys.malloc(YK_WHO_TOLD);
    return me->told;
}

void yk_wish_tell(yk_who *const *way, unsigned count)
{
    char *text = room_for_text(way[0]), name[YK_WHO_LABEL], wish[256];
    if (!text)
        return;
    int at = snprintf(text, YK_WHO_TOLD, "deadlock: %s", yk_who_label(way[0], name, sizeof name));
    for (unsigned i = 0; i < count && at < YK_WHO_TOLD; i++) {
        const yk_wish *w = way[i]->wish;
        w->kind->tell(w->object, wish, sizeof wish);
        at += snprintf(text + at, (size_t)(YK_WHO_TOLD - at), "%s %s", i > 0 ? ", which" : "", wish);
        if (w->kind->by && at < YK_WHO_TOLD)
            at += snprintf(text + at, (size_t)(YK_WHO_TOLD - at), ", %s %s", w->kind->by,
                           yk_who_label(way[(i + 1) % count], name, sizeof name));
    }
}

void yk_wish_say(yk_who *me, const char *text)
{
    char *room = room_for_text(me);
    if (room)
        snprintf(room, YK_WHO_TOLD, "%s", text);
}

int yk_wish_refuse(const char *what)
{
    char text[300], name[YK_WHO_LABEL];
    yk_who *me = yk_who_self();
    if (!me)
        return -EDEADLK;
    yk_mutex_lock(&yk_who_lock);
    snprintf(text, sizeof text, "deadlock: %s %s", yk_who_label(me, name, sizeof name), what);
    yk_wish_say(me, text);
    yk_mutex_unlock(&yk_who_lock);
    return -EDEADLK;
}

/* Both ways: for the thread that asks, and for who reads the reports. */
static void tell_and_report(yk_who *const *way, unsigned count)
{
    yk_wish_tell(way, count);
    if (yk_who_report)
        yk_who_report(way, count);
}

int yk_wish_own(const yk_wish_kind *kind, const void *object)
{
    yk_who *me = yk_who_self();
    if (!me)
        return -EDEADLK;
    yk_mutex_lock(&yk_who_lock);
    yk_wish w = {.kind = kind, .object = object, .outer = me->wish};
    me->wish = &w;
    tell_and_report(&me, 1);
    me->wish = w.outer;
    yk_mutex_unlock(&yk_who_lock);
    return -EDEADLK;
}

int yk_wish_begin(yk_wish *w, const yk_wish_kind *kind, const void *object, int64_t deadline)
{
    yk_who *me = yk_who_self(), *way[YK_WHO_WAY];
    bool certain;
    *w = (yk_wish){.kind = kind, .object = object, .forever = deadline == YOKE_FOREVER, .whose = me};
    if (!me)
        return 0;
    yk_mutex_lock(&yk_who_lock);
    w->outer = me->wish;
    me->wish = w;
    unsigned count = yk_wish_cycle(w, way, &certain);
    if (certain) {
        tell_and_report(way, count);
        me->wish = w->outer;
    }
    yk_mutex_unlock(&yk_who_lock);
    return certain ? -EDEADLK : 0;
}

void yk_wish_enter(yk_wish *w, const yk_wish_kind *kind, const void *object)
{
    *w = (yk_wish){.kind = kind, .object = object, .forever = true, .whose = yk_who_self()};
    if (!w->whose)
        return;
    yk_mutex_lock(&yk_who_lock);
    w->outer = w->whose->wish;
    w->whose->wish = w;
    yk_mutex_unlock(&yk_who_lock);
}

void yk_wish_end(yk_wish *w)
{
    if (!w->whose)
        return;
    yk_mutex_lock(&yk_who_lock);
    w->whose->wish = w->outer;
    yk_mutex_unlock(&yk_who_lock);
}

const char *yoke_deadlock(void)
{
    return yk_who_mine && yk_who_mine->told ? yk_who_mine->told : "";
}
