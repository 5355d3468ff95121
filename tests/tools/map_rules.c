/* map_rules.c - what --halt decides, against a brute-force reading of the rule, and what the progress line shows
 * for each size of each number and each width of a terminal. */
#include "test.h"
#include "task/task.h"
#include "tools/progress.h"
#include "tools/tally.h"

/* ---- --halt ---- */

/* The rule in words of the manual, on whole numbers: percentages are given in tenths. */
static bool reached(enum yk_halt_why why, uint64_t count, uint64_t tenths, uint64_t failed, uint64_t ok, uint64_t total)
{
    uint64_t ended = failed + ok, n = why == YK_HALT_FAIL ? failed : why == YK_HALT_SUCCESS ? ok : ended;
    if (count > 0)
        return n >= count;
    if (total > 0)
        return n > 0 && n * 1000 >= tenths * total;
    return why != YK_HALT_DONE && ended >= 3 && n > 0 && n * 1000 >= tenths * ended;
}

TEST(halt_by_number_against_the_rule)
{
    static const char *const whys[] = {"fail", "success", "done"};
    for (int why = 0; why < 3; why++)
        for (unsigned count = 1; count <= 6; count++)
            for (int now = 0; now < 2; now++) {
                char text[60];
                yk_halt h;
                snprintf(text, sizeof text, "%s,%s=%u", now ? "now" : "soon", whys[why], count);
                CHECK_INT(yk_halt_parse(&h, text, NULL), 0);
                for (uint64_t failed = 0; failed < 8; failed++)
                    for (uint64_t ok = 0; ok < 8; ok++)
                        for (uint64_t total = 0; total < 16; total += 5) {
                            bool yes = reached((enum yk_halt_why)why, count, 0, failed, ok, total);
                            enum yk_halt_when when = yk_halt_decide(&h, failed, ok, total);
                            CHECK_INT(when, !yes ? YK_HALT_NEVER : now ? YK_HALT_NOW : YK_HALT_SOON);
                        }
            }
}

TEST(halt_by_percentage_against_the_rule)
{
    static const char *const whys[] = {"fail", "success", "done"};
    static const unsigned tenths[] = {1, 5, 10, 125, 250, 333, 500, 501, 999, 1000};
    for (int why = 0; why < 3; why++)
        for (size_t i = 0; i < YK_COUNT_OF(tenths); i++) {
            char text[60];
            yk_halt h;
            snprintf(text, sizeof text, "soon,%s=%u.%u%%", whys[why], tenths[i] / 10, tenths[i] % 10);
            CHECK_INT(yk_halt_parse(&h, text, NULL), 0);
            for (uint64_t failed = 0; failed < 12; failed++)
                for (uint64_t ok = 0; ok < 12; ok++)
                    for (uint64_t total = 0; total <= 40; total += 8) {
                        bool yes = reached((enum yk_halt_why)why, 0, tenths[i], failed, ok, total);
                        enum yk_halt_when when = yk_halt_decide(&h, failed, ok, total);
                        if (when != (yes ? YK_HALT_SOON : YK_HALT_NEVER))
                            test_fail(__FILE__, __LINE__, "%s, %d failed, %d ok of %d: %d", text, (int)failed, (int)ok,
                                      (int)total, (int)when);
                    }
        }
}

/* Once a rule has spoken, more of what it counts does not take that back while the total is known. */
TEST(halt_is_not_taken_back)
{
    static const char *const rules[] = {"now,fail=3", "now,fail=7%", "now,success=50%", "now,done=99%", "now,done=12"};
    for (size_t i = 0; i < YK_COUNT_OF(rules); i++) {
        yk_halt h;
        CHECK_INT(yk_halt_parse(&h, rules[i], NULL), 0);
        for (int walk = 0; walk < 200; walk++) {
            uint64_t failed = 0, ok = 0;
            bool halted = false;
            while (failed + ok < 60) {
                *(test_random() % 2 ? &failed : &ok) += 1;
                bool now = yk_halt_decide(&h, failed, ok, 60) == YK_HALT_NOW;
                CHECK(now || !halted);
                halted |= now;
            }
        }
    }
}

/* What is wrong is said with the whole text that was given, and nothing is changed by a part that was right. */
TEST(halt_complaints)
{
    static const struct {
        const char *text, *says;
    } table[] = {
        {"later,fail=1", "must begin with now or soon"}, {"NOW,fail=1", "must begin with now or soon"},
        {"nowfail=1", "must begin with now or soon"},    {"now,crash=1", "must be fail=, success= or done="},
        {"now,fail1", "must be fail=, success= or done="}, {"soon,fail=x", "the number is missing or wrong"},
        {"soon,fail=.5%", "the number is missing or wrong"}, {"soon,fail=+1", "the number is missing or wrong"},
        {"soon,fail=0x10", "the number is missing or wrong"}, {"soon,done=00", "must be 1 or more"},
        {"soon,done=1.5", "must be 1 or more"},          {"soon,done=0.0%", "above 0% and at most 100%"},
        {"soon,done=100.1%", "above 0% and at most 100%"}, {"soon,done=1%2", "above 0% and at most 100%"},
        {"soon,done=1.2.3%", "above 0% and at most 100%"}};
    for (size_t i = 0; i < YK_COUNT_OF(table); i++) {
        yk_halt h;
        yk_error e;
        CHECK_INT(yk_halt_parse(&h, table[i].text, &e), -EINVAL);
        CHECK_HAS(e.text, table[i].says);
        CHECK_HAS(e.text, table[i].text);
        CHECK(h.when == YK_HALT_NEVER && h.count == 0 && h.percent == 0);
    }
}

/* ---- The progress line ---- */

static const char *line(const yk_progress *p, yk_progress_state s, double seconds, int columns)
{
    static yk_buf out;
    out.len = 0;
    yk_progress_line(p, &s, p->began + (int64_t)(seconds * 1e9), columns, &out);
    return yk_buf_str(&out);
}

TEST(rates)
{
    static const struct {
        double rate;
        const char *shown;
    } table[] = {{0.04, " 0.0/s "},     {0.06, " 0.1/s "},      {1, " 1.0/s "},          {12.34, " 12.3/s "},
                 {999.9, " 999.9/s "},  {1000, " 1.0 k/s "},    {1549, " 1.5 k/s "},     {99949, " 99.9 k/s "},
                 {999900, " 999.9 k/s "}, {1e6, " 1.00 M/s "},  {2.345e6, " 2.35 M/s "}, {123456789, " 123.46 M/s "}};
    for (size_t i = 0; i < YK_COUNT_OF(table); i++) {
        yk_progress p = {.began = YOKE_S, .rate = table[i].rate};
        CHECK_HAS(line(&p, (yk_progress_state){.done = 1, .total = 9}, 1, 100), table[i].shown);
    }
}

TEST(times_left)
{
    /* half is done, so as much is left as has passed */
    static const struct {
        double seconds;
        const char *shown;
    } table[] = {{0.4, "left 0s"},      {1, "left 1s"},        {59.6, "left 60s"},    {99.4, "left 99s"},
                 {100, "left 1m40s"},   {119, "left 1m59s"},   {3600, "left 60m00s"}, {5999, "left 99m59s"},
                 {6000, "left 1h40m"},  {7260, "left 2h01m"},  {86400, "left 24h00m"}, {359999, "left 99h59m"},
                 {360000, "left 4d"},   {8640000, "left 100d"}};
    yk_progress p = {.began = YOKE_S};
    for (size_t i = 0; i < YK_COUNT_OF(table); i++)
        CHECK_HAS(line(&p, (yk_progress_state){.done = 50, .total = 100}, table[i].seconds, 120), table[i].shown);
    /* what is done or has not begun has no time left, but one that it took */
    CHECK_HAS(line(&p, (yk_progress_state){.done = 100, .total = 100}, 75, 120), "took 75s");
    CHECK_HAS(line(&p, (yk_progress_state){.done = 0, .total = 100}, 75, 120), "took 75s");
    CHECK_HAS(line(&p, (yk_progress_state){.done = 7, .share = -1}, 75, 120), "took 75s");
}

/* The bar grows steadily with the share, is full only at the end, and the number agrees with it. */
TEST(bars)
{
    yk_progress p = {.began = YOKE_S};
    int last = -1;
    for (uint64_t done = 0; done <= 1000; done++) {
        const char *text = line(&p, (yk_progress_state){.done = done, .total = 1000}, 10, 200);
        CHECK_INT(text[0], '[');
        int full = (int)strspn(text + 1, "#"), rest = (int)strspn(text + 1 + full, "-");
        CHECK_INT(full + rest, 24);
        CHECK_INT(text[25], ']');
        CHECK(full >= last && full <= last + (last >= 0) + (last < 0));
        last = full;
        CHECK_INT(strtol(text + 26, NULL, 10), (long)(done / 10));
    }
    CHECK_INT(last, 24);
}

/* Whatever the width, the line is the beginning of the whole line and leaves the last column free. */
TEST(widths)
{
    yk_progress p = {.began = YOKE_S};
    static const yk_progress_state states[] = {
        {.done = 12345678, .total = 23456789, .failed = 12, .running = 4096},
        {.done = 3, .share = -1},
        {.done = UINT64_MAX, .total = UINT64_MAX, .failed = UINT64_MAX, .running = UINT64_MAX}};
    for (size_t i = 0; i < YK_COUNT_OF(states); i++) {
        char whole[400];
        snprintf(whole, sizeof whole, "%s", line(&p, states[i], 1234, 0));
        size_t len = strlen(whole);
        for (int columns = 1; columns <= 200; columns++) {
            const char *cut = line(&p, states[i], 1234, columns);
            CHECK_INT(strlen(cut), YK_MIN(len, (size_t)columns - 1));
            CHECK_INT(strncmp(cut, whole, strlen(cut)), 0);
        }
    }
}

/* A line is appended to what the buffer holds, and cut by its own length. */
TEST(a_line_after_other_text)
{
    yk_progress p = {.began = YOKE_S};
    yk_progress_state s = {.done = 5, .total = 10};
    yk_buf out = {0};
    yk_buf_text(&out, "before ");
    yk_progress_line(&p, &s, 2 * YOKE_S, 11, &out);
    CHECK_STR(yk_buf_str(&out), "before [#########");
    yk_buf_done(&out);
}

/* No memory: nothing is drawn, and nobody minds. */
TEST(no_memory_for_the_line)
{
    yk_progress p;
    yk_progress_state s = {.done = 5, .total = 10};
    yk_progress_open(&p, -1, 1, false);
    yk_sys_fail("realloc", 1, ENOMEM);
    yk_progress_tick(&p, &s, p.began + 10 * YOKE_S);
    yk_sys_fail("realloc", 1, ENOMEM);
    yk_progress_close(&p, &s, p.began + 11 * YOKE_S);
    yk_sys_fail("realloc", 0, 0);
    CHECK(!p.on);
}
