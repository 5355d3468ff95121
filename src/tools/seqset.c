/* seqset: a set of record numbers, for what a job log says is done.
 *
 * The numbers of a log are nearly consecutive, so they are kept as bits, in pages of 32768 that a hash table finds: ten
 * million numbers take 1.3 MB. A log with wild numbers costs one page of 4 KiB for each. */
#include "tools/seqset.h"
#include <stdlib.h>

#define PAGE_SHIFT 15
#define WORD_BITS 64

typedef struct seqset_page {
    uint64_t number; /* of the page: member >> PAGE_SHIFT */
    uint64_t bits[(1 << PAGE_SHIFT) / WORD_BITS];
} seqset_page;

/* Where the page is, or the empty slot where it would be. */
static seqset_page **find_slot(seqset_page **table, size_t slots, uint64_t number)
{
    size_t i = (size_t)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slots - 1);
    while (table[i] && table[i]->number != number)
        i = (i + 1) & (slots - 1);
    return &table[i];
}

static int grow(yk_seqset *s)
{
    size_t slots = s->slots ? s->slots * 2 : 16;
    seqset_page **table = yk_sys.calloc(slots, sizeof *table);
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < s->slots; i++)
        if (s->table[i])
            *find_slot(table, slots, s->table[i]->number) = s->table[i];
    free(s->table);
    s->table = table;
    s->slots = slots;
    return 0;
}

int yk_seqset_add(yk_seqset *s, uint64_t n)
{
    if (2 * (s->pages + 1) > s->slots) {
        int err = grow(s);
        if (err < 0)
            return err;
    }
    seqset_page **slot = find_slot(s->table, s->slots, n >> PAGE_SHIFT);
    if (!*slot) {
        *slot = yk_sys.calloc(1, sizeof **slot);
        if (!*slot)
            return -ENOMEM;
        (*slot)->number = n >> PAGE_SHIFT;
        s->pages++;
    }
    uint64_t in_page = n & ((1u << PAGE_SHIFT) - 1), bit = UINT64_C(1) << (in_page % WORD_BITS);
    uint64_t *word = &(*slot)->bits[in_page / WORD_BITS];
    s->count += (*word & bit) == 0;
    *word |= bit;
    return 0;
}

bool yk_seqset_has(const yk_seqset *s, uint64_t n)
{
    if (s->count == 0)
        return false;
    const seqset_page *page = *find_slot(s->table, s->slots, n >> PAGE_SHIFT);
    if (!page)
        return false;
    uint64_t in_page = n & ((1u << PAGE_SHIFT) - 1);
    return page->bits[in_page / WORD_BITS] >> (in_page % WORD_BITS) & 1;
}

void yk_seqset_done(yk_seqset *s)
{
    for (size_t i = 0; i < s->slots; i++)
        free(s->table[i]);
    free(s->table);
    *s = (yk_seqset){0};
}
