/* Modules and their cache: what is compiled and what is found, what changes an entry, edits meanwhile, many processes at once and
 * killed ones, and files that are no modules. */
#include "module_try.h"

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

static void make_library(int value)
{
    char command[3 * PATH_MAX];
    write_text("l.c", "int l(void) { return %d; }\n", value);
    snprintf(command, sizeof command, "cc -c -fPIC -o %s/l.o %s/l.c && ar crs %s/libl.a %s/l.o", root, root, root, root);
    CHECK_INT(system(command), 0);
}

/* One that is made anew is another, whichever way the flags name it. */
TEST(libraries_and_objects_from_the_flags_count)
{
    setup();
    static const char *const flags[] = {"-L. -ll", "-L . -l l", "-L. -l:libl.a", "./libl.a", "l.o"};
    CHECK_INT(chdir(root), 0);
    for (size_t i = 0; i < YK_COUNT_OF(flags); i++) {
        write_text("m.c", "// yoke-flags: %s\n#include <yoke.h>\nint l(void);\nYOKE_TASK(int, f) { return l(); }\n", flags[i]);
        for (int value = 1; value < 3; value++) {
            make_library(value);
            int before = compiles();
            CHECK_INT(answer("m.c"), value);
            CHECK_INT(answer("m.c"), value);
            CHECK_INT(compiles(), before + 1);
        }
    }
}

/* The compiler says what the last of several sources includes, and nothing of the others. */
TEST(further_sources_are_compiled_each_time)
{
    setup();
    CHECK_INT(chdir(root), 0);
    write_text("k.h", "#define K 10\n");
    write_text("h.c", "int h(void) { return 2; }\n");
    write_text("m.c", "// yoke-flags: h.c\n#include \"k.h\"\n#include <yoke.h>\nint h(void);\n"
                      "YOKE_TASK(int, f) { return K + h(); }\n");
    CHECK_INT(answer("m.c"), 12);
    write_text("k.h", "#define K 20\n");
    CHECK_INT(answer("m.c"), 22);
    write_text("h.c", "int h(void) { return 3; }\n");
    CHECK_INT(answer("m.c"), 23);
    check_tidy();
}

/* Also where the compiler takes their folder for one of the system's. */
TEST(headers_of_the_system_count)
{
    setup();
    mkdir(at("system"), 0700);
    setenv("C_INCLUDE_PATH", at("system"), 1);
    write_text("system/s.h", "#define S 1\n");
    write_text("m.c", "#include <s.h>\n#include <yoke.h>\nYOKE_TASK(int, f) { return S; }\n");
    CHECK_INT(answer("m.c"), 1);
    write_text("system/s.h", "#define S 22\n");
    CHECK_INT(answer("m.c"), 22);
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

TEST_LIMIT(eight_processes_on_a_cold_file, 300)
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

TEST_LIMIT(killed_in_the_middle, 300)
{
    setup();
    compiler("printf half >\"$object\"\nsleep 3600");
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        answer("m.c");
        _exit(0);
    }
    while (files("cache", ".tmp") == 0)
        usleep(10000);
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
TEST_LIMIT(truncated_objects, 300)
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
