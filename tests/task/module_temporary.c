/* Folders for one compile: made, removed, and those of the dead swept away, and never anything else. */
#include "module_try.h"
#include "task/module.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

static char folder[PATH_MAX];

static void begin(void)
{
    setup();
    setenv("TMPDIR", at("temporary"), 1);
    CHECK_INT(mkdir(at("temporary"), 0700), 0);
}

/* The number of a process that has ended. */
static pid_t dead(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
    return pid;
}

/* A folder TMPDIR/yoke-PID-TAIL; returns its path, in `folder`. */
static const char *left_by(pid_t pid, const char *tail)
{
    char name[64];
    snprintf(name, sizeof name, "temporary/yoke-%ld%s", (long)pid, tail);
    snprintf(folder, sizeof folder, "%s", at(name));
    CHECK_INT(mkdir(folder, 0700), 0);
    return folder;
}

static void put(const char *name)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    close(fd);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

TEST(a_folder_while_it_is_needed)
{
    begin();
    char mine[PATH_MAX], expected[64];
    CHECK_INT(yk_temporary_make(mine), 0);
    snprintf(expected, sizeof expected, "/yoke-%ld-", (long)getpid());
    CHECK_HAS(mine, expected);
    struct stat st;
    CHECK(stat(mine, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700);
    int fd = open(mine, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK); /* who sweeps finds it locked */
    yk_temporary_sweep();
    CHECK(is_there(mine));
    snprintf(folder, sizeof folder, "%s", mine);
    put("m.so");
    put("m.d");
    yk_temporary_remove(mine);
    CHECK(!is_there(mine));
    CHECK_INT(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
}

TEST(folders_of_the_dead_are_removed)
{
    begin();
    char paths[3][PATH_MAX];
    pid_t pid = dead();
    static const char *const tails[] = {"-abcdef", "-ABC123", "-......"};
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], PATH_MAX, "%s", left_by(pid, tails[i]));
        if (i > 0)
            put("m.so");
        if (i > 1)
            put("m.d");
    }
    yk_temporary_sweep();
    for (int i = 0; i < 3; i++)
        CHECK(!is_there(paths[i]));
}

TEST(a_compile_sweeps_with_a_cache_and_without)
{
    begin();
    left_by(dead(), "-abcdef");
    CHECK_INT(answer("m.c"), 11); /* compiled into the cache */
    CHECK(!is_there(folder));
    left_by(dead(), "-abcdef");
    CHECK_INT(answer("m.c"), 11); /* from the cache: nobody looks */
    CHECK(is_there(folder));
    unsetenv("YOKE_CACHE");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CHECK_INT(answer("m.c"), 11);
    CHECK(!is_there(folder));
    CHECK_INT(rmdir(at("temporary")), 0); /* nothing is in it */
}

TEST(what_else_lies_there_stays)
{
    begin();
    char name[64];
    pid_t pid = dead();
    static const char *const tails[] = {"",       "-",       "-abcde",   "-abcdefg", "abcdef",
                                        "xabcdef", "--abcdef", ".abcdef"};
    for (size_t i = 0; i < YK_COUNT_OF(tails); i++) {
        left_by(pid, tails[i]);
        yk_temporary_sweep();
        CHECK(is_there(folder));
    }
    static const char *const names[] = {"yoke--abcdef", "yoke-0-abcdef", "yoke-1234567890123-abcdef", "yoke-x-abcdef",
                                        "Yoke-1-abcdef", "yoke-+1-abcdef", "yoke--1-abcdef", "yoke-abcdef"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        snprintf(name, sizeof name, "temporary/%s", names[i]);
        CHECK_INT(mkdir(at(name), 0700), 0);
        yk_temporary_sweep();
        CHECK(is_there(at(name)));
    }
    left_by(pid, "-filled");
    put("m.so");
    put("precious");
    yk_temporary_sweep();
    CHECK(is_there(folder));
    left_by(getpid(), "-living");
    yk_temporary_sweep();
    CHECK(is_there(folder));
}

/* As one in another PID namespace would be: its number is nobody's here, and its lock is held. */
TEST(a_locked_folder_stays_until_its_lock_is_gone)
{
    begin();
    left_by(dead(), "-locked");
    put("m.so");
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK_INT(flock(fd, LOCK_SH), 0);
    yk_temporary_sweep();
    CHECK(is_there(folder));
    close(fd);
    yk_temporary_sweep();
    CHECK(!is_there(folder));
}

TEST(files_links_and_other_users_folders_stay)
{
    begin();
    char link[PATH_MAX], file[PATH_MAX], name[64];
    pid_t pid = dead();
    snprintf(name, sizeof name, "temporary/yoke-%ld-linked", (long)pid);
    snprintf(link, sizeof link, "%s", at(name));
    CHECK_INT(mkdir(at("target"), 0700), 0);
    snprintf(folder, sizeof folder, "%s", at("target"));
    put("m.so");
    CHECK_INT(symlink(folder, link), 0);
    snprintf(name, sizeof name, "temporary/yoke-%ld-a_file", (long)pid);
    snprintf(file, sizeof file, "%s", at(name));
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    close(fd);
    if (geteuid() == 0)
        CHECK_INT(chown(left_by(pid, "-strang"), 65534, 65534), 0);
    yk_temporary_sweep();
    CHECK(is_there(link) && is_there(file) && is_there(at("target/m.so")));
    CHECK(geteuid() != 0 || is_there(folder));
}

TEST(no_folder_for_temporary_files)
{
    begin();
    setenv("TMPDIR", at("gone"), 1);
    yk_temporary_sweep();
    CHECK_INT(yk_temporary_make(folder), -ENOENT);
    CHECK_HAS(folder, "/gone/yoke-");
}

/* A folder that cannot be opened is not locked, and works all the same; one that was taken away is made anew. */
TEST(folders_that_cannot_be_locked)
{
    begin();
    yk_sys_fail("openat", 1, EMFILE);
    CHECK_INT(yk_temporary_make(folder), 0);
    CHECK(is_there(folder));
    put("m.so");
    yk_temporary_remove(folder);
    CHECK(!is_there(folder));
    yk_sys_fail("openat", 1, ENOENT);
    CHECK_INT(yk_temporary_make(folder), 0);
    yk_temporary_remove(folder);
    left_by(dead(), "-abcdef");
    yk_sys_fail("openat", 1, EMFILE);
    yk_temporary_sweep();
    CHECK(is_there(folder));
    yk_temporary_sweep();
    CHECK(!is_there(folder));
}
