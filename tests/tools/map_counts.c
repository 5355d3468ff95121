/* What `yoke map` counts and says: --halt, run times, the summary, the progress line. */
#include "test.h"
#include "task/task.h"
#include "tools/progress.h"
#include "tools/tally.h"
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

static yk_halt parsed(const char *text)
{
    yk_halt h;
    yk_error e = {0};
    if (yk_halt_parse(&h, text, &e) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", text, e.text);
    return h;
}

TEST(halt_words)
{
    yk_halt h = parsed("never");
    CHECK_INT(h.when, YK_HALT_NEVER);
    h = parsed("now,fail=1");
    CHECK(h.when == YK_HALT_NOW && h.why == YK_HALT_FAIL && h.count == 1);
    h = parsed("soon,success=25");
    CHECK(h.when == YK_HALT_SOON && h.why == YK_HALT_SUCCESS && h.count == 25);
    h = parsed("soon,done=2.5%");
    CHECK(h.why == YK_HALT_DONE && h.count == 0);
    CHECK_NEAR(h.percent, 2.5, 0);
}

TEST(halt_words_that_are_wrong)
{
    static const char *const wrong[] = {"", "now", "now,", "now,fail", "now,fail=", "now,fail=0", "now,fail=-1", "now,fail=1x",
                                        "now,fail=0%", "now,fail=101%", "now,fail=1%%", "later,fail=1", "soon,lost=1",
                                        "now,fail= 1",
                                        "now,fail=99999999999999999999", "never,fail=1", "now,fail=nan%", "now,fail=1.5", "2"};
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        yk_halt h = {.count = 77};
        yk_error e;
        CHECK_INT(yk_halt_parse(&h, wrong[i], &e), -EINVAL);
        CHECK_HAS(e.text, "--halt ");
        CHECK_INT(h.when, YK_HALT_NEVER);
    }
}

static int decide(const char *text, uint64_t failed, uint64_t ok, uint64_t total)
{
    yk_halt h = parsed(text);
    return (int)yk_halt_decide(&h, failed, ok, total);
}

TEST(halt_decisions)
{
    CHECK_INT(decide("never", 1000, 1000, 0), YK_HALT_NEVER);
    CHECK_INT(decide("now,fail=2", 1, 100, 0), YK_HALT_NEVER);
    CHECK_INT(decide("now,fail=2", 2, 0, 0), YK_HALT_NOW);
    CHECK_INT(decide("soon,success=1", 5, 0, 0), YK_HALT_NEVER);
    CHECK_INT(decide("soon,success=1", 5, 1, 0), YK_HALT_SOON);
    CHECK_INT(decide("soon,done=3", 1, 1, 0), YK_HALT_NEVER);
    CHECK_INT(decide("soon,done=3", 1, 2, 0), YK_HALT_SOON);
    /* of a known number */
    CHECK_INT(decide("now,fail=10%", 9, 0, 100), YK_HALT_NEVER);
    CHECK_INT(decide("now,fail=10%", 10, 0, 100), YK_HALT_NOW);
    CHECK_INT(decide("now,done=50%", 20, 30, 100), YK_HALT_NOW);
    /* of those that have ended, from three on */
    CHECK_INT(decide("now,fail=10%", 2, 0, 0), YK_HALT_NEVER);
    CHECK_INT(decide("now,fail=10%", 1, 2, 0), YK_HALT_NOW);
    CHECK_INT(decide("now,fail=10%", 1, 10, 0), YK_HALT_NEVER);
    CHECK_INT(decide("now,fail=10%", 0, 100, 0), YK_HALT_NEVER);
    CHECK_INT(decide("now,done=50%", 50, 50, 0), YK_HALT_NEVER);
}

TEST(run_times)
{
    yk_tally t = {0};
    CHECK_INT(yk_tally_quantile(&t, 0.5), 0);
    for (int i = 1; i <= 1000; i++)
        yk_tally_time(&t, i * YOKE_US);
    CHECK_NEAR((double)yk_tally_quantile(&t, 0.5), 500e3, 500e3 / 16);
    CHECK_NEAR((double)yk_tally_quantile(&t, 0.99), 990e3, 990e3 / 16);
    CHECK_INT(yk_tally_quantile(&t, 1), 1000 * YOKE_US);
    CHECK_NEAR((double)yk_tally_quantile(&t, 0), 1e3, 1e3 / 16);
    CHECK_INT(t.longest, 1000 * YOKE_US);
}

TEST(run_times_of_every_size)
{
    for (int shift = 0; shift < 63; shift++)
        for (int64_t off = -1; off <= 1; off++) {
            yk_tally t = {0};
            int64_t ns = (INT64_C(1) << shift) + off;
            yk_tally_time(&t, ns);
            CHECK_INT(yk_tally_quantile(&t, 0.5), ns);
            yk_tally_time(&t, INT64_MAX);
            int64_t q = yk_tally_quantile(&t, 0.5);
            if (ns < INT64_C(1) << 60)
                CHECK(q >= ns && (double)(q - ns) <= (double)ns / 16 + 1);
        }
    yk_tally t = {0};
    yk_tally_time(&t, -5);
    CHECK_INT(yk_tally_quantile(&t, 0.5), 0);
}

TEST(summary)
{
    yk_tally t = {.records = 10, .ok = 6, .failed = 3, .timed_out = 1, .skipped = 1, .out_bytes = 99, .began = YOKE_S};
    yk_buf out = {0};
    yk_tally_time(&t, YOKE_MS);
    yk_tally_summary(&t, "quo\"te", "threads:2", 2, NULL, 3 * YOKE_S, &out);
    const char *text = yk_buf_str(&out);
    CHECK_INT(yk_json_check(text, out.len, NULL), 0);
    CHECK_STR(text, "{\"task\": \"quo\\\"te\", \"records\": 10, \"ok\": 6, \"failed\": 3, \"timed_out\": 1, \"skipped\": 1, "
                    "\"cancelled\": 0, \"seconds\": 2, \"records_per_second\": 4.5, \"result_bytes\": 99, "
                    "\"executor\": \"threads:2\", \"width\": 2, \"run_seconds_p50\": 0.001, \"run_seconds_p99\": 0.001, "
                    "\"run_seconds_max\": 0.001, \"stopped\": null}\n");
    yk_buf_done(&out);
    yk_tally_summary(&t, "t", NULL, 0, "interrupted", t.began, &out);
    CHECK_HAS(yk_buf_str(&out), "\"records_per_second\": 0,");
    CHECK_HAS(yk_buf_str(&out), "\"executor\": null");
    CHECK_HAS(yk_buf_str(&out), "\"stopped\": \"interrupted\"}");
    yk_buf_done(&out);
}

static const char *line(yk_progress_state s, double seconds, int columns)
{
    static yk_buf out;
    yk_progress p = {.began = YOKE_S};
    out.len = 0;
    yk_progress_line(&p, &s, YOKE_S + (int64_t)(seconds * 1e9), columns, &out);
    return yk_buf_str(&out);
}

TEST(progress_line)
{
    CHECK_STR(line((yk_progress_state){.done = 50, .total = 200, .failed = 3, .running = 4}, 10, 100),
              "[######------------------]  25%  50 of 200  5.0/s  left 30s  waiting 4  failed 3");
    CHECK_STR(line((yk_progress_state){.done = 200, .total = 200}, 400, 80),
              "[########################] 100%  200 of 200  0.5/s  took 6m40s");
    CHECK_STR(line((yk_progress_state){.done = 3000000, .share = -1}, 1, 80), "3000000 records  3.00 M/s  took 1s");
    CHECK_STR(line((yk_progress_state){.done = 30000, .share = 0.5}, 1, 80),
              "[############------------]  50%  30000 records  30.0 k/s  left 1s");
    CHECK_HAS(line((yk_progress_state){.done = 1, .share = 0.00001}, 100, 80), "left 116d");
    CHECK_HAS(line((yk_progress_state){.done = 1, .share = 0.001}, 100, 80), "left 27h45m");
    CHECK_STR(line((yk_progress_state){.done = 0, .total = 10}, 0, 80),
              "[------------------------]   0%  0 of 10  0.0/s  took 0s");
    CHECK_STR(line((yk_progress_state){.done = 0, .share = 0.25, .running = 32}, 2, 80),
              "[######------------------]  25%  0 records  0.0/s  took 2s  waiting 32");
    CHECK_HAS(line((yk_progress_state){.done = 1, .share = -1}, 1, 80), "1 record  ");
    CHECK_INT(strlen(line((yk_progress_state){.done = 50, .total = 200, .failed = 3}, 10, 40)), 39);
    CHECK_HAS(line((yk_progress_state){.done = 300, .total = 200}, 10, 80), "100%");
}

TEST(progress_only_where_it_is_wanted)
{
    yk_progress p;
    int fd = open("/dev/null", O_WRONLY);
    yk_progress_open(&p, fd, -1, false);
    CHECK(!p.on);
    yk_progress_open(&p, fd, 0, false);
    CHECK(!p.on);
    yk_progress_open(&p, fd, 1, true);
    CHECK(p.on && !p.terminal);
    close(fd);
}

/* Not on a terminal: whole lines, seconds apart. */
TEST(progress_in_a_file)
{
    char path[] = "/tmp/yoke-progress-XXXXXX", text[500];
    int fd = mkstemp(path);
    unlink(path);
    yk_progress p;
    yk_progress_state s = {.done = 5, .total = 10};
    yk_progress_open(&p, fd, 1, false);
    int64_t t = p.began;
    yk_progress_tick(&p, &s, t + YOKE_S);
    CHECK_INT(lseek(fd, 0, SEEK_CUR), 0);
    yk_progress_tick(&p, &s, t + 6 * YOKE_S);
    yk_progress_tick(&p, &s, t + 7 * YOKE_S);
    yk_progress_clear(&p);
    s.done = 10;
    yk_progress_close(&p, &s, t + 8 * YOKE_S);
    yk_progress_tick(&p, &s, t + 100 * YOKE_S);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    CHECK(n > 0);
    text[n] = '\0';
    CHECK_STR(text, "[############------------]  50%  5 of 10  3.0/s  left 6s\n"
                    "[########################] 100%  10 of 10  1.2/s  took 8s\n");
    close(fd);
}
