/* dump.c - what coroutines wait for, told to whoever asks; coroutines that hold up their loop; stacks that are too small. */
#include "child.h"
#include <fcntl.h>
#include <string.h>
#include <yoke/async.h>
#include <yoke/channel.h>
#include <yoke/executor.h>
#include <yoke/queues.h>
#include <yoke/sync.h>

static char text[1 << 16];

/* What yoke_dump() writes. */
static int dumped(void)
{
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
    int n = yoke_dump(fds[1]);
    close(fds[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(fds[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    close(fds[0]);
    return n;
}

static void has(const char *part)
{
    if (!strstr(text, part))
        test_fail(__FILE__, __LINE__, "no \"%s\" in\n%s", part, text);
}

int dump_sleeper(void *arg);
int dump_sleeper(void *arg)
{
    return yoke_sleep(3600 * YOKE_S);
}

int dump_waiter(void *arg);
int dump_waiter(void *arg)
{
    return yoke_event_wait(arg);
}

int dump_parent(void *arg);
int dump_parent(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go(&g, dump_sleeper, NULL);
    return yoke_group_end(&g);
}

static int look_around(void *arg)
{
    yoke_event never;
    yoke_group g;
    yoke_event_init(&never, 0);
    yoke_group_begin(&g);
    yoke_go(&g, dump_parent, NULL); /* by its name */
    yoke_go_with(&g, &(yoke_go_opts){.name = "waits for ever"}, dump_waiter, &never);
    yoke_go_with(&g, &(yoke_go_opts){.name = "not begun"}, dump_sleeper, NULL);
    yoke_yield();
    yoke_yield();
    CHECK_INT(dumped(), 5);
    has("5 coroutines");
    has("): runs\n");
    has("    dump_parent (2): end of a group\n      dump_sleeper (5): sleep, 3.6e+03 s left\n");
    has("    waits for ever (3): ");
    has("    not begun (4): ");
    yoke_group_cancel(&g);
    yoke_group_end(&g);
    return 0;
}

TEST(every_coroutine_is_told_under_its_parent)
{
    CHECK_INT(yoke_async_run(look_around, NULL), 0);
    CHECK_INT(dumped(), 0);
    CHECK_STR(text, "");
}

/* ---- Kinds of things ---- */

static yoke_lock lock;
static yoke_rlock rlock;
static yoke_rwlock read_lock, write_lock;
static yoke_lock of_a_thread;
static yoke_semaphore semaphore;
static yoke_latch latch;
static yoke_barrier barrier;
static yoke_once once;
static yoke_condition condition;
static yoke_queue *queue, *full;
static yoke_channel *channel;
static yoke_event done;

static int initialise(void *arg)
{
    return yoke_event_wait(&done);
}

static int holds_all(void *arg)
{
    yoke_lock_acquire(&lock);
    yoke_rlock_acquire(&rlock);
    yoke_rwlock_write(&write_lock);
    yoke_rwlock_read(&read_lock);
    yoke_once_run(&once, initialise, NULL);
    yoke_rwlock_read_release(&read_lock);
    yoke_rwlock_write_release(&write_lock);
    yoke_rlock_release(&rlock);
    yoke_lock_release(&lock);
    return 0;
}

static int wants_lock(void *arg)
{
    yoke_lock_acquire(&lock);
    return yoke_lock_release(&lock);
}

static int wants_rlock(void *arg)
{
    return yoke_rlock_timed(&rlock, 3600 * YOKE_S);
}

static int wants_to_read(void *arg)
{
    return yoke_rwlock_read_timed(&write_lock, 3600 * YOKE_S);
}

static int wants_to_write(void *arg)
{
    return yoke_rwlock_write_timed(&write_lock, 3600 * YOKE_S);
}

static int wants_readers_out(void *arg)
{
    return yoke_rwlock_write_timed(&read_lock, 3600 * YOKE_S);
}

static int wants_a_thread(void *arg)
{
    return yoke_lock_timed(&of_a_thread, 3600 * YOKE_S);
}

static int wants_semaphore(void *arg)
{
    return yoke_semaphore_acquire(&semaphore);
}

static int wants_latch(void *arg)
{
    return yoke_latch_wait(&latch);
}

static int wants_barrier(void *arg)
{
    return yoke_barrier_wait(&barrier);
}

static int wants_once(void *arg)
{
    return yoke_once_run(&once, initialise, NULL);
}

static int wants_condition(void *arg)
{
    yoke_lock own = YOKE_LOCK_INIT;
    yoke_lock_acquire(&own);
    int err = yoke_condition_wait(&condition, &own);
    yoke_lock_release(&own);
    return err;
}

static int wants_item(void *arg)
{
    int item;
    return yoke_queue_get(queue, &item);
}

static int wants_room(void *arg)
{
    return yoke_queue_put(full, &(int){1});
}

static int wants_sender(void *arg)
{
    int value;
    return yoke_channel_receive(channel, &value);
}

static const struct {
    int (*fn)(void *arg);
    const char *name, *what, *holder;
    const void *object; /* NULL: it is not known here */
} wants[] = {
    {wants_lock, "lock", "a lock", ", held by coroutine \"holder\" (2)", &lock},
    {wants_rlock, "rlock", "an rlock", ", held by coroutine \"holder\" (2)", &rlock},
    {wants_to_read, "read", "an rwlock to read", ", held by coroutine \"holder\" (2)", &write_lock},
    {wants_to_write, "write", "an rwlock to write", ", held by coroutine \"holder\" (2)", &write_lock},
    {wants_readers_out, "out", "the readers of an rwlock", "", &read_lock},
    {wants_a_thread, "thread", "a lock", ", held by thread ", &of_a_thread},
    {wants_semaphore, "semaphore", "a semaphore", "", &semaphore},
    {wants_latch, "latch", "a latch", "", &latch},
    {wants_barrier, "barrier", "a barrier", "", &barrier},
    {wants_once, "once", "an initialisation", ", held by coroutine \"holder\" (2)", &once},
    {wants_condition, "condition", "a condition", "", &condition},
    {wants_item, "item", "an item in a queue", "", NULL},
    {wants_room, "room", "room in a queue", "", NULL},
    {wants_sender, "sender", "a sender at a channel", "", NULL},
};

static int wait_for_things(void *arg)
{
    yoke_group g;
    char line[300];
    yoke_group_begin(&g);
    yoke_go_with(&g, &(yoke_go_opts){.name = "holder"}, holds_all, NULL);
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        yoke_go_with(&g, &(yoke_go_opts){.name = wants[i].name}, wants[i].fn, NULL);
    yoke_sleep(5 * YOKE_MS);
    dumped();
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        int n = snprintf(line, sizeof line, "    %s (%zu): %s at ", wants[i].name, i + 3, wants[i].what);
        if (wants[i].object)
            snprintf(line + n, sizeof line - (size_t)n, "%p%s", wants[i].object, wants[i].holder);
        has(line);
    }
    has("    holder (2): an event at ");
    yoke_group_cancel(&g);
    yoke_event_set(&done);
    yoke_group_end(&g);
    return 0;
}

TEST(things_have_names_and_holders)
{
    CHECK_INT(yoke_semaphore_init(&semaphore, 0, 0), 0);
    CHECK_INT(yoke_latch_init(&latch, 1, 0), 0);
    CHECK_INT(yoke_barrier_init(&barrier, 2, NULL, NULL, 0), 0);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, sizeof(int), 0, NULL, &queue), 0);
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, sizeof(int), 1, NULL, &full), 0);
    while (yoke_queue_put_try(full, &(int){0}) == 0)
        ;
    CHECK_INT(yoke_channel_open(sizeof(int), 0, &channel), 0);
    CHECK_INT(yoke_lock_acquire(&of_a_thread), 0);
    CHECK_INT(yoke_async_run(wait_for_things, NULL), 0);
    yoke_lock_release(&of_a_thread);
    yoke_queue_close(queue);
    yoke_queue_close(full);
    yoke_channel_close(channel);
}

YOKE_TASK(int, sleeps_as_a_job)
{
    return yoke_sleep(3600 * YOKE_S);
}

TEST(loops_of_other_threads_answer)
{
    yoke_executor *ex = yoke_open("async:2");
    yoke_future *f = yoke_submit(ex, sleeps_as_a_job), *g = yoke_submit(ex, sleeps_as_a_job);
    do {
        yoke_sleep(YOKE_MS);
        dumped();
    } while (count_of(text, "): sleep, ") < 2);
    CHECK_INT(count_of(text, "loop in thread "), 2);
    has("  sleeps_as_a_job (1): sleep, ");
    yoke_cancel(f);
    yoke_cancel(g);
    CHECK_INT(yoke_wait(f), 0); /* it returned, and what it returned is its value */
    CHECK_INT(yoke_wait(g), 0);
    CHECK_INT(yoke_await(f, int), -ECANCELED);
    yoke_close(ex);
}

TEST(what_cannot_be_written_is_an_error)
{
    yoke_executor *ex = yoke_open("async");
    CHECK_INT(yoke_dump(-1), -EIO);
    yoke_close(ex);
}

YOKE_TASK(int, spins_for, (int64_t, ns))
{
    for (int64_t end = yoke_now() + ns; yoke_now() < end;)
        ;
    return 0;
}

TEST(a_loop_that_is_held_up_does_not_answer)
{
    yoke_executor *ex = yoke_open("async");
    yoke_future *f = yoke_submit(ex, spins_for, 2500 * YOKE_MS);
    yoke_sleep(200 * YOKE_MS);
    dumped();
    has("does not answer; it is held up by\n  spins_for\n");
    CHECK_INT(yoke_wait(f), 0);
    yoke_close(ex);
}

/* ---- Reports on stderr, in programs of their own ---- */

static void spin(void)
{
    yoke_executor *ex = yoke_open("async");
    yoke_wait(yoke_submit(ex, spins_for, 800 * YOKE_MS));
    yoke_close(ex);
}

static void spin_watched(void)
{
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO); /* what it prints is no part of this */
    setenv("YOKE_DEBUG", "async", 1);
    setenv("YOKE_TEST_AGAIN", "1", 1);
    execl("/proc/self/exe", "test", "spins_when_asked", (char *)NULL);
    _exit(9);
}

TEST(spins_when_asked)
{
    if (getenv("YOKE_TEST_AGAIN"))
        spin();
}

TEST(who_holds_up_a_loop_is_reported_with_its_stack)
{
    child_end end = in_child(spin_watched);
    CHECK(WIFEXITED(end.status));
    CHECK_INT(count_of(end.text, "yoke: a coroutine has held up its loop for 100 ms:\n  spins_for\n"), 1);
    CHECK(strstr(end.text, "spins_for") != NULL && strstr(end.text, "+0x") != NULL);
}

static void dump_by_signal(void)
{
    setenv("YOKE_DUMP", "USR1", 1);
    yoke_executor *ex = yoke_open("async");
    yoke_future *f = yoke_submit(ex, sleeps_as_a_job);
    yoke_sleep(50 * YOKE_MS);
    raise(SIGUSR1);
    yoke_sleep(300 * YOKE_MS);
    yoke_cancel(f);
    yoke_close(ex);
}

TEST(a_signal_dumps)
{
    child_end end = in_child(dump_by_signal);
    CHECK(WIFEXITED(end.status));
    CHECK(strstr(end.text, "loop in thread ") != NULL);
}

static void dump_by_no_signal(void)
{
    setenv("YOKE_DUMP", "SEGV", 1);
    yoke_close(yoke_open("async"));
}

TEST(another_signal_is_refused)
{
    child_end end = in_child(dump_by_no_signal);
    CHECK_STR(end.text, "yoke: YOKE_DUMP is \"SEGV\"; it can be USR1, USR2 or QUIT\n");
}

int dump_deep(void *arg);
int dump_deep(void *arg)
{
    volatile char room[1000];
    room[0] = 1;
    return arg ? dump_deep((void *)(uintptr_t)&room[0]) + room[0] : 0;
}

static int overflow(void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    yoke_go_with(&g, &(yoke_go_opts){.stack = 16 << 10}, dump_deep, &g);
    return yoke_group_end(&g);
}

static void run_overflow(void)
{
    yoke_async_run(overflow, NULL);
}

TEST(an_overflow_names_the_coroutine)
{
    child_end end = in_child(run_overflow);
    CHECK(died_of(&end, SIGSEGV));
    const char *sanitizer = getenv("YOKE_SANITIZE");
    if (!sanitizer || strcmp(sanitizer, "none") == 0)
        CHECK(strstr(end.text, "yoke: stack overflow in coroutine dump_deep, stack of 16 KiB") != NULL);
}
