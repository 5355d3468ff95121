/* cuda_fail.c - every call of the CUDA driver and of its compiler fails once, in every way: there is an error that
 * names it, and nothing is left over; what a lost device does; want of memory of the host. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include <errno.h>

#define C yk_gpu_cuda

/* Calls whose failure costs nothing but a number or a wait: all others must be errors. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {"cuCtxGetCurrent", "cuFuncGetAttribute", "nvrtcGetProgramLogSize",
                                        "nvrtcGetProgramLog", "nvrtcDestroyProgram"};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A run in which the k-th call (of `function`, NULL: of any) fails. False when there are not that many. */
static bool try_call(fake_cuda *f, const char *function, int k, int result)
{
    run r;
    run_init(&r);
    C.describe(0, &r.d.info);
    f->fail(function, k, result);
    int err = run_through(&r);
    char name[64];
    snprintf(name, sizeof name, "%s", f->failed());
    if (err < 0) {
        CHECK(*name);
        CHECK_HAS(r.e.text, "cuda: ");
        if (!is_harmless(name)) /* else the next call finds the device lost */
            CHECK_HAS(r.e.text, name);
        CHECK_INT(r.e.code, err);
    }
    run_close(&r);
    check_nothing_left(f);
    if (*f->failed() && !*name)
        return true; /* it was one of those at the end, of which nobody hears */
    return *name;
}

static fake_cuda *prepare(void)
{
    fake_cuda *f = fake_use("fake-cuda");
    run r;
    add_kernels(f);
    run_init(&r);
    CHECK_INT(C.count(&r.e), 1);
    CHECK_INT(run_through(&r), 0); /* NVRTC is opened once, too */
    run_close(&r);
    return f;
}

TEST(every_call_may_fail)
{
    static const int results[] = {1, 2, 200, 201, 209, 218, 222, 400, 701, 801, 999};
    fake_cuda *f = prepare();
    unsigned most = 0;
    for (size_t i = 0; i < YK_COUNT_OF(results); i++) {
        int k = 1;
        while (try_call(f, NULL, k, results[i]))
            k++;
        most = YK_MAX(most, (unsigned)k);
    }
    CHECK(most > 90);
}

TEST(every_call_may_lose_the_device)
{
    static const int results[] = {214, 220, 700, 702, 709, 710, 714, 719, 721};
    fake_cuda *f = prepare();
    for (size_t i = 0; i < YK_COUNT_OF(results); i++)
        for (int k = 1; try_call(f, NULL, k, results[i]); k++)
            ;
}

/* That a failure is noticed at all. */
TEST(no_failure_is_lost)
{
    fake_cuda *f = prepare();
    for (int k = 1;; k++) {
        run r;
        run_init(&r);
        C.describe(0, &r.d.info);
        f->fail(NULL, k, 2);
        int err = run_through(&r);
        bool reached = *f->failed();
        if (reached && !is_harmless(f->failed()) && err == 0)
            test_fail(__FILE__, __LINE__, "%s failed, and nobody said so", f->failed());
        if (err < 0)
            CHECK_INT(err, strncmp(f->failed(), "nvrtc", 5) == 0 ? -EIO : -ENOMEM); /* 2 of NVRTC is another error */
        run_close(&r);
        check_nothing_left(f);
        if (!reached)
            break;
    }
}

static void check_code(fake_cuda *f, int result, int code)
{
    run r;
    run_init(&r);
    f->fail("cuMemAlloc", 1, result);
    int err = run_open(&r);
    if (err != code)
        test_fail(__FILE__, __LINE__, "%d became %d", result, err);
    run_close(&r);
    check_nothing_left(f);
}

TEST(results_have_their_codes)
{
    fake_cuda *f = prepare();
    check_code(f, 1, -EINVAL);
    check_code(f, 2, -ENOMEM);
    check_code(f, 3, -ENODEV);
    check_code(f, 4, -ENODEV);
    check_code(f, 46, -ENODEV);
    check_code(f, 201, -ENODEV);
    check_code(f, 209, -ENOEXEC);
    check_code(f, 214, -ENODEV);
    check_code(f, 226, -ENODEV);
    check_code(f, 304, -EIO);
    check_code(f, 400, -EINVAL);
    check_code(f, 500, -ENOENT);
    check_code(f, 700, -ENODEV);
    check_code(f, 701, -EINVAL);
    check_code(f, 702, -ENODEV);
    check_code(f, 713, -EIO);
    check_code(f, 714, -ENODEV);
    check_code(f, 719, -ENODEV);
    check_code(f, 720, -EINVAL);
    check_code(f, 800, -EPERM);
    check_code(f, 801, -ENOTSUP);
    check_code(f, 802, -ENODEV);
    check_code(f, 804, -ENODEV);
    check_code(f, 805, -EIO);
    check_code(f, 999, -EIO);
}

TEST(want_of_memory_names_the_bytes)
{
    fake_cuda *f = prepare();
    run r;
    run_init(&r);
    r.a.size = (size_t)2 << 30;
    CHECK_INT(run_open(&r), -ENOMEM);
    CHECK_STR(r.e.text,
              "cuda: taking 2147483648 bytes of the device: cuMemAlloc: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)");
    CHECK(r.a.base == NULL);
    run_close(&r);
    check_nothing_left(f);
}

TEST(the_host_may_run_out_of_memory)
{
    static const char *const calls[] = {"malloc", "calloc", "realloc"};
    fake_cuda *f = prepare();
    for (size_t i = 0; i < YK_COUNT_OF(calls); i++)
        for (int n = 1;; n++) {
            run r;
            run_init(&r);
            yk_sys_fail(calls[i], n, ENOMEM);
            int err = run_through(&r);
            int count = yk_sys_fail(calls[i], 0, 0);
            bool reached = count >= n;
            if (err < 0)
                CHECK_INT(err, -ENOMEM);
            run_close(&r);
            check_nothing_left(f);
            if (!reached) {
                CHECK_INT(err, 0);
                break;
            }
        }
}

/* ---- A device that is lost while it works ---- */

static fake_cuda *the_fake;

static void die(const fake_launch *l)
{
    (void)l;
    the_fake->fault(700);
}

TEST(a_kernel_that_dies_loses_the_device)
{
    the_fake = prepare();
    the_fake->kernel("die", die, (size_t[]){0});
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    CHECK_INT(run_work(&r), 0);
    yk_image *image;
    yk_function f;
    CHECK_INT(C.build(&r.d, "void die(void) {}", "", "die.c", &image, &r.log, &r.e), 0);
    CHECK_INT(C.function(image, "die", &f, &r.e), 0);
    CHECK_INT(C.launch(&r.s, &f, &(yk_shape){{1, 1, 1}, {1, 1, 1}, 0}, NULL, 0, &r.e), 0); /* it is found later */
    CHECK_INT(C.stream_wait(&r.s, &r.e), -ENODEV);
    CHECK_HAS(r.e.text, "waiting for a stream: ");
    CHECK_HAS(r.e.text, "(CUDA_ERROR_ILLEGAL_ADDRESS, 700)");
    CHECK_INT(C.stream_try(&r.s, &r.e), -ENODEV);
    CHECK_INT(C.event_wait(&r.w, &r.e), -ENODEV);
    CHECK_INT(C.copy(&r.s, r.a.base, &r.a, r.pinned, NULL, 64, &r.e), -ENODEV);
    CHECK_INT(C.take(&r.d, &(yk_span){.size = 64}, &r.e), -ENODEV);
    CHECK_INT(launch_scale(&r, NULL, 1, 0, 0, 0), -ENODEV);
    CHECK_HAS(r.e.text, "launching scale (1x1x1 groups of 256x1x1, 0 bytes of group memory)");
    C.unload(&r.d, image);
    run_close(&r);
    check_nothing_left(the_fake);
    run_init(&r); /* closed and opened again it is another */
    CHECK_INT(run_through(&r), 0);
    run_close(&r);
    check_nothing_left(the_fake);
}

TEST(a_launch_that_asks_too_much_says_for_what)
{
    fake_cuda *f = prepare();
    run r;
    run_init(&r);
    CHECK_INT(run_open(&r), 0);
    CHECK_INT(run_work(&r), 0);
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 10, 1, 1, 300000), -EINVAL);
    CHECK_HAS(r.e.text, "launching scale (1x1x1 groups of 256x1x1, 300000 bytes of group memory): cuFuncSetAttribute: ");
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 10, 1, 1, (size_t)5 << 30), -EINVAL);
    yk_shape shape = {{1, 1, 1}, {2048, 1, 1}, 0};
    CHECK_INT(C.launch(&r.s, &r.scale, &shape, NULL, 0, &r.e), -EINVAL);
    CHECK_HAS(r.e.text, "launching scale (1x1x1 groups of 2048x1x1, 0 bytes of group memory): cuLaunchKernel: ");
    CHECK_INT(C.launch(&r.s, &r.scale, &shape, NULL, 257, &r.e), -E2BIG);
    CHECK_STR(r.e.text, "cuda: launching scale with 257 arguments: at most 256");
    CHECK_INT(yk_cuda.cuCtxSetCurrent(NULL), 0);
    f->fail("cuCtxSetCurrent", 1, 201);
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 10, 1, 1, 0), -ENODEV);
    CHECK_HAS(r.e.text, "launching scale (1x1x1 groups of 256x1x1, 0 bytes of group memory): cuCtxSetCurrent: ");
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 10, 1, 1, 0), 0);
    run_close(&r);
    check_nothing_left(f);
}
