/* memory.c - the pool of a device's memory: classes, what is had again and by whom, and want of memory. Over a driver of the
 * test's own whose streams are as far as the test says. */
#include "gpu/graph.h"
#include "test.h"
#include <yoke.h>

TEST(classes_fit_and_waste_little)
{
    for (size_t size = 0; size < 3000000; size += size / 50 + 1) {
        unsigned class = yk_size_class(size);
        CHECK(yk_class_size(class) >= size);
        CHECK(size <= 512 || yk_class_size(class) - size <= size / 16);
        CHECK_INT(yk_size_class(yk_class_size(class)), class);
        CHECK_INT(yk_class_size(class) % 32, 0);
    }
    CHECK_INT(yk_class_size(yk_size_class(0)), 512);
    CHECK(yk_class_size(yk_size_class((size_t)1 << 62)) == (size_t)1 << 62);
}

/* ---- A driver whose streams end when the test says so ---- */

static bool busy[8];         /* by number of the stream; native - 1 */
static size_t left, taken;   /* bytes that the driver still has; bytes handed out */
static int waits, orders;    /* of the host; of one stream for another */
static size_t model_most;    /* in one piece; 0: no limit */
static size_t spread;        /* 0, or blocks lie so far apart, at multiples of that */

static int model_count(yk_error *e) { return 1; }
static void model_describe(unsigned i, yoke_device_info *ret) { memcpy(ret->uri, "model", 6); }
static int model_open(yoke_device *d, unsigned i, yk_error *e) { return 0; }
static void model_close(yoke_device *d) {}

static int model_take(yoke_device *d, yk_span *span, yk_error *e)
{
    if (span->size > left || (model_most && span->size > model_most))
        return yk_errorf(e, ENOMEM, "the model has %zu bytes", left);
    left -= span->size;
    taken += span->size;
    void *p = NULL;
    if (spread) /* nobody touches it */
        p = (void *)(taken / span->size * spread);
    else
        CHECK_INT(posix_memalign(&p, 256, span->size), 0);
    span->base = p;
    return 0;
}

static void model_give(yoke_device *d, yk_span *span)
{
    left += span->size;
    taken -= span->size;
    if (!spread)
        free(span->base);
}

static int model_stream_wait(yoke_stream *s, yk_error *e)
{
    waits += busy[(size_t)s->native];
    busy[(size_t)s->native] = false;
    return 0;
}

static int tries; /* questions whether a stream is idle */
static int model_stream_try(yoke_stream *s, yk_error *e) { return tries++, busy[(size_t)s->native] ? -EAGAIN : 0; }
static int model_event_open(yoke_stream_event *v, yk_error *e) { return 0; }
static void model_event_close(yoke_stream_event *v) {}
static int64_t marks[8], come_to[8]; /* by number of the stream: those in it, and those that it has come past though it is busy */
static int model_event_mark(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    v->native = s->native;
    v->at = ++marks[(size_t)s->native];
    return 0;
}
static int model_event_try(yoke_stream_event *v, yk_error *e)
{
    return busy[(size_t)v->native] && come_to[(size_t)v->native] < v->at ? -EAGAIN : 0;
}
static int model_event_wait(yoke_stream_event *v, yk_error *e)
{
    waits += busy[(size_t)v->native];
    busy[(size_t)v->native] = false;
    return 0;
}
static int model_event_after(yoke_stream *s, yoke_stream_event *v, yk_error *e)
{
    orders++;
    return 0;
}
static int model_stream_open(yoke_stream *s, yk_error *e) { return 0; }
static void model_stream_close(yoke_stream *s) {}

static const yk_gpu_driver model = {
    .name = "model", .count = model_count, .describe = model_describe, .open = model_open, .close = model_close,
    .take = model_take, .give = model_give, .stream_open = model_stream_open, .stream_close = model_stream_close,
    .stream_wait = model_stream_wait, .stream_try = model_stream_try, .event_open = model_event_open,
    .event_close = model_event_close, .event_mark = model_event_mark, .event_wait = model_event_wait,
    .event_try = model_event_try,
    .event_after = model_event_after};

static yoke_device device;

static void begin(size_t bytes)
{
    left = bytes;
    device = (yoke_device){.driver = &model, .opened = true,
                           .fork_generation = atomic_load(&yk_fork_generation)};
    memcpy(device.info.uri, "model", 6);
    device.memory = yk_memory_open(&device);
}

static yoke_stream *stream(size_t number)
{
    yoke_stream *s = yoke_stream_open(&device);
    s->native = (void *)number;
    return s;
}

static void end(void)
{
    yk_streams_close(&device);
    yk_memory_close(device.memory);
    CHECK_INT(taken, 0);
}

TEST(a_stream_has_its_own_memory_again_at_once)
{
    begin(1 << 20);
    yoke_stream *s = stream(1);
    void *x = yoke_stream_alloc(s, 1000);
    busy[1] = true;
    yoke_stream_free(s, x);
    CHECK(yoke_stream_alloc(s, 1000) == x);
    CHECK_INT(waits + orders, 0);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
    CHECK_INT(stats.allocs, 2);
    CHECK_INT(stats.reused, 1);
    CHECK_INT(stats.blocks, 1);
    CHECK_INT(stats.used, yk_class_size(yk_size_class(1000)));
    CHECK_INT(stats.held, stats.used);
    end();
}

TEST(another_stream_gets_other_memory_while_there_is_some)
{
    begin(1 << 20);
    yoke_stream *s = stream(1), *t = stream(2);
    void *x = yoke_stream_alloc(s, 1000);
    busy[1] = true;
    yoke_stream_free(s, x);
    void *y = yoke_stream_alloc(t, 1000);
    CHECK(y != x);
    CHECK_INT(waits + orders, 0);
    busy[1] = false; /* s has come past it */
    CHECK(yoke_stream_alloc(t, 1000) == x);
    CHECK_INT(waits + orders, 0);
    end();
}

TEST(when_there_is_none_it_waits_in_its_stream)
{
    begin(yk_class_size(yk_size_class(1000)));
    yoke_stream *s = stream(1), *t = stream(2);
    void *x = yoke_stream_alloc(s, 1000);
    busy[1] = true;
    yoke_stream_free(s, x);
    CHECK(yoke_stream_alloc(t, 1000) == x);
    CHECK_INT(orders, 1);
    CHECK_INT(waits, 0);
    end();
}

TEST(outside_of_streams_only_what_nobody_uses)
{
    begin(2 * yk_class_size(yk_size_class(1000)));
    yoke_stream *s = stream(1);
    void *x = yoke_device_alloc(&device, 1000);
    busy[1] = true;
    yoke_device_free(&device, x); /* s may use it still */
    void *y = yoke_device_alloc(&device, 1000);
    CHECK(y != x);
    CHECK_INT(waits, 0);
    CHECK(yoke_device_alloc(&device, 1000) == x); /* the last there is: waits */
    CHECK_INT(waits, 1);
    (void)s;
    end();
}

TEST(what_is_kept_goes_back_before_want)
{
    begin(1 << 20);
    void *x = yoke_device_alloc(&device, 1 << 19), *y = yoke_device_alloc(&device, 1 << 18);
    CHECK(x && y);
    yoke_device_free(&device, x);
    yoke_device_free(&device, y);
    void *z = yoke_device_alloc(&device, (1 << 20) - 600); /* needs both */
    CHECK(z != NULL);
    CHECK(yoke_device_alloc(&device, 1 << 19) == NULL);
    CHECK_HAS(yoke_device_error(&device), "no 524288 bytes left on model: 1048576 are in use in 1 blocks (the model has 0 ");
    yoke_device_free(&device, z);
    CHECK(taken > 0);
    CHECK_INT(yoke_device_trim(&device), 0);
    CHECK_INT(taken, 0);
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
    CHECK_INT(stats.held, 0);
    CHECK_INT(stats.used, 0);
    CHECK_INT(stats.used_most, 1 << 20);
    end();
}

TEST(a_closed_stream_leaves_its_memory_to_all)
{
    begin(1 << 20);
    yoke_stream *s = stream(1);
    void *x = yoke_stream_alloc(s, 1000);
    busy[1] = true;
    yoke_stream_free(s, x);
    CHECK_INT(yoke_stream_close(s), 0);
    CHECK_INT(waits, 1); /* the close */
    CHECK(yoke_device_alloc(&device, 1000) == x);
    CHECK_INT(waits, 1);
    end();
}

/* Addresses that are alike in many bits. Time for each must not grow with how many there are. */
TEST_LIMIT(many_blocks_are_freed_quickly, 600)
{
    enum { BLOCKS = 40000 };
    static void *blocks[BLOCKS];
    int64_t each[2];
    spread = (size_t)256 << 10;
    begin((size_t)BLOCKS << 12);
    for (int round = 0; round < 2; round++) {
        size_t n = round == 0 ? BLOCKS / 10 : BLOCKS;
        for (size_t i = 0; i < n; i++)
            CHECK((blocks[i] = yoke_device_alloc(&device, 2048)) != NULL);
        int64_t begun = yoke_now();
        for (size_t i = 0; i < n; i++)
            yoke_device_free(&device, blocks[i]);
        each[round] = (yoke_now() - begun) / (int64_t)n;
    }
    if (each[1] > 5 * each[0] + 2000)
        test_fail(__FILE__, __LINE__, "%lld ns for each of 4000, %lld ns for each of 40000", (long long)each[0],
                  (long long)each[1]);
    end();
}

/* Even where its class is of larger blocks. */
TEST(the_largest_piece_can_be_had)
{
    static const size_t most[] = {100000, 512, 100, 1 << 16};
    for (size_t i = 0; i < YK_COUNT_OF(most); i++) {
        begin(1 << 20);
        device.info.largest = most[i];
        model_most = most[i];
        void *x = yoke_device_alloc(&device, most[i]);
        CHECK_STR(yoke_device_error(&device), "");
        CHECK(x && yk_span_of(x)->size == most[i]);
        yoke_device_free(&device, x);
        CHECK(yoke_device_alloc(&device, most[i] - 1) == x);
        void *kept = yoke_device_alloc(&device, 50);
        yoke_device_free(&device, kept);
        size_t held = taken;
        CHECK(!yoke_device_alloc(&device, most[i] + 1));
        CHECK_HAS(yoke_device_error(&device), "in one piece");
        CHECK_INT(taken, held); /* not for want of memory */
        end();
    }
    model_most = 0;
}

TEST(a_busy_stream_is_asked_once_for_all_its_blocks)
{
    enum { BLOCKS = 400 };
    static void *blocks[BLOCKS];
    begin(1 << 22);
    yoke_stream *s = stream(1), *t = stream(2);
    for (int outside = 0; outside < 2; outside++) {
        for (int i = 0; i < BLOCKS; i++)
            blocks[i] = yoke_stream_alloc(s, 1000);
        busy[1] = true;
        for (int i = 0; i < BLOCKS; i++) {
            if (outside)
                yoke_device_free(&device, blocks[i]);
            else
                yoke_stream_free(s, blocks[i]);
        }
        tries = 0;
        for (int i = 0; i < BLOCKS; i++) {
            void *p = blocks[i];
            CHECK((blocks[i] = yoke_stream_alloc(t, 1000)) != NULL && blocks[i] != p);
        }
        CHECK(tries <= 4 * BLOCKS);
        busy[1] = false; /* and the answer is not taken for the next search */
        void *had = yoke_stream_alloc(t, 1000);
        yoke_device_memory stats;
        CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
        CHECK(had && stats.held == 2 * (size_t)BLOCKS * yk_class_size(yk_size_class(1000)));
        yoke_stream_free(t, had);
        for (int i = 0; i < BLOCKS; i++)
            yoke_stream_free(t, blocks[i]);
        CHECK_INT(yoke_device_trim(&device), 0);
    }
    CHECK_INT(waits + orders, 0);
    end();
}

static size_t held_now(void)
{
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
    return stats.held;
}

/* All were free when the stream was idle for a moment: so they are later, when it is busy with something else. */
TEST(one_moment_of_idleness_frees_all_blocks)
{
    enum { BLOCKS = 100 };
    void *blocks[BLOCKS];
    begin(1 << 22);
    stream(1);
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = yoke_device_alloc(&device, 1000);
    busy[1] = true;
    for (int i = 0; i < BLOCKS; i++)
        yoke_device_free(&device, blocks[i]);
    size_t held = held_now();
    busy[1] = false;
    CHECK(yoke_device_alloc(&device, 1000) != NULL);
    busy[1] = true;
    for (int i = 1; i < BLOCKS; i++)
        CHECK(yoke_device_alloc(&device, 1000) != NULL);
    CHECK_INT(held_now(), held);
    CHECK_INT(waits + orders, 0);
    end();
}

/* Each round frees what the rounds after it may still use; the streams are ten rounds behind, and never idle. */
TEST(streams_that_are_never_idle_come_past_what_was_freed)
{
    enum { ROUNDS = 10000, BEHIND = 10 };
    int64_t after[ROUNDS]; /* marks in stream 1 after each round */
    begin(1 << 22);
    stream(1);
    stream(2);
    busy[1] = busy[2] = true;
    void *block = yoke_device_alloc(&device, 1000);
    for (int r = 0; r < ROUNDS; r++) {
        yoke_device_free(&device, block);
        block = yoke_device_alloc(&device, 1000);
        CHECK(block != NULL);
        after[r] = marks[1];
        if (r >= BEHIND)
            come_to[1] = come_to[2] = after[r - BEHIND];
    }
    CHECK(held_now() <= (size_t)3 * (BEHIND + 2) * yk_class_size(yk_size_class(1000)));
    CHECK_INT(waits + orders, 0);
    busy[1] = busy[2] = false;
    end();
}

/* Each finds its like by its class, and itself by its address. */
TEST_LIMIT(a_recording_of_many_blocks, 60)
{
#ifdef __SANITIZE_THREAD__
    enum { BLOCKS = 1000 }; /* which takes two minutes for thirty times as many */
#else
    enum { BLOCKS = 30000 };
#endif
    static void *blocks[BLOCKS];
    begin((size_t)1 << 40);
    spread = 1 << 20;
    yoke_stream *s = stream(1);
    yoke_graph *g;
    CHECK_INT(yoke_stream_record(s), 0);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < BLOCKS; i++)
            CHECK((blocks[i] = yoke_stream_alloc(s, (size_t)(i % 2 ? 1000 : 1024 - 3 * turn))) != NULL);
        for (int i = 0; i < BLOCKS; i++)
            yoke_stream_free(s, blocks[(i + BLOCKS / 3) % BLOCKS]);
    }
    CHECK_INT(held_now(), (size_t)BLOCKS * 1024); /* the second and third had what the first freed */
    yoke_stream_free(s, blocks[7]);
    CHECK_HAS(s->recording->error.text, "freed twice");
    CHECK(yoke_stream_record_end(s, &g) < 0);
    end();
    spread = 0;
}

TEST(only_the_beginning_of_a_used_block_is_freed)
{
    begin(1 << 20);
    yoke_device other = {.driver = &model, .opened = true, .fork_generation = device.fork_generation};
    other.memory = yk_memory_open(&other);
    char *x = yoke_device_alloc(&device, 1000), *y = yoke_device_alloc(&device, 1000), *z = yoke_device_alloc(&device, 1000);
    char *wrong[] = {x + 1, x - 1, (char *)&other, y};
    yoke_device_free(&device, y);
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        memset(&device.error, 0, sizeof device.error);
        yoke_device_free(&device, wrong[i]);
        CHECK_HAS(yoke_device_error(&device), "freed twice, or not its beginning");
    }
    yoke_device_free(&other, x);
    CHECK_HAS(yoke_device_error(&other), "freed twice, or not its beginning");
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
    CHECK_INT(stats.blocks, 2);
    yoke_device_free(&device, x);
    yoke_device_free(&device, z);
    yk_memory_close(other.memory);
    end();
}

/* No two that are in use overlap, whatever the order; against a plain list. */
TEST(random_use)
{
    enum { SLOTS = 64, STREAMS = 4 };
    begin(1 << 22);
    yoke_stream *streams[STREAMS];
    for (size_t i = 0; i < STREAMS; i++)
        streams[i] = stream(i);
    struct {
        char *p;
        size_t size;
        size_t stream;
    } slots[SLOTS] = {{0}};
    size_t used = 0;
    for (int round = 0; round < 20000; round++) {
        size_t i = test_random() % SLOTS, at = test_random() % STREAMS;
        busy[test_random() % STREAMS] = test_random() % 2;
        if (slots[i].p) {
            for (size_t k = 0; k < slots[i].size; k++)
                CHECK_INT(slots[i].p[k], (char)i);
            yoke_stream_free(streams[at], slots[i].p);
            used--;
            slots[i].p = NULL;
        } else {
            slots[i].size = test_random() % 5000 + 1;
            slots[i].p = yoke_stream_alloc(streams[at], slots[i].size);
            CHECK(slots[i].p != NULL);
            memset(slots[i].p, (int)i, slots[i].size);
            used++;
        }
    }
    yoke_device_memory stats;
    CHECK_INT(yoke_device_memory_stats(&device, &stats), 0);
    CHECK_INT(stats.blocks, used);
    CHECK_INT(stats.held, taken);
    end();
}
