/* An event loop whose callbacks call each other in turn, until the time is over.
 *
 * Use it where things call for each other: yoke_async_call() has a function called soon, between two coroutines. What takes
 * several steps is easier to read as a coroutine: see tasks.c. */
#include <stdio.h>
#include <yoke.h>

typedef struct game {
    struct yk_loop *loop;
    int turns;
    yoke_event over;
} game;

static void task_a(void *arg);
static void task_b(void *arg);
static void task_c(void *arg);

static void next(game *g, const char *name, void (*then)(void *))
{
    printf("%s called\n", name);
    if (++g->turns < 7)
        yoke_async_call(g->loop, then, g);
    else
        yoke_event_set(&g->over);
}

static void task_a(void *arg) { next(arg, "task_a", task_b); }
static void task_b(void *arg) { next(arg, "task_b", task_c); }
static void task_c(void *arg) { next(arg, "task_c", task_a); }

static int play(void *arg)
{
    game *g = arg;
    g->loop = yoke_async_loop();
    yoke_async_call(g->loop, task_a, g);
    yoke_event_wait(&g->over); /* suspends this coroutine; the loop goes on */
    printf("over after %d calls\n", g->turns);
    return 0;
}

int main(void)
{
    game g = {0};
    yoke_event_init(&g.over, 0);
    return yoke_async_run(play, &g);
}
