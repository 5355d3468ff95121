/* trace: writes the timeline that yoke/trace.h describes. Floor 0. */
#ifndef YK_TRACE_H
#define YK_TRACE_H
#include "base/base.h"
#include <yoke/trace.h>

/* True while a recording runs; look before gathering anything. */
extern atomic_bool yk_tracing;

/* One attempt that ran from started to ended (yoke_now()) on a worker of an executor. error is NULL or a text. */
void yk_trace_attempt(const char *executor, uint32_t worker, const char *task, uint64_t job, uint32_t attempt, int64_t started,
                      int64_t ended, const char *error);
#endif
