/* yoke/pool.h - what a pool of threads has done so far.
 *
 *     yoke_pool_counts c;
 *     yoke_pool_stats(ex, YOKE_POOL_TOTAL, &c);
 *     printf("%" PRIu64 " jobs, %" PRIu64 " steals\n", c.jobs, c.steals);
 *
 * NULL is the pool that the calling task runs on, and outside of tasks the process's own.
 *
 * The pool counts in any case, each worker for itself, so asking is all that it costs. Threads of the pool bear the names
 * yoke-worker-0, yoke-worker-1..., which top -H and debuggers show.
 *
 * Blocked tasks. A task that blocks in a call of yoke (a lock, a queue, an await) lends its place to a spare thread, so
 * that as many tasks run as there are places. A pool has at most 4096 spares, beyond its width, and fewer where the system
 * refuses more threads (RLIMIT_NPROC, pids.max of the cgroup, memory). When there is none, the place stays empty until its task
 * goes on, or a later try succeeds: each further job that is submitted, and each further task that blocks, makes one. So tasks
 * may wait for thousands of others that have not begun; but if all places are empty, and what the blocked tasks wait for can
 * only come from jobs that are still queued, that pool has stopped for good: `unfilled` tells it from one that is busy. Jobs that
 * need no thread while they wait (`after`, yoke_then, queues emptied by few tasks) have no such limit. At most 64 threads from
 * outside take part in forks and loops of a pool at one time; what further ones begin runs in their own thread alone.
 */
#ifndef YOKE_POOL_H
#define YOKE_POOL_H
#pragma GCC system_header
#include <yoke/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counted since the pool was opened. */
typedef struct yoke_pool_counts {
    uint64_t jobs;    /* taken from queues, to be run or because they had been cancelled */
    uint64_t steals;  /* jobs, forks and parts of loops taken from another worker */
    uint64_t sleeps;  /* how often there was nothing to do */
    int64_t cpu_time; /* of the thread or threads, in nanoseconds: the tasks' and yoke's own; 0 for guests */
    uint64_t unfilled; /* of the total only: how often a task blocked and there was no spare thread for its place, see above */
} yoke_pool_counts;

#define YOKE_POOL_TOTAL (~0u)

/* How many workers the `threads` executor has had so far, which may be more than its width: spare threads that took the place of
 * blocked ones, and guests, threads from outside that ran forks and loops. 0 when ex is no such executor. Any thread. */
YOKE_API unsigned yoke_pool_workers(yoke_executor *ex);

/* How many of them may run at this moment: the width, or, when yoke_open() was given none, the CPUs that affinity and cgroup
 * quota allow, read again every two seconds while there is work. 0 as above. Any thread. */
YOKE_API unsigned yoke_pool_places(yoke_executor *ex);

/* The counts of one worker, from 0, or of YOKE_POOL_TOTAL. Those of a pool at work are a moment's, and not of the same moment.
 * Returns 0; -EINVAL when ex is no `threads` executor or ret is NULL; -ENOENT when there is no such worker. Any thread. */
YOKE_API int yoke_pool_stats(yoke_executor *ex, unsigned worker, yoke_pool_counts *ret);

#ifdef __cplusplus
}
#endif
#endif
