/* A barrier: all wait for all before the next step, again and again.
 *
 * Use it when each step of a computation needs what all others did in the step before. The action is run by the last to
 * arrive while the others still wait: the place for what belongs to all. Here: heat that spreads along a rod. */
#include <stdio.h>
#include <yoke.h>

enum { WORKERS = 3, POINTS = 30, STEPS = 200 };

static double rod[2][POINTS + 2]; /* this step's and the next, with the ends that stay as they are */
static int now, steps;

static int next_step(void *counter)
{
    now = 1 - now;
    ++*(int *)counter;
    return 0;
}

static yoke_barrier barrier;

YOKE_TASK(int, spread, (int, me))
{
    int first = 1 + me * POINTS / WORKERS, last = first + POINTS / WORKERS, err = 0;
    for (int step = 0; step < STEPS && err >= 0; step++) {
        for (int i = first; i < last; i++)
            rod[1 - now][i] = rod[now][i] + 0.25 * (rod[now][i - 1] - 2 * rod[now][i] + rod[now][i + 1]);
        err = yoke_barrier_wait(&barrier); /* else somebody would read what is not written yet */
    }
    if (err < 0)
        yoke_barrier_abort(&barrier); /* nobody waits for one who has given up */
    return err;
}

int main(void)
{
    yoke_thread *workers[WORKERS];
    rod[0][0] = rod[1][0] = 100;
    yoke_barrier_init(&barrier, WORKERS, next_step, &steps, 0);
    for (int i = 0; i < WORKERS; i++)
        workers[i] = yoke_thread_start("part of rod", spread, i);
    for (int i = 0; i < WORKERS; i++) {
        yoke_thread_join(workers[i]);
        yoke_thread_release(workers[i]);
    }
    printf("after %d steps:", steps);
    for (int i = 5; i <= POINTS; i += 5)
        printf(" %.4f", rod[now][i]);
    printf("\n");
    yoke_barrier_done(&barrier);
    return 0;
}
