/* switch: how one thread leaves a coroutine and goes on in another, for x86-64 and arm64.
 *
 * The idea: a context that does not run is one pointer, into its own stack, where the place to go on at lies. The switch is
 * inlined and tells the compiler that it changes every register, so that only those values are saved which are still needed:
 * in the one place where coroutines park, next to none. It ends in a jump. A return would be guessed from the calls of the
 * other stack, wrongly each time, for five times the price.
 *
 * What is kept: the frame's own registers, by pushing them (compilers do not take them in lists of what changes).
 * What is not: the control words of floating point (MXCSR, x87, FPCR). They are the thread's: a rounding mode that a coroutine
 * sets stays set in those after it. Loading MXCSR takes 50 ns whenever its sticky flags differ, which they do.
 *
 * A thread's coroutines stay on that thread: compilers keep addresses of thread-local variables over a switch.
 * Shadow stacks (x86 SHSTK) are not handled, and the objects do not claim that they are (see meson.build). */
#ifndef YK_ASYNC_SWITCH_H
#define YK_ASYNC_SWITCH_H
#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define YK_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define YK_WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define YK_WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define YK_WITH_TSAN 1
#endif
#endif
#ifdef YK_WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef YK_WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Always, or a sanitizer would see a function entered on one stack and left on another. */
#define YK_SWITCH_INLINE static inline __attribute__((always_inline))

/* ---- The switch ---- */

/* Prepares a fresh context on the stack that ends at `top` (exclusive, a multiple of 16): the first yk_switch() to the pointer
 * that is returned calls entry(passed), which must never return. Debuggers and unwinders see the stack end there. Uses
 * YK_SWITCH_ROOM bytes below top, as soon as now. */
void *yk_switch_prepare(void *top, void (*entry)(void *passed));

/* Leaves the running context, storing where in *save, and goes on in `to`; returns what whoever comes back passes. *save is
 * written before `to` runs; `save` and `to` may be the same context's. */
YK_SWITCH_INLINE void *yk_switch(void **save, void *to, void *pass);

#if defined(__x86_64__)
enum { YK_SWITCH_ROOM = 32 };

#ifdef __AVX512F__
#define YK_SWITCH_WIDE                                                                                                 \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",      \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define YK_SWITCH_WIDE
#endif

/* Saved, from the pointer up: where to go on, rbp, rbx, and 128 bytes that may be a leaf's red zone. */
YK_SWITCH_INLINE void *yk_switch(void **save, void *to, void *pass)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "pushq %%rbx\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rcx\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rcx\n\t"
                     "jmpq *%%rcx\n"
                     "1:\n\t"
                     "endbr64\n\t"
                     "popq %%rbp\n\t"
                     "popq %%rbx\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+a"(pass), "+D"(save), "+S"(to)
                     :
                     : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory", "st", "st(1)",
                       "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6",
                       "mm7", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" YK_SWITCH_WIDE);
    return pass;
}

#elif defined(__aarch64__)
enum { YK_SWITCH_ROOM = 32 };

/* Saved, from the pointer up: x19, x29, where to go on, nothing. The jump goes through x17, which may lead to any landing. */
YK_SWITCH_INLINE void *yk_switch(void **save, void *to, void *pass)
{
    register void *x0 __asm__("x0") = pass;
    register void **x1 __asm__("x1") = save;
    register void *x2 __asm__("x2") = to;
    __asm__ volatile("adr x3, 1f\n\t"
                     "stp x19, x29, [sp, #-32]!\n\t"
                     "str x3, [sp, #16]\n\t"
                     "mov x4, sp\n\t"
                     "str x4, [x1]\n\t"
                     "mov sp, x2\n\t"
                     "ldr x17, [x2, #16]\n\t"
                     "br x17\n"
                     "1:\n\t"
                     "hint #38\n\t" /* bti jc */
                     "ldp x19, x29, [sp], #32"
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
                       "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc", "memory", "v0", "v1", "v2",
                       "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#ifdef __ARM_FEATURE_SVE
                       , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15"
#endif
                     );
    return x0;
}

#else
#error "no switch of coroutines for this processor"
#endif

/* ---- Sanitizers ---- */

/* What a sanitizer must know about a stack; nothing at all without one. Around every switch:
 *
 *     yk_fiber_leave(&mine, &other, ends);  passed = yk_switch(...);  yk_fiber_arrive(&mine);
 *
 * and first of all in an entry: yk_fiber_arrive(&its_own). ThreadSanitizer has some 8000 threads and fibers in all. */
typedef struct yk_fiber {
#ifdef YK_WITH_ASAN
    const void *bottom;
    size_t size;
    void *fake; /* frames that are kept to find uses after return */
#endif
#ifdef YK_WITH_TSAN
    void *tsan;
#endif
} yk_fiber;

/* The calling thread's own stack. */
void yk_fiber_of_thread(yk_fiber *f);

/* A coroutine's stack: size bytes from bottom, its lowest byte. */
YK_SWITCH_INLINE void yk_fiber_init(yk_fiber *f, void *bottom, size_t size)
{
    (void)f, (void)bottom, (void)size;
#ifdef YK_WITH_ASAN
    f->bottom = bottom;
    f->size = size;
    f->fake = NULL;
#endif
#ifdef YK_WITH_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
}

/* last: `from` ends here and is never come back to. */
YK_SWITCH_INLINE void yk_fiber_leave(yk_fiber *from, yk_fiber *to, bool last)
{
    (void)from, (void)to, (void)last;
#ifdef YK_WITH_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
#endif
#ifdef YK_WITH_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

YK_SWITCH_INLINE void yk_fiber_arrive(yk_fiber *me)
{
    (void)me;
#ifdef YK_WITH_ASAN
    __sanitizer_finish_switch_fiber(me->fake, NULL, NULL);
#endif
}

/* Of a coroutine that has been left for the last time, by whoever runs now. */
YK_SWITCH_INLINE void yk_fiber_done(yk_fiber *f)
{
    (void)f;
#ifdef YK_WITH_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
}

#endif
