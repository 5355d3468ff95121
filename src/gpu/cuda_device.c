/* cuda_device: the CUDA devices of the machine, and opening one. A device is its primary context, the one that the CUDA
 * runtime and all that stands on it use, so that memory and streams can be given to and fro. */
#include "gpu/cuda.h"
#include "topo/topo.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Numbers of CUdevice_attribute. */
enum attribute {
    GROUP_MOST = 1,
    LOCAL = 8,
    WARP = 10,
    CLOCK_KHZ = 13,
    UNITS = 16,
    PCI_BUS = 33,
    PCI_DEVICE = 34,
    MEMORY_CLOCK_KHZ = 36,
    BUS_BITS = 37,
    CACHE = 38,
    UNIT_THREADS = 39,
    COPY_ENGINES = 40,
    PCI_DOMAIN = 50,
    MAJOR = 75,
    MINOR = 76,
    UNIT_REGISTERS = 82,
    LOCAL_MOST = 97,
    HOST_PAGE_TABLES = 100
};

/* 0 when the driver does not know it. */
static unsigned ask(int device, enum attribute a)
{
    int value = 0;
    return yk_cuda.cuDeviceGetAttribute(&value, a, device) == YK_CUDA_OK && value > 0 ? (unsigned)value : 0;
}

static int node_of(const char *pci)
{
    char path[100], text[20];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci);
    return yk_read_text(path, text, sizeof text) ? (int)strtol(text, NULL, 10) : -1;
}

static void describe_version(yoke_device_info *ret)
{
    char module[60];
    int version = yk_cuda_version();
    if (!yk_read_text("/sys/module/nvidia/version", module, sizeof module))
        *module = '\0';
    module[strcspn(module, "\n")] = '\0';
    snprintf(ret->version, sizeof ret->version, "CUDA %d.%d%s%s", version / 1000, version % 1000 / 10,
             *module ? ", driver " : "", module);
}

static void describe_place(int device, yoke_device_info *ret)
{
    snprintf(ret->pci, sizeof ret->pci, "%04x:%02x:%02x.0", ask(device, PCI_DOMAIN) & 0xffff, ask(device, PCI_BUS) & 0xff,
             ask(device, PCI_DEVICE) & 0xff);
    ret->numa = node_of(ret->pci);
}

static void describe_numbers(int device, yoke_device_info *ret)
{
    unsigned memory_clock = ask(device, MEMORY_CLOCK_KHZ);
    ret->capability = ask(device, MAJOR) * 10 + ask(device, MINOR);
    ret->units = ask(device, UNITS);
    ret->warp = ask(device, WARP);
    ret->group_most = ask(device, GROUP_MOST);
    ret->unit_threads = ask(device, UNIT_THREADS);
    ret->unit_registers = ask(device, UNIT_REGISTERS);
    ret->copy_engines = ask(device, COPY_ENGINES);
    ret->clock_mhz = ask(device, CLOCK_KHZ) / 1000;
    ret->memory_clock_mhz = memory_clock / 1000;
    ret->bus_bits = ask(device, BUS_BITS);
    ret->bandwidth = 2e3 * memory_clock * ret->bus_bits / 8; /* two transfers in each cycle */
    ret->cache = ask(device, CACHE);
    ret->local = ask(device, LOCAL);
    ret->local_most = YK_MAX(ask(device, LOCAL_MOST), ret->local);
    /* Pages that move to and fro on demand (HMM) would do too, but slower than a copy. */
    ret->shares_host_memory = ask(device, HOST_PAGE_TABLES);
}

int yk_cuda_count(yk_error *e)
{
    return yk_cuda_load(e);
}

void yk_cuda_describe(unsigned i, yoke_device_info *ret)
{
    int device;
    memset(ret, 0, sizeof *ret);
    snprintf(ret->uri, sizeof ret->uri, "cuda:%u", i);
    snprintf(ret->driver, sizeof ret->driver, "cuda");
    ret->numa = -1;
    ret->is_gpu = ret->has_double = true;
    if (yk_cuda_load(NULL) <= (int)i || yk_cuda.cuDeviceGet(&device, (int)i) != YK_CUDA_OK)
        return;
    if (yk_cuda.cuDeviceGetName(ret->name, sizeof ret->name, device) != YK_CUDA_OK)
        *ret->name = '\0';
    ret->name[sizeof ret->name - 1] = '\0';
    if (yk_cuda.cuDeviceTotalMem(&ret->memory, device) != YK_CUDA_OK)
        ret->memory = 0;
    ret->largest = ret->memory;
    describe_version(ret);
    describe_place(device, ret);
    describe_numbers(device, ret);
}

/* ---- By name ---- */

static void uuid_text(int device, char ret[45])
{
    struct yk_cu_uuid id;
    *ret = '\0';
    if (yk_cuda.cuDeviceGetUuid(&id, device) != YK_CUDA_OK)
        return;
    int n = snprintf(ret, 45, "GPU-");
    for (int k = 0; k < 16; k++)
        n += snprintf(ret + n, 45 - (size_t)n, "%s%02x", k == 4 || k == 6 || k == 8 || k == 10 ? "-" : "", id.bytes[k]);
}

static bool is_meant(const char *arg, unsigned i)
{
    yoke_device_info about;
    char id[45] = "";
    int device;
    yk_cuda_describe(i, &about);
    if (yk_cuda.cuDeviceGet(&device, (int)i) == YK_CUDA_OK)
        uuid_text(device, id);
    bool is_id = strncasecmp(arg, "GPU-", 4) == 0 && strncasecmp(id, arg, strlen(arg)) == 0;
    return is_id || strcasecmp(arg, about.pci) == 0 || strcasestr(about.name, arg);
}

/* The number, part of the name, the beginning of the identity that nvidia-smi -L shows, or the place on the bus. Digits alone
 * are always the number: "1" must not find the one device there is by its name, H100. */
int yk_cuda_find(const char *arg, yk_error *e)
{
    int count = yk_cuda_load(e);
    if (count < 0)
        return count;
    const bool is_number = *arg && strspn(arg, "0123456789") == strlen(arg);
    unsigned long number = is_number ? strtoul(arg, NULL, 10) : 0;
    if (is_number && number < (unsigned long)count)
        return (int)number;
    for (unsigned i = 0; *arg && !is_number && i < (unsigned)count; i++)
        if (is_meant(arg, i))
            return (int)i;
    return yk_errorf(e, ENOENT, "cuda: no device is called \"%s\"; there %s %d", arg, count == 1 ? "is" : "are", count);
}

/* ---- Opening ---- */

_Thread_local uint32_t yk_cuda_entered;

int yk_cuda_enter_slow(const yk_cuda_device *c)
{
    int result = yk_cuda.cuCtxSetCurrent(c->context);
    yk_cuda_entered = result == YK_CUDA_OK ? c->serial : 0;
    return result;
}

static int enter_first(yoke_device *d, yk_error *e)
{
    size_t available, total;
    int err = yk_cuda_enter_for(d, "opening the device", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuMemGetInfo(&available, &total);
    if (result != YK_CUDA_OK)
        return yk_cuda_fail(e, result, "cuMemGetInfo", "opening the device");
    d->info.memory_free = available;
    return 0;
}

int yk_cuda_open(yoke_device *d, unsigned i, yk_error *e)
{
    int count = yk_cuda_load(e);
    if (count < 0)
        return count;
    if (i >= (unsigned)count)
        return yk_errorf(e, ENOENT, "cuda: there is no device %u, but %d", i, count);
    static _Atomic uint32_t openings;
    yk_cuda_device *c = yk_sys.calloc(1, sizeof *c);
    if (!c)
        return yk_errorf(e, ENOMEM, "cuda: no memory to open a device");
    c->serial = atomic_fetch_add_explicit(&openings, 1, memory_order_relaxed) + 1;
    int err = 0, result = yk_cuda.cuDeviceGet(&c->ordinal, (int)i);
    if (result != YK_CUDA_OK)
        err = yk_cuda_fail(e, result, "cuDeviceGet", "opening device %u", i);
    if (err == 0 && d->info.capability == 0)
        err = yk_errorf(e, EIO, "cuda: device %u does not say what it can (cuDeviceGetAttribute)", i);
    if (err == 0) {
        result = yk_cuda.cuDevicePrimaryCtxRetain(&c->context, c->ordinal);
        if (result != YK_CUDA_OK)
            err = yk_cuda_fail(e, result, "cuDevicePrimaryCtxRetain", "opening device %u", i);
    }
    if (err < 0) {
        free(c);
        return err;
    }
    d->native = c;
    err = enter_first(d, e);
    if (err < 0)
        yk_cuda_close(d);
    return err;
}

void yk_cuda_close(yoke_device *d)
{
    yk_cuda_device *c = d->native;
    if (!c)
        return;
    struct yk_cu_context *before = NULL;
    yk_cuda.cuCtxGetCurrent(&before);
    if (yk_cuda_enter(d) == YK_CUDA_OK) {
        yk_cublas_done(d);
        yk_cuda_fill_done(c);
    }
    yk_cuda.cuCtxSetCurrent(before != c->context ? before : NULL); /* ours may be gone after this */
    yk_cuda.cuDevicePrimaryCtxRelease(c->ordinal);
    free(c);
    d->native = NULL;
}
