/* ops: lists of operations, linked through their own next and prev. What both backends keep them in. */
#ifndef YK_ASYNC_OPS_H
#define YK_ASYNC_OPS_H
#include "async/backend.h"

typedef struct yk_ops {
    yk_op *head, *tail;
} yk_ops;

static inline void yk_ops_push(yk_ops *l, yk_op *op)
{
    op->next = NULL;
    op->prev = l->tail;
    *(l->tail ? &l->tail->next : &l->head) = op;
    l->tail = op;
}

static inline void yk_ops_remove(yk_ops *l, yk_op *op)
{
    *(op->prev ? &op->prev->next : &l->head) = op->next;
    *(op->next ? &op->next->prev : &l->tail) = op->prev;
}

static inline yk_op *yk_ops_pop(yk_ops *l)
{
    yk_op *op = l->head;
    if (op)
        yk_ops_remove(l, op);
    return op;
}

/* How an operation ends that an error or a cancel has stopped: by what it had moved until then, if anything. */
static inline int64_t yk_op_result(const yk_op *op, int error)
{
    return op->so_far > 0 ? (int64_t)op->so_far : -error;
}
#endif
