/* scenes.h - every waiting call of yoke, told to stop at each point where it can be.
 *
 * SCENE(name) { ... } is a function of the first coroutine of a loop that uses some waiting calls, checks what holds whatever
 * happens, and returns 0, or -ECANCELED when it was told to stop. It becomes tests over epoll and over io_uring that repeat it
 * with a cancel of all of it, and of the innermost scope, at each waiting point (yoke_test_cancels), in turn and in drawn orders;
 * none may hang, or leave a descriptor or a block of memory behind. For a new call add a scene to the file of its kind; time is
 * virtual.
 *
 * SCENE_OF_THREADS(name): others take part, threads or the kernel, who make some points come up in some runs alone. What each of
 * five runs had must be met again within 100: that a point is missed by chance is as good as impossible, however rare it is and
 * however busy the machine. What only some of the five had, or come up later, is tried as long and when it comes up. Have others
 * begin when a coroutine says so, and nothing is left to chance.
 *
 * That each public call that waits is in a scene is checked by tests/house/scenes.py. */
#ifndef YK_TESTS_SCENES_H
#define YK_TESTS_SCENES_H
#include "testing_try.h"
#include "async/offload.h"
#include <malloc.h>

#define SCENE_OF(name, exact)                                                                                          \
    static int scene_##name(void *arg);                                                                                \
    TEST(epoll_##name)                                                                                                 \
    {                                                                                                                  \
        play("epoll", #name, scene_##name, exact);                                                                     \
    }                                                                                                                  \
    TEST(uring_##name)                                                                                                 \
    {                                                                                                                  \
        play("io_uring", #name, scene_##name, exact);                                                                  \
    }                                                                                                                  \
    static int scene_##name(void *arg)
#define SCENE(name) SCENE_OF(name, true)
#define SCENE_OF_THREADS(name) SCENE_OF(name, false)

static inline void play_as(const yoke_test_opts *opts, const char *name, int (*scene)(void *arg))
{
    yoke_test_report r;
    if (yoke_test_cancels(opts, scene, NULL, &r) < 0)
        test_fail(__FILE__, __LINE__, "%s, %zu of %zu points went wrong:\n%s", name, r.failures, r.points, said);
    printf("# %s, %s, seed %llu: %zu waiting points, %zu runs, %zu missed\n", name, opts->innermost ? "the innermost" : "all",
           (unsigned long long)opts->seed, r.points, r.runs, r.missed);
    CHECK(r.points > 0);
    CHECK_INT(r.missed, 0);
}

static inline void play(const char *backend, const char *name, int (*scene)(void *arg), bool exact)
{
    yoke_test_opts opts = opts_for(backend);
    opts.steps = 100000;
    opts.looks = exact ? 1 : 5;
    opts.tries = exact ? 1 : 100;
    opts.memory = true;
    play_as(&opts, name, scene);
    opts.seed = test_random() | 1;
    play_as(&opts, name, scene);
    opts.innermost = true;
    play_as(&opts, name, scene);
    opts.seed = 0;
    play_as(&opts, name, scene);
    yk_offload_end();
}

/* Runs all n as coroutines of a group with the same argument. */
static inline int run_all(int (*const *fns)(void *arg), size_t n, void *arg)
{
    yoke_group g;
    yoke_group_begin(&g);
    for (size_t i = 0; i < n; i++)
        yoke_go(&g, fns[i], arg);
    return yoke_group_end(&g);
}
#define RUN_ALL(arg, ...)                                                                                              \
    run_all((int (*const[])(void *)){__VA_ARGS__}, YK_COUNT_OF(((int (*const[])(void *)){__VA_ARGS__})), (arg))

/* Returns what is an error. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int64_t try_code = (call);                                                                                     \
        if (try_code < 0)                                                                                              \
            return (int)try_code;                                                                                      \
    } while (0)
#endif
