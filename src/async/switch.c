/* switch: where fresh contexts begin. See switch.h.
 *
 * yk_switch_start is not a function that anybody calls: the first switch to a prepared context jumps there, with what is passed
 * in rax or x0, and finds on the stack what yk_switch_prepare() has put there. It enters the entry as a call does, with itself as
 * who called, and a frame pointer of 0, of which unwinders and debuggers are told that the stack ends there; the stack is
 * aligned as any function may expect. Should an entry return, it stops at an instruction that is none.
 *
 * It is no call instruction, since an entry never returns: the processor, which notes each call to guess where returns go, would
 * guess all those wrongly that whoever began the coroutine makes next. That took a third of the time of a short coroutine. */
#include "async/switch.h"
#include <pthread.h>
#include <stdint.h>

void yk_switch_start(void); /* the name of an address */

#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        ".p2align 4\n"
        ".globl yk_switch_start\n"
        ".hidden yk_switch_start\n"
        ".type yk_switch_start, @function\n"
        "yk_switch_start:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_def_cfa rsp, 8\n\t"
        ".cfi_undefined rip\n\t"
        "endbr64\n\t"
        "xorl %ebp, %ebp\n\t"
        "movq %rax, %rdi\n\t"
        "popq %rcx\n\t"
        "leaq 1f(%rip), %rdx\n\t"
        "pushq %rdx\n\t"
        "jmpq *%rcx\n"
        "1:\n\t"
        "ud2\n\t"
        ".cfi_endproc\n"
        ".size yk_switch_start, . - yk_switch_start\n"
        ".popsection");

static void lay(uintptr_t *at, uintptr_t entry)
{
    at[0] = (uintptr_t)yk_switch_start;
    at[1] = entry; /* popped by the start, which then stands at at[2] */
}

#else
__asm__(".pushsection .text\n"
        ".p2align 4\n"
        ".globl yk_switch_start\n"
        ".hidden yk_switch_start\n"
        ".type yk_switch_start, %function\n"
        "yk_switch_start:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined x30\n\t"
        "hint #38\n\t"
        "ldr x16, [sp], #32\n\t"
        "mov x29, xzr\n\t"
        "adr x30, 1f\n\t"
        "br x16\n"
        "1:\n\t"
        "brk #1\n\t"
        ".cfi_endproc\n"
        ".size yk_switch_start, . - yk_switch_start\n"
        ".popsection");

static void lay(uintptr_t *at, uintptr_t entry)
{
    at[0] = entry;
    at[1] = 0;
    at[2] = (uintptr_t)yk_switch_start;
    at[3] = 0;
}
#endif

void *yk_switch_prepare(void *top, void (*entry)(void *passed))
{
#if defined(__x86_64__)
    uintptr_t *at = (uintptr_t *)top - 2;
#else
    uintptr_t *at = (uintptr_t *)top - 4;
#endif
    lay(at, (uintptr_t)entry);
    return at;
}

void yk_fiber_of_thread(yk_fiber *f)
{
    (void)f;
#ifdef YK_WITH_ASAN
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &size);
        pthread_attr_destroy(&attr);
    }
    f->bottom = low;
    f->size = size;
    f->fake = NULL;
#endif
#ifdef YK_WITH_TSAN
    f->tsan = __tsan_get_current_fiber();
#endif
}
