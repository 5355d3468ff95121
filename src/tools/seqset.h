/* seqset: a set of record numbers that stays small when they are mostly consecutive: one bit each, in pages. */
#ifndef YK_SEQSET_H
#define YK_SEQSET_H
#include "base/base.h"

/* {0} is the empty set. */
typedef struct yk_seqset {
    struct seqset_page **table; /* open addressing; a power of two, at most half full */
    size_t slots, pages;
    uint64_t count;             /* members */
} yk_seqset;

/* 0, or -ENOMEM. Adding a member again changes nothing. */
int yk_seqset_add(yk_seqset *s, uint64_t n);
bool yk_seqset_has(const yk_seqset *s, uint64_t n);
void yk_seqset_done(yk_seqset *s);

#endif
