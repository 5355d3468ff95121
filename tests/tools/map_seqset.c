/* map_seqset.c - the set of record numbers against a bitmap and against a list of wild numbers, and when memory
 * runs out. */
#include "test.h"
#include "tools/joblog.h"

enum { PAGE = 32768 };

/* Dense numbers in any order, as a log of an unordered run has them: compared with a bitmap after each step of a
 * thousand. */
TEST(dense_against_a_bitmap)
{
    enum { N = 5 * PAGE, STEPS = 120000 };
    static bool model[N];
    yk_seqset s = {0};
    uint64_t count = 0;
    for (int step = 0; step < STEPS; step++) {
        uint64_t n = test_random() % N;
        CHECK_INT(yk_seqset_has(&s, n), model[n]);
        CHECK_INT(yk_seqset_add(&s, n), 0);
        count += !model[n];
        model[n] = true;
        CHECK(yk_seqset_has(&s, n));
        CHECK_INT(s.count, count);
    }
    for (uint64_t n = 0; n < N; n++)
        CHECK_INT(yk_seqset_has(&s, n), model[n]);
    CHECK_INT(s.pages, 5);
    yk_seqset_done(&s);
    CHECK_INT(s.count, 0);
    CHECK(!yk_seqset_has(&s, 1));
}

/* Numbers at the edges of words, pages and the type. */
TEST(edges)
{
    static const uint64_t edges[] = {0, 63, 64, PAGE - 1, PAGE, PAGE + 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                     UINT64_MAX / 2, UINT64_MAX - PAGE, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < YK_COUNT_OF(edges); i++) {
        yk_seqset s = {0};
        CHECK_INT(yk_seqset_add(&s, edges[i]), 0);
        CHECK_INT(yk_seqset_add(&s, edges[i]), 0);
        CHECK_INT(s.count, 1);
        for (size_t j = 0; j < YK_COUNT_OF(edges); j++)
            CHECK_INT(yk_seqset_has(&s, edges[j]), i == j);
        yk_seqset_done(&s);
    }
}

/* A page each, many of them at the same place of the table: it grows, and never holds more than half its slots. */
TEST(wild_numbers)
{
    enum { N = 3000 };
    static uint64_t members[N];
    yk_seqset s = {0};
    for (int i = 0; i < N; i++) {
        /* Distinct by their high part; some share all but their highest bits. */
        members[i] = ((uint64_t)i << 40) | (i % 3 == 0 ? 0 : test_random() & 0xffffffffff);
        CHECK_INT(yk_seqset_add(&s, members[i]), 0);
        CHECK(2 * s.pages <= s.slots);
        CHECK_INT(s.slots & (s.slots - 1), 0);
    }
    CHECK_INT(s.count, N);
    CHECK_INT(s.pages, N);
    for (int i = 0; i < N; i++) {
        CHECK(yk_seqset_has(&s, members[i]));
        CHECK(!yk_seqset_has(&s, members[i] ^ 1));
        CHECK(!yk_seqset_has(&s, members[i] | UINT64_C(1) << 63));
    }
    yk_seqset_done(&s);
}

/* An allocation fails now and then: that number is not in, everything else still is, and it can be added again. */
TEST(memory_comes_and_goes)
{
    enum { N = 400 };
    static bool in[N];
    yk_seqset s = {0};
    int refused = 0;
    for (int step = 0; step < 4 * N; step++) {
        int i = step % N;
        bool failing = test_random() % 3 == 0;
        uint64_t count = s.count;
        if (failing)
            yk_sys_fail("calloc", 1 + (int)(test_random() % 2), ENOMEM);
        int err = yk_seqset_add(&s, (uint64_t)i * PAGE);
        yk_sys_fail("calloc", 0, 0);
        CHECK(err == 0 || (failing && err == -ENOMEM && !in[i]));
        CHECK_INT(s.count, count + (err == 0 && !in[i]));
        in[i] |= err == 0;
        refused += err < 0;
        CHECK_INT(yk_seqset_has(&s, (uint64_t)i * PAGE), in[i]);
    }
    CHECK(refused > 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(yk_seqset_has(&s, (uint64_t)i * PAGE), in[i]);
    yk_seqset_done(&s);
}
