/* deque.c - the deque against a model with one thread, and under thieves: every item is taken exactly once. */
#include "threads/deque.h"
#include "test.h"
#include <pthread.h>

static void *item(uintptr_t i)
{
    return (void *)(i + 1);
}

TEST(owner_against_model)
{
    yk_deque d;
    CHECK_INT(yk_deque_init(&d), 0);
    static uintptr_t model[60000];
    size_t low = 0, high = 0;
    bool lost = false;
    for (uintptr_t i = 0; i < 20000; i++) {
        switch (test_random() % 5) {
        case 0:
        case 1:
            CHECK(yk_deque_push(&d, item(i)));
            model[high++] = i;
            break;
        case 2: {
            void *several[3] = {item(i), item(i + 20000), item(i + 40000)};
            unsigned n = (unsigned)(test_random() % 4);
            CHECK(yk_deque_push_all(&d, several, n));
            for (unsigned k = 0; k < n; k++)
                model[high++] = i + k * 20000;
            break;
        }
        case 3:
            CHECK(yk_deque_take(&d) == (high > low ? item(model[high - 1]) : NULL));
            high -= high > low;
            break;
        case 4:
            CHECK(yk_deque_steal(&d, &lost) == (high > low ? item(model[low]) : NULL));
            low += high > low;
            break;
        }
        CHECK(yk_deque_is_empty(&d) == (low == high));
    }
    CHECK(!lost);
    yk_deque_done(&d);
}

enum { ITEMS = 200000, THIEVES = 3 };
static yk_deque shared;
static _Atomic unsigned char taken[ITEMS];
static _Atomic bool finished;

static void take(void *got)
{
    if (got && atomic_fetch_add(&taken[(uintptr_t)got - 1], 1) != 0)
        test_fail(__FILE__, __LINE__, "item %zu taken twice", (size_t)((uintptr_t)got - 1));
}

static void *thief(void *arg)
{
    bool lost;
    while (!atomic_load(&finished))
        take(yk_deque_steal(&shared, &lost));
    return NULL;
}

TEST_LIMIT(every_item_once_under_thieves, 300)
{
    CHECK_INT(yk_deque_init(&shared), 0);
    pthread_t threads[THIEVES];
    for (int i = 0; i < THIEVES; i++)
        pthread_create(&threads[i], NULL, thief, NULL);
    for (uintptr_t i = 0; i < ITEMS;) {
        for (uint64_t n = test_random() % 600; n > 0 && i < ITEMS; n--)
            CHECK(yk_deque_push(&shared, item(i++)));
        for (uint64_t n = test_random() % 500; n > 0; n--)
            take(yk_deque_take(&shared));
    }
    void *got;
    while ((got = yk_deque_take(&shared)))
        take(got);
    atomic_store(&finished, true);
    for (int i = 0; i < THIEVES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < ITEMS; i++)
        CHECK_INT(taken[i], 1);
    yk_deque_done(&shared);
}

TEST(full_without_memory)
{
    yk_deque d;
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK_INT(yk_deque_init(&d), -ENOMEM);
    CHECK_INT(yk_deque_init(&d), 0);
    uintptr_t n = 0;
    yk_sys_fail("malloc", 1, ENOMEM);
    while (yk_deque_push(&d, item(n)))
        n++;
    CHECK_INT(n, 256);
    CHECK(yk_deque_push(&d, item(n))); /* the next call succeeds, so it grows */
    for (uintptr_t i = n + 1; i-- > 0;)
        CHECK(yk_deque_take(&d) == item(i));
    yk_deque_done(&d);
}
