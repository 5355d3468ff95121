/* A pipeline: lines are read in turn, worked on in parallel, and written in the order in which they were read.
 *
 * Use it when items come one by one from somewhere (a file, a socket) and go somewhere in order, with work between that can be
 * done for many at a time. Tokens bound what is under way, so memory does too: a slow writer holds up the reader. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

typedef struct line {
    int number;
    long steps;
} line;

static int read_line(void **item, void *arg)
{
    int *next = arg;
    if (*next > 10)
        return YOKE_STOP;
    line *l = malloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    *l = (line){.number = (*next)++};
    *item = l;
    return 0;
}

/* The longest chain of Collatz's rule that begins below number * 10000. */
static int work(void **item, __attribute__((unused)) void *arg)
{
    line *l = *item;
    for (long first = 1; first < l->number * 10000L; first++) {
        long steps = 0;
        for (long n = first; n != 1; steps++)
            n = n % 2 ? 3 * n + 1 : n / 2;
        l->steps = steps > l->steps ? steps : l->steps;
    }
    return l->number % 2 ? 0 : (free(l), YOKE_STOP); /* those with even numbers go no further */
}

static int write_line(void **item, void *arg)
{
    line *l = *item;
    fprintf(arg, "below %d0000: %ld steps\n", l->number, l->steps);
    free(l);
    return 0;
}

static void drop(void *item, __attribute__((unused)) void *arg)
{
    free(item);
}

int main(void)
{
    int next = 1;
    const yoke_stage stages[] = {
        {read_line, &next, YOKE_IN_ORDER, drop}, {work, NULL, YOKE_PARALLEL, drop}, {write_line, stdout, YOKE_IN_ORDER, NULL}};
    return yoke_pipeline(NULL, 4, stages, 3) < 0;
}
