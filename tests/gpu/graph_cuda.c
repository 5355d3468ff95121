/* graph_cuda.c - recorded work on the CUDA driver that is none: a replay is one launch; older drivers; every call fails once;
 * a device that is lost in a graph; memory of graphs, threads that record. */
#include "cuda_run.h"
#include "gpu/graph.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/kernel.h>
#include <yoke/primitive.h>

YOKE_KERNEL(scale_it, ((val, float, factor), (inout, float, x)), x[i] *= factor;)

enum { N = 256 };
static fake_cuda *the_fake;

/* Its parameters: where to begin and end, n, and those that were named. */
static const size_t scale_sizes[] = {8, 8, 8, 4, 8, 0};
static void scale_them(const fake_launch *l)
{
    long from = *(long *)l->args[0], to = *(long *)l->args[1];
    float factor = *(float *)l->args[3], *x = *(float **)l->args[4];
    for (long i = from; i < to; i++)
        x[i] *= factor;
}

/* As device/reduce.cuda has it, by one thread: x, n, partial results, a counter that is 0 before and after, the sum. */
static const size_t reduce_sizes[] = {8, 8, 8, 8, 8, 0};
static void *_Atomic last_counter, *_Atomic last_partials;
static void reduce_them(const fake_launch *l)
{
    float *x = *(float **)l->args[0], *out = *(float **)l->args[4], sum = 0;
    uint64_t n = *(uint64_t *)l->args[1];
    uint32_t *counter = *(uint32_t **)l->args[3];
    last_partials = *(void **)l->args[2];
    last_counter = counter;
    if (*counter != 0)
        sum = -1e9f;
    *counter = 1;
    for (uint64_t i = 0; i < n; i++)
        sum += x[i];
    *counter = 0;
    *out = sum;
}

static fake_cuda *use_it(const char *name)
{
    the_fake = fake_use(name);
    add_kernels(the_fake);
    the_fake->kernel("kernel_scale_it", scale_them, scale_sizes);
    the_fake->kernel("yk_reduce", reduce_them, reduce_sizes);
    return the_fake;
}

typedef struct scene {
    yoke_device *dev;
    yoke_stream *s;
    float *x, *sum, up[N], down[N], total;
    yoke_graph *g;
} scene;

/* x goes up, is scaled, filled in part and added up, and comes down. */
static int record(scene *c)
{
    int err = yoke_stream_record(c->s);
    if (err < 0)
        return err;
    void *meanwhile = yoke_stream_alloc(c->s, N * sizeof(float));
    yoke_stream_copy(c->s, meanwhile, c->up, sizeof c->up);
    yoke_stream_copy(c->s, c->x, meanwhile, sizeof c->up);
    yoke_stream_free(c->s, meanwhile);
    yoke_enqueue(c->s, scale_it, N, 2.0f, c->x);
    yoke_stream_fill(c->s, c->x, &(float){5}, 4, 2);
    yoke_stream_fill(c->s, c->x + 2, (float[]){1, 2}, 8, 1);
    yoke_stream_sum(c->s, N, c->x, c->sum);
    yoke_stream_copy(c->s, c->down, c->x, sizeof c->down);
    yoke_stream_copy(c->s, &c->total, c->sum, sizeof c->total);
    return yoke_stream_record_end(c->s, &c->g);
}

static int replay(scene *c, int round)
{
    float sum = 5 + 5 + 1 + 2;
    for (int i = 0; i < N; i++) {
        c->up[i] = (float)(i % 7 + round);
        sum += i < 4 ? 0 : 2 * c->up[i];
    }
    int err = yoke_stream_replay(c->s, c->g);
    err = err < 0 ? err : yoke_stream_wait(c->s);
    if (err < 0)
        return err;
    for (int i = 4; i < N; i++)
        CHECK(c->down[i] == 2 * c->up[i]);
    CHECK(c->down[0] == 5 && c->down[1] == 5 && c->down[2] == 1 && c->down[3] == 2);
    CHECK(c->total == sum);
    return 0;
}

static int scene_open(scene *c)
{
    memset(c, 0, sizeof *c);
    c->dev = yoke_device_open("cuda");
    int err = yoke_device_status(c->dev);
    if (err < 0)
        return err;
    c->s = yoke_stream_open(c->dev);
    c->x = c->s ? yoke_device_alloc(c->dev, N * sizeof(float)) : NULL;
    c->sum = c->x ? yoke_device_alloc(c->dev, sizeof(float)) : NULL;
    return c->sum ? 0 : yk_device_check(c->dev) < 0 ? yk_device_check(c->dev) : -ENOMEM;
}

static void scene_close(scene *c)
{
    yoke_graph_close(c->g);
    yoke_device_free(c->dev, c->x);
    yoke_device_free(c->dev, c->sum);
    yoke_stream_close(c->s);
    yoke_device_close(c->dev);
    check_nothing_left(the_fake);
}

TEST(a_graph_is_one_launch)
{
    fake_cuda *f = use_it("fake-cuda");
    scene c;
    CHECK_INT(scene_open(&c), 0);
    CHECK_INT(record(&c), 0);
    CHECK_INT(f->live().graphs, 1);
    f->fail(NULL, 0, 0);
    for (int r = 0; r < 10; r++)
        CHECK_INT(replay(&c, r), 0);
    CHECK_INT(f->calls("cuGraphLaunch"), 10);
    CHECK_INT(f->calls("cuLaunchKernel") + f->calls("cuMemcpyHtoDAsync") + f->calls("cuMemcpyDtoHAsync"), 0);
    CHECK_INT(f->calls("cuMemsetD32Async") + f->calls("cuMemcpyDtoDAsync") + f->calls("cuMemAlloc"), 0);
    CHECK_INT(f->calls("cuStreamBeginCapture") + f->calls("cuStreamCreate"), 0);
    scene_close(&c);
}

static void replay_as_a_list(fake_cuda *f)
{
    scene c;
    CHECK_INT(scene_open(&c), 0);
    CHECK_INT(record(&c), 0);
    CHECK_INT(f->live().graphs, 0);
    f->fail(NULL, 0, 0);
    for (int r = 0; r < 10; r++)
        CHECK_INT(replay(&c, r), 0);
    CHECK_INT(f->calls("cuGraphLaunch"), 0);
    CHECK_INT(f->calls("cuLaunchKernel"), 30); /* one of them fills */
    scene_close(&c);
}

TEST(a_driver_without_graphs_gets_the_commands)
{
    replay_as_a_list(use_it("fake-cuda-11.0"));
}

TEST(so_does_one_that_cannot_capture_them)
{
    static const char *const calls[] = {"cuStreamBeginCapture", "cuStreamEndCapture", "cuLaunchKernel",
                                        "cuGraphInstantiateWithFlags"};
    fake_cuda *f = use_it("fake-cuda");
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++) {
        scene c;
        CHECK_INT(scene_open(&c), 0);
        f->fail(calls[i], 1, i % 2 ? 801 : 900);
        CHECK_INT(record(&c), 0);
        CHECK_STR(f->failed(), calls[i]);
        CHECK_INT(f->live().graphs, 0);
        for (int r = 0; r < 3; r++)
            CHECK_INT(replay(&c, r), 0);
        scene_close(&c);
    }
}

/* Whatever fails: want of memory is tried once more, with what the pool gave back. */
TEST(so_does_one_that_fails_at_it)
{
    static const char *const calls[] = {"cuStreamCreate", "cuStreamBeginCapture", "cuStreamEndCapture", "cuLaunchKernel",
                                        "cuGraphInstantiateWithFlags"};
    static const int results[] = {1, 2, 999};
    fake_cuda *f = use_it("fake-cuda");
    for (size_t i = 0; i < YK_COUNT_OF(calls) * YK_COUNT_OF(results); i++) {
        scene c;
        const int result = results[i % YK_COUNT_OF(results)];
        CHECK_INT(scene_open(&c), 0);
        f->fail(calls[i / YK_COUNT_OF(results)], 1, result);
        CHECK_INT(record(&c), 0);
        CHECK_STR(f->failed(), calls[i / YK_COUNT_OF(results)]);
        CHECK_INT(f->live().graphs, result == 2);
        for (int r = 0; r < 3; r++)
            CHECK_INT(replay(&c, r), 0);
        scene_close(&c);
    }
}

/* The counter of a stream's sums is none of a graph's, which may be put in other streams. */
TEST(a_sum_in_a_graph_has_a_counter_of_its_own)
{
    use_it("fake-cuda");
    scene c;
    CHECK_INT(scene_open(&c), 0);
    CHECK_INT(yoke_stream_fill(c.s, c.x, &(float){1}, 4, N), 0);
    CHECK_INT(yoke_stream_sum(c.s, N, c.x, c.sum), 0);
    CHECK_INT(yoke_stream_wait(c.s), 0);
    void *of_stream = last_counter;
    CHECK_INT(record(&c), 0);
    CHECK_INT(replay(&c, 1), 0);
    void *of_graph = last_counter, *partials = last_partials;
    CHECK(of_graph != of_stream);
    CHECK_INT(yoke_stream_sum(c.s, N, c.x, c.sum), 0);
    CHECK_INT(yoke_stream_wait(c.s), 0);
    CHECK(last_counter == of_stream && last_partials != partials);
    scene_close(&c);
}

/* Streams stand still; the graph is closed, and whoever asks for memory gets none that it uses. */
TEST(what_a_closed_graph_uses_yet_is_not_handed_out)
{
    fake_cuda *f = use_it("fake-cuda");
    scene c;
    CHECK_INT(scene_open(&c), 0);
    CHECK_INT(record(&c), 0);
    CHECK_INT(replay(&c, 3), 0);
    void *partials = last_partials, *counter = last_counter;
    f->hold(true);
    CHECK_INT(yoke_stream_replay(c.s, c.g), 0);
    yoke_graph_close(c.g);
    c.g = NULL;
    yoke_stream *t = yoke_stream_open(c.dev);
    for (size_t size = 64; size <= 8192; size *= 2)
        for (int i = 0; i < 4; i++) {
            void *p = i % 2 ? yoke_stream_alloc(t, size) : yoke_device_alloc(c.dev, size);
            CHECK(p && p != partials && p != counter);
        }
    f->hold(false);
    CHECK_INT(yoke_stream_wait(c.s), 0);
    CHECK(c.down[10] == 2 * c.up[10]);
    scene_close(&c);
}

static void die(const fake_launch *l)
{
    (void)l;
    the_fake->fault(700);
}

TEST(a_graph_whose_kernel_dies_names_its_kernels)
{
    fake_cuda *f = use_it("fake-cuda");
    f->kernel("kernel_scale_it", die, scale_sizes);
    scene c;
    CHECK_INT(scene_open(&c), 0);
    CHECK_INT(record(&c), 0);
    CHECK_INT(replay(&c, 1), -ENODEV);
    CHECK_HAS(yoke_device_error(c.dev), "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK_HAS(yoke_device_error(c.dev), "(last kernels, newest first: sum, scale_it)");
    CHECK_INT(yoke_stream_replay(c.s, c.g), -ENODEV);
    CHECK_INT(yoke_stream_record(c.s), -ENODEV);
    scene_close(&c);
}

/* A run in which the k-th call fails. False: there are not so many. */
static bool try_call(fake_cuda *f, int k, int result)
{
    scene c;
    f->fail(NULL, k, result);
    int err = scene_open(&c);
    err = err < 0 ? err : record(&c);
    CHECK(err == 0 || !c.g);
    for (int r = 0; r < 3 && err == 0; r++)
        err = replay(&c, r);
    bool reached = *f->failed();
    if (err < 0)
        CHECK(reached && strstr(yoke_device_error(c.dev), "cuda:"));
    scene_close(&c);
    return reached || *f->failed();
}

static void every_call_fails(int result)
{
    fake_cuda *f = use_it("fake-cuda");
    CHECK_STR(yoke_driver_error("cuda"), "");
    int k = 1;
    while (try_call(f, k, result))
        k++;
    CHECK(k > 90);
}

TEST(every_call_may_fail)
{
    every_call_fails(1);
}

TEST(every_call_may_want_memory)
{
    every_call_fails(2);
}

TEST(every_call_may_lose_the_device)
{
    every_call_fails(700);
}

TEST(every_call_may_not_be_captured)
{
    every_call_fails(900);
}

/* Many threads, each with a stream of its own, ask for memory all the time; none of them sees that another records. */
enum { THREADS = 4, ROUNDS = 60 };
static yoke_device *shared;

static void *record_and_replay(void *arg)
{
    scene *c = arg;
    for (int r = 0; r < ROUNDS; r++) {
        CHECK_INT(record(c), 0);
        for (int i = 0; i < 3; i++)
            CHECK_INT(replay(c, r + i), 0);
        yoke_graph_close(c->g);
        void *p = yoke_stream_alloc(c->s, 1024);
        CHECK_INT(yoke_stream_fill(c->s, p, &(uint32_t){0xcccccccc}, 4, 256), 0);
        yoke_stream_free(c->s, p);
    }
    c->g = NULL;
    return NULL;
}

TEST(threads_record_side_by_side)
{
    pthread_t threads[THREADS];
    static scene scenes[THREADS];
    fake_cuda *f = use_it("fake-cuda");
    shared = yoke_device_open("cuda");
    for (int i = 0; i < THREADS; i++) {
        scenes[i] = (scene){.dev = shared, .s = yoke_stream_open(shared), .x = yoke_device_alloc(shared, N * sizeof(float)),
                            .sum = yoke_device_alloc(shared, sizeof(float))};
        CHECK_INT(pthread_create(&threads[i], NULL, record_and_replay, &scenes[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(yoke_device_close(shared), 0);
    check_nothing_left(f);
}
