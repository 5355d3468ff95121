/* cuda_real.c - the CUDA table on a real device: that the driver does what its double in these tests does. Skipped where
 * there is no device, but not where there is one that does not work. */
#include "cuda_run.h"
#include "gpu/cuda.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define C yk_gpu_cuda

static void need_device(void)
{
    yk_error e = {0};
    if (C.count(&e) < 0) {
        if (access("/dev/nvidiactl", F_OK) == 0)
            test_fail(__FILE__, __LINE__, "%s", e.text);
        SKIP("no GPU: %s", e.text);
    }
}

static void open_real(run *r)
{
    need_device();
    run_init(r);
    if (run_open(r) < 0)
        test_fail(__FILE__, __LINE__, "%s", r->e.text);
}

#define OK(call)                                                                                                         \
    do {                                                                                                                 \
        if ((call) < 0)                                                                                                  \
            test_fail(__FILE__, __LINE__, "%s", r.e.text);                                                               \
    } while (0)

TEST(a_device_is_described)
{
    yoke_device_info about;
    need_device();
    C.describe(0, &about);
    printf(
        "# %s, %s, %s, node %d: capability %u, %u units, %.1f GiB, %.0f GB/s, L2 %zu MiB, group memory %zu to %zu KiB\n",
        about.name, about.version, about.pci, about.numa, about.capability, about.units, (double)about.memory / (1 << 30),
        about.bandwidth / 1e9, about.cache >> 20, about.local >> 10, about.local_most >> 10);
    CHECK(*about.name && about.memory > 0 && about.units > 0 && about.warp == 32 && about.group_most == 1024);
    CHECK(about.capability >= 50 && about.unit_threads >= 1024 && about.unit_registers >= 32768 &&
          about.local_most >= about.local);
    CHECK_INT(strlen(about.pci), 12);
    yk_error e;
    CHECK_INT(C.find(about.pci, &e), 0);
    CHECK_INT(C.find(about.name, &e), 0);
    CHECK_INT(C.find("GPU-", &e), 0);
}

TEST(everything_works)
{
    run r;
    need_device();
    for (int i = 0; i < 3; i++) {
        run_init(&r);
        OK(run_through(&r));
        run_close(&r);
    }
}

TEST(a_thread_outlives_a_device)
{
    need_device();
    check_thread_outlives_device();
}

TEST(a_function_is_described)
{
    run r;
    open_real(&r);
    OK(C.build(&r.d, scale_text, "", "scale.c", &r.image, &r.log, &r.e));
    OK(C.function(r.image, "scale", &r.scale, &r.e));
    CHECK(r.scale.registers > 4 && r.scale.registers < 64 && r.scale.group_most == 1024);
    CHECK_INT(r.scale.spilled_bytes, 0);
    CHECK_INT(C.function(r.image, "other", &r.scale, &r.e), -ENOENT);
    CHECK_HAS(r.e.text, "cuModuleGetFunction");
    CHECK_HAS(r.e.text, "CUDA_ERROR_NOT_FOUND");
    run_close(&r);
}

TEST(all_of_the_group_memory_there_is)
{
    run r;
    open_real(&r);
    OK(run_work(&r));
    OK(launch_scale(&r, (float *)(void *)r.a.base, 1024, 1, 0, r.d.info.local_most));
    OK(C.stream_wait(&r.s, &r.e));
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 1024, 1, 0, r.d.info.local_most + 1), -EINVAL);
    CHECK_HAS(r.e.text, "cuFuncSetAttribute");
    CHECK_INT(launch_scale(&r, (float *)(void *)r.a.base, 1024, 1, 0, 64), 0); /* the device goes on */
    yk_shape shape = {{1, 1, 1}, {2048, 1, 1}, 0};
    void *at = r.a.base;
    yk_kernel_arg args[] = {{&at, 8, true, &r.a}, {&at, 8, false, NULL}, {&at, 4, false, NULL}, {&at, 8, false, NULL}};
    CHECK_INT(C.launch(&r.s, &r.scale, &shape, args, 4, &r.e), -EINVAL);
    CHECK_HAS(r.e.text, "cuLaunchKernel");
    OK(C.stream_wait(&r.s, &r.e));
    run_close(&r);
}

TEST(fills_of_any_length)
{
    static const size_t counts[] = {1, 2, 255, 256, 257, 100003, 1 << 20, (1 << 21) + 5};
    run r;
    open_real(&r);
    yk_span big = {.size = (size_t)40 << 20};
    char *back = malloc(big.size), value[] = "0123456789abcdef";
    CHECK(back);
    OK(C.take(&r.d, &big, &r.e));
    for (size_t size = 1; size <= 16; size *= 2)
        for (size_t i = 0; i < YK_COUNT_OF(counts); i++) {
            size_t n = size * counts[i], end = n + 64;
            OK(C.fill(&r.s, big.base, &big, "x", 1, end, &r.e));
            OK(C.fill(&r.s, big.base, &big, value, size, counts[i], &r.e));
            OK(C.copy(&r.s, back, NULL, big.base, &big, end, &r.e));
            OK(C.stream_wait(&r.s, &r.e));
            for (size_t k = 0; k < end; k++)
                CHECK_INT(back[k], k < n ? value[k % size] : 'x');
        }
    C.give(&r.d, &big);
    free(back);
    run_close(&r);
}

TEST(more_memory_than_there_is)
{
    run r;
    open_real(&r);
    yk_span big = {.size = r.d.info.memory * 2};
    CHECK_INT(C.take(&r.d, &big, &r.e), -ENOMEM);
    CHECK_HAS(r.e.text, "cuMemAlloc: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)");
    OK(run_work(&r));
    run_close(&r);
}

TEST(streams_are_independent)
{
    static const char text[] =
        "extern \"C\" __global__ void wait_for(long ns)\n"
        "{ long long end, now; asm volatile(\"mov.u64 %0, %globaltimer;\" : \"=l\"(end)); end += ns;\n"
        "  do asm volatile(\"mov.u64 %0, %globaltimer;\" : \"=l\"(now)); while (now < end); }\n";
    run r;
    yk_function f;
    int64_t ns = 0, length = 50000000;
    open_real(&r);
    OK(C.build(&r.d, text, "", "wait.c", &r.image, &r.log, &r.e));
    OK(C.function(r.image, "wait_for", &f, &r.e));
    OK(C.event_mark(&r.s, &r.v, &r.e));
    OK(C.launch(&r.s, &f, &(yk_shape){{1, 1, 1}, {1, 1, 1}, 0}, &(yk_kernel_arg){&length, 8, false, NULL}, 1, &r.e));
    OK(C.event_mark(&r.s, &r.w, &r.e));
    CHECK_INT(C.stream_try(&r.s, &r.e), -EAGAIN);
    CHECK_INT(C.event_try(&r.w, &r.e), -EAGAIN);
    OK(C.stream_wait(&r.t, &r.e)); /* there is nothing in it */
    OK(C.event_after(&r.t, &r.w, &r.e));
    OK(C.stream_wait(&r.t, &r.e));
    CHECK_INT(C.event_try(&r.w, &r.e), 0);
    OK(C.event_elapsed(&r.v, &r.w, &ns, &r.e));
    CHECK(ns >= length * 9 / 10);
    run_close(&r);
}

TEST(ptx_for_a_device_that_the_compiler_does_not_know)
{
    run r;
    open_real(&r);
    yk_build_source source = {scale_text, "", "scale.c", r.d.info.capability};
    yk_binary b = {.is_ptx = false};
    struct yk_cu_module *m;
    source.capability = 990;
    OK(yk_nvrtc_compile(&source, &b, &r.e));
    CHECK(b.is_ptx);
    char *target = strstr(b.image.ptr, ".target sm_");
    CHECK(target);
    int result = yk_cuda_module(b.image.ptr, &m, &r.log);
    printf("# %.14s on a device of %u: %s %s\n", target, r.d.info.capability, yk_cuda_name(result), yk_buf_str(&r.log));
    CHECK(result != YK_CUDA_OK);
    yk_binary_done(&b);
    run_close(&r);
}

/* What another process sees of the device, which waits until it is told: made before this one has used CUDA. */
static int another_process(int *tell)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        char word;
        run r;
        close(ends[1]);
        if (read(ends[0], &word, 1) != 1)
            _exit(2);
        run_init(&r);
        _exit(run_through(&r) == 0 ? 0 : 1);
    }
    close(ends[0]);
    *tell = ends[1];
    return (int)child;
}

/* A device that is lost: every call says so, and so does opening it again, as long as the process lives; another can use it. */
static void lose(const char *text, const char *name)
{
    run r;
    yk_function f;
    int tell, status, child = another_process(&tell);
    open_real(&r);
    OK(C.build(&r.d, text, "", "die.c", &r.image, &r.log, &r.e));
    OK(C.function(r.image, "die", &f, &r.e));
    OK(C.launch(&r.s, &f, &(yk_shape){{1, 1, 1}, {1, 1, 1}, 0}, NULL, 0, &r.e));
    CHECK_INT(C.stream_wait(&r.s, &r.e), -ENODEV);
    printf("# %s\n", r.e.text);
    CHECK_HAS(r.e.text, name);
    CHECK_INT(C.stream_wait(&r.t, &r.e), -ENODEV);
    CHECK_INT(C.take(&r.d, &(yk_span){.size = 64}, &r.e), -ENODEV);
    run_close(&r);
    yoke_device *again = yoke_device_open("cuda:0");
    CHECK_INT(yoke_device_status(again), -ENODEV);
    CHECK_HAS(yoke_device_error(again), name);
    yoke_device_close(again);
    CHECK_INT(write(tell, "!", 1), 1);
    CHECK_INT(waitpid((pid_t)child, &status, 0), child);
    CHECK_INT(status, 0);
}

TEST(an_illegal_address_loses_the_device)
{
    lose("extern \"C\" __global__ void die() { *(volatile int *)8 = 1; }", "CUDA_ERROR_ILLEGAL_ADDRESS");
}

TEST(a_misaligned_address_loses_the_device)
{
    lose("extern \"C\" __global__ void die() { __shared__ int x[4]; *(volatile int *)((char *)x + 1) = 1; }",
         "CUDA_ERROR_MISALIGNED_ADDRESS");
}

TEST(a_trap_loses_the_device)
{
    lose("extern \"C\" __global__ void die() { asm(\"trap;\"); }", "CUDA_ERROR_");
}
