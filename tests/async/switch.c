/* The switch alone: what it keeps, what it leaves alone, where stacks end. Needs nothing but libc, so that it also runs for arm64
 * on an emulator (switch_arm64.py). */
#include "async/switch.h"
#include "test.h"
#include "child.h"
#include <execinfo.h>
#include <fenv.h>
#include <sys/mman.h>

enum { STACK = 128 << 10 };

/* Two contexts: the test's own, and one that it makes. */
typedef struct side {
    void *at;
    yk_fiber fiber;
} side;
static side home, away;
static char *stack;

/* Gives each test a fresh stack and starts fn on it at the first hop. */
static void set_out(void (*fn)(void *))
{
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    yk_fiber_of_thread(&home.fiber);
    yk_fiber_init(&away.fiber, stack, STACK);
    away.at = yk_switch_prepare(stack + STACK, fn);
}

static void over(void)
{
    yk_fiber_done(&away.fiber);
    munmap(stack, STACK);
}

static inline __attribute__((always_inline)) void *hop(side *from, side *to, void *pass)
{
    yk_fiber_leave(&from->fiber, &to->fiber, false);
    void *passed = yk_switch(&from->at, to->at, pass);
    yk_fiber_arrive(&from->fiber);
    return passed;
}

/* In an entry, which never returns. */
static _Noreturn void last_hop(void *pass)
{
    yk_fiber_leave(&away.fiber, &home.fiber, true);
    yk_switch(&away.at, home.at, pass);
    abort();
}

/* ---- What is passed ---- */

static void echo(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    for (;;)
        passed = hop(&away, &home, (void *)((intptr_t)passed + 1));
}

TEST(values_travel_both_ways)
{
    set_out(echo);
    for (intptr_t i = 0; i < 100000; i++)
        CHECK_INT((intptr_t)hop(&home, &away, (void *)(i * 7)), i * 7 + 1);
    CHECK(!hop(&home, &away, (void *)-1));
    over();
}

static void once(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    last_hop((void *)((intptr_t)passed + 2));
}

TEST(stacks_can_be_used_again)
{
    for (int i = 0; i < 100; i++) {
        set_out(once);
        CHECK_INT((intptr_t)hop(&home, &away, (void *)(intptr_t)i), i + 2);
        over();
    }
}

/* Round a ring: each goes on in the next, and the last in the test. */
enum { RING = 100 };
static side ring[RING + 1];

static void pass_on(void *passed)
{
    int me = (int)(intptr_t)passed;
    yk_fiber_arrive(&ring[me].fiber);
    for (;;)
        hop(&ring[me], &ring[me + 1], (void *)(intptr_t)(me + 1));
}

TEST(rings_of_contexts)
{
    char *stacks = mmap(NULL, (size_t)RING * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stacks != MAP_FAILED);
    yk_fiber_of_thread(&ring[RING].fiber);
    for (int i = 0; i < RING; i++) {
        yk_fiber_init(&ring[i].fiber, stacks + (size_t)i * STACK, STACK);
        ring[i].at = yk_switch_prepare(stacks + (size_t)(i + 1) * STACK, pass_on);
    }
    for (int turn = 0; turn < 100; turn++)
        CHECK_INT((intptr_t)hop(&ring[RING], &ring[0], NULL), RING);
    for (int i = 0; i < RING; i++)
        yk_fiber_done(&ring[i].fiber);
}

/* ---- Registers ---- */

/* between(values, fn, seen): all registers that calls keep are set to values, fn() is called, and what they are then is put in
 * seen. */
#if defined(__x86_64__)
enum { KEPT = 6 };
__asm__(".text\n"
        "test_between:\n\t"
        "pushq %rbx\n\t pushq %rbp\n\t pushq %r12\n\t pushq %r13\n\t pushq %r14\n\t pushq %r15\n\t"
        "pushq %rdx\n\t"
        "movq (%rdi), %rbx\n\t movq 8(%rdi), %rbp\n\t movq 16(%rdi), %r12\n\t"
        "movq 24(%rdi), %r13\n\t movq 32(%rdi), %r14\n\t movq 40(%rdi), %r15\n\t"
        "call *%rsi\n\t"
        "popq %rdx\n\t"
        "movq %rbx, (%rdx)\n\t movq %rbp, 8(%rdx)\n\t movq %r12, 16(%rdx)\n\t"
        "movq %r13, 24(%rdx)\n\t movq %r14, 32(%rdx)\n\t movq %r15, 40(%rdx)\n\t"
        "popq %r15\n\t popq %r14\n\t popq %r13\n\t popq %r12\n\t popq %rbp\n\t popq %rbx\n\t"
        "ret\n");
#else
enum { KEPT = 11 + 8 };
__asm__(".text\n"
        "test_between:\n\t"
        "stp x29, x30, [sp, #-176]!\n\t"
        "stp x19, x20, [sp, #16]\n\t stp x21, x22, [sp, #32]\n\t stp x23, x24, [sp, #48]\n\t stp x25, x26, [sp, #64]\n\t"
        "stp x27, x28, [sp, #80]\n\t stp d8, d9, [sp, #96]\n\t stp d10, d11, [sp, #112]\n\t stp d12, d13, [sp, #128]\n\t"
        "stp d14, d15, [sp, #144]\n\t str x2, [sp, #160]\n\t"
        "ldp x19, x20, [x0]\n\t ldp x21, x22, [x0, #16]\n\t ldp x23, x24, [x0, #32]\n\t ldp x25, x26, [x0, #48]\n\t"
        "ldp x27, x28, [x0, #64]\n\t ldr x29, [x0, #80]\n\t ldp d8, d9, [x0, #88]\n\t ldp d10, d11, [x0, #104]\n\t"
        "ldp d12, d13, [x0, #120]\n\t ldp d14, d15, [x0, #136]\n\t"
        "blr x1\n\t"
        "ldr x2, [sp, #160]\n\t"
        "stp x19, x20, [x2]\n\t stp x21, x22, [x2, #16]\n\t stp x23, x24, [x2, #32]\n\t stp x25, x26, [x2, #48]\n\t"
        "stp x27, x28, [x2, #64]\n\t str x29, [x2, #80]\n\t stp d8, d9, [x2, #88]\n\t stp d10, d11, [x2, #104]\n\t"
        "stp d12, d13, [x2, #120]\n\t stp d14, d15, [x2, #136]\n\t"
        "ldp x19, x20, [sp, #16]\n\t ldp x21, x22, [sp, #32]\n\t ldp x23, x24, [sp, #48]\n\t ldp x25, x26, [sp, #64]\n\t"
        "ldp x27, x28, [sp, #80]\n\t ldp d8, d9, [sp, #96]\n\t ldp d10, d11, [sp, #112]\n\t ldp d12, d13, [sp, #128]\n\t"
        "ldp d14, d15, [sp, #144]\n\t ldp x29, x30, [sp], #176\n\t"
        "ret\n");
#endif
void test_between(const uint64_t values[], void (*fn)(void), uint64_t seen[]);

static __attribute__((noinline)) void go_away(void)
{
    hop(&home, &away, NULL);
}

static __attribute__((noinline)) void go_home(void)
{
    hop(&away, &home, NULL);
}

static void fill(uint64_t values[KEPT], uint64_t seed)
{
    for (int i = 0; i < KEPT; i++)
        values[i] = seed * 1000 + (uint64_t)i;
}

static int wrong_away;

static void other_values(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    for (uint64_t turn = 0;; turn++) {
        uint64_t values[KEPT], seen[KEPT];
        fill(values, 0x5500000000 + turn);
        test_between(values, go_home, seen);
        wrong_away += memcmp(values, seen, sizeof values) != 0;
    }
}

TEST(registers_are_kept_on_both_sides)
{
    set_out(other_values);
    for (uint64_t turn = 0; turn < 1000; turn++) {
        uint64_t values[KEPT], seen[KEPT];
        fill(values, 0xaa00000000 + turn);
        test_between(values, go_away, seen);
        for (int i = 0; i < KEPT; i++)
            CHECK_INT(seen[i], values[i]);
    }
    CHECK_INT(wrong_away, 0);
    over();
}

/* Everything that the compiler may hold in a register, and that the other side changes. */
static void spoil(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    for (double x = 1;; x += 1) {
        double a = x, b = x + 1, c = x + 2, d = x + 3, e = x + 4, f = x + 5, g = x + 6, h = x + 7;
        __asm__ volatile("" : "+r"(passed) : : "memory");
        hop(&away, &home, NULL);
        if (a + b + c + d + e + f + g + h != 8 * x + 28)
            abort();
    }
}

TEST(locals_are_kept)
{
    set_out(spoil);
    volatile int one = 1;
    for (int turn = 0; turn < 1000; turn++) {
        long a = turn + one, b = a * 3, c = b * 5, d = c + 7, e = d ^ 9, f = e + a, g = f + b, h = g - c, i = h + d, j = i ^ e;
        double x = a * 0.5, y = b * 0.25;
        float z = (float)(turn * one);
        long double w = (long double)a / 3;
        long sum = a + b + c + d + e + f + g + h + i + j;
        hop(&home, &away, NULL);
        CHECK_INT(a, turn + 1);
        CHECK_INT(a + b + c + d + e + f + g + h + i + j, sum);
        CHECK(x == a * 0.5 && y == b * 0.25 && z == (float)turn && w == (long double)a / 3);
    }
    over();
}

/* A leaf may keep its locals below the stack pointer. */
static __attribute__((noinline)) int leaf(int n)
{
    volatile int here[24];
    for (int i = 0; i < 24; i++)
        here[i] = n + i;
    yk_switch(&home.at, away.at, NULL);
    int sum = 0;
    for (int i = 0; i < 24; i++)
        sum += here[i];
    return sum;
}

static void plain_hops(void *passed)
{
    for (;;)
        yk_switch(&away.at, home.at, NULL);
}

TEST(the_red_zone_of_a_leaf_is_kept)
{
#if defined(YK_WITH_ASAN) || defined(YK_WITH_TSAN)
    NOT_HERE("the leaf does not tell sanitizers about its switch");
#endif
    set_out(plain_hops);
    for (int i = 0; i < 100; i++)
        CHECK_INT(leaf(i), 24 * i + 276);
    over();
}

/* ---- Floating point control ---- */

static void round_upward(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    fesetround(FE_UPWARD);
    hop(&away, &home, (void *)(intptr_t)fegetround());
    last_hop((void *)(intptr_t)fegetround());
}

TEST(floating_point_control_is_the_threads)
{
    int usual = fegetround();
    set_out(round_upward);
    CHECK_INT((intptr_t)hop(&home, &away, NULL), FE_UPWARD);
    CHECK_INT(fegetround(), FE_UPWARD);
    fesetround(FE_DOWNWARD);
    CHECK_INT((intptr_t)hop(&home, &away, NULL), FE_DOWNWARD);
    fesetround(usual);
    over();
}

/* ---- Where a stack begins ---- */

static bool aligned, ends, frame_ends;
static int depth;
void yk_switch_start(void);

static __attribute__((noinline)) void look(void *passed)
{
    void *frames[64];
    void **frame = __builtin_frame_address(0);
    yk_fiber_arrive(&away.fiber);
    aligned = (uintptr_t)frame % 16 == 0;
    frame_ends = frame[0] == NULL;
    depth = backtrace(frames, 64);
    uintptr_t outermost = (uintptr_t)frames[depth - 1], start = (uintptr_t)yk_switch_start;
    ends = outermost > start && outermost < start + 64;
    last_hop(NULL);
}

TEST(unwinding_ends_at_the_entry)
{
    set_out(look);
    hop(&home, &away, NULL);
    CHECK(aligned);
    CHECK(frame_ends);
    CHECK(depth >= 1 && depth <= 4);
    CHECK(ends);
    over();
}

static void returns(void *passed)
{
    yk_fiber_arrive(&away.fiber);
}

static void let_it_return(void)
{
    set_out(returns);
    hop(&home, &away, NULL);
}

TEST(an_entry_that_returns_dies_at_once)
{
    child_end end = in_child(let_it_return);
#if defined(__x86_64__)
    CHECK(died_of(&end, SIGILL));
#else
    CHECK(died_of(&end, SIGTRAP));
#endif
}

/* The prepared context takes no more than it says. */
TEST(preparing_writes_in_its_room)
{
    char place[256] __attribute__((aligned(16)));
    memset(place, 0x5a, sizeof place);
    char *at = yk_switch_prepare(place + 128, echo);
    CHECK(at >= place + 128 - YK_SWITCH_ROOM && at < place + 128);
    for (int i = 0; i < 256; i++)
        CHECK(place[i] == 0x5a || (i >= 128 - YK_SWITCH_ROOM && i < 128));
}

/* ---- Sanitizers ---- */

static void leave_frames(void *passed)
{
    yk_fiber_arrive(&away.fiber);
    volatile char here[300];
    memset((char *)(uintptr_t)here, 1, sizeof here);
    last_hop((void *)(uintptr_t)(here[299] + 1));
}

/* A coroutine ends in the middle of frames; what comes next on that stack must not be taken for a use of theirs. */
TEST(a_stack_that_was_left_is_clean_for_the_next)
{
    set_out(leave_frames);
    for (int i = 0; i < 50; i++) {
        yk_fiber_done(&away.fiber);
        yk_fiber_init(&away.fiber, stack, STACK);
#ifdef YK_WITH_ASAN
        __asan_unpoison_memory_region(stack, STACK);
#endif
        away.at = yk_switch_prepare(stack + STACK, leave_frames);
        CHECK_INT((intptr_t)hop(&home, &away, NULL), 2);
    }
    over();
}
