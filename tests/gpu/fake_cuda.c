/* fake_cuda.c - a CUDA driver on the memory of the host, for tests; see fake_cuda.h. Here are steering, devices and
 * contexts.
 *
 *     -DFAKE_BEFORE=12000   a driver of 11.4: cuGetProcAddress without a status
 *     -DFAKE_BEFORE=11030   one of 11.0: symbols alone
 *     -DFAKE_BEFORE=11000   one of 10.2: and one of them is not there yet
 *     -DFAKE_STUB           a library for linking: every call gives 34, and does nothing */
#include "fake_inside.h"
#include <stdio.h>
#include <string.h>

#ifndef FAKE_BEFORE
#define FAKE_BEFORE 99999
#endif

struct fake_state fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
__thread struct yk_cu_context *fake_current;
__thread unsigned fake_current_generation;
__thread const struct yk_cu_stream *fake_running;

/* ---- Steering ---- */

void fake_complain(const char *what, const char *function)
{
    if (!*fake.complaint)
        snprintf(fake.complaint, sizeof fake.complaint, "%s: %s", function, what);
}

bool fake_is_lost(int result)
{
    return result == 214 || result == 220 || result == 226 || result == 700 || result == 702 || result == 709 ||
           result == 710 || (result >= 714 && result <= 719) || result == 721;
}

static void count_call(const char *name)
{
    size_t i = 0;
    while (i < YK_COUNT_OF(fake.counts) - 1 && *fake.counts[i].name && strcmp(fake.counts[i].name, name) != 0)
        i++;
    snprintf(fake.counts[i].name, sizeof fake.counts[i].name, "%s", name);
    fake.counts[i].count++;
}

/* What every call begins with, under the fake.lock: whether it is to fail, and with what. */
int fake_enter(const char *symbol)
{
#ifdef FAKE_STUB
    return YK_CUDA_STUB;
#endif
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(symbol) - (strstr(symbol, "_v2") ? 3 : 0)), symbol);
    count_call(name);
    bool meant = fake.injected.k > 0 && (!*fake.injected.function || strcmp(fake.injected.function, name) == 0);
    if (!meant || --fake.injected.k > 0)
        return 0;
    snprintf(fake.failed_name, sizeof fake.failed_name, "%s", name);
    fake.injected.forgive |= strcmp(name, "cuCtxSetCurrent") == 0;
    if (fake_current && fake_is_lost(fake.injected.result))
        fake_current->sticky = fake.injected.result;
    return fake.injected.result;
}

static void control_kernel(const char *name, fake_kernel fn, const size_t *sizes)
{
    pthread_mutex_lock(&fake.lock);
    size_t at = 0;
    while (at < fake.kernel_count && strcmp(fake.kernels[at].name, name) != 0)
        at++;
    struct yk_cu_function *k = &fake.kernels[at % KERNELS_MOST];
    fake.kernel_count = YK_MAX(fake.kernel_count, (unsigned)YK_MIN(at + 1, (size_t)KERNELS_MOST));
    snprintf(k->name, sizeof k->name, "%s", name);
    k->fn = fn;
    for (unsigned i = 0; i < PARAMETERS_MOST - 1 && (k->sizes[i] = sizes[i]); i++)
        ;
    pthread_mutex_unlock(&fake.lock);
}

static void control_fail(const char *function, int k, int result)
{
    pthread_mutex_lock(&fake.lock);
    snprintf(fake.injected.function, sizeof fake.injected.function, "%s", function ? function : "");
    fake.injected.k = k;
    fake.injected.result = result;
    fake.injected.forgive = false;
    *fake.failed_name = '\0';
    memset(fake.counts, 0, sizeof fake.counts);
    pthread_mutex_unlock(&fake.lock);
}

static const char *control_failed(void)
{
    return fake.failed_name;
}

static unsigned control_calls(const char *function)
{
    unsigned n = 0;
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < YK_COUNT_OF(fake.counts); i++)
        if (!function || strcmp(function, fake.counts[i].name) == 0)
            n += fake.counts[i].count;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static void control_hold(bool on)
{
    pthread_mutex_lock(&fake.lock);
    fake.held = on;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

static void control_fault(int result)
{
    pthread_mutex_lock(&fake.lock);
    if (fake_running)
        fake_running->context->sticky = result;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

static void control_slow(int64_t ns)
{
    pthread_mutex_lock(&fake.lock);
    fake.slowness = ns;
    pthread_mutex_unlock(&fake.lock);
}

static fake_live control_live(void)
{
    pthread_mutex_lock(&fake.lock);
    fake_end_streams();
    fake_live now = fake.live;
    pthread_mutex_unlock(&fake.lock);
    return now;
}

static unsigned control_leaked(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.leaked;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

static const char *control_complaint(void)
{
    return fake.complaint;
}

API fake_cuda fake_cuda_control = {1,
                                   YK_MIN(FAKE_BEFORE - 10, 13000),
                                   90,
                                   control_kernel,
                                   control_fail,
                                   control_failed,
                                   control_calls,
                                   control_hold,
                                   control_fault,
                                   control_slow,
                                   control_live,
                                   control_leaked,
                                   control_complaint};

/* ---- Finding and describing ---- */

#define NAMED(name, suffix, parameters) {#name, (void *)(uintptr_t)name##suffix},
static const struct {
    const char *name;
    void *function;
} all[] = {YK_CUDA_CALLS(NAMED) YK_CUDA_LATER(NAMED)};

static __attribute__((unused)) int find(const char *name, void **ret, int version)
{
#ifdef FAKE_STUB
    return YK_CUDA_STUB;
#endif
    if (version > fake_cuda_control.version)
        return YK_CUDA_INVALID_VALUE;
    *ret = NULL;
    for (size_t i = 0; i < YK_COUNT_OF(all); i++)
        if (strcmp(all[i].name, name) == 0)
            *ret = all[i].function;
    return YK_CUDA_OK;
}

#if FAKE_BEFORE > 11030
API int cuGetProcAddress(const char *name, void **ret, int version, uint64_t flags);
int cuGetProcAddress(const char *name, void **ret, int version, uint64_t flags)
{
    return find(name, ret, version);
}
#endif
#if FAKE_BEFORE > 12000
API int cuGetProcAddress_v2(const char *name, void **ret, int version, uint64_t flags, int *status);
int cuGetProcAddress_v2(const char *name, void **ret, int version, uint64_t flags, int *status)
{
    *status = 0;
    return find(name, ret, version);
}
#endif

/* What a driver still has from a time of 32 bits: never to be called. */
API int cuMemAlloc(unsigned *ret, unsigned size);
int cuMemAlloc(unsigned *ret, unsigned size)
{
    fake_complain("the function for 32 bits", __func__);
    return YK_CUDA_UNKNOWN;
}

int cuInit(unsigned flags)
{
    BEGIN_OR_RETURN(false);
    fake.initialized = true;
    RETURN(flags ? YK_CUDA_INVALID_VALUE : YK_CUDA_OK);
}

int cuDriverGetVersion(int *ret)
{
    BEGIN_OR_RETURN(false);
    *ret = fake_cuda_control.version;
    RETURN(YK_CUDA_OK);
}

int cuGetErrorName(int result, const char **ret)
{
    static const struct {
        int result;
        const char *name;
    } names[] = {{1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}};
    for (size_t i = 0; i < YK_COUNT_OF(names); i++)
        if (names[i].result == result) {
            *ret = names[i].name;
            return YK_CUDA_OK;
        }
    *ret = NULL;
    return result == 12345 ? YK_CUDA_INVALID_VALUE : (*ret = "CUDA_ERROR_FAKE", YK_CUDA_OK);
}

int cuGetErrorString(int result, const char **ret)
{
    *ret = result == 2 ? "out of memory" : "something else";
    return result == 12345 ? YK_CUDA_INVALID_VALUE : YK_CUDA_OK;
}

int cuDeviceGetCount(int *ret)
{
    BEGIN_OR_RETURN(false);
    *ret = fake_cuda_control.devices;
    RETURN(fake.initialized ? YK_CUDA_OK : YK_CUDA_NOT_INITIALIZED);
}

int cuDeviceGet(int *ret, int ordinal)
{
    BEGIN_OR_RETURN(false);
    if (ordinal < 0 || ordinal >= fake_cuda_control.devices)
        RETURN(YK_CUDA_INVALID_DEVICE);
    *ret = ordinal;
    RETURN(YK_CUDA_OK);
}

int cuDeviceGetName(char *ret, int size, int device)
{
    BEGIN_OR_RETURN(false);
    snprintf(ret, (size_t)size, "Fake %c100", 'A' + device);
    RETURN(YK_CUDA_OK);
}

int cuDeviceGetUuid(struct yk_cu_uuid *ret, int device)
{
    BEGIN_OR_RETURN(false);
    for (int i = 0; i < 16; i++)
        ret->bytes[i] = (unsigned char)(16 * i + device);
    RETURN(YK_CUDA_OK);
}

int cuDeviceTotalMem_v2(size_t *ret, int device)
{
    BEGIN_OR_RETURN(false);
    *ret = (size_t)1 << 30;
    RETURN(YK_CUDA_OK);
}

int cuDeviceGetAttribute(int *ret, int attribute, int device)
{
    BEGIN_OR_RETURN(false);
    int capability = fake_cuda_control.capability;
    const struct {
        int attribute, value;
    } values[] = {{1, 1024},
                  {8, 48 << 10},
                  {10, 32},
                  {13, 1980000},
                  {16, 132},
                  {33, 0x1b},
                  {34, device},
                  {36, 3201000},
                  {37, 6144},
                  {38, 60 << 20},
                  {39, 2048},
                  {40, 3},
                  {50, 0},
                  {75, capability / 10},
                  {76, capability % 10},
                  {82, 1 << 16},
                  {97, LOCAL_MOST},
                  {100, 0}};
    for (size_t i = 0; i < YK_COUNT_OF(values); i++)
        if (values[i].attribute == attribute) {
            *ret = values[i].value;
            RETURN(YK_CUDA_OK);
        }
    RETURN(YK_CUDA_INVALID_VALUE);
}

/* ---- Contexts ---- */

int fake_state_of_current(void)
{
    if (!fake_current || !fake_current->references)
        return YK_CUDA_INVALID_CONTEXT;
    return fake_current_generation != fake_current->generation ? YK_CUDA_DESTROYED : fake_current->sticky;
}

int cuDevicePrimaryCtxRetain(struct yk_cu_context **ret, int device)
{
    BEGIN_OR_RETURN(false);
    struct yk_cu_context *c = &fake.contexts[device];
    if (c->references++ == 0) {
        *c = (struct yk_cu_context){.references = 1, .generation = c->generation + 1};
        fake.live.contexts++;
    }
    *ret = c;
    RETURN(YK_CUDA_OK);
}

static bool is_busy(const struct yk_cu_context *c)
{
    bool busy = false;
    for (struct yk_cu_stream *s = fake.streams; s; s = s->next)
        busy |= s->context == c && !c->sticky && (s->busy || s->first);
    return busy;
}

void fake_wait_idle(const struct yk_cu_context *c)
{
    while (is_busy(c))
        pthread_cond_wait(&fake.changed, &fake.lock);
}

/* A context that goes takes all with it that lives in it, handles or not. */
static void end_context(struct yk_cu_context *c)
{
    unsigned left = c->streams + c->events + c->modules + c->blocks + c->pinned + c->handles + c->graphs;
    if (!c->sticky && !fake.injected.forgive)
        fake.leaked += left;
    fake.live.streams -= c->streams;
    fake.live.events -= c->events;
    fake.live.modules -= c->modules;
    fake.live.blocks -= c->blocks;
    fake.live.pinned -= c->pinned;
    fake.live.handles -= c->handles;
    fake.live.graphs -= c->graphs;
    c->streams = c->events = c->modules = c->blocks = c->pinned = c->handles = c->graphs = 0;
    fake_end_handles(c);
    for (struct yk_cu_stream *s = fake.streams; s; s = s->next)
        s->closing |= s->context == c;
    for (struct yk_cu_event *v = fake.events, *next; v; v = next) {
        next = v->next;
        if (v->context == c)
            fake_end_event(v);
    }
    for (struct yk_cu_module *m = fake.modules, *next; m; m = next) {
        next = m->next;
        if (m->context == c)
            fake_end_module(m);
    }
    for (struct yk_cu_graph *g = fake.graphs, *next; g; g = next) {
        next = g->next;
        if (g->context == c)
            fake_end_graph(g);
    }
    for (block *b = fake.blocks; b; b = b->next)
        b->context = b->context == c ? NULL : b->context;
    fake.live.contexts--;
    pthread_cond_broadcast(&fake.changed);
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    BEGIN(false);
    struct yk_cu_context *c = &fake.contexts[device];
    if (!c->references)
        RETURN(YK_CUDA_INVALID_CONTEXT);
    if (--c->references == 0)
        end_context(c);
    RETURN(begun);
}

int cuCtxSetCurrent(struct yk_cu_context *context)
{
    BEGIN_OR_RETURN(false);
    if (context && !context->references)
        RETURN(YK_CUDA_INVALID_CONTEXT);
    fake_current = context;
    fake_current_generation = context ? context->generation : 0;
    RETURN(YK_CUDA_OK);
}

int cuCtxGetCurrent(struct yk_cu_context **ret)
{
    BEGIN_OR_RETURN(false);
    *ret = fake_current;
    RETURN(YK_CUDA_OK);
}
