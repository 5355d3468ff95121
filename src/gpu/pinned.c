/* pinned: memory of the host that a device reads and writes by itself. To pin memory costs about a millisecond for each 4
 * MiB, so what is borrowed for copies is kept. What users have is known by its addresses: memory that is not pinned must be
 * copied through some that is, or the driver does that itself, slowly and while the caller waits. */
#include "gpu/gpu.h"
#include <stdlib.h>

typedef struct yk_pinned {
    struct yk_pinned *next;
    char *memory;
    size_t size;
    yoke_device *dev;
    bool is_free; /* to be borrowed */
} yk_pinned;

/* All that users have, of every device: few. */
static struct {
    yk_mutex lock;
    yk_pinned *users;
} known;
YK_HELD_WHILE_FORKING(known.lock)

static yk_pinned *pin(yoke_device *dev, size_t size, yk_error *e)
{
    void *memory;
    if (size > YK_MOST_BYTES) {
        yk_errorf(e, ENOMEM, "%zu bytes are more than any host has", size);
        return NULL;
    }
    yk_pinned *p = yk_sys.calloc(1, sizeof *p);
    if (!p) {
        yk_errorf(e, ENOMEM, "no memory");
        return NULL;
    }
    if (dev->driver->pin(dev, size, &memory, e) < 0) {
        free(p);
        return NULL;
    }
    *p = (yk_pinned){.memory = memory, .size = size, .dev = dev};
    return p;
}

/* ---- For users ---- */

void *yoke_pinned_alloc(yoke_device *dev, size_t size)
{
    yk_error e = {0};
    if (yk_device_check(dev) < 0)
        return NULL;
    yk_pinned *p = pin(dev, YK_MAX(size, 1), &e);
    if (!p) {
        yk_device_fail(dev, NULL, &e);
        return NULL;
    }
    yk_mutex_lock(&known.lock);
    p->next = known.users;
    known.users = p;
    yk_mutex_unlock(&known.lock);
    return p->memory;
}

/* Takes the user's memory that begins at `memory` out of the list; NULL: there is none. */
static yk_pinned *take_out(yoke_device *dev, const void *memory)
{
    yk_mutex_lock(&known.lock);
    yk_pinned **at = &known.users;
    while (*at && ((*at)->memory != memory || (*at)->dev != dev))
        at = &(*at)->next;
    yk_pinned *p = *at;
    if (p)
        *at = p->next;
    yk_mutex_unlock(&known.lock);
    return p;
}

void yoke_pinned_free(yoke_device *dev, void *memory)
{
    if (!memory || !yk_device_usable(dev))
        return;
    yk_pinned *p = take_out(dev, memory);
    if (p) {
        dev->driver->unpin(dev, p->memory);
        free(p);
    } else {
        yk_error e;
        yk_errorf(&e, EINVAL, "%p is no pinned memory of %s: freed twice, or not its beginning", memory, dev->info.uri);
        yk_device_fail(dev, NULL, &e);
    }
}

bool yk_is_pinned(const void *p)
{
    yk_mutex_lock(&known.lock);
    const yk_pinned *at = known.users;
    while (at && ((const char *)p < at->memory || (const char *)p >= at->memory + at->size))
        at = at->next;
    yk_mutex_unlock(&known.lock);
    return at != NULL;
}

/* ---- For copies ---- */

void *yk_pinned_borrow(yoke_device *dev, size_t size, yk_error *e)
{
    yk_mutex_lock(&dev->lock);
    yk_pinned *best = NULL;
    for (yk_pinned *p = dev->pinned; p; p = p->next)
        if (p->is_free && p->size >= size && p->size / 2 <= size && (!best || p->size < best->size))
            best = p;
    if (best)
        best->is_free = false;
    yk_mutex_unlock(&dev->lock);
    if (best)
        return best->memory;
    yk_pinned *p = pin(dev, size, e);
    if (!p)
        return NULL;
    yk_mutex_lock(&dev->lock);
    p->next = dev->pinned;
    dev->pinned = p;
    yk_mutex_unlock(&dev->lock);
    return p->memory;
}

void yk_pinned_return(yoke_device *dev, void *memory)
{
    yk_mutex_lock(&dev->lock);
    for (yk_pinned *p = dev->pinned; p; p = p->next)
        if (p->memory == memory)
            p->is_free = true;
    yk_mutex_unlock(&dev->lock);
}

static void unpin_all(yoke_device *dev, yk_pinned **list, bool users)
{
    while (*list) {
        yk_pinned *p = *list;
        if (users && p->dev != dev) {
            list = &p->next;
            continue;
        }
        *list = p->next;
        dev->driver->unpin(dev, p->memory);
        free(p);
    }
}

void yk_pinned_close(yoke_device *dev)
{
    unpin_all(dev, &dev->pinned, false);
    yk_mutex_lock(&known.lock);
    unpin_all(dev, &known.users, true);
    yk_mutex_unlock(&known.lock);
}
