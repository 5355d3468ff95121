/* file.c - files: at a place, at the end, larger than memory pages; names, folders, and whole files that are replaced at once. */
#include "loops.h"
#include <sys/stat.h>
#include <yoke/io.h>

static char folder[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/yoke-file-XXXXXX");
    CHECK(mkdtemp(folder));
}

static const char *in_folder(const char *name)
{
    static char paths[4][320];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* With nothing in it. */
static void end_folder(void)
{
    CHECK_INT(rmdir(folder), 0);
}

ALL(at_a_place)
{
    char buf[16] = {0};
    make_folder();
    int fd = yoke_open_file(in_folder("a"), O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    CHECK_INT(yoke_open_file(in_folder("a"), O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    CHECK_INT(yoke_write(fd, "hello world", 11), 11);
    CHECK_INT(yoke_pwrite(fd, "W", 1, 6), 1);
    CHECK_INT(yoke_pread(fd, buf, 5, 6), 5);
    CHECK_STR(buf, "World");
    CHECK_INT(yoke_pread(fd, buf, 16, 9), 2);
    CHECK_INT(yoke_pread(fd, buf, 16, 11), 0);
    CHECK_INT(yoke_pread(fd, buf, 16, 1 << 20), 0);
    CHECK_INT(yoke_read(fd, buf, 16), 0); /* the file's own place is at the end */
    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_INT(yoke_read(fd, buf, 6), 6);
    CHECK_INT(yoke_read(fd, buf, 6), 5);
    CHECK_INT(yoke_pwrite(fd, "!", 1, 20), 1);
    CHECK_INT(yoke_pread(fd, buf, 16, 11), 10);
    CHECK_INT(buf[0], 0);
    CHECK_INT(buf[9], '!');
    CHECK_INT(yoke_fsync(fd), 0);
    CHECK_INT(yoke_fdatasync(fd), 0);
    CHECK_INT(yoke_poll(fd, POLLIN), POLLIN);
    CHECK_INT(yoke_close_fd(fd), 0);
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    end_folder();
}

ALL(at_the_end)
{
    char buf[16] = {0};
    make_folder();
    int a = yoke_open_file(in_folder("a"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    int b = yoke_open_file(in_folder("a"), O_RDWR | O_APPEND, 0);
    CHECK_INT(yoke_write(a, "ab", 2), 2);
    CHECK_INT(yoke_write(b, "cd", 2), 2);
    CHECK_INT(yoke_write(a, "ef", 2), 2);
    CHECK_INT(yoke_pread(b, buf, 16, 0), 6);
    CHECK_STR(buf, "abcdef");
    CHECK_INT(yoke_close_fd(a), 0);
    CHECK_INT(yoke_close_fd(b), 0);
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    end_folder();
}

ALL(large)
{
    enum { N = (24 << 20) + 4321 };
    char *from = malloc(N), *to;
    size_t len;
    for (size_t i = 0; i < N; i++)
        from[i] = (char)(i * 2654435761u >> 9);
    make_folder();
    CHECK_INT(yoke_write_file(in_folder("a"), from, N, 0600), 0);
    CHECK_INT(yoke_read_file(in_folder("a"), &to, &len), 0);
    CHECK_INT(len, N);
    CHECK_INT(memcmp(from, to, N), 0);
    CHECK_INT(to[N], 0);
    int fd = yoke_open_file(in_folder("a"), O_RDWR, 0);
    memset(to, 0, N);
    CHECK_INT(yoke_pread(fd, to, N, 0), N);
    CHECK_INT(memcmp(from, to, N), 0);
    CHECK_INT(yoke_pwrite(fd, from, N, 4097), N);
    CHECK_INT(yoke_pread(fd, to, N + 5000, 4097), N);
    CHECK_INT(memcmp(from, to, N), 0);
    CHECK_INT(yoke_close_fd(fd), 0);
    free(from);
    free(to);
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    end_folder();
}

ALL(stat_of)
{
    struct stat s, expected;
    struct statx x;
    memset(&s, 0x55, sizeof s);
    CHECK_INT(yoke_stat("/nowhere", &s), -ENOENT);
    CHECK_INT(s.st_size, 0x5555555555555555);
    CHECK_INT(yoke_stat("/dev/null", &s), 0);
    CHECK_INT(stat("/dev/null", &expected), 0);
    CHECK_INT(s.st_mode, expected.st_mode);
    CHECK_INT(s.st_rdev, expected.st_rdev);
    CHECK_INT(s.st_dev, expected.st_dev);
    CHECK_INT(s.st_ino, expected.st_ino);
    CHECK_INT(yoke_stat("/etc/passwd", &s), 0);
    CHECK_INT(stat("/etc/passwd", &expected), 0);
    CHECK_INT(s.st_size, expected.st_size);
    CHECK_INT(s.st_mtim.tv_sec, expected.st_mtim.tv_sec);
    CHECK_INT(s.st_mtim.tv_nsec, expected.st_mtim.tv_nsec);
    CHECK_INT(s.st_uid + s.st_gid, expected.st_uid + expected.st_gid);
    CHECK_INT(s.st_blocks, expected.st_blocks);
    CHECK_INT(s.st_nlink, expected.st_nlink);
    int dir = yoke_open_file("/etc", O_PATH | O_DIRECTORY, 0);
    CHECK_INT(yoke_statx(dir, "passwd", 0, STATX_SIZE, &x), 0);
    CHECK_INT(x.stx_size, expected.st_size);
    int fd = yoke_openat(dir, "passwd", O_RDONLY, 0);
    CHECK(fd >= 0);
    CHECK_INT(yoke_close_fd(fd), 0);
    CHECK_INT(yoke_close_fd(dir), 0);
}

ALL(names)
{
    char **list;
    struct stat s;
    make_folder();
    CHECK_INT(yoke_list_dir(folder, &list), 0);
    CHECK(!list[0]);
    free(list);
    CHECK_INT(yoke_mkdir(in_folder("b"), 0750), 0);
    CHECK_INT(yoke_mkdir(in_folder("b"), 0750), -EEXIST);
    CHECK_INT(yoke_write_file(in_folder("c"), "1", 1, 0640), 0);
    CHECK_INT(yoke_write_file(in_folder("a"), "2", 1, 0640), 0);
    CHECK_INT(yoke_list_dir(folder, &list), 3);
    CHECK_STR(list[0], "a");
    CHECK_STR(list[1], "b");
    CHECK_STR(list[2], "c");
    CHECK(!list[3]);
    free(list);
    CHECK_INT(yoke_rename(in_folder("a"), in_folder("c")), 0);
    CHECK_INT(yoke_rename(in_folder("a"), in_folder("c")), -ENOENT);
    CHECK_INT(yoke_stat(in_folder("b"), &s), 0);
    CHECK(S_ISDIR(s.st_mode));
    CHECK_INT(yoke_unlink(in_folder("b")), -EISDIR);
    CHECK_INT(yoke_list_dir(in_folder("c"), &list), -ENOTDIR);
    CHECK_INT(yoke_unlink(in_folder("c")), 0);
    CHECK_INT(yoke_unlink(in_folder("c")), -ENOENT);
    CHECK_INT(rmdir(in_folder("b")), 0);
    end_folder();
    CHECK_INT(yoke_list_dir(folder, &list), -ENOENT);
}

/* Files without a length, and such as are folders, or none. */
ALL(whole_files)
{
    char *text = NULL;
    size_t len = 7;
    CHECK_INT(yoke_read_file("/nowhere", &text, &len), -ENOENT);
    CHECK_INT(yoke_read_file("/", &text, &len), -EISDIR);
    CHECK(!text);
    CHECK_INT(len, 7);
    CHECK_INT(yoke_read_file("/dev/null", &text, &len), 0);
    CHECK_INT(len, 0);
    CHECK_STR(text, "");
    free(text);
    CHECK_INT(yoke_read_file("/proc/self/status", &text, &len), 0);
    CHECK_HAS(text, "Name:\ttest-async-file");
    CHECK_INT(strlen(text), len);
    free(text);
    CHECK_INT(yoke_read_file("/proc/self/smaps", &text, &len), 0);
    CHECK(len > 4096);
    CHECK_INT(text[len - 1], '\n');
    free(text);
}

static void check_text(const char *name, const char *expected)
{
    char *text;
    size_t len;
    CHECK_INT(yoke_read_file(in_folder(name), &text, &len), 0);
    CHECK_STR(text, expected);
    free(text);
}

ALL(replaced)
{
    struct stat s;
    char longest[256];
    make_folder();
    mode_t mask = umask(0);
    CHECK_INT(yoke_write_file(in_folder("a"), "old", 3, 0640), 0);
    check_text("a", "old");
    int fd = yoke_open_file(in_folder("a"), O_RDONLY, 0);
    CHECK_INT(yoke_write_file(in_folder("a"), "newer", 5, 0444), 0);
    check_text("a", "newer");
    CHECK_INT(yoke_stat(in_folder("a"), &s), 0);
    CHECK_INT(s.st_mode & 07777, 0444);
    char buf[8] = {0};
    CHECK_INT(yoke_read(fd, buf, 8), 3); /* who had it open still has what it was */
    CHECK_STR(buf, "old");
    CHECK_INT(yoke_close_fd(fd), 0);
    umask(mask);
    CHECK_INT(yoke_write_file(in_folder("no/such"), "x", 1, 0600), -ENOENT);
    CHECK_INT(yoke_write_file(folder, "x", 1, 0600), -EISDIR);
    CHECK_INT(yoke_write_file(in_folder("a"), NULL, 0, 0600), 0);
    check_text("a", "");
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    memset(longest, 'x', 255);
    longest[255] = '\0';
    CHECK_INT(yoke_write_file(in_folder(longest), "x", 1, 0600), 0); /* as long as a name can be */
    CHECK_INT(yoke_unlink(in_folder(longest)), 0);
    CHECK_INT(chdir(folder), 0);
    CHECK_INT(yoke_write_file("here", "x", 1, 0600), 0);
    CHECK_INT(yoke_unlink("here"), 0);
    CHECK_INT(chdir("/"), 0);
    end_folder();
}

/* Whatever fails, the file is what it was or what it is to be, and nothing lies beside it. */
ALL(replacing_fails)
{
    static const char *const names[] = {"malloc", "openat", "pwritev2", "fsync", "renameat", "pthread_create"};
    make_folder();
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        int err = -1;
        CHECK_INT(yoke_write_file(in_folder("a"), "old", 3, 0600), 0);
        yk_offload_end();
        for (int n = 1; err < 0; n++) {
            char **list;
            yk_sys_fail(names[i], n, ENOSPC);
            err = yoke_write_file(in_folder("a"), "newer", 5, 0600);
            int calls = yk_sys_fail(names[i], 0, 0);
            CHECK(err == 0 || calls >= n);
            check_text("a", err < 0 ? "old" : "newer");
            CHECK_INT(yoke_list_dir(folder, &list), 1);
            free(list);
        }
    }
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    end_folder();
}

ALL(reading_fails)
{
    static const char *const names[] = {"openat", "realloc", "preadv2", "malloc"};
    for (unsigned i = 0; i < YK_COUNT_OF(names); i++) {
        int err = -1, before = descriptors();
        for (int n = 1; err < 0; n++) {
            char *text;
            size_t len;
            yk_sys_fail(names[i], n, EIO);
            err = yoke_read_file("/proc/self/status", &text, &len);
            int calls = yk_sys_fail(names[i], 0, 0);
            CHECK(err == 0 || calls >= n);
            if (err == 0)
                free(text);
            CHECK_INT(descriptors(), before);
        }
    }
    char **list;
    bool failed = false;
    CHECK(yoke_list_dir("/", &list) > 0); /* threads know how many they may be */
    free(list);
    for (int n = 1, calls = n; calls >= n; n++) {
        yk_sys_fail("malloc", n, ENOMEM);
        ssize_t count = yoke_list_dir("/", &list);
        calls = yk_sys_fail("malloc", 0, 0);
        CHECK(count > 0 || count == -ENOMEM);
        failed |= count < 0;
        if (count > 0)
            free(list);
    }
    CHECK(failed);
}

/* ---- Told to stop ---- */

static int64_t replace(void *arg)
{
    return yoke_write_file(in_folder("a"), arg, strlen(arg), 0600);
}

/* At each point: it is the old file and the call says so, or the new one. */
LOOPS(a_cancelled_replacement)
{
    char *much = malloc((1 << 20) + 1);
    int whole = 0, stopped = 0;
    memset(much, 'n', 1 << 20);
    much[1 << 20] = '\0';
    make_folder();
    for (int turns = 0; turns < 60; turns++) {
        attempt a;
        char **list;
        CHECK_INT(yoke_write_file(in_folder("a"), "old", 3, 0600), 0);
        a = (attempt){.call = replace, .arg = much};
        yoke_group_begin(&a.group);
        CHECK_INT(yoke_go(&a.group, attempt_run, &a), 0);
        for (int i = 0; i <= turns && !a.over; i++)
            i % 2 ? yoke_sleep(20 * YOKE_US) : yoke_yield();
        if (!a.over)
            yoke_scope_cancel(&a.scope);
        int64_t result = attempt_end(&a);
        CHECK(result == 0 || result == -ECANCELED);
        check_text("a", result == 0 ? much : "old");
        CHECK_INT(yoke_list_dir(folder, &list), 1);
        free(list);
        *(result == 0 ? &whole : &stopped) += 1;
    }
    CHECK(stopped > 0);
    free(much);
    CHECK_INT(yoke_unlink(in_folder("a")), 0);
    end_folder();
}

/* Many files at once: more than there are threads. */
static int one_of_many(void *arg)
{
    char name[16], *text;
    size_t len;
    snprintf(name, sizeof name, "%d", *(int *)arg);
    const char *path = strdup(in_folder(name));
    for (int i = 0; i < 5; i++) {
        CHECK_INT(yoke_write_file(path, name, strlen(name), 0600), 0);
        CHECK_INT(yoke_read_file(path, &text, &len), 0);
        CHECK_STR(text, name);
        free(text);
    }
    CHECK_INT(yoke_unlink(path), 0);
    free((char *)(uintptr_t)path);
    return 0;
}

LOOPS(many_at_once)
{
    int number[100], err = 1;
    make_folder();
    YOKE_GROUP(g, &err)
        for (int i = 0; i < 100; i++) {
            number[i] = i;
            yoke_go(&g, one_of_many, &number[i]);
        }
    CHECK_INT(err, 0);
    end_folder();
}
