/* deaths.c - a process that is killed by SIGKILL at any instruction while it uses something shared does not
 * block the others. The child steps through the library one machine instruction at a time (the trap flag) and
 * kills itself at the n-th, for every n until it gets through; then its parent must get on. So no step is
 * left out, and nothing is built into the library for it. */
#include "crew.h"
#include "sync/lock.h"

/* Everything that may be shared, and a word that tells that a child has got through or so far. */
typedef struct world {
    yoke_lock lock;
    yoke_rlock rlock;
    yoke_rwlock rwlock;
    yoke_semaphore semaphore;
    yoke_condition condition;
    yoke_event event;
    yoke_latch latch;
    yoke_barrier barrier;
    yoke_once once;
    _Atomic int mark, through;
} world;

static world *new_world(void)
{
    world *w = crew_shared(sizeof *w);
    CHECK_INT(yoke_lock_init(&w->lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_rlock_init(&w->rlock, YOKE_SHARED), 0);
    CHECK_INT(yoke_rwlock_init(&w->rwlock, YOKE_SHARED), 0);
    CHECK_INT(yoke_semaphore_init(&w->semaphore, 1, YOKE_SHARED), 0);
    CHECK_INT(yoke_condition_init(&w->condition, YOKE_SHARED), 0);
    CHECK_INT(yoke_event_init(&w->event, YOKE_SHARED), 0);
    CHECK_INT(yoke_latch_init(&w->latch, 1, YOKE_SHARED), 0);
    CHECK_INT(yoke_barrier_init(&w->barrier, 2, NULL, NULL, YOKE_SHARED), 0);
    CHECK_INT(yoke_once_init(&w->once, YOKE_SHARED), 0);
    return w;
}

/* ---- Death at the n-th instruction ---- */

/* By the processor's single steps (x86-64), which ThreadSanitizer would count as its own. */
static volatile long steps_left;

static void on_step(int number)
{
    if (--steps_left <= 0)
        kill(getpid(), SIGKILL);
}

static void begin_steps(long n)
{
    struct sigaction handler = {.sa_handler = on_step};
    sigaction(SIGTRAP, &handler, NULL);
    steps_left = n;
    /* Past the red zone, which the compiler believes to be its own. */
    __asm__ __volatile__("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
                             : "memory", "cc");
}

static void end_steps(void)
{
    __asm__ __volatile__("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
                             : "memory", "cc");
}

/* In a child: does act(w), and dies at the n-th instruction. True when it got through. */
static bool die_at(world *w, long n, void (*act)(world *))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        yk_self_id();
        begin_steps(n);
        act(w);
        end_steps();
        _exit(0);
    }
    int status = crew_reap(pid);
    CHECK(status == 0 || status == -SIGKILL);
    return status == 0;
}

/* For each n: a new world, prepare, the death, and the parent's judgement. Far out, in spins and in libc,
 * strides grow; and a slow build takes larger ones from the start. */
/* This thread and its children do not spin before they sleep: thousands of steps, all alike. It has been in vain too often. */
static void give_up_spinning(void)
{
    yoke_event never = YOKE_EVENT_INIT;
    for (int i = 0; i < 5; i++)
        yoke_event_timed(&never, 1);
}

static void at_every_step(void (*prepare)(world *), void (*act)(world *), void (*judge)(world *, bool through))
{
    give_up_spinning();
    bool through = false;
    long n = 1;
    for (; !through; n += (CREW_SLOWER > 1 ? 7 : 1) + (n > 300 ? n / 8 : 0)) {
        world *w = new_world();
        if (prepare)
            prepare(w);
        through = die_at(w, n, act);
        judge(w, through);
        munmap(w, sizeof *w);
    }
    CHECK(n > 5); /* it did step */
}

/* ---- Lock and rlock ---- */

static void use_lock(world *w)
{
    yoke_lock_acquire(&w->lock);
    w->mark = 1;
    w->mark = 0;
    yoke_lock_release(&w->lock);
}

/* Free or inherited; whoever died between the marks held it. And in order afterwards. */
static void judge_lock(world *w, bool through)
{
    int err = yoke_lock_acquire(&w->lock);
    CHECK(err == 0 || (err == -EOWNERDEAD && !through));
    if (w->mark)
        CHECK_INT(err, -EOWNERDEAD);
    CHECK_INT(yoke_lock_consistent(&w->lock), err ? 0 : -EINVAL);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(yoke_lock_done(&w->lock), 0);
}

TEST_LIMIT(lock, 300)
{
    at_every_step(NULL, use_lock, judge_lock);
}

static void pretend_sleepers(world *w)
{
    w->lock.core.sleepers = 1; /* so that the release wakes */
}

TEST_LIMIT(lock_with_sleepers, 300)
{
    at_every_step(pretend_sleepers, use_lock, judge_lock);
}

static void use_rlock(world *w)
{
    yoke_rlock_acquire(&w->rlock);
    yoke_rlock_acquire(&w->rlock);
    w->mark = 1;
    w->mark = 0;
    yoke_rlock_release(&w->rlock);
    yoke_rlock_release(&w->rlock);
}

static void judge_rlock(world *w, bool through)
{
    int err = yoke_rlock_acquire(&w->rlock);
    CHECK(err == 0 || (err == -EOWNERDEAD && !through));
    if (w->mark)
        CHECK_INT(err, -EOWNERDEAD);
    CHECK_INT(yoke_rlock_acquire(&w->rlock), 0); /* and counts anew */
    CHECK_INT(yoke_rlock_release(&w->rlock), 0);
    CHECK_INT(yoke_rlock_consistent(&w->rlock), err ? 0 : -EINVAL);
    CHECK_INT(yoke_rlock_release(&w->rlock), 0);
    CHECK_INT(yoke_rlock_release(&w->rlock), -EPERM);
}

TEST_LIMIT(rlock, 300)
{
    at_every_step(NULL, use_rlock, judge_rlock);
}

/* A waiter dies on its way to sleep, while we hold the lock: our release and the next acquire go on. */
static void hold_lock(world *w)
{
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
}

static void want_lock(world *w)
{
    yoke_lock_timed(&w->lock, 0);
}

static void judge_held(world *w, bool through)
{
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
}

static void nothing_happens(world *w, bool through)
{
    CHECK_INT(yoke_lock_timed(&w->lock, 0), -ETIMEDOUT);
}

TEST_LIMIT(lock_waiter, 300)
{
    world *w = new_world();
    hold_lock(w);
    nothing_happens(w, true); /* what is found out once, as how many CPUs there are, is not part of the steps */
    at_every_step(hold_lock, want_lock, judge_held);
}

static int hold_for_ever(void *arg)
{
    world *w = arg;
    int err = yoke_lock_acquire(&w->lock);
    w->mark = err ? err : 1;
    while (w->mark)
        pause();
    return 0;
}

/* The rules of inheritance: to who waits already; again and again until it is repaired; also for try; from a zombie. */
TEST(inheritance)
{
    world *w = new_world();
    pid_t pid = crew_fork(hold_for_ever, w);
    AWAIT(w->mark);
    CHECK_INT(yoke_lock_try(&w->lock), -EAGAIN);
    CHECK_INT(yoke_lock_timed(&w->lock, 30 * YOKE_MS), -ETIMEDOUT); /* it lives, and more than one nap changes nothing */
    CHECK_INT(yoke_lock_release(&w->lock), -EPERM);
    CHECK_INT(yoke_lock_consistent(&w->lock), -EPERM);
    kill(pid, SIGKILL); /* and is not reaped */
    CHECK_INT(yoke_lock_acquire(&w->lock), -EOWNERDEAD);
    CHECK_INT(yoke_lock_try(&w->lock), -EAGAIN);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(crew_reap(pid), -SIGKILL);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(yoke_lock_try(&w->lock), -EOWNERDEAD);
        CHECK_INT(yoke_lock_release(&w->lock), 0);
    }
    w->mark = 0;
    pid = crew_fork(hold_for_ever, w);
    AWAIT(w->mark);
    CHECK_INT(w->mark, -EOWNERDEAD);
    kill(pid, SIGKILL);
    crew_reap(pid);
    CHECK_INT(yoke_lock_timed(&w->lock, 0), -EOWNERDEAD);
    CHECK_INT(yoke_lock_consistent(&w->lock), 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
}

/* Eight children take the lock in turn, and each dies with it; what they count is right, for each says first
 * what it will do. */
static int count_and_die(void *arg)
{
    world *w = arg;
    for (;;) {
        int err = yoke_lock_acquire(&w->lock);
        if (err == -EOWNERDEAD)
            yoke_lock_consistent(&w->lock);
        else if (err != 0)
            return 1;
        if (++w->mark % 3 == 0)
            kill(getpid(), SIGKILL);
        yoke_lock_release(&w->lock);
        if (w->mark > 60)
            return 0;
    }
}

TEST_LIMIT(a_row_of_deaths, 300)
{
    world *w = new_world();
    pid_t pids[8];
    for (int i = 0; i < 8; i++)
        pids[i] = crew_fork(count_and_die, w);
    for (int i = 0; i < 8; i++)
        CHECK_INT(crew_reap(pids[i]), -SIGKILL);
    CHECK_INT(w->mark, 24);
    CHECK_INT(yoke_lock_acquire(&w->lock), -EOWNERDEAD);
}

/* ---- The same memory at other addresses ---- */

TEST(two_mappings_of_one_lock)
{
    int fd = memfd_create("lock", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, 8192), 0);
    world *a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b;
    b = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(a != MAP_FAILED && b != MAP_FAILED && a != b);
    CHECK_INT(yoke_lock_init(&a->lock, YOKE_SHARED), 0);
    CHECK_INT(yoke_event_init(&a->event, YOKE_SHARED), 0);
    CHECK_INT(yoke_lock_acquire(&a->lock), 0);
    CHECK_INT(yoke_lock_try(&b->lock), -EAGAIN);
    CHECK_INT(yoke_lock_release(&b->lock), 0);
    CHECK_INT(yoke_event_set(&b->event), 0);
    CHECK_INT(yoke_event_wait(&a->event), 1);
    close(fd);
}

/* ---- Semaphore, event, latch, once ---- */

static void use_semaphore(world *w)
{
    yoke_semaphore_acquire(&w->semaphore);
    w->mark = 1;
    w->mark = 0;
    yoke_semaphore_release(&w->semaphore, 1);
}

/* A permit has no owner: it is there, or it died with its holder, and giving it back is up to who knows. */
static void judge_semaphore(world *w, bool through)
{
    int err = yoke_semaphore_try(&w->semaphore);
    CHECK(err == 0 || (err == -EAGAIN && !through));
    if (w->mark)
        CHECK_INT(err, -EAGAIN);
    CHECK_INT(yoke_semaphore_release(&w->semaphore, 1), 0);
    CHECK_INT(yoke_semaphore_acquire(&w->semaphore), 0);
    CHECK_INT(yoke_semaphore_try(&w->semaphore), -EAGAIN);
}

TEST_LIMIT(semaphore, 300)
{
    at_every_step(NULL, use_semaphore, judge_semaphore);
}

static void set_event(world *w)
{
    yoke_event_set(&w->event);
    yoke_event_clear(&w->event);
    yoke_event_timed(&w->event, 0);
}

static void judge_event(world *w, bool through)
{
    CHECK_INT(yoke_event_set(&w->event), 0);
    CHECK_INT(yoke_event_wait(&w->event), 1);
    CHECK_INT(yoke_event_clear(&w->event), 0);
    CHECK_INT(yoke_event_try(&w->event), 0);
}

TEST_LIMIT(event, 300)
{
    at_every_step(NULL, set_event, judge_event);
}

static void down_latch(world *w)
{
    yoke_latch_down(&w->latch, 1);
    w->mark = 1;
}

static void judge_latch(world *w, bool through)
{
    int left = yoke_latch_left(&w->latch);
    CHECK_INT(yoke_latch_down(&w->latch, 1), left ? 0 : -EINVAL);
    CHECK(left == 0 || !w->mark);
    CHECK_INT(yoke_latch_wait(&w->latch), 0);
}

TEST_LIMIT(latch, 300)
{
    at_every_step(NULL, down_latch, judge_latch);
}

static int initialise(void *arg)
{
    world *w = arg;
    w->mark++;
    return 0;
}

static void run_once(world *w)
{
    yoke_once_run(&w->once, initialise, w);
}

static void judge_once(world *w, bool through)
{
    CHECK_INT(yoke_once_run(&w->once, initialise, w), 0);
    CHECK(yoke_once_is_done(&w->once));
    CHECK(w->mark == 1 || (w->mark == 2 && !through));
}

TEST_LIMIT(once, 300)
{
    at_every_step(NULL, run_once, judge_once);
}

/* ---- Rwlock ---- */

static void use_read(world *w)
{
    yoke_rwlock_read(&w->rwlock);
    w->mark = 1;
    yoke_rwlock_read_release(&w->rwlock);
}

static void judge_read(world *w, bool through)
{
    CHECK_INT(yoke_rwlock_write(&w->rwlock), 0); /* a dead reader is forgotten */
    CHECK_INT(yoke_rwlock_write_release(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read_release(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_done(&w->rwlock), 0);
}

TEST_LIMIT(reader, 300)
{
    at_every_step(NULL, use_read, judge_read);
}

static void use_write(world *w)
{
    yoke_rwlock_write(&w->rwlock);
    w->mark = 1;
    w->mark = 0;
    yoke_rwlock_write_release(&w->rwlock);
}

static void judge_write(world *w, bool through)
{
    int err = yoke_rwlock_write(&w->rwlock);
    CHECK(err == 0 || (err == -EOWNERDEAD && !through));
    if (w->mark)
        CHECK_INT(err, -EOWNERDEAD);
    CHECK_INT(yoke_rwlock_consistent(&w->rwlock), err ? 0 : -EINVAL);
    CHECK_INT(yoke_rwlock_write_release(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read_release(&w->rwlock), 0);
}

TEST_LIMIT(writer, 300)
{
    at_every_step(NULL, use_write, judge_write);
}

/* Readers get in after a dead writer, are told, and so is the next writer. */
static void judge_write_by_reading(world *w, bool through)
{
    int err = yoke_rwlock_read(&w->rwlock);
    CHECK(err == 0 || (err == -EOWNERDEAD && !through));
    if (w->mark)
        CHECK_INT(err, -EOWNERDEAD);
    CHECK_INT(yoke_rwlock_read_release(&w->rwlock), 0);
    int next = yoke_rwlock_write(&w->rwlock);
    if (err)
        CHECK_INT(next, -EOWNERDEAD);
    if (next)
        CHECK_INT(yoke_rwlock_consistent(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_write_release(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read(&w->rwlock), 0);
    CHECK_INT(yoke_rwlock_read_release(&w->rwlock), 0);
}

TEST_LIMIT(writer_before_readers, 300)
{
    at_every_step(NULL, use_write, judge_write_by_reading);
}

/* ---- Condition ---- */

static void wait_a_moment(world *w)
{
    yoke_lock_acquire(&w->lock);
    yoke_condition_timed(&w->condition, &w->lock, 0);
    yoke_lock_release(&w->lock);
}

/* The entry of the dead blocks nobody and takes no notification from the living. */
static void *wait_alive(void *arg)
{
    world *w = arg;
    int err = yoke_lock_acquire(&w->lock);
    if (err == -EOWNERDEAD)
        yoke_lock_consistent(&w->lock);
    w->mark = 2;
    int result = yoke_condition_wait(&w->condition, &w->lock);
    yoke_lock_release(&w->lock);
    return (void *)(intptr_t)result;
}

static void judge_condition(world *w, bool through)
{
    pthread_t t = crew_start(wait_alive, w);
    AWAIT(w->mark == 2);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    CHECK_INT(yoke_condition_notify(&w->condition, &w->lock, 1), 1);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(crew_join(t), 1);
    CHECK_INT(yoke_condition_done(&w->condition), 0);
}

TEST_LIMIT(condition_waiter, 300)
{
    at_every_step(NULL, wait_a_moment, judge_condition);
}

static void notify_all(world *w)
{
    yoke_lock_acquire(&w->lock);
    yoke_condition_notify_all(&w->condition, &w->lock);
    yoke_lock_release(&w->lock);
}

static void judge_notified(world *w, bool through)
{
    int err = yoke_lock_acquire(&w->lock);
    if (err == -EOWNERDEAD)
        CHECK_INT(yoke_lock_consistent(&w->lock), 0);
    CHECK(yoke_condition_timed(&w->condition, &w->lock, 0) == 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
}

TEST_LIMIT(condition_notifier, 300)
{
    at_every_step(NULL, notify_all, judge_notified);
}

static int wait_in_child(void *arg)
{
    world *w = arg;
    yoke_lock_acquire(&w->lock);
    w->through++;
    yoke_condition_wait(&w->condition, &w->lock);
    yoke_lock_release(&w->lock);
    return 0;
}

/* The oldest waiter is stopped, notified and killed: its notification goes to the other, which waited already. */
TEST(a_notification_outlives_its_waiter)
{
    world *w = new_world();
    pid_t first = crew_fork(wait_in_child, w);
    AWAIT(w->through == 1);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    pid_t second = crew_fork(wait_in_child, w);
    AWAIT(w->through == 2);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    kill(first, SIGSTOP);
    CHECK_INT(waitpid(first, NULL, WUNTRACED), first);
    CHECK_INT(yoke_condition_notify(&w->condition, &w->lock, 1), 1);
    kill(first, SIGKILL);
    CHECK_INT(crew_reap(first), -SIGKILL);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(crew_reap(second), 0);
}

TEST(a_notification_passes_over_the_dead)
{
    world *w = new_world();
    pid_t first = crew_fork(wait_in_child, w);
    AWAIT(w->through == 1);
    CHECK_INT(yoke_lock_acquire(&w->lock), 0);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    pid_t second = crew_fork(wait_in_child, w);
    AWAIT(w->through == 2);
    kill(first, SIGKILL);
    CHECK_INT(crew_reap(first), -SIGKILL);
    int err = yoke_lock_acquire(&w->lock);
    CHECK(err == 0 || err == -EOWNERDEAD);
    CHECK_INT(yoke_condition_notify(&w->condition, &w->lock, 1), 1);
    CHECK_INT(yoke_lock_release(&w->lock), 0);
    CHECK_INT(crew_reap(second), 0);
}

/* ---- Barrier ---- */

static void *arrive(void *arg)
{
    world *w = arg;
    return (void *)(intptr_t)yoke_barrier_timed(&w->barrier, 10 * YOKE_MS);
}

static void arrive_last(world *w)
{
    w->mark = 1;
    yoke_barrier_try(&w->barrier);
}

/* One arrived and died, or did not: the barrier is whole and counts it or not, and a reset makes it new. */
static void judge_barrier(world *w, bool through)
{
    CHECK(!yoke_barrier_broken(&w->barrier));
    CHECK_INT(yoke_barrier_reset(&w->barrier), 0);
    CHECK_INT(yoke_barrier_waiting(&w->barrier), 0);
    pthread_t t = crew_start(arrive, w);
    CHECK_INT(crew_join(t), -ETIMEDOUT);
    CHECK(yoke_barrier_broken(&w->barrier));
}

static void one_has_arrived(world *w)
{
    w->barrier.word = UINT64_C(1) << 32;
}

TEST_LIMIT(barrier, 300)
{
    at_every_step(one_has_arrived, arrive_last, judge_barrier);
}

static int die_in_action(void *arg)
{
    kill(getpid(), SIGKILL);
    return 0;
}

static int arrive_and_act(void *arg)
{
    world *w = arg;
    AWAIT(yoke_barrier_waiting(&w->barrier) == 1);
    return yoke_barrier_wait_with(&w->barrier, die_in_action, NULL, YOKE_FOREVER);
}

TEST(death_in_the_action_breaks_the_barrier)
{
    world *w = new_world();
    pid_t pid = crew_fork(arrive_and_act, w);
    CHECK_INT(yoke_barrier_wait(&w->barrier), -EPIPE);
    CHECK(yoke_barrier_broken(&w->barrier));
    CHECK_INT(crew_reap(pid), -SIGKILL);
    CHECK_INT(yoke_barrier_reset(&w->barrier), 0);
    CHECK_INT(yoke_barrier_try(&w->barrier), -EAGAIN);
}

static int die_in_once(void *arg)
{
    yoke_once_run(&((world *)arg)->once, die_in_action, NULL);
    return 0;
}

TEST(death_in_the_initialisation_leaves_it_to_the_next)
{
    world *w = new_world();
    CHECK_INT(crew_reap(crew_fork(die_in_once, w)), -SIGKILL);
    CHECK_INT(yoke_once_run(&w->once, initialise, w), 0);
    CHECK_INT(w->mark, 1);
}
