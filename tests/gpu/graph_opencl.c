/* graph_opencl.c - recorded work on PoCL behind a library that counts its calls and makes them fail: what a replay costs, and
 * that every failure of a call is one of the recording or the replay. */
#include "gpu/graph.h"
#include "opencl_run.h"
#include <errno.h>
#include <unistd.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(scale_it, ((val, float, factor), (inout, float, x)), x[i] *= factor;)

enum { N = 256 };

typedef struct scene {
    yoke_device *dev;
    yoke_stream *s;
    float *x, up[N], down[N];
    yoke_graph *g;
} scene;

static char cache[] = "/tmp/yoke-graph-XXXXXX";

static void use_opencl(void)
{
    use_fake(0);
    CHECK(mkdtemp(cache));
    setenv("YOKE_CACHE", cache, 1);
    yoke_device_count();
}

static void remove_cache(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", cache);
    CHECK_INT(system(command), 0);
}

/* One kernel alone, so that little is built. */
static int record_cl(scene *c)
{
    int err = yoke_stream_record(c->s);
    if (err < 0)
        return err;
    float *meanwhile = yoke_stream_alloc(c->s, N * sizeof(float));
    if (meanwhile) {
        yoke_stream_copy(c->s, meanwhile, c->up, sizeof c->up);
        yoke_enqueue(c->s, scale_it, N, 2.0f, meanwhile);
        yoke_stream_fill(c->s, meanwhile, &(float){5}, 4, 2);
        yoke_enqueue(c->s, scale_it, N, 3.0f, meanwhile);
        yoke_stream_copy(c->s, c->x, meanwhile, sizeof c->down);
        yoke_stream_copy(c->s, c->down, c->x, sizeof c->down);
        yoke_stream_free(c->s, meanwhile);
    }
    return yoke_stream_record_end(c->s, &c->g);
}

static int replay_cl(scene *c, int round)
{
    for (int i = 0; i < N; i++)
        c->up[i] = (float)(i + round);
    int err = yoke_stream_replay(c->s, c->g);
    err = err < 0 ? err : yoke_stream_wait(c->s);
    for (int i = 0; i < N && err == 0; i++)
        CHECK(c->down[i] == (i < 2 ? 15 : 6 * c->up[i]));
    return err;
}

static int run_cl(scene *c)
{
    memset(c, 0, sizeof *c);
    c->dev = yoke_device_open("opencl:0");
    int err = yoke_device_status(c->dev);
    c->s = err == 0 ? yoke_stream_open(c->dev) : NULL;
    c->x = c->s ? yoke_device_alloc(c->dev, N * sizeof(float)) : NULL;
    err = err < 0 ? err : c->x ? record_cl(c) : -ENOMEM;
    for (int r = 0; r < 3 && err == 0; r++)
        err = replay_cl(c, r);
    return err;
}

static void close_cl(scene *c)
{
    yoke_graph_close(c->g);
    yoke_device_free(c->dev, c->x);
    yoke_stream_close(c->s);
    yoke_device_close(c->dev);
    CHECK_INT(fake.live(), 0);
}

TEST(a_replay_sets_no_arguments)
{
    use_opencl();
    scene c;
    fake.fail("SetKernelArg", 0, 0);
    CHECK_INT(run_cl(&c), 0);
    CHECK_INT(fake.fail("SetKernelArg", 0, 0), 2 * 6); /* n three times, a value, memory of two; for each of two launches */
    CHECK_INT(replay_cl(&c, 5), 0);
    CHECK_INT(fake.fail("EnqueueNDRangeKernel", 0, 0), 0);
    CHECK_INT(replay_cl(&c, 6), 0);
    CHECK_INT(fake.fail(NULL, 0, 0), 2);
    CHECK_INT(replay_cl(&c, 7), 0);
    int calls = fake.fail(NULL, 0, 0); /* two launches, a fill, three copies, and the wait; how the two of the host ended */
    if (calls > 9 + 2 * 2)
        test_fail(__FILE__, __LINE__, "%d calls for a replay of 6 commands", calls);
    close_cl(&c);
    remove_cache();
}

static void every_call_of_opencl_fails(int32_t code)
{
    use_opencl();
    scene c;
    CHECK_INT(run_cl(&c), 0); /* what is kept is there */
    close_cl(&c);
    for (int k = 1;; k++) {
        fake.fail(NULL, k, code);
        int err = run_cl(&c);
        if (err < 0)
            CHECK_HAS(yoke_device_error(c.dev), "opencl");
        if (err < 0 && c.g) { /* a replay may have put a part in the stream, which reads and writes memory of ours */
            fake.fail(NULL, 0, 0);
            yoke_stream_wait(c.s);
        }
        bool more = fake.fail(NULL, 0, 0) >= k || err < 0;
        close_cl(&c);
        if (!more)
            break;
        CHECK(k < 1000);
    }
    remove_cache();
}

TEST_LIMIT(every_call_of_opencl_may_fail, 300)
{
    every_call_of_opencl_fails(-5);
}

TEST_LIMIT(every_call_of_opencl_may_want_memory, 300)
{
    every_call_of_opencl_fails(-4);
}
