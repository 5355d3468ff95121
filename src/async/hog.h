/* hog: coroutines that hold up their loop. */
#ifndef YK_ASYNC_HOG_H
#define YK_ASYNC_HOG_H
#include "async/async.h"
#include <sys/eventfd.h>

/* Whether YOKE_DEBUG has the word "async". */
bool yk_hogs_are_watched(void);
/* In the thread of a loop that begins: it is watched from now on, if that is wanted. */
void yk_hog_watch(yk_loop *loop);
/* In a thread that is not the loop's: writes which coroutine runs there and, if hogs are watched, its stack. */
void yk_hog_tell(yk_loop *loop, int fd);
/* In the thread of a loop that begins: YOKE_DUMP, if it is set; dump.c. */
void yk_dump_on_signal(void);
#endif
