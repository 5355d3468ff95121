/* with_use.cpp - locks held for a block, in both C and C++, without a warning: compiled by queue_use.py with every compiler, and
 * run. Each way out of the block gives the lock back. Exits with the line of the first check that fails. */
#include <pthread.h>
#include <yoke.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__ % 256;                                                                                     \
    } while (0)

static yoke_lock lock = YOKE_LOCK_INIT, other = YOKE_LOCK_INIT;
static yoke_rlock rlock = YOKE_RLOCK_INIT;
static yoke_semaphore permits = YOKE_SEMAPHORE_INIT(2);
static yoke_rwlock book = YOKE_RWLOCK_INIT;
static yoke_condition changed = YOKE_CONDITION_INIT;

static bool can_write(void)
{
    if (yoke_rwlock_write_try(&book) < 0)
        return false;
    yoke_rwlock_write_release(&book);
    return true;
}

static bool can_read(void)
{
    if (yoke_rwlock_read_try(&book) < 0)
        return false;
    yoke_rwlock_read_release(&book);
    return true;
}

/* How often the lock was held inside, by each way out. */
static int leave(int way)
{
    yoke_with(&lock) {
        if (!yoke_lock_held(&lock))
            return -1;
        if (way == 0)
            return 1;
        if (way == 1)
            goto out;
        if (way == 2)
            break;
        if (way == 3)
            continue;
        return 5;
    }
    return 2;
out:
    return 3;
}

static int ways_out(void)
{
    static const int expected[] = {1, 3, 2, 2, 5};
    for (int way = 0; way < 5; way++) {
        CHECK(leave(way) == expected[way]);
        CHECK(!yoke_lock_held(&lock));
    }
    int turns = 0;
    for (int i = 0; i < 5; i++) {
        yoke_with(&lock) {
            if (i == 1)
                continue; /* the block, not the loop */
            if (i == 3)
                break;
            turns += 10;
        }
        turns++;
    }
    CHECK(turns == 35);
    yoke_with(&lock)
        turns = yoke_lock_held(&lock); /* one statement is a block too */
    CHECK(turns == 1 && !yoke_lock_held(&lock));
    if (turns)
        yoke_with(&lock) {}
    else
        return __LINE__;
    return 0;
}

static int all_kinds(void)
{
    int runs = 0;
    yoke_with(&lock) yoke_with(&other) {
        CHECK(yoke_lock_held(&lock) && yoke_lock_held(&other));
        runs++;
    }
    CHECK(!yoke_lock_held(&lock) && !yoke_lock_held(&other));
    yoke_with(&rlock) {
        yoke_with(&rlock) {
            runs += yoke_rlock_mine(&rlock);
        }
        CHECK(yoke_rlock_mine(&rlock));
    }
    CHECK(!yoke_rlock_mine(&rlock));
    yoke_with(&permits) {
        CHECK(yoke_semaphore_permits(&permits) == 1);
        yoke_with(&permits) {
            runs += yoke_semaphore_permits(&permits) == 0;
        }
    }
    CHECK(yoke_semaphore_permits(&permits) == 2);
    yoke_with_read(&book) {
        CHECK(!can_write());
        runs += can_read();
    }
    yoke_with_write(&book) {
        CHECK(!can_read());
        runs++;
    }
    CHECK(can_write() && can_read());
    yoke_lock several[3] = {YOKE_LOCK_INIT, YOKE_LOCK_INIT, YOKE_LOCK_INIT}, *next = several;
    yoke_with(next++) { /* is evaluated once */
        runs += yoke_lock_held(several) && next == several + 1;
    }
    CHECK(!yoke_lock_held(several));
    CHECK(runs == 6);
    return 0;
}

static int codes(void)
{
    int err = 7, runs = 0;
    yoke_with(&lock, &err) {
        runs += err == 0;
    }
    CHECK(runs == 1);
    yoke_semaphore ended;
    CHECK(yoke_semaphore_init(&ended, 1, 0) == 0 && yoke_semaphore_done(&ended) == 0);
    yoke_with(&ended, &err) {
        runs++;
    }
    CHECK(err == -EINVAL && runs == 1);
    yoke_with(&ended) {
        runs++;
    }
    CHECK(runs == 1);
    yoke_rwlock gone;
    CHECK(yoke_rwlock_init(&gone, 0) == 0 && yoke_rwlock_done(&gone) == 0);
    yoke_with_read(&gone, &err) {
        runs++;
    }
    CHECK(err == -EINVAL);
    err = 0;
    yoke_with_write(&gone, &err) {
        runs++;
    }
    CHECK(err == -EINVAL && runs == 1);
    yoke_with(&lock) {
        yoke_lock_release(&lock); /* given back too early: the end of the block finds it free and leaves it so */
    }
    CHECK(!yoke_lock_held(&lock));
    return 0;
}

/* ---- In the body of a fork ---- */

YOKE_FORK(int, leaves, (int, depth))
{
    if (depth == 0)
        return 1;
    yoke_fork(leaves, depth - 1);
    int right = yoke_call(leaves, depth - 1);
    return yoke_join(leaves) + right;
}

YOKE_FORK(int, under_each, (int, depth))
{
    int sum = 0;
    yoke_fork(leaves, 1);
    yoke_with(&lock) {
        yoke_fork(leaves, depth);
        sum += yoke_call(leaves, depth);
        yoke_with_read(&book) yoke_with(&rlock) {
            yoke_fork(leaves, depth);
            sum += yoke_call(leaves, depth);
            sum += yoke_join(leaves);
        }
        sum += yoke_join(leaves);
    }
    yoke_with_write(&book) yoke_with(&permits) {
        yoke_fork(leaves, depth);
        sum += yoke_join(leaves);
    }
    return sum + yoke_join(leaves);
}

static int forks(void)
{
    CHECK(under_each(3) == 5 * 8 + 2);
    CHECK(!yoke_lock_held(&lock) && !yoke_rlock_mine(&rlock) && can_write() && yoke_semaphore_permits(&permits) == 2);
    return 0;
}

/* ---- Several threads ---- */

enum { THREADS = 4, TURNS = 20000 };
static long count;
static bool open_now;

static bool is_open(void *nothing)
{
    return !nothing && open_now;
}

static void *add(void *nothing)
{
    yoke_with(&lock) {
        yoke_condition_wait_for(&changed, &lock, is_open, NULL);
        if (!open_now)
            return nothing;
    }
    for (int i = 0; i < TURNS; i++)
        yoke_with(&lock) {
            if (i % 3 == 0) {
                count += 2;
                continue;
            }
            count++;
        }
    return nothing;
}

static int threads(void)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&t[i], NULL, add, NULL) == 0);
    yoke_with(&lock) {
        open_now = true;
        yoke_condition_notify_all(&changed, &lock);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(count == (long)THREADS * (TURNS + (TURNS + 2) / 3));
    return 0;
}

/* ---- Exceptions ---- */

#ifdef __cplusplus
static int exceptions(void)
{
    try {
        yoke_with(&lock) yoke_with_write(&book) yoke_with(&permits) {
            throw 5;
        }
    } catch (int thrown) {
        CHECK(thrown == 5);
    }
    CHECK(!yoke_lock_held(&lock) && can_write() && yoke_semaphore_permits(&permits) == 2);
    return 0;
}
#else
static int exceptions(void)
{
    return 0;
}
#endif

int main(void)
{
    int (*const parts[])(void) = {ways_out, all_kinds, codes, forks, threads, exceptions};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int line = parts[i]();
        if (line)
            return line;
    }
    return 0;
}
