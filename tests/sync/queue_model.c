/* queue_model.c - every kind of queue against the plainest thing that it could be, under random calls of one thread: items of
 * many sizes, with and without a limit, alone and in batches. */
#include "test.h"
#include <yoke/queues.h>

enum { MOST = 700, LARGEST = 120, BATCH = 40 };

/* An item: key and serial number, then bytes made from the serial number. Those of less than 8 bytes are cut. */
typedef struct item {
    unsigned char bytes[LARGEST];
} item;

static void make(item *i, uint32_t key, uint32_t serial)
{
    memcpy(i->bytes, &key, sizeof key);
    memcpy(i->bytes + sizeof key, &serial, sizeof serial);
    for (size_t b = 2 * sizeof key; b < LARGEST; b++)
        i->bytes[b] = (unsigned char)(serial * 31 + b);
}

static uint32_t key_of(const void *i)
{
    uint32_t key;
    memcpy(&key, i, sizeof key);
    return key;
}

static bool less(const void *a, const void *b)
{
    return key_of(a) < key_of(b);
}

/* The model: items in the order in which they came. */
typedef struct model {
    yoke_queue_kind kind;
    size_t size, capacity, len, puts, done;
    bool shut;
    item items[MOST];
} model;

static size_t next_out(const model *m)
{
    size_t best = 0;
    if (m->kind == YOKE_QUEUE_LIFO)
        return m->len - 1;
    if (m->kind == YOKE_QUEUE_PRIORITY)
        for (size_t i = 1; i < m->len; i++)
            if (less(&m->items[i], &m->items[best]))
                best = i;
    return best;
}

static bool is_full(const model *m)
{
    return m->len == (m->capacity ? m->capacity : MOST);
}

static void model_put(model *m, const item *i)
{
    m->items[m->len++] = *i;
    m->puts++;
}

static void check_get(model *m, const void *got)
{
    CHECK(m->len > 0);
    size_t out = next_out(m);
    if (memcmp(got, &m->items[out], m->size) != 0)
        test_fail(__FILE__, __LINE__, "kind %d, size %zu, capacity %zu: key %u instead of %u", m->kind, m->size, m->capacity,
                  key_of(got), key_of(&m->items[out]));
    memmove(&m->items[out], &m->items[out + 1], (--m->len - out) * sizeof(item));
}

static void step_put(yoke_queue *q, model *m, uint32_t *serial)
{
    item i;
    make(&i, (uint32_t)(test_random() % 20), ++*serial);
    if (m->capacity == 0 && is_full(m))
        return; /* a limit of the model alone */
    bool late = test_random() % 2;
    int err = late ? yoke_queue_put_until(q, &i, -5) : yoke_queue_put_try(q, &i);
    CHECK_INT(err, m->shut ? -ESHUTDOWN : !is_full(m) ? 0 : late ? -ETIMEDOUT : -EAGAIN);
    if (err == 0)
        model_put(m, &i);
}

static void step_get(yoke_queue *q, model *m)
{
    item i;
    memset(&i, 0xEE, sizeof i);
    int err = m->len > 0 ? yoke_queue_get(q, &i) : yoke_queue_get_try(q, &i);
    CHECK_INT(err, m->len > 0 ? 0 : m->shut ? -ESHUTDOWN : -EAGAIN);
    if (err == 0)
        check_get(m, &i);
    for (size_t b = err == 0 ? m->size : 0; b < LARGEST; b++)
        CHECK_INT(i.bytes[b], 0xEE); /* not one byte too many, and none on failure */
}

static void step_put_many(yoke_queue *q, model *m, uint32_t *serial)
{
    static unsigned char batch[BATCH * LARGEST];
    item items[BATCH];
    size_t n = test_random() % BATCH, room = (m->capacity ? m->capacity : MOST) - m->len;
    if (m->capacity == 0 && n > room)
        n = room;
    for (size_t i = 0; i < n; i++) {
        make(&items[i], (uint32_t)(test_random() % 20), ++*serial);
        memcpy(batch + i * m->size, &items[i], m->size);
    }
    ptrdiff_t expected = (ptrdiff_t)(n < room ? n : room);
    if (n > 0 && expected == 0)
        expected = -EAGAIN;
    if (n > 0 && m->shut)
        expected = -ESHUTDOWN;
    CHECK_INT(yoke_queue_put_many_try(q, batch, n), expected);
    for (ptrdiff_t i = 0; i < expected; i++)
        model_put(m, &items[i]);
}

static void step_get_many(yoke_queue *q, model *m)
{
    static unsigned char batch[BATCH * LARGEST];
    size_t n = test_random() % BATCH;
    ptrdiff_t expected = (ptrdiff_t)(n < m->len ? n : m->len);
    if (n > 0 && expected == 0)
        expected = m->shut ? -ESHUTDOWN : -EAGAIN;
    CHECK_INT(yoke_queue_get_many_try(q, batch, n), expected);
    for (ptrdiff_t i = 0; i < expected; i++)
        check_get(m, batch + (size_t)i * m->size);
}

static void step_done(yoke_queue *q, model *m)
{
    CHECK_INT(yoke_queue_task_done(q), m->done < m->puts ? 0 : -EINVAL);
    m->done += m->done < m->puts;
}

static void check_state(yoke_queue *q, const model *m)
{
    CHECK_INT(yoke_queue_size(q), m->len);
    CHECK_INT(yoke_queue_empty(q), m->len == 0);
    CHECK_INT(yoke_queue_full(q), m->capacity && m->len == m->capacity);
    CHECK_INT(yoke_queue_unfinished(q), m->puts - m->done);
    CHECK_INT(yoke_queue_capacity(q), m->capacity);
}

/* Random calls; `fill` of ten of them put, so the queue wanders to one end. */
static void wander(yoke_queue *q, model *m, uint32_t *serial, int steps, unsigned fill)
{
    while (steps-- > 0) {
        bool put = test_random() % 10 < fill;
        switch (test_random() % 8) {
        case 0:
            put ? step_put_many(q, m, serial) : step_get_many(q, m);
            break;
        case 1:
            step_done(q, m);
            break;
        default:
            put ? step_put(q, m, serial) : step_get(q, m);
        }
        check_state(q, m);
    }
}

static void compare(yoke_queue_kind kind, size_t size, size_t capacity)
{
    static model m;
    m = (model){.kind = kind, .size = size, .capacity = capacity};
    yoke_queue *q;
    uint32_t serial = 0;
    CHECK_INT(yoke_queue_open(kind, size, capacity, kind == YOKE_QUEUE_PRIORITY ? less : NULL, &q), 0);
    check_state(q, &m);
    wander(q, &m, &serial, 120, 8);
    wander(q, &m, &serial, 120, 5);
    wander(q, &m, &serial, 120, 2);
    wander(q, &m, &serial, 120, 7);
    bool now = test_random() % 2;
    CHECK_INT(yoke_queue_shutdown(q, now), 0);
    m.shut = true;
    if (now) {
        m.done = m.done + m.len < m.puts ? m.done + m.len : m.puts;
        m.len = 0;
    }
    check_state(q, &m);
    wander(q, &m, &serial, 60, 3);
    CHECK_INT(yoke_queue_close(q), 0);
}

static const size_t sizes[] = {4, 5, 8, 12, 16, 40, LARGEST};
static const size_t capacities[] = {1, 2, 3, 4, 7, 64, 100, 0};

static void compare_all(yoke_queue_kind kind)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++)
            if (kind != YOKE_QUEUE_SPSC || capacities[c] > 0)
                compare(kind, sizes[s], capacities[c]);
}

TEST(first_in_first_out)
{
    compare_all(YOKE_QUEUE_FIFO);
}

TEST(last_in_first_out)
{
    compare_all(YOKE_QUEUE_LIFO);
}

TEST(by_priority_and_stable)
{
    compare_all(YOKE_QUEUE_PRIORITY);
}

TEST(one_to_one)
{
    compare_all(YOKE_QUEUE_SPSC);
}

/* Positions run on and on; slots come round thousands of times. */
TEST(many_rounds)
{
    static const yoke_queue_kind kinds[] = {YOKE_QUEUE_FIFO, YOKE_QUEUE_SPSC};
    for (int k = 0; k < 2; k++)
        for (size_t capacity = 1; capacity <= 5; capacity++) {
            yoke_queue *q;
            CHECK_INT(yoke_queue_open(kinds[k], sizeof(int), capacity, NULL, &q), 0);
            for (int i = 0, out = 0; i < 20000; i++) {
                CHECK_INT(yoke_queue_put_try(q, &i), 0);
                if (i % 3 == 0 || yoke_queue_full(q))
                    for (int got; yoke_queue_get_try(q, &got) == 0; out++)
                        CHECK_INT(got, out);
            }
            CHECK_INT(yoke_queue_close(q), 0);
        }
}

/* Without a limit: through many rings, in order. */
TEST(growth_keeps_the_order)
{
    yoke_queue *q;
    CHECK_INT(yoke_queue_open(YOKE_QUEUE_FIFO, sizeof(int), 0, NULL, &q), 0);
    int in = 0, out = 0, got;
    for (int round = 1; round <= 9; round++) {
        for (int i = 0; i < 100 << round; i++, in++)
            CHECK_INT(yoke_queue_put_try(q, &in), 0);
        CHECK_INT(yoke_queue_size(q), in - out);
        for (int i = 0; i < 60 << round; i++, out++) {
            CHECK_INT(yoke_queue_get_try(q, &got), 0);
            CHECK_INT(got, out);
        }
        CHECK(!yoke_queue_full(q));
    }
    for (; yoke_queue_get_try(q, &got) == 0; out++)
        CHECK_INT(got, out);
    CHECK_INT(out, in);
    CHECK_INT(yoke_queue_unfinished(q), in);
    CHECK_INT(yoke_queue_close(q), 0);
}

/* What the typed forms add: by value, without a cast, and the order as an expression. */
typedef struct job {
    int due;
    const char *name;
} job;
YOKE_QUEUE(jobs, job);
YOKE_PRIORITY_QUEUE(agenda, job, a, b, a->due < b->due);
YOKE_QUEUE(words, const char *);
YOKE_PRIORITY_QUEUE(alphabet, char *, a, b, strcmp(*a, *b) < 0);

TEST(typed)
{
    agenda *todo;
    CHECK_INT(agenda_open(0, &todo), 0);
    CHECK_INT(agenda_put(todo, (job){3, "sleep"}), 0);
    CHECK_INT(agenda_put_until(todo, (job){1, "eat"}, yoke_now()), 0);
    CHECK_INT(agenda_put_timed(todo, (job){2, "work"}, 0), 0);
    CHECK_INT(agenda_put_try(todo, (job){1, "drink"}), 0);
    static const char *order[] = {"eat", "drink", "work", "sleep"};
    job j, several[3];
    CHECK_INT(agenda_get(todo, &j), 0);
    CHECK_STR(j.name, order[0]);
    CHECK_INT(agenda_get_many(todo, several, 3), 3);
    for (int i = 0; i < 3; i++)
        CHECK_STR(several[i].name, order[i + 1]);
    CHECK_INT(agenda_size(todo) + agenda_capacity(todo), 0);
    CHECK_INT(agenda_close(todo), 0);

    jobs *line;
    CHECK_INT(jobs_open(YOKE_QUEUE_FIFO, 2, &line), 0);
    CHECK_INT(jobs_put_many(line, several, 2), 2);
    CHECK(jobs_full(line) && !jobs_empty(line));
    CHECK_INT(jobs_put_many_try(line, several, 2), -EAGAIN);
    CHECK_INT(jobs_put_many_until(line, several, 2, 0), -ETIMEDOUT);
    CHECK_INT(jobs_put_many_timed(line, several, 2, 0), -ETIMEDOUT);
    CHECK_INT(jobs_get_try(line, &j), 0);
    CHECK_INT(jobs_get_timed(line, &j, YOKE_MS), 0);
    CHECK_INT(jobs_get_until(line, &j, 0), -ETIMEDOUT);
    CHECK_INT(jobs_get_many_try(line, several, 3), -EAGAIN);
    CHECK_INT(jobs_get_many_until(line, several, 3, 0), -ETIMEDOUT);
    CHECK_INT(jobs_get_many_timed(line, several, 3, 0), -ETIMEDOUT);
    CHECK_INT(jobs_unfinished(line), 2);
    CHECK_INT(jobs_join_timed(line, 0), -ETIMEDOUT);
    CHECK_INT(jobs_join_until(line, 0), -ETIMEDOUT);
    CHECK_INT(jobs_task_done(line) + jobs_task_done(line) + jobs_join(line), 0);
    CHECK_INT(jobs_shutdown(line, false), 0);
    CHECK_INT(jobs_put(line, j), -ESHUTDOWN);
    CHECK_INT(jobs_close(line), 0);
    CHECK_INT(jobs_open(YOKE_QUEUE_PRIORITY, 2, &line), -EINVAL);
    CHECK_INT(jobs_open(YOKE_QUEUE_LIFO, 2, NULL), -EINVAL);
    CHECK_INT(agenda_open(2, NULL), -EINVAL);
}

TEST(pointers_as_items)
{
    words *w;
    alphabet *a;
    static char b[] = "b", c[] = "c";
    const char *got;
    char *least;
    CHECK_INT(words_open(YOKE_QUEUE_LIFO, 0, &w) + alphabet_open(2, &a), 0);
    CHECK_INT(words_put(w, b) + words_put(w, c) + words_get(w, &got), 0);
    CHECK_STR(got, "c");
    CHECK_INT(alphabet_put(a, c) + alphabet_put(a, b) + alphabet_get(a, &least), 0);
    CHECK(least == b);
    CHECK_INT(words_close(w) + alphabet_close(a), 0);
}
