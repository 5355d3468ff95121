/* A lock: only one thread at a time is between taking and giving back.
 *
 * Use it when threads change the same data in more than one step. yoke_with() holds the lock for the block that follows it and
 * gives it back on every way out, the return too. Keep the block short. A counter alone needs no lock, but an atomic type. */
#include <stdio.h>
#include <yoke.h>

enum { ACCOUNTS = 4, START = 1000, TRANSFERS = 20000 };

static long balance[ACCOUNTS];
static yoke_lock bank = YOKE_LOCK_INIT;

/* Two steps that others must never see half done. */
static bool transfer(int from, int to, long amount)
{
    yoke_with(&bank) {
        if (balance[from] < amount)
            return false;
        balance[from] -= amount;
        balance[to] += amount;
    }
    return true;
}

YOKE_TASK(long, clerk, (unsigned, seed))
{
    long done = 0;
    for (int i = 0; i < TRANSFERS; i++) {
        seed = seed * 1664525 + 1013904223;
        done += transfer(seed >> 8 & 3, seed >> 16 & 3, seed >> 24);
    }
    return done;
}

int main(void)
{
    yoke_thread *clerks[4];
    for (int i = 0; i < ACCOUNTS; i++)
        balance[i] = START;
    for (unsigned i = 0; i < 4; i++)
        clerks[i] = yoke_thread_start("clerk", clerk, i);
    long total = 0, done, transfers = 0;
    for (int i = 0; i < 4; i++) {
        if (yoke_thread_try(clerks[i], &done) == 0)
            transfers += done;
        yoke_thread_release(clerks[i]);
    }
    for (int i = 0; i < ACCOUNTS; i++)
        total += balance[i];
    printf("%ld transfers later there are still %d: %s\n", transfers, ACCOUNTS * START,
           total == ACCOUNTS * START ? "yes" : "no");
    printf("a lock that is free cannot be released: %s\n", yoke_strerror(yoke_lock_release(&bank)));
    return 0;
}
