/* Which thread is this, and which others are there.
 *
 * Use it in logs and error messages, and to see what a library has started: each thread of yoke has a name, which top -H and gdb
 * show too, and says what kind it is. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

static const char *kind(yoke_thread *t)
{
    static const char *const words[] = {"started", "main", "worker", "other"};
    return words[yoke_thread_kind_of(t)];
}

YOKE_TASK(bool, introduce, (const char *, greeting))
{
    yoke_thread *t = yoke_thread_current();
    printf("%s, I am \"%s\" (%s), thread %d\n", greeting, yoke_thread_name(t), kind(t), yoke_thread_id(t));
    return true;
}

static int is_named(yoke_thread *t, void *name)
{
    return strcmp(yoke_thread_name(t), name) == 0;
}

int main(void)
{
    introduce("Hello"); /* a task is a function first */
    yoke_thread *t = yoke_thread_start("librarian", introduce, "Good evening");
    yoke_thread_join(t);
    yoke_thread_release(t);
    yoke_executor *ex = yoke_open("threads:1");
    yoke_await(yoke_submit(ex, introduce, "At your service"), bool);
    printf("a worker lives: %s\n", yoke_each_thread(is_named, "yoke-worker-0") ? "yes" : "no");
    yoke_close(ex);
    printf("after closing: %s\n", yoke_each_thread(is_named, "yoke-worker-0") ? "yes" : "no");
    return 0;
}
