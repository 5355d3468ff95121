/* The process that runs kernels, seen from outside: its lines, its stderr, its end, its time limit, and who cannot be started. */
#include "test.h"
#include "tools/kernel_check.h"
#include <sys/wait.h>
#include <unistd.h>

#define SECOND ((int64_t)1000000000)

typedef struct ears {
    yk_buf text;
    unsigned lines;
} ears;

static void hear(void *arg, char *line)
{
    ears *h = arg;
    h->lines++;
    yk_buf_printf(&h->text, "%s|", line);
}

static yk_child shell(const char *script, ears *h, char *argv[4], int64_t timeout)
{
    argv[0] = (char *)(uintptr_t) "/bin/sh";
    argv[1] = (char *)(uintptr_t) "-c";
    argv[2] = (char *)(uintptr_t)script;
    argv[3] = NULL;
    return (yk_child){.argv = argv, .timeout = timeout, .line = hear, .arg = h};
}

TEST(lines_and_stderr_are_kept_apart)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("echo one; echo other >&2; printf 'tw'; sleep 0.1; printf 'o\\nhalf'", &h, argv, 60 * SECOND);
    CHECK_INT(yk_child_run(&c), 0);
    CHECK_STR(yk_buf_str(&h.text), "one|two|"); /* what has no end is no line */
    CHECK_STR(yk_buf_str(&c.stderr_text), "other\n");
    CHECK(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
    CHECK(!c.timed_out);
    yk_buf_done(&h.text);
    yk_buf_done(&c.stderr_text);
}

TEST(ends_are_told)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("exit 7", &h, argv, 60 * SECOND);
    CHECK_INT(yk_child_run(&c), 0);
    CHECK_INT(WEXITSTATUS(c.status), 7);
    c = shell("kill -SEGV $$", &h, argv, 60 * SECOND);
    CHECK_INT(yk_child_run(&c), 0);
    CHECK(WIFSIGNALED(c.status));
    CHECK_INT(WTERMSIG(c.status), SIGSEGV);
    CHECK_INT(h.lines, 0);
}

TEST(who_says_nothing_for_long_is_ended)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("echo a; exec sleep 1000", &h, argv, SECOND / 5);
    int64_t start = yoke_now();
    CHECK_INT(yk_child_run(&c), 0);
    CHECK(c.timed_out && WIFSIGNALED(c.status));
    CHECK_STR(yk_buf_str(&h.text), "a|");
    CHECK(yoke_now() - start < 100 * SECOND);
    h.text.len = 0;
    c = shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done", &h, argv, 20 * SECOND); /* each line counts anew */
    CHECK_INT(yk_child_run(&c), 0);
    CHECK(!c.timed_out);
    CHECK_STR(yk_buf_str(&h.text), "1|2|3|4|5|6|");
    yk_buf_done(&h.text);
}

TEST_LIMIT(who_closes_its_ends_and_goes_on_is_ended, 60)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("echo a; exec >&- 2>&-; exec sleep 1000", &h, argv, SECOND / 5);
    CHECK_INT(yk_child_run(&c), 0);
    CHECK(c.timed_out && WIFSIGNALED(c.status));
    CHECK_STR(yk_buf_str(&h.text), "a|");
    c = shell("exec >&- 2>&-; sleep 0.2; exit 7", &h, argv, 20 * SECOND); /* it has its time all the same */
    CHECK_INT(yk_child_run(&c), 0);
    CHECK(!c.timed_out && WIFEXITED(c.status));
    CHECK_INT(WEXITSTATUS(c.status), 7);
    yk_buf_done(&h.text);
}

TEST_LIMIT(who_cannot_be_heard_is_ended, 60)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("exec sleep 1000", &h, argv, SECOND / 5);
    yk_sys_fail("poll", 1, ENOMEM);
    CHECK_INT(yk_child_run(&c), 0);
    yk_sys_fail("poll", 0, 0);
    CHECK(c.timed_out && WIFSIGNALED(c.status));
    CHECK_INT(WTERMSIG(c.status), SIGKILL);
}

TEST(much_text_does_not_block_it)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("x=0123456789; x=$x$x$x$x$x$x$x$x$x$x; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $x >&2; done; "
                       "echo end", &h, argv, 100 * SECOND);
    CHECK_INT(yk_child_run(&c), 0);
    CHECK_STR(yk_buf_str(&h.text), "end|");
    CHECK(c.stderr_text.len > 200000 && c.stderr_text.len < 300000); /* and is not kept for ever */
    yk_buf_done(&h.text);
    yk_buf_done(&c.stderr_text);
}

TEST(what_cannot_be_started)
{
    ears h = {.lines = 0};
    char *argv[4];
    yk_child c = shell("true", &h, argv, SECOND);
    for (int n = 1; n <= 2; n++) {
        yk_sys_fail("pipe2", n, EMFILE);
        CHECK_INT(yk_child_run(&c), -EMFILE);
        yk_sys_fail("pipe2", 0, 0);
    }
    argv[0] = (char *)(uintptr_t) "/nonexistent/yoke";
    CHECK_INT(yk_child_run(&c), -ENOENT);
    int before = dup(0);
    close(before);
    for (int i = 0; i < 20; i++)
        CHECK_INT(yk_child_run(&c), -ENOENT);
    int after = dup(0);
    CHECK_INT(after, before); /* no descriptor is left */
    close(after);
}

/* ---- All kernels of a file ---- */

static void note(void *arg, size_t kernel, char mark, const char *text)
{
    yk_buf_printf(arg, "%zu%c%s|", kernel, mark, text);
}

/* What is heard of two kernels when the process that runs them is a script, with the words that yoke gives itself behind it. */
static int heard_of(const char *script, int64_t timeout, yk_buf *heard, yk_buf *messages, yk_buf *why)
{
    const char *const front[] = {"/bin/sh", "-c", script, NULL};
    yk_check c = {.path = "FILE", .devices = "one,two", .seed = 7, .ulp = 9, .timeout = timeout};
    yk_listener l = {.front = front, .verdict = note, .arg = heard, .messages = messages};
    heard->len = why->len = messages->len = 0;
    int err = yk_run_kernels(&c, 2, &l, why);
    yk_buf_str(heard);
    yk_buf_str(messages);
    yk_buf_str(why);
    return err;
}

TEST(each_death_is_one_line_and_the_next_goes_on)
{
    yk_buf heard = {0}, messages = {0}, why = {0};
    /* The words: yoke, --run-kernels, FILE, "", devices, seed, ulp, simulated, kernel, device; the first is $0. */
    CHECK_INT(heard_of("echo \"@0 0 x\"; echo \"+$1 $2 $3 $4 $5 $6 $7 $8 $9\"; echo .", 60 * SECOND, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "0+--run-kernels FILE  one,two 7 9 0 0 0|");
    CHECK_INT(heard_of("echo \"@$8 $9 k$8: d$9:\"; echo note >&2; kill -SEGV $$", 60 * SECOND, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "0-k0: d0: it ends the process: signal 11 (Segmentation fault)|"
                         "0-k0: d1: it ends the process: signal 11 (Segmentation fault)|"
                         "1-k1: d0: it ends the process: signal 11 (Segmentation fault)|"
                         "1-k1: d1: it ends the process: signal 11 (Segmentation fault)|");
    CHECK_STR(messages.ptr, "note\nnote\nnote\nnote\n");
    CHECK_INT(heard_of("echo \"@$8 $9 k$8:\"; echo \"-k$8: lost\"; exit 4", 60 * SECOND, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "0-k0: lost|0-k0: lost|1-k1: lost|1-k1: lost|"); /* told already */
    CHECK_INT(heard_of("echo \"@1 1 k:\"; exit 5", 60 * SECOND, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "1-k: it ends the process with exit code 5|");
    yk_buf_done(&heard);
    yk_buf_done(&messages);
    yk_buf_done(&why);
}

TEST(who_does_not_end_is_left_out_where_that_is_no_fault)
{
    yk_buf heard = {0}, messages = {0}, why = {0};
    CHECK_INT(heard_of("echo \"%1 1 k:\"; exec sleep 1000", SECOND / 5, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "1~k: it does not end within 0.2 s|"); /* on the CPU: the arguments are made up */
    CHECK_INT(heard_of("echo \"@1 1 k:\"; exec sleep 1000", SECOND / 5, &heard, &messages, &why), 0);
    CHECK_STR(heard.ptr, "1-k: it does not end within 0.2 s|");
    yk_buf_done(&heard);
    yk_buf_done(&messages);
    yk_buf_done(&why);
}

TEST(who_cannot_begin_says_why)
{
    yk_buf heard = {0}, messages = {0}, why = {0};
    CHECK_INT(heard_of("echo first >&2; echo 'no such device' >&2; exit 3", 60 * SECOND, &heard, &messages, &why), -ENODEV);
    CHECK_STR(why.ptr, "no such device");
    CHECK_INT(heard_of("exit 9", 60 * SECOND, &heard, &messages, &why), -EIO);
    CHECK_STR(why.ptr, "the process that runs kernels has ended at once: exit code 9");
    CHECK_INT(heard_of("kill -KILL $$", 60 * SECOND, &heard, &messages, &why), -EIO);
    CHECK_STR(why.ptr, "the process that runs kernels has ended at once: signal 9");
    CHECK_INT(heard.len, 0);
    yk_sys_fail("pipe2", 1, EMFILE);
    CHECK_INT(heard_of("exit 0", 60 * SECOND, &heard, &messages, &why), -EMFILE);
    CHECK_HAS(why.ptr, "cannot start a process: ");
    yk_sys_fail("pipe2", 0, 0);
    yk_buf_done(&heard);
    yk_buf_done(&messages);
    yk_buf_done(&why);
}
