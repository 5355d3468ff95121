/* json_job: jobs from JSON and back: the codec of task/json_*.c joined to jobs. */
#include "exec/job.h"
#include <yoke/json.h>

struct yoke_future *yoke_json_submit(yoke_executor *ex, const yoke_task *task, const char *text, size_t len, unsigned flags,
                                     const yoke_opts *opts)
{
    if (!ex || !ex->pool || !task || !task->info)
        return NULL;
    yk_job *job = yk_job_new(ex, task);
    if (!job)
        return NULL;
    yk_error e;
    int err = flags & ~(unsigned)YOKE_JSON_ALL ? yk_errorf(&e, EINVAL, "unknown flag of JSON arguments")
                                               : yk_json_args(task, text, len, flags, &job->region, job->args, &e);
    if (err < 0)
        yk_job_refuse(job, err, e.text);
    else
        yk_job_submit(job, opts);
    return job;
}

int yoke_json_result(yoke_future *f, unsigned flags, yoke_str *ret)
{
    if (flags & ~(unsigned)YOKE_JSON_ALL)
        return -EINVAL;
    int err = yoke_wait(f);
    if (err < 0)
        return err;
    yk_buf out = {0};
    err = yk_json_result(f->task, f->args, f->ret, flags, &out, NULL);
    char *copy = err < 0 || out.failed ? NULL : yk_region_copy(&f->region, out.ptr, out.len);
    if (err == 0 && !copy)
        err = -ENOMEM;
    if (copy)
        *ret = (yoke_str){copy, out.len};
    yk_buf_done(&out);
    return err;
}
