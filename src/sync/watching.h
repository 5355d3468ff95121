/* watching.h: what the files of watch share. All of it is guarded by yk_who_lock. */
#ifndef YK_SYNC_WATCHING_H
#define YK_SYNC_WATCHING_H
#include "sync/watch.h"
#include "sync/who.h"

enum {
    YK_GATES = 6,    /* further locks that are remembered with an edge */
    YK_CHAIN = 8,    /* locks in a cycle; longer ones are not found */
    YK_VARIANTS = 6, /* ways to take one lock after another */
    YK_USERS = 4,    /* threads that are remembered as having used a lock as one */
    YK_CERTAIN = 16  /* releases by the holder after which nobody doubts */
};

typedef struct yk_site {
    const char *file; /* NULL: not known; else watch.c's own, for good */
    int line;
} yk_site;

struct yk_edge;

/* A thread that has ended, or stayed behind in the parent process, while it held the lock. */
typedef struct yk_left {
    bool is, shared, forked;
    yk_site site;
    char thread[YK_WHO_LABEL];
} yk_left;

/* A lock, found by its address. */
typedef struct yk_watched {
    struct yk_watched *next; /* in its bucket */
    const void *address;
    uint64_t serial;         /* never used again, unlike addresses */
    const char *kind;        /* as first seen; of read-write locks "rwlock" */
    char name[40];
    yk_site first;           /* where it was first acquired */
    bool recursive;          /* its holder may take it again */
    bool owned;              /* only its holder may release it */
    bool between;            /* in memory that processes share: others may hold it, and inherit it */
    bool passed_on;          /* somebody else has: it is out of this */
    uint32_t returned;       /* how often its holder has released it */
    uint64_t users[YK_USERS]; /* who did, of late: ids, as records are used again; 0: nobody */
    struct yk_held *holders;
    yk_left left;
    struct yk_edge *edges;   /* to the locks that were acquired while this one was held */
    uint64_t mark;           /* the last search that came by */
} yk_watched;

/* One lock held by one thread. */
typedef struct yk_held {
    struct yk_held *next_of_lock, *next_of_thread;
    yk_watched *lock;
    yk_who *who;
    yk_site site;
    unsigned count;
    bool shared;
} yk_held;

/* What a thread is about to acquire. */
typedef struct yk_want {
    const void *address;
    yk_watched *lock; /* NULL once it is forgotten */
    const yk_who *who;
    yk_site site;
    bool shared;
    int64_t since; /* when it was first wanted */
} yk_want;

/* What this needs to know of a thread; who->held leads to it. */
typedef struct yk_keeper {
    yk_held *held; /* newest first */
    yk_want want;
    yk_want dropped; /* what it released last, for a lock that is taken back */
    yk_wish wish;
    bool asleep; /* wish is entered */
    bool doubted; /* this wait has been reported as likely */
} yk_keeper;

/* One way in which lock `to` was wanted while `from` was held. */
typedef struct yk_variant {
    bool from_shared, to_shared;
    yk_site from_site, to_site;
    char thread[YK_WHO_LABEL];
    unsigned gate_count;
    uint64_t gates[YK_GATES]; /* serials of the other locks that were held, exclusively */
} yk_variant;

typedef struct yk_edge {
    struct yk_edge *next;
    yk_watched *from, *to;
    unsigned count;
    yk_variant variants[YK_VARIANTS];
} yk_edge;

/* A step of a cycle. */
typedef struct yk_step {
    const yk_edge *edge;
    const yk_variant *variant;
} yk_step;

/* Whether others can be sure that only its holder will release it. A lock that any thread may release can be a signal too, for
 * which to wait while one holds it is no mistake; so it must have been used as a lock before. */
static inline bool yk_is_lock(const yk_watched *l)
{
    return !l->passed_on && (l->owned || l->returned > 0);
}

/* ---- watch_order.c ---- */
/* The lock has been released by its holder for the first time: reports the cycles that were left in doubt. */
void yk_order_settle(yk_watched *lock);
/* The thread wants a lock: notes it with each lock that it holds, and reports a cycle if this makes one. */
void yk_order_note(const yk_keeper *k, yk_who *me);
/* Removes all edges to and from the lock. */
void yk_order_forget(yk_watched *lock);

/* ---- watch_report.c ---- */
void yk_report_order(const yk_step *steps, unsigned count, bool now);
/* certain: else somebody else might still release one of the locks. */
void yk_report_deadlock(yk_who *const *way, unsigned count, bool certain);
void yk_report_again(const yk_keeper *k, const yk_held *held, bool certain);
/* It reads under a lock under which it reads already. */
void yk_report_read_again(const yk_keeper *k, const yk_held *held);
/* The thread ends while it holds a lock. */
void yk_report_left(yk_who *who, const yk_held *held);
/* A thread waits for a lock that one left behind. */
void yk_report_orphan(const yk_keeper *k, bool certain);
/* Its line without its end, as for yoke_deadlock(). */
void yk_tell_orphan(const yk_want *want, char *text, size_t size);
/* 'lock "accounts"', or by address and place. */
const char *yk_lock_label(const yk_watched *lock, char *text, size_t size);
/* "main.c:12" */
const char *yk_site_label(yk_site site, char *text, size_t size);

/* ---- watch.c ---- */
/* How long, in ns, a wait that may never be over lasts before it is reported as likely to be such; tests shorten it. */
extern int64_t yk_likely_after;
/* Takes the words of YOKE_DEBUG. */
void yk_watch_read_debug(const char *text);
/* The locks, for watch_order.c: calls fn for each. */
void yk_watched_each(void (*fn)(yk_watched *lock, void *arg), void *arg);
yk_keeper *yk_keeper_of(yk_who *who);
extern const yk_wish_kind yk_lock_wish;

#endif
