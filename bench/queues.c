/* queues.c - queues beside their peers in the same run: Concurrency Kit's rings, oneTBB's concurrent_bounded_queue and Python's
 * queue.Queue. Through one producer and one consumer, and two and two; calls that wait, and calls that only try.
 *
 * Items say who put them and as which: every consumer checks that each producer's items come in order, and at the end their
 * number and their sum must be right. */
#include "bench.h"
#include <ck_ring.h>
#include <pthread.h>
#include <sched.h>
#include <yoke.h>

enum { CAPACITY = 1024, ROUNDS = 9, MOST = 2 };

typedef struct parcel {
    uint64_t item, more[7];
} parcel;

YOKE_QUEUE(numbers, uint64_t);
YOKE_QUEUE(parcels, parcel);
YOKE_PRIORITY_QUEUE(ranks, uint64_t, a, b, (*a & 255) < (*b & 255));

static union {
    numbers *numbers;
    parcels *parcels;
    ranks *ranks;
    void *tbb;
} q;
static struct {
    ck_ring_t ring __attribute__((aligned(128)));
    ck_ring_buffer_t slots[CAPACITY];
} ck;
/* queues_tbb.cpp */
void *tbb_open(size_t capacity);
void tbb_close(void *tbb);
void tbb_put(void *tbb, uint64_t item);
uint64_t tbb_get(void *tbb);
bool tbb_try_put(void *tbb, uint64_t item);
bool tbb_try_get(void *tbb, uint64_t *ret);

/* ---- One run ---- */

typedef struct party {
    pthread_t thread;
    long items;
    uint64_t number; /* of a producer: counts up in steps of 2^40 */
    uint64_t sum;    /* of what a consumer took */
} party;

/* One more of a consumer's items: in order for its producer? */
static inline void check_item(party *p, uint64_t item, uint64_t last[MOST])
{
    uint64_t *before = &last[(item >> 40) & (MOST - 1)], i = item & (((uint64_t)1 << 40) - 1);
    BENCH_CHECK(i > *before);
    *before = i;
    p->sum += i;
}

/* Waiting, for calls that only try. */
#define UNTIL(done)                                                                                                    \
    for (int tries = 1; !(done); tries++) {                                                                            \
        if (tries % 16 == 0)                                                                                           \
            sched_yield();                                                                                             \
        else                                                                                                           \
            __builtin_ia32_pause();                                                                                    \
    }

#define PARTIES(NAME, PUT, GET)                                                                                        \
    static void *NAME##_producer(void *arg)                                                                            \
    {                                                                                                                  \
        party *p = arg;                                                                                                \
        for (long i = 1; i <= p->items; i++) {                                                                         \
            uint64_t item = p->number << 40 | (uint64_t)i;                                                             \
            PUT;                                                                                                       \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    static void *NAME##_consumer(void *arg)                                                                            \
    {                                                                                                                  \
        party *p = arg;                                                                                                \
        uint64_t last[MOST] = {0}, item;                                                                               \
        for (long i = 1; i <= p->items; i++) {                                                                         \
            GET;                                                                                                       \
            check_item(p, item, last);                                                                                 \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }

PARTIES(waits, BENCH_CHECK(numbers_put(q.numbers, item) == 0), BENCH_CHECK(numbers_get(q.numbers, &item) == 0))
PARTIES(tries, UNTIL(numbers_put_try(q.numbers, item) == 0), UNTIL(numbers_get_try(q.numbers, &item) == 0))
PARTIES(tbb_waits, tbb_put(q.tbb, item), item = tbb_get(q.tbb))
PARTIES(tbb_tries, UNTIL(tbb_try_put(q.tbb, item)), UNTIL(tbb_try_get(q.tbb, &item)))
PARTIES(ck_pair, UNTIL(ck_ring_enqueue_spsc(&ck.ring, ck.slots, (void *)(uintptr_t)item)), {
    void *got;
    UNTIL(ck_ring_dequeue_spsc(&ck.ring, ck.slots, &got));
    item = (uint64_t)(uintptr_t)got;
})
PARTIES(ck_many, UNTIL(ck_ring_enqueue_mpmc(&ck.ring, ck.slots, (void *)(uintptr_t)item)), {
    void *got;
    UNTIL(ck_ring_dequeue_mpmc(&ck.ring, ck.slots, &got));
    item = (uint64_t)(uintptr_t)got;
})
PARTIES(large, parcels_put(q.parcels, ((parcel){.item = item, .more = {item}})), {
    parcel got;
    parcels_get(q.parcels, &got);
    BENCH_CHECK(got.more[0] == got.item);
    item = got.item;
})

/* 64 at a time. */
static void *many_producer(void *arg)
{
    party *p = arg;
    uint64_t batch[64];
    for (long i = 1; i <= p->items;) {
        size_t n = 0;
        for (; n < 64 && i <= p->items; n++, i++)
            batch[n] = p->number << 40 | (uint64_t)i;
        BENCH_CHECK(numbers_put_many(q.numbers, batch, n) == (ptrdiff_t)n);
    }
    return NULL;
}

static void *many_consumer(void *arg)
{
    party *p = arg;
    uint64_t last[MOST] = {0}, batch[64];
    for (long i = 0; i < p->items;) {
        ptrdiff_t n = numbers_get_many(q.numbers, batch, p->items - i < 64 ? (size_t)(p->items - i) : 64);
        BENCH_CHECK(n > 0);
        for (ptrdiff_t k = 0; k < n; k++)
            check_item(p, batch[k], last);
        i += n;
    }
    return NULL;
}

typedef struct subject {
    const char *name;
    enum { TBB, CK, YOKE, LIMITLESS, PAIR, PARCELS } opened;
    void *(*producer)(void *);
    void *(*consumer)(void *);
} subject;

static void open_for(const subject *s)
{
    int err = 0;
    switch (s->opened) {
    case TBB:
        q.tbb = tbb_open(CAPACITY);
        break;
    case CK:
        ck_ring_init(&ck.ring, CAPACITY);
        break;
    case YOKE:
        err = numbers_open(YOKE_QUEUE_FIFO, CAPACITY, &q.numbers);
        break;
    case LIMITLESS:
        err = numbers_open(YOKE_QUEUE_FIFO, 0, &q.numbers);
        break;
    case PAIR:
        err = numbers_open(YOKE_QUEUE_SPSC, CAPACITY, &q.numbers);
        break;
    case PARCELS:
        err = parcels_open(YOKE_QUEUE_FIFO, CAPACITY, &q.parcels);
        break;
    }
    BENCH_CHECK(err == 0);
}

/* On the i-th of the CPUs that we may use. Left to the kernel, both ends at times run on one CPU by turns, and what is measured
 * is the queue without any traffic between CPUs. */
static void start_on_cpu(pthread_t *thread, int i, void *(*fn)(void *), void *arg)
{
    cpu_set_t all, one;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) > 1) {
        int cpu = 0;
        for (i %= CPU_COUNT(&all); !CPU_ISSET(cpu, &all) || i-- > 0; cpu++)
            ;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_attr_setaffinity_np(&attr, sizeof one, &one);
    }
    BENCH_CHECK(pthread_create(thread, &attr, fn, arg) == 0);
    pthread_attr_destroy(&attr);
}

/* Items per microsecond. */
static double measure(const subject *s, int threads, long total)
{
    party producers[MOST] = {0}, consumers[MOST] = {0};
    uint64_t items = (uint64_t)(total / threads), sum = 0;
    open_for(s);
    double start = bench_now();
    for (int i = 0; i < threads; i++) {
        producers[i] = (party){.items = (long)items, .number = (uint64_t)i};
        consumers[i] = (party){.items = (long)items};
        start_on_cpu(&producers[i].thread, i, s->producer, &producers[i]);
        start_on_cpu(&consumers[i].thread, i + 1, s->consumer, &consumers[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(producers[i].thread, NULL);
        pthread_join(consumers[i].thread, NULL);
        sum += consumers[i].sum;
    }
    double ns = bench_now() - start;
    BENCH_CHECK(sum == (uint64_t)threads * (items * (items + 1) / 2));
    if (s->opened == TBB)
        tbb_close(q.tbb);
    else if (s->opened != CK)
        BENCH_CHECK(yoke_queue_empty((yoke_queue *)q.numbers) && yoke_queue_close((yoke_queue *)q.numbers) == 0);
    return (double)items * threads / ns * 1e3;
}

/* Subjects in turn, round after round; the last is the peer that the first is compared with. */
static void compare(const char *title, int threads, long total, const subject *subjects, int n, const char *goal)
{
    static samples results[8];
    memset(results, 0, sizeof results);
    head(title);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n; i++)
            sample(&results[i], measure(&subjects[i], threads, total));
    for (int i = 0; i < n; i++)
        row(subjects[i].name, &results[i], 1, "M items/s");
    for (int i = 1; i < n; i++) {
        char name[100];
        snprintf(name, sizeof name, "  %s / %s", subjects[0].name, subjects[i].name);
        ratio_row(name, &results[0], &results[i], goal);
    }
}

/* ---- One thread, and Python ---- */

/* ns for a put and a get in one thread; `ranked`: with 1000 items in a priority queue. */
static void alone(void)
{
    enum { PAIRS = 200000 };
    static samples s[4];
    static const char *names[] = {"first in first out", "one to one", "last in first out", "by priority, 1000 in it"};
    head("put and get in one thread");
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 4; i++) {
            static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_SPSC, YOKE_QUEUE_LIFO};
            uint64_t got = 0, sum = 0, fill = i == 3 ? 1000 : 0;
            BENCH_CHECK((i == 3 ? ranks_open(CAPACITY, &q.ranks) : numbers_open(kinds[i], CAPACITY, &q.numbers)) == 0);
            for (uint64_t k = 0; k < fill; k++)
                ranks_put(q.ranks, k * 7919);
            double start = bench_now();
            for (uint64_t k = 0; k < PAIRS; k++) {
                numbers_put(q.numbers, k * 7919);
                numbers_get(q.numbers, &got);
                sum += got;
            }
            sample(&s[i], (bench_now() - start) / PAIRS);
            for (uint64_t k = 0; k < fill; k++, sum += got)
                BENCH_CHECK(ranks_get(q.ranks, &got) == 0);
            BENCH_CHECK(sum == 7919 * ((uint64_t)PAIRS * (PAIRS - 1) / 2 + fill * (fill > 0 ? fill - 1 : 0) / 2));
            BENCH_CHECK(numbers_close(q.numbers) == 0);
        }
    for (int i = 0; i < 4; i++)
        row(names[i], &s[i], 1, "ns");
}

static void beside_python(void)
{
    static const char command[] =
        "/usr/bin/python3 -c '\n"
        "import queue, threading, time\n"
        "q, n, sums = queue.Queue(1024), 100000, []\n"
        "def put():\n"
        "    for i in range(n): q.put(i)\n"
        "def get(): sums.append(sum(q.get() for i in range(n)))\n"
        "threads = [threading.Thread(target=f) for f in (put, get)]\n"
        "start = time.monotonic()\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "took = time.monotonic() - start\n"
        "assert sums == [n * (n - 1) // 2]\n"
        "print(n / took / 1e6)'";
    static samples ours, theirs;
    static const subject yoke = {"yoke_queue_put and _get", YOKE, waits_producer, waits_consumer};
    head("1 producer, 1 consumer, beside Python");
    for (int round = 0; round < 5; round++) {
        sample(&ours, measure(&yoke, 1, 1000000));
        sample(&theirs, peer(command));
    }
    row(yoke.name, &ours, 1, "M items/s");
    row("Python queue.Queue", &theirs, 1, "M items/s");
    ratio_row("  yoke / Python", &ours, &theirs, "> 10");
}

int main(void)
{
    static const subject pair[] = {{"one to one, tries", PAIR, tries_producer, tries_consumer},
                                   {"one to one, waits", PAIR, waits_producer, waits_consumer},
                                   {"ck_ring spsc", CK, ck_pair_producer, ck_pair_consumer}};
    static const subject tries[] = {{"yoke, tries", YOKE, tries_producer, tries_consumer},
                                    {"ck_ring mpmc", CK, ck_many_producer, ck_many_consumer},
                                    {"oneTBB, tries", TBB, tbb_tries_producer, tbb_tries_consumer}};
    static const subject waits[] = {{"yoke, waits", YOKE, waits_producer, waits_consumer},
                                    {"yoke, waits, no limit", LIMITLESS, waits_producer, waits_consumer},
                                    {"yoke, waits, 64 at a time", YOKE, many_producer, many_consumer},
                                    {"yoke, waits, items of 64 bytes", PARCELS, large_producer, large_consumer},
                                    {"oneTBB, waits", TBB, tbb_waits_producer, tbb_waits_consumer}};
    compare("1 producer, 1 consumer: one to one", 1, 1000000, pair, 3, "> 1; 45 M items/s");
    compare("1 producer, 1 consumer: tries", 1, 1000000, tries, 3, "> 1; 20 M items/s");
    compare("2 producers, 2 consumers: tries", 2, 1000000, tries, 3, "> 1; 16 M items/s");
    compare("1 producer, 1 consumer: waits", 1, 1000000, waits, 5, "> 1; 10 M items/s");
    compare("2 producers, 2 consumers: waits", 2, 1000000, waits, 5, "> 1; 10 M items/s");
    alone();
    beside_python();
    return 0;
}
