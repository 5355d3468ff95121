/* test.h - yoke's test harness: TAP on stdout, each test in a child process of its own with a time limit.
 *
 *     #include "test.h"
 *     TEST(adds) { CHECK_INT(1 + 1, 2); }
 *
 * main() is in test.c. Names on the command line select tests; --list, --repeat N, --seed N, --in-process (for gdb),
 * --help. TEST_TIME_SCALE=N in the environment multiplies the time limits.
 */
#ifndef YK_TEST_H
#define YK_TEST_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*fn)(void);
    int limit; /* seconds */
    bool selected;
    struct test_case *next;
} test_case;

void test_add(test_case *t);
void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* A random number from the seed that a failure prints. */
uint64_t test_random(void);
/* The root of the source tree: $YOKE_SOURCE, or the tree that the harness was built from. */
const char *test_source(void);

/* A limit guards against hangs alone: it is far beyond what a test takes on the slowest machine. */
#define TEST(name) TEST_LIMIT(name, 120)
#define TEST_LIMIT(name, seconds)                                                                                      \
    static void test_##name(void);                                                                                     \
    static test_case test_case_##name = {#name, test_##name, seconds, false, NULL};                                         \
    static __attribute__((constructor)) void test_add_##name(void) { test_add(&test_case_##name); }                    \
    static void test_##name(void)

/* Each ends the test when it does not hold. */
#define CHECK(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #condition))
#define CHECK_INT(actual, expected)                                                                                    \
    do {                                                                                                               \
        long long test_a = (long long)(actual), test_e = (long long)(expected);                                        \
        if (test_a != test_e)                                                                                          \
            test_fail(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #actual, test_a, #expected, test_e);       \
    } while (0)
#define CHECK_STR(actual, expected)                                                                                    \
    do {                                                                                                               \
        const char *test_a = (actual), *test_e = (expected);                                                           \
        if (!test_a || strcmp(test_a, test_e) != 0)                                                                    \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #actual, test_a ? test_a : "(null)", test_e); \
    } while (0)
#define CHECK_HAS(text, part)                                                                                          \
    do {                                                                                                               \
        const char *test_t = (text), *test_p = (part);                                                                 \
        if (!test_t || !strstr(test_t, test_p))                                                                        \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", which lacks \"%s\"", #text, test_t ? test_t : "(null)", test_p); \
    } while (0)
#define CHECK_NEAR(actual, expected, tolerance)                                                                        \
    do {                                                                                                               \
        double test_a = (actual), test_e = (expected);                                                                 \
        if (!(test_a - test_e <= (tolerance) && test_e - test_a <= (tolerance)))                                       \
            test_fail(__FILE__, __LINE__, "%s is %.17g, expected %.17g", #actual, test_a, test_e);                     \
    } while (0)
#define SKIP(...) test_skip(__VA_ARGS__)
/* For what a sanitizer is not made for, in a function without a result: the test is none there. It is one in every other build,
 * so that nothing is left out. */
#define NOT_HERE(reason)                                                                                               \
    do {                                                                                                               \
        printf("# not in this build: %s\n", (reason));                                                                 \
        return;                                                                                                        \
    } while (0)
#endif
