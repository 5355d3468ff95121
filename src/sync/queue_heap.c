/* queue_heap: last in first out, and by priority: items in one array under a short lock.
 *
 * By priority the array is a heap of four branches: half as deep as one of two, and the children of a node lie side by side. Each
 * item is followed by the number of its put, which decides between equals; so the order is total, and stable. Without a limit
 * the array doubles when it is full. */
#include "sync/queue.h"
#include <stdlib.h>

enum { BRANCHES = 4, FIRST_ROOM = 64 };

static char *at(yoke_queue *q, size_t i)
{
    return q->array.items + i * q->array.stride;
}

static uint64_t number_of(yoke_queue *q, const char *item)
{
    uint64_t number;
    memcpy(&number, item + q->item_size, sizeof number);
    return number;
}

/* Whether the item a, put as the a_number-th, comes out before b, which is in the heap. */
static bool first(yoke_queue *q, const char *a, uint64_t a_number, const char *b)
{
    if (q->before(a, b))
        return true;
    return !q->before(b, a) && a_number < number_of(q, b);
}

static bool make_room(yoke_queue *q, size_t room)
{
    yk_queue_array *a = &q->array;
    if (room > SIZE_MAX / 2 / a->stride)
        return false;
    char *items = yk_sys.realloc(a->items, room * a->stride);
    if (!items)
        return false;
    a->items = items;
    a->room = room;
    return true;
}

static int array_open(yoke_queue *q)
{
    bool ordered = q->kind == YOKE_QUEUE_PRIORITY;
    if (q->item_size > SIZE_MAX / 4)
        return -ENOMEM;
    /* In a heap every item is aligned for the user's comparison, whatever it is. */
    q->array.stride = ordered ? YK_ALIGN_UP(q->item_size + sizeof(uint64_t), 16) : q->item_size;
    return make_room(q, q->capacity ? q->capacity : FIRST_ROOM) ? 0 : -ENOMEM;
}

static void array_done(yoke_queue *q)
{
    free(q->array.items);
}

/* ---- The heap, under the lock ---- */

/* Moves those before whom the item comes down a step, from the free place i up, and puts it where it belongs. */
static void sift_up(yoke_queue *q, size_t i, const char *item, uint64_t number)
{
    size_t stride = q->array.stride;
    while (i > 0 && first(q, item, number, at(q, (i - 1) / BRANCHES))) {
        memcpy(at(q, i), at(q, (i - 1) / BRANCHES), stride);
        i = (i - 1) / BRANCHES;
    }
    memcpy(at(q, i), item, q->item_size);
    memcpy(at(q, i) + q->item_size, &number, sizeof number);
}

/* Which of the children of i, in a heap of len, comes out first; len when there is none. */
static size_t first_child(yoke_queue *q, size_t i, size_t len)
{
    size_t child = i * BRANCHES + 1, best = child < len ? child : len;
    for (size_t c = child + 1; c < len && c < child + BRANCHES; c++)
        if (first(q, at(q, c), number_of(q, at(q, c)), at(q, best)))
            best = c;
    return best;
}

/* The root has been taken out of a heap of len + 1: fills its place with the last item, which lies at len. */
static void sift_down(yoke_queue *q, size_t len)
{
    const char *last = at(q, len);
    uint64_t number = number_of(q, last);
    size_t i = 0, child;
    while ((child = first_child(q, i, len)) < len && !first(q, last, number, at(q, child))) {
        memcpy(at(q, i), at(q, child), q->array.stride);
        i = child;
    }
    if (i < len)
        memcpy(at(q, i), last, q->array.stride);
}

/* ---- Both kinds ---- */

static void push(yoke_queue *q, const char *item)
{
    uint64_t len = atomic_load_explicit(&q->array.len, memory_order_relaxed);
    uint64_t puts = atomic_load_explicit(&q->array.puts, memory_order_relaxed);
    if (q->kind == YOKE_QUEUE_PRIORITY)
        sift_up(q, len, item, puts);
    else
        yk_queue_copy(at(q, len), item, q->item_size);
    /* Both in one order for array_size() and yoke_queue_join(), which read them without the lock. */
    atomic_store_explicit(&q->array.puts, puts + 1, memory_order_release);
    atomic_store_explicit(&q->array.len, len + 1, memory_order_relaxed);
}

static void pop(yoke_queue *q, char *ret)
{
    uint64_t len = atomic_load_explicit(&q->array.len, memory_order_relaxed) - 1;
    bool ordered = q->kind == YOKE_QUEUE_PRIORITY;
    if (ret)
        yk_queue_copy(ret, at(q, ordered ? 0 : len), q->item_size);
    if (ordered)
        sift_down(q, len);
    atomic_store_explicit(&q->array.len, len, memory_order_relaxed);
}

/* 0 when one more item can be put. */
static int check_room(yoke_queue *q)
{
    yk_queue_array *a = &q->array;
    if (a->shut)
        return -ESHUTDOWN;
    if (atomic_load_explicit(&a->len, memory_order_relaxed) < a->room)
        return 0;
    if (q->capacity)
        return -EAGAIN;
    return make_room(q, 2 * a->room) ? 0 : -ENOMEM;
}

static ptrdiff_t array_put(yoke_queue *q, const void *items, size_t n)
{
    size_t k = 0;
    int err = 0;
    yk_mutex_lock(&q->array.lock);
    while (k < n && (err = check_room(q)) == 0)
        push(q, (const char *)items + k++ * q->item_size);
    yk_mutex_unlock(&q->array.lock);
    return k > 0 ? (ptrdiff_t)k : err;
}

static ptrdiff_t array_get(yoke_queue *q, void *items, size_t n)
{
    yk_queue_array *a = &q->array;
    size_t k = 0;
    yk_mutex_lock(&a->lock);
    for (; k < n && atomic_load_explicit(&a->len, memory_order_relaxed) > 0; k++)
        pop(q, items ? (char *)items + k * q->item_size : NULL);
    int err = a->shut ? -ESHUTDOWN : -EAGAIN;
    yk_mutex_unlock(&a->lock);
    return k > 0 ? (ptrdiff_t)k : err;
}

static uint64_t array_shut(yoke_queue *q, bool now)
{
    yk_queue_array *a = &q->array;
    yk_mutex_lock(&a->lock);
    a->shut = true;
    uint64_t dropped = now ? atomic_load_explicit(&a->len, memory_order_relaxed) : 0;
    if (now)
        atomic_store_explicit(&a->len, 0, memory_order_relaxed);
    yk_mutex_unlock(&a->lock);
    return dropped;
}

static uint64_t array_size(yoke_queue *q)
{
    return atomic_load_explicit(&q->array.len, memory_order_relaxed);
}

static uint64_t array_puts(yoke_queue *q)
{
    /* Pairs with push(): of the thread whose item the caller took. */
    return atomic_load_explicit(&q->array.puts, memory_order_seq_cst);
}

const yk_queue_ops yk_queue_heap = {.open = array_open,
                                    .done = array_done,
                                    .put = array_put,
                                    .get = array_get,
                                    .shut = array_shut,
                                    .size = array_size,
                                    .puts = array_puts};
