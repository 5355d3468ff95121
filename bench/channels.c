/* channels.c - channels beside yoke's own queue, a buffer under a pthread mutex with two conditions, and, where the machine has
 * it, Go: a value to and fro between two threads, a stream from one to another, the same by selects, and calls that meet nobody.
 *
 * Every value is checked. Go's goroutines are measured twice: each with a thread of its own, which is what yoke's threads are
 * to be compared with, and as they come, several on one thread, which is what coroutines are. */
#include "bench.h"
#include <pthread.h>
#include <yoke.h>

enum { ROUNDS = 9, TRIPS = 30000, VALUES = 300000 };

YOKE_CHANNEL(values, uint64_t);
YOKE_QUEUE(line, uint64_t);

/* ---- What all subjects can do ---- */

/* The plainest that does the job. */
typedef struct plain {
    pthread_mutex_t lock;
    pthread_cond_t room, some;
    size_t capacity, first, len;
    bool shut;
    uint64_t buffer[];
} plain;

typedef struct subject {
    const char *name;
    void *(*open)(size_t capacity);
    void (*put)(void *c, uint64_t value);
    bool (*get)(void *c, uint64_t *ret); /* false: nothing more comes */
    void (*end)(void *c);
    void (*close)(void *c);
} subject;

static void *channel_open(size_t capacity)
{
    values *c;
    BENCH_CHECK(values_open(capacity, &c) == 0);
    return c;
}

static void channel_put(void *c, uint64_t value)
{
    BENCH_CHECK(values_send(c, value) == 0);
}

static bool channel_get(void *c, uint64_t *ret)
{
    return values_receive(c, ret) == 0;
}

static void channel_end(void *c)
{
    BENCH_CHECK(values_sender_unref(c) == 0);
}

static void channel_close(void *c)
{
    BENCH_CHECK(values_receiver_unref(c) == 0);
}

/* By selects with a second case that never happens. */
static yoke_channel *silent;

static void select_put(void *c, uint64_t value)
{
    uint64_t got;
    yoke_case cases[] = {yoke_case_send(c, &value), yoke_case_receive(silent, &got)};
    BENCH_CHECK(yoke_channel_select(cases, 2) == 0 && cases[0].err == 0);
}

static bool select_get(void *c, uint64_t *ret)
{
    uint64_t got;
    yoke_case cases[] = {yoke_case_receive(c, ret), yoke_case_receive(silent, &got)};
    BENCH_CHECK(yoke_channel_select(cases, 2) == 0);
    return cases[0].err == 0;
}

static void *queue_open(size_t capacity)
{
    line *q;
    BENCH_CHECK(line_open(YOKE_QUEUE_FIFO, capacity, &q) == 0);
    return q;
}

static void queue_put(void *q, uint64_t value)
{
    BENCH_CHECK(line_put(q, value) == 0);
}

static bool queue_get(void *q, uint64_t *ret)
{
    return line_get(q, ret) == 0;
}

static void queue_end(void *q)
{
    BENCH_CHECK(line_shutdown(q, false) == 0);
}

static void queue_close(void *q)
{
    BENCH_CHECK(line_close(q) == 0);
}

static void *plain_open(size_t capacity)
{
    plain *p = calloc(1, sizeof *p + capacity * sizeof *p->buffer);
    BENCH_CHECK(p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    pthread_cond_init(&p->some, NULL);
    p->capacity = capacity;
    return p;
}

static void plain_put(void *c, uint64_t value)
{
    plain *p = c;
    pthread_mutex_lock(&p->lock);
    while (p->len == p->capacity)
        pthread_cond_wait(&p->room, &p->lock);
    p->buffer[(p->first + p->len++) % p->capacity] = value;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_signal(&p->some);
}

static bool plain_get(void *c, uint64_t *ret)
{
    plain *p = c;
    pthread_mutex_lock(&p->lock);
    while (p->len == 0 && !p->shut)
        pthread_cond_wait(&p->some, &p->lock);
    bool got = p->len > 0;
    if (got) {
        *ret = p->buffer[p->first];
        p->first = (p->first + 1) % p->capacity;
        p->len--;
    }
    pthread_mutex_unlock(&p->lock);
    pthread_cond_signal(&p->room);
    return got;
}

static void plain_end(void *c)
{
    plain *p = c;
    pthread_mutex_lock(&p->lock);
    p->shut = true;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_broadcast(&p->some);
}

static void plain_close(void *c)
{
    plain *p = c;
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->some);
    free(p);
}

static const subject channel = {"channel", channel_open, channel_put, channel_get, channel_end, channel_close};
static const subject selects = {"select of two", channel_open, select_put, select_get, channel_end, channel_close};
static const subject queue = {"queue", queue_open, queue_put, queue_get, queue_end, queue_close};
static const subject mutex = {"pthread mutex and conditions", plain_open, plain_put, plain_get, plain_end, plain_close};

/* ---- What they do: each returns the nanoseconds for one ---- */

typedef struct pair {
    const subject *s;
    void *there, *back;
    uint64_t n;
} pair;

static void *echo(void *arg)
{
    pair *p = arg;
    for (uint64_t v; p->s->get(p->there, &v);)
        p->s->put(p->back, v + 1);
    return NULL;
}

static double ping_pong(const subject *s, size_t capacity)
{
    pair p = {s, s->open(capacity), s->open(capacity), TRIPS};
    pthread_t thread;
    double start = bench_now();
    BENCH_CHECK(pthread_create(&thread, NULL, echo, &p) == 0);
    for (uint64_t i = 0, got; i < p.n; i++) {
        s->put(p.there, i);
        BENCH_CHECK(s->get(p.back, &got) && got == i + 1);
    }
    double ns = bench_now() - start;
    s->end(p.there);
    pthread_join(thread, NULL);
    s->end(p.back);
    s->close(p.there);
    s->close(p.back);
    return ns / TRIPS;
}

static void *produce(void *arg)
{
    pair *p = arg;
    for (uint64_t i = 0; i < p->n; i++)
        p->s->put(p->there, i);
    p->s->end(p->there);
    return NULL;
}

static double stream(const subject *s, size_t capacity)
{
    pair p = {s, s->open(capacity), NULL, VALUES};
    pthread_t thread;
    uint64_t next = 0;
    double start = bench_now();
    BENCH_CHECK(pthread_create(&thread, NULL, produce, &p) == 0);
    for (uint64_t v; s->get(p.there, &v); next++)
        BENCH_CHECK(v == next);
    double ns = bench_now() - start;
    BENCH_CHECK(next == VALUES);
    pthread_join(thread, NULL);
    s->close(p.there);
    return ns / VALUES;
}

static double alone(const subject *s, size_t capacity)
{
    void *c = s->open(capacity);
    double start = bench_now();
    for (uint64_t i = 0, got; i < VALUES; i++) {
        s->put(c, i);
        BENCH_CHECK(s->get(c, &got) && got == i);
    }
    double ns = bench_now() - start;
    s->end(c);
    s->close(c);
    return ns / VALUES;
}

/* One of n receives can go, another each time. */
static double select_among(int n)
{
    enum { MOST = 64, TIMES = 20000 };
    values *c[MOST];
    uint64_t got = 0;
    yoke_case cases[MOST];
    for (int i = 0; i < n; i++) {
        c[i] = channel_open(1);
        cases[i] = values_case_receive(c[i], &got);
    }
    double start = bench_now();
    for (uint64_t i = 0; i < TIMES; i++) {
        int which = (int)(i * 7 % (uint64_t)n);
        channel_put(c[which], i);
        BENCH_CHECK(yoke_channel_select(cases, (size_t)n) == which && got == i);
    }
    double ns = bench_now() - start;
    for (int i = 0; i < n; i++)
        BENCH_CHECK(values_close(c[i]) == 0);
    return ns / TIMES;
}

/* ---- Go ---- */

static char go_program[] = "/tmp/yoke-bench-XXXXXX";

/* False: there is none here, and it is not measured. */
static bool has_go(void)
{
    static int has = -1;
    char command[9000];
    if (has >= 0)
        return has;
    has = 0;
    int fd = mkstemp(go_program);
    BENCH_CHECK(fd >= 0);
    close(fd);
    snprintf(command, sizeof command, "command -v go >/dev/null && go build -o %s %s", go_program, bench_file("channels.go"));
    has = system(command) == 0;
    if (!has)
        printf("(no Go here: not measured)\n");
    return has;
}

static double go(const char *what, size_t capacity, bool threads)
{
    char command[200];
    int n = strcmp(what, "ping-pong") == 0 ? TRIPS : VALUES;
    snprintf(command, sizeof command, "%s %s %zu %d%s", go_program, what, capacity, n, threads ? " threads" : "");
    return peer(command);
}

/* ---- Side by side ---- */

/* What yoke and its peers take for the same, round after round. The first subject is what the others are compared with. */
static void compare(const char *title, double (*run)(const subject *s, size_t capacity), const char *name_in_go, size_t capacity,
                    const subject *const *subjects, int n)
{
    static samples results[6];
    static const char *go_names[] = {"Go, each goroutine on a thread of its own", "Go"};
    memset(results, 0, sizeof results);
    bool with_go = has_go();
    for (int round = bench_rounds(ROUNDS); round > 0; round--) {
        for (int i = 0; i < n; i++)
            sample(&results[i], run(subjects[i], capacity));
        for (int i = 0; with_go && i < 2; i++)
            sample(&results[n + i], go(name_in_go, capacity, i == 0));
    }
    head(title);
    for (int i = 0; i < n + (with_go ? 2 : 0); i++)
        row(i < n ? subjects[i]->name : go_names[i - n], &results[i], 1, "ns");
    for (int i = 1; i < n + (with_go ? 2 : 0); i++) {
        char text[100];
        snprintf(text, sizeof text, "  %s / %s", i < n ? subjects[i]->name : go_names[i - n], subjects[0]->name);
        bool same_job = i < n ? subjects[i] != &queue : i == n; /* a queue does less, and goroutines are no threads */
        ratio_row(text, &results[i], &results[0], same_job ? "> 1" : "none");
    }
}

int main(void)
{
    static const subject *const unbuffered[] = {&channel}, *const buffered[] = {&channel, &queue, &mutex};
    static const subject *const selecting[] = {&selects};
    BENCH_CHECK(yoke_channel_open(sizeof(uint64_t), 0, &silent) == 0);
    compare("to and fro, no buffer", ping_pong, "ping-pong", 0, unbuffered, 1);
    compare("to and fro, buffer of 1", ping_pong, "ping-pong", 1, buffered, 3);
    compare("stream, no buffer", stream, "stream", 0, unbuffered, 1);
    compare("stream, buffer of 128", stream, "stream", 128, buffered, 3);
    compare("stream by selects, no buffer", stream, "select", 0, selecting, 1);
    compare("stream by selects, buffer of 128", stream, "select", 128, selecting, 1);
    compare("send and receive in one thread", alone, "alone", 128, buffered, 3);

    static const int widths[] = {1, 2, 8, 64};
    head("send, and select among n, in one thread");
    for (int i = 0; i < 4; i++) {
        static samples s;
        char name[30];
        s.n = 0;
        for (int round = bench_rounds(ROUNDS); round > 0; round--)
            sample(&s, select_among(widths[i]));
        snprintf(name, sizeof name, "n = %d", widths[i]);
        row(name, &s, 1, "ns");
    }
    BENCH_CHECK(yoke_channel_close(silent) == 0);
    unlink(go_program);
    return 0;
}
