/* names: a hash table with open addressing, linear probing and a mutex; see names.h. A removed entry leaves
 * its key with no name, which keeps the chains whole, and goes when the table grows. */
#include "sync/names.h"
#include "sync/mutex.h"
#include <stdlib.h>

enum { FIRST_SIZE = 64 };

typedef struct named {
    const void *lock; /* NULL: free */
    const char *name;
} named;

/* All under the mutex. size is a power of two; used counts the entries whose lock is not NULL. */
static struct {
    yk_mutex mutex;
    named *table;
    size_t size, used;
} names;

static named *find(named *table, size_t size, const void *lock)
{
    size_t at = (size_t)(((uintptr_t)lock >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (size - 1);
    while (table[at].lock && table[at].lock != lock)
        at = (at + 1) & (size - 1);
    return &table[at];
}

/* Room for one more: at most half of the table is used. */
static bool make_room(void)
{
    if (names.used * 2 < names.size)
        return true;
    size_t live = 0;
    for (size_t i = 0; i < names.size; i++)
        live += names.table[i].name != NULL;
    size_t size = FIRST_SIZE;
    while (size < live * 4 + 4)
        size *= 2;
    named *table = yk_sys.calloc(size, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < names.size; i++)
        if (names.table[i].name)
            *find(table, size, names.table[i].lock) = names.table[i];
    free(names.table);
    names.table = table;
    names.size = size;
    names.used = live;
    return true;
}

static void set(const void *lock, const char *name)
{
    named *entry = names.size ? find(names.table, names.size, lock) : NULL;
    if (entry && entry->lock) {
        entry->name = name;
        return;
    }
    if (!name || !make_room())
        return;
    *find(names.table, names.size, lock) = (named){lock, name};
    names.used++;
}

void yk_name_set(const void *lock, const char *name)
{
    yk_mutex_lock(&names.mutex);
    set(lock, name);
    yk_mutex_unlock(&names.mutex);
}

const char *yk_name_of(const void *lock)
{
    yk_mutex_lock(&names.mutex);
    const char *name = names.size ? find(names.table, names.size, lock)->name : NULL;
    yk_mutex_unlock(&names.mutex);
    return name;
}

static void before_fork(void)
{
    yk_mutex_lock(&names.mutex);
}

static void after_fork(void)
{
    yk_mutex_unlock(&names.mutex);
}

/* A fork must not find the table half grown. */
static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

/* So that leak checkers find nothing. */
static __attribute__((destructor)) void forget(void)
{
    yk_mutex_lock(&names.mutex);
    free(names.table);
    names.table = NULL;
    names.size = names.used = 0;
    yk_mutex_unlock(&names.mutex);
}
