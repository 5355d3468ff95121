/* fake_opencl.c - a libOpenCL.so.1 that hands every call on to the real one, and makes any of them fail when it is
 * told to.
 *
 * It counts what has been made and not been released, and can pretend: that a copy fails,
 * or is done, when nobody asks any more but its event; that devices are GPUs, which have memory of
 * their own, that there are many, that the platform is none that yoke knows, and that devices reach all memory
 * of the host (which PoCL does, though 3.1 does not say so). And it refuses a launch with memory that was released since it was
 * set as an argument, though there may be other memory with its handle by now: a driver may look it up then and not again. */
#include "fake_opencl.h"
#include "real_opencl.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#pragma GCC diagnostic ignored "-Wshadow" /* calls without an event see this one */
static void **const event = NULL;

static yk_cl_table real;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int calls, fail_at, live;
static _Atomic int32_t fail_code;
static const char *_Atomic fail_name;
static _Atomic unsigned pretence;
static int32_t (*real_platform)(void *platform, uint32_t what, size_t room, void *ret, size_t *ret_size);
static int32_t (*real_info)(void *device, uint32_t what, size_t room, void *ret, size_t *ret_size);

static int32_t (*real_devices)(void *platform, uint64_t type, uint32_t room, void **ret, uint32_t *ret_count);

/* As many as there is room for, all of them the first. */
static int32_t pretend_devices(void *platform, uint64_t type, uint32_t room, void **ret, uint32_t *ret_count)
{
    int32_t code = real_devices(platform, type, room, ret, ret_count);
    if (code != 0 || !(pretence & FAKE_MANY))
        return code;
    for (uint32_t i = 1; i < room; i++)
        ret[i] = ret[0];
    *ret_count = room;
    return 0;
}

static int32_t pretend_info(void *device, uint32_t what, size_t room, void *ret, size_t *ret_size)
{
    uint64_t value = 0;
    size_t size = 0;
    if (what == YK_CL_DEVICE_TYPE && (pretence & FAKE_GPU))
        value = YK_CL_TYPE_GPU, size = 8;
    if (what == YK_CL_DEVICE_SVM && (pretence & FAKE_SHARES))
        value = YK_CL_SVM_SYSTEM, size = 8;
    if (what == YK_CL_DEVICE_AVAILABLE && (pretence & FAKE_BUSY))
        size = 4;
    if (what == YK_CL_DEVICE_PCI && (pretence & FAKE_PCI))
        size = 16;
    if (size == 0)
        return real_info(device, what, room, ret, ret_size);
    static const uint32_t pci[4] = {0, 0xc1, 2, 1};
    memcpy(ret, size == 16 ? (const void *)pci : &value, size < room ? size : room);
    if (ret_size)
        *ret_size = size;
    return 0;
}

/* A platform of no known name, of which nothing is taken for granted. */
static int32_t pretend_platform(void *platform, uint32_t what, size_t room, void *ret, size_t *ret_size)
{
    if (what == YK_CL_PLATFORM_SUFFIX && (pretence & FAKE_STRANGER))
        return -30;
    return real_platform(platform, what, room, ret, ret_size);
}

/* ---- Late copies ---- */

static int32_t (*real_read)(void *queue, void *from, uint32_t block, size_t at, size_t size, void *to, uint32_t n,
                            void *const *after, void **event);
static int32_t (*real_write)(void *queue, void *to, uint32_t block, size_t at, size_t size, const void *from, uint32_t n,
                             void *const *after, void **event);
static void *(*create_user_event)(void *context, int32_t *error);
static int32_t (*set_user_event)(void *event, int32_t status);
static int32_t (*queue_info)(void *queue, uint32_t what, size_t room, void *ret, size_t *ret_size);
static _Atomic int copies, late_copy;
static _Atomic int32_t late_code;
/* The one that is late, in a queue of its own: others stand behind its event in the right one. Written before its thread begins,
 * read by that alone. */
static struct {
    void *queue, *memory, *host, *event;
    size_t at, size;
    bool is_read, has_thread;
    pthread_t thread;
} late;

static void *do_late(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    if (late.is_read)
        real_read(late.queue, late.memory, 1, late.at, late.size, late.host, 0, NULL, NULL);
    else
        real_write(late.queue, late.memory, 1, late.at, late.size, late.host, 0, NULL, NULL);
    if (late.event) {
        set_user_event(late.event, 0);
        real.ReleaseEvent(late.event);
    }
    real.ReleaseCommandQueue(late.queue);
    return NULL;
}

/* Whether this copy is the one; then *ret (if ret is not NULL) is its event. */
static bool is_late(void *queue, void *memory, size_t at, size_t size, void *host, bool is_read, void **ret)
{
    if (++copies != late_copy)
        return false;
    void *context = NULL, *device = NULL;
    int32_t code = 0;
    queue_info(queue, 0x1090, sizeof context, &context, NULL);
    queue_info(queue, 0x1091, sizeof device, &device, NULL);
    void *made = ret ? create_user_event(context, &code) : NULL;
    if (code != 0)
        abort();
    if (ret)
        *ret = made;
    if (late_code != 0) {
        if (made)
            set_user_event(made, late_code);
        return true;
    }
    real.Finish(queue); /* what it comes after */
    late.queue = real.CreateCommandQueue(context, device, 0, &code);
    late.memory = memory, late.host = host, late.event = made;
    late.at = at, late.size = size, late.is_read = is_read;
    if (made)
        real.RetainEvent(made);
    late.has_thread = pthread_create(&late.thread, NULL, do_late, NULL) == 0;
    return true;
}

static int32_t pretend_read(void *queue, void *from, uint32_t block, size_t at, size_t size, void *to, uint32_t n,
                            void *const *after, void **ret)
{
    return is_late(queue, from, at, size, to, true, ret) ? 0 : real_read(queue, from, block, at, size, to, n, after, ret);
}

static int32_t pretend_write(void *queue, void *to, uint32_t block, size_t at, size_t size, const void *from, uint32_t n,
                             void *const *after, void **ret)
{
    return is_late(queue, to, at, size, (void *)(uintptr_t)from, false, ret)
        ? 0 : real_write(queue, to, block, at, size, from, n, after, ret);
}

void fake_opencl_late(int k, int32_t code)
{
    if (late.has_thread)
        pthread_join(late.thread, NULL);
    late.has_thread = false;
    copies = 0;
    late_code = code;
    late_copy = k;
}

/* ---- Arguments that are memory ---- */

enum { ARGUMENTS = 4096, INVALID_ARGUMENTS = -52 };
static struct {
    void *kernel, *memory;
    uint32_t at;
    bool is_released;
} arguments[ARGUMENTS];
static pthread_mutex_t arguments_lock = PTHREAD_MUTEX_INITIALIZER;
static int32_t (*real_set)(void *kernel, uint32_t at, size_t size, const void *value);
static int32_t (*real_launch)(void *queue, void *kernel, uint32_t dims, const size_t *offset, const size_t *global,
                              const size_t *local, uint32_t n, void *const *after, void **event);
static int32_t (*real_release_memory)(void *memory);
static int32_t (*real_release_kernel)(void *kernel);

static int place_of(const void *kernel, uint32_t at)
{
    int free_one = -1;
    for (int i = 0; i < ARGUMENTS; i++) {
        if (arguments[i].kernel == kernel && arguments[i].at == at)
            return i;
        free_one = arguments[i].kernel || free_one >= 0 ? free_one : i;
    }
    if (free_one < 0)
        abort(); /* more than there is room for */
    return free_one;
}

/* Whatever is as long as a handle is kept as one: numbers are released by nobody. */
static int32_t note_set(void *kernel, uint32_t at, size_t size, const void *value)
{
    pthread_mutex_lock(&arguments_lock);
    int i = place_of(kernel, at);
    arguments[i].kernel = kernel;
    arguments[i].at = at;
    arguments[i].memory = NULL;
    arguments[i].is_released = false;
    if (value && size == sizeof(void *))
        memcpy(&arguments[i].memory, value, sizeof(void *));
    pthread_mutex_unlock(&arguments_lock);
    return real_set(kernel, at, size, value);
}

static int32_t note_release(void *memory)
{
    pthread_mutex_lock(&arguments_lock);
    for (int i = 0; i < ARGUMENTS; i++)
        arguments[i].is_released |= arguments[i].memory == memory;
    pthread_mutex_unlock(&arguments_lock);
    return real_release_memory(memory);
}

static int32_t note_release_kernel(void *kernel)
{
    pthread_mutex_lock(&arguments_lock);
    for (int i = 0; i < ARGUMENTS; i++)
        if (arguments[i].kernel == kernel)
            arguments[i].kernel = NULL;
    pthread_mutex_unlock(&arguments_lock);
    return real_release_kernel(kernel);
}

static int32_t check_launch(void *queue, void *kernel, uint32_t dims, const size_t *offset, const size_t *global,
                            const size_t *local, uint32_t n, void *const *after, void **ret)
{
    bool is_released = false;
    pthread_mutex_lock(&arguments_lock);
    for (int i = 0; i < ARGUMENTS; i++)
        is_released |= arguments[i].kernel == kernel && arguments[i].is_released;
    pthread_mutex_unlock(&arguments_lock);
    return is_released ? INVALID_ARGUMENTS : real_launch(queue, kernel, dims, offset, global, local, n, after, ret);
}

/* ---- The real one ---- */

static void open_real(void)
{
    void *library = open_real_opencl(&real);
    const char *pretend = getenv("FAKE_OPENCL");
    pretence |= pretend ? (unsigned)strtoul(pretend, NULL, 10) : 0;
    find_symbol(library, &create_user_event, "clCreateUserEvent");
    find_symbol(library, &set_user_event, "clSetUserEventStatus");
    find_symbol(library, &queue_info, "clGetCommandQueueInfo");
    real_read = real.EnqueueReadBuffer;
    real.EnqueueReadBuffer = pretend_read;
    real_write = real.EnqueueWriteBuffer;
    real.EnqueueWriteBuffer = pretend_write;
    real_set = real.SetKernelArg;
    real.SetKernelArg = note_set;
    real_launch = real.EnqueueNDRangeKernel;
    real.EnqueueNDRangeKernel = check_launch;
    real_release_memory = real.ReleaseMemObject;
    real.ReleaseMemObject = note_release;
    real_release_kernel = real.ReleaseKernel;
    real.ReleaseKernel = note_release_kernel;
    real_devices = real.GetDeviceIDs;
    real.GetDeviceIDs = pretend_devices;
    real_info = real.GetDeviceInfo;
    real.GetDeviceInfo = pretend_info;
    real_platform = real.GetPlatformInfo;
    real.GetPlatformInfo = pretend_platform;
}

/* The code with which this call is to fail, or 0. */
static int32_t failure(const char *name)
{
    pthread_once(&once, open_real);
    const char *only = fail_name;
    if (only && strcmp(only, name) != 0)
        return 0;
    return ++calls == fail_at ? fail_code : 0;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* What is not left out though it fails: else things would leak, or go on behind the caller's back. */
static bool is_done_anyway(const char *name)
{
    return begins(name, "Release") || begins(name, "EnqueueUnmap") || begins(name, "Finish") ||
           begins(name, "WaitForEvents") || begins(name, "Flush");
}

static void count_live(const char *name, bool made_event)
{
    if (begins(name, "Release"))
        live--;
    else if (made_event || begins(name, "Retain"))
        live++;
}

#define FORWARD(name, parameters, arguments)                                                                       \
    int32_t cl##name parameters;                                                                                   \
    int32_t cl##name parameters                                                                                    \
    {                                                                                                              \
        int32_t injected = failure(#name);                                                                         \
        if (injected && !is_done_anyway(#name))                                                                    \
            return injected;                                                                                       \
        int32_t code = real.name arguments;                                                                        \
        if (code == 0)                                                                                             \
            count_live(#name, event != NULL);                                                                      \
        return injected ? injected : code;                                                                         \
    }
YK_CL_CALLS(FORWARD)
YK_CL_LATER(FORWARD)

#define MAKE(name, parameters, arguments)                                                                          \
    void *cl##name parameters;                                                                                     \
    void *cl##name parameters                                                                                      \
    {                                                                                                              \
        int32_t injected = failure(#name);                                                                         \
        if (injected) {                                                                                            \
            *error = injected;                                                                                     \
            return NULL;                                                                                           \
        }                                                                                                          \
        void *made = real.name arguments;                                                                          \
        live += made != NULL && begins(#name, "Create");                                                           \
        return made;                                                                                               \
    }
YK_CL_MAKERS(MAKE)

int fake_opencl_fail(const char *name, int k, int32_t code)
{
    fail_at = 0;
    fail_name = name;
    fail_code = code;
    int n = calls;
    calls = 0;
    fail_at = k;
    return n;
}

int fake_opencl_live(void)
{
    return live;
}

void fake_opencl_pretend(unsigned what)
{
    pretence = what;
}
