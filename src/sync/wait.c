/* wait: who sleeps on a word, and who is woken; see wait.h. */
#include "sync/wait.h"

_Thread_local yk_blocking *yk_blocked_hook __attribute__((tls_model("initial-exec")));
int (*_Atomic yk_wake_hook)(_Atomic uint32_t *word, int n);

int64_t yk_after(int64_t ns)
{
    int64_t end;
    return __builtin_add_overflow(yoke_now(), ns, &end) ? YOKE_FOREVER : end;
}

int yk_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    yk_blocking *b = yk_blocked_hook;
    if (b && b->wait)
        return b->wait(b, word, value, deadline, how);
    yk_block_begin();
    int err = yk_futex_wait(word, value, deadline, how & YK_WAIT_SHARED);
    yk_block_end(b);
    return err;
}

int yk_wake_suspended(_Atomic uint32_t *word, int n)
{
    int (*hook)(_Atomic uint32_t *word, int n) = atomic_load_explicit(&yk_wake_hook, memory_order_relaxed);
    return hook ? hook(word, n) : 0;
}

void yk_wake(_Atomic uint32_t *word, int n, bool shared)
{
    if (!shared)
        n -= yk_wake_suspended(word, n);
    if (n > 0)
        yk_futex_wake(word, n, shared);
}
