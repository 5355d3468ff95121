/* opencl_device: the OpenCL devices of this machine, of all platforms in one row; opening them; their memory.
 *
 * Memory and addresses. OpenCL names memory by handles, yoke by addresses, so each piece gets a range of addresses
 * of its own. On a CPU that is the memory itself: aligned memory of the host, which OpenCL uses in place. Elsewhere
 * it is a range that is reserved and has nothing in it, so that the host faults when it touches what is not its
 * own. An address then is a handle and how many bytes into it, which is what every call here is given (yk_span).
 *
 * The row is made once and then only read. */
#include "gpu/opencl.h"
#include "topo/topo.h"
#include <ctype.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { DEVICES_MOST = 64, PAGE = 4096 };

typedef struct entry {
    void *platform, *id;
    yoke_device_info info;
    char suffix[32], vendor[64], platform_version[128]; /* words that find() knows it by too */
    bool host_memory, svm, starts_by_itself, has_width_bug, exact_division, keeps_programs;
} entry;

/* Written under lock until `known`, then only read. */
static struct {
    yk_mutex lock;
    _Atomic bool known;
    uint32_t fork_generation; /* of the process that opened the drivers */
    unsigned count;
    int status;
    yk_error error;
    entry list[DEVICES_MOST];
} all;

/* ---- What a device is ---- */

static void platform_text(void *platform, uint32_t what, char *ret, size_t size)
{
    size_t n = 0;
    if (yk_cl.GetPlatformInfo(platform, what, 0, NULL, &n) != 0 || n == 0 || n > 4096)
        return;
    char text[4096];
    if (yk_cl.GetPlatformInfo(platform, what, n, text, NULL) == 0)
        snprintf(ret, size, "%.*s", (int)strnlen(text, n), text);
    yk_plain(ret, strlen(ret), true);
}

static void device_text(void *id, uint32_t what, char *ret, size_t size)
{
    size_t n = 0;
    if (yk_cl.GetDeviceInfo(id, what, 0, NULL, &n) != 0 || n == 0 || n > 4096)
        return;
    char text[4096];
    if (yk_cl.GetDeviceInfo(id, what, n, text, NULL) == 0)
        snprintf(ret, size, "%.*s", (int)strnlen(text, n), text);
    yk_plain(ret, strlen(ret), true);
}

/* A number of 4 or 8 bytes; 0 when the device does not know the question. */
static uint64_t device_number(void *id, uint32_t what)
{
    uint64_t value = 0;
    size_t n = 0;
    if (yk_cl.GetDeviceInfo(id, what, sizeof value, &value, &n) != 0)
        return 0;
    return n == 4 ? (uint32_t)value : n == 8 ? value : 0; /* little-endian, as all of yoke */
}

static void describe_place(void *id, yoke_device_info *info)
{
    uint32_t pci[4] = {0};
    size_t n = 0;
    if (yk_cl.GetDeviceInfo(id, YK_CL_DEVICE_PCI, sizeof pci, pci, &n) != 0 || n != sizeof pci) {
        pci[0] = (uint32_t)device_number(id, YK_CL_DEVICE_PCI_DOMAIN_NV);
        pci[1] = (uint32_t)device_number(id, YK_CL_DEVICE_PCI_BUS_NV);
        pci[2] = (uint32_t)device_number(id, YK_CL_DEVICE_PCI_SLOT_NV) >> 3; /* device and function in one */
        pci[3] = 0;
    }
    info->numa = -1;
    if (pci[0] == 0 && pci[1] == 0 && pci[2] == 0)
        return;
    snprintf(info->pci, sizeof info->pci, "%04x:%02x:%02x.%x", pci[0] & 0xffff, pci[1] & 0xff, pci[2] & 0xff,
             pci[3] & 0xf);
    char path[64], text[32];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", info->pci);
    if (yk_read_text(path, text, sizeof text))
        info->numa = (int)strtol(text, NULL, 10);
}

static unsigned steps_together(void *id)
{
    static const uint32_t questions[] = {YK_CL_DEVICE_WARP_NV, YK_CL_DEVICE_WAVEFRONT_AMD,
                                         YK_CL_DEVICE_GROUP_MULTIPLE};
    for (size_t i = 0; i < YK_COUNT_OF(questions); i++) {
        uint64_t value = device_number(id, questions[i]);
        if (value > 0)
            return (unsigned)value;
    }
    return 0;
}

static void describe_entry(entry *d)
{
    yoke_device_info *info = &d->info;
    void *id = d->id;
    snprintf(info->driver, sizeof info->driver, "opencl");
    device_text(id, YK_CL_DEVICE_NAME, info->name, sizeof info->name);
    device_text(id, YK_CL_DRIVER_VERSION, info->version, sizeof info->version);
    platform_text(d->platform, YK_CL_PLATFORM_NAME, info->platform, sizeof info->platform);
    platform_text(d->platform, YK_CL_PLATFORM_VENDOR, d->vendor, sizeof d->vendor);
    platform_text(d->platform, YK_CL_PLATFORM_VERSION, d->platform_version, sizeof d->platform_version);
    platform_text(d->platform, YK_CL_PLATFORM_SUFFIX, d->suffix, sizeof d->suffix);
    describe_place(id, info);
    uint64_t type = device_number(id, YK_CL_DEVICE_TYPE);
    info->is_gpu = (type & (YK_CL_TYPE_GPU | YK_CL_TYPE_CPU)) == YK_CL_TYPE_GPU; /* a simulator says that it is both */
    info->has_double = device_number(id, YK_CL_DEVICE_DOUBLE) != 0;
    info->capability = (unsigned)(device_number(id, YK_CL_DEVICE_CAPABILITY_MAJOR_NV) * 10 +
                                  device_number(id, YK_CL_DEVICE_CAPABILITY_MINOR_NV));
    info->units = (unsigned)device_number(id, YK_CL_DEVICE_UNITS);
    info->warp = steps_together(id);
    info->group_most = (unsigned)device_number(id, YK_CL_DEVICE_GROUP_MOST);
    info->unit_registers = (unsigned)device_number(id, YK_CL_DEVICE_REGISTERS_NV);
    info->clock_mhz = (unsigned)device_number(id, YK_CL_DEVICE_CLOCK_MHZ);
    info->memory = device_number(id, YK_CL_DEVICE_MEMORY);
    info->largest = device_number(id, YK_CL_DEVICE_LARGEST);
    info->cache = device_number(id, YK_CL_DEVICE_CACHE);
    info->local = info->local_most = device_number(id, YK_CL_DEVICE_LOCAL);
    d->host_memory = type & YK_CL_TYPE_CPU;
    d->svm = yk_cl.SetKernelArgSVMPointer && (device_number(id, YK_CL_DEVICE_SVM) & YK_CL_SVM_SYSTEM);
    info->shares_host_memory = d->svm;
    d->exact_division = device_number(id, YK_CL_DEVICE_SINGLE) & YK_CL_SINGLE_EXACT_DIVISION;
    d->starts_by_itself = strcmp(d->suffix, "POCL") == 0;
    d->has_width_bug = d->starts_by_itself && strtoul(info->version, NULL, 10) < 7; /* NOLINT(cert-err34-c) */
    d->keeps_programs = d->starts_by_itself || strcmp(d->suffix, "NV") == 0;
}

/* ---- The row of devices ---- */

/* Devices that cannot build programs are left out: nothing could be run on them. */
static void add_device(void *platform, void *id)
{
    if (all.count == DEVICES_MOST || !device_number(id, YK_CL_DEVICE_AVAILABLE) ||
        !device_number(id, YK_CL_DEVICE_COMPILER))
        return;
    entry *d = &all.list[all.count];
    *d = (entry){.platform = platform, .id = id};
    describe_entry(d);
    snprintf(d->info.uri, sizeof d->info.uri, "opencl:%u", all.count++);
}

/* 0, or the code with which a platform refused to tell its devices. */
static int32_t add_platform(void *platform)
{
    void *ids[DEVICES_MOST];
    uint32_t n = 0;
    int32_t code = yk_cl.GetDeviceIDs(platform, YK_CL_TYPE_ALL, DEVICES_MOST, ids, &n);
    if (code == YK_CL_DEVICE_NOT_FOUND)
        return 0;
    for (uint32_t i = 0; code == 0 && i < n && i < DEVICES_MOST; i++)
        add_device(platform, ids[i]);
    return code;
}

static bool has_pocl(void *const *platforms, uint32_t n)
{
    char suffix[32] = "";
    for (uint32_t i = 0; i < n && i < DEVICES_MOST && strcmp(suffix, "POCL") != 0; i++)
        platform_text(platforms[i], YK_CL_PLATFORM_SUFFIX, suffix, sizeof suffix);
    return strcmp(suffix, "POCL") == 0;
}

static int find_devices(yk_error *e)
{
    int err = yk_cl_load(e);
    if (err < 0)
        return err;
    void *platforms[DEVICES_MOST];
    uint32_t n = 0;
    int32_t code = yk_cl.GetPlatformIDs(DEVICES_MOST, platforms, &n), refused = 0;
    if (code == YK_CL_PLATFORM_NOT_FOUND || (code == 0 && n == 0))
        return yk_errorf(e, -ENODEV,
                         "OpenCL: no driver is installed: the loader found none in /etc/OpenCL/vendors, or where "
                         "OCL_ICD_VENDORS "
                         "says (Debian: pocl-opencl-icd is one for the CPU)");
    if (code != 0) {
        yk_cl_fail(e, code, "GetPlatformIDs", "OpenCL: the drivers do not start");
        return -ENODEV;
    }
    for (uint32_t i = 0; i < n && i < DEVICES_MOST; i++) {
        code = add_platform(platforms[i]);
        refused = refused ? refused : code;
    }
    if (all.count > 0)
        return 0;
    if (refused != 0) {
        yk_cl_fail(e, refused, "GetDeviceIDs", "OpenCL: the driver does not tell its devices");
        return -ENODEV;
    }
    return yk_errorf(e, -ENODEV, "OpenCL: the drivers that are installed have no device on this machine%s",
                     has_pocl(platforms, n) ? "; PoCL has none when it cannot write its cache (POCL_CACHE_DIR, "
                                              "XDG_CACHE_HOME or HOME)"
                                            : "");
}

/* Opens the drivers when nobody has yet. */
static int look(yk_error *e)
{
    /* Pairs with the release below: the row has been written. */
    if (!atomic_load_explicit(&all.known, memory_order_acquire)) {
        yk_mutex_lock(&all.lock);
        if (!atomic_load_explicit(&all.known, memory_order_relaxed)) {
            all.fork_generation = atomic_load_explicit(&yk_fork_generation, memory_order_relaxed);
            all.status = find_devices(&all.error);
            /* Pairs with the acquire above. */
            atomic_store_explicit(&all.known, true, memory_order_release);
        }
        yk_mutex_unlock(&all.lock);
    }
    if (all.status < 0)
        return yk_errorf(e, all.status, "%s", all.error.text);
    if (all.fork_generation != atomic_load_explicit(&yk_fork_generation, memory_order_relaxed))
        return yk_errorf(e, -ECHILD, "OpenCL: it was opened before fork(), and its threads are the parent's");
    return 0;
}

/* In a child the lock may be another thread's of the parent, and then the drivers are open by half for ever. */
static void child_begins(void)
{
    if (atomic_load_explicit(&all.lock.word, memory_order_relaxed) &&
        !atomic_load_explicit(&all.known, memory_order_relaxed)) {
        all.status = yk_errorf(&all.error, ECHILD, "OpenCL: fork() came while it was opened, it does not work in the child");
        all.count = 0;
        atomic_store_explicit(&all.known, true, memory_order_relaxed);
    }
    all.lock = (yk_mutex){0};
}

static __attribute__((constructor)) void watch_forks(void)
{
    pthread_atfork(NULL, NULL, child_begins);
}

static int count(yk_error *e)
{
    int err = look(e);
    return err < 0 ? err : (int)all.count;
}

static bool is_open(void)
{
    /* Pairs with the release in look(). */
    return atomic_load_explicit(&all.known, memory_order_acquire) && all.status == 0;
}

static void describe(unsigned i, yoke_device_info *ret)
{
    *ret = all.list[i].info;
}

/* ---- By name ---- */

static bool has(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

/* The words in the names of all devices, in small letters, each ended by a NUL, for a word that is in none. */
typedef struct words {
    char text[2000];
    size_t len;
} words;

static void add_words(words *w, const char *text)
{
    for (; *text && w->len < sizeof w->text - 2; text++)
        w->text[w->len++] = isalnum((unsigned char)*text) ? (char)tolower((unsigned char)*text) : '\0';
    if (w->len < sizeof w->text)
        w->text[w->len++] = '\0';
}

static const char *nth_word(void *ctx, size_t i)
{
    const words *w = ctx;
    size_t at = 0;
    while (i-- > 0 && at < w->len)
        at += strlen(w->text + at) + 1;
    return at < w->len ? w->text + at : NULL;
}

static int none_like(const char *arg, yk_error *e)
{
    words w = {.len = 0}, small = {.len = 0};
    yk_buf names = {0};
    for (unsigned i = 0; i < all.count; i++) {
        const entry *d = &all.list[i];
        const char *between = i > 0 ? ", " : "";
        add_words(&w, d->suffix);
        add_words(&w, d->info.platform);
        add_words(&w, d->info.name);
        yk_buf_printf(&names, "%s%s is %s (%s)", between, d->info.uri, d->info.name, d->info.platform);
    }
    add_words(&small, arg);
    const char *near = yk_nearest(small.text, nth_word, &w);
    int err =
        near ? yk_errorf(e, -ENOENT, "no OpenCL device has \"%.60s\" in its name: did you mean \"%s\"? %s", arg,
                         near, yk_buf_str(&names))
             : yk_errorf(e, -ENOENT, "no OpenCL device has \"%.60s\" in its name: %s", arg, yk_buf_str(&names));
    yk_buf_done(&names);
    return err;
}

static int find_number(const char *arg, yk_error *e)
{
    unsigned long number = strtoul(arg, NULL, 10);
    if (number < all.count)
        return (int)number;
    return yk_errorf(e, -ENOENT, "opencl:%.20s: devices are counted from 0, and there %s %u", arg,
                     all.count == 1 ? "is" : "are", all.count);
}

/* The device's own name goes before that of its platform. */
static int find(const char *arg, yk_error *e)
{
    int err = look(e);
    if (err < 0)
        return err;
    if (*arg && arg[strspn(arg, "0123456789")] == '\0')
        return find_number(arg, e);
    for (unsigned i = 0; i < all.count; i++)
        if (has(all.list[i].info.name, arg))
            return (int)i;
    for (unsigned i = 0; i < all.count; i++) {
        const entry *d = &all.list[i];
        if (has(d->info.platform, arg) || has(d->suffix, arg) || has(d->vendor, arg) ||
            has(d->platform_version, arg))
            return (int)i;
    }
    return none_like(arg, e);
}

/* ---- Opening ---- */

static int open_context(yk_cl_device *c, const entry *from, const yoke_device *d, yk_error *e)
{
    int32_t code = 0;
    const intptr_t properties[] = {YK_CL_CONTEXT_PLATFORM, (intptr_t)from->platform, 0};
    c->context = yk_cl.CreateContext(properties, 1, &c->id, NULL, NULL, &code);
    if (!c->context || code != 0)
        return yk_cl_fail(e, code, "CreateContext", "%s cannot be opened", d->info.uri);
    if (c->host_memory)
        return 0;
    c->queue = yk_cl.CreateCommandQueue(c->context, c->id, 0, &code);
    if (c->queue && code == 0)
        return 0;
    yk_cl.ReleaseContext(c->context);
    return yk_cl_fail(e, code, "CreateCommandQueue", "%s cannot be opened", d->info.uri);
}

static int open_device(yoke_device *d, unsigned i, yk_error *e)
{
    int err = look(e);
    if (err < 0)
        return err;
    if (i >= all.count)
        return yk_errorf(e, -ENOENT, "there is no opencl:%u: OpenCL has %u devices here", i, all.count);
    const entry *from = &all.list[i];
    yk_cl_device *c = yk_sys.calloc(1, sizeof *c);
    if (!c)
        return yk_errorf(e, -ENOMEM, "%s: no memory", from->info.uri);
    c->id = from->id;
    c->host_memory = from->host_memory;
    c->svm = from->svm;
    c->starts_by_itself = from->starts_by_itself;
    c->has_width_bug = from->has_width_bug;
    c->exact_division = from->exact_division;
    c->keeps_programs = from->keeps_programs;
    snprintf(c->builder, sizeof c->builder, "opencl: %s, %s, %s", from->platform_version, from->info.name,
             from->info.version);
    err = open_context(c, from, d, e);
    if (err < 0) {
        free(c);
        return err;
    }
    d->native = c;
    return 0;
}

static void close_device(yoke_device *d)
{
    yk_cl_device *c = d->native;
    if (c->queue)
        yk_cl.ReleaseCommandQueue(c->queue);
    yk_cl.ReleaseContext(c->context);
    free(c);
    d->native = NULL;
}

/* ---- Memory ---- */

/* A range of addresses with nothing in it. */
static void *reserve(size_t size)
{
    void *p =
        yk_sys.mmap(NULL, YK_ALIGN_UP(size, PAGE), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void give_base(const yk_cl_device *c, void *base, size_t size)
{
    if (c->host_memory)
        free(base);
    else
        munmap(base, YK_ALIGN_UP(size, PAGE));
}

static void *take_base(const yk_cl_device *c, size_t size)
{
    return c->host_memory ? yk_large(PAGE, YK_ALIGN_UP(size, YK_CACHE_LINE)) : reserve(size);
}

static int take(yoke_device *d, yk_span *span, yk_error *e)
{
    yk_cl_device *c = d->native;
    int32_t code = 0;
    void *base = take_base(c, span->size);
    if (!base)
        return yk_errorf(e, -ENOMEM, "%s: no %s for %zu bytes", d->info.uri,
                         c->host_memory ? "memory" : "addresses", span->size);
    uint64_t flags = YK_CL_MEM_READ_WRITE | (c->host_memory ? YK_CL_MEM_USE_HOST_PTR : 0);
    void *memory = yk_cl.CreateBuffer(c->context, flags, span->size, c->host_memory ? base : NULL, &code);
    if (!memory || code != 0) {
        give_base(c, base, span->size);
        return yk_cl_fail(e, code, "CreateBuffer", "%s: no memory for %zu bytes", d->info.uri, span->size);
    }
    span->base = base;
    span->native = memory;
    return 0;
}

static void give(yoke_device *d, yk_span *span)
{
    yk_cl_device *c = d->native;
    /* From now on the handle may be that of other memory. Pairs with the acquire in forget_released(). */
    atomic_fetch_add_explicit(&c->releases, 1, memory_order_release);
    yk_cl.ReleaseMemObject(span->native);
    give_base(c, span->base, span->size);
    span->base = NULL;
    span->native = NULL;
}

/* ---- Pinned memory ---- */

/* Memory of the host that the driver has chosen: a buffer, mapped for as long as it lives. */
typedef struct yk_cl_pinned {
    struct yk_cl_pinned *next;
    void *memory, *mapped;
} yk_cl_pinned;

static int pin_mapped(yoke_device *d, yk_cl_pinned *p, size_t size, yk_error *e)
{
    yk_cl_device *c = d->native;
    int32_t code = 0;
    p->memory = yk_cl.CreateBuffer(c->context, YK_CL_MEM_READ_WRITE | YK_CL_MEM_ALLOC_HOST_PTR, size, NULL, &code);
    if (!p->memory || code != 0)
        return yk_cl_fail(e, code, "CreateBuffer", "%s: no pinned memory for %zu bytes", d->info.uri, size);
    p->mapped = yk_cl.EnqueueMapBuffer(c->queue, p->memory, 1, YK_CL_MAP_READ_WRITE, 0, size, 0, NULL, NULL, &code);
    if (p->mapped && code == 0)
        return 0;
    yk_cl.ReleaseMemObject(p->memory);
    return yk_cl_fail(e, code, "EnqueueMapBuffer", "%s: no pinned memory for %zu bytes", d->info.uri, size);
}

/* The host's own memory, for a device that works in it. */
static int pin_plain(yoke_device *d, size_t size, void **ret, yk_error *e)
{
    void *p = yk_large(PAGE, YK_ALIGN_UP(size, YK_CACHE_LINE));
    if (!p)
        return yk_errorf(e, -ENOMEM, "%s: no memory for %zu bytes", d->info.uri, size);
    *ret = p;
    return 0;
}

static int pin(yoke_device *d, size_t size, void **ret, yk_error *e)
{
    yk_cl_device *c = d->native;
    if (c->host_memory)
        return pin_plain(d, size, ret, e);
    yk_cl_pinned *p = yk_sys.calloc(1, sizeof *p);
    if (!p)
        return yk_errorf(e, -ENOMEM, "%s: no memory", d->info.uri);
    int err = pin_mapped(d, p, size, e);
    if (err < 0) {
        free(p);
        return err;
    }
    yk_mutex_lock(&c->lock);
    p->next = c->pinned;
    c->pinned = p;
    yk_mutex_unlock(&c->lock);
    *ret = p->mapped;
    return 0;
}

static yk_cl_pinned *take_pinned(yk_cl_device *c, const void *memory)
{
    yk_mutex_lock(&c->lock);
    yk_cl_pinned **at = &c->pinned;
    while (*at && (*at)->mapped != memory)
        at = &(*at)->next;
    yk_cl_pinned *p = *at;
    if (p)
        *at = p->next;
    yk_mutex_unlock(&c->lock);
    return p;
}

static void unpin(yoke_device *d, void *memory)
{
    yk_cl_device *c = d->native;
    if (c->host_memory) {
        free(memory);
        return;
    }
    yk_cl_pinned *p = take_pinned(c, memory);
    if (!p)
        return;
    yk_cl.EnqueueUnmapMemObject(c->queue, p->memory, p->mapped, 0, NULL, NULL);
    yk_cl.Finish(c->queue);
    yk_cl.ReleaseMemObject(p->memory);
    free(p);
}

const yk_gpu_driver yk_gpu_opencl = {
    .name = "opencl",
    .count = count,
    .describe = describe,
    .opened = is_open,
    .find = find,
    .open = open_device,
    .close = close_device,
    .take = take,
    .give = give,
    .pin = pin,
    .unpin = unpin,
    .stream_open = yk_cl_stream_open,
    .stream_close = yk_cl_stream_close,
    .stream_wait = yk_cl_stream_wait,
    .stream_try = yk_cl_stream_try,
    .event_open = yk_cl_event_open,
    .event_close = yk_cl_event_close,
    .event_mark = yk_cl_event_mark,
    .event_after = yk_cl_event_after,
    .event_wait = yk_cl_event_wait,
    .event_try = yk_cl_event_try,
    .event_elapsed = yk_cl_event_elapsed,
    .copy = yk_cl_copy,
    .fill = yk_cl_fill,
    .build = yk_cl_build,
    .function = yk_cl_function,
    .unload = yk_cl_unload,
    .launch = yk_cl_launch,
    .graph_open = yk_cl_graph_open,
    .graph_launch = yk_cl_graph_launch,
    .graph_close = yk_cl_graph_close,
};
