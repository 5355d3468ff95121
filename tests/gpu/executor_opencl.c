/* executor_opencl.c - kernels as jobs on the executors `opencl` and `gpu:opencl`, over PoCL behind a library that makes its
 * calls fail, and that pretends a GPU whose memory the host cannot touch: every call fails once, memory runs out, memory of
 * the device goes where it cannot be reached. */
#include "gpu/kernel.h"
#include "opencl_run.h"
#include <errno.h>
#include <unistd.h>
#include <yoke.h>
#include <yoke/kernel.h>

YOKE_KERNEL(add_to, ((val, int32_t, a), (in, int32_t, x), (inout, int32_t, y)), y[i] += a * x[i];)
YOKE_REDUCTION(int64_t, dot, (0), a + b, (int64_t)x[i] * y[i], ((in, int32_t, x), (in, int32_t, y)));

enum { N = 5000, PIECE = 2048 };
static int32_t x[N], y[N];
static char text[600];

/* What has been compiled is kept: most of the time would go there. */
static char cache[] = "/tmp/yoke-executor-XXXXXX";

static void remove_cache(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", cache);
    CHECK_INT(system(command), 0);
}

/* Pieces of PIECE elements of two arrays, as in executor.c. */
static void cut_pieces_on(unsigned what)
{
    use_fake(what);
    CHECK(mkdtemp(cache));
    setenv("YOKE_CACHE", cache, 1);
    yk_piece_bytes = PIECE * 2 * sizeof(int32_t);
    yoke_device_count();
}

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
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = -i;
    }
    int err = end_of(yoke_launch(ex, add_to, N, 3, x, y));
    for (int i = 0; i < N && err == 0; i++)
        CHECK_INT(y[i], 2 * i);
    return err;
}

static int reduce_once(yoke_executor *ex)
{
    int64_t right = 0, sum = 0;
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i % 3;
        right += (int64_t)x[i] * y[i];
    }
    yoke_future *f = yoke_launch_reduction(ex, dot, N, x, y);
    snprintf(text, sizeof text, "no job");
    if (!f)
        return -ENOMEM;
    int err = yoke_wait(f);
    snprintf(text, sizeof text, "%s", err < 0 ? yoke_error(f) : "");
    if (err < 0)
        yoke_release(f);
    else
        sum = yoke_await(f, int64_t);
    CHECK_INT(sum, err < 0 ? 0 : right);
    return err;
}

/* A job, and how its errors begin. */
typedef struct job {
    int (*once)(yoke_executor *ex);
    const char *error;
} job;
static const job add_job = {add_once, "add_to: opencl:0: "}, reduce_job = {reduce_once, "dot: opencl:0: "};

static yoke_executor *open_good(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    CHECK_STR(yoke_executor_error(ex), "");
    return ex;
}

static void close_all(yoke_executor *ex)
{
    yoke_close(ex);
    CHECK_INT(fake.live(), 0);
}

/* ---- Every call fails ---- */

/* The k-th call of an executor's life fails with the code; whether there was a k-th. Its jobs may fail, and say where; a second
 * job does not, unless the device is lost. */
static bool try_call(const job *j, const char *uri, int k, int32_t code, int *errors)
{
    fake.fail(NULL, k, code);
    yoke_executor *ex = yoke_open(uri);
    if (yoke_executor_status(ex) == 0) {
        int err = j->once(ex);
        *errors += err < 0;
        if (err < 0)
            CHECK_HAS(text, j->error);
        /* What a driver calls invalid when it compiles stays refused. */
        if (err < 0 && err != -ENODEV && err != -EINVAL && fake.fail(NULL, 0, 0) >= k && j->once(ex) < 0)
            test_fail(__FILE__, __LINE__, "call %d, code %d: %s", k, code, text);
    } else {
        *errors += 1;
        CHECK_HAS(yoke_executor_error(ex), "opencl:0");
        CHECK(!strchr(yoke_executor_error(ex), '\n'));
    }
    yoke_close(ex);
    bool more = fake.fail(NULL, 0, 0) >= k;
    CHECK_INT(fake.live(), 0);
    return more;
}

static void every_call_fails(const job *j, unsigned what, const char *uri)
{
    static const int32_t codes[] = {-5, -6, -36, -9999, -14, -30, -12345, -4};
    cut_pieces_on(what);
    int k = 1, errors = 0;
    while (try_call(j, uri, k, codes[k % 8], &errors) && k < 400)
        k++;
    CHECK(k > 30 && k < 400);
    CHECK(errors > 15);
    remove_cache();
}

TEST(every_call_may_fail_on_a_cpu)
{
    every_call_fails(&add_job, 0, "opencl:0");
}

TEST(every_call_may_fail_on_a_gpu)
{
    every_call_fails(&add_job, FAKE_GPU | FAKE_STRANGER, "opencl:0");
}

TEST(every_call_may_fail_in_a_reduction)
{
    every_call_fails(&reduce_job, FAKE_GPU | FAKE_STRANGER, "opencl:0");
}

/* Where the device does not do, the CPU does: only what failed in the middle is an error. */
TEST(a_device_that_fails_is_not_all_there_is)
{
    cut_pieces_on(FAKE_GPU);
    yoke_executor *ex = open_good("gpu:opencl:0");
    fake.fail("BuildProgram", 1, -5);
    CHECK_INT(add_once(ex), 0);
    for (int i = 0; i < 10; i++)
        CHECK_INT(add_once(ex), 0);
    fake.fail(NULL, 0, 0);
    close_all(ex);
    remove_cache();
}

/* ---- Memory ---- */

static void without_memory(const job *j, const char *entry)
{
    bool through = false;
    for (int n = 1; !through; n++) {
        CHECK(n < 300);
        yoke_executor *ex = open_good("opencl:0");
        yk_sys_fail(entry, n, ENOMEM);
        int err = j->once(ex);
        through = yk_sys_fail(entry, 0, 0) < n;
        if (err < 0)
            CHECK_INT(err, -ENOMEM);
        if (err < 0 && !strstr(text, "memory") && !strstr(text, "no addresses for") && strcmp(text, "no job") != 0)
            test_fail(__FILE__, __LINE__, "%s %d: %s", entry, n, text);
        CHECK_INT(j->once(ex), 0);
        close_all(ex);
    }
}

TEST(no_memory_for_a_job)
{
    static const char *const entries[] = {"calloc", "malloc", "realloc", "posix_memalign"};
    cut_pieces_on(0);
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++)
        without_memory(&add_job, entries[i]);
    remove_cache();
}

TEST(no_memory_for_a_reduction)
{
    static const char *const entries[] = {"calloc", "malloc", "mmap"};
    cut_pieces_on(FAKE_GPU);
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++)
        without_memory(&reduce_job, entries[i]);
    remove_cache();
}

TEST(no_memory_for_a_job_on_a_gpu)
{
    static const char *const entries[] = {"calloc", "malloc", "mmap"};
    cut_pieces_on(FAKE_GPU);
    for (size_t i = 0; i < YK_COUNT_OF(entries); i++)
        without_memory(&add_job, entries[i]);
    remove_cache();
}

/* Which no other than its executor may touch: the process would die of it. */
TEST(memory_of_a_gpu_stays_there)
{
    static const char *const uris[] = {"inline", "threads:2", "processes:1", "gpu:cpu"};
    cut_pieces_on(FAKE_GPU);
    yoke_executor *owner = open_good("opencl:0");
    yoke_device *dev = yoke_executor_device(owner);
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *there = yoke_device_alloc(dev, sizeof x), two = 2;
    CHECK(s && there);
    CHECK_INT(yoke_stream_fill(s, there, &two, sizeof two, N), 0);
    CHECK_INT(yoke_stream_wait(s), 0);
    for (size_t u = 0; u < YK_COUNT_OF(uris); u++) {
        char expected[200];
        yoke_executor *ex = open_good(uris[u]);
        CHECK_INT(end_of(yoke_launch(ex, add_to, N, 3, there, y)), -EFAULT);
        snprintf(expected, sizeof expected, "add_to: array \"x\" is memory of ");
        CHECK_HAS(text, expected);
        snprintf(expected, sizeof expected, "which %s cannot reach", uris[u]);
        CHECK_HAS(text, expected);
        CHECK_INT(end_of(yoke_launch(ex, add_to, N, 3, x, there + 1)), -EFAULT);
        CHECK_HAS(text, "array \"y\" is memory of ");
        if (strcmp(uris[u], "processes:1") != 0)
            CHECK_INT(end_of(yoke_launch(ex, add_to, 0, 3, there, there)), 0); /* nobody touches it */
        CHECK_INT(add_once(ex), 0);
        yoke_close(ex);
    }
    memset(y, 0, sizeof y);
    CHECK_INT(end_of(yoke_launch(owner, add_to, N, 3, there, y)), 0);
    for (int i = 0; i < N; i++)
        CHECK_INT(y[i], 6);
    yoke_device_free(dev, there);
    CHECK_INT(yoke_stream_close(s), 0);
    close_all(owner);
    remove_cache();
}

/* As a task called by its arguments, without yoke_launch(). */
TEST(memory_of_a_gpu_in_a_view)
{
    cut_pieces_on(FAKE_GPU);
    yoke_device *dev = yoke_device_open("opencl:0");
    int32_t *there = yoke_device_alloc(dev, 400), two = 2;
    yoke_executor *ex = open_good("threads:1");
    struct {
        _Alignas(16) int32_t a;
        _Alignas(16) yoke_in_i32 x;
        _Alignas(16) yoke_inout_i32 y;
    } args = {two, yoke_1d(yoke_in_i32, there, 100), yoke_1d(yoke_inout_i32, y, 100)};
    CHECK_INT(end_of(yoke_raw_submit(ex, yoke_find("add_to"), &args, NULL)), -EFAULT);
    CHECK_HAS(text, "which threads:1 cannot reach");
    args.x = yoke_1d(yoke_in_i32, x, 100);
    CHECK_INT(end_of(yoke_raw_submit(ex, yoke_find("add_to"), &args, NULL)), 0);
    yoke_close(ex);
    yoke_device_free(dev, there);
    CHECK_INT(yoke_device_close(dev), 0);
    CHECK_INT(fake.live(), 0);
    remove_cache();
}
