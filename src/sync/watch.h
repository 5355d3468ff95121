/* watch: what the locks tell to the diagnosis of deadlocks (YOKE_DEBUG=locks): who wants, waits for, has and
 * drops which lock. The calls come from the slow paths alone, and only while yoke_watching_locks is true. */
#ifndef YK_SYNC_WATCH_H
#define YK_SYNC_WATCH_H
#include "base/base.h"
#include <yoke/sync.h>

typedef struct yk_watch_site {
    const char *file;
    int line;
} yk_watch_site;

/* Before acquiring. -EDEADLK when blocking now would be a real deadlock (which has been reported already).
 * name may be NULL. */
int yk_watch_want(const void *lock, const char *kind, const char *name, const char *file, int line);
/* The thread is about to sleep for the lock. */
void yk_watch_blocked(const void *lock);
/* Acquired, after want. */
void yk_watch_have(const void *lock);
/* Released. */
void yk_watch_drop(const void *lock);
/* Destroyed: its memory may become another lock. */
void yk_watch_forget(const void *lock);
#endif
