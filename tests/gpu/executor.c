/* executor.c - kernels as jobs on the executors `cuda` and `gpu`, over the CUDA driver that is none: pieces through pinned
 * memory; every call of the driver fails once, the device is lost at every call, the host runs out of memory at every
 * call. A job then fails with a text that says what went wrong and where, nothing is left over, and the executor closes. */
#include "cuda_run.h"
#include "gpu/kernel.h"
#include <errno.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(add_to, ((val, int32_t, a), (in, int32_t, x), (inout, int32_t, y)), y[i] += a * x[i];)
/* Not cut. */
YOKE_KERNEL(turn_round, ((in, int32_t, x), (out, int32_t, y)), y[i] = x[n - 1 - i];)
/* No array has n elements. */
YOKE_KERNEL(set_some, ((val, int64_t, m), (out, int32_t, y, m)), y[i % m] = 7;)

enum { N = 5000, PIECE = 2048 };
static fake_cuda *the_fake;

/* Of the parameters: where to begin and end, n, and those that were named. Arrays begin with the piece's first element. */
static const size_t add_sizes[] = {8, 8, 8, 4, 8, 8, 0}, turn_sizes[] = {8, 8, 8, 8, 8, 0};
static const size_t set_sizes[] = {8, 8, 8, 8, 8, 0};

static void add_them(const fake_launch *l)
{
    long n = *(long *)l->args[1] - *(long *)l->args[0];
    int32_t a = *(int32_t *)l->args[3];
    const int32_t *x = *(const int32_t **)l->args[4];
    int32_t *y = *(int32_t **)l->args[5];
    for (long i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void turn_them(const fake_launch *l)
{
    long n = *(long *)l->args[2];
    const int32_t *x = *(const int32_t **)l->args[3];
    int32_t *y = *(int32_t **)l->args[4];
    for (long i = 0; i < n; i++)
        y[i] = x[n - 1 - i];
}

static void die(const fake_launch *l)
{
    (void)l;
    the_fake->fault(700);
}

/* Pieces of PIECE elements of two arrays. */
static fake_cuda *use_it(void)
{
    the_fake = fake_use("fake-cuda");
    add_kernels(the_fake);
    the_fake->kernel("kernel_add_to", add_them, add_sizes);
    the_fake->kernel("kernel_turn_round", turn_them, turn_sizes);
    the_fake->kernel("kernel_set_some", turn_them, set_sizes);
    yk_piece_bytes = PIECE * 2 * sizeof(int32_t);
    CHECK_STR(yoke_driver_error("cuda"), "");
    return the_fake;
}

/* ---- One job ---- */

static int32_t x[N], y[N];

static void set_arrays(void)
{
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = -i;
    }
}

static void check_added(const int32_t *at, int32_t times)
{
    for (int i = 0; i < N; i++)
        if (at[i] != times * 3 * i - i)
            test_fail(__FILE__, __LINE__, "element %d is %d", i, at[i]);
}

/* The code with which a job ends, its text in text[]; a launch that gave no job: -ENOMEM. */
static char text[600];
static int end_of(yoke_future *f)
{
    snprintf(text, sizeof text, "no job");
    if (!f)
        return -ENOMEM;
    int err = yoke_wait(f);
    snprintf(text, sizeof text, "%s", err < 0 ? yoke_error(f) : "");
    yoke_release(f);
    return err;
}

static int add_once(yoke_executor *ex)
{
    return end_of(yoke_launch(ex, add_to, N, 3, x, y));
}

static void check_good(int err)
{
    if (err < 0)
        test_fail(__FILE__, __LINE__, "%d: %s", err, text);
}

static yoke_executor *open_good(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    CHECK_STR(yoke_executor_error(ex), "");
    CHECK_INT(yoke_executor_status(ex), 0);
    return ex;
}

TEST(arrays_go_through_in_pieces)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    set_arrays();
    check_good(add_once(ex));
    check_added(y, 1);
    CHECK(f->calls("cuLaunchKernel") > 2);
    for (int32_t round = 2; round < 10; round++) {
        check_good(add_once(ex));
        check_added(y, round);
    }
    unsigned pinned = f->calls("cuMemHostAlloc"), blocks = f->calls("cuMemAlloc");
    check_good(add_once(ex));
    CHECK_INT(f->calls("cuMemHostAlloc"), pinned); /* what was borrowed is had again */
    CHECK_INT(f->calls("cuMemAlloc"), blocks);
    yoke_close(ex);
    check_nothing_left(f);
}

/* Where the pieces began; streams run at once, so that they are in no order. */
static long begins[100];
static atomic_int pieces;

static void add_and_tell(const fake_launch *l)
{
    add_them(l);
    begins[atomic_fetch_add(&pieces, 1) % 100] = *(long *)l->args[0];
}

static int compare_longs(const void *a, const void *b)
{
    return *(const long *)a < *(const long *)b ? -1 : *(const long *)a > *(const long *)b;
}

/* While the first goes up nothing comes down, and the other way round. */
TEST(the_first_and_the_last_pieces_are_short)
{
    enum { LONG = 100000 };
    fake_cuda *f = use_it();
    f->kernel("kernel_add_to", add_and_tell, add_sizes);
    yk_piece_bytes = 8192 * 2 * sizeof(int32_t);
    int32_t *from = calloc(LONG, sizeof *from), *to = calloc(LONG, sizeof *to);
    from[LONG - 1] = 7;
    yoke_executor *ex = open_good("cuda");
    check_good(end_of(yoke_launch(ex, add_to, LONG, 3, from, to)));
    CHECK_INT(to[LONG - 1], 21);
    CHECK(pieces > 10 && pieces < 99);
    qsort(begins, (size_t)pieces, sizeof *begins, compare_longs);
    begins[pieces] = LONG;
    CHECK_INT(begins[0], 0);
    CHECK_INT(begins[1], 2048);
    CHECK_INT(begins[2], 2048 + 4096);
    for (int i = 2; i + 4 < pieces; i++)
        CHECK_INT(begins[i + 1] - begins[i], 8192);
    CHECK(begins[pieces] - begins[pieces - 1] <= 4096);
    CHECK(begins[pieces] - begins[pieces - 2] <= 8192);
    yoke_close(ex);
    check_nothing_left(f);
    free(from);
    free(to);
}

TEST(pinned_arrays_are_not_staged)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    int32_t *px = yoke_pinned_alloc(dev, sizeof x), *py = yoke_pinned_alloc(dev, sizeof y);
    set_arrays();
    memcpy(px, x, sizeof x);
    memcpy(py, y, sizeof y);
    CHECK_INT(f->calls("cuMemHostAlloc"), 2);
    check_good(end_of(yoke_launch(ex, add_to, N, 3, px, py)));
    check_added(py, 1);
    CHECK_INT(f->calls("cuMemHostAlloc"), 2);
    check_good(end_of(yoke_launch(ex, add_to, N, 3, x, py))); /* one of each */
    check_added(py, 2);
    CHECK(f->calls("cuMemHostAlloc") > 2);
    yoke_pinned_free(dev, px);
    yoke_close(ex); /* py goes with the device */
    check_nothing_left(f);
}

TEST(what_is_not_cut_is_not_staged_when_it_is_long)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    set_arrays();
    check_good(end_of(yoke_launch(ex, turn_round, N, x, y)));
    for (int i = 0; i < N; i++)
        CHECK_INT(y[i], N - 1 - i);
    CHECK(f->calls("cuLaunchKernel") == 1);
    yk_piece_bytes = 1000;
    unsigned pinned = f->calls("cuMemHostAlloc");
    set_arrays();
    check_good(end_of(yoke_launch(ex, turn_round, N, x, y)));
    CHECK_INT(y[0], N - 1);
    CHECK_INT(f->calls("cuMemHostAlloc"), pinned);
    yoke_close(ex);
    check_nothing_left(f);
}

TEST(half_of_it_is_on_the_device)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *dx = yoke_device_alloc(dev, sizeof x), *dy = yoke_device_alloc(dev, sizeof y);
    set_arrays();
    CHECK_INT(yoke_stream_copy(s, dx, x, sizeof x), 0);
    CHECK_INT(yoke_stream_copy(s, dy, y, sizeof y), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    check_good(end_of(yoke_launch(ex, add_to, N, 3, dx, y)));
    check_added(y, 1);
    check_good(end_of(yoke_launch(ex, add_to, N, 3, x, dy)));
    check_good(end_of(yoke_launch(ex, add_to, N, 3, dx, dy)));
    CHECK_INT(yoke_stream_copy(s, y, dy, sizeof y), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    check_added(y, 2);
    yoke_close(ex); /* with a stream and memory that nobody gave back */
    check_nothing_left(f);
}

/* A device of the test's own beside that of the executor. */
TEST(memory_of_another_device_is_named)
{
    fake_use("fake-cuda")->devices = 2;
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda:0");
    yoke_device *other = yoke_device_open("cuda:1");
    int32_t *there = yoke_device_alloc(other, sizeof x);
    set_arrays();
    CHECK_INT(end_of(yoke_launch(ex, add_to, N, 3, there, y)), -EFAULT);
    CHECK_STR(text, "add_to: array \"x\" is memory of cuda:1, which cuda:0 cannot reach");
    CHECK_INT(end_of(yoke_launch(ex, add_to, N, 3, x, there)), -EFAULT);
    CHECK_HAS(text, "array \"y\" is memory of cuda:1");
    check_good(add_once(ex));
    check_added(y, 1);
    yoke_device_free(other, there);
    CHECK_INT(yoke_device_close(other), 0);
    yoke_close(ex);
    check_nothing_left(f);
}

/* ---- The driver fails ---- */

/* Calls whose failure costs nothing but a number or a wait, or is told by the next call. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {"cuCtxGetCurrent", "cuFuncGetAttribute", "nvrtcGetProgramLogSize",
                                        "nvrtcGetProgramLog", "nvrtcDestroyProgram", "cuStreamQuery", "cuMemGetInfo"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* An error of a job or of an executor names the device and the call that failed. */
static void check_named(const char *what, const char *name)
{
    CHECK(strstr(what, "cuda: ") || strstr(what, "cuda:0: "));
    if (!is_harmless(name))
        CHECK_HAS(what, name);
}

/* The k-th call fails, from the opening on. false: there are not so many. */
static bool try_call(fake_cuda *f, const char *uri, int k, int result)
{
    char name[64] = "";
    f->fail(NULL, k, result);
    yoke_executor *ex = yoke_open(uri);
    set_arrays();
    if (yoke_executor_status(ex) < 0) {
        snprintf(name, sizeof name, "%s", f->failed());
        CHECK(*name);
        check_named(yoke_executor_error(ex), name);
    }
    for (int32_t round = 0; round < 2 && yoke_executor_status(ex) == 0; round++) {
        int err = add_once(ex);
        snprintf(name, sizeof name, "%s", f->failed());
        if (err == 0) {
            check_added(y, 1);
        } else {
            CHECK(*name);
            if (round == 0)
                check_named(text, name);
            CHECK_HAS(text, "cuda:0: ");
        }
        set_arrays();
    }
    yoke_close(ex);
    check_nothing_left(f);
    return *f->failed();
}

TEST(every_call_may_fail)
{
    fake_cuda *f = use_it();
    int k = 1;
    while (try_call(f, "cuda", k, 999))
        k++;
    CHECK(k > 60);
}

TEST(memory_of_the_device_may_run_out_at_every_call)
{
    fake_cuda *f = use_it();
    for (int k = 1; try_call(f, "cuda", k, 2); k++)
        ;
}

TEST(the_device_may_be_lost_at_every_call)
{
    fake_cuda *f = use_it();
    for (int k = 1; try_call(f, "cuda", k, 700); k++)
        ;
}

/* Those of one name, one after another, while many jobs are on their way: each ends, rightly or with the reason. */
static void try_many(fake_cuda *f, const char *uri, const char *function, int k, int result)
{
    enum { JOBS = 6 };
    static int32_t many[JOBS][N];
    yoke_future *jobs[JOBS];
    int bad = 0;
    f->fail(NULL, 0, 0);
    yoke_executor *ex = open_good(uri);
    set_arrays();
    check_good(add_once(ex));
    f->fail(function, k, result);
    for (int j = 0; j < JOBS; j++) {
        for (int i = 0; i < N; i++)
            many[j][i] = -i;
        jobs[j] = yoke_launch(ex, add_to, N, 3, x, many[j]);
    }
    for (int j = 0; j < JOBS; j++) {
        int err = end_of(jobs[j]);
        bad += err < 0;
        if (err < 0)
            CHECK_HAS(text, "cuda:0: ");
        else
            check_added(many[j], 1);
    }
    CHECK(bad == 0 || *f->failed());
    if (strcmp(uri, "cuda") == 0 && result != 700)
        CHECK(bad <= 1); /* the others have nothing to do with it */
    yoke_close(ex);
    check_nothing_left(f);
}

TEST(one_of_many_jobs_fails_alone)
{
    static const char *const names[] = {"cuLaunchKernel", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuEventRecord",
                                        "cuStreamCreate", "cuEventSynchronize", "cuStreamSynchronize", "cuEventCreate"};
    fake_cuda *f = use_it();
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        for (int k = 1; k < 20; k += 6) {
            try_many(f, "cuda", names[i], k, 999);
            try_many(f, "cuda", names[i], k, 700);
            try_many(f, "gpu", names[i], k, 999);
        }
}

/* A job that failed waits for its streams, which copy to and from its pinned memory: until then nobody else has that. */
TEST(pinned_memory_is_kept_while_streams_use_it)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    yk_error e = {0};
    void *mine[20];
    set_arrays();
    check_good(add_once(ex));
    f->fail("cuEventRecord", 1, 999);
    f->hold(true);
    yoke_future *job = yoke_launch(ex, add_to, N, 3, x, y);
    while (f->calls("cuEventRecord") == 0)
        usleep(1000);
    for (unsigned i = 0; i < YK_COUNT_OF(mine); i++) {
        mine[i] = yk_pinned_borrow(dev, PIECE * sizeof *x, &e);
        CHECK(mine[i]);
        usleep(1000);
    }
    for (unsigned i = 0; i < YK_COUNT_OF(mine); i++)
        memset(mine[i], 0x5a, PIECE * sizeof *x);
    f->hold(false);
    CHECK_INT(end_of(job), -EIO);
    CHECK_HAS(text, "cuEventRecord");
    for (unsigned i = 0; i < YK_COUNT_OF(mine); i++) {
        const unsigned char *bytes = mine[i];
        for (size_t b = 0; b < PIECE * sizeof *x; b++)
            if (bytes[b] != 0x5a)
                test_fail(__FILE__, __LINE__, "byte %zu of block %u was written by another", b, i);
        yk_pinned_return(dev, mine[i]);
    }
    set_arrays();
    check_good(add_once(ex));
    check_added(y, 1);
    yoke_close(ex);
    check_nothing_left(f);
}

/* ---- A lost device ---- */

TEST(jobs_after_a_loss_say_that_it_is_lost)
{
    fake_cuda *f = use_it();
    f->kernel("kernel_add_to", die, add_sizes);
    yoke_executor *ex = open_good("cuda");
    set_arrays();
    CHECK_INT(add_once(ex), -ENODEV);
    CHECK_HAS(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK_HAS(text, "add_to");
    for (int i = 0; i < 3; i++) {
        CHECK_INT(add_once(ex), -ENODEV);
        CHECK_HAS(text, "cuda:0: ");
        CHECK_HAS(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
        CHECK_INT(end_of(yoke_launch(ex, turn_round, N, x, y)), -ENODEV);
    }
    CHECK_INT(end_of(yoke_launch(ex, add_to, 0, 3, x, y)), 0); /* nothing to do */
    yoke_close(ex);
    check_nothing_left(f);
}

/* Where the CPU can do it, it does. */
TEST(without_its_device_gpu_goes_on_with_the_cpu)
{
    fake_cuda *f = use_it();
    f->kernel("kernel_add_to", die, add_sizes);
    yoke_executor *ex = open_good("gpu");
    int lost = 0;
    for (int i = 0; i < 20; i++) {
        set_arrays();
        int err = add_once(ex);
        CHECK(err == 0 || (err == -ENODEV && lost == 0));
        lost += err < 0;
        if (err == 0)
            check_added(y, 1);
    }
    CHECK_INT(lost, 1);
    CHECK_INT(yoke_device_status(yoke_executor_device(ex)), -ENODEV);
    yoke_close(ex);
    check_nothing_left(f);
}

/* A device that has no stream left, or no memory, costs no job; one that fails in the middle does, but is soon left alone. */
TEST(gpu_does_not_take_failing_for_being_quick)
{
    enum { JOBS = 100 };
    static const char *const calls[] = {"cuStreamCreate", "cuEventCreate", "cuLaunchKernel"};
    fake_cuda *f = use_it();
    for (size_t c = 0; c < YK_COUNT_OF(calls); c++) {
        yoke_executor *ex = open_good("gpu");
        int bad = 0, tried = 0;
        for (int j = 0; j < JOBS; j++) {
            f->fail(calls[c], 1, 999);
            set_arrays();
            int err = add_once(ex);
            bad += err < 0;
            tried += *f->failed() != '\0';
            if (err == 0)
                check_added(y, 1);
        }
        f->fail(NULL, 0, 0);
        if (c < 2)
            CHECK_INT(bad, 0);
        CHECK(bad <= tried && tried < JOBS * 3 / 4);
        yoke_close(ex);
        check_nothing_left(f);
    }
}

/* ---- The host has no memory ---- */

static void try_without(fake_cuda *f, const char *entry, const char *uri)
{
    bool through = false;
    for (int n = 1; !through; n++) {
        CHECK(n < 400);
        yoke_executor *ex = open_good(uri);
        set_arrays();
        yk_sys_fail(entry, n, ENOMEM);
        int err = add_once(ex);
        through = yk_sys_fail(entry, 0, 0) < n;
        if (err < 0) {
            CHECK_INT(err, -ENOMEM);
            if (!strstr(text, "memory") && strcmp(text, "no job") != 0)
                test_fail(__FILE__, __LINE__, "%s %d: %s", entry, n, text);
        } else {
            check_added(y, 1);
        }
        set_arrays();
        check_good(add_once(ex)); /* the next has all it needs */
        check_added(y, 1);
        yoke_close(ex);
        check_nothing_left(f);
    }
}

TEST(no_memory_for_a_job)
{
    fake_cuda *f = use_it();
    static const char *const entries[] = {"calloc", "malloc", "posix_memalign", "realloc"};
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++)
        if (yk_sys_fail(entries[i], 0, 0) >= 0)
            try_without(f, entries[i], "cuda");
}

TEST(no_memory_for_the_executor)
{
    fake_cuda *f = use_it();
    static const char *const uris[] = {"cuda", "gpu", "gpu:cuda:0"};
    for (size_t i = 0; i < YK_COUNT_OF(uris); i++) {
        bool through = false;
        for (int n = 1; !through; n++) {
            CHECK(n < 400);
            yk_sys_fail("calloc", n, ENOMEM);
            yoke_executor *ex = yoke_open(uris[i]);
            through = yk_sys_fail("calloc", 0, 0) < n;
            if (yoke_executor_status(ex) < 0)
                CHECK_INT(yoke_executor_status(ex), -ENOMEM);
            else
                CHECK(i == 1 || yoke_executor_device(ex)); /* `gpu` may do without */
            yoke_close(ex);
            check_nothing_left(f);
        }
    }
}

/* ---- Names ---- */

TEST(executors_that_are_none_say_why)
{
    static const struct {
        const char *uri, *why;
    } cases[] = {{"cuda:7", "no device is called \"7\"; there is 1"},
                 {"cuda:nothing", "no device is called \"nothing\"; there is 1"},
                 {"gpu:cuda:7", "no device is called \"7\""},
                 {"gpu:nothing", "no kind of device is named \"nothing\""},
                 {"gpu:cdua", "did you mean \"cuda\""}};
    fake_cuda *f = use_it();
    for (size_t i = 0; i < YK_COUNT_OF(cases); i++) {
        yoke_executor *ex = yoke_open(cases[i].uri);
        CHECK_INT(yoke_executor_status(ex), -ENOENT);
        CHECK_HAS(yoke_executor_error(ex), cases[i].why);
        CHECK(yoke_executor_device(ex) == NULL);
        CHECK(end_of(yoke_launch(ex, add_to, N, 3, x, y)) < 0);
        yoke_close(ex);
    }
    char uri[400] = "cuda:";
    memset(uri + 5, 'x', sizeof uri - 6);
    yoke_executor *ex = yoke_open(uri);
    CHECK(yoke_executor_status(ex) < 0);
    yoke_close(ex);
    check_nothing_left(f);
    CHECK(yoke_executor_device(NULL) == NULL);
    CHECK(yoke_current_device() == NULL);
}

/* UndefinedBehaviorSanitizer sees it when a sum of such goes wrong. */
TEST(n_may_be_any_long)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    for (long n = LONG_MAX; n >= (long)1 << 42; n /= 2) {
        int err = end_of(yoke_launch(ex, set_some, (size_t)n, 10, y));
        CHECK_INT(err, -E2BIG);
        CHECK_HAS(text, "are more than one launch can have");
    }
    yoke_close(ex);
    check_nothing_left(f);
}

/* ---- Whose error it is ---- */

/* An array of so many elements that no device has: refused before anything is touched. */
static yoke_future *ask_for_too_much(yoke_executor *ex, size_t n)
{
    return yoke_launch(ex, turn_round, n, x, y);
}

static atomic_bool over;

static void *fail_once(void *dev)
{
    CHECK(yoke_device_alloc(dev, SIZE_MAX / 4) == NULL);
    return NULL;
}

/* All the time, on the same device. */
static void *fail_otherwise(void *dev)
{
    while (!atomic_load(&over))
        fail_once(dev);
    return NULL;
}

TEST(a_job_tells_its_own_error_whatever_fails_beside_it)
{
    enum { JOBS = 300 };
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, fail_otherwise, dev), 0);
    for (size_t j = 0; j < JOBS; j++) {
        size_t n = ((size_t)1 << 46) + j;
        char wanted[100];
        snprintf(wanted, sizeof wanted, "cuda:0: %zu bytes are more than any device has", n * sizeof *x);
        CHECK_INT(end_of(ask_for_too_much(ex, n)), -ENOMEM);
        CHECK_HAS(text, wanted);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    yoke_close(ex);
    check_nothing_left(f);
}

/* What a stream keeps is its own user's, too. */
TEST(so_does_a_stream)
{
    fake_cuda *f = use_it();
    yoke_device *dev = yoke_device_open("cuda");
    yoke_stream *s = yoke_stream_open(dev);
    for (size_t r = 0; r < 20; r++) {
        char wanted[100];
        pthread_t thread;
        snprintf(wanted, sizeof wanted, "%zu bytes are more than any device has", ((size_t)1 << 48) + r);
        CHECK(yoke_stream_alloc(s, ((size_t)1 << 48) + r) == NULL);
        CHECK_INT(pthread_create(&thread, NULL, fail_once, dev), 0);
        pthread_join(thread, NULL);
        CHECK_INT(yk_stream_keep(s, -ENOMEM), -ENOMEM);
        CHECK_STR(s->refused.text, wanted);
        CHECK_INT(yoke_stream_wait(s), -ENOMEM);
        CHECK_STR(yoke_device_error(dev), wanted);
    }
    yoke_device_close(dev);
    check_nothing_left(f);
}

/* Who frees memory in no stream's order asks all streams whether they are idle, and the driver tells him, once. */
TEST(an_error_that_somebody_else_was_told_fails_the_job)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    set_arrays();
    check_good(add_once(ex));
    void *p = yoke_device_alloc(dev, 100);
    f->hold(true);
    f->fail("cuStreamQuery", 0, 0);
    yoke_future *job = yoke_launch(ex, add_to, PIECE, 3, x, y);
    while (f->calls("cuStreamQuery") + f->calls("cuEventQuery") < 1) /* the job waits for its piece */
        usleep(1000);
    f->fail("cuStreamQuery", 1, 1);
    yoke_device_free(dev, p);
    CHECK_STR(f->failed(), "cuStreamQuery");
    f->hold(false);
    CHECK(end_of(job) < 0);
    CHECK_HAS(text, "cuStreamQuery");
    check_good(add_once(ex));
    yoke_close(ex);
    check_nothing_left(f);
}

/* ---- Cancelled in the middle ---- */

/* The kernel as a task within a job that has failed by then: it does nothing, in no time. */
YOKE_TASK(void, run_in_vain, (int, unused))
{
    struct {
        _Alignas(16) int32_t a;
        _Alignas(16) yoke_in_i32 x;
        _Alignas(16) yoke_inout_i32 y;
    } args = {3, yoke_1d(yoke_in_i32, x, N), yoke_1d(yoke_inout_i32, y, N)};
    yoke_fail(-EIO, "in vain");
    yoke_kernel_add_to.task->call(&args, NULL);
}

TEST(what_was_cut_tells_nothing_of_costs)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("gpu");
    f->fail(NULL, 0, 0);
    for (int i = 0; i < 20; i++)
        CHECK_INT(end_of(yoke_submit(ex, run_in_vain, 0)), -EIO);
    CHECK_INT(f->calls("cuStreamCreate"), 0); /* still nothing is known of the CPU, which is asked first */
    set_arrays();
    for (int i = 1; i <= 4; i++)
        check_good(add_once(ex));
    check_added(y, 4);
    CHECK(f->calls("cuStreamCreate") > 0);
    yoke_close(ex);
    check_nothing_left(f);
}

TEST(a_job_that_is_cancelled_leaves_nothing)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yk_piece_bytes = 100;
    for (int i = 0; i < 20; i++) {
        set_arrays();
        f->slow(100000);
        yoke_future *job = yoke_launch(ex, add_to, N, 3, x, y);
        double part, whole;
        for (int turn = 0; turn < 100 * i; turn++)
            yoke_future_progress(job, &part, &whole);
        yoke_cancel(job);
        int err = end_of(job);
        CHECK(err == 0 || err == -ECANCELED);
        if (err == 0)
            check_added(y, 1); /* all of it */
        f->slow(0);
    }
    set_arrays();
    check_good(add_once(ex));
    check_added(y, 1);
    yoke_close(ex);
    check_nothing_left(f);
}

/* Pinned arrays are not copied by loops, which would see by themselves that the job is to stop. */
TEST(what_is_cancelled_halfway_has_no_result)
{
    fake_cuda *f = use_it();
    yoke_executor *ex = open_good("cuda");
    yoke_device *dev = yoke_executor_device(ex);
    int32_t *px = yoke_pinned_alloc(dev, sizeof x), *py = yoke_pinned_alloc(dev, sizeof y);
    yk_piece_bytes /= 2; /* more pieces than lanes: the fourth waits for the first */
    memset(px, 0, sizeof x);
    memset(py, 0, sizeof y);
    f->hold(true);
    yoke_future *job = yoke_launch(ex, add_to, N, 3, px, py);
    while (f->calls("cuLaunchKernel") < 3)
        usleep(1000);
    CHECK_INT(yoke_cancel(job), -EINPROGRESS);
    f->hold(false);
    CHECK_INT(end_of(job), -ECANCELED);
    check_good(end_of(yoke_launch(ex, add_to, N, 3, px, py)));
    yoke_close(ex);
    check_nothing_left(f);
}
