/* async_switch.c - what coroutines stand on, in nanoseconds of CPU time: one switch, back and forth between two and round a ring
 * of 1000, beside glibc's swapcontext() and a switch that pushes what calls keep and returns; a stack taken and given back,
 * beside malloc(); and a million stacks with a context each, beside stacks by mmap() and mprotect(). Goals: a switch in 2.5, take
 * and give in 5, a million in 5 seconds and 4.3 KiB each. */
#include "async/stack.h"
#include "bench.h"
#include <sys/mman.h>
#include <ucontext.h>

enum { RING = 1000, HOPS = 400000, TURNS = 15, MILLION = 1000000, MAPPED = 10000 };

/* All of it is one thread's work and none of it waits, so that other programs on the machine need not count. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- A switch as most libraries have it ---- */

void *bench_push_ret(void **save, void *to, void *pass);
#if defined(__x86_64__)
__asm__(".text\n"
        ".p2align 4\n"
        "bench_push_ret:\n\t"
        "pushq %rbx\n\t pushq %rbp\n\t pushq %r12\n\t pushq %r13\n\t pushq %r14\n\t pushq %r15\n\t"
        "movq %rsp, (%rdi)\n\t"
        "movq %rsi, %rsp\n\t"
        "popq %r15\n\t popq %r14\n\t popq %r13\n\t popq %r12\n\t popq %rbp\n\t popq %rbx\n\t"
        "movq %rdx, %rax\n\t"
        "ret\n");
enum { RETURN = 6, FRAME = 8 };
#else
__asm__(".text\n"
        ".p2align 4\n"
        "bench_push_ret:\n\t"
        "stp x29, x30, [sp, #-160]!\n\t"
        "stp x19, x20, [sp, #16]\n\t stp x21, x22, [sp, #32]\n\t stp x23, x24, [sp, #48]\n\t stp x25, x26, [sp, #64]\n\t"
        "stp x27, x28, [sp, #80]\n\t stp d8, d9, [sp, #96]\n\t stp d10, d11, [sp, #112]\n\t stp d12, d13, [sp, #128]\n\t"
        "stp d14, d15, [sp, #144]\n\t"
        "mov x3, sp\n\t str x3, [x0]\n\t mov sp, x1\n\t"
        "ldp x19, x20, [sp, #16]\n\t ldp x21, x22, [sp, #32]\n\t ldp x23, x24, [sp, #48]\n\t ldp x25, x26, [sp, #64]\n\t"
        "ldp x27, x28, [sp, #80]\n\t ldp d8, d9, [sp, #96]\n\t ldp d10, d11, [sp, #112]\n\t ldp d12, d13, [sp, #128]\n\t"
        "ldp d14, d15, [sp, #144]\n\t ldp x29, x30, [sp], #160\n\t"
        "mov x0, x2\n\t"
        "ret\n");
enum { RETURN = 1, FRAME = 20 };
#endif

/* ---- Contexts of each kind: they count their turns and go on to the next ---- */

static yk_stack_pool *pool;
static yk_stack stacks[RING];
static void *at[RING + 1];
static ucontext_t contexts[RING + 1];
static long turns;
static int last; /* how many are in the ring, less one */

#define NEXT(me) ((me) == last ? RING : (me) + 1)

static void run_yoke(void *passed)
{
    int me = (int)(intptr_t)passed;
    for (;;) {
        turns++;
        yk_switch(&at[me], at[NEXT(me)], (void *)(intptr_t)NEXT(me));
    }
}

/* As a scheduler can who knows the order: what the next but three will need is on its way meanwhile. */
static void run_fetching(void *passed)
{
    int me = (int)(intptr_t)passed;
    for (;;) {
        turns++;
        __builtin_prefetch(at[me + 4 < last ? me + 4 : 0], 1);
        yk_switch(&at[me], at[NEXT(me)], (void *)(intptr_t)NEXT(me));
    }
}

/* Its number cannot be passed before it runs: they begin in order. */
static int begun;
static void run_push_ret(void)
{
    int me = begun++;
    for (;;) {
        turns++;
        bench_push_ret(&at[me], at[NEXT(me)], NULL);
    }
}

static void run_swapcontext(int me)
{
    for (;;) {
        turns++;
        swapcontext(&contexts[me], &contexts[NEXT(me)]);
    }
}

static void set_yoke(int i)
{
    at[i] = yk_switch_prepare(stacks[i].top, run_yoke);
}

static void set_fetching(int i)
{
    at[i] = yk_switch_prepare(stacks[i].top, run_fetching);
}

static void set_push_ret(int i)
{
    uintptr_t *frame = (uintptr_t *)(void *)(stacks[i].top - 64) - FRAME;
    memset(frame, 0, FRAME * sizeof *frame);
    frame[RETURN] = (uintptr_t)run_push_ret;
    at[i] = frame;
}

static void set_swapcontext(int i)
{
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks[i].low;
    contexts[i].uc_stack.ss_size = (size_t)(stacks[i].top - stacks[i].low);
    makecontext(&contexts[i], (void (*)(void))run_swapcontext, 1, i);
}

static void go_yoke(void)
{
    yk_switch(&at[RING], at[0], NULL);
}

static void go_push_ret(void)
{
    bench_push_ret(&at[RING], at[0], NULL);
}

static void go_swapcontext(void)
{
    swapcontext(&contexts[RING], &contexts[0]);
}

typedef struct kind {
    const char *name;
    void (*set)(int i);
    void (*go)(void);
    samples pair, ring;
} kind;
static kind kinds[] = {{"yoke", set_yoke, go_yoke, {{0}, 0}, {{0}, 0}},
                       {"push and ret", set_push_ret, go_push_ret, {{0}, 0}, {{0}, 0}},
                       {"swapcontext", set_swapcontext, go_swapcontext, {{0}, 0}, {{0}, 0}},
                       {"yoke, fetching ahead", set_fetching, go_yoke, {{0}, 0}, {{0}, 0}}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One switch, of HOPS among n contexts and the one that measures. */
static double one_way(const kind *k, int n)
{
    int rounds = HOPS / (n + 1);
    last = n - 1;
    begun = 0;
    for (int i = 0; i < n; i++)
        k->set(i);
    k->go(); /* each has begun */
    turns = 0;
    double start = cpu_now();
    for (int i = 0; i < rounds; i++)
        k->go();
    double took = cpu_now() - start;
    BENCH_CHECK(turns == (long)rounds * n);
    return took / ((double)rounds * (n + 1));
}

static void switches(int rounds)
{
    char name[64];
    for (int i = 0; i < RING; i++)
        BENCH_CHECK(yk_stack_take(pool, 0, &stacks[i]) == 0);
    for (int t = 0; t < rounds; t++)
        for (int i = 0; i < KINDS; i++) {
            sample(&kinds[i].pair, one_way(&kinds[i], 1));
            sample(&kinds[i].ring, one_way(&kinds[i], RING));
        }
    for (int i = 0; i < RING; i++)
        yk_stack_give(pool, stacks[i]);
    head("one switch");
    for (int i = 0; i < KINDS; i++) {
        snprintf(name, sizeof name, "between two: %s", kinds[i].name);
        row(name, &kinds[i].pair, 1, "ns");
    }
    for (int i = 0; i < KINDS; i++) {
        snprintf(name, sizeof name, "round a ring of 1000: %s", kinds[i].name);
        row(name, &kinds[i].ring, 1, "ns");
    }
    ratio_row("between two: yoke / push and ret", &kinds[0].pair, &kinds[1].pair, "0.5");
    ratio_row("between two: yoke / swapcontext", &kinds[0].pair, &kinds[2].pair, "0.02");
    ratio_row("round a ring: yoke, fetching ahead / push and ret", &kinds[3].ring, &kinds[1].ring, "0.7");
    ratio_row("round a ring: yoke / push and ret", &kinds[0].ring, &kinds[1].ring, "0.95");
}

/* ---- Stacks ---- */

static double warm_yoke(void)
{
    yk_stack s, first;
    BENCH_CHECK(yk_stack_take(pool, 0, &first) == 0);
    yk_stack_give(pool, first);
    double start = cpu_now();
    for (int i = 0; i < HOPS; i++) {
        BENCH_CHECK(yk_stack_take(pool, 0, &s) == 0);
        *(volatile char *)(s.top - 128) = 1;
        yk_stack_give(pool, s);
    }
    double took = cpu_now() - start;
    BENCH_CHECK(s.top == first.top);
    return took / HOPS;
}

static double warm_malloc(void)
{
    double start = cpu_now();
    for (int i = 0; i < HOPS; i++) {
        volatile char *s = malloc(YK_STACK_SIZE);
        BENCH_CHECK(s);
        s[YK_STACK_SIZE - 128] = 1;
        free((void *)(uintptr_t)s);
    }
    return (cpu_now() - start) / HOPS;
}

static double fresh_mapped(void)
{
    static char *mapped[MAPPED];
    size_t len = YK_STACK_SIZE + 4096;
    double start = cpu_now();
    for (int i = 0; i < MAPPED; i++) {
        mapped[i] = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        BENCH_CHECK(mapped[i] != MAP_FAILED && mprotect(mapped[i], 4096, PROT_NONE) == 0);
        mapped[i][len - 128] = 1;
    }
    double took = cpu_now() - start;
    for (int i = 0; i < MAPPED; i++)
        munmap(mapped[i], len);
    return took / MAPPED;
}

static size_t resident(void)
{
    char line[128];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmPTE:", 6) == 0)
            kib += strtoul(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kib << 10;
}

static void park(void *passed)
{
    for (;;)
        yk_switch(passed, at[RING], NULL);
}

/* Each with a record of 320 bytes, having run once. */
static void crowd(size_t n, samples *each, samples *bytes)
{
    yk_stack_pool *p;
    yk_stack *s = malloc(n * sizeof *s);
    BENCH_CHECK(s && yk_stack_pool_open(&p) == 0);
    memset(s, 0, n * sizeof *s);
    size_t before = resident();
    double start = cpu_now();
    for (size_t i = 0; i < n; i++) {
        BENCH_CHECK(yk_stack_take(p, 0, &s[i]) == 0);
        void **record = (void **)(void *)(s[i].top - 320);
        *record = yk_switch_prepare(record, park);
        yk_switch(&at[RING], *record, record);
    }
    sample(each, (cpu_now() - start) / (double)n);
    sample(bytes, (double)(resident() - before) / (double)n);
    for (size_t i = 0; i < n; i++)
        yk_stack_give(p, s[i]);
    yk_stack_pool_close(p);
    free(s);
}

static void pools(int rounds)
{
    static samples yoke, heap, fresh, mapped, million, bytes;
    for (int t = 0; t < rounds; t++) {
        sample(&yoke, warm_yoke());
        sample(&heap, warm_malloc());
        crowd(MAPPED, &fresh, &bytes);
        sample(&mapped, fresh_mapped());
    }
    head("a stack of 64 KiB");
    row("warm, taken and given: yoke", &yoke, 1, "ns");
    row("warm, taken and given: malloc and free, no guard", &heap, 1, "ns");
    ratio_row("yoke / malloc", &yoke, &heap, "0.5");
    row("fresh, one page touched: yoke, with its first switch", &fresh, 1, "ns");
    row("fresh, one page touched: mmap and mprotect", &mapped, 1, "ns");
    ratio_row("yoke / mmap and mprotect", &fresh, &mapped, "0.6");
    if ((size_t)sysconf(_SC_AVPHYS_PAGES) < 3 * (size_t)MILLION / 2) {
        printf("too little memory for a million stacks\n");
        return;
    }
    bytes.n = 0;
    crowd(MILLION, &million, &bytes);
    row("a million parked contexts, all of it", &million, MILLION / 1e9, "s");
    row("their memory, each", &bytes, 1.0 / 1024, "KiB");
}

int main(void)
{
    int rounds = bench_rounds(TURNS);
    BENCH_CHECK(yk_stack_pool_open(&pool) == 0);
    switches(rounds);
    pools(rounds);
    yk_stack_pool_close(pool);
    return 0;
}
