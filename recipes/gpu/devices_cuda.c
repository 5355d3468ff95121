/* Which CUDA devices are there, what can they do, and how fast is the way to them?
 *
 * Use it when a program must choose between GPUs, or to see what yoke sees. Nothing of CUDA is needed to build; where there is
 * no driver, the reason is one line of text. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

enum { MIB = 1 << 20, SIZE = 64 * MIB };

static void show(const yoke_device_info *d)
{
    printf("%s  %s, driver %s, capability %u.%u, at %s, node %d\n", d->uri, d->name, d->version, d->capability / 10,
           d->capability % 10, d->pci, d->numa);
    printf("  %u multiprocessors with %u threads and %u registers each, warps of %u, groups of up to %u\n", d->units,
           d->unit_threads, d->unit_registers, d->warp, d->group_most);
    printf("  memory: %zu MiB, %zu free, %.0f GB/s at most; cache: %zu KiB\n", d->memory / MIB, d->memory_free / MIB,
           d->bandwidth / 1e9, d->cache / 1024);
    printf("  memory of a group: %zu KiB, on request %zu\n", d->local / 1024, d->local_most / 1024);
}

/* Up and down through pinned memory, by the device's own clock. */
static int measure(const char *uri)
{
    yoke_device *dev = yoke_device_open(uri);
    yoke_stream *s = yoke_stream_open(dev);
    char *host = yoke_pinned_alloc(dev, SIZE), *memory = yoke_device_alloc(dev, SIZE);
    yoke_stream_event *at[] = {yoke_stream_event_open(dev), yoke_stream_event_open(dev), yoke_stream_event_open(dev)};
    int64_t up = 1, down = 1;
    for (int again = 0; s && host && memory && again < 2; again++) { /* the second time everything is warm */
        yoke_stream_mark(s, at[0]);
        yoke_stream_copy(s, memory, host, SIZE);
        yoke_stream_mark(s, at[1]);
        yoke_stream_copy(s, host, memory, SIZE);
        yoke_stream_mark(s, at[2]);
        yoke_stream_elapsed(at[0], at[1], &up);
        yoke_stream_elapsed(at[1], at[2], &down);
    }
    printf("  up %.1f GB/s, down %.1f GB/s%s\n", (double)SIZE / (double)up, (double)SIZE / (double)down, yoke_device_error(dev));
    for (int i = 0; i < 3; i++)
        yoke_stream_event_close(at[i]);
    yoke_pinned_free(dev, host);
    return yoke_device_close(dev); /* with its streams and its memory */
}

int main(void)
{
    yoke_device_info d;
    int found = 0, err = 0;
    for (unsigned i = 0; yoke_device_at(i, &d) == 0; i++)
        if (strcmp(d.driver, "cuda") == 0) {
            show(&d);
            err |= measure(d.uri);
            found++;
        }
    if (*yoke_driver_error("cuda"))
        puts(yoke_driver_error("cuda"));
    printf("%d CUDA devices\n", found);
    return err;
}
