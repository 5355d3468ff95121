/* local: values per thread, with a destructor.
 *
 * The value's address is in a thread-local variable of the file that declared it, so that using a value is one load. Here are
 * only the list of the calling thread's values, newest first, and the three ways in which it comes to its end: a thread of
 * yoke's calls yk_locals_end() as its last act, any other is told by a key of POSIX threads, and the thread that ends the
 * program by atexit(). No other thread ever looks at the list, so there is no lock. */
#include "threads/thread.h"
#include <stdlib.h>

/* Destructors may make new values; two that make each other's for ever are stopped here. */
enum { MOST_AT_THE_END = 10000 };

typedef struct local_value {
    struct local_value *next;
    void **mine; /* where the thread finds it */
    void (*finish)(void *value);
    _Alignas(YK_CACHE_LINE) char bytes[];
} local_value;

static _Thread_local local_value *locals __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_end;
static bool has_thread_end;

void yk_locals_end(void)
{
    for (int i = 0; locals && i < MOST_AT_THE_END; i++) {
        local_value *v = locals;
        locals = v->next;
        v->finish(v->bytes); /* it can still be used meanwhile */
        *v->mine = NULL;
        free(v);
    }
    locals = NULL; /* what is left then is left for good */
}

static void thread_ended(void *unused)
{
    yk_locals_end();
}

static __attribute__((constructor)) void make_key(void)
{
    has_thread_end = pthread_key_create(&thread_end, thread_ended) == 0;
}

void yk_local_make(void **mine, size_t size, void (*start)(void *value), void (*finish)(void *value))
{
    void *memory;
    yk_threads_prepare();
    if (size > SIZE_MAX / 2 || yk_sys.posix_memalign(&memory, YK_CACHE_LINE, sizeof(local_value) + size) != 0)
        return;
    local_value *v = memory;
    *v = (local_value){.mine = mine, .finish = finish};
    memset(v->bytes, 0, size);
    *mine = v->bytes;
    start(v->bytes); /* may make others: those go before it, as they are needed for longer */
    v->next = locals;
    locals = v;
    if (has_thread_end)
        pthread_setspecific(thread_end, v);
}
