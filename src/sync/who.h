/* who: the threads that yoke knows, and who waits for whom.
 *
 * Every thread that waits for something whose holder is known (a task, another thread, a lock that is watched) says so while it
 * sleeps: it has a wish. From a wish one comes to the threads without which it will not be granted, from these to their own
 * wishes, and so on. A way that leads back to the thread that is about to sleep is a deadlock: that thread is told so instead
 * of sleeping. Only wishes without a time limit count, and only threads of which it is certain that they must go on first, so
 * there is no false alarm; a way that cannot be followed (a worker process, a semaphore) ends there.
 *
 * One lock guards all wishes. It is taken only by who is about to sleep anyway. */
#ifndef YK_SYNC_WHO_H
#define YK_SYNC_WHO_H
#include "sync/mutex.h"
#include <sys/types.h>
#include <yoke/sync.h>

enum {
    YK_WHO_NAME = 64,
    YK_WHO_LABEL = YK_WHO_NAME + 12,
    YK_WHO_TOLD = 800,
    YK_WHO_WAY = 32 /* threads in a cycle; longer ones are not found */
};

struct yk_wish;
struct yk_held;

/* A thread, or a coroutine. Records are never freed, but used again when their thread has ended: a pointer to one may always be
 * followed. */
typedef struct yk_who {
    struct yk_who *next;  /* all records, newest first; written once */
    struct yk_who *free;  /* the next that nobody uses */
    _Atomic pid_t tid;    /* 0: free. Written by its thread, as are thread and told */
    uint64_t id;          /* what its thread is in the word of a lock; 0: not known */
    _Atomic uint32_t returned; /* locks that its thread took and others released; changed under yk_who_lock */
    void *thread;         /* of threads/thread.c */
    char *told;           /* the text of the last deadlock that it was told of, YK_WHO_TOLD bytes; NULL: none yet */
    char name[YK_WHO_NAME];     /* "" until somebody gives one; guarded by yk_who_lock, as are the rest */
    struct yk_who_loop *loop;   /* NULL: it is a thread, not a coroutine */
    const struct yk_wish *wish; /* the newest */
    struct yk_held *held;       /* of watch.c */
    uint64_t mark;              /* the last search that came by */
} yk_who;

/* A thread that runs coroutines. It waits when all of them do and nobody has handed it anything. Guarded by yk_who_lock, but for
 * what is atomic. */
typedef struct yk_who_loop {
    struct yk_who_loop *next;
    pid_t tid;
    _Atomic size_t alive;                   /* coroutines, those without a record too; written by its thread */
    bool (*busy)(struct yk_who_loop *loop); /* something was handed to it */
    size_t waiting;                         /* of yk_wish_all() */
} yk_who_loop;
void yk_who_loop_begin(yk_who_loop *loop);
void yk_who_loop_end(yk_who_loop *loop);

extern _Thread_local yk_who *yk_who_mine __attribute__((tls_model("initial-exec")));
yk_who *yk_who_new(void);
/* Of a coroutine, which has ended. Not the running one's, unless yk_who_mine is set to NULL then. */
void yk_who_end(yk_who *w);

/* This thread's record, made when first asked for. NULL: no memory. */
static inline yk_who *yk_who_self(void)
{
    return YK_LIKELY(yk_who_mine != NULL) ? yk_who_mine : yk_who_new();
}

extern yk_mutex yk_who_lock;
/* All records, free ones too. */
yk_who *yk_who_first(void);
/* Called in a thread that ends, or whose record is given up, for the part that put something into `thread` and into `held`. */
extern void (*yk_who_thread_end)(yk_who *w);
extern void (*yk_who_held_end)(yk_who *w, bool ended); /* ended: else it stayed behind in the parent process */
void yk_who_rename(yk_who *w, const char *name);
/* This thread has released a lock that the thread with this id took. */
void yk_who_returned(uint64_t id);
/* How many locks the calling thread holds: those that it took (yk_self.held) without those that others have released for it,
 * and the like. Not less than it really holds; more when somebody else released the lock of a thread that has no yk_who. */
uint32_t yk_self_holds(void);
static inline bool yk_is_isolated(void)
{
    return YK_UNLIKELY(yk_self.held != 0) && yk_self_holds() != 0;
}
/* Under yk_who_lock: a deadlock has been found, for who reports it; as yk_wish_tell(). Set by watch.c while it watches. */
extern void (*yk_who_report)(yk_who *const *way, unsigned count);
/* YOKE_DEBUG has the word "forks": see src/threads/fork_match.c. Set before any worker begins, and never changed after. */
extern bool yk_watching_forks;
/* The word "async": src/async/hog.c. */
extern bool yk_watching_loops;
/* Under yk_who_lock: its name as given, else as the kernel has it; and for a text: thread "NAME", coroutine "NAME". */
const char *yk_who_name(const yk_who *w, char *buffer, size_t size);
const char *yk_who_label(const yk_who *w, char *buffer, size_t size);

/* A kind of thing that threads wait for. Both functions are called under yk_who_lock and take no lock above it. */
typedef struct yk_wish_kind {
    /* The i-th of the threads that must go on before a wait for the object can be over; NULL after the last. */
    yk_who *(*holder)(const void *object, unsigned i);
    /* "waits for task integrate (integrate.c:12)" */
    void (*tell)(const void *object, char *text, size_t size);
    /* Whether it is certain that nobody but the holders can grant it. NULL: always. */
    bool (*sure)(const void *object);
    /* Whether it is not there yet, though perhaps no other thread holds it. NULL: if holder() finds somebody. */
    bool (*pending)(const void *object);
    const char *by; /* what its holder does with it: "run by"; NULL: the text has said so */
} yk_wish_kind;

/* On the stack of who waits. The object must stay for as long. */
typedef struct yk_wish {
    const yk_wish_kind *kind;
    const void *object;
    bool forever; /* without a time limit */
    const struct yk_wish *outer;
    yk_who *whose; /* NULL: it is not entered */
} yk_wish;

/* This thread will sleep until the object is there. 0, or -EDEADLK when it would never wake up; then there is nothing to end,
 * and yoke_deadlock() has the text. deadline: absolute, or YOKE_FOREVER. */
int yk_wish_begin(yk_wish *w, const yk_wish_kind *kind, const void *object, int64_t deadline);
/* The same for a wait that cannot be given up: others see it, and it is never refused. */
void yk_wish_enter(yk_wish *w, const yk_wish_kind *kind, const void *object);
void yk_wish_end(yk_wish *w);
/* For a caller that knows already: the thread waits for something that it must do itself. Writes the text; -EDEADLK. */
int yk_wish_own(const yk_wish_kind *kind, const void *object);
/* The way from w, which is entered, back to its thread: way[0] is that thread, and way[i]'s wish leads to way[i + 1]. Returns
 * how many there are; 0: no way. certain: false when somebody outside may yet let one of them go on. Under yk_who_lock. */
unsigned yk_wish_cycle(const yk_wish *w, yk_who *way[YK_WHO_WAY], bool *certain);
/* Whether every thread of the process waits without a time limit for something that another of them must do: then nobody is
 * left who could. Under yk_who_lock, with the caller's own wish entered. */
bool yk_wish_all(void);
/* Writes the way as text for yoke_deadlock(). */
void yk_wish_tell(yk_who *const *way, unsigned count);
/* For a caller that knows already and is not to be reported: "waits for ..." of this thread. -EDEADLK. */
int yk_wish_refuse(const char *what);
/* Writes a text of the caller's for it, of thread `me`, which is this one. */
void yk_wish_say(yk_who *me, const char *text);

#endif
