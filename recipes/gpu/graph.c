/* How do you make many small launches cheap?
 *
 * Use it when the same short steps come again and again, as in a simulation of few cells, and the host spends more time on
 * the calls than the device on the work. The steps are recorded once, as a graph, and replayed: one call for all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>
#include <yoke/kernel.h>
#include <yoke/primitive.h>

enum { CELLS = 512, STEPS = 50, ROUNDS = 20 };

/* Heat flows to the neighbours; the ends are kept as they are. */
YOKE_KERNEL(flow, ((in, float, from), (out, float, to)),
            to[i] = i == 0 || i == n - 1 ? from[i] : from[i] + 0.25f * (from[i - 1] - 2 * from[i] + from[i + 1]);)

static void check(yoke_device *dev, int err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", yoke_device_error(dev));
        exit(1);
    }
}

/* STEPS steps, and the sum of all cells. */
static int put_steps(yoke_stream *s, float *a, float *b, float *sum)
{
    for (int step = 0; step < STEPS; step += 2)
        if (yoke_enqueue(s, flow, CELLS, a, b) < 0 || yoke_enqueue(s, flow, CELLS, b, a) < 0)
            return -1;
    return yoke_stream_sum(s, CELLS, a, sum);
}

static double microseconds(int64_t start)
{
    return (double)(yoke_now() - start) / 1e3 / ROUNDS / STEPS;
}

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    float hot[CELLS] = {100}, called, replayed;
    float *a = yoke_device_alloc(dev, sizeof hot), *b = yoke_device_alloc(dev, sizeof hot), *sum = yoke_device_alloc(dev, 4);
    yoke_graph *g;
    check(dev, yoke_device_status(dev));
    check(dev, put_steps(s, a, b, sum)); /* compiles the kernels */

    check(dev, yoke_stream_copy(s, a, hot, sizeof hot));
    int64_t start = yoke_now();
    for (int round = 0; round < ROUNDS; round++)
        check(dev, put_steps(s, a, b, sum));
    check(dev, yoke_stream_copy(s, &called, sum, sizeof called));
    check(dev, yoke_stream_wait(s));
    printf("each step called: %.2f us a step\n", microseconds(start));

    check(dev, yoke_stream_record(s)); /* from here on the stream takes notes */
    check(dev, put_steps(s, a, b, sum));
    check(dev, yoke_stream_record_end(s, &g));

    check(dev, yoke_stream_copy(s, a, hot, sizeof hot));
    start = yoke_now();
    for (int round = 0; round < ROUNDS; round++)
        check(dev, yoke_stream_replay(s, g));
    check(dev, yoke_stream_copy(s, &replayed, sum, sizeof replayed));
    check(dev, yoke_stream_wait(s));
    printf("replayed:         %.2f us a step\n", microseconds(start));
    printf("the same heat: %s\n", called == replayed && called > 100 ? "yes" : "no");
    yoke_graph_close(g);
    return yoke_device_close(dev) < 0;
}
