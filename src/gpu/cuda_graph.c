/* cuda_graph: recorded work as a CUDA graph, one launch for all of it.
 *
 * The commands are put in a stream of their own that the driver captures, once, when the recording has ended; the user's
 * stream is never in that state, in which whoever asks or marks it, as another thread may, would spoil the capture. A driver
 * that cannot do it, or not with these commands, or not now, leaves them as a list (record.c): what is missing is missing for
 * speed alone.
 *
 * The capture is of the relaxed kind: it is for the calls of this thread only, and they may load modules meanwhile. The driver
 * itself keeps launches of one graph in order, and one that is destroyed until it has run. */
#include "gpu/cuda.h"
#include "gpu/graph.h"

enum { CAPTURE_RELAXED = 2 };

static bool driver_has_graphs(void)
{
    return yk_cuda.cuStreamBeginCapture && yk_cuda.cuStreamEndCapture && yk_cuda.cuGraphInstantiateWithFlags &&
           yk_cuda.cuGraphLaunch && yk_cuda.cuGraphExecDestroy && yk_cuda.cuGraphDestroy;
}

static int failed(yk_error *e, int result, const char *call)
{
    return yk_cuda_fail(e, result, call, "making a graph");
}

/* All commands into *ret, by a stream that is nobody else's. */
static int capture(yoke_stream *s, const yk_command *first, struct yk_cu_graph **ret, yk_error *e)
{
    struct yk_cu_stream *stream = ((const yk_cuda_stream *)s->native)->stream;
    int err = 0, result = yk_cuda.cuStreamBeginCapture(stream, CAPTURE_RELAXED);
    if (result != YK_CUDA_OK)
        return failed(e, result, "cuStreamBeginCapture");
    for (const yk_command *c = first; c && err == 0; c = c->next)
        err = yk_command_put(s, c, e);
    result = yk_cuda.cuStreamEndCapture(stream, ret); /* in any case: the stream is to be closed */
    if (err < 0 && result == YK_CUDA_OK && *ret)
        yk_cuda.cuGraphDestroy(*ret);
    return err < 0 || result == YK_CUDA_OK ? err : failed(e, result, "cuStreamEndCapture");
}

int yk_cuda_graph_open(yoke_device *d, const yk_command *first, void **ret, yk_error *e)
{
    yoke_stream s = {.dev = d};
    struct yk_cu_graph *graph = NULL;
    struct yk_cu_graph_exec *exec = NULL;
    if (!driver_has_graphs())
        return -ENOTSUP;
    int err = yk_cuda_stream_open(&s, e);
    if (err < 0)
        return err;
    err = capture(&s, first, &graph, e);
    yk_cuda_stream_close(&s);
    if (err < 0)
        return err;
    int result = yk_cuda.cuGraphInstantiateWithFlags(&exec, graph, 0);
    yk_cuda.cuGraphDestroy(graph);
    if (result != YK_CUDA_OK)
        return failed(e, result, "cuGraphInstantiateWithFlags");
    *ret = exec;
    return 0;
}

int yk_cuda_graph_launch(yoke_stream *s, void *graph, yk_error *e)
{
    int err = yk_cuda_enter_for(s->dev, "launching a graph", e);
    if (err < 0)
        return err;
    int result = yk_cuda.cuGraphLaunch(graph, ((const yk_cuda_stream *)s->native)->stream);
    return result == YK_CUDA_OK ? 0 : yk_cuda_fail(e, result, "cuGraphLaunch", "launching a graph");
}

void yk_cuda_graph_close(yoke_device *d, void *graph)
{
    if (yk_cuda_enter(d) == YK_CUDA_OK)
        yk_cuda.cuGraphExecDestroy(graph);
}
