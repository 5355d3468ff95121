/* A deadlock explained before it happens: with YOKE_DEBUG=locks in the environment, yoke writes on stderr when two locks are
 * acquired in orders that can deadlock, and when threads do wait for each other for ever; which locks, which threads, where.
 *
 * Use it on every test run of a program with more than one lock. Here it looks at a bank whose transfers lock the account they
 * take from, then the one they pay into: two transfers in opposite directions at the same moment would never end. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yoke.h>

typedef struct account {
    yoke_lock lock;
    long balance;
} account;
static account savings = {YOKE_LOCK_INIT, 100}, current = {YOKE_LOCK_INIT, 100};

static int transfer(account *from, account *to, long sum)
{
    yoke_lock_acquire(&from->lock);
    yoke_lock_acquire(&to->lock); /* the mistake: the order depends on the caller */
    from->balance -= sum;
    to->balance += sum;
    yoke_lock_release(&to->lock);
    yoke_lock_release(&from->lock);
    return 0;
}

static int save(void *sum) { return transfer(&current, &savings, *(long *)sum); }
static int spend(void *sum) { return transfer(&savings, &current, *(long *)sum); }
static int wait_for_myself(void *arg)
{
    int err = yoke_thread_join(yoke_thread_current());
    puts(yoke_deadlock());
    return arg ? 0 : err;
}

/* One after the other, so that nothing goes wrong today. */
static void run(const char *name, int (*fn)(void *), long *arg)
{
    yoke_thread *t = yoke_thread_call(name, fn, arg);
    printf("%s: %s\n", name, yoke_thread_join(t) == 0 ? "done" : yoke_thread_error(t));
    yoke_thread_release(t);
}

int main(int argc, char **argv)
{
    if (!getenv("YOKE_DEBUG")) { /* as if you had typed: YOKE_DEBUG=locks ./deadlock_explained 2>&1 */
        setenv("YOKE_DEBUG", "locks", 1);
        dup2(STDOUT_FILENO, STDERR_FILENO);
        execv("/proc/self/exe", argv);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    yoke_lock_name(&savings.lock, "savings");
    yoke_lock_name(&current.lock, "current");
    long sum = 40 + argc;
    run("Ann saves", save, &sum);
    run("Bob spends", spend, &sum);
    run("Eve waits for herself", wait_for_myself, NULL); /* a join that can never end is always told so */
    printf("savings %ld, current %ld\n", savings.balance, current.balance);
}
