/* span.c - which addresses are whose: against a plain list under random changes, and while others change the table. */
#include "gpu/gpu.h"
#include "test.h"
#include <pthread.h>

enum { SPANS = 500, SIZE = 4096 };
static yk_span spans[SPANS];
static bool present[SPANS];

/* Span i lies at (2 * i + 1) * SIZE; between two spans there is a gap as large as one. */
static void make_spans(void)
{
    for (size_t i = 0; i < SPANS; i++)
        spans[i] = (yk_span){.base = (char *)((2 * i + 1) * SIZE), .size = SIZE};
}

static void check_all(void)
{
    for (size_t i = 0; i < SPANS; i++) {
        const yk_span *right = present[i] ? &spans[i] : NULL;
        CHECK(yk_span_of(spans[i].base) == right);
        CHECK(yk_span_of(spans[i].base + SIZE - 1) == right);
        CHECK(yk_span_of(spans[i].base + SIZE) == NULL);
        CHECK(yk_span_of(spans[i].base - 1) == NULL);
    }
}

TEST(what_is_in_is_found_and_nothing_else)
{
    make_spans();
    check_all();
    for (int round = 0; round < 3000; round++) {
        size_t i = test_random() % SPANS;
        if (present[i])
            yk_span_remove(&spans[i]);
        else
            CHECK_INT(yk_span_add(&spans[i]), 0);
        present[i] = !present[i];
        if (round % 100 == 0)
            check_all();
    }
    check_all();
    for (size_t i = 0; i < SPANS; i++)
        if (present[i])
            yk_span_remove(&spans[i]);
    memset(present, 0, sizeof present);
    check_all();
    yk_span_remove(&spans[3]); /* not there: nothing */
    check_all();
}

TEST(want_of_memory_leaves_the_table_as_it_was)
{
    make_spans();
    size_t i = 0;
    for (yk_sys_fail("calloc", 3, ENOMEM); i < SPANS && yk_span_add(&spans[i]) == 0; i++)
        present[i] = true;
    CHECK(i > 0 && i < SPANS);
    yk_sys_fail("calloc", 0, 0);
    check_all();
    CHECK_INT(yk_span_add(&spans[i]), 0);
    present[i] = true;
    check_all();
}

static _Atomic bool stop;

static void *look_all_the_time(void *arg)
{
    size_t looks = 0;
    while (!atomic_load(&stop)) {
        size_t i = looks++ % SPANS;
        const yk_span *s = yk_span_of(spans[i].base + looks % SIZE);
        if (i % 2 == 0 ? s != &spans[i] : s && s != &spans[i])
            return spans; /* a look found what is not there, or missed what is */
    }
    return NULL;
}

TEST(looks_beside_changes)
{
    make_spans();
    pthread_t threads[3];
    for (size_t i = 0; i < SPANS; i += 2)
        CHECK_INT(yk_span_add(&spans[i]), 0);
    for (int t = 0; t < 3; t++)
        CHECK_INT(pthread_create(&threads[t], NULL, look_all_the_time, NULL), 0);
    for (int round = 0; round < 3000; round++) {
        size_t i = test_random() % SPANS | 1;
        CHECK_INT(yk_span_add(&spans[i]), 0);
        yk_span_remove(&spans[i]);
    }
    atomic_store(&stop, true);
    for (int t = 0; t < 3; t++) {
        void *wrong;
        pthread_join(threads[t], &wrong);
        CHECK(wrong == NULL);
    }
}
