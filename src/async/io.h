/* io: what the files about descriptors share. */
#ifndef YK_ASYNC_IO_H
#define YK_ASYNC_IO_H
#include "async/async.h"
#include <yoke/io.h>

/* Runs op, of which kind and what the kind uses are set, wherever this is: in a coroutine by its loop, else by yk_block(). Its
 * result, -ECANCELED or -ETIMEDOUT. */
int64_t yk_do(yk_op *op, const char *what, int64_t deadline);
/* The same in a thread, which it blocks. The deadline is for YK_OP_POLL alone. io_block.c */
int64_t yk_block(yk_op *op, int64_t deadline);

/* While somebody is between begin and end, writes in this thread to what nobody reads raise no SIGPIPE; `broken`: one returned
 * -EPIPE. q is of the thread; {0} at first. io_quiet.c */
void yk_quiet_begin(yk_quiet *q);
void yk_quiet_end(yk_quiet *q, bool broken);
/* write(2), once, without SIGPIPE: n or a negative code. */
ssize_t yk_quiet_write(int fd, const void *buf, size_t n);

#endif
