/* fake_graph.c - graphs of the fake driver: while a stream is captured, what is put in it is kept; a launch puts copies of
 * all of it in a stream. */
#include "fake_inside.h"
#include <stdlib.h>
#include <string.h>

static struct yk_cu_graph *new_graph(void)
{
    struct yk_cu_graph *g = calloc(1, sizeof *g);
    g->context = fake_current;
    g->last = &g->first;
    g->next = fake.graphs;
    fake.graphs = g;
    fake_count(fake_current, graphs, 1);
    return g;
}

void fake_end_graph(struct yk_cu_graph *g)
{
    struct yk_cu_graph **at = &fake.graphs;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    for (op *o = g->first, *next; o; o = next) {
        next = o->next;
        fake_free_op(o);
    }
    free(g);
}

/* What it does next goes with its values, whose places are told anew. */
static op copy_of(const op *o)
{
    op c = *o;
    c.next = NULL;
    if (!o->values)
        return c;
    c.values = malloc(o->value_size);
    memcpy(c.values, o->values, o->value_size);
    void **places = (void **)(void *)c.values;
    for (size_t i = 0; i < o->value_count; i++)
        places[i] = c.values + ((const char *)o->launch.args[i] - o->values);
    c.launch.args = places;
    return c;
}

static bool is_known(const void *graph, const char *function)
{
    for (struct yk_cu_graph *g = fake.graphs; g; g = g->next)
        if (g == graph && g->context == fake_current)
            return true;
    fake_complain("no such graph", function);
    return false;
}

int cuStreamBeginCapture_v2(struct yk_cu_stream *s, int mode)
{
    BEGIN_OR_RETURN(true);
    if (fake_is_wrong(s, __func__) || s->capture || mode != 2)
        RETURN(YK_CUDA_INVALID_VALUE);
    s->capture = new_graph();
    RETURN(YK_CUDA_OK);
}

/* Whatever it returns, the capture has ended. */
int cuStreamEndCapture(struct yk_cu_stream *s, struct yk_cu_graph **ret)
{
    BEGIN(true);
    if (fake_is_lost(begun) || fake_is_wrong(s, __func__) || !s->capture)
        RETURN(begun ? begun : YK_CUDA_INVALID_VALUE);
    struct yk_cu_graph *g = s->capture;
    s->capture = NULL;
    if (begun) {
        fake_count(g->context, graphs, -1);
        fake_end_graph(g);
        g = NULL;
    }
    *ret = g;
    RETURN(begun);
}

int cuGraphInstantiateWithFlags(struct yk_cu_graph_exec **ret, struct yk_cu_graph *g, uint64_t flags)
{
    BEGIN_OR_RETURN(true);
    if (flags || !is_known(g, __func__))
        RETURN(YK_CUDA_INVALID_VALUE);
    struct yk_cu_graph *exec = new_graph();
    for (const op *o = g->first; o; o = o->next) {
        op *c = malloc(sizeof *c);
        *c = copy_of(o);
        *exec->last = c;
        exec->last = &c->next;
    }
    *ret = (struct yk_cu_graph_exec *)exec;
    RETURN(YK_CUDA_OK);
}

int cuGraphLaunch(struct yk_cu_graph_exec *g, struct yk_cu_stream *s)
{
    BEGIN_OR_RETURN(true);
    if (!is_known(g, __func__) || fake_is_wrong(s, __func__))
        RETURN(YK_CUDA_INVALID_HANDLE);
    int result = YK_CUDA_OK;
    for (const op *o = ((struct yk_cu_graph *)g)->first; o && result == YK_CUDA_OK; o = o->next)
        result = fake_put(s, copy_of(o), __func__);
    RETURN(result);
}

static int end(void *graph, int begun, const char *function)
{
    if (fake_is_lost(begun) || !is_known(graph, function))
        return begun ? begun : YK_CUDA_INVALID_VALUE;
    struct yk_cu_graph *g = graph;
    fake_count(g->context, graphs, -1);
    fake_end_graph(g);
    return begun;
}

int cuGraphExecDestroy(struct yk_cu_graph_exec *g)
{
    BEGIN(true);
    RETURN(end(g, begun, __func__));
}

int cuGraphDestroy(struct yk_cu_graph *g)
{
    BEGIN(true);
    RETURN(end(g, begun, __func__));
}
