/* yoke/testing.h - tests of code that waits: time that does not take time, chance that can be repeated, and cancels and errors at
 * each place where they can come.
 *
 *     static int fetch(void *arg) { ... }                  // a coroutine: waits, times out, tries again
 *
 *     char text[4096];
 *     yoke_test_opts opts = {.text = text, .text_size = sizeof text};
 *     yoke_test_run(&opts, fetch, &x);                      // as yoke_async_run(), and an hour of waits in no time
 *     opts.seed = 42;
 *     yoke_test_run(&opts, fetch, &x);                      // in another order, which 42 gives each time
 *     yoke_test_cancels(&opts, fetch, &x, NULL);            // told to stop at its first wait, its second...
 *     yoke_test_faults(&opts, NULL, fetch, &x, NULL);       // the first malloc() in it fails, the second...
 *
 * The clock. In the loop of a test yoke_now() is a virtual time that stands still while anything can go on, and so are all
 * deadlines. When no coroutine can go on, nobody has handed the loop anything and the kernel has nothing for it, the clock jumps
 * to the next deadline: sleeping an hour takes no time, and takes an hour exactly. Jobs of executors, threads that are joined,
 * functions in threads, look-ups of names, work on files and child processes are waited for in real time, up to `patience`,
 * before the clock moves.
 *
 * Other threads have the real clock: hand them durations, not times. What a test blocks its thread with (in the kernel, without
 * yoke) and what jobs of executors are given as time limits go by that one, too.
 *
 * Deadlocks. When nothing can go on, there is no deadline, and nobody is there who could change that, the test has failed with
 * -EDEADLK. The text says what each coroutine waits for; then all are told to stop, so that the test returns. Who goes in
 * circles, more than `steps` of them, fails likewise, with -ELOOP. What cannot be told to stop (it waits for a lock in a way that
 * has no error, say) is left as it is, with its stack and its descriptors.
 */
#ifndef YOKE_TESTING_H
#define YOKE_TESTING_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a cancel comes; may be or'ed. */
enum {
    YOKE_TEST_BEFORE = 1, /* just before the wait begins, so that it does not */
    YOKE_TEST_WAITING = 2 /* when it has begun: it is given up */
};

/* Zero is the default of each. */
typedef struct yoke_test_opts {
    int64_t start;       /* the time at which the clock starts, above 0; default 1000 s */
    uint64_t seed;       /* which coroutine of those that can goes on is drawn by lot, the same for the same seed; 0: in turn */
    const char *backend; /* "epoll", "io_uring"; default: as for yoke_async_run() */
    int64_t settle;      /* real ns that the clock leaves descriptors, and what lies in memory shared with other processes, before
                          * it moves, when there are waits for any; -1: none; default 1 ms, enough for what this process sends
                          * itself, and not for other processes */
    int64_t patience;    /* real ns that it leaves to those at work elsewhere, and before a deadlock while there are other
                          * threads, or waits for descriptors; default 10 s */
    uint64_t steps;      /* switches between coroutines, and waits, after which it goes in circles; default 10 million */
    char *text;          /* what went wrong is written here, as lines, and cut off at the end; may be NULL */
    size_t text_size;
    /* Of yoke_test_cancels() and yoke_test_faults(). */
    int (*check)(void *arg, int code); /* called after each run, outside of the loop, with what fn returned; less than 0: wrong */
    unsigned at;         /* YOKE_TEST_BEFORE, YOKE_TEST_WAITING; default both */
    unsigned looks;      /* runs without a cancel, in which points are seen, before those with one; default 1 */
    unsigned tries;      /* runs in a row that may come to none of the points seen that are left; default 100 */
    bool innermost;      /* what is cancelled is the innermost scope or group around the wait; default: all of fn */
    bool memory;         /* memory that a run leaves behind is wrong, as descriptors are; needs a malloc() that counts (glibc's,
                          * without sanitizers) */
} yoke_test_opts;

/* Runs fn(arg) as the first coroutine of a loop as opts says (NULL: all defaults), in the calling thread, and returns what it
 * returned; -EDEADLK; -ELOOP; or what yoke_async_run() returns when there can be no loop, or no fn. */
YOKE_API int yoke_test_run(const yoke_test_opts *opts, int (*fn)(void *arg), void *arg);

/* What came of many runs. */
typedef struct yoke_test_report {
    size_t points;   /* where fn could be cancelled, in whichever run, or calls that failed */
    size_t runs;     /* of fn, in all */
    size_t missed;   /* of those that each of the `looks` had seen: at which there was none after all */
    size_t failures; /* of these went wrong */
    size_t first;    /* the point, from 1, of the first that did; 0: the run without a cancel or a failure */
    int code;        /* of that run: what the call returned */
} yoke_test_report;

/* Runs fn once to see its waiting points, and then once for each with a cancel there: at the first that it comes to and at which
 * there was none yet, one that was not seen before as well. (A point is a wait of one coroutine, in order of starting, by one
 * call, for the so many-th time.) It goes on until there was a cancel at all that had been seen. Where other threads take part
 * some come up by chance: more `looks` tell what each run has from what some have, and runs that come to none of those that are
 * left are repeated, as often as `tries` says. A run goes wrong when it does not end (-EDEADLK, -ELOOP), leaves descriptors open
 * or memory behind (-ENOTEMPTY), check says so (with its code), or, without a check, when it returns less than 0 other than
 * -ECANCELED (with `innermost` it may return anything). fn is called with the same arg each time, many times when it leaves
 * something behind; other threads aside, it must do the same until the cancel. No run without a cancel may return less than 0.
 * All points are tried, until ten have gone wrong. Returns 0, or the code of the first that did; -EINVAL without a fn. report may
 * be NULL. */
YOKE_API int yoke_test_cancels(const yoke_test_opts *opts, int (*fn)(void *arg), void *arg, yoke_test_report *report);

/* ---- Calls that fail ---- */

/* From now on the n-th call of that name in yoke, counted from 1, fails with the error (ENOMEM...), once; n = 0: none. Returns
 * how many there were since the last yoke_test_fail(); -ENOENT: not a name yoke knows. For all threads of the process, one name
 * at a time. Names are those of the C library: malloc, epoll_wait, recv...; a program's own calls do not fail. Both those of
 * io_uring and of epoll are there; what a ring does without a call cannot be made to fail. */
YOKE_API int yoke_test_fail(const char *name, int n, int error);

typedef struct yoke_test_fault {
    const char *name;
    int error;
} yoke_test_fault;

/* For each of the calls, up to one without a name (NULL: all that yoke knows, each with an error that it can have): runs fn with
 * the first of them failing, then with the second, and so on until a run has no more. A run goes wrong as above, but may return
 * anything if there is no check. */
YOKE_API int yoke_test_faults(const yoke_test_opts *opts, const yoke_test_fault *faults, int (*fn)(void *arg), void *arg,
                              yoke_test_report *report);

#ifdef __cplusplus
}
#endif
#endif
