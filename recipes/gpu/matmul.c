/* A product of matrices in tiles, whose items share memory; beside the library's own, which is faster.
 *
 * Use it when many elements need the same data: a group reads it once into its own memory, waits for itself, and computes from
 * there. For products of matrices as such there is yoke_stream_matmul(). */
#include <stdio.h>
#include <string.h>
#include <yoke.h>
#include <yoke/kernel.h>

enum { N = 256 };
static float a[N * N], b[N * N], c[2][N * N];

YOKE_DEVICE_CODE(enum { TILE = 16 };)

/* A group makes a tile of z, an item an element of it. Between two regions YOKE_ITEMS all items of the group wait. */
YOKE_PROGRAM(product, TILE * TILE,
             ((val, long, m), (in, float, x, m * m), (in, float, y, m * m), (out, float, z, m * m)),
    YOKE_SHARED(float, s, TILE * TILE);
    YOKE_SHARED(float, t, TILE * TILE);
    YOKE_SHARED(float, sum, TILE * TILE);
    const long row = group / (m / TILE) * TILE;
    const long column = group % (m / TILE) * TILE;
    YOKE_ITEMS(l) { sum[l] = 0; }
    for (long k = 0; k < m; k += TILE) {
        YOKE_ITEMS(l) {
            s[l] = x[(row + l / TILE) * m + k + l % TILE];
            t[l] = y[(k + l / TILE) * m + column + l % TILE];
        }
        YOKE_ITEMS(l) {
            for (int j = 0; j < TILE; j++)
                sum[l] += s[l / TILE * TILE + j] * t[j * TILE + l % TILE];
        }
    }
    YOKE_ITEMS(l) { z[(row + l / TILE) * m + column + l % TILE] = sum[l]; }
)

int main(void)
{
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    float *x = yoke_device_alloc(dev, sizeof a), *y = yoke_device_alloc(dev, sizeof b), *z = yoke_device_alloc(dev, sizeof *c);
    if (!s || !x || !y || !z)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    for (int i = 0; i < N * N; i++) {
        a[i] = (float)(i % 7 - 3);
        b[i] = (float)(i % 11 - 5);
    }
    yoke_stream_copy(s, x, a, sizeof a);
    yoke_stream_copy(s, y, b, sizeof b);
    yoke_enqueue_program(s, product, (N / TILE) * (N / TILE), N, x, y, z);
    yoke_stream_copy(s, c[0], z, sizeof *c);
    yoke_stream_matmul(s, N, N, N, x, N, y, N, z, N);
    yoke_stream_copy(s, c[1], z, sizeof *c);
    yoke_stream_wait(s);
    const char *whether = memcmp(c[0], c[1], sizeof *c) == 0 ? "the same" : "another";
    printf("row 1, column 2: %.0f; the library's product is %s\n", c[0][N + 2], whether);
    printf("%s", yoke_device_error(dev));
    return yoke_device_close(dev); /* with its streams and its memory */
}
