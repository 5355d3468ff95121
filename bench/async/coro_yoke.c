/* coro_yoke.c - coro_yoke WORD COUNT: ns of CPU time that one of COUNT takes, with coroutines of yoke; the words are those of
 * coro_go.go. */
#include <yoke/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long ran, each; /* each: how often one coroutine yields */

static int one(void *arg)
{
    (void)arg;
    ran++;
    return 0;
}

static int yields(void *arg)
{
    (void)arg;
    for (long i = 0; i < each; i++) {
        ran++;
        yoke_yield();
    }
    return 0;
}

static int together(int (*fn)(void *), int count)
{
    yoke_group g;
    yoke_group_begin(&g);
    for (int i = 0; i < count; i++)
        yoke_go(&g, fn, NULL);
    return yoke_group_end(&g);
}

/* What the word asks for; less than 0 when it failed. */
static int work(const char *word, long count)
{
    int size = strstr(word, "1000") ? 1000 : strcmp(word, "yield") == 0 ? 2 : 1, err = 0;
    each = count / size;
    if (strncmp(word, "yield", 5) == 0)
        return together(yields, size);
    for (long done = 0; done < count && err == 0; done += size)
        err = together(one, size);
    return err;
}

static double cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int run(void *arg)
{
    char **argv = arg;
    long count = strtol(argv[2], NULL, 10);
    int err = work(argv[1], count / 10);
    ran = 0;
    double begin = cpu_time();
    if (err == 0)
        err = work(argv[1], count);
    double took = cpu_time() - begin;
    if (err < 0 || ran < count) {
        fprintf(stderr, "coro_yoke: wrong answer: %ld, %d\n", ran, err);
        return 1;
    }
    printf("%g\n", took / (double)ran);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: coro_yoke spawn|spawn1000|yield|yield1000 COUNT\n");
        return 2;
    }
    return yoke_async_run(run, argv) != 0;
}
