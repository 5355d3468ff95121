/* Bodies that attract each other, step by step: they stay on the device, and of all that only an energy comes back.
 *
 * Use it when a simulation takes many steps over the same data. Kernels in one stream follow each other without a wait; structs
 * and functions for kernels stand in YOKE_DEVICE_CODE; that the energy is kept tells that the steps are small enough. */
#include <stdio.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_DEVICE_CODE(
    enum { N = 512, STEPS = 100 };
    struct body { float x, y, z, mass; };
    struct speed { float x, y, z; };
    YOKE_FN float nearness(struct body p, struct body q) /* 1 over the distance, which is never quite 0 */
    {
        const float x = p.x - q.x, y = p.y - q.y, z = p.z - q.z;
        return yoke_rsqrt(x * x + y * y + z * z + 0.01f);
    }
    YOKE_FN float energy(YOKE_GLOBAL const struct body *all, struct speed v, long i, long n)
    {
        float sum = v.x * v.x + v.y * v.y + v.z * v.z;
        for (long j = 0; j < n; j++)
            sum -= j == i ? 0.0f : all[j].mass * nearness(all[i], all[j]);
        return all[i].mass * sum / 2;
    }
)
YOKE_REDUCTION(float, total, (0), a + b, energy(all, v[i], i, n), ((in, struct body, all), (in, struct speed, v)));
YOKE_KERNEL(attract, ((in, struct body, all), (inout, struct speed, v), (val, float, dt)),
    struct speed own = v[i];
    for (long j = 0; j < n; j++) {
        const float near = nearness(all[i], all[j]), pull = dt * all[j].mass * near * near * near;
        own.x += pull * (all[j].x - all[i].x);
        own.y += pull * (all[j].y - all[i].y);
        own.z += pull * (all[j].z - all[i].z);
    }
    v[i] = own;
)
YOKE_KERNEL(drift, ((inout, struct body, all), (in, struct speed, v), (val, float, dt)),
    all[i].x += dt * v[i].x; all[i].y += dt * v[i].y; all[i].z += dt * v[i].z;)

int main(void)
{
    static struct body host[N];
    yoke_device *dev = yoke_device_open(NULL);
    yoke_stream *s = yoke_stream_open(dev);
    struct body *all = yoke_device_alloc(dev, sizeof host);
    struct speed *v = yoke_device_alloc(dev, N * sizeof *v);
    for (int i = 0; i < N; i++) /* a cube of 8 by 8 by 8 */
        host[i] = (struct body){(float)(i % 8) / 8, (float)(i / 8 % 8) / 8, (float)(i / 64) / 8, 1.0f / N};
    if (!s || yoke_stream_copy(s, all, host, sizeof host) < 0 || yoke_stream_fill(s, v, &(float){0}, sizeof(float), 3 * N) < 0)
        return fprintf(stderr, "%s\n", yoke_device_error(dev)), 1;
    const float dt = 0.005f, before = yoke_reduction(s, total, N, all, v);
    yoke_enqueue(s, attract, N, all, v, dt / 2); /* speeds are half a step ahead of places: leapfrog */
    for (int step = 1; step <= STEPS; step++) {
        yoke_enqueue(s, drift, N, all, v, dt);
        yoke_enqueue(s, attract, N, all, v, step < STEPS ? dt : dt / 2);
    }
    printf("energy %.3f, after %d steps %.3f\n", before, STEPS, yoke_reduction(s, total, N, all, v));
    printf("%s", yoke_device_error(dev));
    return yoke_device_close(dev);
}
