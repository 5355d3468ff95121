/* arena: an allocator over a range of shared memory, with all its books in private memory of its only user: what another process
 * scribbles into the range cannot mislead it. One thread at a time. */
#ifndef YK_PROCESS_ARENA_H
#define YK_PROCESS_ARENA_H
#include "base/base.h"

typedef struct yk_arena {
    char *base;
    size_t size, used;  /* of the range; [used, size) was never given out */
    unsigned char *state; /* a byte for each unit: its block's order, if one starts there, and whether it is live */
    uint32_t *next;       /* a free block's successor on its list, by unit */
    uint32_t lists[48];   /* free blocks by order; units, NONE at the end */
    size_t live;          /* blocks not given back */
    size_t retained;      /* bytes of large free blocks whose pages are still there */
} yk_arena;

/* Opens over [base, base + size), at most 256 GiB; base must be page-aligned. The memory is reserved, not touched. 0 or
 * -ENOMEM. */
int yk_arena_open(yk_arena *a, char *base, size_t size);
/* At least size bytes, aligned to 64; NULL when there is no room. */
void *yk_arena_take(yk_arena *a, size_t size);
/* Gives a block back. -EINVAL when it is not the start of a live one. */
int yk_arena_give(yk_arena *a, void *block);
/* The bytes of the live block that starts at p, or 0. */
size_t yk_arena_size_of(const yk_arena *a, const void *p);
void yk_arena_close(yk_arena *a);
#endif
