/* testing: what the calls of yoke/testing.h share. */
#ifndef YK_ASYNC_TESTING_H
#define YK_ASYNC_TESTING_H
#include "async/async.h"
#include <yoke/testing.h>

/* Text that is cut off where the room ends. */
typedef struct yk_test_text {
    char *at, *end; /* NULL: not wanted */
} yk_test_text;
void yk_test_say(yk_test_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
yk_test_text yk_test_text_of(const yoke_test_opts *opts);

/* The waiting points of a function that runs again and again (testing_points.c). */
typedef struct yk_points {
    struct yk_point *slots;
    size_t size, used;
    unsigned look, looks; /* which run without a cancel this is, from 1, of how many; 0: it is none */
    size_t found;         /* points, of all runs */
    size_t done;          /* of these there was a cancel at so many */
    size_t seen, left;    /* without one so far: those that some of the looks came to; that all of them did */
    uint64_t target;      /* where the cancel comes; 0: at the first point without one so far, which is then the target */
    unsigned run;         /* which it is, from 1 */
    bool told;            /* there was one in this run */
} yk_points;
/* A coroutine is at a point. 1: this is where to cancel; 0: it is not; -ENOMEM. */
int yk_points_meet(yk_points *p, uint64_t coroutine, unsigned when, const void *where);
/* After the last look. */
void yk_points_known(yk_points *p);
void yk_points_clear(yk_points *p);

/* A run. */
struct yk_tested {
    yoke_test_opts opts; /* with the defaults in place */
    yk_test_text *text;
    yk_loop *loop;
    int64_t now;
    uint64_t random;     /* the generator's state; 0: none */
    yoke_scope root;     /* around fn */
    uint64_t limit, calls;
    yk_points *points;   /* NULL: nothing is cancelled */
    char place[160];     /* the point at which it was, for people */
    int code;            /* why it has failed; 0: not */
    bool abandoned;      /* some coroutines cannot be made to end */
    size_t runs;
    const yoke_test_fault *fault; /* what is to fail; NULL: nothing */
    int fail_at, fault_calls;     /* which call of it, from 1; how many there were */
};
yoke_test_opts yk_test_defaults(const yoke_test_opts *opts);
/* t: opts, text and points are set. */
int yk_test_once(yk_tested *t, int (*fn)(void *arg), void *arg);

/* What a process has at one time. */
typedef struct yk_belongings {
    size_t descriptors, bytes;
} yk_belongings;
yk_belongings yk_belongings_now(bool memory);

/* fn once more, as t says, and all checks: 0, or what is wrong. */
int yk_test_checked(yk_tested *t, int (*fn)(void *arg), void *arg);
/* Enters the outcome of a run. False: that is enough. */
bool yk_test_note(yoke_test_report *r, size_t point, int code);

/* Every name in yk_sys. */
extern const yoke_test_fault yk_test_all_faults[];

/* How many names a folder has, with those of itself and the one above. */
size_t yk_entries_of(const char *folder);
#endif
