/* A lock that its owner may take again: functions that lock can call each other.
 *
 * Use it when a public function that locks is useful inside another one that locks too. With a plain lock the inner call
 * would wait for ever for its own caller. Everything else is as for a plain lock, but that only the owner can release
 * it. */
#include <stdio.h>
#include <yoke.h>

typedef struct box {
    yoke_rlock lock;
    int items;
} box;

static void add(box *b, int n)
{
    yoke_rlock_acquire(&b->lock);
    b->items += n;
    yoke_rlock_release(&b->lock);
}

/* Both at once, as others see it: so it holds the lock over two calls that take it again. */
static void swap_for_two(box *b)
{
    yoke_rlock_acquire(&b->lock);
    add(b, -1);
    add(b, 2);
    yoke_rlock_release(&b->lock);
}

static box shared = {YOKE_RLOCK_INIT, 0};

YOKE_TASK(int, trade, (int, times))
{
    for (int i = 0; i < times; i++)
        swap_for_two(&shared);
    return yoke_rlock_release(&shared.lock); /* once too often */
}

int main(void)
{
    yoke_thread *traders[3];
    for (int i = 0; i < 3; i++)
        traders[i] = yoke_thread_start("trader", trade, 1000);
    for (int i = 0; i < 3; i++) {
        int code = 0;
        yoke_thread_try(traders[i], &code);
        printf("trader: releasing what it does not hold: %s\n", yoke_strerror(code));
        yoke_thread_release(traders[i]);
    }
    printf("%d items\n", shared.items);
    return 0;
}
