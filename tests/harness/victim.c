/* victim.c - tests that end in every way a test can end; self.c looks at what the harness makes of them. */
#include "test.h"
#include <signal.h>
#include <unistd.h>

TEST(passes)
{
    CHECK(1 + 1 == 2);
    CHECK_INT(3, 3);
    CHECK_STR("a", "a");
    CHECK_HAS("abc", "bc");
    CHECK_NEAR(0.1 + 0.2, 0.3, 1e-12);
}

TEST(fails)
{
    CHECK_INT(2 + 2, 5);
}

TEST(fails_text)
{
    CHECK_STR("yoke", "ox");
}

TEST(fails_in_tap)
{
    CHECK_STR("1..1\nok 1 - no test\n", "");
}

TEST(fails_part)
{
    CHECK_HAS(NULL, "ox");
}

TEST(fails_near)
{
    CHECK_NEAR(0.5, 0.75, 0.1);
}

/* A NaN is near nothing. */
TEST(fails_nan)
{
    CHECK_NEAR(strtod("nan", NULL), 0, 1e300);
}

TEST(crashes)
{
    raise(SIGKILL); /* and not SIGSEGV: sanitizers catch that and exit */
}

TEST(exits)
{
    exit(3);
}

TEST_LIMIT(hangs, 1)
{
    for (;;)
        pause();
}

TEST(skips)
{
    SKIP("no %s here", "ox");
}

/* The grandchild must be gone when the test is over: it keeps stdout open, whose reader would wait for ever. */
TEST(leaves_a_process)
{
    if (fork() == 0)
        for (;;)
            pause();
}

TEST(random_is_seeded)
{
    printf("# random %llu\n", (unsigned long long)test_random());
}
