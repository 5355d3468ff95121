/* self.c - tests of the harness itself: runs victim.c and reads what it prints. */
#include "test.h"
#include <sys/wait.h>

static char text[20000];

/* Runs the victim with these words and keeps both its outputs in text; returns the exit status. */
static int victim(const char *words)
{
    char command[4096];
    const char *program = getenv("HARNESS_VICTIM");
    if (!program)
        SKIP("HARNESS_VICTIM is not set: run this through meson test");
    snprintf(command, sizeof command, "'%s' %s 2>&1", program, words);
    FILE *in = popen(command, "r");
    CHECK(in);
    size_t len = fread(text, 1, sizeof text - 1, in);
    text[len] = '\0';
    int status = pclose(in);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(a_pass_is_ok)
{
    CHECK_INT(victim("passes"), 0);
    CHECK_HAS(text, "TAP version 13\n1..1\n");
    CHECK_HAS(text, "ok 1 - passes\n");
    CHECK_HAS(text, "# 1 passed, 0 failed, 0 skipped\n");
}

TEST(a_failure_shows_both_values_and_the_seed)
{
    CHECK_INT(victim("--seed=77 fails"), 1);
    CHECK_HAS(text, "victim.c:");
    CHECK_HAS(text, "2 + 2 is 4, expected 5 = 5 (seed 77)");
    CHECK_HAS(text, "not ok 1 - fails\n");
    CHECK_HAS(text, "# 0 passed, 1 failed, 0 skipped\n");
}

TEST(every_kind_of_check_can_fail)
{
    CHECK_INT(victim("fails_text"), 1);
    CHECK_HAS(text, "\"yoke\" is \"yoke\", expected \"ox\"");
    CHECK_INT(victim("fails_part"), 1);
    CHECK_HAS(text, "\"(null)\", which lacks \"ox\"");
    CHECK_INT(victim("fails_near"), 1);
    CHECK_HAS(text, "0.5 is 0.5, expected 0.75");
    CHECK_INT(victim("fails_nan"), 1);
    CHECK_HAS(text, "nan");
}

TEST(a_failure_cannot_look_like_a_test)
{
    CHECK_INT(victim("fails_in_tap"), 1);
    CHECK_HAS(text, "#   ok 1 - no test\n");
    CHECK_HAS(text, "not ok 1 - fails_in_tap\n");
}

TEST(a_crash_costs_one_test)
{
    CHECK_INT(victim("crashes passes"), 1);
    CHECK_HAS(text, "crashes: killed by signal 9");
    CHECK_HAS(text, "ok 1 - passes\n");
    CHECK_HAS(text, "not ok 2 - crashes\n");
}

TEST(exit_in_a_test_is_a_failure)
{
    CHECK_INT(victim("exits"), 1);
    CHECK_HAS(text, "not ok 1 - exits\n");
}

TEST(a_hang_is_ended)
{
    unsetenv("TEST_TIME_SCALE");
    CHECK_INT(victim("hangs"), 1); /* or never */
    CHECK_HAS(text, "hangs: still running after 1 s");
    CHECK_HAS(text, "not ok 1 - hangs\n");
}

TEST(the_limit_scales)
{
    setenv("TEST_TIME_SCALE", "2", 1);
    CHECK_INT(victim("hangs"), 1);
    CHECK_HAS(text, "still running after 2 s");
}

TEST(a_skip_carries_its_reason)
{
    CHECK_INT(victim("skips passes"), 0);
    CHECK_HAS(text, "ok 2 - skips # SKIP no ox here\n");
    CHECK_HAS(text, "# 1 passed, 0 failed, 1 skipped\n");
}

/* One that lived on would keep the pipe open that is read here, and this test would run into its limit. */
TEST(processes_left_behind_are_ended)
{
    CHECK_INT(victim("leaves_a_process"), 0);
    CHECK_HAS(text, "# 1 passed, 0 failed, 0 skipped\n");
}

TEST(the_seed_decides_the_random_numbers)
{
    char before[sizeof text];
    CHECK_INT(victim("--seed 5 random_is_seeded"), 0);
    memcpy(before, text, sizeof before);
    CHECK_INT(victim("--seed=5 random_is_seeded"), 0);
    CHECK_STR(text, before);
    CHECK_INT(victim("--seed=6 random_is_seeded"), 0);
    CHECK(strcmp(text, before) != 0);
}

TEST(repeat_runs_again_until_a_failure)
{
    CHECK_INT(victim("--repeat=3 --seed=1 random_is_seeded"), 0);
    int count = 0;
    for (const char *p = text; (p = strstr(p, "# random")); p++)
        count++;
    CHECK_INT(count, 3);
    CHECK_HAS(text, "1..1\n");
    CHECK_INT(victim("--repeat 3 fails"), 1);
    CHECK_HAS(text, "# 0 passed, 1 failed, 0 skipped\n");
}

TEST(in_process_runs_without_a_child)
{
    CHECK_INT(victim("--in-process passes"), 0);
    CHECK_HAS(text, "ok 1 - passes\n");
    CHECK_INT(victim("--in-process fails"), 1);
}

TEST(list_prints_names_only)
{
    CHECK_INT(victim("--list"), 0);
    CHECK_HAS(text, "passes\nfails\n");
    CHECK(!strstr(text, "TAP"));
}

TEST(help_is_on_stdout)
{
    CHECK_INT(victim("--help 2>/dev/null"), 0);
    CHECK_HAS(text, "usage: ");
    CHECK_HAS(text, "--repeat=N");
}

TEST(wrong_words_are_refused)
{
    static const struct {
        const char *words, *complaint;
    } cases[] = {
        {"--lost", "unknown option: --lost (see --help)"},
        {"-x", "unknown option: -x"},
        {"--seeds=3", "unknown option: --seeds=3"},
        {"no_such_test", "no such test: no_such_test"},
        {"passes no_such_test", "no such test: no_such_test"},
        {"--repeat=0", "bad number: --repeat=0"},
        {"--repeat=-1", "bad number: --repeat=-1"},
        {"--repeat=2x", "bad number"},
        {"--repeat", "bad number: --repeat"},
        {"--seed=", "bad number: --seed="},
        {"--seed=99999999999999999999", "bad number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(victim(cases[i].words), 2);
        CHECK_HAS(text, cases[i].complaint);
        CHECK(!strstr(text, "ok 1"));
    }
}
