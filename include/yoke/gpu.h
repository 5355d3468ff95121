/* yoke/gpu.h - devices: CUDA and OpenCL devices, and the CPU as one of them; their memory, streams and events.
 *
 *     yoke_device *dev = yoke_device_open(NULL);              // YOKE_DEVICE, else the best there is
 *     yoke_stream *s = yoke_stream_open(dev);
 *     float *x = yoke_device_alloc(dev, n * sizeof *x);       // memory of the device
 *     yoke_stream_copy(s, x, host, n * sizeof *x);            // up, down or across: the addresses tell
 *     yoke_enqueue(s, scale, n, 2, x);                        // a kernel, see yoke/kernel.h
 *     yoke_stream_copy(s, host, x, n * sizeof *x);
 *     if (yoke_stream_wait(s) < 0)                            // everything before has been done, or this is why not
 *         fprintf(stderr, "%s\n", yoke_device_error(dev));
 *     yoke_stream_close(s);
 *     yoke_device_close(dev);
 *
 * A device is named by a string: "cuda:0" (by number), "opencl:pocl" (platform or device whose name has that in it),
 * "opencl:1", "opencl", "cuda", "cpu", "cpu:4" (so many threads), "gpu" (the first of CUDA devices, then of OpenCL
 * devices that are GPUs, that can be opened). NULL is what the environment variable YOKE_DEVICE says (several names with commas
 * between: the first that can be opened), and without it the first of: a CUDA device, an OpenCL GPU, the CPU. Nothing of CUDA
 * or OpenCL is needed to build; drivers are opened when a device is first asked for, and where there are none, or broken ones,
 * this is one line of text in the error. YOKE_OPENCL_DRIVER names a library to be opened instead of libOpenCL.so.1, whose
 * drivers stand in /etc/OpenCL/vendors; YOKE_CUDA_DRIVER one instead of libcuda.so.1. For CUDA devices kernels are compiled by
 * NVRTC, 11.2 or later: a library of CUDA's toolkit and of Python's package nvidia-cuda-nvrtc, which is looked for where
 * LD_LIBRARY_PATH, CUDA_HOME, CUDA_PATH, VIRTUAL_ENV and CONDA_PREFIX say, in yoke/nvrtc in the user's cache, and where
 * toolkit, system and Python put it; or YOKE_NVRTC names it. What it has compiled is kept in kernels/ in the folder for
 * compiled modules (YOKE_CACHE, see yoke/module.h). Matrices are multiplied by cuBLAS (11.2 or later; Python's package
 * nvidia-cublas) when it is found in the same places, or where YOKE_CUBLAS says, the library or its folder; YOKE_CUBLAS=off
 * does without it. `yoke doctor` says what was found.
 *
 * "cuda:" may also be followed by part of a device's name, by the beginning of its identity (GPU-...) or by its place on
 * the bus; digits alone are its number. Its device is the primary context, which the CUDA runtime uses too; calls leave it
 * current in their thread.
 *
 * Addresses. Memory of a device is named by ordinary typed pointers, on every kind of device: x + 10 is its eleventh element,
 * and every call finds out by itself whether an address is of the device or of the host. Memory of a CUDA or OpenCL device
 * must not be touched by the host (it faults); memory of the CPU is ordinary memory. Memory belongs to the yoke_device it
 * came from: a device that is opened twice is two, as far as memory goes; but memory of one device of the CPU is memory of the
 * host for all others. Memory that was freed is refused until somebody has it again.
 *
 * Streams. What is put in a stream is done in order, and the call returns at once; two streams are independent but for
 * yoke_stream_after(). On the CPU a call returns when the work is done. Host memory given to a copy must stay until the
 * stream has come past it; pinned memory (yoke_pinned_alloc()) is copied faster, and without blocking the caller.
 *
 * Errors. Calls return 0 or a negative code; the text is yoke_device_error(). A call that is refused (a wrong address, a
 * kernel that does not compile) returns its code and has put nothing in the stream. The stream keeps the first such
 * error until it is waited for: yoke_stream_wait(), yoke_stream_try() when all is done, and yoke_stream_close() return
 * it once, with its text, so that it is enough to look at these. Memory and arrays that are not to be had are told by
 * NULL alone. Calls on a stream, device or event that is NULL, since it could not be opened, return -EINVAL.
 *
 * An error that the device finds later is returned by the next call that waits, with the names of the last kernels. One
 * from which a device cannot recover (an illegal address) makes every later call on it fail with -ENODEV; where a call
 * was refused before that, the text of the wait has both.
 *
 * A CUDA device that is lost stays so for as long as this process lives: the driver refuses to open it again. Work that
 * may go wrong like that belongs on a device that lives in worker processes, "processes:cuda:0": there it costs the job and
 * a worker.
 *
 * Any thread may use any device and stream; one stream is used by one thread at a time. In a child made by fork() the devices
 * of the parent cannot be used (-ECHILD).
 */
#ifndef YOKE_GPU_H
#define YOKE_GPU_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yoke_device yoke_device;
typedef struct yoke_stream yoke_stream;
typedef struct yoke_stream_event yoke_stream_event;
typedef struct yoke_graph yoke_graph;

/* ---- Devices ---- */

/* What a device is. Numbers that its driver does not tell are 0. Sizes in bytes. */
typedef struct yoke_device_info {
    char uri[32];            /* "cuda:0": opens it */
    char driver[16];         /* "cuda", "opencl", "cpu" */
    char name[128];          /* "NVIDIA H200" */
    char platform[128];      /* "Portable Computing Language"; "" for cuda and cpu */
    char version[128];       /* of the driver */
    char pci[16];            /* "0000:01:00.0" */
    int numa;                /* node of the host nearest to it, or -1 */
    bool is_gpu;
    bool shares_host_memory; /* addresses of the host are addresses of the device */
    bool has_double;
    unsigned capability;     /* CUDA: 90 is 9.0 */
    unsigned units;          /* multiprocessors, compute units, CPUs */
    unsigned warp;           /* threads that run in step */
    unsigned group_most;     /* threads in a work-group */
    unsigned unit_threads;   /* threads that a unit holds at a time */
    unsigned unit_registers;
    unsigned copy_engines;
    unsigned clock_mhz, memory_clock_mhz, bus_bits;
    double bandwidth;        /* peak of its memory, bytes a second, from clock and bus; 0 unknown */
    size_t memory, memory_free, largest; /* of the device; free just now; the largest that can be had in one piece */
    size_t cache;            /* L2 */
    size_t local, local_most;/* memory of a work-group: by default, and on request */
} yoke_device_info;

/* How many devices there are, of all drivers: first CUDA, then OpenCL, then the CPU, which is always there. Opens the
 * drivers. */
YOKE_API unsigned yoke_device_count(void);
/* The i-th. 0, or -ENOENT. */
YOKE_API int yoke_device_at(unsigned i, yoke_device_info *ret);
/* Why a driver ("cuda", "opencl") offers nothing, as one line; "" when it does. Valid in this thread until the next
 * call for the same driver. */
YOKE_API const char *yoke_driver_error(const char *driver);

/* Opens a device; of several names the first that can be opened. Never NULL: one that cannot be opened refuses every call with
 * its reason. */
YOKE_API yoke_device *yoke_device_open(const char *uri);
/* 0, or the negative code for which it cannot be used (any more): -ENOENT no such device, -ENODEV no driver or lost. */
YOKE_API int yoke_device_status(yoke_device *dev);
/* The last error of a call on this device or its streams as one line, "" if there was none. Valid until the next error. */
YOKE_API const char *yoke_device_error(yoke_device *dev);
/* Valid until the device is closed. All zero when it could not be opened. */
YOKE_API const yoke_device_info *yoke_device_about(yoke_device *dev);
/* Waits for all its streams, closes those that are still open, and graphs, frees its memory. NULL is allowed. Events are
 * closed before. 0, what yoke_device_status() said, or the first error of the streams that it closed. */
YOKE_API int yoke_device_close(yoke_device *dev);

/* ---- Executors ----
 *
 * yoke_open("cuda:0"), yoke_open("opencl:pocl"): an executor whose tasks own a device. They run one at a time in a thread of the
 * executor, and put work on the device by themselves:
 *
 *     YOKE_TASK(double, norm, (yoke_in_f32, v))
 *     {
 *         yoke_stream *s = yoke_stream_open(yoke_current_device());
 *         ...
 *
 * Kernels (yoke_launch(), yoke/kernel.h) are such tasks, too. Small ones of one kind that stand in the queue together, with
 * arrays of the host of at most 64 KiB in all and without a deadline, are done together: one copy up, their launches, one
 * copy down and one wait. Each ends with its own result or error all the same: their arrays are written when all has gone
 * well, and when anything fails each is done by itself.
 *
 * yoke_open("processes:cuda:0"), yoke_open("processes:2:opencl"): the device lives in worker processes, one or as many as are
 * named. Each opens it for itself when the first of its tasks asks for it, by yoke_current_device() or by being a kernel.
 * Arguments and results travel as on `processes`. A device that is lost, a driver that crashes and a kernel that runs into its
 * timeout cost the job that met them, which is tried again if it has retries, and a worker: a fresh one takes its place at
 * once, and opens the device anew. The same holds on plain `processes` for a device that a task has opened by itself.
 *
 * The program's own process does not open the driver. It must not have done so before either, since drivers do not work in
 * children of a process that has used them: the executor's error is -ECHILD then. Once the executor is open it may. A device
 * that is not there is the error of the jobs that ask for it, not of yoke_open(); the next job looks again. Memory of a
 * device of this process is out of its workers' reach (-EFAULT); each of them takes memory of the device for a context of
 * its own, on CUDA some hundred MiB.
 */

struct yoke_executor;
/* The device of such an executor; NULL of any other, also of one whose workers have it. Closed with the executor. */
YOKE_API yoke_device *yoke_executor_device(struct yoke_executor *ex);
/* That of the executor which runs the calling task; NULL when it has none, or outside of tasks. */
YOKE_API yoke_device *yoke_current_device(void);

/* ---- Memory ---- */

/* Memory of the device, 256-byte aligned, not zeroed; NULL when there is none left, see yoke_device_error(). What is freed is
 * kept for the next that asks; on want of memory it is given back to the driver first. On a CPU, blocks of 4 MiB and more lie on
 * large pages where the system has them, and loops over them are faster than over memory of malloc(). */
YOKE_API void *yoke_device_alloc(yoke_device *dev, size_t size);
/* For use when what was put in streams before has used it: waits for nothing, but the memory is handed out again only to work
 * that comes later in the same streams or after them. NULL is allowed. */
YOKE_API void yoke_device_free(yoke_device *dev, void *memory);
/* The same in the order of a stream: memory freed in it can be had again in it at once, in another when the stream has come
 * past. */
YOKE_API void *yoke_stream_alloc(yoke_stream *s, size_t size);
YOKE_API void yoke_stream_free(yoke_stream *s, void *memory);
/* Host memory that the device reads and writes directly: page-locked. Any device's may be used with any. NULL: none left. */
YOKE_API void *yoke_pinned_alloc(yoke_device *dev, size_t size);
YOKE_API void yoke_pinned_free(yoke_device *dev, void *memory);

typedef struct yoke_device_memory {
    size_t used, used_most;  /* bytes handed out; the most there ever was */
    size_t held;             /* bytes taken from the driver: used ones, and those kept for later */
    size_t blocks;           /* handed out */
    uint64_t allocs, reused; /* calls so far; those that needed no call of the driver */
} yoke_device_memory;
/* How much of the device's memory is in use. 0 or what yoke_device_status() says. */
YOKE_API int yoke_device_memory_stats(yoke_device *dev, yoke_device_memory *ret);
/* Gives what is kept back to the driver. Waits until what is in the streams of dev has been done; other threads can go on using
 * it meanwhile. 0 or what yoke_device_status() says. */
YOKE_API int yoke_device_trim(yoke_device *dev);

/* ---- Streams and events ---- */

/* NULL when there is no memory or the device cannot be used. */
YOKE_API yoke_stream *yoke_stream_open(yoke_device *dev);
/* Waits for what is in it. Returns what yoke_stream_wait() would: -EINVAL for NULL, which is nothing to close. */
YOKE_API int yoke_stream_close(yoke_stream *s);
YOKE_API yoke_device *yoke_stream_device(yoke_stream *s);
/* Until all that is in it has been done. 0, or the first error since the last wait: of a call that was refused, or one that
 * the device found. */
YOKE_API int yoke_stream_wait(yoke_stream *s);
/* The same without waiting; -EAGAIN when not all has been done. */
YOKE_API int yoke_stream_try(yoke_stream *s);

/* dst and src: of this device, or of the host. They must not overlap. -EINVAL: one is NULL, another device's, or shorter than
 * that as far as is known; -EFAULT: it was freed, and is not in use again. */
YOKE_API int yoke_stream_copy(yoke_stream *s, void *dst, const void *src, size_t size);
/* count elements of size 1, 2, 4, 8 or 16 from *value, which is read at once. dst is a multiple of the size: CUDA devices
 * refuse others with -EINVAL. */
YOKE_API int yoke_stream_fill(yoke_stream *s, void *dst, const void *value, size_t size, size_t count);

/* A point in a stream, which another can wait for; with the time at which the stream came by. */
YOKE_API yoke_stream_event *yoke_stream_event_open(yoke_device *dev);
YOKE_API void yoke_stream_event_close(yoke_stream_event *e);
/* Puts it in s, again and again if need be: the last counts. */
YOKE_API int yoke_stream_mark(yoke_stream *s, yoke_stream_event *e);
/* What is put in s from now on waits for e, as it was last marked; never marked: for nothing. */
YOKE_API int yoke_stream_after(yoke_stream *s, yoke_stream_event *e);
/* As for streams. */
YOKE_API int yoke_stream_event_wait(yoke_stream_event *e);
YOKE_API int yoke_stream_event_try(yoke_stream_event *e);
/* Nanoseconds between two marks on the device's own clock; waits for both. A kernel that is compiled between them counts too:
 * yoke_prepare() it before (yoke/kernel.h). */
YOKE_API int yoke_stream_elapsed(yoke_stream_event *from, yoke_stream_event *to, int64_t *ret);

/* ---- Graphs ----
 *
 * Work that is done many times, recorded once:
 *
 *     yoke_graph *step;
 *     yoke_stream_record(s);                         // from here on what is put in s is noted, and not done
 *     yoke_enqueue(s, push, n, x, v);
 *     yoke_enqueue(s, collide, n, x, v);
 *     yoke_stream_sum(s, n, energy, total);
 *     if (yoke_stream_record_end(s, &step) < 0)
 *         fprintf(stderr, "%s\n", yoke_device_error(dev));
 *     for (int i = 0; i < 1000; i++)
 *         yoke_stream_replay(s, step);               // all of it, in its order; in any stream of the device
 *     yoke_stream_wait(s);
 *     yoke_graph_close(step);
 *
 * A replay costs the host less than the calls did: a CUDA device takes the whole as one launch (with a driver since 11.4;
 * an older one gets it piece by piece), on the others nothing is looked up or checked any more.
 *
 * Kernels of every form, primitives, operations on arrays of a device, copies and fills can be recorded. Their arguments,
 * and the value of a fill, are those of the recording; what lies behind addresses is read and written by each replay, so
 * all that memory, of the host too, stays until the graph is closed, and so do sources (yoke/source.h) and the modules that
 * its kernels are of. What is to differ from one replay to the next is put in memory that the kernels read.
 *
 * Memory. What is allocated in the stream while it records, by yoke_stream_alloc(), is there at once and stays the
 * caller's. What is freed in it, by yoke_stream_free(), as primitives do with what they need meanwhile, stays with the
 * graph, for each replay uses it: the pool has it again when the graph is closed. So replays of one graph are one after
 * the other, also in different streams: the later stream waits for the earlier.
 *
 * What the host would have to wait for cannot be recorded: yoke_stream_wait() and _try(), reductions that return their
 * value, what reads an array's elements; nor can events, work on arrays of two streams, arrays of the CPU (which work at
 * once), and other graphs. Each of them is refused with -ENOTSUP. That, and every other error of a call on the stream
 * meanwhile, makes the whole recording fail: the calls after it are refused too, and yoke_stream_record_end() returns the
 * first of these errors. */

/* 0; -ENOTSUP when it records already. What has been put in it before goes on. Closing the stream ends the recording. */
YOKE_API int yoke_stream_record(yoke_stream *s);
/* 0; -EINVAL when it does not record; or why the recording has failed: then there is no graph, and *ret is as before. In either
 * case the stream is an ordinary one again. */
YOKE_API int yoke_stream_record_end(yoke_stream *s, yoke_graph **ret);
/* Puts all that was recorded in s, of the device of the recording. 0, -EINVAL for a graph of another device or NULL, or
 * what the recorded calls may return; after an error a part may have been put in the stream. One graph is used by one
 * thread at a time. */
YOKE_API int yoke_stream_replay(yoke_stream *s, yoke_graph *g);
/* Waits for nothing: replays that are under way go on. NULL is allowed. */
YOKE_API void yoke_graph_close(yoke_graph *g);

#ifdef __cplusplus
}
#endif
#endif
