/* opencl_run.h - the library of fake_opencl.c between yoke and the real one, in the tests of what OpenCL can do wrong. */
#ifndef YK_TESTS_OPENCL_RUN_H
#define YK_TESTS_OPENCL_RUN_H
#include "fake_opencl.h"
#include "test.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* What fake_opencl.h has, of the library that was opened. */
static struct {
    int (*fail)(const char *name, int k, int32_t code);
    void (*late)(int k, int32_t code);
    int (*live)(void);
    void (*pretend)(unsigned what);
} fake;

static inline void fake_find(void *library, void *field, const char *name)
{
    void *found = dlsym(library, name);
    CHECK(found);
    memcpy(field, &found, sizeof found);
}

/* Before the first call of OpenCL. Skips where there is no driver. */
static inline void use_fake(unsigned what)
{
    if (access("/etc/OpenCL/vendors", F_OK) != 0)
        SKIP("no OpenCL driver is installed");
    char path[PATH_MAX + 32] = "";
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    CHECK(n > 0);
    path[n] = '\0';
    snprintf(strrchr(path, '/') + 1, 32, "gpu/libfake_opencl.so"); /* this program is in tests/ */
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        test_fail(__FILE__, __LINE__, "%s", dlerror());
    fake_find(library, &fake.fail, "fake_opencl_fail");
    fake_find(library, &fake.late, "fake_opencl_late");
    fake_find(library, &fake.live, "fake_opencl_live");
    fake_find(library, &fake.pretend, "fake_opencl_pretend");
    setenv("YOKE_OPENCL_DRIVER", path, 1);
    fake.pretend(what);
}

#endif
