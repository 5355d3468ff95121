/* One body of C for every device: thousands of elements at a time on a GPU, all CPUs elsewhere.
 *
 * Use it when a loop does the same for each element and no two need each other. The body is compiled with the program, for the
 * CPU, and again by the driver of a device when it is first used there. The same text, the same answer: YOKE_DEVICE=cpu,
 * opencl or cuda says where; without it, it is the best device there is. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { N = 100000 };

/* How many steps it takes from i + 1 to 1: halve what is even, triple what is odd and add 1. */
YOKE_KERNEL(collatz, ((out, int, steps)),
    int count = 0;
    for (long x = i + 1; x != 1; x = x % 2 == 0 ? x / 2 : 3 * x + 1)
        count++;
    steps[i] = count;
)

int main(void)
{
    static int steps[N];
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    int *on_device = yoke_device_alloc(dev, sizeof steps);
    yoke_enqueue(s, collatz, N, on_device); /* for i = 0 .. N - 1 */
    yoke_stream_copy(s, steps, on_device, sizeof steps);
    yoke_stream_wait(s); /* until then nothing need have happened */
    if (*yoke_device_error(dev))
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    int best = 0;
    for (int i = 1; i < N; i++)
        best = steps[i] > steps[best] ? i : best;
    printf("of the first %d numbers %d takes the most steps: %d\n", N, best + 1, steps[best]);
    yoke_device_free(dev, on_device);
    yoke_stream_close(s);
    return yoke_device_close(dev);
}
