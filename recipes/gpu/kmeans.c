/* Which of three centres is each point nearest to, and where do the centres go? A round of k-means is one reduction.
 *
 * Use it when a step is a pass over all data that ends in a few numbers, up to 128 bytes. The data stays where it is. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_DEVICE_CODE(
    enum { K = 3, N = 30000 };
    struct point { int x, y; };
    struct centres { float x[K]; float y[K]; };
    struct sums { long x[K]; long y[K]; long count[K]; };
    YOKE_FN float square(float x, float y) { return x * x + y * y; }
    YOKE_FN struct sums nearest(struct point p, struct centres c)
    {
        int best = 0;
        for (int k = 1; k < K; k++)
            if (square(p.x - c.x[k], p.y - c.y[k]) < square(p.x - c.x[best], p.y - c.y[best]))
                best = k;
        struct sums r = {{0}, {0}, {0}};
        r.count[best] = 1;
        r.x[best] = p.x;
        r.y[best] = p.y;
        return r;
    }
    YOKE_FN struct sums both(struct sums a, struct sums b)
    {
        for (int k = 0; k < K; k++) {
            a.x[k] += b.x[k];
            a.y[k] += b.y[k];
            a.count[k] += b.count[k];
        }
        return a;
    }
)
YOKE_REDUCTION(struct sums, cluster, ({{0}, {0}, {0}}), both(a, b), nearest(p[i], c),
               ((in, struct point, p), (val, struct centres, c)));

int main(void)
{
    static struct point host[N];
    struct centres c = {{0, 100, 50}, {0, 0, 100}}; /* a guess */
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    struct point *p = yoke_device_alloc(dev, sizeof host);
    for (int i = 0; i < N; i++) /* three rectangles */
        host[i] = (struct point){i % 3 * 200 + i % 151, i % 3 / 2 * 100 + i / 3 % 97};
    if (!s || !p || yoke_stream_copy(s, p, host, sizeof host) < 0)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (int round = 1; round <= 8; round++) {
        struct sums sum = yoke_reduction(s, cluster, N, p, c);
        for (int k = 0; k < K && sum.count[k] > 0; k++) {
            c.x[k] = (float)sum.x[k] / (float)sum.count[k];
            c.y[k] = (float)sum.y[k] / (float)sum.count[k];
            printf("%s%5ld at (%.1f, %.1f)%s", k ? "" : "round: ", sum.count[k], c.x[k], c.y[k], k < K - 1 ? ", " : "\n");
        }
    }
    printf("%s", yoke_device_error(dev));
    return yoke_device_close(dev);
}
