/* real_opencl.h - the calls of the real OpenCL, for the libraries that stand between it and yoke. */
#ifndef YK_TESTS_REAL_OPENCL_H
#define YK_TESTS_REAL_OPENCL_H
#include "gpu/opencl.h"
#include <dlfcn.h>
#include <stdlib.h>

static inline void find_symbol(void *library, void *field, const char *name)
{
    void *found = dlsym(library, name);
    memcpy(field, &found, sizeof found);
}

/* Fills the table; what yoke itself does not use is to be found in the library that it returns. */
static inline void *open_real_opencl(yk_cl_table *real)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        abort();
#define YK_FIND(name, parameters, arguments) find_symbol(library, &real->name, "cl" #name);
    YK_CL_CALLS(YK_FIND)
    YK_CL_MAKERS(YK_FIND)
    YK_CL_LATER(YK_FIND)
#undef YK_FIND
    return library;
}

#endif
