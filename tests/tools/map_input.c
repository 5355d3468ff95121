/* The records of `yoke map`: however the bytes arrive, the same records come out. */
#include "test.h"
#include "tools/map_input.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/yoke-input-XXXXXX";

static const char *file(const char *name, const void *bytes, size_t len)
{
    static char paths[8][64];
    static int next;
    char *path = paths[next++ % 8];
    if (next == 1)
        CHECK(mkdtemp(folder));
    snprintf(path, 64, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK_INT(write(fd, bytes, len), len);
    close(fd);
    return path;
}

static void clean(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK_INT(system(command), 0);
}

/* All records as "1:text|2:text|". */
static const char *all(yk_input *in)
{
    static yk_buf out;
    out.len = 0;
    yk_error e = {0};
    yk_record r;
    int got;
    while ((got = yk_input_next(in, &r)) >= 0) {
        if (got == 0) {
            CHECK_INT(yk_input_fill(in, &e), 0);
            continue;
        }
        yk_buf_printf(&out, "%d:%s", (int)r.number, r.too_long ? "TOO LONG" : "");
        yk_buf_put(&out, r.text, r.len);
        yk_buf_char(&out, '|');
    }
    CHECK_INT(got, -ENODATA);
    CHECK_INT(yk_input_next(in, &r), -ENODATA);
    return yk_buf_str(&out);
}

static const char *records(const char *text, size_t len, char separator)
{
    yk_input in;
    yk_error e;
    const char *path = file("one", text, len);
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, separator, &e), 0);
    CHECK_INT(in.total_bytes, len);
    const char *s = all(&in);
    CHECK_INT(in.bytes, len);
    yk_input_close(&in);
    return s;
}

TEST(lines)
{
    CHECK_STR(records("", 0, '\n'), "");
    CHECK_STR(records("a", 1, '\n'), "1:a|");
    CHECK_STR(records("a\n", 2, '\n'), "1:a|");
    CHECK_STR(records("\n", 1, '\n'), "1:|");
    CHECK_STR(records("a\n\nb", 4, '\n'), "1:a|2:|3:b|");
    CHECK_STR(records("a\r\nb\r\n", 6, '\n'), "1:a\r|2:b\r|");
    CHECK_STR(records("a\0b\nc\0", 6, '\0'), "1:a|2:b\nc|");
    clean();
}

TEST(several_files)
{
    yk_input in;
    yk_error e;
    const char *paths[] = {file("a", "1\n2", 3), file("b", "", 0), file("c", "3\n", 2), file("d", "4", 1)};
    CHECK_INT(yk_input_open(&in, paths, 4, NULL, 0, '\n', &e), 0);
    CHECK_INT(in.total_bytes, 6);
    CHECK_STR(all(&in), "1:1|2:2|3:3|4:4|");
    CHECK_INT(in.fd, -1);
    yk_input_close(&in);
    clean();
}

TEST(words)
{
    yk_input in;
    yk_error e;
    const char *const list[] = {"a", "", "b c", "long"};
    CHECK_INT(yk_input_open(&in, NULL, 0, list, 4, '\n', &e), 0);
    in.max = 3;
    CHECK_STR(all(&in), "1:a|2:|3:b c|4:TOO LONG|");
    CHECK_INT(yk_input_fill(&in, &e), 0);
    yk_input_close(&in);
    CHECK_INT(yk_input_open(&in, NULL, 0, list, 0, '\n', &e), 0);
    CHECK_STR(all(&in), "");
    yk_input_close(&in);
}

TEST(unreadable)
{
    yk_input in;
    yk_error e;
    const char *missing = "/nonexistent/x", *directory = "/tmp";
    CHECK_INT(yk_input_open(&in, &missing, 1, NULL, 0, '\n', &e), -ENOENT);
    CHECK_STR(e.text, "cannot read /nonexistent/x: No such file or directory");
    CHECK_INT(yk_input_open(&in, &directory, 1, NULL, 0, '\n', &e), -EISDIR);
    CHECK_STR(e.text, "cannot read /tmp: Is a directory");
    close(0);
    CHECK_INT(yk_input_open(&in, NULL, 0, NULL, 0, '\n', &e), -EBADF);
    CHECK_STR(e.text, "cannot read standard input: Bad file descriptor");
}

TEST(a_file_that_goes_away)
{
    yk_input in;
    yk_error e;
    const char *path = file("gone", "a\n", 2);
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
    unlink(path);
    CHECK_INT(yk_input_fill(&in, &e), -ENOENT);
    CHECK_HAS(e.text, "gone: No such file");
    yk_input_close(&in);
    clean();
}

TEST(a_read_that_fails)
{
    yk_input in;
    yk_error e;
    const char *path = file("one", "a\n", 2);
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
    CHECK_INT(yk_input_fill(&in, &e), 0);
    yk_sys_fail("read", 1, EIO);
    CHECK_INT(yk_input_fill(&in, &e), -EIO);
    CHECK_HAS(e.text, "one: Input/output error");
    yk_sys_fail("read", 1, EINTR);
    CHECK_INT(yk_input_fill(&in, &e), -EINTR);
    CHECK_INT(yk_input_fill(&in, &e), 0);
    CHECK_STR(all(&in), "1:a|");
    yk_input_close(&in);
    clean();
}

TEST(no_memory)
{
    yk_input in;
    yk_error e;
    static char big[YK_INPUT_BLOCK];
    memset(big, 'x', sizeof big);
    const char *path = file("big", big, sizeof big);
    yk_sys_fail("malloc", 1, ENOMEM);
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), -ENOMEM);
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
    CHECK_INT(yk_input_fill(&in, &e), 0);
    CHECK_INT(yk_input_fill(&in, &e), 0);
    yk_sys_fail("realloc", 1, ENOMEM);
    CHECK_INT(yk_input_fill(&in, &e), -ENOMEM);
    CHECK_HAS(e.text, "out of memory for record 1");
    yk_input_close(&in);
    clean();
}

static ssize_t random_read(int fd, void *bytes, size_t n)
{
    return read(fd, bytes, YK_MIN(n, 1 + (size_t)test_random() % 50));
}

/* Any text, read in pieces of any size, against a plain split. */
TEST(pieces_against_a_model)
{
    yk_sys.read = random_read;
    for (int round = 0; round < 100; round++) {
        char text[2000];
        size_t len = test_random() % sizeof text;
        yk_buf expected = {0};
        size_t start = 0, number = 0;
        for (size_t i = 0; i < len; i++)
            text[i] = test_random() % 20 ? 'a' + (char)(i % 26) : '\n';
        for (size_t i = 0; i <= len; i++)
            if ((i < len && text[i] == '\n') || (i == len && start < len)) {
                yk_buf_printf(&expected, "%zu:%s%.*s|", ++number, i - start > 30 ? "TOO LONG" : "",
                              i - start > 30 ? 0 : (int)(i - start), text + start);
                start = i + 1;
            }
        yk_input in;
        yk_error e;
        const char *path = file("random", text, len);
        CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
        in.max = 30;
        CHECK_STR(all(&in), yk_buf_str(&expected));
        yk_input_close(&in);
        yk_buf_done(&expected);
    }
    clean();
}

TEST(long_records_at_the_limit)
{
    yk_input in;
    yk_error e;
    yk_record r;
    enum { MAX = 1 << 20 };
    static char text[MAX + 5];
    for (int extra = -1; extra <= 1; extra++) {
        size_t len = (size_t)(MAX + extra);
        memset(text, 'x', sizeof text);
        memcpy(text + len, "\ny\n", 3);
        const char *path = file("long", text, len + 3);
        CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
        in.max = MAX;
        int got;
        while ((got = yk_input_next(&in, &r)) == 0)
            CHECK_INT(yk_input_fill(&in, &e), 0);
        CHECK_INT(got, 1);
        CHECK_INT(r.too_long, extra > 0);
        CHECK_INT(r.len, extra > 0 ? 0 : len);
        CHECK(in.cap <= 4 * MAX);
        while ((got = yk_input_next(&in, &r)) == 0)
            CHECK_INT(yk_input_fill(&in, &e), 0);
        CHECK_INT(r.number, 2);
        CHECK(r.len == 1 && *r.text == 'y');
        yk_input_close(&in);
    }
    clean();
}

static ssize_t endless_read(int fd, void *bytes, size_t n)
{
    static size_t given;
    if (given >= (size_t)1 << 30)
        return 0;
    given += n;
    memset(bytes, 0, n);
    return (ssize_t)n;
}

TEST(an_endless_record_needs_no_more_memory)
{
    yk_input in;
    yk_error e;
    yk_record r;
    const char *path = "/dev/zero";
    CHECK_INT(yk_input_open(&in, &path, 1, NULL, 0, '\n', &e), 0);
    CHECK_INT(in.total_bytes, 0);
    in.max = 1 << 20;
    yk_sys.read = endless_read;
    int got;
    while ((got = yk_input_next(&in, &r)) == 0)
        CHECK_INT(yk_input_fill(&in, &e), 0);
    CHECK_INT(got, 1);
    CHECK(r.too_long);
    CHECK(in.cap <= (size_t)4 << 20);
    CHECK_INT(yk_input_next(&in, &r), -ENODATA);
    yk_input_close(&in);
}
