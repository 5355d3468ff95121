/* yoke/trace.h - a timeline of every job on every worker, for Perfetto (ui.perfetto.dev) and chrome://tracing.
 *
 * The file is JSON in the Trace Event Format: one complete event ("ph":"X") for each attempt that ran, named by its task,
 * on the track of its worker, with the job's number, attempt and error as arguments; and thread names. Source: "Trace
 * Event Format", Google, 2016.
 */
#ifndef YOKE_TRACE_H
#define YOKE_TRACE_H
#pragma GCC system_header
#include <yoke/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts to record into path (created or emptied). One recording at a time: -EBUSY while another runs; else 0 or the
 * error of open(). Written in blocks as it goes, so memory stays bounded. Any thread. */
YOKE_API int yoke_trace_open(const char *path);

/* Ends the recording and completes the file. Returns 0 or the first error of writing (-ENOSPC...). */
YOKE_API int yoke_trace_close(void);

#ifdef __cplusplus
}
#endif
#endif
