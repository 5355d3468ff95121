/* watch: what the locks tell while YOKE_DEBUG has the word "locks", so that orders in which locks could deadlock, and
 * deadlocks, are reported on stderr with threads, locks and places.
 *
 * A lock calls, if yoke_watching_locks is true:
 *
 *     before an acquire without a time limit       yk_watch_want(), and gives up when that returns -EDEADLK
 *     before a try, or with a time limit           yk_watch_try(), so that the place is known
 *     before it sleeps, each time                  yk_watch_blocked_until(), and gives up when that returns -EDEADLK
 *     when the wait is over without the lock       yk_watch_quit()
 *     acquired, by whichever call                  yk_watch_have(); without a word before, the place is where this thread
 *                                                  had it last
 *     before a release                             yk_watch_drop()
 *     when it is made, and destroyed               yk_watch_forget(): what was known of this address is of another
 *
 * kind is "lock" (one holder; any thread may release it), "rlock" (one holder, again and again), "read" or "write" (the two
 * sides of a read-write lock; "rwlock" is "write"); any other is taken as "lock". "shared " before it says that the lock lies
 * in memory that processes share: there a lock has an owner too. It must be the library's own and static. NULL: the lock is
 * taken back, and of the kind that it had; if it is not known by now it is not watched. name and file may be NULL; they are
 * copied, as the module that they are of may be unloaded. A writer that keeps new readers out while it waits for those that are
 * in has the lock; it calls yk_watch_try() again and yk_watch_blocked_until() for that wait, and yk_watch_quit() after it.
 *
 * What is no alarm: a try, or an acquire with a time limit, which comes loose by itself; an rlock taken again by its holder; a
 * cycle at one lock of which both sides are shared; orders that are reversed only under one more lock that all take first; a
 * lock that was ever released by another thread than its holder, which is a signal and not a lock. As a "lock" may yet turn out
 * to be one, it counts from when its holder has released it once; and to take it twice is a mistake if this thread has released
 * it before.
 *
 * A wait that only such a "lock" makes doubtful is certain all the same when every thread of the process waits in the same way;
 * the look for that is repeated while the wait lasts, as a sleeper wakes up from time to time while it is watched. A wait that
 * still is in doubt after yk_likely_after is reported as likely to be a deadlock, and goes on. */
#ifndef YK_SYNC_WATCH_H
#define YK_SYNC_WATCH_H
#include "base/base.h"
#include <yoke/sync.h>

/* 0, or -EDEADLK when this thread holds it and can hold it once only; that has been reported then. Remembers the place. */
int yk_watch_want(const void *lock, const char *kind, const char *name, const char *file, int line);
/* Remembers the place and asks nothing. */
void yk_watch_try(const void *lock, const char *kind, const char *name, const char *file, int line);
/* -EDEADLK when the wait would never be over, which has been reported then; the thread should not sleep. */
int yk_watch_blocked_until(const void *lock, int64_t deadline);
void yk_watch_blocked(const void *lock);
void yk_watch_quit(const void *lock);
void yk_watch_have(const void *lock);
void yk_watch_drop(const void *lock);
void yk_watch_forget(const void *lock);

#endif
