/* kernel_guard: a kernel is run with arguments that were made up, so it may well leave its arrays, divide by zero or
 * fall over in another way, and that is to be one line of text. Its arrays lie between addresses that cannot be
 * touched, up against one of the two; what it does there, or anything else that the system ends a process for, comes
 * back as a value.
 *
 * It comes back by a jump out of the signal's handler, past whatever the kernel was about to do. That is no problem
 * for kernels, which hold nothing; a printf() that is cut off may block the next. */
#include "tools/kernel_check.h"
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD = 16 << 20, MARK = 0xA5, STACK = 64 << 10 };

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- Memory ---- */

static size_t pages_of(const yk_guarded *g)
{
    return g->mapped - 2 * (size_t)GUARD;
}

void yk_guard_place(yk_guarded *g, bool at_end)
{
    g->base = g->map + GUARD + (at_end ? pages_of(g) - g->bytes : 0);
    memset(g->map + GUARD, MARK, pages_of(g));
}

int yk_guard_make(yk_guarded *g, size_t bytes)
{
    size_t pages = YK_ALIGN_UP(YK_MAX(bytes, 1), page_size()), all = pages + 2 * (size_t)GUARD;
    *g = (yk_guarded){0};
    char *map = yk_sys.mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return -ENOMEM;
    if (mprotect(map + GUARD, pages, PROT_READ | PROT_WRITE) < 0) {
        munmap(map, all);
        return -ENOMEM;
    }
    *g = (yk_guarded){map, map, all, bytes};
    yk_guard_place(g, true);
    return 0;
}

void yk_guard_done(yk_guarded *g)
{
    if (g->map)
        munmap(g->map, g->mapped);
    *g = (yk_guarded){0};
}

bool yk_guard_has(const yk_guarded *g, const char *p)
{
    return g->map && p >= g->map && p < g->map + g->mapped;
}

char *yk_guard_stray(const yk_guarded *g)
{
    char *begin = g->map + GUARD, *end = begin + pages_of(g);
    for (char *p = g->base; p > begin; p--) /* the nearest first */
        if ((unsigned char)p[-1] != MARK)
            return p - 1;
    for (char *p = g->base + g->bytes; p < end; p++)
        if ((unsigned char)*p != MARK)
            return p;
    return NULL;
}

/* ---- Calls ---- */

static _Thread_local sigjmp_buf *back;
static _Thread_local yk_fault caught;

static void come_back(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!back) { /* of a thread of a driver: it ends the process when it is done again */
        signal(number, SIG_DFL);
        if (number == SIGABRT)
            raise(number);
        return;
    }
    caught = (yk_fault){number, number == SIGSEGV || number == SIGBUS ? info->si_addr : NULL};
    siglongjmp(*back, 1);
}

/* A stack of its own, for a kernel that has used up the other. */
static void prepare(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static bool prepared;
    if (prepared)
        return;
    prepared = true;
    void *memory = yk_sys.mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = STACK}, NULL);
    struct sigaction a = {.sa_sigaction = come_back, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < YK_COUNT_OF(numbers); i++)
        sigaction(numbers[i], &a, NULL);
}

yk_fault yk_guard_call(void (*fn)(void *arg), void *arg)
{
    sigjmp_buf here;
    prepare();
    caught = (yk_fault){0};
    if (sigsetjmp(here, 1) == 0) {
        back = &here;
        fn(arg);
    }
    back = NULL;
    return caught;
}
