/* A value that each thread has for itself: made by its first use there, finished when the thread ends.
 *
 * Use it for what is expensive to make and must not be shared: a buffer, a connection, a generator of random numbers. No lock is
 * needed, because no other thread can see it. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

typedef struct generator {
    uint32_t state;
    long drawn;
} generator;

static _Atomic long made, finished, drawn;

static void start(generator *g)
{
    g->state = 1;
    made++;
}

static void finish(generator *g)
{
    finished++;
    drawn += g->drawn;
}

YOKE_LOCAL(generator, mine, start, finish);

static uint32_t draw(void)
{
    generator *g = mine();
    g->state = g->state * 1664525 + 1013904223; /* no two threads disturb each other's sequence */
    g->drawn++;
    return g->state;
}

YOKE_TASK(uint32_t, last_of, (long, n))
{
    uint32_t last = 0;
    while (n-- > 0)
        last = draw();
    return last;
}

int main(void)
{
    yoke_thread *threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = yoke_thread_start("drawer", last_of, 1000);
    for (int i = 0; i < 3; i++) {
        uint32_t last = 0;
        yoke_thread_try(threads[i], &last);
        printf("after 1000 draws: %lu\n", (unsigned long)last);
        yoke_thread_release(threads[i]);
    }
    printf("%ld generators made, %ld finished, %ld numbers drawn\n", made, finished, drawn);
    return 0;
}
