/* A state machine as coroutines: each state is a function that waits and then goes on in the next.
 *
 * Use it for protocols and dialogues. What is a table of states and events elsewhere is here a call, with its variables on the
 * stack; a state may wait for anything without holding up others. The transitions come from a fixed sequence, so that it prints
 * the same each time. */
#include <stdio.h>
#include <yoke.h>

static unsigned seed = 6;

static int input(void)
{
    seed = seed * 1103515245u + 12345u;
    return seed >> 16 & 1;
}

static int end(void)
{
    printf("end: computation over\n");
    return 0;
}

static int state(int number)
{
    yoke_sleep(YOKE_MS); /* what it waits for */
    int in = input();
    printf("state %d, input %d\n", number, in);
    switch (number) {
    case 1: return state(in ? 3 : 2);
    case 2: return state(in ? 3 : 1);
    default: return in ? end() : state(1);
    }
}

static int start(void *arg)
{
    (void)arg;
    printf("start\n");
    return state(input() ? 2 : 1);
}

int main(void)
{
    return yoke_async_run(start, NULL);
}
