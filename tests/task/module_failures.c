/* Modules when things fail: the compiler, the entries of the cache, its folder, and every call in turn. */
#include "module_try.h"
#include <dlfcn.h>
#include <sys/resource.h>

/* ---- The compiler's failures ---- */

/* Everything that a command prints. */
static void capture(const char *command)
{
    FILE *p = popen(command, "r");
    CHECK(p != NULL);
    text[fread(text, 1, sizeof text - 1, p)] = '\0';
    pclose(p);
}

TEST(the_compilers_words_as_it_wrote_them)
{
    setup();
    char command[3 * PATH_MAX], *why = NULL;
    yoke_module *m = NULL;
    write_text("m.c", "#include <yoke.h>\nint y = \"x\" * 2;\nYOKE_TASK(int, f) { return undeclared; }\n");
    CHECK_INT(yoke_module_open(at("m.c"), &m, &why), -ENOEXEC);
    snprintf(command, sizeof command, "cc -O2 -g -fPIC -shared -std=gnu11 -fdiagnostics-color=never -I%s %s -o /dev/null 2>&1",
             getenv("YOKE_INCLUDE"), at("m.c"));
    capture(command);
    CHECK_HAS(text, "undeclared");
    CHECK_STR(why, text);
    free(why);
    CHECK(m == NULL);
    check_tidy();
    CHECK_INT(files("cache", ".so"), 0);
}

TEST(warnings_do_not_fail)
{
    setup();
    write_text("m.c", "#include <yoke.h>\n#warning careful\nYOKE_TASK(int, f) { return 1; }\n");
    CHECK_INT(answer("m.c"), 1);
    CHECK_HAS(text, "careful");
    CHECK_HAS(text, "m.c:2:");
    CHECK_INT(answer("m.c"), 1);
    CHECK_STR(text, ""); /* said once, when it was compiled */
    CHECK_INT(compiles(), 1);
}

TEST(a_misspelt_function)
{
    setup();
    write_text("m.c", "#include <yoke.h>\n#include <math.h>\n\nYOKE_TASK(double, f) { return sinn(1); }\n");
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "m.c:4:");
    CHECK_HAS(text, "sinn");
}

TEST(a_symbol_that_is_nowhere)
{
    setup();
    const char *warn = "#include <yoke.h>\n#warning careful\n";
    write_text("m.c", "%sint nowhere(void);\nYOKE_TASK(int, f) { return nowhere(); }\n", warn);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    char expected[PATH_MAX + 200];
    snprintf(expected, sizeof expected, "cannot load %s: undefined symbol: nowhere; if a library has nowhere, add a line "
                                        "\"// yoke-flags: -lNAME\"", at("m.c"));
    CHECK_STR(text, expected);
    write_text("m.c", "%s#include <math.h>\nvolatile double x = 4;\nYOKE_TASK(int, f) { return (int)cbrt(x * 2); }\n", warn);
    if (!dlsym(RTLD_DEFAULT, "cbrt")) { /* a sanitizer's library brings libm along */
        CHECK_INT(answer("m.c"), -ENOEXEC);
        snprintf(expected, sizeof expected, "cannot load %s: undefined symbol: cbrt; add a line \"// yoke-flags: -lm\" to it",
                 at("m.c"));
        CHECK_STR(text, expected);
    }
    write_text("m.c", "%sint _ZGVnowhere(void);\nYOKE_TASK(int, f) { return _ZGVnowhere(); }\n", warn); /* as a loop of exp() */
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "undefined symbol: _ZGVnowhere; add a line \"// yoke-flags: -lm\" to it");
    write_text("m.c", "// yoke-flags: -lm\n#include <yoke.h>\n#include <math.h>\nvolatile double x = 4;\n"
                      "YOKE_TASK(int, f) { return (int)cbrt(x * 2); }\n");
    CHECK_INT(answer("m.c"), 2);
}

TEST(no_compiler)
{
    setup();
    setenv("CC", "/nonexistent", 1);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_STR(text, "the C compiler \"/nonexistent\" (from CC) is not there or cannot be run");
    setenv("CC", at("m.c"), 1); /* a file that nobody may execute */
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cannot be run");
    setenv("CC", root, 1);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cannot be run");
    setenv("CC", "  ", 1);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_INT(chmod(at("m.c"), 0755), 0); /* no program, whatever its mode says */
    setenv("CC", at("m.c"), 1);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cannot run");
    unsetenv("CC");
    setenv("PATH", at("tmp"), 1);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_STR(text, "there is no C compiler: install gcc or clang, or set CC");
}

TEST(a_compiler_that_dies)
{
    setup();
    compiler("printf half >\"$object\"\nkill -9 $$");
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cc.sh was killed by signal 9 (Killed)");
    check_tidy();
    compiler("echo about to die\nkill -11 $$");
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "about to die\n");
    CHECK_HAS(text, "cc.sh was killed by signal 11 (Segmentation fault)\n");
    compiler("exit 3");
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cc.sh ended with exit code 3 and said nothing");
    compiler("exit 0"); /* says that all went well, and wrote nothing */
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "cc.sh ended well but has written no object");
    compiler("exec cc \"$@\"");
    CHECK_INT(answer("m.c"), 11);
    check_tidy();
}

TEST(a_compiler_that_floods)
{
    setup();
    compiler("yes flood | head -c 3000000\nexit 1");
    yoke_module *m = NULL;
    char *why = NULL;
    CHECK_INT(yoke_module_open(at("m.c"), &m, &why), -ENOEXEC);
    CHECK(why && strlen(why) > 1000000 && strlen(why) < 1100000);
    free(why);
}

TEST(a_program_that_ignores_its_children)
{
    setup();
    signal(SIGCHLD, SIG_IGN);
    CHECK_INT(answer("m.c"), 11);
    write_text("m.c", "nonsense");
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "error:");
    signal(SIGCHLD, SIG_DFL);
}

/* ---- Damage to the cache ---- */

TEST_LIMIT(damaged_entries_are_made_again, 300)
{
    setup();
    static const char *const suffixes[] = {".so", ".deps", ".lock"};
    CHECK_INT(answer("m.c"), 11);
    for (size_t i = 0; i < YK_COUNT_OF(suffixes); i++)
        for (int cut = 0; cut < 6; cut++) {
            CHECK_INT(files("cache", suffixes[i]), 1);
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s", at(text));
            struct stat st;
            CHECK_INT(stat(path, &st), 0);
            if (cut == 5) {
                FILE *f = fopen(path, "w");
                CHECK(f && fputs("garbage 1 2 3\n\n", f) >= 0 && fclose(f) == 0);
            } else {
                CHECK_INT(truncate(path, st.st_size * cut / 5), 0);
            }
            CHECK_INT(answer("m.c"), 11);
            int before = compiles();
            CHECK_INT(answer("m.c"), 11);
            CHECK_INT(compiles(), before);
        }
    check_tidy();
}

TEST(an_entry_that_is_a_folder)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("cache", ".so"), 1);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at(text));
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(answer("m.c"), 11); /* cannot be kept, and is used once */
    check_tidy();
}

/* ---- Folders ---- */

TEST(no_folder_at_all)
{
    setup();
    unsetenv("YOKE_CACHE");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 2);
    check_tidy();
    setenv("TMPDIR", at("gone"), 1);
    CHECK_INT(answer("m.c"), -ENOENT);
    CHECK_HAS(text, "cannot write to a cache folder nor to ");
}

TEST(which_folder)
{
    setup();
    setenv("XDG_CACHE_HOME", at("xdg"), 1);
    setenv("HOME", at("home"), 1);
    setenv("YOKE_CACHE", "", 1);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("xdg/yoke", ".so"), 1);
    setenv("XDG_CACHE_HOME", "relative", 1); /* the specification says: not valid */
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("home/.cache/yoke", ".so"), 1);
    CHECK_INT(chdir(root), 0);
    setenv("YOKE_CACHE", "near", 1);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("near", ".so"), 1);
}

/* What lies in the cache is run, so one in which others could put something is left alone. */
TEST(a_folder_that_others_can_write_to)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 1);
    static const mode_t open_modes[] = {0777, 01777, 0720, 0702};
    for (size_t i = 0; i < YK_COUNT_OF(open_modes); i++) {
        CHECK_INT(chmod(at("cache"), open_modes[i]), 0);
        CHECK_INT(answer("m.c"), 11);
        CHECK_INT(compiles(), 2 + (int)i);
    }
    CHECK_INT(chmod(at("cache"), 0755), 0);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 1 + (int)YK_COUNT_OF(open_modes));
    if (geteuid() == 0) {
        CHECK_INT(chown(at("cache"), 65534, 65534), 0);
        CHECK_INT(answer("m.c"), 11);
        CHECK_INT(compiles(), 2 + (int)YK_COUNT_OF(open_modes));
    }
    CHECK_INT(files("tmp", ""), 0);
}

/* To try how much room there is must not end the process by SIGXFSZ. */
TEST(a_limit_on_the_size_of_files)
{
    setup();
    struct rlimit little = {.rlim_cur = 100 << 10, .rlim_max = 100 << 10};
    write_text("m.c", "nonsense\n");
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &little), 0);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "error:");
}

TEST(a_folder_that_is_none)
{
    setup();
    static const char *const bad[] = {"m.c", "m.c/below"};
    for (size_t i = 0; i < YK_COUNT_OF(bad); i++) {
        setenv("YOKE_CACHE", at(bad[i]), 1);
        CHECK_INT(answer("m.c"), 11);
        CHECK_INT(files("tmp", ""), 0);
    }
    static char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    endless[0] = '/';
    setenv("YOKE_CACHE", endless, 1);
    CHECK_INT(answer("m.c"), 11);
    endless[3950] = '\0'; /* the longest that is not too long for the system */
    setenv("YOKE_CACHE", endless, 1);
    CHECK_INT(answer("m.c"), 11);
}

TEST(a_folder_removed_while_it_is_compiled)
{
    setup();
    compiler("case $object in */cache/*) rm -rf ${0%/*}/cache ;; esac\nexec cc \"$@\"");
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("tmp", ""), 0);
    compiler("cc \"$@\"\nrm -rf ${0%/*}/cache");
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("tmp", ""), 0);
}

TEST(a_full_folder)
{
    setup();
    yk_sys_fail("write", 1, ENOSPC); /* the list cannot be written */
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("cache", ".so"), 0);
    check_tidy();
    /* The object cannot: the compiler says so, and it is made elsewhere. */
    compiler("case $object in */cache/*) echo 'No space left on device'; exit 1 ;; esac\nexec cc \"$@\"");
    int calls = 0;
    yk_sys_fail("openat", 1000000, 0);
    CHECK_INT(answer("m.c"), -ENOEXEC); /* there is room: so it was the compiler's own failure */
    CHECK_STR(text, "No space left on device\n");
    calls = yk_sys_fail("openat", 0, 0);
    yk_sys_fail("openat", calls, ENOSPC);
    CHECK_INT(answer("m.c"), 11);
    yk_sys_fail("openat", 0, 0);
    check_tidy();
}

/* ---- Every call fails once ---- */

/* A compiler that takes no time: it copies what was compiled before. */
static void quick_compiler(void)
{
    char body[4 * PATH_MAX], object[PATH_MAX];
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("cache", ".so"), 1);
    snprintf(object, sizeof object, "%s", at(text));
    CHECK_INT(rename(object, at("made")), 0);
    snprintf(body, sizeof body,
             "while [ \"$1\" != -MF ]; do shift; done\nprintf 'm: m.c %%s' %s >\"$2\"\ncp %s \"$object\"\necho spoken", at("h.h"),
             at("made"));
    compiler(body);
}

static void remove_cache(void)
{
    char command[PATH_MAX];
    snprintf(command, sizeof command, "rm -rf '%s'", at("cache"));
    CHECK_INT(system(command), 0);
}

/* Cold or warm, opens with the n-th call failing. It works, or says why, and the next time it works. */
static void with_failure(const char *entry, int n, int error, bool warm)
{
    if (!warm)
        remove_cache();
    else
        CHECK_INT(answer("m.c"), 11);
    yk_sys_fail(entry, n, error);
    int got = answer("m.c");
    yk_sys_fail(entry, 0, 0);
    if (got != 11 && got >= 0)
        test_fail(__FILE__, __LINE__, "%s %d: answer %d", entry, n, got);
    if (got < 0 && got != -ENOMEM && error != ENOMEM && text[0] == '\0')
        test_fail(__FILE__, __LINE__, "%s %d: error %d without a reason", entry, n, got);
    CHECK(yoke_find("f") == NULL);
    check_tidy();
    got = answer("m.c");
    if (got != 11)
        test_fail(__FILE__, __LINE__, "%s %d: afterwards %d: %s", entry, n, got, text);
}

TEST_LIMIT(every_call_fails_once, 300)
{
    setup();
    quick_compiler();
    static const struct {
        const char *name;
        int error;
    } entries[] = {{"malloc", ENOMEM}, {"calloc", ENOMEM}, {"realloc", ENOMEM}, {"openat", EMFILE}, {"openat", EACCES},
                   {"read", EIO},      {"read", EINTR},    {"write", ENOSPC},   {"write", EINTR},   {"pipe2", EMFILE},
                   {"dlopen", ENOMEM}};
    int total = 0;
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++)
        for (int warm = 0; warm < 2; warm++) {
            remove_cache();
            if (warm)
                CHECK_INT(answer("m.c"), 11);
            yk_sys_fail(entries[i].name, 1000000, 0);
            CHECK_INT(answer("m.c"), 11);
            int calls = yk_sys_fail(entries[i].name, 0, 0);
            for (int n = 1; n <= calls; n++)
                with_failure(entries[i].name, n, entries[i].error, warm);
            total += calls;
        }
    CHECK(total > 50);
}
