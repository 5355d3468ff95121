/* fake_inside.h - what the files of the fake driver share: fake_cuda.c steers, fake_stream.c has memory, streams and
 * events, fake_image.c images and launches, fake_graph.c graphs, fake_nvrtc.c the compiler, fake_cublas.c products. One lock
 * guards all; work is done
 * without it. */
#ifndef FAKE_INSIDE_H
#define FAKE_INSIDE_H
#include "fake_cuda.h"
#include "gpu/cuda.h"
#include <pthread.h>

#define API __attribute__((visibility("default")))
enum { DEVICES_MOST = 8, KERNELS_MOST = 64, PARAMETERS_MOST = 260, LOCAL_MOST = 227 << 10 };

#if defined FAKE_BEFORE && FAKE_BEFORE <= 11000
#define cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRelease
#endif
#if defined FAKE_BEFORE && FAKE_BEFORE <= 11030
#define cuGraphInstantiateWithFlags fake_of_a_later_driver
#endif

/* A driver's functions as it exports them: the same parameters, the name with its suffix. */
#define PROTOTYPE(name, suffix, parameters) API int name##suffix parameters;
YK_CUDA_CALLS(PROTOTYPE)
YK_CUDA_LATER(PROTOTYPE)

struct yk_cu_context {
    unsigned references, generation; /* how often it was made */
    int sticky;
    unsigned streams, events, modules, blocks, pinned, handles, graphs; /* that live in it */
};

typedef enum kind { COPY, SET, LAUNCH, RECORD, AFTER } kind;

typedef struct op {
    kind kind;
    char *dst;
    const char *src;
    size_t size, count;
    unsigned value;
    struct yk_cu_event *event;
    uint64_t ticket;
    fake_kernel fn;
    fake_launch launch;
    char *values;
    size_t value_count, value_size;
    struct op *next;
} op;

struct yk_cu_stream {
    struct yk_cu_context *context;
    op *first, **last;
    bool busy, closing, ended;
    struct yk_cu_graph *capture; /* what is put in it goes there */
    pthread_t thread;
    struct yk_cu_stream *next;
};

/* A graph, and what was made of one: a list of things to do. */
struct yk_cu_graph {
    struct yk_cu_context *context;
    op *first, **last;
    struct yk_cu_graph *next;
};

struct yk_cu_event {
    struct yk_cu_context *context;
    uint64_t recorded, completed;
    unsigned references;
    bool timed;
    double ms;
    struct yk_cu_event *next;
};

struct yk_cu_function {
    char name[64];
    fake_kernel fn;
    size_t sizes[PARAMETERS_MOST];
    int dynamic_most;
    struct yk_cu_function *next;
};

struct yk_cu_module {
    struct yk_cu_context *context;
    char *text;
    size_t len;
    struct yk_cu_function *functions;
    struct yk_cu_module *next;
};

typedef struct block {
    char *base;
    size_t size;
    bool pinned;
    struct yk_cu_context *context;
    struct block *next;
} block;

/* Everything, under its lock. */
struct fake_state {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct yk_cu_context contexts[DEVICES_MOST];
    struct yk_cu_function kernels[KERNELS_MOST];
    unsigned kernel_count, leaked;
    struct yk_cu_stream *streams;
    struct yk_cu_event *events;
    struct yk_cu_module *modules;
    struct yk_cu_graph *graphs;
    block *blocks;
    fake_live live;
    bool initialized, held;
    int64_t slowness;
    char complaint[200], failed_name[64];
    struct {
        char function[64];
        int k, result;
        bool forgive; /* the switch of contexts was made to fail: what could not be given back is no leak */
    } injected;
    struct {
        char name[64];
        unsigned count;
    } counts[100];
};
extern struct fake_state fake;
extern __thread struct yk_cu_context *fake_current;
extern __thread unsigned fake_current_generation;
extern __thread const struct yk_cu_stream *fake_running; /* in a stream's thread */

void fake_complain(const char *what, const char *function);
/* A result after which a context is of no use. */
bool fake_is_lost(int result);
/* What every call begins with, under the lock: 0, or what it is to fail with. */
int fake_enter(const char *symbol);
/* Counts one more or less: fake_count(fake_current, events, 1). */
#define fake_count(c, what, by) ((c)->what += (unsigned)(by), fake.live.what += (unsigned)(by))
/* 0, or why nothing can be done with the context that is current. */
int fake_state_of_current(void);
/* Until the context's streams have nothing to do. */
void fake_wait_idle(const struct yk_cu_context *c);
/* Give back one, or all that a context that ends has left. */
void fake_end_event(struct yk_cu_event *v);
void fake_end_module(struct yk_cu_module *m);
void fake_end_streams(void);
void fake_end_handles(const struct yk_cu_context *c);
/* The block of memory in which all of it lies, or NULL. */
struct block *fake_block_at(const void *p, size_t size, bool pinned);
void fake_end_graph(struct yk_cu_graph *g);
void fake_free_op(op *o);
/* A stream that is not known, or of another context than the current one. */
bool fake_is_wrong(const struct yk_cu_stream *wanted, const char *function);
/* Puts something in a stream, or in the graph that is captured of it. */
int fake_put(struct yk_cu_stream *s, op what, const char *function);

#define RETURN(result)                                                                                                   \
    do {                                                                                                                 \
        int returned = (result);                                                                                         \
        pthread_mutex_unlock(&fake.lock);                                                                                \
        return returned;                                                                                                 \
    } while (0)
/* needs: the call is about the fake_current context. */
#define BEGIN(needs)                  \
    pthread_mutex_lock(&fake.lock);   \
    int begun = fake_enter(__func__); \
    if (!begun && (needs))            \
    begun = fake_state_of_current()
#define BEGIN_OR_RETURN(needs)                                                                                           \
    BEGIN(needs);                                                                                                        \
    if (begun)                                                                                                           \
    RETURN(begun)

#endif
