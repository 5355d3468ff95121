/* tls_load: opens OpenSSL 3 when TLS is first needed. A program that never asks for TLS never loads it, and one that runs where
 * it is missing or not whole is told what is missing.
 *
 * libssl.so.3 brings libcrypto.so.3 along, and dlsym() looks for names in both. A library that could not be opened is looked for
 * again at the next call; one that was opened stays for ever, since it does not bear being unloaded. After fork() it works in the
 * child. YOKE_TLS_LIBRARY names another file, which is how tests take functions away. */
#include "async/tls_library.h"
#include "sync/mutex.h"
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

yk_ssl_table yk_ssl_lib;

/* The table is written under the lock, once; read after `done` has been seen. */
static struct {
    yk_mutex lock;
    atomic_bool done;
} loading;

YK_HELD_WHILE_FORKING(loading.lock)

typedef struct entry {
    const char *name;
    size_t at;
} entry;

#define ENTRY(result, name, parameters) {#name, offsetof(yk_ssl_table, name)},
static const entry entries[] = {YK_SSL_CALLS(ENTRY)};

/* The name of the first function that the library lacks, or NULL. */
static const char *find_all(void *library, yk_ssl_table *t)
{
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++) {
        void *found = dlsym(library, entries[i].name);
        if (!found)
            return entries[i].name;
        memcpy((char *)t + entries[i].at, &found, sizeof found);
    }
    return NULL;
}

static int not_there(const char *asked, yk_error *e)
{
    const char *why = dlerror();
    if (asked)
        return yk_errorf(e, ENOTSUP, "TLS: YOKE_TLS_LIBRARY cannot be opened: %s", why ? why : asked);
    return yk_errorf(e, ENOTSUP,
                     "TLS: there is no libssl.so.3 here, or it does not load; install OpenSSL 3 (Debian: libssl3): %s",
                     why ? why : "libssl.so.3");
}

static int open_library(yk_error *e)
{
    const char *asked = getenv("YOKE_TLS_LIBRARY");
    if (asked && !*asked)
        asked = NULL;
    const char *path = asked ? asked : "libssl.so.3";
    void *library = yk_sys.dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return not_there(asked, e);
    yk_ssl_table found;
    const char *lacks = find_all(library, &found);
    if (lacks) {
        dlclose(library);
        return yk_errorf(e, ENOTSUP, "TLS: %s lacks %s: it is not OpenSSL, or one before 3.0", path, lacks);
    }
    if (found.OPENSSL_init_ssl(YK_SSL_INIT_NO_ATEXIT, NULL) != 1) /* it may have threads' data by now: it is not closed again */
        return yk_errorf(e, ENOTSUP, "TLS: %s does not start (OPENSSL_init_ssl failed)", path);
    yk_ssl_lib = found;
    return 0;
}

int yk_ssl_load(yk_error *e)
{
    /* Pairs with the release below: the table is complete. */
    if (atomic_load_explicit(&loading.done, memory_order_acquire))
        return 0;
    int err = 0;
    yk_mutex_lock(&loading.lock);
    if (!atomic_load_explicit(&loading.done, memory_order_relaxed)) {
        err = open_library(e);
        if (err == 0)
            atomic_store_explicit(&loading.done, true, memory_order_release);
    }
    yk_mutex_unlock(&loading.lock);
    return err;
}

/* ---- Numbers of errors ---- */

/* Errors of the system have this bit, and errno as their reason. */
#define SYSTEM 0x80000000u

int yk_ssl_lib_of(unsigned long error)
{
    return error & SYSTEM ? 2 : (int)(error >> 23 & 0xff);
}

int yk_ssl_reason_of(unsigned long error)
{
    return (int)(error & (error & SYSTEM ? 0x7fffffff : 0x7fffff));
}

bool yk_ssl_no_memory(unsigned long error)
{
    enum { NO_MEMORY = 256 | 1 << 18 | 2 << 18 }; /* fatal, and common to all libs */
    return yk_ssl_reason_of(error) == (error & SYSTEM ? ENOMEM : NO_MEMORY);
}
