/* graph.c - recorded work on every device that this machine has: a replay does what the calls would do, with what memory
 * holds then; memory that the recording freed stays with the graph; what cannot be recorded is refused, and the recording
 * with it; nothing is left over, whatever fails. */
#include "gpu/graph.h"
#include "kernel_try.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/primitive.h>
#include <yoke/program.h>
#include <yoke/scan_kernel.h>

enum { N = 3000, GROUP = 64, GROUPS = (N + GROUP - 1) / GROUP };

YOKE_KERNEL(step, ((val, int32_t, a), (in, int32_t, x), (inout, int32_t, y)), y[i] = y[i] * 3 + a * x[i];)
YOKE_KERNEL(count_up, ((inout, int32_t, y)), y[i] += 1;)
YOKE_REDUCTION(int64_t, total, (0), a + b, x[i], ((in, int32_t, x)));
YOKE_SCAN_KERNEL(int64_t, so_far, (0), a + b, x[i], ((in, int32_t, x), (out, int64_t, sums)), sums[i] = item;)
YOKE_PROGRAM(group_sums, GROUP, ((in, int32_t, x, m), (val, long, m), (out, int32_t, sums, groups)),
    YOKE_SHARED(int32_t, s, 64);
    YOKE_ITEMS(l) { s[l] = group * 64 + l < m ? x[group * 64 + l] : 0; }
    for (int half = 32; half > 0; half /= 2)
        YOKE_ITEMS(l) { if (l < half) s[l] += s[l + half]; }
    YOKE_ITEMS(l) { if (l == 0) sums[group] = s[0]; }
)

/* Everything that a stream can be given, each with a place of its own for its result. */
typedef struct work {
    int32_t *x, *y, *small, *sorted, *unique, *parts, *copy;
    int64_t *total, *sums;
    uint64_t *kept, *counts;
    float *a, *product, *multiplied;
    uint32_t *offsets, *columns;
    uint8_t *flags;
} work;

enum { SIDE = 20, BINS = 16, SEGMENTS = 30 };

/* What is in it: bytes of each, in the order of the struct's fields, to be compared one by one. */
static const size_t sizes[] = {N * 4, N * 4, 4, N * 4, N * 4, GROUPS * 4, N * 4, 16, N * 8, 16, BINS * 8, SIDE * SIDE * 4,
                               SIDE * SIDE * 4, SIDE * 4, (SEGMENTS + 1) * 4, N * 4, N};
enum { FIELDS = YK_COUNT_OF(sizes) };

static void **field(work *w, size_t k)
{
    return (void **)(void *)w + k;
}

static void work_open(yoke_stream *s, work *w)
{
    _Static_assert(sizeof(work) == FIELDS * sizeof(void *), "one size for each");
    for (size_t k = 0; k < FIELDS; k++) {
        *field(w, k) = yoke_device_alloc(yoke_stream_device(s), sizes[k]);
        CHECK(*field(w, k));
        DONE(s, yoke_stream_fill(s, *field(w, k), &(uint8_t){0}, 1, sizes[k]));
    }
}

static void work_close(yoke_stream *s, work *w)
{
    for (size_t k = 0; k < FIELDS; k++)
        yoke_device_free(yoke_stream_device(s), *field(w, k));
}

/* What the host has, and changes from one replay to the next. */
static int32_t host_x[N];
static float host_a[SIDE * SIDE];
static uint32_t host_offsets[SEGMENTS + 1], host_columns[N];
static uint8_t host_flags[N];

static void change_host(unsigned seed)
{
    for (unsigned i = 0; i < N; i++) {
        host_x[i] = (int32_t)((i * 7919 + seed * 31) % 1000) - 500;
        host_flags[i] = (uint8_t)((i + seed) % 3 == 0);
        host_columns[i] = (i + seed) % SIDE;
    }
    for (unsigned i = 0; i < SIDE * SIDE; i++)
        host_a[i] = (float)((i * seed) % 17);
    for (unsigned i = 0; i <= SEGMENTS; i++)
        host_offsets[i] = i * SIDE;
}

static void put_up(yoke_stream *s, work *w)
{
    DONE(s, yoke_stream_copy(s, w->x, host_x, sizeof host_x));
    DONE(s, yoke_stream_copy(s, w->a, host_a, sizeof host_a));
    DONE(s, yoke_stream_copy(s, w->offsets, host_offsets, sizeof host_offsets));
    DONE(s, yoke_stream_copy(s, w->columns, host_columns, sizeof host_columns));
    DONE(s, yoke_stream_copy(s, w->flags, host_flags, sizeof host_flags));
}

static void put_all(yoke_stream *s, work *w)
{
    put_up(s, w);
    DONE(s, yoke_enqueue(s, step, N, 5, w->x, w->y));
    DONE(s, yoke_enqueue_reduction(s, total, N, &w->total[0], w->y));
    DONE(s, yoke_enqueue_scan(s, so_far, N, w->y, w->sums));
    DONE(s, yoke_enqueue_program(s, group_sums, GROUPS, w->y, N, w->parts));
    DONE(s, yoke_stream_max(s, N, w->x, w->small));
    DONE(s, yoke_stream_copy(s, w->sorted, w->x, N * 4));
    DONE(s, yoke_stream_sort(s, N, w->sorted));
    DONE(s, yoke_stream_unique(s, N, w->sorted, w->unique, w->kept));
    DONE(s, yoke_stream_select(s, N, w->x, w->flags, w->copy, w->kept + 1));
    DONE(s, yoke_stream_histogram(s, N, w->x, BINS, -8, 7, w->counts));
    DONE(s, yoke_stream_scan(s, N, w->unique, w->unique));
    DONE(s, yoke_stream_matmul(s, SIDE, SIDE, SIDE, w->a, SIDE, w->a, SIDE, w->product, SIDE));
    DONE(s, yoke_stream_spmv(s, SIDE, SIDE * SIDE, w->offsets, w->columns, w->a, w->product, w->multiplied));
    DONE(s, yoke_stream_fill(s, w->parts, &(int32_t){-1}, 4, 3));
    DONE(s, yoke_stream_fill(s, w->total + 1, "abcdefgh", 8, 1));
}

static char *read_all(yoke_stream *s, work *w)
{
    size_t all = 0, at = 0;
    for (size_t k = 0; k < FIELDS; k++)
        all += sizes[k];
    char *bytes = malloc(all);
    for (size_t k = 0; k < FIELDS; at += sizes[k++])
        DONE(s, yoke_stream_copy(s, bytes + at, *field(w, k), sizes[k]));
    DONE(s, yoke_stream_wait(s));
    return bytes;
}

static void compare(yoke_stream *s, work *right, work *w, const char *when)
{
    char *a = read_all(s, right), *b = read_all(s, w);
    size_t at = 0;
    for (size_t k = 0; k < FIELDS; at += sizes[k++])
        if (memcmp(a + at, b + at, sizes[k]) != 0)
            test_fail(__FILE__, __LINE__, "%s: array %zu differs", when, k);
    free(a);
    free(b);
}

static yoke_graph *record_all(yoke_stream *s, work *w)
{
    yoke_graph *g = NULL;
    DONE(s, yoke_stream_record(s));
    put_all(s, w);
    DONE(s, yoke_stream_record_end(s, &g));
    CHECK(g);
    return g;
}

static void check_all(yoke_device *dev, yoke_stream *others)
{
    (void)others; /* a stream may keep memory until it is closed */
    yoke_stream *s = yoke_stream_open(dev);
    work w, right, nothing;
    work_open(s, &w);
    work_open(s, &right);
    work_open(s, &nothing);
    change_host(1);
    yoke_graph *g = record_all(s, &w);
    compare(s, &nothing, &w, "before the first replay");
    for (unsigned r = 2; r < 6; r++) {
        change_host(r);
        DONE(s, yoke_stream_replay(s, g));
        put_all(s, &right);
        compare(s, &right, &w, "a replay");
    }
    yoke_graph_close(g);
    work_close(s, &w);
    work_close(s, &right);
    work_close(s, &nothing);
    CHECK_INT(yoke_stream_close(s), 0);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), 0);
    CHECK_INT(stats.blocks, 0);
}

TEST_LIMIT(a_replay_does_what_the_calls_do, 300)
{
    on_every_device(check_all);
}

/* ---- Memory ---- */

static uint64_t blocks_of(yoke_device *dev)
{
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), 0);
    return stats.blocks;
}

/* Memory that the recording was not told of: free before, or freed past it. */
static void free_beside_it(yoke_device *dev, yoke_stream *s)
{
    yoke_graph *g = NULL;
    const uint64_t before = blocks_of(dev);
    void *p = yoke_device_alloc(dev, 5000);
    yoke_device_free(dev, p);
    DONE(s, yoke_stream_record(s));
    yoke_stream_free(s, p);
    CHECK_INT(yoke_stream_record_end(s, &g), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "freed twice");
    CHECK_INT(blocks_of(dev), before);
    DONE(s, yoke_stream_record(s));
    p = yoke_stream_alloc(s, 5000);
    CHECK(p);
    yoke_device_free(dev, p);
    void *again = yoke_device_alloc(dev, 5000); /* the same, another's */
    DONE(s, yoke_stream_record_end(s, &g));
    yoke_graph_close(g);
    CHECK_INT(blocks_of(dev), before + 1);
    yoke_device_free(dev, again);
    CHECK_INT(blocks_of(dev), before);
}

TEST(memory_that_goes_beside_a_recording)
{
    on_every_device(free_beside_it);
}

/* Whoever asks for memory of any size, in whatever order, and writes to it, must not get what a graph uses. */
static void overwrite_all_that_is_free(yoke_device *dev, yoke_stream *s)
{
    enum { BLOCKS = 400 };
    void *mine[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t bytes = 512 + i * 1024 / 3;
        mine[i] = i % 2 ? yoke_device_alloc(dev, bytes) : yoke_stream_alloc(s, bytes);
        CHECK(mine[i]);
        DONE(s, yoke_stream_fill(s, mine[i], &(uint8_t){0xcc}, 1, bytes));
    }
    for (size_t i = 0; i < BLOCKS; i++)
        yoke_stream_free(s, mine[i]);
}

static void check_temporaries(yoke_device *dev, yoke_stream *s)
{
    work w, right;
    work_open(s, &w);
    work_open(s, &right);
    put_all(s, &right); /* the pool has blocks of all the sizes that are needed, just freed in the order of s */
    DONE(s, yoke_stream_fill(s, right.y, &(int32_t){0}, 4, N));
    DONE(s, yoke_stream_fill(s, right.unique, &(int32_t){0}, 4, N));
    const uint64_t before = blocks_of(dev);
    yoke_graph *g = record_all(s, &w);
    CHECK(blocks_of(dev) > before || !dev->driver->build);
    yoke_stream *t = yoke_stream_open(dev);
    for (int r = 0; r < 4; r++) {
        overwrite_all_that_is_free(dev, r % 2 ? s : t);
        DONE(s, yoke_stream_replay(r < 2 ? s : t, g));
        overwrite_all_that_is_free(dev, r % 2 ? t : s);
        put_all(s, &right);
    }
    CHECK_INT(yoke_stream_wait(t), 0);
    compare(s, &right, &w, "after others had all the memory that there is");
    DONE(s, yoke_stream_replay(t, g));
    yoke_graph_close(g); /* while it runs */
    CHECK_INT(blocks_of(dev), before);
    put_all(s, &right);
    CHECK_INT(yoke_stream_close(t), 0);
    compare(s, &right, &w, "a graph that was closed");
    work_close(s, &w);
    work_close(s, &right);
}

TEST_LIMIT(what_a_recording_frees_is_the_graphs, 300)
{
    on_every_device(check_temporaries);
}

/* x from before, y from within and kept, z from within and freed, and z's memory once more. */
static void check_own_memory(yoke_device *dev, yoke_stream *s)
{
    const uint64_t before = blocks_of(dev);
    int32_t ones[N], there[N];
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    int32_t *x = yoke_stream_alloc(s, sizeof ones);
    yoke_graph *g;
    DONE(s, yoke_stream_record(s));
    int32_t *y = yoke_stream_alloc(s, sizeof ones), *z = yoke_stream_alloc(s, sizeof ones);
    CHECK(x && y && z);
    DONE(s, yoke_stream_copy(s, x, ones, sizeof ones));
    DONE(s, yoke_stream_copy(s, z, x, sizeof ones));
    yoke_stream_free(s, x);
    DONE(s, yoke_enqueue(s, count_up, N, z));
    DONE(s, yoke_stream_copy(s, y, z, sizeof ones));
    yoke_stream_free(s, z);
    int32_t *again = yoke_stream_alloc(s, sizeof ones);
    CHECK(again == z || again == x); /* in the recording's order it may be had again */
    DONE(s, yoke_enqueue(s, count_up, N, y));
    yoke_stream_free(s, again);
    DONE(s, yoke_stream_record_end(s, &g));
    CHECK_INT(blocks_of(dev), before + 3);
    overwrite_all_that_is_free(dev, s);
    DONE(s, yoke_stream_replay(s, g));
    DONE(s, yoke_stream_copy(s, there, y, sizeof there));
    DONE(s, yoke_stream_wait(s));
    for (int i = 0; i < N; i++)
        CHECK_INT(there[i], 3);
    yoke_graph_close(g);
    CHECK_INT(blocks_of(dev), before + 1);
    yoke_stream_free(s, y);
    CHECK_INT(blocks_of(dev), before);
}

TEST_LIMIT(memory_of_the_user_is_the_users, 120)
{
    on_every_device(check_own_memory);
}

static void check_wrong_frees(yoke_device *dev, yoke_stream *s)
{
    const uint64_t before = blocks_of(dev);
    for (int wrong = 0; wrong < 3; wrong++) {
        yoke_graph *g = NULL;
        char *x = yoke_stream_alloc(s, 1000);
        DONE(s, yoke_stream_record(s));
        yoke_stream_free(s, wrong == 0 ? x + 1 : wrong == 1 ? (char *)&g : x);
        if (wrong == 2)
            yoke_stream_free(s, x);
        CHECK_INT(yoke_stream_record_end(s, &g), -EINVAL);
        CHECK_HAS(yoke_device_error(dev), "freed twice, or not its beginning");
        CHECK(!g);
        if (wrong < 2)
            yoke_stream_free(s, x);
        CHECK_INT(blocks_of(dev), before);
    }
}

TEST_LIMIT(wrong_frees_are_found, 120)
{
    on_every_device(check_wrong_frees);
}

/* ---- Streams ---- */

/* Each replay adds one to all elements, through memory of the graph's own: two at a time would spoil it. */
static void check_order(yoke_device *dev, yoke_stream *s)
{
    enum { ROUNDS = 60, MANY = 100000 };
    yoke_stream *streams[3] = {s, yoke_stream_open(dev), yoke_stream_open(dev)};
    int32_t *x = yoke_device_alloc(dev, MANY * 4), *there = malloc(MANY * 4);
    yoke_graph *g;
    DONE(s, yoke_stream_fill(s, x, &(int32_t){0}, 4, MANY));
    DONE(s, yoke_stream_record(s));
    int32_t *y = yoke_stream_alloc(s, MANY * 4);
    DONE(s, yoke_stream_copy(s, y, x, MANY * 4));
    DONE(s, yoke_enqueue(s, count_up, MANY, y));
    DONE(s, yoke_stream_copy(s, x, y, MANY * 4));
    yoke_stream_free(s, y);
    DONE(s, yoke_stream_record_end(s, &g));
    DONE(s, yoke_stream_wait(s));
    for (int r = 0; r < ROUNDS; r++)
        DONE(s, yoke_stream_replay(streams[r % 3], g));
    CHECK_INT(yoke_stream_close(streams[1]), 0);
    CHECK_INT(yoke_stream_close(streams[2]), 0); /* the last of the graph's */
    DONE(s, yoke_stream_replay(s, g));
    DONE(s, yoke_stream_copy(s, there, x, MANY * 4));
    DONE(s, yoke_stream_wait(s));
    for (int i = 0; i < MANY; i++)
        CHECK_INT(there[i], ROUNDS + 1);
    yoke_graph_close(g);
    yoke_device_free(dev, x);
    free(there);
}

TEST_LIMIT(replays_follow_each_other_in_whatever_streams, 120)
{
    on_every_device(check_order);
}

static void check_many(yoke_device *dev, yoke_stream *s)
{
    enum { MANY = 2000 };
    int32_t *x = yoke_device_alloc(dev, 40), there[10];
    yoke_graph *g, *empty;
    DONE(s, yoke_stream_fill(s, x, &(int32_t){0}, 4, 10));
    DONE(s, yoke_stream_record(s));
    for (int i = 0; i < MANY; i++)
        DONE(s, yoke_enqueue(s, count_up, 10, x));
    DONE(s, yoke_stream_record_end(s, &g));
    DONE(s, yoke_stream_record(s));
    DONE(s, yoke_enqueue(s, count_up, 0, x)); /* nothing */
    DONE(s, yoke_stream_copy(s, x, there, 0));
    DONE(s, yoke_stream_record_end(s, &empty));
    for (int r = 0; r < 3; r++) {
        DONE(s, yoke_stream_replay(s, g));
        DONE(s, yoke_stream_replay(s, empty));
    }
    DONE(s, yoke_stream_copy(s, there, x, sizeof there));
    DONE(s, yoke_stream_wait(s));
    for (int i = 0; i < 10; i++)
        CHECK_INT(there[i], 3 * MANY);
    yoke_graph_close(g);
    yoke_graph_close(empty);
    yoke_graph_close(NULL);
    yoke_device_free(dev, x);
}

TEST_LIMIT(graphs_are_as_long_as_need_be, 120)
{
    on_every_device(check_many);
}

/* ---- Closed while it runs ---- */

static yoke_device_memory memory_now(yoke_device *dev)
{
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(dev, &stats), 0);
    return stats;
}

static size_t held_when_trimmed(yoke_device *dev)
{
    CHECK_INT(yoke_device_trim(dev), 0);
    return memory_now(dev).held;
}

/* Each round's memory goes back while the replay that uses it is under way; later rounds have it again, as soon as the driver
 * says that the replay is over, which on a busy machine may be late. */
static void close_under_way(yoke_device *dev, yoke_stream *s)
{
    enum { ROUNDS = 600, EACH = 100 };
    int32_t *p = yoke_device_alloc(dev, N * sizeof *p);
    CHECK_INT(yoke_stream_fill(s, p, &(int32_t){1}, 4, N), 0);
    const size_t before = held_when_trimmed(dev);
    for (int round = 0; round < ROUNDS; round++) {
        yoke_graph *g;
        CHECK_INT(yoke_stream_record(s), 0);
        int32_t *meanwhile = yoke_stream_alloc(s, N * sizeof *p);
        CHECK_INT(yoke_stream_copy(s, meanwhile, p, N * sizeof *p), 0);
        CHECK_INT(yoke_stream_copy(s, p, meanwhile, N * sizeof *p), 0);
        yoke_stream_free(s, meanwhile);
        CHECK_INT(yoke_stream_record_end(s, &g), 0);
        CHECK_INT(yoke_stream_replay(s, g), 0);
        yoke_graph_close(g);
        if (round % EACH == EACH - 1)
            CHECK_INT(yoke_stream_wait(s), 0);
    }
    for (const uint64_t reused = memory_now(dev).reused; memory_now(dev).reused == reused; usleep(1000))
        yoke_device_free(dev, yoke_device_alloc(dev, N * sizeof *p));
    CHECK_INT(held_when_trimmed(dev), before);
    yoke_device_free(dev, p);
}

TEST_LIMIT(memory_of_graphs_that_are_closed_under_way_comes_back, 120)
{
    on_every_device(close_under_way);
}

/* ---- What is refused ---- */

static int32_t *where, answer;
static yoke_stream_event *event;
static yoke_graph *other_graph;

#define REFUSED(NAME, CALL)                                                                                            \
    static int NAME(yoke_stream *s)                                                                                    \
    {                                                                                                                  \
        return CALL;                                                                                                   \
    }
REFUSED(refuse_wait, yoke_stream_wait(s))
REFUSED(refuse_try, yoke_stream_try(s))
REFUSED(refuse_mark, yoke_stream_mark(s, event))
REFUSED(refuse_after, yoke_stream_after(s, event))
REFUSED(refuse_record, yoke_stream_record(s))
REFUSED(refuse_replay, yoke_stream_replay(s, other_graph))
REFUSED(refuse_reduction, (answer = (int32_t)yoke_reduction(s, total, N, where), answer ? 0 : -ENOTSUP))
REFUSED(refuse_no_reduction, (answer = (int32_t)yoke_reduction(s, total, 0, where), answer ? 0 : -ENOTSUP))

static const struct {
    int (*call)(yoke_stream *s);
    const char *text;
} refused[] = {{refuse_wait, "a wait cannot be recorded"},
               {refuse_try, "the question whether all has been done cannot be recorded"},
               {refuse_mark, "an event cannot be recorded"},
               {refuse_after, "a wait for an event cannot be recorded"},
               {refuse_record, "a recording within a recording cannot be recorded"},
               {refuse_replay, "the replay of a graph cannot be recorded"},
               {refuse_reduction, "a reduction whose result is waited for cannot be recorded"},
               {refuse_no_reduction, "a reduction whose result is waited for cannot be recorded"}};

static void check_refused(yoke_device *dev, yoke_stream *s)
{
    const uint64_t before = blocks_of(dev);
    where = yoke_device_alloc(dev, N * 4);
    event = yoke_stream_event_open(dev);
    DONE(s, yoke_stream_mark(s, event));
    DONE(s, yoke_stream_fill(s, where, &(int32_t){4}, 4, N));
    DONE(s, yoke_stream_record(s));
    DONE(s, yoke_enqueue(s, count_up, N, where));
    DONE(s, yoke_stream_record_end(s, &other_graph));
    for (size_t i = 0; i < YK_COUNT_OF(refused); i++) {
        yoke_graph *g = (yoke_graph *)where;
        DONE(s, yoke_stream_record(s));
        DONE(s, yoke_stream_sum(s, N, where, where));
        CHECK_INT(refused[i].call(s), -ENOTSUP);
        CHECK_STR(yoke_device_error(dev), refused[i].text);
        CHECK_INT(yoke_enqueue(s, count_up, N, where), -ENOTSUP); /* no use to go on */
        CHECK_INT(yoke_stream_copy(s, where, where + 10, 20), -ENOTSUP);
        CHECK_INT(yoke_stream_fill(s, where, &(int32_t){9}, 4, 4), -ENOTSUP);
        CHECK_INT(yoke_stream_sort(s, N, where), -ENOTSUP);
        CHECK_INT(yoke_stream_record_end(s, &g), -ENOTSUP);
        CHECK_STR(yoke_device_error(dev), refused[i].text);
        CHECK(g == (yoke_graph *)where);
        CHECK_INT(yoke_stream_record_end(s, &g), -EINVAL);
        CHECK_STR(yoke_device_error(dev), "the stream does not record");
        CHECK_INT(yoke_reduction(s, total, N, where), 4 * N); /* nothing of it was done */
    }
    yoke_graph_close(other_graph);
    yoke_stream_event_close(event);
    yoke_device_free(dev, where);
    CHECK_INT(blocks_of(dev), before);
}

TEST_LIMIT(what_cannot_be_recorded_is_refused, 120)
{
    on_every_device(check_refused);
}

static void check_errors(yoke_device *dev, yoke_stream *s)
{
    yoke_graph *g = NULL;
    int32_t *x = yoke_device_alloc(dev, 400), here[10];
    CHECK_INT(yoke_stream_replay(s, NULL), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "replay: there is no graph");
    CHECK_INT(yoke_stream_wait(s), -EINVAL); /* as after any call that was refused */
    CHECK_INT(yoke_stream_record(NULL), -EINVAL);
    CHECK_INT(yoke_stream_record_end(NULL, &g), -EINVAL);
    CHECK_INT(yoke_stream_replay(NULL, NULL), -EINVAL);
    DONE(s, yoke_stream_record(s)); /* a call that was wrong: the graph would lack it */
    CHECK_INT(yoke_stream_fill(s, x, &(int32_t){0}, 3, 1), -EINVAL);
    CHECK_INT(yoke_enqueue(s, count_up, 100, x), -EINVAL);
    CHECK_INT(yoke_stream_record_end(s, &g), -EINVAL);
    CHECK_HAS(yoke_device_error(dev), "fill: 1 elements of 3 bytes");
    if (!dev->info.shares_host_memory) {
        DONE(s, yoke_stream_record(s));
        CHECK_INT(yoke_enqueue(s, count_up, 10, here), -EFAULT);
        CHECK_INT(yoke_stream_record_end(s, &g), -EFAULT);
    }
    DONE(s, yoke_stream_record(s));
    CHECK(yoke_stream_alloc(s, SIZE_MAX / 2) == NULL);
    CHECK_INT(yoke_stream_record_end(s, &g), -ENOMEM);
    CHECK_HAS(yoke_device_error(dev), "more than any device has");
    DONE(s, yoke_stream_record(s));
    DONE(s, yoke_enqueue(s, count_up, 100, x));
    DONE(s, yoke_stream_record_end(s, &g));
    yoke_device *other = yoke_device_open("cpu:2");
    yoke_stream *t = yoke_stream_open(other);
    CHECK_INT(yoke_stream_replay(t, g), -EINVAL);
    CHECK_HAS(yoke_device_error(other), "the graph was recorded on another device");
    CHECK_INT(yoke_stream_wait(t), -EINVAL);
    CHECK_INT(yoke_device_close(other), 0);
    yoke_device_free(dev, x);
    yoke_graph_close(g);
}

TEST_LIMIT(errors_say_what_is_wrong, 120)
{
    on_every_device(check_errors);
}

/* Left open: a recording, whose stream and device are closed, and graphs. */
TEST_LIMIT(what_is_left_open_is_closed, 120)
{
    for (unsigned i = 0; i < yoke_device_count(); i++) {
        yoke_device_info info;
        CHECK_INT(yoke_device_at(i, &info), 0);
        yoke_device *dev = yoke_device_open(info.uri);
        yoke_stream *s = yoke_stream_open(dev), *t = yoke_stream_open(dev);
        if (!s)
            continue;
        int32_t *x = yoke_device_alloc(dev, 400), *y;
        yoke_graph *g;
        DONE(s, yoke_stream_record(s));
        DONE(s, yoke_stream_sum(s, 100, x, x));
        DONE(s, yoke_stream_record_end(s, &g));
        DONE(s, yoke_stream_replay(s, g));
        DONE(s, yoke_stream_record(s));
        y = yoke_stream_alloc(s, 1000);
        DONE(s, yoke_stream_sum(s, 100, x, y));
        yoke_stream_free(s, y);
        CHECK_INT(yoke_stream_close(s), 0);
        DONE(t, yoke_stream_record(t));
        DONE(t, yoke_stream_scan(t, 100, x, x));
        CHECK_INT(yoke_device_close(dev), 0);
    }
}

static void check_want_of_memory(yoke_device *dev, yoke_stream *s)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc", "posix_memalign"};
    const uint64_t before = blocks_of(dev);
    int32_t *x = yoke_device_alloc(dev, N * 4), *sum = yoke_device_alloc(dev, 64);
    DONE(s, yoke_stream_fill(s, x, &(int32_t){1}, 4, N));
    DONE(s, yoke_stream_sort(s, N, x)); /* has been built */
    DONE(s, yoke_enqueue(s, count_up, N, x));
    DONE(s, yoke_stream_wait(s));
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++)
        for (int n = 1;; n++) {
            yoke_graph *g = NULL;
            yk_sys_fail(calls[i], n, ENOMEM);
            int err = yoke_stream_record(s);
            if (err == 0) {
                void *y = yoke_stream_alloc(s, 30000);
                yoke_stream_copy(s, x, x + 10, 20);
                yoke_enqueue(s, count_up, N, x);
                yoke_stream_sort(s, N, x);
                yoke_stream_free(s, y);
                yoke_stream_free(s, sum);
                err = yoke_stream_record_end(s, &g);
            }
            bool reached = yk_sys_fail(calls[i], 0, 0) >= n;
            CHECK(err == 0 || err == -ENOMEM);
            CHECK(err == 0 ? g != NULL : !g && reached && *yoke_device_error(dev));
            yoke_graph_close(g);
            if (blocks_of(dev) == before + 1)
                sum = yoke_device_alloc(dev, 64);
            CHECK_INT(blocks_of(dev), before + 2); /* x and sum */
            yoke_device_trim(dev);
            if (!reached)
                break;
        }
    yoke_device_free(dev, x);
    yoke_device_free(dev, sum);
}

TEST_LIMIT(the_host_may_run_out_of_memory, 300)
{
    on_every_device(check_want_of_memory);
}

/* ---- Arrays ---- */

static yoke_array *half_of_sum(yoke_array *a, yoke_array *b)
{
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *half = yoke_array_div(yoke_array_add(a, b), yoke_number(2));
    return yoke_array_end(&scope, half);
}

static void check_arrays(yoke_device *dev, yoke_stream *s)
{
    float x[100], y[100], there[100];
    yoke_array *a = yoke_array_zeros(s, YOKE_F32, yoke_shape(100)), *b = yoke_array_ones(s, YOKE_F32, yoke_shape(100));
    yoke_graph *g = NULL;
    DONE(s, yoke_stream_record(s));
    yoke_array *half = half_of_sum(a, b);
    if (!dev->driver->build) {
        CHECK(!half);
        CHECK_HAS(yoke_device_error(dev), "arrays of the CPU cannot be recorded");
        CHECK_INT(yoke_stream_record_end(s, &g), -ENOTSUP);
    } else {
        CHECK(half);
        DONE(s, yoke_stream_record_end(s, &g));
        overwrite_all_that_is_free(dev, s);
        for (int r = 1; r < 4; r++) {
            for (int i = 0; i < 100; i++) {
                x[i] = (float)(i * r);
                y[i] = (float)(i + r);
            }
            DONE(s, yoke_stream_copy(s, a->data, x, sizeof x));
            DONE(s, yoke_stream_copy(s, b->data, y, sizeof y));
            DONE(s, yoke_stream_replay(s, g));
            DONE(s, yoke_stream_copy(s, there, half->data, sizeof there));
            DONE(s, yoke_stream_wait(s));
            for (int i = 0; i < 100; i++)
                CHECK(there[i] == (x[i] + y[i]) / 2);
        }
    }
    yoke_graph_close(g);
    yoke_array_free(half);
    yoke_array_free(a);
    yoke_array_free(b);
}

TEST_LIMIT(operations_on_arrays_are_recorded, 120)
{
    on_every_device(check_arrays);
}

static void check_two_streams(yoke_device *dev, yoke_stream *s)
{
    yoke_stream *t = yoke_stream_open(dev);
    yoke_array *a = yoke_array_ones(s, YOKE_F32, yoke_shape(100)), *b = yoke_array_ones(t, YOKE_F32, yoke_shape(100));
    yoke_graph *g = NULL;
    DONE(s, yoke_stream_record(s));
    CHECK(yoke_array_add(a, b) == NULL);
    CHECK_HAS(yoke_device_error(dev), dev->driver->build ? "work on arrays of two streams" : "arrays of the CPU");
    CHECK_INT(yoke_stream_record_end(s, &g), -ENOTSUP);
    yoke_array_free(a);
    yoke_array_free(b);
    yoke_stream_close(t);
}

TEST_LIMIT(arrays_of_two_streams_are_not, 120)
{
    on_every_device(check_two_streams);
}
