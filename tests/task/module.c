/* Modules and their cache: what is compiled and what is found, what changes an entry, damage, what cannot be loaded, folders
 * that cannot be written, processes that are killed, and every call made to fail. */
#include "task/module.h"
#include "test.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoke/module.h>

/* ---- Tools ---- */

static char root[PATH_MAX / 8];
static char text[PATH_MAX]; /* the last error, or the path of a file */

static const char *at(const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%.3000s", root, name);
    return path;
}

static void clean(void)
{
    char command[PATH_MAX];
    snprintf(command, sizeof command, "PATH=/usr/bin:/bin rm -rf '%s'", root);
    CHECK_INT(system(command), 0);
}

static void write_text(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_text(const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    FILE *f = fopen(at(name), "w");
    CHECK(f != NULL);
    vfprintf(f, format, ap);
    CHECK_INT(fclose(f), 0);
    va_end(ap);
}

/* A compiler that leaves a line in `log` for each call and then does what body says. */
static void compiler(const char *body)
{
    write_text("cc.sh", "#!/bin/sh\necho \"$*\" >>%s/log\nfor object; do :; done\n%s\n", root, body);
    CHECK_INT(chmod(at("cc.sh"), 0755), 0);
    setenv("CC", at("cc.sh"), 1);
}

static void setup(void)
{
    char include[PATH_MAX];
    snprintf(root, sizeof root, "/tmp/yoke-test-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    atexit(clean);
    snprintf(include, sizeof include, "%s/include", getenv("YOKE_SOURCE") ? getenv("YOKE_SOURCE") : ".");
    setenv("YOKE_INCLUDE", include, 1);
    setenv("YOKE_CACHE", at("cache"), 1);
    setenv("TMPDIR", at("tmp"), 1);
    mkdir(at("tmp"), 0700);
    compiler("exec cc \"$@\"");
    write_text("h.h", "#define H 10\n");
    write_text("m.c", "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + 1; }\n");
}

/* How often the compiler ran. */
static int compiles(void)
{
    int lines = 0, c;
    FILE *f = fopen(at("log"), "r");
    while (f && (c = getc(f)) != EOF)
        lines += c == '\n';
    if (f)
        fclose(f);
    return lines;
}

/* Names in a folder that end so. The first of them goes to `text`, as a name for at(). */
static int files(const char *folder, const char *suffix)
{
    DIR *dir = opendir(at(folder));
    int n = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t len = strlen(e->d_name), end = strlen(suffix);
        if (e->d_name[0] == '.' || len < end || strcmp(e->d_name + len - end, suffix) != 0)
            continue;
        if (n++ == 0)
            snprintf(text, sizeof text, "%.1000s/%s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    return n;
}

static void keep_reason(char *why)
{
    snprintf(text, sizeof text, "%s", why ? why : "");
    free(why);
}

/* Opens a module, whose error text goes to `text`. */
static int open_file(const char *name, yoke_module **ret)
{
    char *why = NULL;
    int err = yoke_module_open(*name == '/' ? name : at(name), ret, &why);
    CHECK(err < 0 || !why);
    keep_reason(why);
    return err;
}

static int call(yoke_module *m)
{
    const yoke_task *task = yoke_module_find(m, "f");
    int value = -1;
    CHECK(task != NULL);
    char args[8] = "";
    task->call(args, &value);
    return value;
}

/* What task f of the module answers, or the error. */
static int answer(const char *name)
{
    yoke_module *m = NULL;
    int err = open_file(name, &m);
    if (err < 0)
        return err;
    int value = call(m);
    yoke_module_close(m);
    return value;
}

/* No half file, and no folder of a temporary object. */
static void check_tidy(void)
{
    CHECK_INT(files("cache", ".tmp"), 0);
    CHECK_INT(files("cache", ".d"), 0);
    CHECK_INT(files("tmp", ""), 0);
}

/* ---- What is compiled, what is found ---- */

TEST(compiled_once)
{
    setup();
    for (int i = 0; i < 3; i++)
        CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 1);
    CHECK_INT(files("cache", ".so"), 1);
    CHECK_INT(files("cache", ".deps"), 1);
    check_tidy();
}

TEST(an_open_module_is_counted)
{
    setup();
    yoke_module *a = NULL, *b = NULL;
    CHECK_INT(open_file("m.c", &a), 0);
    CHECK_INT(open_file("m.c", &b), 0);
    CHECK(a == b);
    yoke_module_close(a);
    CHECK_INT(call(b), 11);
    yoke_module_close(b);
    CHECK(yoke_find("f") == NULL);
    yoke_module_close(NULL);
}

TEST(a_cache_removed_under_a_loaded_module)
{
    setup();
    yoke_module *a = NULL, *b = NULL;
    CHECK_INT(open_file("m.c", &a), 0);
    CHECK_INT(files("cache", ".so"), 1);
    CHECK_INT(unlink(at(text)), 0);
    CHECK_INT(open_file("m.c", &b), 0);
    CHECK_INT(call(b), 11);
    yoke_module_close(a);
    CHECK_INT(call(b), 11);
    yoke_module_close(b);
    CHECK_INT(compiles(), 2);
}

TEST(an_edited_source_is_compiled)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    write_text("m.c", "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + 2; }\n");
    CHECK_INT(answer("m.c"), 12);
    write_text("m.c", "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + 1; }\n");
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 2); /* what was there before is still known */
}

TEST(an_edited_header_is_compiled)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    write_text("h.h", "#define H 20\n");
    CHECK_INT(answer("m.c"), 21);
    write_text("h.h", "#include \"deep.h\"\n");
    write_text("deep.h", "#define H 30\n");
    CHECK_INT(answer("m.c"), 31);
    write_text("deep.h", "#define H 40\n");
    CHECK_INT(answer("m.c"), 41);
    CHECK_INT(compiles(), 4);
    CHECK_INT(unlink(at("deep.h")), 0);
    CHECK_INT(answer("m.c"), -ENOEXEC);
    CHECK_HAS(text, "deep.h");
}

TEST(an_edited_header_with_its_old_time)
{
    setup();
    struct stat before;
    CHECK_INT(stat(at("h.h"), &before), 0);
    CHECK_INT(answer("m.c"), 11);
    write_text("h.h", "#define H 20\n");
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    CHECK_INT(utimensat(AT_FDCWD, at("h.h"), times, 0), 0);
    CHECK_INT(answer("m.c"), 21);
}

TEST(a_touched_header_is_not_compiled)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(utimensat(AT_FDCWD, at("h.h"), NULL, 0), 0);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 1);
}

TEST(yokes_own_headers_count)
{
    setup();
    char command[2 * PATH_MAX];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", getenv("YOKE_INCLUDE"), at("include"));
    CHECK_INT(system(command), 0);
    setenv("YOKE_INCLUDE", at("include"), 1);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 1);
    FILE *f = fopen(at("include/yoke/task.h"), "a");
    CHECK(f && fputs("/* changed */\n", f) >= 0 && fclose(f) == 0);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 2);
}

static const char *with_flags(const char *flags)
{
    write_text("m.c", "// yoke-flags: %s\n#include <yoke.h>\nYOKE_TASK(int, f) { return N; }\n", flags);
    return "m.c";
}

TEST(flags_count)
{
    setup();
    CHECK_INT(answer(with_flags("-DN=1")), 1);
    CHECK_INT(answer(with_flags("-DN=2 -O1")), 2);
    CHECK_INT(answer(with_flags("  '-DN=1 + 2'\t\"-DM=\\\"x\\\"\" ")), 3);
    CHECK_INT(answer(with_flags("-DN=1\n  // yoke-flags: -UN -DN=4")), 4);
    CHECK_INT(compiles(), 4);
    CHECK_INT(answer(with_flags("-DN=1 '-DM")), -EINVAL);
    CHECK_HAS(text, "m.c:1: a quote in yoke-flags is not closed");
    CHECK_INT(answer(with_flags("-DN=1 $(touch pwned) `touch pwned` ; touch pwned")), -ENOEXEC);
    CHECK(access("pwned", F_OK) < 0);
}

TEST(a_library_from_the_flags)
{
    setup();
    write_text("m.c", "// yoke-flags: -lm\n#include <math.h>\n#include <yoke.h>\n"
                      "YOKE_TASK(int, f) { volatile double x = 8; return (int)cbrt(x); }\n");
    CHECK_INT(answer("m.c"), 2);
}

TEST(what_the_compiler_is_counts)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    compiler("exec cc -DOTHER \"$@\"");
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 2);
    char words[PATH_MAX + 20];
    snprintf(words, sizeof words, "%s -DH2=2", at("cc.sh"));
    setenv("CC", words, 1);
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(compiles(), 3);
}

TEST(folders_of_headers_from_outside_count)
{
    setup();
    write_text("m.c", "#include <yoke.h>\n#include <n.h>\nYOKE_TASK(int, f) { return N; }\n");
    mkdir(at("one"), 0700);
    mkdir(at("two"), 0700);
    write_text("one/n.h", "#define N 1\n");
    write_text("two/n.h", "#define N 2\n");
    setenv("CPATH", at("one"), 1);
    CHECK_INT(answer("m.c"), 1);
    setenv("CPATH", at("two"), 1);
    CHECK_INT(answer("m.c"), 2);
    unsetenv("CPATH");
    write_text("m.c", "// yoke-flags: -I.\n#include <yoke.h>\n#include <n.h>\nYOKE_TASK(int, f) { return N; }\n");
    CHECK_INT(chdir(at("one")), 0);
    CHECK_INT(answer("m.c"), 1);
    CHECK_INT(chdir(at("two")), 0);
    CHECK_INT(answer("m.c"), 2);
}

TEST(odd_names)
{
    setup();
    static const char *const names[] = {"with blank.c", "-dash.c", "a#b.c", "a$b.c", "a'b\"c.c", "a\\b.c", "a: b.c", "caf\xe9.c",
                                        "new\nline.c", "%s.c", "a\\ b.c"};
    CHECK_INT(chdir(root), 0);
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        write_text(names[i], "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + %zu; }\n", i);
        write_text("h.h", "#define H 10\n");
        CHECK_INT(answer(names[i]), 10 + (int)i);
        write_text("h.h", "#define H 20\n");
        CHECK_INT(answer(names[i]), 20 + (int)i);
        yoke_module *m = NULL;
        CHECK_INT(yoke_module_open(names[i], &m, NULL), 0); /* relative */
        CHECK_INT(call(m), 20 + (int)i);
        yoke_module_close(m);
    }
}

/* Whatever is in the name of a header, a change of it is seen. */
TEST(odd_names_of_headers)
{
    setup();
    static const char *const names[] = {"with blank.h", "a#b.h",    "a$b.h",      "a'b.h",   "a: b.h",  "caf\xe9.h",
                                        "a\\b.h",       "a\\\\b.h", "a\\ b.h",    "a\\\\ b.h", "a\\#b.h", "a$$b.h",
                                        " first.h",     "a\tb.h",   "a\\:b.h",    "a\\$b.h",  "a:b.h"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        write_text("m.c", "#include \"%s\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return N; }\n", names[i]);
        for (int n = 1; n < 4; n++) {
            write_text(names[i], "#define N %d\n", n);
            CHECK_INT(answer("m.c"), n);
            CHECK_INT(answer("m.c"), n);
        }
    }
}

TEST(odd_names_of_caches)
{
    setup();
    static const char *const names[] = {"c: d", "with blank/deep/er", "a#b", "new\nline", "a$b", "a\\"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        setenv("YOKE_CACHE", at(names[i]), 1);
        write_text("h.h", "#define H %zu\n", 10 + i);
        CHECK_INT(answer("m.c"), 11 + (int)i);
        int before = compiles();
        CHECK_INT(answer("m.c"), 11 + (int)i);
        CHECK_INT(compiles(), before);
    }
}

/* ---- Edits meanwhile ---- */

TEST(a_header_edited_while_it_is_compiled)
{
    setup();
    compiler("cc \"$@\" || exit\nprintf '#define H 50\\n' >${0%/*}/h.h");
    CHECK_INT(answer("m.c"), 11); /* what the compiler saw */
    CHECK_INT(files("cache", ".so"), 0);
    check_tidy();
    compiler("exec cc \"$@\"");
    CHECK_INT(answer("m.c"), 51);
    write_text("h.h", "#define H 10\n");
    CHECK_INT(answer("m.c"), 11);
}

TEST(a_source_edited_while_it_is_compiled)
{
    setup();
    compiler("sed -i 's/H + 1/H + 5/' ${0%/*}/m.c\nexec cc \"$@\"");
    CHECK_INT(answer("m.c"), 15);
    CHECK_INT(files("cache", ".so"), 0);
    check_tidy();
    write_text("m.c", "#include \"h.h\"\n#include <yoke.h>\nYOKE_TASK(int, f) { return H + 1; }\n");
    compiler("exec cc \"$@\"");
    CHECK_INT(answer("m.c"), 11); /* and not what was compiled under this text's name */
}

/* ---- Many at once, and those that are killed ---- */

TEST_LIMIT(eight_processes_on_a_cold_file, 60)
{
    setup();
    int gate[2];
    CHECK_INT(pipe(gate), 0);
    pid_t pids[8];
    for (int i = 0; i < 8; i++)
        if ((pids[i] = fork()) == 0) {
            char go;
            close(gate[1]);
            _exit(read(gate[0], &go, 1) == 0 && answer("m.c") == 11 ? 0 : 1);
        }
    close(gate[1]);
    for (int i = 0; i < 8; i++) {
        int status = -1;
        CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_INT(status, 0);
    }
    CHECK_INT(compiles(), 1);
    CHECK_INT(files("cache", ".so"), 1);
    check_tidy();
}

TEST_LIMIT(killed_in_the_middle, 60)
{
    setup();
    compiler("printf half >\"$object\"\nsleep 100");
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        answer("m.c");
        _exit(0);
    }
    for (int i = 0; files("cache", ".tmp") == 0; i++) {
        CHECK(i < 1000);
        usleep(10000);
    }
    CHECK_INT(kill(-pid, SIGKILL), 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    CHECK_INT(files("cache", ".tmp"), 1); /* left over */
    char left[PATH_MAX];
    snprintf(left, sizeof left, "%s", at(text));
    compiler("exec cc \"$@\"");
    CHECK_INT(answer("m.c"), 11);
    CHECK(access(left, F_OK) == 0); /* its writer may live, for all we know */
    struct timespec times[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
    CHECK_INT(utimensat(AT_FDCWD, left, times, 0), 0);
    write_text("h.h", "#define H 20\n");
    CHECK_INT(answer("m.c"), 21);
    check_tidy();
}

TEST(old_entries_go_and_strangers_stay)
{
    setup();
    static const char *const strangers[] = {"cache/precious.so", "cache/note.tmp", "cache/x.deps", "cache/0123.so"};
    CHECK_INT(answer("m.c"), 11);
    struct timespec times[2] = {{.tv_sec = time(NULL) - 31 * 86400}, {.tv_sec = time(NULL) - 31 * 86400}};
    for (size_t i = 0; i < YK_COUNT_OF(strangers); i++) {
        write_text(strangers[i], "mine");
        CHECK_INT(utimensat(AT_FDCWD, at(strangers[i]), times, 0), 0);
    }
    CHECK_INT(files("cache", ".lock"), 1);
    char key[65];
    snprintf(key, sizeof key, "%s", strrchr(text, '/') + 1);
    char old[100];
    snprintf(old, sizeof old, "cache/%s.so", key);
    write_text(old, "old");
    CHECK_INT(utimensat(AT_FDCWD, at(old), times, 0), 0);
    write_text("h.h", "#define H 20\n");
    CHECK_INT(answer("m.c"), 21);
    CHECK(access(at(old), F_OK) < 0);
    for (size_t i = 0; i < YK_COUNT_OF(strangers); i++)
        CHECK_INT(access(at(strangers[i]), F_OK), 0);
}

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
    CHECK(answer("m.c") < 0);
    CHECK(text[0] != '\0');
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

/* ---- What is no module ---- */

TEST(files_that_are_no_modules)
{
    setup();
    write_text("text.so", "just text\n");
    write_text("empty.so", "%s", "");
    write_text("none.c", "int x;\n");
    write_text("notes.txt", "x");
    mkdir(at("folder.so"), 0700);
    mkdir(at("folder.c"), 0700);
    CHECK_INT(mkfifo(at("fifo.so"), 0600), 0);
    CHECK_INT(mkfifo(at("fifo.c"), 0600), 0);
    CHECK_INT(symlink("loop.so", at("loop.so")), 0);
    static const struct {
        const char *name;
        int err;
        const char *reason;
    } wrong[] = {{"text.so", -ENOEXEC, "file too short"},
                 {"empty.so", -ENOEXEC, "file too short"},
                 {"folder.so", -ENOEXEC, "not a regular file"},
                 {"fifo.so", -ENOEXEC, "not a regular file"},
                 {"loop.so", -ELOOP, "loop.so: "},
                 {"gone.so", -ENOENT, "gone.so: "},
                 {"gone.c", -ENOENT, "gone.c: "},
                 {"folder.c", -EISDIR, "folder.c: "},
                 {"fifo.c", -EINVAL, "fifo.c: not a regular file"},
                 {"none.c", -ENODATA, "has no tasks"},
                 {"notes.txt", -EINVAL, "expected a file that ends in .c or .so"},
                 {"gone.txt", -ENOENT, "gone.txt: "},
                 {"", -EINVAL, "expected a file"}};
    for (size_t i = 0; i < YK_COUNT_OF(wrong); i++) {
        CHECK_INT(answer(wrong[i].name), wrong[i].err);
        CHECK_HAS(text, wrong[i].reason);
        CHECK(!strchr(text, '\n'));
    }
    yoke_module *m = NULL;
    CHECK_INT(yoke_module_open(NULL, &m, NULL), -EINVAL);
    CHECK_INT(yoke_module_open("x.c", NULL, NULL), -EINVAL);
    CHECK_INT(yoke_module_open(at("text.so"), &m, NULL), -ENOEXEC);
    check_tidy();
}

TEST(another_abi)
{
    setup();
    write_text("m.c", "#include <yoke.h>\n#undef YOKE_ABI\n#define YOKE_ABI 99u\nYOKE_TASK(int, f) { return 1; }\n");
    CHECK_INT(answer("m.c"), -EPROTO);
    CHECK_HAS(text, "ABI 99");
    CHECK(yoke_find("f") == NULL);
    CHECK_INT(files("cache", ".so"), 1);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", at(text));
    CHECK_INT(answer(path), -EPROTO); /* as an object too */
    CHECK_INT(compiles(), 1);
}

TEST(a_name_twice)
{
    setup();
    write_text("m.c", "#include <yoke.h>\nYOKE_TASK(int, f) { return 1; }\nint g(void);\nint g(void) { return 1; }\n"
                      "static yoke_task twin;\n__attribute__((constructor)) static void again(void)\n"
                      "{\n    twin = yoke_task_f;\n    yoke_register(&twin);\n}\n");
    CHECK(answer("m.c") < 0);
    CHECK_HAS(text, "f");
    CHECK(yoke_find("f") == NULL);
}

/* An object with its end missing: never SIGBUS, wherever the cut is. */
TEST_LIMIT(truncated_objects, 60)
{
    setup();
    CHECK_INT(answer("m.c"), 11);
    CHECK_INT(files("cache", ".so"), 1);
    char object[PATH_MAX], command[3 * PATH_MAX];
    snprintf(object, sizeof object, "%s", at(text));
    struct stat st;
    CHECK_INT(stat(object, &st), 0);
    int refused = 0;
    for (off_t size = 0; size < st.st_size; size += size < 1024 ? 61 : 509) {
        snprintf(command, sizeof command, "head -c %lld '%s' >'%s'", (long long)size, object, at("cut.so"));
        CHECK_INT(system(command), 0);
        int got = answer("cut.so");
        CHECK(got == 11 || (got == -ENOEXEC && strstr(text, "cannot load ")));
        refused += got < 0;
    }
    CHECK(refused > 20);
}

/* ---- Damage to the cache ---- */

TEST_LIMIT(damaged_entries_are_made_again, 60)
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

TEST_LIMIT(every_call_fails_once, 120)
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
