/* Many values made one: a dot product, and the extremes with their places, in one pass over the data.
 *
 * Use it when an answer needs every element: say what an element gives, how two such values become one, and what is neutral.
 * The values may be structs. Plain sums, minima and maxima are ready-made: yoke_stream_sum() and its kin. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { N = 1000000 };
static int host[2][N];

YOKE_REDUCTION(long, dot, (0), a + b, (long)x[i] * y[i], ((in, int, x), (in, int, y)));

YOKE_DEVICE_CODE(
    struct range { int least; int most; long least_at; long most_at; };
    YOKE_FN struct range one(int x, long i)
    {
        struct range r = {x, x, i, i};
        return r;
    }
    /* Of equal ones the first, so that the order in which parts meet does not matter. */
    YOKE_FN struct range both(struct range a, struct range b)
    {
        if (b.least < a.least || (b.least == a.least && b.least_at < a.least_at)) {
            a.least = b.least;
            a.least_at = b.least_at;
        }
        if (b.most > a.most || (b.most == a.most && b.most_at < a.most_at)) {
            a.most = b.most;
            a.most_at = b.most_at;
        }
        return a;
    }
)
YOKE_REDUCTION(struct range, extremes, ({INT_MAX, INT_MIN, LONG_MAX, LONG_MAX}), both(a, b), one(x[i], i), ((in, int, x)));

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    int *x = yoke_device_alloc(dev, sizeof host), *y = x + N; /* addresses of a device may be counted on as any others */
    if (!s || !x)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (long i = 0; i < N; i++) {
        host[0][i] = (int)(i * 7919 % 10007);
        host[1][i] = (int)(i % 1000);
    }
    yoke_stream_copy(s, x, host, sizeof host);
    long product = yoke_reduction(s, dot, N, x, y); /* waits for it */
    struct range r = yoke_reduction(s, extremes, N, x);
    printf("dot product %ld; least %d at %ld, most %d at %ld\n", product, r.least, r.least_at, r.most, r.most_at);
    printf("%s", yoke_device_error(dev));
    return yoke_device_close(dev); /* with its streams and its memory */
}
