/* An event: a flag that threads wait for.
 *
 * Use it for what happens once and all may know: it is ready, it is over, please stop. Who waits after it was set goes
 * on at once. Set and cleared in one go it is a pulse: all who wait go on, those who come later wait for the next. */
#include <stdio.h>
#include <yoke.h>

static yoke_event ready = YOKE_EVENT_INIT, stop = YOKE_EVENT_INIT;
static int answer;

YOKE_TASK(int, reader, (int, number))
{
    yoke_event_wait(&ready);
    return answer + number;
}

/* Works until it is told to stop; looks in at its pace instead of sleeping blindly. */
YOKE_TASK(long, watchdog, (int, ms))
{
    long rounds = 1;
    while (!yoke_event_timed(&stop, ms * YOKE_MS))
        rounds++;
    return rounds;
}

int main(void)
{
    yoke_thread *dog = yoke_thread_start("watchdog", watchdog, 1), *readers[3];
    for (int i = 0; i < 3; i++)
        readers[i] = yoke_thread_start("reader", reader, i);
    printf("before: %s\n", yoke_event_is_set(&ready) ? "set" : "not set");
    answer = 40;
    yoke_event_set(&ready); /* what was written before it is seen by all who go on */
    for (int i = 0; i < 3; i++) {
        int v = 0;
        yoke_thread_try(readers[i], &v);
        printf("reader %d: %d\n", i, v - i == answer ? answer : v);
        yoke_thread_release(readers[i]);
    }
    yoke_event_set(&stop);
    long rounds = 0;
    yoke_thread_try(dog, &rounds);
    printf("the watchdog ended: %s\n", rounds > 0 ? "yes" : "no");
    yoke_thread_release(dog);
    return 0;
}
