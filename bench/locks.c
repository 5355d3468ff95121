/* locks.c - what locks cost beside glibc's, in nanoseconds: free, with a second thread alive (or glibc would
 * leave its atomic instructions out), and fought over by two threads. Goal: lock + unlock at 0.52 of
 * pthread's, robust too. */
#include "bench.h"
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include <yoke.h>

enum { ROUNDS = 200000, FIGHT = 100000, TURNS = 15 };

/* One thing measured: begin and end around `counter++`, or both at once. */
typedef struct kind {
    const char *name;
    double (*once)(void);
    samples s;
} kind;

static long counter;

#define FREE(name, take, give)                                                                                         \
    static double name(void)                                                                                           \
    {                                                                                                                  \
        long before = counter;                                                                                         \
        double start = bench_now();                                                                                    \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            take;                                                                                                      \
            counter++;                                                                                                 \
            __asm__ __volatile__("" ::: "memory");                                                                     \
            give;                                                                                                      \
        }                                                                                                              \
        double took = bench_now() - start;                                                                             \
        BENCH_CHECK(counter == before + ROUNDS);                                                                       \
        return took / ROUNDS;                                                                                          \
    }

static yoke_lock private_lock, shared_lock;
static yoke_rlock recursive_lock;
static yoke_rwlock rw;
static yoke_semaphore semaphore = YOKE_SEMAPHORE_INIT(1);
static yoke_condition condition;
static yoke_once once;
static pthread_mutex_t normal = PTHREAD_MUTEX_INITIALIZER, pshared, robust, recursive;
static pthread_rwlock_t pthread_rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t pthread_condition = PTHREAD_COND_INITIALIZER;
static pthread_once_t pthread_once_word = PTHREAD_ONCE_INIT;
static sem_t sem;

static int nothing(void *arg)
{
    return 0;
}

static void no_work(void)
{
}

FREE(free_yoke, yoke_lock_acquire(&private_lock), yoke_lock_release(&private_lock))
FREE(free_normal, pthread_mutex_lock(&normal), pthread_mutex_unlock(&normal))
FREE(free_yoke_shared, yoke_lock_acquire(&shared_lock), yoke_lock_release(&shared_lock))
FREE(free_pshared, pthread_mutex_lock(&pshared), pthread_mutex_unlock(&pshared))
FREE(free_robust, pthread_mutex_lock(&robust), pthread_mutex_unlock(&robust))
FREE(free_rlock, yoke_rlock_acquire(&recursive_lock), yoke_rlock_release(&recursive_lock))
FREE(free_recursive, pthread_mutex_lock(&recursive), pthread_mutex_unlock(&recursive))
FREE(free_semaphore, yoke_semaphore_acquire(&semaphore), yoke_semaphore_release(&semaphore, 1))
FREE(free_sem, sem_wait(&sem), sem_post(&sem))
FREE(free_read, yoke_rwlock_read(&rw), yoke_rwlock_read_release(&rw))
FREE(free_pthread_read, pthread_rwlock_rdlock(&pthread_rw), pthread_rwlock_unlock(&pthread_rw))
FREE(free_write, yoke_rwlock_write(&rw), yoke_rwlock_write_release(&rw))
FREE(free_pthread_write, pthread_rwlock_wrlock(&pthread_rw), pthread_rwlock_unlock(&pthread_rw))
FREE(free_notify, yoke_lock_acquire(&private_lock);
     yoke_condition_notify(&condition, &private_lock, 1), yoke_lock_release(&private_lock))
FREE(free_signal, pthread_mutex_lock(&normal); pthread_cond_signal(&pthread_condition), pthread_mutex_unlock(&normal))
FREE(free_once, yoke_once_run(&once, nothing, NULL), )
FREE(free_pthread_once, pthread_once(&pthread_once_word, no_work), )

/* Two threads, FIGHT times each. */
static double two(void *(*fn)(void *))
{
    pthread_t other;
    long before = counter;
    double start = bench_now();
    pthread_create(&other, NULL, fn, NULL);
    fn(NULL);
    pthread_join(other, NULL);
    double took = bench_now() - start;
    BENCH_CHECK(counter == before + 2 * FIGHT);
    return took / (2 * FIGHT);
}

#define FOUGHT(name, take, give)                                                                                       \
    static void *name##_thread(void *arg)                                                                              \
    {                                                                                                                  \
        for (int i = 0; i < FIGHT; i++) {                                                                              \
            take;                                                                                                      \
            counter++;                                                                                                 \
            give;                                                                                                      \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    static double name(void)                                                                                           \
    {                                                                                                                  \
        return two(name##_thread);                                                                                     \
    }

FOUGHT(fought_yoke, yoke_lock_acquire(&private_lock), yoke_lock_release(&private_lock))
FOUGHT(fought_normal, pthread_mutex_lock(&normal), pthread_mutex_unlock(&normal))
FOUGHT(fought_yoke_shared, yoke_lock_acquire(&shared_lock), yoke_lock_release(&shared_lock))
FOUGHT(fought_robust, pthread_mutex_lock(&robust), pthread_mutex_unlock(&robust))

/* A round of a barrier for two. */
enum { MEETINGS = 5000 };
static yoke_barrier barrier = YOKE_BARRIER_INIT(2);
static pthread_barrier_t pthread_barrier;

static void *meet(void *arg)
{
    for (int i = 0; i < MEETINGS; i++)
        BENCH_CHECK(yoke_barrier_wait(&barrier) >= 0);
    return NULL;
}

static void *pthread_meet(void *arg)
{
    for (int i = 0; i < MEETINGS; i++)
        pthread_barrier_wait(&pthread_barrier);
    return NULL;
}

static double meetings(void *(*fn)(void *))
{
    pthread_t other;
    double start = bench_now();
    pthread_create(&other, NULL, fn, NULL);
    fn(NULL);
    pthread_join(other, NULL);
    return (bench_now() - start) / MEETINGS;
}

/* Two threads hand a turn back and forth, by a condition and by semaphores. */
static yoke_condition turn_over = YOKE_CONDITION_INIT;
static pthread_cond_t pthread_turn_over = PTHREAD_COND_INITIALIZER;
static yoke_semaphore turns[2] = {YOKE_SEMAPHORE_INIT(1), YOKE_SEMAPHORE_INIT(0)};
static sem_t sem_turns[2];
static int whose, comers;
#define IN_TURNS(name, take, await, hand, give)                                                                        \
    static void *name(void *arg)                                                                                       \
    {                                                                                                                  \
        int me = __atomic_fetch_add(&comers, 1, __ATOMIC_RELAXED) % 2;                                                 \
        for (int i = 0; i < MEETINGS; i++) {                                                                           \
            take;                                                                                                      \
            while (whose != me)                                                                                        \
                await;                                                                                                 \
            whose = !me;                                                                                               \
            hand;                                                                                                      \
            give;                                                                                                      \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }

IN_TURNS(yoke_turn, yoke_lock_acquire(&private_lock), yoke_condition_wait(&turn_over, &private_lock),
         yoke_condition_notify(&turn_over, &private_lock, 1), yoke_lock_release(&private_lock))
IN_TURNS(pthread_turn, pthread_mutex_lock(&normal), pthread_cond_wait(&pthread_turn_over, &normal),
         pthread_cond_signal(&pthread_turn_over), pthread_mutex_unlock(&normal))
IN_TURNS(permit_turn, yoke_semaphore_acquire(&turns[me]), BENCH_CHECK(false), yoke_semaphore_release(&turns[!me], 1), )
IN_TURNS(sem_turn, sem_wait(&sem_turns[me]), BENCH_CHECK(false), sem_post(&sem_turns[!me]), )

static double turn_yoke(void)
{
    return meetings(yoke_turn);
}

static double turn_pthread(void)
{
    return meetings(pthread_turn);
}

static double turn_permit(void)
{
    return meetings(permit_turn);
}

static double turn_sem(void)
{
    return meetings(sem_turn);
}

static double met_yoke(void)
{
    return meetings(meet);
}

static double met_pthread(void)
{
    return meetings(pthread_meet);
}

static kind kinds[] = {
    {"yoke_lock, free", free_yoke, {{0}, 0}}, {"pthread_mutex normal", free_normal, {{0}, 0}},
    {"yoke_lock YOKE_SHARED (robust), free", free_yoke_shared, {{0}, 0}}, {"pthread_mutex pshared", free_pshared, {{0}, 0}},
    {"yoke_lock YOKE_SHARED (robust), free", free_yoke_shared, {{0}, 0}}, {"pthread_mutex robust", free_robust, {{0}, 0}},
    {"yoke_rlock, free", free_rlock, {{0}, 0}}, {"pthread_mutex recursive", free_recursive, {{0}, 0}},
    {"yoke_semaphore acquire + release", free_semaphore, {{0}, 0}}, {"sem_wait + sem_post", free_sem, {{0}, 0}},
    {"yoke_rwlock read", free_read, {{0}, 0}}, {"pthread_rwlock read", free_pthread_read, {{0}, 0}},
    {"yoke_rwlock write", free_write, {{0}, 0}}, {"pthread_rwlock write", free_pthread_write, {{0}, 0}},
    {"yoke_lock and notify, nobody waits", free_notify, {{0}, 0}}, {"pthread_mutex and cond_signal", free_signal, {{0}, 0}},
    {"yoke_once, done", free_once, {{0}, 0}}, {"pthread_once, done", free_pthread_once, {{0}, 0}},
    {"yoke_lock, 2 threads fight", fought_yoke, {{0}, 0}}, {"pthread_mutex normal", fought_normal, {{0}, 0}},
    {"yoke_lock YOKE_SHARED, 2 threads fight", fought_yoke_shared, {{0}, 0}}, {"pthread_mutex robust", fought_robust, {{0}, 0}},
    {"yoke_barrier of 2, a round", met_yoke, {{0}, 0}}, {"pthread_barrier of 2", met_pthread, {{0}, 0}},
    {"yoke_condition, two in turns", turn_yoke, {{0}, 0}}, {"pthread_cond", turn_pthread, {{0}, 0}},
    {"yoke_semaphore, two in turns", turn_permit, {{0}, 0}}, {"sem_t", turn_sem, {{0}, 0}}};
static const char *const goals[] = {"0.52", "0.52", "0.53", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1"};

static void prepare(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&pshared, &a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    sem_init(&sem, 0, 1);
    sem_init(&sem_turns[0], 0, 1);
    sem_init(&sem_turns[1], 0, 0);
    pthread_barrier_init(&pthread_barrier, NULL, 2);
    BENCH_CHECK(yoke_lock_init(&shared_lock, YOKE_SHARED) == 0);
}

static void *stay(void *arg)
{
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    pthread_t second;
    prepare();
    pthread_create(&second, NULL, stay, NULL);
    enum { COUNT = sizeof kinds / sizeof *kinds };
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < COUNT; i++)
            sample(&kinds[i].s, kinds[i].once());
    head("locks: take, count, give back");
    for (int i = 0; i < COUNT; i += 2) {
        row(kinds[i].name, &kinds[i].s, 1, "ns");
        row(kinds[i + 1].name, &kinds[i + 1].s, 1, "ns");
        ratio_row("  ratio", &kinds[i].s, &kinds[i + 1].s, goals[i / 2]);
    }
    return 0;
}
