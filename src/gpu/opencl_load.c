/* opencl_load: finds libOpenCL.so.1 and the calls in it, and names OpenCL's errors.
 *
 * The library is the loader of Khronos or ocl-icd, which hands calls on to the drivers named in
 * /etc/OpenCL/vendors. It is opened once and stays: drivers have threads of their own. YOKE_OPENCL_DRIVER names
 * another one, which is how tests make calls fail. */
#include "gpu/opencl.h"
#include <dlfcn.h>
#include <stdlib.h>

yk_cl_table yk_cl;

/* dlsym() gives an object pointer; C has no cast from there to a function, but both have one size here. */
static void set_call(void *field, void *library, const char *name)
{
    void *found = dlsym(library, name);
    memcpy(field, &found, sizeof found);
}

/* The name of a call that the library lacks, or NULL. */
static const char *set_calls(yk_cl_table *t, void *library)
{
    const char *missing = NULL;
#define NEED(name, parameters, arguments)                                                                          \
    set_call(&t->name, library, "cl" #name);                                                                       \
    if (!t->name && !missing)                                                                                      \
        missing = "cl" #name;
#define LIKE(name, parameters, arguments) set_call(&t->name, library, "cl" #name);
    YK_CL_CALLS(NEED)
    YK_CL_MAKERS(NEED)
    YK_CL_LATER(LIKE)
    return missing;
}

int yk_cl_load(yk_error *e)
{
    const char *asked = getenv("YOKE_OPENCL_DRIVER"), *path = asked && *asked ? asked : "libOpenCL.so.1";
    void *library = yk_sys.dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        if (path == asked)
            return yk_errorf(e, -ENODEV, "OpenCL: YOKE_OPENCL_DRIVER cannot be opened: %s", why ? why : path);
        return yk_errorf(
            e, -ENODEV,
            "OpenCL: there is no libOpenCL.so.1 here, or it does not load; install a loader and a driver (Debian: "
            "ocl-icd-libopencl1, and pocl-opencl-icd for the CPU): %s",
            why ? why : path);
    }
    yk_cl_table found;
    const char *missing = set_calls(&found, library);
    if (missing) {
        dlclose(library);
        return yk_errorf(e, -ENODEV, "OpenCL: %s lacks %s: it is no OpenCL library, or one older than OpenCL 1.2",
                         path, missing);
    }
    yk_cl = found;
    return 0;
}

/* ---- Errors ---- */

typedef struct cl_error {
    int32_t code;
    int error;
    const char *name;
} cl_error;

/* EINVAL: an error in the use of OpenCL. What is not in this table: EIO. */
static const cl_error errors[] = {
    {0, 0, "CL_SUCCESS"},
    {-1, ENODEV, "CL_DEVICE_NOT_FOUND"},
    {-2, ENODEV, "CL_DEVICE_NOT_AVAILABLE"},
    {-3, ENOTSUP, "CL_COMPILER_NOT_AVAILABLE"},
    {-4, ENOMEM, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {-5, ENOMEM, "CL_OUT_OF_RESOURCES"},
    {-6, ENOMEM, "CL_OUT_OF_HOST_MEMORY"},
    {-7, ENOTSUP, "CL_PROFILING_INFO_NOT_AVAILABLE"},
    {-8, EINVAL, "CL_MEM_COPY_OVERLAP"},
    {-9, EINVAL, "CL_IMAGE_FORMAT_MISMATCH"},
    {-10, ENOTSUP, "CL_IMAGE_FORMAT_NOT_SUPPORTED"},
    {-11, EINVAL, "CL_BUILD_PROGRAM_FAILURE"},
    {-12, ENOMEM, "CL_MAP_FAILURE"},
    {-13, EINVAL, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
    {-14, EIO, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {-15, EINVAL, "CL_COMPILE_PROGRAM_FAILURE"},
    {-16, ENOTSUP, "CL_LINKER_NOT_AVAILABLE"},
    {-17, EINVAL, "CL_LINK_PROGRAM_FAILURE"},
    {-18, EINVAL, "CL_DEVICE_PARTITION_FAILED"},
    {-19, ENOTSUP, "CL_KERNEL_ARG_INFO_NOT_AVAILABLE"},
    {-30, EINVAL, "CL_INVALID_VALUE"},
    {-31, EINVAL, "CL_INVALID_DEVICE_TYPE"},
    {-32, ENODEV, "CL_INVALID_PLATFORM"},
    {-33, ENODEV, "CL_INVALID_DEVICE"},
    {-34, ENODEV, "CL_INVALID_CONTEXT"},
    {-35, ENOTSUP, "CL_INVALID_QUEUE_PROPERTIES"},
    {-36, ENODEV, "CL_INVALID_COMMAND_QUEUE"},
    {-37, EINVAL, "CL_INVALID_HOST_PTR"},
    {-38, EINVAL, "CL_INVALID_MEM_OBJECT"},
    {-39, EINVAL, "CL_INVALID_IMAGE_FORMAT_DESCRIPTOR"},
    {-40, EINVAL, "CL_INVALID_IMAGE_SIZE"},
    {-41, EINVAL, "CL_INVALID_SAMPLER"},
    {-42, EINVAL, "CL_INVALID_BINARY"},
    {-43, EINVAL, "CL_INVALID_BUILD_OPTIONS"},
    {-44, EINVAL, "CL_INVALID_PROGRAM"},
    {-45, EINVAL, "CL_INVALID_PROGRAM_EXECUTABLE"},
    {-46, ENOENT, "CL_INVALID_KERNEL_NAME"},
    {-47, EINVAL, "CL_INVALID_KERNEL_DEFINITION"},
    {-48, EINVAL, "CL_INVALID_KERNEL"},
    {-49, EINVAL, "CL_INVALID_ARG_INDEX"},
    {-50, EINVAL, "CL_INVALID_ARG_VALUE"},
    {-51, EINVAL, "CL_INVALID_ARG_SIZE"},
    {-52, EINVAL, "CL_INVALID_KERNEL_ARGS"},
    {-53, EINVAL, "CL_INVALID_WORK_DIMENSION"},
    {-54, EINVAL, "CL_INVALID_WORK_GROUP_SIZE"},
    {-55, EINVAL, "CL_INVALID_WORK_ITEM_SIZE"},
    {-56, EINVAL, "CL_INVALID_GLOBAL_OFFSET"},
    {-57, EINVAL, "CL_INVALID_EVENT_WAIT_LIST"},
    {-58, EINVAL, "CL_INVALID_EVENT"},
    {-59, EINVAL, "CL_INVALID_OPERATION"},
    {-61, ENOMEM, "CL_INVALID_BUFFER_SIZE"},
    {-63, EINVAL, "CL_INVALID_GLOBAL_WORK_SIZE"},
    {-64, EINVAL, "CL_INVALID_PROPERTY"},
    {-66, EINVAL, "CL_INVALID_COMPILER_OPTIONS"},
    {-67, EINVAL, "CL_INVALID_LINKER_OPTIONS"},
    {-1001, ENODEV, "CL_PLATFORM_NOT_FOUND_KHR"},
    {-9999, ENODEV, "an illegal access of memory (NVIDIA)"},
};

static const cl_error *find_error(int32_t code)
{
    for (size_t i = 0; i < YK_COUNT_OF(errors); i++)
        if (errors[i].code == code)
            return &errors[i];
    static const cl_error unknown = {0, EIO, "an unknown error"};
    return &unknown;
}

const char *yk_cl_name(int32_t code)
{
    return find_error(code)->name;
}

int yk_cl_fail(yk_error *e, int32_t code, const char *call, const char *what, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, what);
    vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    const cl_error *found = find_error(code);
    return yk_errorf(e, found->error ? found->error : EIO, "%s: %s (%d) from cl%s", text, found->name, code, call);
}

int yk_cl_wait_fail(yk_error *e, int32_t code, const char *call, const yoke_device *d)
{
    int err = yk_cl_fail(e, code, call, "%s: what was put in the stream has failed", d->info.uri);
    if (code != YK_CL_OUT_OF_RESOURCES && code != YK_CL_EXEC_STATUS_ERROR)
        return err;
    if (e)
        e->code = -ENODEV;
    return -ENODEV;
}
