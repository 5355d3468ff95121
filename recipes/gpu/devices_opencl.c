/* Which OpenCL devices are there, of which platforms, and does one work?
 *
 * Use it when a program must choose between devices of several makers, or to see what yoke sees. Nothing of OpenCL is needed to
 * build; where there is no driver, the reason is one line of text. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

static void show(const yoke_device_info *d)
{
    printf("%s  %s%s, of %s, %s\n", d->uri, d->name, d->is_gpu ? " (a GPU)" : "", d->platform, d->version);
    printf("  %u compute units, groups of up to %u, %u MHz, double: %s, memory of the host: %s\n", d->units, d->group_most,
           d->clock_mhz, d->has_double ? "yes" : "no", d->shares_host_memory ? "yes" : "no");
    printf("  memory: %zu MiB, at most %zu in a piece; of a group: %zu KiB\n", d->memory >> 20, d->largest >> 20, d->local >> 10);
}

/* Opened by its platform's name, as one does who has several: "opencl:NVIDIA". The sum of 1 to 1000. */
static void try_one(const yoke_device_info *d)
{
    char uri[160];
    snprintf(uri, sizeof uri, "opencl:%s", d->platform);
    yoke_device *dev = yoke_device_open(uri);
    yoke_stream *s = yoke_stream_open(dev);
    int64_t numbers[1000], sum = 0;
    for (int i = 0; i < 1000; i++)
        numbers[i] = i + 1;
    int64_t *x = yoke_device_alloc(dev, sizeof numbers), *on_device = yoke_device_alloc(dev, sizeof sum);
    if (s && x && on_device) {
        yoke_stream_copy(s, x, numbers, sizeof numbers);
        yoke_stream_sum(s, 1000, x, on_device);
        yoke_stream_copy(s, &sum, on_device, sizeof sum);
        yoke_stream_wait(s);
    }
    printf("  %s: %s\n", uri, sum == 500500 ? "works" : yoke_device_error(dev));
    yoke_device_close(dev);
}

int main(void)
{
    yoke_device_info d;
    int found = 0;
    for (unsigned i = 0; yoke_device_at(i, &d) == 0; i++)
        if (strcmp(d.driver, "opencl") == 0) {
            show(&d);
            try_one(&d);
            found++;
        }
    if (*yoke_driver_error("opencl"))
        puts(yoke_driver_error("opencl"));
    printf("%d OpenCL devices\n", found);
    return 0;
}
