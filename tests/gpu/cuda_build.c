/* cuda_build.c - from a text to a function: what the compiler says, what is kept on disk, where the compiler is found,
 * and the real one over a driver that is none. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include "task/module.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <yoke/source.h>

#define C yk_gpu_cuda

static char folder[200]; /* of this test */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A folder of its own, that goes with the test, for the cache and all else. */
static void make_folder(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/yoke-cuda-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(folder));
    atexit(remove_folder);
    setenv("YOKE_CACHE", folder, 1);
}

static fake_cuda *open_run(run *r)
{
    fake_cuda *f = fake_use("fake-cuda");
    make_folder();
    add_kernels(f);
    run_init(r);
    CHECK_INT(run_open(r), 0);
    return f;
}

static void close_run(run *r, fake_cuda *f)
{
    run_close(r);
    check_nothing_left(f);
}

static int build(run *r, const char *text, const char *options)
{
    if (r->image)
        C.unload(&r->d, r->image);
    r->image = NULL;
    r->log.len = 0;
    return C.build(&r->d, text, options, "scale.c", &r->image, &r->log, &r->e);
}

/* ---- What the compiler says ---- */

TEST(a_text_that_does_not_compile_has_a_log)
{
    run r;
    fake_cuda *f = open_run(&r);
    CHECK_INT(build(&r, "#error", ""), -EINVAL);
    CHECK_STR(r.e.text, "cuda: scale.c does not compile (nvrtcCompileProgram: 6): scale.c(1): error: identifier "
                        "\"nothing\" is undefined");
    CHECK_STR(yk_buf_str(&r.log), "scale.c(1): error: identifier \"nothing\" is undefined\n");
    CHECK(!r.image);
    CHECK_INT(build(&r, scale_text, "--fmad=false  --wrong"), -EINVAL);
    CHECK_HAS(r.e.text, "error: unrecognized option --wrong");
    CHECK_INT(build(&r, "#builtins", ""), -ENOPKG);
    CHECK_HAS(r.e.text, "libnvrtc-builtins");
    r.log.len = 0;
    CHECK_INT(build(&r, "#shared", ""), -EINVAL);
    CHECK_STR(r.e.text, "cuda: scale.c does not compile: its groups have 262144 bytes of shared memory, and can have 49152 "
                        "(48 KiB)");
    CHECK_INT(r.log.len, 0);
    CHECK_INT(C.build(&r.d, "#error", "", "scale.c", &r.image, NULL, &r.e), -EINVAL); /* nobody wants the log */
    CHECK_INT(C.build(&r.d, "#warning scale", "", "scale.c", &r.image, NULL, &r.e), 0);
    close_run(&r, f);
}

TEST(options_are_one_line)
{
    run r;
    fake_cuda *f = open_run(&r);
    char many[300] = "";
    CHECK_INT(build(&r, scale_text, NULL), 0);
    CHECK_INT(build(&r, scale_text, "  -a\t-b \n -c  "), 0);
    for (int i = 0; i < 62; i++)
        memcpy(many + 3 * i, "-a ", 4);
    CHECK_INT(build(&r, scale_text, many), 0);
    memcpy(many + 186, "-a ", 4);
    CHECK_INT(build(&r, scale_text, many), -E2BIG);
    CHECK_STR(r.e.text, "cuda: more than 62 options to compile scale.c");
    close_run(&r, f);
}

TEST(warnings_and_numbers_are_told_apart)
{
    run r;
    fake_cuda *f = open_run(&r);
    for (int round = 0; round < 2; round++) { /* compiled, and from the cache */
        CHECK_INT(build(&r, "scale SPILL", ""), 0);
        CHECK_STR(yk_buf_str(&r.log), "scale.c(1): warning: spills\n");
        CHECK_INT(C.function(r.image, "scale", &r.scale, &r.e), 0);
        CHECK_STR(r.scale.name, "scale");
        CHECK_INT(r.scale.registers, 32);
        CHECK_INT(r.scale.spilled_bytes, 24);
        CHECK_INT(r.scale.local_bytes, 16);
        CHECK_INT(r.scale.group_most, 1024);
    }
    CHECK_INT(f->calls("nvrtcCompileProgram"), 1);
    CHECK_INT(build(&r, scale_text, ""), 0);
    CHECK_STR(yk_buf_str(&r.log), "");
    CHECK_INT(C.function(r.image, "scale", &r.scale, &r.e), 0);
    CHECK_INT(r.scale.spilled_bytes, 0);
    close_run(&r, f);
}

TEST(who_asks_for_the_numbers_gets_them_in_the_log)
{
    run r;
    fake_cuda *f = open_run(&r);
    CHECK_INT(build(&r, "scale SPILL", "--ptxas-options=-v"), 0);
    CHECK_HAS(yk_buf_str(&r.log), "24 bytes stack frame");
    CHECK_INT(C.function(r.image, "scale", &r.scale, &r.e), 0);
    CHECK_INT(r.scale.spilled_bytes, 24);
    close_run(&r, f);
}

TEST(a_function_that_is_not_there)
{
    run r;
    fake_cuda *f = open_run(&r);
    CHECK_INT(build(&r, scale_text, ""), 0);
    CHECK_INT(C.function(r.image, "other", &r.scale, &r.e), -ENOENT);
    CHECK_HAS(r.e.text, "cuda: looking for the kernel other: cuModuleGetFunction: ");
    C.unload(&r.d, NULL);
    close_run(&r, f);
}

/* ---- For which device ---- */

static void check_arch(int capability, const char *arch)
{
    yk_build_source source = {scale_text, "", "scale.c", (unsigned)capability};
    yk_binary b = {.is_ptx = false};
    yk_error e = {0};
    CHECK_INT(yk_nvrtc_compile(&source, &b, &e), 0);
    CHECK_HAS(b.image.ptr, arch);
    CHECK_INT(b.is_ptx, *arch == 'c');
    CHECK_INT(strncmp(b.image.ptr, ".version", 8) == 0, b.is_ptx);
    yk_binary_done(&b);
}

TEST(the_newest_code_that_the_device_runs)
{
    fake_use("fake-cuda");
    C.count(NULL);
    check_arch(75, "sm_75\n");
    check_arch(87, "sm_86\n");
    check_arch(90, "sm_90\n");
    check_arch(103, "sm_100\n");
    check_arch(110, "compute_100\n");
    check_arch(121, "sm_120\n");
    check_arch(130, "compute_120\n");
    yk_build_source source = {scale_text, "", "scale.c", 70};
    yk_binary b = {.is_ptx = false};
    yk_error e = {0};
    CHECK_INT(yk_nvrtc_compile(&source, &b, &e), -ENOTSUP);
    CHECK_HAS(e.text, "compiles for devices from 7.5 on, this is 7.0: take an older one (YOKE_NVRTC)");
    yk_binary_done(&b);
}

TEST(ptx_is_kept_as_it_is)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    f->capability = 131;
    make_folder();
    add_kernels(f);
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    CHECK_INT(run_work(&r), 0);
    CHECK_INT(build(&r, scale_text, "--fmad=false"), 0);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 1);
    close_run(&r, f);
}

/* ---- The cache ---- */

/* The paths of what is in the cache; how many. */
static int list(char paths[][600], int most)
{
    char kernels[300];
    int n = 0;
    snprintf(kernels, sizeof kernels, "%s/kernels", folder);
    DIR *dir = opendir(kernels);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.' && n < most)
            snprintf(paths[n++], 600, "%s/%s", kernels, e->d_name);
    if (dir)
        closedir(dir);
    return n;
}

static unsigned compiles(run *r, fake_cuda *f)
{
    f->fail(NULL, 0, 0);
    CHECK_INT(build(r, scale_text, ""), 0);
    CHECK_INT(C.function(r->image, "scale", &r->scale, &r->e), 0);
    return f->calls("nvrtcCompileProgram");
}

TEST(what_was_compiled_is_not_compiled_again)
{
    run r;
    fake_cuda *f = open_run(&r);
    char paths[10][600];
    CHECK_INT(compiles(&r, f), 1);
    CHECK_INT(compiles(&r, f), 0);
    CHECK_INT(list(paths, 10), 1);
    CHECK_HAS(paths[0], ".image");
    struct stat st;
    CHECK_INT(stat(paths[0], &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK_INT(build(&r, scale_text, "-a"), 0);
    CHECK_INT(build(&r, "scale other", ""), 0);
    r.d.info.capability = 80;
    CHECK_INT(build(&r, scale_text, ""), 0);
    yk_image *other;
    CHECK_INT(C.build(&r.d, scale_text, "", "other.c", &other, &r.log, &r.e), 0);
    C.unload(&r.d, other);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 4);
    CHECK_INT(list(paths, 10), 5);
    r.d.info.capability = 90;
    CHECK_INT(compiles(&r, f), 0);
    close_run(&r, f);
}

/* The files may be others next time, and -I may mean another folder. */
TEST(what_includes_files_is_not_kept)
{
    static const struct {
        const char *text, *options;
    } cases[] = {{"#include \"factor.h\"\nscale", ""}, {"scale", "-Ihere"}, {"scale", "-include=factor.h"},
                 {"scale", "--pre-include=factor.h"}, {"scale", "--include-path=here"}};
    run r;
    fake_cuda *f = open_run(&r);
    char paths[10][600];
    f->fail(NULL, 0, 0);
    for (size_t i = 0; i < 2 * YK_COUNT_OF(cases); i++) {
        yk_image *image;
        CHECK_INT(C.build(&r.d, cases[i / 2].text, cases[i / 2].options, "scale.c", &image, NULL, &r.e), 0);
        C.unload(&r.d, image);
        CHECK_INT(f->calls("nvrtcCompileProgram"), i + 1);
    }
    CHECK_INT(list(paths, 10), 0);
    close_run(&r, f);
}

TEST(the_compiler_is_not_even_opened)
{
    int status = 0;
    make_folder();
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            fake_cuda *f = fake_use("fake-cuda");
            setenv("YOKE_CACHE", folder, 1);
            add_kernels(f);
            run r;
            run_init(&r);
            CHECK_INT(run_open(&r), 0);
            f->fail(NULL, 0, 0);
            CHECK_INT(run_work(&r), 0);
            CHECK_INT(f->calls("nvrtcGetSupportedArchs"), i == 0);
            CHECK_INT(f->calls("nvrtcCompileProgram"), i == 0);
            close_run(&r, f);
            _exit(0);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_INT(status, 0);
    }
}

static void damage(const char *path, off_t at, const char *how)
{
    int fd = open(path, O_RDWR);
    struct stat st;
    char c;
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    at = at < 0 ? st.st_size + at : at;
    if (strcmp(how, "cut") == 0) {
        CHECK_INT(ftruncate(fd, at), 0);
    } else {
        CHECK_INT(pread(fd, &c, 1, at), 1);
        c = (char)~c;
        CHECK_INT(pwrite(fd, &c, 1, at), 1);
    }
    close(fd);
}

TEST(a_damaged_file_is_made_again)
{
    static const struct {
        off_t at;
        const char *how;
    } cases[] = {{0, "cut"},   {1, "cut"},    {100, "cut"},  {-1, "cut"},   {0, "flip"}, {15, "flip"},
                 {40, "flip"}, {100, "flip"}, {150, "flip"}, {160, "flip"}, {-1, "flip"}};
    run r;
    fake_cuda *f = open_run(&r);
    char paths[10][600];
    CHECK_INT(compiles(&r, f), 1);
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        CHECK_INT(list(paths, 10), 1);
        damage(paths[0], cases[i].at, cases[i].how);
        CHECK_INT(compiles(&r, f), 1);
        CHECK_INT(compiles(&r, f), 0);
    }
    CHECK_INT(build(&r, "scale other", ""), 0);
    CHECK_INT(list(paths, 10), 2);
    CHECK_INT(rename(paths[0], paths[1]), 0); /* whole, but another's */
    f->fail(NULL, 0, 0);
    CHECK_INT(build(&r, "scale other", ""), 0);
    CHECK_INT(build(&r, scale_text, ""), 0);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 2);
    unlink(paths[1]);
    CHECK_INT(mkdir(paths[1], 0700), 0);
    CHECK_INT(build(&r, "scale other", ""), 0);
    CHECK_INT(build(&r, scale_text, ""), 0);
    close_run(&r, f);
}

TEST(what_the_driver_does_not_want_any_more_is_made_again)
{
    run r;
    fake_cuda *f = open_run(&r);
    CHECK_INT(compiles(&r, f), 1);
    f->fail("cuModuleLoadDataEx", 1, 209);
    CHECK_INT(build(&r, scale_text, ""), 0);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 1);
    f->fail("cuModuleLoadDataEx", 1, 2);
    CHECK_INT(build(&r, scale_text, ""), -ENOMEM);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 0);
    f->fail("cuModuleLoadDataEx", 1, 222);
    CHECK_INT(build(&r, "scale new", ""), -ENOEXEC);
    CHECK_HAS(r.e.text, "cuda: loading scale.c: cuModuleLoadDataEx: ");
    CHECK_STR(yk_buf_str(&r.log), "fake: no image\n");
    close_run(&r, f);
}

/* It is compiled again, and the user never hears of it. */
TEST(a_kept_image_that_is_refused_is_no_error)
{
    fake_cuda *f = fake_use("fake-cuda");
    make_folder();
    add_kernels(f);
    yoke_device *dev = yoke_device_open("cuda");
    for (int i = 0; i < 2; i++) {
        f->fail("cuModuleLoadDataEx", i, 209);
        yoke_source *src = yoke_source_open(dev, scale_text, "");
        CHECK_STR(yoke_source_log(src), "");
        CHECK_INT(yoke_source_status(src), 0);
        CHECK(yoke_source_kernel(src, "scale"));
        CHECK_INT(f->calls("nvrtcCompileProgram"), 1);
        CHECK_STR(f->failed(), i ? "cuModuleLoadDataEx" : "");
        yoke_source_close(src);
    }
    CHECK_STR(yoke_device_error(dev), "");
    CHECK_INT(yoke_device_close(dev), 0);
    check_nothing_left(f);
}

TEST(without_a_cache_it_compiles)
{
    run r;
    fake_cuda *f = open_run(&r);
    char paths[10][600];
    chmod(folder, 0777); /* another's to write */
    CHECK_INT(compiles(&r, f), 1);
    CHECK_INT(compiles(&r, f), 1);
    chmod(folder, 0700);
    CHECK_INT(list(paths, 10), 0);
    setenv("YOKE_CACHE", "/dev/null/none", 1);
    CHECK_INT(compiles(&r, f), 1);
    CHECK_INT(compiles(&r, f), 1);
    setenv("YOKE_CACHE", folder, 1);
    static const char *const calls[] = {"openat", "write", "realloc"};
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++)
        for (int n = 1; n < 4; n++) {
            yk_sys_fail(calls[i], n, ENOSPC);
            int err = build(&r, "scale full", "");
            yk_sys_fail(calls[i], 0, 0);
            CHECK(err == 0 || (i == 2 && err == -ENOMEM));
        }
    CHECK(list(paths, 10) <= 1); /* no halves */
    close_run(&r, f);
}

TEST(many_processes_may_compile_the_same)
{
    make_folder();
    pid_t children[6];
    for (size_t i = 0; i < YK_COUNT_OF(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            fake_cuda *f = fake_use("fake-cuda");
            setenv("YOKE_CACHE", folder, 1);
            add_kernels(f);
            run r;
            run_init(&r);
            CHECK_INT(run_through(&r), 0);
            close_run(&r, f);
            _exit(0);
        }
    }
    for (size_t i = 0; i < YK_COUNT_OF(children); i++) {
        int status = 0;
        CHECK_INT(waitpid(children[i], &status, 0), children[i]);
        CHECK_INT(status, 0);
    }
    char paths[10][600];
    CHECK_INT(list(paths, 10), 1);
}

TEST(the_cache_lets_go_of_the_oldest)
{
    make_folder();
    char path[400];
    yk_buf text = {0};
    for (int i = 0; i < 1000; i++)
        yk_buf_char(&text, 'x');
    static const time_t ages[] = {0, 2 * 3600, 2 * 24 * 3600, 31 * 24 * 3600};
    for (unsigned i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s%064x.image", folder, i == 4 ? "own" : "", i);
        CHECK_INT(yk_write_file(path, &text), 0);
        struct timespec times[2] = {{.tv_sec = time(NULL) - ages[i % 4]}, {.tv_sec = time(NULL) - ages[i % 4]}};
        CHECK_INT(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    static const struct {
        size_t most;
        unsigned left;
    } steps[] = {{10000, 3}, {2500, 2}, {1500, 1}, {0, 1}};
    for (size_t k = 0; k < YK_COUNT_OF(steps); k++) {
        yk_cache_prune(folder, steps[k].most);
        for (unsigned i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "%s/%064x.image", folder, i);
            CHECK_INT(access(path, F_OK) == 0, i < steps[k].left);
        }
    }
    snprintf(path, sizeof path, "%s/own%064x.image", folder, 4);
    CHECK_INT(access(path, F_OK), 0);
    yk_buf_done(&text);
}

/* ---- Where the compiler is ---- */

static void check_compiler(int code, const char *text)
{
    const char *identity = "";
    yk_error e = {0};
    CHECK_INT(yk_nvrtc_identity(&identity, &e), code);
    CHECK_HAS(code < 0 ? e.text : identity, text);
}

TEST(a_compiler_that_is_not_there)
{
    fake_cuda *f = fake_use("fake-cuda");
    setenv("YOKE_NVRTC", "/nonexistent/libnvrtc.so", 1);
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
    CHECK_STR(r.e.text, "cuda: no compiler: there is no NVRTC at YOKE_NVRTC=/nonexistent/libnvrtc.so");
    CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
    CHECK_INT(run_fill(&r), -ENOENT); /* needs none, but nobody told the fake what its kernels mean */
    close_run(&r, f);
}

TEST(a_library_that_is_no_compiler)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    setenv("YOKE_NVRTC", "/proc/self/exe", 1);
    CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
    CHECK_HAS(r.e.text, "cuda: no compiler: ");
    close_run(&r, f);
}

TEST(a_library_of_another_kind_says_what_it_lacks)
{
    fake_cuda *f = fake_use("fake-cuda");
    struct link_map *map = NULL;
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
    setenv("YOKE_NVRTC", map->l_name, 1);
    CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
    CHECK_HAS(r.e.text, "is no NVRTC, or one before 11.2: it lacks nvrtcGetNumSupportedArchs");
    close_run(&r, f);
}

TEST(any_bit_of_a_file_counts)
{
    run r;
    fake_cuda *f = open_run(&r);
    char paths[10][600];
    for (int i = 0; i < 100; i++) {
        CHECK_INT(compiles(&r, f), 1);
        CHECK_INT(list(paths, 10), 1);
        struct stat st;
        CHECK_INT(stat(paths[0], &st), 0);
        damage(paths[0], (off_t)(test_random() % (uint64_t)st.st_size), i % 4 ? "flip" : "cut");
    }
    close_run(&r, f);
}

TEST(a_compiler_that_is_broken)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    f->fail("nvrtcGetSupportedArchs", 1, 11);
    CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
    CHECK_HAS(r.e.text, "does not say for which devices it compiles");
    close_run(&r, f);
}

/* Puts the fake where a compiler would be, below the test's folder. */
static void put(const char *at, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s/%s", folder, at, name);
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(path, 0700);
            *p = '/';
        }
    CHECK_INT(symlink(fake_path("fake-cuda"), path), 0);
}

/* The variables that say where the compiler may be. */
static const char *const places[] = {"LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"};

static void check_place(const char *variable, const char *value, const char *at)
{
    pid_t child = fork(); /* it is looked for once in a process */
    if (child == 0) {
        char path[400];
        make_folder();
        unsetenv("YOKE_NVRTC");
        unsetenv("XDG_CACHE_HOME");
        for (size_t i = 0; i < YK_COUNT_OF(places); i++)
            unsetenv(places[i]);
        put(at, "libnvrtc.so.13");
        put(at, "libnvrtc-builtins.so.13.0");
        snprintf(path, sizeof path, "%s%s%s", *value == ':' ? "/nonexistent:" : "", folder, value + (*value == ':'));
        setenv(variable, path, 1);
        C.count(NULL);
        snprintf(path, sizeof path, "%s/%s/libnvrtc.so.13 ", folder, at);
        check_compiler(0, path);
        remove_folder();
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
}

TEST(the_compiler_is_found_in_many_places)
{
    fake_use("fake-cuda");
    check_place("YOKE_NVRTC", "/any", "any");
    check_place("LD_LIBRARY_PATH", "/any", "any");
    check_place("LD_LIBRARY_PATH", ":/any", "any");
    check_place("CUDA_HOME", "/toolkit", "toolkit/lib64");
    check_place("CUDA_PATH", "/toolkit", "toolkit/lib64");
    check_place("VIRTUAL_ENV", "/env", "env/lib/python3.11/site-packages/nvidia/cu13/lib");
    check_place("VIRTUAL_ENV", "/env", "env/lib64/python3.9/site-packages/nvidia/cuda_nvrtc/lib");
    check_place("CONDA_PREFIX", "/conda", "conda/lib");
    check_place("XDG_CACHE_HOME", "/cache", "cache/yoke/nvrtc/nvidia/cu13/lib");
    check_place("HOME", "/me", "me/.cache/yoke/nvrtc/nvidia/cu13/lib");
    check_place("HOME", "/me", "me/.local/lib/python3.11/site-packages/nvidia/cu13/lib");
}

TEST(the_driver_says_which_compiler_is_best)
{
    static const struct {
        int version;
        const char *first, *second, *third;
    } cases[] = {{13020, "13", "12", "11.2"},
                 {14000, "13", "12", "11.2"},
                 {0, "13", "12", "11.2"}, /* no driver is open */
                 {12040, "12", "11.2", "13"},
                 {11080, "11.2", "12", "13"}};
    fake_cuda *f = fake_use("fake-cuda");
    make_folder();
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++)
        for (int k = 0; k < 3; k++) {
            pid_t child = fork();
            if (child == 0) {
                const char *names[] = {cases[i].first, cases[i].second, cases[i].third};
                char at[20], path[500];
                f->version = cases[i].version;
                snprintf(at, sizeof at, "%zu-%d", i, k);
                for (int n = k; n < 3; n++) {
                    snprintf(path, sizeof path, "libnvrtc.so.%s", names[n]);
                    put(at, path);
                }
                snprintf(path, sizeof path, "%s/%s", folder, at);
                setenv("YOKE_NVRTC", path, 1);
                if (cases[i].version)
                    C.count(NULL);
                snprintf(path, sizeof path, "%s/%s/libnvrtc.so.%s ", folder, at, names[k]);
                check_compiler(0, path);
                _exit(0);
            }
            int status = 0;
            CHECK(child > 0 && waitpid(child, &status, 0) == child);
            CHECK_INT(status, 0);
        }
}

/* What does not load, or is something else, makes room for the next; what is compiled is kept as the other's work. */
TEST(a_compiler_that_does_not_load_is_passed_over)
{
    struct link_map *map = NULL;
    fake_cuda *f = fake_use("fake-cuda");
    char broken[500], wrong[500], at[500];
    f->version = 12040;
    make_folder();
    add_kernels(f);
    put("lib", "libnvrtc.so.13");
    snprintf(broken, sizeof broken, "%s/lib/libnvrtc.so.12", folder);
    snprintf(wrong, sizeof wrong, "%s/lib/libnvrtc.so.11.2", folder);
    snprintf(at, sizeof at, "%s/lib", folder);
    CHECK_INT(yk_write_file(broken, &(yk_buf){0}), 0);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
    CHECK_INT(symlink(map->l_name, wrong), 0);
    setenv("YOKE_NVRTC", at, 1);
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    CHECK_INT(compiles(&r, f), 1);
    snprintf(at, sizeof at, "%s/lib/libnvrtc.so.13 ", folder);
    check_compiler(0, at);
    CHECK_INT(compiles(&r, f), 0);
    close_run(&r, f);
}

TEST(when_none_loads_the_first_is_named)
{
    fake_cuda *f = fake_use("fake-cuda");
    make_folder();
    char path[500];
    static const char *const names[] = {"13", "12"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/libnvrtc.so.%s", folder, names[i]);
        CHECK_INT(yk_write_file(path, &(yk_buf){0}), 0);
    }
    setenv("YOKE_NVRTC", folder, 1);
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(build(&r, scale_text, ""), -ENOPKG);
        CHECK_HAS(r.e.text, "cuda: no compiler: ");
        CHECK_HAS(r.e.text, "libnvrtc.so.13: file too short");
    }
    close_run(&r, f);
}

/* What lies there is run in this process. */
TEST(a_cache_that_others_write_to_has_no_compiler)
{
    fake_use("fake-cuda");
    make_folder();
    unsetenv("YOKE_NVRTC");
    for (size_t i = 0; i < YK_COUNT_OF(places); i++)
        unsetenv(places[i]);
    put("cache/yoke/nvrtc/nvidia/cu13/lib", "libnvrtc.so.13");
    char path[500];
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("XDG_CACHE_HOME", path, 1);
    snprintf(path, sizeof path, "%s/cache/yoke/nvrtc", folder);
    CHECK_INT(chmod(path, 0777), 0);
    const char *identity = "";
    int err = yk_nvrtc_identity(&identity, NULL);
    CHECK(err == -ENOPKG || !strstr(identity, path));
}

/* ---- The real compiler, over the driver that is none. `tools/setup test` makes sure that there is one. ---- */

static fake_cuda *open_real(run *r)
{
    fake_cuda *f = open_run(r);
    unsetenv("YOKE_NVRTC");
    return f;
}

TEST(a_real_cubin_runs_through)
{
    run r;
    fake_cuda *f = open_real(&r);
    if (run_work(&r) < 0)
        test_fail(__FILE__, __LINE__, "%s", r.e.text);
    CHECK_INT(f->calls("nvrtcCompileProgram"), 0); /* it was the other */
    CHECK_STR(yk_buf_str(&r.log), "");
    char paths[10][600];
    yk_buf file = {0};
    CHECK_INT(list(paths, 10), 1);
    CHECK_INT(yk_read_file(paths[0], 1 << 24, &file), 0);
    CHECK(memmem(file.ptr, file.len, "\177ELF", 4));
    CHECK(memmem(file.ptr, file.len, "Function properties for scale", 29));
    yk_buf_done(&file);
    close_run(&r, f);
}

TEST(a_real_compiler_names_the_line_of_the_user)
{
    run r;
    fake_cuda *f = open_real(&r);
    CHECK_INT(build(&r, "#line 77 \"user.c\"\nextern \"C\" __global__ void f(float *x) { *x = nothing; }\n", ""),
              -EINVAL);
    CHECK_HAS(r.e.text, "user.c(77): error: identifier \"nothing\" is undefined");
    CHECK_HAS(yk_buf_str(&r.log), "1 error detected");
    CHECK_INT(build(&r, scale_text, "--no-such-option"), -EINVAL);
    CHECK_HAS(r.e.text, "no-such-option");
    close_run(&r, f);
}

TEST(a_real_compiler_tells_what_is_spilled)
{
    static const char text[] = "extern \"C\" __global__ void scale(float *x)\n"
                               "{\n"
                               "    float y[64];\n"
                               "    for (int i = 0; i < 64; i++) y[i] = x[i];\n"
                               "    for (int k = 0; k < 64; k++)\n"
                               "        for (int i = 0; i < 64; i++) x[i] += y[i] * y[k];\n"
                               "}\n";
    run r;
    fake_cuda *f = open_real(&r);
    CHECK_INT(build(&r, text, "--maxrregcount=24"), 0);
    CHECK_STR(yk_buf_str(&r.log), "");
    CHECK_INT(C.function(r.image, "scale", &r.scale, &r.e), 0);
    CHECK(r.scale.spilled_bytes > 0);
    close_run(&r, f);
}

TEST(a_real_compiler_writes_ptx_for_what_it_does_not_know)
{
    yk_build_source source = {scale_text, "", "scale.c", 990};
    yk_binary b = {.is_ptx = false};
    yk_error e = {0};
    fake_use("fake-cuda");
    unsetenv("YOKE_NVRTC");
    C.count(NULL);
    CHECK_INT(yk_nvrtc_compile(&source, &b, &e), 0);
    CHECK(b.is_ptx);
    CHECK_HAS(b.image.ptr, ".visible .entry scale(");
    yk_binary_done(&b);
}
