/* fake_cuda.h - how a test steers the CUDA driver that is none: fake-cuda.so, built from fake_cuda.c, in place of
 * libcuda.so.1 (YOKE_CUDA_DRIVER), of NVRTC (YOKE_NVRTC) and of cuBLAS (YOKE_CUBLAS). It is stricter than a driver: host
 * memory of a copy is not touched before the stream comes to it, every address, handle and current context is checked, and
 * what is left over is counted. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fake_launch {
    unsigned groups[3], group[3];
    size_t local;
    void *const *args; /* where copies of the values lie */
} fake_launch;
typedef void (*fake_kernel)(const fake_launch *l);

typedef struct fake_live {
    unsigned contexts, streams, events, modules, blocks, pinned, programs, handles, graphs; /* and what launches graphs */
} fake_live;

typedef struct fake_cuda {
    /* To be set before yoke opens the driver. */
    int devices, version, capability;
    /* What a name in an image means, and the sizes of its parameters, ended by 0. Images are texts or real cubins. */
    void (*kernel)(const char *name, fake_kernel fn, const size_t *sizes);
    /* The k-th call of the named function from now on (NULL: of any) gives this result; one after which a context is
     * lost, all that follow too. k = 0: none. A call that gives something back does so all the same, as the driver's
     * do. */
    void (*fail)(const char *function, int k, int result);
    /* The name of the function that was made to fail, or "". */
    const char *(*failed)(void);
    /* Calls of the named function (NULL: of any) since fail(). */
    unsigned (*calls)(const char *function);
    /* Streams stand still, and go on. */
    void (*hold)(bool on);
    /* From within a kernel: it dies, and the context with it. */
    void (*fault)(int result);
    /* Every launch, copy and so on takes so long. */
    void (*slow)(int64_t ns);
    fake_live (*live)(void);
    /* What remained in contexts when they were given up, and calls that a driver need not survive; since the beginning.
     */
    unsigned (*leaked)(void);
    const char *(*complaint)(void); /* the first such call, or "" */
} fake_cuda;

/* The library's one exported variable: fake_cuda fake_cuda_control. */
#endif
