/* How do you make many small launches cheap?
 *
 * Use it when the same short steps come again and again, as in a simulation of few cells, and the host spends more time on
 * the calls than the device on the work. The steps are recorded once, as a graph, and replayed: one call for all of them. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { CELLS = 512, STEPS = 50, ROUNDS = 20 };

/* Heat flows to the neighbours; the ends are kept as they are. */
YOKE_KERNEL(flow, ((in, float, from), (out, float, to)),
            to[i] = i == 0 || i == n - 1 ? from[i] : from[i] + 0.25f * (from[i - 1] - 2 * from[i] + from[i + 1]);)

/* STEPS steps, and the sum of all cells. What is refused the stream's next wait tells. */
static void put_steps(yoke_stream *s, float *a, float *b, float *sum)
{
    for (int step = 0; step < STEPS; step += 2) {
        yoke_enqueue(s, flow, CELLS, a, b);
        yoke_enqueue(s, flow, CELLS, b, a);
    }
    yoke_stream_sum(s, CELLS, a, sum);
}

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    float hot[CELLS] = {100}, heat[2] = {0};
    float *a = yoke_device_alloc(dev, sizeof hot), *b = yoke_device_alloc(dev, sizeof hot), *sum = yoke_device_alloc(dev, 4);
    yoke_graph *g = NULL;
    put_steps(s, a, b, sum);       /* compiles the kernels */
    int err = yoke_stream_wait(s);
    yoke_stream_record(s);         /* from here on the stream takes notes */
    put_steps(s, a, b, sum);
    yoke_stream_record_end(s, &g); /* and here it has a graph of them */
    for (int replay = 0; replay < 2 && err == 0; replay++) {
        yoke_stream_copy(s, a, hot, sizeof hot);
        int64_t start = yoke_now();
        for (int round = 0; round < ROUNDS; round++)
            if (replay)
                yoke_stream_replay(s, g);
            else
                put_steps(s, a, b, sum);
        yoke_stream_copy(s, &heat[replay], sum, sizeof heat[0]);
        err = yoke_stream_wait(s);
        printf("%s: %.2f us a step\n", replay ? "replayed" : "each step called",
               (double)(yoke_now() - start) / 1e3 / ROUNDS / STEPS);
    }
    if (err < 0)
        fprintf(stderr, "%s\n", yoke_device_error(dev));
    printf("the same heat: %s\n", heat[0] == heat[1] && heat[0] > 100 ? "yes" : "no");
    yoke_graph_close(g);
    return yoke_device_close(dev) < 0 || err < 0;
}
