/* stack: where fresh stacks come from, and where idle ones go. See stack.h.
 *
 * Each size has a shelf, with its idle warm stacks and its slabs. A slab knows how many of its stacks were ever cut, and which
 * of those are cold; one that has either is in the shelf's list of those with room. Cutting a stack installs its guard, which
 * stays for good.
 *
 * Slabs are reserved without being accounted for. Where the system accounts all the same (overcommit 2, RLIMIT_AS) they are
 * halved until one fits, down to a single stack; so they stay for the rest of the pool's life. */
#include "async/stack.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLAB = 64 << 20, WARM_BYTES = 64 << 20, WARM_LEAST = 16, GUARD_INSTALL = 102 };
enum { MAPPINGS_USUAL = 65530, MAPPINGS_LEFT = 4096 }; /* the latter for the rest of the program */
#ifdef __aarch64__
enum { GUARD_LEAST = 64 << 10 }; /* compilers probe at such steps there */
#else
enum { GUARD_LEAST = 4 << 10 };
#endif

enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK };

typedef struct yk_slab {
    yk_stack_shelf *shelf; /* first: yk_stack_give() looks for it here */
    struct yk_slab *next, *next_room;
    char *base;
    size_t len, stride, guard;
    uint32_t stacks, cut; /* how many there can be, and how many there are */
    uint32_t n_cold, n_protected;
    bool has_room;     /* is in the list of those */
    uint32_t *watched; /* Valgrind's numbers of the stacks; NULL without it */
    uint32_t cold[];
} yk_slab;

yk_guard yk_stack_guard_best = YK_GUARD_MARK;
size_t yk_stack_guard_limit;
static atomic_size_t protected_now; /* stacks of all pools */

/* ---- Valgrind ---- */

/* A request to Valgrind: an idle sequence of instructions, which it knows. Without it, the answer is 0. */
static uintptr_t valgrind(uintptr_t request, const void *a, const void *b)
{
    volatile uintptr_t words[6] = {request, (uintptr_t)a, (uintptr_t)b};
    uintptr_t answer = 0;
#if defined(__x86_64__)
    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                     : "+d"(answer)
                     : "a"(words)
                     : "cc", "memory");
#elif defined(__aarch64__)
    register uintptr_t x3 __asm__("x3") = 0;
    register volatile uintptr_t *x4 __asm__("x4") = words;
    __asm__ volatile("ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10"
                     : "+r"(x3)
                     : "r"(x4)
                     : "cc", "memory");
    answer = x3;
#endif
    return answer;
}

enum { VALGRIND_RUNS = 0x1001, VALGRIND_STACK = 0x1501, VALGRIND_STACK_GONE = 0x1502 };

/* ---- Guards ---- */

/* How many mappings a process may have. */
static size_t mappings_allowed(void)
{
    char text[24] = "";
    int fd = yk_sys.openat(AT_FDCWD, "/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return MAPPINGS_USUAL;
    ssize_t n = yk_sys.read(fd, text, sizeof text - 1);
    close(fd);
    size_t allowed = n > 0 ? strtoul(text, NULL, 10) : 0;
    return allowed ? allowed : MAPPINGS_USUAL;
}

static size_t protected_most(void)
{
    static atomic_size_t most;
    if (yk_stack_guard_limit)
        return yk_stack_guard_limit;
    size_t now = atomic_load_explicit(&most, memory_order_relaxed);
    if (!now) {
        now = mappings_allowed();
        now = now > 2 * MAPPINGS_LEFT ? (now - MAPPINGS_LEFT) / 2 : now / 4;
        atomic_store_explicit(&most, now, memory_order_relaxed);
    }
    return now;
}

static int protect(char *at, size_t len)
{
    if (atomic_fetch_add_explicit(&protected_now, 1, memory_order_relaxed) < protected_most() &&
        yk_sys.mprotect(at, len, PROT_NONE) == 0)
        return 0;
    atomic_fetch_sub_explicit(&protected_now, 1, memory_order_relaxed);
    return -ENOMEM;
}

/* EINVAL: an older kernel, or locked memory. Then there are no marks for the rest of the pool's life. */
static int put_guard(yk_stack_pool *p, yk_slab *s, char *at, size_t len)
{
    if (p->guard == YK_GUARD_MARK) {
        if (yk_sys.madvise(at, len, GUARD_INSTALL) == 0)
            return 0;
        if (errno != EINVAL)
            return -ENOMEM;
        p->guard = YK_GUARD_PROTECT;
    }
    int err = protect(at, len);
    s->n_protected += err == 0;
    return err;
}

/* ---- Slabs ---- */

static size_t class_size(const yk_stack_pool *p, const yk_stack_shelf *shelf)
{
    return YK_STACK_LEAST << (shelf - p->shelves);
}

static yk_stack stack_number(yk_slab *s, size_t i)
{
    char *base = s->base + i * s->stride;
    return (yk_stack){base + s->guard, base + s->stride - i % YK_STACK_COLOURS * YK_CACHE_LINE, s};
}

static size_t number_of(const yk_slab *s, const char *low)
{
    return (size_t)(low - s->base) / s->stride;
}

/* Memory for one stack or more, as much as there is to be had. */
static char *reserve(yk_stack_pool *p, size_t stride, size_t *ret_len)
{
    for (size_t size = p->slab_size;; size /= 2) {
        size_t len = YK_MAX(size / stride, 1) * stride;
        char *base = yk_sys.mmap(NULL, len, PROT_READ | PROT_WRITE, FLAGS, -1, 0);
        if (base != MAP_FAILED) {
            p->slab_size = YK_MIN(p->slab_size, YK_MAX(size, len));
            *ret_len = len;
            return base;
        }
        if (size <= stride)
            return NULL;
    }
}

static void add_room(yk_slab *s)
{
    if (s->has_room)
        return;
    s->has_room = true;
    s->next_room = s->shelf->room;
    s->shelf->room = s;
}

static int add_slab(yk_stack_pool *p, yk_stack_shelf *shelf)
{
    size_t guard = YK_ALIGN_UP(GUARD_LEAST, p->page), stride = guard + YK_ALIGN_UP(class_size(p, shelf), p->page), len;
    char *base = reserve(p, stride, &len);
    if (!base)
        return -ENOMEM;
    size_t stacks = len / stride;
    yk_slab *s = yk_sys.calloc(1, sizeof *s + stacks * sizeof s->cold[0]);
    if (!s) {
        munmap(base, len);
        return -ENOMEM;
    }
    yk_sys.madvise(base, len, MADV_NOHUGEPAGE); /* one touch must not cost 2 MiB; EINVAL where no page is huge */
    if (valgrind(VALGRIND_RUNS, NULL, NULL))
        s->watched = yk_sys.calloc(stacks, sizeof *s->watched);
    s->shelf = shelf;
    s->base = base;
    s->len = len;
    s->stride = stride;
    s->guard = guard;
    s->stacks = (uint32_t)stacks;
    s->next = shelf->slabs;
    shelf->slabs = s;
    add_room(s);
    p->slabs++;
    p->mapped += len;
    return 0;
}

/* The next one that never was. */
static int cut(yk_stack_pool *p, yk_slab *s, yk_stack *ret)
{
    yk_stack stack = stack_number(s, s->cut);
    int err = put_guard(p, s, stack.low - s->guard, s->guard);
    if (err < 0)
        return err;
    if (s->watched)
        s->watched[s->cut] = (uint32_t)valgrind(VALGRIND_STACK, stack.low, stack.top - 1);
    s->cut++;
    *ret = stack;
    return 0;
}

int yk_stack_take_fresh(yk_stack_pool *p, unsigned shelf, yk_stack *ret)
{
    yk_stack_shelf *from = &p->shelves[shelf];
    int err = from->room ? 0 : add_slab(p, from);
    yk_slab *s = from->room;
    if (err == 0 && s->n_cold) {
        *ret = stack_number(s, s->cold[--s->n_cold]);
        p->cold--;
    } else if (err == 0) {
        err = cut(p, s, ret);
    }
    if (err < 0) {
        p->refused++;
        return err;
    }
    if (!s->n_cold && s->cut == s->stacks) {
        from->room = s->next_room;
        s->has_room = false;
    }
    from->ready++; /* none of which is warm, or it would have been taken */
    from->most_in_use = YK_MAX(from->most_in_use, from->ready);
    return 0;
}

/* ---- Trimming ---- */

static void chill(yk_stack_pool *p, yk_stack stack)
{
    yk_slab *s = stack.slab;
    size_t number = number_of(s, stack.low);
#ifdef YK_WITH_ASAN
    __asan_unpoison_memory_region(stack.low, (size_t)(stack.top - stack.low));
#endif
    yk_sys.madvise(stack.low, s->stride - s->guard, MADV_DONTNEED); /* failing, the stack just stays as warm as it is */
    s->cold[s->n_cold++] = (uint32_t)number;
    add_room(s);
    s->shelf->ready--;
    p->cold++;
    p->trimmed++;
}

void yk_stack_trim(yk_stack_pool *p, yk_stack_shelf *shelf, size_t keep)
{
    yk_stack_idle **end = &shelf->warm;
    if (shelf->hot.top)
        yk_stack_cool(shelf);
    for (size_t i = 0; *end && i < keep; i++)
        end = &(*end)->next;
    yk_stack_idle *old = *end;
    *end = NULL;
    while (old) {
        yk_stack stack = yk_stack_of(old);
        old = old->next; /* before it is gone */
        chill(p, stack);
        shelf->warm_now--;
    }
}

void yk_stack_pool_trim(yk_stack_pool *p, size_t keep)
{
    for (int i = 0; i < YK_STACK_CLASSES; i++)
        yk_stack_trim(p, &p->shelves[i], keep);
}

/* ---- The pool ---- */

int yk_stack_pool_open(yk_stack_pool **ret)
{
    yk_stack_pool *p = yk_sys.calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->page = (size_t)sysconf(_SC_PAGESIZE);
    p->slab_size = SLAB;
    p->guard = yk_stack_guard_best;
    for (int i = 0; i < YK_STACK_CLASSES; i++)
        p->shelves[i].warm_most = YK_MAX((WARM_BYTES >> i) / YK_STACK_LEAST, WARM_LEAST);
    *ret = p;
    return 0;
}

static void free_slab(yk_stack_pool *p, yk_slab *s)
{
    for (uint32_t i = 0; s->watched && i < s->cut; i++)
        valgrind(VALGRIND_STACK_GONE, (const void *)(uintptr_t)s->watched[i], NULL);
#ifdef YK_WITH_ASAN
    __asan_unpoison_memory_region(s->base, s->len);
#endif
    munmap(s->base, s->len);
    atomic_fetch_sub_explicit(&protected_now, s->n_protected, memory_order_relaxed);
    free(s->watched);
    free(s);
}

void yk_stack_pool_close(yk_stack_pool *p)
{
    if (!p)
        return;
    yk_stack_unwatch(p);
    for (int i = 0; i < YK_STACK_CLASSES; i++)
        for (yk_slab *s = p->shelves[i].slabs, *next; s; s = next) {
            next = s->next;
            free_slab(p, s);
        }
    free(p);
}

void yk_stack_pool_stats(const yk_stack_pool *p, yk_stack_stats *ret)
{
    yk_stack_stats sum = {.cold = p->cold, .trimmed = p->trimmed, .refused = p->refused, .slabs = p->slabs,
                          .mapped = p->mapped, .guard = p->guard};
    for (int i = 0; i < YK_STACK_CLASSES; i++) {
        const yk_stack_shelf *shelf = &p->shelves[i];
        size_t warm = shelf->warm_now + (shelf->hot.top != NULL);
        sum.warm += warm;
        sum.in_use += shelf->ready - warm;
        sum.most_in_use += shelf->most_in_use;
    }
    *ret = sum;
}

size_t yk_stack_size(yk_stack s)
{
    return s.slab->stride - s.slab->guard;
}

bool yk_stack_find_guard(const yk_stack_pool *p, uintptr_t at, yk_stack *ret)
{
    for (int i = 0; i < YK_STACK_CLASSES; i++)
        for (yk_slab *s = p->shelves[i].slabs; s; s = s->next) {
            size_t offset = at - (uintptr_t)s->base;
            if (offset >= s->len)
                continue;
            *ret = stack_number(s, offset / s->stride);
            return offset % s->stride < s->guard;
        }
    return false;
}
