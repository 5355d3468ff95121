/* job.h: what the files of exec share among themselves and with nobody else. */
#ifndef YK_EXEC_JOB_H
#define YK_EXEC_JOB_H
#include "exec/exec.h"

/* ---- slab.c ---- */
typedef struct yk_job_pool yk_job_pool;
yk_job_pool *yk_job_pool_open(void);
bool yk_job_pool_enlist(yk_job_pool *p);
/* A job whose fields hold what its last use left; refs is 0. */
yk_job *yk_job_take(yk_job_pool *p);
void yk_job_give(yk_job_pool *p, yk_job *job);
/* Every job there ever was, free ones (refs == 0) too. */
void yk_job_pool_each(yk_job_pool *p, void (*fn)(yk_job *job, void *arg), void *arg);
void yk_job_pool_close(yk_job_pool *p);

/* ---- job.c ---- */
#define YK_HOOKS_CLOSED ((yk_hook *)(uintptr_t)1)
/* One more holder, unless there is none left. */
bool yk_job_tryref(yk_job *job);
/* Drops count references; the last holder's drop frees the job and reports an error that nobody saw. */
void yk_job_unref(yk_job *job);
/* Ends a job that was never given to an executor and has no argument errors: for futures made of futures. The caller has
 * written *ret. Consumes the executor's reference. */
void yk_job_complete(yk_job *job, int code, const char *error);
void yk_report_lost_error(yk_job *job);

/* ---- combine.c ---- */
/* For yk_job_holder(): whether it is a future of yoke_all(), which waits for many, and for whom. */
bool yk_is_combined(const yk_job *job);
yk_who *yk_combined_holder(const yk_job *job, unsigned i);
bool yk_is_made_of_others(const yk_job *job); /* of yoke_all() or yoke_any() */
/* For yk_job_is_lost(), of such a one that has not ended. */
bool yk_combined_is_lost(const yk_job *job);

/* ---- For yk_wish_needs(), of a job that is not made of others (job.c) ---- */
bool yk_job_needs(const yk_job *job, const yoke_executor *ex);
/* If it needs a job of ex that has not been begun: that one, with a reference. Else NULL. */
yk_job *yk_job_unbegun(const yk_job *job, const yoke_executor *ex);

/* ---- future.c ---- */
/* What a wait for a job is, in the search for deadlocks. */
extern const yk_wish_kind yk_job_wish;

/* In a child made by fork(): it was to run in the parent, where it stayed, and so never ends here. */
bool yk_job_is_lost(const yk_job *job);
/* Of one that is not made of others, and has not ended. */
bool yk_single_is_lost(const yk_job *job);

/* From now on the executor must notice the end of the job by itself; and `count` such calls are over. */
void yk_job_heed(yk_job *job);
void yk_job_unheed(yk_job *job, unsigned count);

/* ---- executor.c ---- */
/* An executor for futures that belong to none: those of yoke_all() and yoke_any(). Never closed. NULL: no memory. */
yoke_executor *yk_common_executor(void);
#endif
