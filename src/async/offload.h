/* offload: threads for what would block a loop. What the rest of the part sees besides yk_offload(), which is in backend.h. */
#ifndef YK_ASYNC_OFFLOAD_H
#define YK_ASYNC_OFFLOAD_H
#include "async/backend.h"

/* The same, but never here: 0, or -EAGAIN when no thread could be had. loop: where done() is called; NULL: done() is not called,
 * and `op` is work()'s to give back. */
int yk_offload_only(yk_op *op, struct yk_loop *loop, void (*work)(yk_op *op));
/* True: no thread had begun it, it is taken back and done() is not called. */
bool yk_offload_cancel(yk_op *op);
/* The same as yk_offload() for any loop, but not in this thread: -EAGAIN when no other can be had. loop NULL: nobody is told when
 * work(op) has been done; op, of which nothing is looked at, is work's from then on, which may free it. Any thread. */
int yk_offload_only(yk_op *op, struct yk_loop *loop, void (*work)(yk_op *op));
/* Nobody is told, and where no thread can be had the work is done here. Any thread. */
void yk_offload_apart(yk_op *op, void (*work)(yk_op *op));
/* For what may last as long as a wait does: a thread begins it now, if one is to be had and more than half of them remain for
 * other things. False: it is not taken. */
bool yk_offload_wait(yk_op *op, void (*work)(yk_op *op));
/* The loop is about to be closed, and nothing of it is offloaded any more: waits until no thread refers to it, which those that
 * have just handed it something may still do. */
void yk_offload_leave(const struct yk_loop *loop);
/* Lets all threads end after the work they have, and waits for that. More work may come later. */
void yk_offload_end(void);
unsigned yk_offload_threads(void); /* how many there are */
unsigned yk_offload_most(void);    /* how many there will be at most */

struct yk_post;
/* For tests. */
extern int64_t yk_offload_idle;
extern struct yk_loop *(*yk_offload_here)(void);
extern void (*yk_offload_post)(struct yk_loop *loop, struct yk_post *p);
#endif
