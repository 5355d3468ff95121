/* base.c - errors, buffers, regions, failing calls. */
#include "base/base.h"
#include "test.h"
#include <fcntl.h>
#include <unistd.h>

static const char *word_at(void *ctx, size_t i)
{
    return ((const char *const *)ctx)[i];
}

TEST(nearest_word)
{
    const char *words[] = {"inline", "threads", "processes", "retries", "timeout", NULL};
    CHECK_STR(yk_nearest("thread", word_at, words), "threads");
    CHECK_STR(yk_nearest("therads", word_at, words), "threads");
    CHECK_STR(yk_nearest("procesess", word_at, words), "processes");
    CHECK(yk_nearest("cuda", word_at, words) == NULL);
    CHECK(yk_nearest("", word_at, words) == NULL);
    CHECK_STR(yk_nearest("INLINE", word_at, words), "inline");
    /* Of short ones that share no letter, none is near. */
    const char *letters[] = {"", "x", "n", "ab", "path", NULL};
    CHECK_STR(yk_nearest("X", word_at, letters), "x");
    CHECK_STR(yk_nearest("N", word_at, letters), "n");
    CHECK_STR(yk_nearest("aB", word_at, letters), "ab");
    CHECK_STR(yk_nearest("ba", word_at, letters), "ab");
    CHECK_STR(yk_nearest("abc", word_at, letters), "ab");
    CHECK_STR(yk_nearest("patj", word_at, letters), "path");
    for (const char *const *none = (const char *const[]){"P", "y", "xy", "cd", "", NULL}; *none; none++)
        CHECK(yk_nearest(*none, word_at, letters) == NULL);
    char huge[300];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    CHECK(yk_nearest(huge, word_at, words) == NULL);
}

TEST(error_texts)
{
    yk_error e;
    CHECK_INT(yk_errorf(&e, EIO, "no %s", "luck"), -EIO);
    CHECK_INT(e.code, -EIO);
    CHECK_STR(e.text, "no luck");
    CHECK_INT(yk_errorf(NULL, -EIO, "x"), -EIO);
    CHECK_STR(yoke_strerror(-ETIMEDOUT), "timed out");
    CHECK_STR(yoke_strerror(-ENOENT), "No such file or directory");
    CHECK_STR(yoke_strerror(-EKEYREJECTED), "certificate not accepted");
    CHECK_STR(yoke_strerror(-ECONNABORTED), "connection cut off");
    CHECK_STR(yoke_strerror(-EREMOTEIO), "no proper answer from the other side");
    CHECK_STR(yoke_strerror(-EXDEV), "of another loop, thread, device or file system");
    CHECK_STR(yoke_strerror(-ECHILD), "no such child, or of the process before fork()");
    CHECK_STR(yoke_strerror(-ENODATA), "no data, or ended before all of it");
    CHECK_STR(yoke_strerror(99999), "unknown error");
    CHECK_STR(yoke_version(), YOKE_VERSION);
}

TEST(buffers_grow)
{
    yk_buf b = {0};
    for (int i = 0; i < 10000; i++) {
        yk_buf_char(&b, (char)('a' + i % 26));
        if (i % 1000 == 0)
            yk_buf_printf(&b, "<%d>", i);
    }
    CHECK(!b.failed);
    CHECK_HAS(yk_buf_str(&b), "<9000>");
    CHECK_INT(strlen(b.ptr), b.len);
    yk_buf_done(&b);
    CHECK(b.ptr == NULL && b.len == 0);
    CHECK_STR(yk_buf_str(&b), "");
    yk_buf_done(&b);
}

TEST(buffers_remember_failure)
{
    yk_buf b = {0};
    yk_buf_text(&b, "kept");
    yk_sys_fail("realloc", 1, ENOMEM);
    char big[1000] = {0};
    yk_buf_put(&b, big, sizeof big);
    CHECK(b.failed);
    yk_sys_fail("realloc", 0, 0);
    yk_buf_text(&b, "dropped");
    CHECK_INT(b.len, 4);
    CHECK(yk_buf_room(&b, SIZE_MAX) == NULL);
    yk_buf_done(&b);
    CHECK(yk_buf_room(&b, SIZE_MAX - 10) == NULL);
    yk_buf_done(&b);
}

TEST(regions)
{
    char first[100];
    yk_region r;
    yk_region_init(&r, first, sizeof first, NULL);
    unsigned char *blocks[300];
    size_t sizes[300];
    for (int i = 0; i < 300; i++) {
        sizes[i] = test_random() % 7000;
        blocks[i] = yk_region_alloc(&r, sizes[i]);
        CHECK(blocks[i] && (uintptr_t)blocks[i] % (sizes[i] >= 4096 ? 64 : 16) == 0);
        memset(blocks[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < 300; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            CHECK_INT(blocks[i][j], i & 0xff);
    CHECK_STR(yk_region_copy(&r, "abcdef", 3), "abc");
    CHECK_STR(yk_region_printf(&r, "%d-%s", 5, "x"), "5-x");
    CHECK(yk_region_alloc(&r, SIZE_MAX - 100) == NULL);
    CHECK(yk_region_copy(&r, "", SIZE_MAX) == NULL);
    yk_region_done(&r);
    yk_region_done(&r);
}

TEST(regions_without_memory)
{
    yk_region r;
    yk_region_init(&r, NULL, 0, NULL);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK(yk_region_alloc(&r, 10) == NULL);
    CHECK(yk_region_alloc(&r, 10) != NULL);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    CHECK(yk_region_alloc(&r, 10000) == NULL);
    CHECK(yk_region_printf(&r, "%05000d", 1) != NULL);
    yk_region_done(&r);
}

static int taken, given;
static void *take_chunk(yk_source *s, size_t size)
{
    taken++;
    return aligned_alloc(64, YK_ALIGN_UP(size, 64));
}
static void give_chunk(yk_source *s, void *chunk)
{
    given++;
    free(chunk);
}

TEST(regions_from_a_source)
{
    yk_source source = {take_chunk, give_chunk};
    yk_region r;
    yk_region_init(&r, NULL, 0, &source);
    for (int i = 0; i < 100; i++)
        memset(yk_region_alloc(&r, 1000), 1, 1000);
    memset(yk_region_alloc(&r, 100000), 1, 100000);
    CHECK(taken > 1 && given == 0);
    yk_region_done(&r);
    CHECK_INT(given, taken);
}

TEST(calls_fail_on_demand)
{
    yk_sys_fail("malloc", 3, ENOMEM);
    void *a = yk_sys.malloc(1), *b = yk_sys.malloc(1), *c = yk_sys.malloc(1), *d = yk_sys.malloc(1);
    CHECK(a && b && !c && d);
    CHECK_INT(yk_sys_fail("openat", 1, EACCES), 4);
    CHECK_INT(yk_sys.openat(AT_FDCWD, "/dev/null", O_RDONLY, 0), -1);
    CHECK_INT(errno, EACCES);
    CHECK_INT(yk_sys_fail("nonsense", 1, EIO), -1);
    int fd = yk_sys.openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
    CHECK(fd >= 0);
    close(fd);
    free(a);
    free(b);
    free(d);
}

TEST(futex_deadline)
{
    _Atomic uint32_t word = 5;
    CHECK_INT(yk_futex_wait(&word, 4, YOKE_FOREVER, false), -EAGAIN);
    int64_t start = yoke_now();
    CHECK_INT(yk_futex_wait(&word, 5, start + 5 * YOKE_MS, false), -ETIMEDOUT);
    CHECK(yoke_now() - start >= 5 * YOKE_MS);
    CHECK_INT(yk_futex_wait(&word, 5, -1, true), -ETIMEDOUT);
    CHECK_INT(yk_futex_wake(&word, 1, false), 0);
}

static void check_plain(const char *text, bool one_line, const char *expected)
{
    char copy[100];
    snprintf(copy, sizeof copy, "%s", text);
    yk_plain(copy, strlen(copy), one_line);
    CHECK_STR(copy, expected);
}

TEST(text_of_others_does_nothing_to_a_terminal)
{
    check_plain("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x82", false, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x82");
    check_plain("a\tb\nc", false, "a\tb\nc");
    check_plain("a\tb\nc", true, "a\tb c");
    check_plain("\033]0;x\007 \033[31m \177\r", false, "?]0;x? ?[31m ??");
    check_plain("\xc2\x9b" "31m \xc2\xa0 \xc2\x80", false, "??31m \xc2\xa0 ??");
    check_plain("\x9b" "31m caf\xe9 \x85", false, "?31m caf\xe9 ?"); /* Latin-1: the letters stay */
    check_plain("cut \xe2\x82", false, "cut \xe2?");
    check_plain("", true, "");
}
