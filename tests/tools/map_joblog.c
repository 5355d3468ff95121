/* The job log of `yoke map`, written and read, and the set of numbers it is read into. */
#include "test.h"
#include "tools/joblog.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

static char path[] = "/tmp/yoke-joblog-XXXXXX";

static void make(const char *content)
{
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static const char *content(void)
{
    static char text[100000];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK(n >= 0);
    close(fd);
    text[n] = '\0';
    return text;
}

static size_t content_size(void)
{
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    return (size_t)st.st_size;
}

TEST(numbers)
{
    yk_seqset s = {0};
    CHECK(!yk_seqset_has(&s, 0));
    CHECK(!yk_seqset_has(&s, 1));
    for (uint64_t n = 1; n <= 100000; n += 2)
        CHECK_INT(yk_seqset_add(&s, n), 0);
    CHECK_INT(yk_seqset_add(&s, 1), 0);
    CHECK_INT(s.count, 50000);
    for (uint64_t n = 0; n <= 200000; n++)
        CHECK_INT(yk_seqset_has(&s, n), n % 2 == 1 && n <= 100000);
    CHECK_INT(s.pages, 4);
    yk_seqset_done(&s);
    CHECK(!yk_seqset_has(&s, 1));
}

TEST(numbers_at_the_ends)
{
    yk_seqset s = {0};
    uint64_t wild[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT32_MAX, (UINT64_C(1) << 32)};
    for (size_t i = 0; i < YK_COUNT_OF(wild); i++)
        CHECK_INT(yk_seqset_add(&s, wild[i]), 0);
    for (size_t i = 0; i < YK_COUNT_OF(wild); i++)
        CHECK(yk_seqset_has(&s, wild[i]));
    CHECK(!yk_seqset_has(&s, 2));
    CHECK(!yk_seqset_has(&s, UINT64_MAX - 2));
    CHECK(!yk_seqset_has(&s, (UINT64_C(1) << 32) + 1));
    yk_seqset_done(&s);
}

TEST(numbers_against_a_table)
{
    enum { RANGE = 1 << 18 };
    static bool model[RANGE];
    yk_seqset s = {0};
    uint64_t count = 0;
    for (int i = 0; i < 50000; i++) {
        uint64_t n = test_random() % RANGE;
        count += !model[n];
        model[n] = true;
        CHECK_INT(yk_seqset_add(&s, n << 7), 0);
    }
    CHECK_INT(s.count, count);
    for (uint64_t n = 0; n < RANGE; n++)
        CHECK_INT(yk_seqset_has(&s, n << 7), model[n]);
    yk_seqset_done(&s);
}

TEST(ten_million_numbers_are_small)
{
    yk_seqset s = {0};
    for (uint64_t n = 1; n <= 10000000; n++)
        yk_seqset_add(&s, n);
    CHECK_INT(s.count, 10000000);
    CHECK(s.pages <= 306);
    yk_seqset_done(&s);
}

TEST(numbers_without_memory)
{
    for (int n = 1; n < 10; n++) {
        yk_seqset s = {0};
        yk_sys_fail("calloc", n, ENOMEM);
        int err = 0;
        for (uint64_t i = 0; i < 20 && err == 0; i++)
            err = yk_seqset_add(&s, i << 20);
        CHECK_INT(err, -ENOMEM);
        yk_sys_fail("calloc", 0, 0);
        for (uint64_t i = 0; i < 20; i++)
            CHECK_INT(yk_seqset_add(&s, i << 20), 0);
        CHECK_INT(s.count, 20);
        yk_seqset_done(&s);
    }
}

static const char *quoted(const char *word)
{
    static yk_buf b;
    b.len = 0;
    yk_shell_quote(&b, word, strlen(word));
    return yk_buf_str(&b);
}

TEST(words_for_the_shell)
{
    CHECK_STR(quoted("plain/Word_1.c:task"), "plain/Word_1.c:task");
    CHECK_STR(quoted(""), "''");
    CHECK_STR(quoted("[1,2]"), "'[1,2]'");
    CHECK_STR(quoted("a b"), "'a b'");
    CHECK_STR(quoted("it's"), "'it'\\''s'");
    CHECK_STR(quoted("'"), "''\\'''");
    CHECK_STR(quoted("~root"), "'~root'");
    CHECK_STR(quoted("$(id) `id` \\ \" ! * ?"), "'$(id) `id` \\ \" ! * ?'");
    CHECK_STR(quoted("tab\there"), "'tab\there'");
}

/* Whatever the bytes, sh must read the same word back. */
TEST(the_shell_reads_the_same_word)
{
    for (int round = 0; round < 20; round++) {
        char word[40];
        size_t n = 1 + test_random() % 38;
        for (size_t i = 0; i < n; i++)
            word[i] = (char)(1 + test_random() % 127);
        word[n] = '\0';
        yk_buf b = {0};
        yk_buf_text(&b, "printf %s ");
        yk_shell_quote(&b, word, n);
        FILE *p = popen(yk_buf_str(&b), "r");
        CHECK(p);
        char back[100];
        size_t got = fread(back, 1, sizeof back - 1, p);
        back[got] = '\0';
        CHECK_INT(pclose(p), 0);
        CHECK_STR(back, word);
        yk_buf_done(&b);
    }
}

static yk_joblog_row row_of(uint64_t seq, const char *record)
{
    return (yk_joblog_row){.seq = seq, .started = YOKE_S, .ended = YOKE_S + 1234567890, .receive = 7, .record = record,
                           .len = strlen(record)};
}

TEST(rows_as_gnu_parallel_writes_them)
{
    yk_joblog log;
    yk_error e;
    make("");
    CHECK_INT(yk_joblog_open(&log, path, YK_RESUME_NOT, "yoke map f.c:t ::: ", NULL, &e), 0);
    CHECK_INT(yk_joblog_begin(&log, path, &e), 0);
    log.to_epoch = INT64_C(1700000000123456789) - YOKE_S;
    yk_joblog_row row = row_of(1, "[1]");
    yk_joblog_add(&log, &row);
    row = row_of(UINT64_MAX, "a\tb\nc");
    row.exitval = -1;
    row.signal = 15;
    yk_joblog_add(&log, &row);
    row = row_of(3, "x");
    row.ended = row.started - 5; /* clocks do not go back, but a file must never hold "-0.0" */
    yk_joblog_add(&log, &row);
    row = row_of(4, "x");
    row.ended = row.started + 123456 * YOKE_S;
    yk_joblog_add(&log, &row);
    CHECK_STR(content(), HEADER);
    CHECK_INT(yk_joblog_flush(&log), 0);
    static const char expected[] = HEADER "1\t:\t1700000000.123\t     1.235\t0\t7\t0\t0\tyoke map f.c:t ::: '[1]'\n"
                                          "18446744073709551615\t:\t1700000000.123\t     1.235\t0\t7\t-1\t15\t"
                                          "yoke map f.c:t ::: 'a\tb\0c'\n"
                                          "3\t:\t1700000000.123\t     0.000\t0\t7\t0\t0\tyoke map f.c:t ::: x\n"
                                          "4\t:\t1700000000.123\t123456.000\t0\t7\t0\t0\tyoke map f.c:t ::: x\n";
    CHECK_INT(content_size(), sizeof expected - 1);
    CHECK(memcmp(content(), expected, sizeof expected - 1) == 0);
    yk_joblog_close(&log);
    unlink(path);
}

/* Opens a log with that content; what was read is in *done. */
static int resume(const char *text, enum yk_resume how, yk_seqset *done, yk_error *e)
{
    yk_joblog log;
    make(text);
    int err = yk_joblog_open(&log, path, how, "c ", done, e);
    if (err == 0) {
        CHECK_INT(yk_joblog_begin(&log, path, e), 0);
        yk_joblog_close(&log);
    }
    return err;
}

TEST(a_log_is_read_back)
{
    static const char text[] = HEADER "1\t:\t1.000\t     0.001\t0\t5\t0\t0\ttrue\n"
                                      "2\t:\t1.000\t     0.001\t0\t5\t1\t0\tfalse\n"
                                      "4\thost\t1\t0.001\t0\t5\t-1\t15\tsleep 9\twith\ttabs\n"
                                      "5\t:\t1.000\t     0.001\t0\t5\t0\t9\tkilled\n"
                                      "2\t:\t1.000\t     0.001\t0\t5\t0\t0\tagain\n";
    yk_seqset all = {0}, ok = {0};
    yk_error e;
    CHECK_INT(resume(text, YK_RESUME_ALL, &all, &e), 0);
    CHECK_STR(content(), text);
    unlink(path);
    CHECK_INT(all.count, 4);
    CHECK(yk_seqset_has(&all, 1) && yk_seqset_has(&all, 2) && yk_seqset_has(&all, 4) && yk_seqset_has(&all, 5));
    CHECK_INT(resume(text, YK_RESUME_FAILED, &ok, &e), 0);
    unlink(path);
    CHECK_INT(ok.count, 2);
    CHECK(yk_seqset_has(&ok, 1) && yk_seqset_has(&ok, 2));
    yk_seqset_done(&all);
    yk_seqset_done(&ok);
}

TEST(a_torn_end_is_cut_off)
{
    static const char whole[] = HEADER "1\t:\t1.000\t     0.001\t0\t5\t0\t0\ttrue\n2\t:\t1.000\t     0.001\t0\t5\t0\t0\ttrue\n";
    for (size_t n = 0; n < sizeof whole; n++) {
        char text[sizeof whole];
        memcpy(text, whole, n);
        text[n] = '\0';
        yk_seqset done = {0};
        yk_error e;
        CHECK_INT(resume(text, YK_RESUME_ALL, &done, &e), 0);
        size_t row = (sizeof whole - sizeof HEADER) / 2, rows = n < sizeof HEADER - 1 ? 0 : (n - (sizeof HEADER - 1)) / row;
        CHECK_INT(done.count, rows);
        CHECK(strncmp(content(), HEADER, sizeof HEADER - 1) == 0);
        CHECK_INT(content_size(), sizeof HEADER - 1 + rows * row);
        yk_seqset_done(&done);
        unlink(path);
    }
}

TEST(another_file_is_not_touched)
{
    static const char *const others[] = {
        "dear diary\n", "no newline", "\n", "Seq\n1\t2\n",
        HEADER "x\t:\t1\t1\t0\t0\t0\t0\tc\n", HEADER "0\t:\t1\t1\t0\t0\t0\t0\tc\n",
        HEADER "1\t:\t1\t1\t0\t0\t0\t0\n", HEADER "1 : 1 1 0 0 0 0 c\n", HEADER "\n",
        HEADER "99999999999999999999\t:\t1\t1\t0\t0\t0\t0\tc\n", HEADER "1\t:\tone\t1\t0\t0\t0\t0\tc\n",
        HEADER "1\t:\t1\t1\t0\t0\t0\t0\tc\n-1\t:\t1\t1\t0\t0\t0\t0\tc\n"};
    for (size_t i = 0; i < YK_COUNT_OF(others); i++) {
        yk_seqset done = {0};
        yk_error e;
        CHECK_INT(resume(others[i], YK_RESUME_ALL, &done, &e), -EBADMSG);
        CHECK_HAS(e.text, path);
        CHECK_STR(content(), others[i]);
        unlink(path);
        yk_seqset_done(&done);
    }
}

TEST(a_log_that_cannot_be_opened)
{
    yk_joblog log;
    yk_error e;
    CHECK_INT(yk_joblog_open(&log, "/proc/nonexistent/log", YK_RESUME_NOT, "", NULL, &e), -ENOENT);
    CHECK_STR(e.text, "cannot open the job log /proc/nonexistent/log: No such file or directory");
    CHECK_INT(yk_joblog_open(&log, "/tmp", YK_RESUME_ALL, "", NULL, &e), -EISDIR);
    CHECK_INT(yk_joblog_open(&log, "/dev/full", YK_RESUME_NOT, "", NULL, &e), 0);
    CHECK_INT(yk_joblog_begin(&log, "/dev/full", &e), -ENOSPC);
    CHECK_STR(e.text, "cannot write the job log /dev/full: No space left on device");
    yk_joblog_close(&log);
}

/* Until all else is ready what is in the file stays, and nobody else may have it meanwhile. */
TEST(a_log_is_emptied_late_and_belongs_to_one_run)
{
    yk_joblog log, other;
    yk_error e;
    yk_seqset done = {0};
    make(HEADER "1\t:\t1\t1\t0\t0\t0\t0\tc\n");
    off_t size = content_size();
    CHECK_INT(yk_joblog_open(&log, path, YK_RESUME_NOT, "c ", NULL, &e), 0);
    CHECK_INT(content_size(), size);
    CHECK_INT(yk_joblog_open(&other, path, YK_RESUME_ALL, "c ", &done, &e), -EBUSY);
    CHECK_HAS(e.text, "is in use by another run");
    CHECK_INT(content_size(), size);
    CHECK_INT(yk_joblog_begin(&log, path, &e), 0);
    CHECK_STR(content(), HEADER);
    yk_joblog_close(&log);
    CHECK_INT(yk_joblog_open(&other, path, YK_RESUME_ALL, "c ", &done, &e), 0);
    yk_joblog_close(&other);
    unlink(path);
}

/* /dev/zero has no end and no newline. */
TEST(a_log_without_end)
{
    yk_joblog log;
    yk_error e;
    yk_seqset done = {0};
    CHECK_INT(yk_joblog_open(&log, "/dev/zero", YK_RESUME_ALL, "c ", &done, &e), -EBADMSG);
    CHECK_STR(e.text, "/dev/zero is not a job log: its first line is not the header");
}

TEST(failing_calls_of_a_log)
{
    static const char *const names[] = {"openat", "read", "write", "malloc", "realloc", "calloc", "ftruncate"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        for (int n = 1, err = -1; err < 0; n++) {
            yk_joblog log;
            yk_error e;
            yk_seqset done = {0};
            make(HEADER "1\t:\t1\t1\t0\t0\t0\t0\tc\n2\t:");
            yk_sys_fail(names[i], n, EIO);
            err = yk_joblog_open(&log, path, YK_RESUME_ALL, "c ", &done, &e);
            if (err == 0 && (err = yk_joblog_begin(&log, path, &e)) < 0)
                yk_joblog_close(&log);
            if (err == 0) {
                yk_joblog_row row = row_of(5, "r");
                yk_joblog_add(&log, &row);
                err = yk_joblog_flush(&log);
                yk_joblog_close(&log);
            } else {
                CHECK(e.text[0] != '\0');
            }
            yk_sys_fail(names[i], 0, 0);
            CHECK(n < 20);
            if (err == 0)
                CHECK_HAS(content(), "5\t:");
            yk_seqset_done(&done);
            unlink(path);
        }
}

static ssize_t few_bytes(int fd, const void *bytes, size_t n)
{
    static int calls;
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return write(fd, bytes, YK_MIN(n, (size_t)7));
}

TEST(writes_in_small_pieces)
{
    static const char text[] = "a text of more than seven bytes, in pieces and with interrupts";
    make("");
    int fd = open(path, O_WRONLY);
    yk_sys.write = few_bytes;
    CHECK_INT(yk_write_all(fd, text, sizeof text - 1, NULL), 0);
    CHECK_STR(content(), text);
    yk_sys.write = write;
    close(fd);
    unlink(path);
    CHECK_INT(yk_write_all(-1, text, 1, NULL), -EBADF);
    CHECK_INT(yk_write_all(-1, text, 0, NULL), 0);
}

TEST(a_full_pipe_is_waited_for)
{
    int fds[2];
    CHECK_INT(pipe2(fds, O_NONBLOCK), 0);
    static char block[300000];
    if (fork() == 0) {
        close(fds[1]);
        size_t sum = 0;
        while (sum < sizeof block) {
            usleep(1000);
            ssize_t n = read(fds[0], block, 5000);
            sum += n > 0 ? (size_t)n : 0;
        }
        _exit(0);
    }
    CHECK_INT(yk_write_all(fds[1], block, sizeof block, NULL), 0);
}

TEST(in_a_hurry_nothing_is_waited_for)
{
    _Atomic int now = 1;
    int fds[2];
    static char block[300000];
    CHECK_INT(pipe2(fds, 0), 0);
    CHECK_INT(yk_write_all(fds[1], "few", 3, &now), 0);
    CHECK_INT(yk_write_all(fds[1], block, sizeof block, &now), -EINTR);
    CHECK_INT(read(fds[0], block, 3), 3);
    CHECK(memcmp(block, "few", 3) == 0);
}
