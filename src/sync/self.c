/* self: ids of threads, the fence of all, and naps; see self.h.
 *
 * A thread is dead when the kernel has no such TID, when the TID's state is zombie, or when its holder was
 * born later than the id. Where proc(5) cannot be read a TID that exists is taken for its owner. */
#include "sync/self.h"
#include "base/spin.h"
#include "topo/topo.h"
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TENTHS = 10, TICKS_PER_TENTH = 10, NS_PER_TENTH = 100 * 1000 * 1000 };

__thread yk_self_of_thread yk_self;

uint64_t yk_self_id(void)
{
    if (YK_UNLIKELY(yk_self.id == 0)) {
        struct timespec age;
        clock_gettime(CLOCK_BOOTTIME, &age);
        uint32_t tenths = (uint32_t)age.tv_sec * TENTHS + (uint32_t)(age.tv_nsec / NS_PER_TENTH);
        yk_self.id = (uint64_t)tenths << 32 | ((uint64_t)syscall(SYS_gettid) & YK_TID_MASK);
    }
    return yk_self.id;
}

/* ---- Ids before a fork ---- */

enum { FOREBEARS = 16 };

/* The ids, oldest first, of a thread in the processes from which it has come by fork(): private locks that it held say so still.
 * Written by after_fork() alone, when there is no other thread. After more forks than fit the oldest is forgotten. */
unsigned yk_self_forebears;
void (*yk_self_renewed)(uint64_t id);
static uint64_t forebears[FOREBEARS], forebears_of;

bool yk_self_was_slow(uint64_t id)
{
    for (unsigned i = 0; i < yk_self_forebears; i++)
        if (forebears[i] == id)
            return yk_self_id() == forebears_of;
    return false;
}

/* The child's only thread is another one than the parent's that it copies. */
static void become_another(void)
{
    uint64_t before = yk_self.id;
    if (yk_self_forebears > 0 && before != forebears_of)
        yk_self_forebears = 0;
    if (yk_self_forebears == FOREBEARS)
        memmove(forebears, forebears + 1, --yk_self_forebears * sizeof *forebears);
    if (before != 0)
        forebears[yk_self_forebears++] = before;
    yk_self.id = 0; /* the count stays: private locks are held still; shared ones are the parent's, but do no harm in it */
    forebears_of = yk_self_id();
    if (yk_self_renewed)
        yk_self_renewed(forebears_of);
}

/* ---- The dead ---- */

/* State and birth (in tenths of a second since the machine's) of a thread; false when proc(5) does not say. */
static bool read_stat(uint32_t tid, char *state, uint32_t *born)
{
    char path[40], text[600];
    snprintf(path, sizeof path, "/proc/%u/stat", tid);
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t n = yk_sys.read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    /* "TID (NAME) STATE ...": the name may hold anything, so from its last parenthesis on; birth is field 22. */
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ')
        return false;
    *state = at[2];
    at += 2;
    for (int field = 3; field < 22 && at; field++)
        at = (at = strchr(at, ' ')) ? at + 1 : NULL;
    if (!at)
        return false;
    *born = (uint32_t)(strtoull(at, NULL, 10) / TICKS_PER_TENTH);
    return true;
}

bool yk_self_dead(uint64_t id, bool closely)
{
    uint32_t tid = (uint32_t)(id & YK_TID_MASK), taken = (uint32_t)(id >> 32), born = 0;
    char state = 0;
    if (tid == 0 || id == yk_self.id)
        return false;
    if (kill((pid_t)tid, 0) != 0 && errno == ESRCH)
        return true;
    if (!closely || !read_stat(tid, &state, &born))
        return false;
    return state == 'Z' || state == 'X' || state == 'x' || (int32_t)(born - taken) > 0;
}

/* ---- The fence ---- */

bool yk_fence_broken;
static bool private_works, shared_works;

bool yk_fence_all(bool shared)
{
    if (yk_fence_broken || !(shared ? shared_works : private_works))
        return false;
    return syscall(SYS_membarrier, shared ? MEMBARRIER_CMD_GLOBAL_EXPEDITED : MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static void enlist(void)
{
    private_works = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    shared_works = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

static void after_fork(void)
{
    become_another();
    enlist();
}

/* At load, when the process usually has one thread: later the registration waits for all of them. */
static __attribute__((constructor)) void begin(void)
{
    enlist();
    pthread_atfork(NULL, NULL, after_fork);
}

/* ---- Naps ---- */

/* How often in a row this thread has waited awake, or should have, and then slept. */
static _Thread_local unsigned missed;

/* Who has done so in vain several times does it only now and then. */
static bool may_wait_awake(void)
{
    return (missed < 4 || missed % 16 == 0) && yk_cpus_to_spare() && !yk_is_coroutine();
}

/* False when the deadline has passed. */
static bool begin_awake(yk_nap *n)
{
    int64_t now = yoke_now();
    if (n->deadline <= now)
        return false;
    n->begun = true;
    n->missed = missed + 1;
    n->awake_until = may_wait_awake() ? YK_MIN(n->deadline, now + YK_SPIN_NS) : 0;
    return true;
}

static bool is_changed(const uint32_t *word, uint32_t mask, uint32_t value)
{
    return (__atomic_load_n(word, __ATOMIC_RELAXED) & mask) != value;
}

bool yk_nap_awake(yk_nap *n, const uint32_t *word, uint32_t mask, uint32_t value)
{
    if (is_changed(word, mask, value))
        return true;
    if ((!n->begun && !begin_awake(n)) || n->awake_until == 0)
        return false;
    yk_spin spin = {.allowed = true, .end = n->awake_until};
    while (yk_spin_more(&spin))
        if (is_changed(word, mask, value)) {
            missed = 0;
            return true;
        }
    n->awake_until = 0;
    return false;
}

int yk_nap_more(yk_nap *n, uint32_t *word, uint32_t value)
{
    int64_t until = n->deadline;
    if (n->begun)
        missed = n->missed;
    if (!n->plain) {
        until = YK_MIN(until, yk_after(n->piece));
        n->piece = YK_MIN(n->piece * 2, YK_NAP_MAX);
    }
    unsigned how = n->deaf ? n->shared | YK_WAIT_DEAF : n->shared;
    int err = yk_wait_for(&n->cause, (_Atomic uint32_t *)word, value, until, how);
    if (!yk_wait_is_over(err))
        return 0;
    if (err == -ECANCELED)
        return err;
    return until < n->deadline ? -EAGAIN : -ETIMEDOUT;
}
