/* yoke/pipeline.h - pipelines: items go through a row of stages, several items at a time, on a pool of threads.
 *
 *     static int read_line(void **item, void *arg) { ... *item = line; return 0; }      // 1 at the end of the file
 *     static int parse(void **item, void *arg) { ... *item = record; return 0; }
 *     static int write_record(void **item, void *arg) { ...; return 0; }
 *     ...
 *     const yoke_stage stages[] = {{read_line, file, YOKE_IN_ORDER, NULL}, {parse, NULL, YOKE_PARALLEL, NULL},
 *                                  {write_record, out, YOKE_IN_ORDER, NULL}};
 *     int err = yoke_pipeline(ex, 16, stages, 3);
 *
 * The first stage makes items, the others change or replace them, and what the last one leaves is dropped. A stage in order takes
 * one item at a time, in the order in which the first stage made them; a parallel one takes many at a time. At most `tokens`
 * items are under way, so a slow stage holds up the first one and memory stays bounded; twice the number of workers is a fair
 * choice. Handing an item on costs some tenths of a microsecond, so an item should take some microseconds: pass a block of lines,
 * not a line. A worker carries an item on as far as it can; nobody waits for an item's turn, the item does.
 *
 * A stage function gets the item in *item (NULL for the first stage) and puts into it what goes on. It returns
 *     0             the item goes on to the next stage;
 *     YOKE_STOP, 1  first stage: there are no more items, and *item is not one. Others: this item goes no further, its memory is
 *                   the stage's; items behind it do not wait for it;
 *     less than 0   failure: no stage is begun any more, and yoke_pipeline() returns this code.
 * It runs as part of the surrounding job (yoke_fail(), yoke_cancelled(), yoke_alloc() work), and may use loops and other
 * algorithms, and nested pipelines.
 *
 * (The model is oneTBB's parallel_pipeline.)
 */
#ifndef YOKE_PIPELINE_H
#define YOKE_PIPELINE_H
#pragma GCC system_header
#include <yoke/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOKE_STOP 1

/* How many items a stage takes at a time. */
enum yoke_stage_kind {
    YOKE_IN_ORDER, /* one, in the order of the first stage */
    YOKE_PARALLEL  /* as many as come; not the first stage */
};

typedef struct yoke_stage {
    int (*run)(void **item, void *arg);
    void *arg;
    enum yoke_stage_kind kind;
    /* Releases an item that this stage has let go on when the pipeline ended before the next stage was done with it: after a
     * failure or a cancel. Called once for each, at the end, by the caller of yoke_pipeline(). NULL: nothing to release. */
    void (*drop)(void *item, void *arg);
} yoke_stage;

/* Runs the pipeline of `count` stages to its end. 0 when every item went through; the first negative code of a stage; -ECANCELED
 * when the surrounding job failed or was cancelled before the end; -ENOMEM or -EINVAL (no stage, no token, a stage without
 * function, a first stage that is parallel) before anything was run. ex: as for yoke_for(): on another executor than `threads`
 * the calling thread carries items alone, one after the other. Any thread, any context. */
YOKE_API int yoke_pipeline(struct yoke_executor *ex, size_t tokens, const yoke_stage *stages, size_t count);

#ifdef __cplusplus
}
#endif
#endif
