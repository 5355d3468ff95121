/* opencl_graph: recorded work on OpenCL devices: for each launch a kernel object of its own, whose arguments are set once,
 * so that to replay it is one call of the driver, which checks, locks and looks up nothing; and one flush for all.
 *
 * There is an extension for this, cl_khr_command_buffer; its calls changed from one provisional version to the next, and
 * PoCL's puts one command after the other in a queue as this does. */
#include "gpu/graph.h"
#include "gpu/opencl.h"
#include <stdlib.h>

typedef struct step {
    const yk_command *command;
    yk_cl_fixed launch; /* of a launch */
} step;

typedef struct graph {
    size_t count;
    step steps[];
} graph;

void yk_cl_graph_close(yoke_device *d, void *native)
{
    graph *g = native;
    (void)d;
    for (size_t i = 0; i < g->count; i++)
        if (g->steps[i].launch.kernel)
            yk_cl.ReleaseKernel(g->steps[i].launch.kernel);
    free(g);
}

int yk_cl_graph_open(yoke_device *d, const yk_command *first, void **ret, yk_error *e)
{
    size_t count = 0;
    int err = 0;
    for (const yk_command *c = first; c; c = c->next)
        count++;
    graph *g = yk_sys.calloc(1, sizeof *g + count * sizeof *g->steps);
    if (!g)
        return yk_errorf(e, -ENOMEM, "%s: no memory for a graph", d->info.uri);
    for (const yk_command *c = first; c && err == 0; c = c->next) {
        step *t = &g->steps[g->count++];
        t->command = c;
        if (c->kind == YK_LAUNCH_COMMAND)
            err = yk_cl_fix(d, c->launch.function, &c->launch.shape, c->launch.args, c->launch.count, &t->launch, e);
    }
    if (err < 0)
        yk_cl_graph_close(d, g);
    else
        *ret = g;
    return err;
}

static int launch(yoke_stream *s, const step *t, yk_error *e)
{
    const yk_cl_fixed *l = &t->launch;
    if (!l->kernel)
        return 0;
    int32_t code = yk_cl_enqueue(s->native, l->widths, l->kernel, l->dims, l->global, l->group);
    return YK_LIKELY(code == 0) ? 0
                                : yk_cl_fail(e, code, "EnqueueNDRangeKernel", "%s: kernel %s cannot be launched",
                                             s->dev->info.uri, t->command->launch.function->name);
}

int yk_cl_graph_launch(yoke_stream *s, void *native, yk_error *e)
{
    const graph *g = native;
    int err = 0;
    for (size_t i = 0; i < g->count && err == 0; i++)
        err = g->steps[i].command->kind == YK_LAUNCH_COMMAND ? launch(s, &g->steps[i], e)
                                                             : yk_command_put(s, g->steps[i].command, e);
    yk_cl_sent(s->native); /* also when it came only so far: who asks whether all is done asks about that */
    return err;
}
