/* yoke/base.h - what every other header of yoke stands on: versions, visibility, time, text and error codes.
 *
 * Conventions that hold in the whole library:
 *   - A function that can fail returns int: 0 or more is success, less is an errno code made negative (-EINVAL).
 *   - Durations and times are int64_t nanoseconds; deadlines are absolute times of CLOCK_MONOTONIC (yoke_now()).
 *   - A wait X() is for ever; X_try() does not wait (-EAGAIN), X_timed() takes at most so many nanoseconds and X_until() has a
 *     deadline (-ETIMEDOUT). YOKE_FOREVER as either is for ever. In yoke/sync.h they stand in place of _acquire and _wait:
 *     yoke_lock_acquire(), yoke_lock_try(), yoke_lock_timed(), yoke_lock_until(); yoke_event_wait(), yoke_event_timed().
 *   - Out parameters come last, are named ret, and are written on success only.
 *   - The library never prints and never ends the program, but for yoke_await() outside a task, errors that nobody
 *     looked at (yoke_on_lost_error() changes that), threads that crash, and what YOKE_DEBUG asks for.
 */
#ifndef YOKE_BASE_H
#define YOKE_BASE_H
#pragma GCC system_header
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YOKE_VERSION "0.1.0"
/* The number of the contract between a compiled task and the library. It changes with every incompatible change of
 * yoke_task or yoke_param; a module built for another number is refused when it is loaded. */
#define YOKE_ABI 1u

#define YOKE_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* Text: len bytes of UTF-8 at ptr, not ended by a NUL. */
typedef struct yoke_str {
    const char *ptr;
    size_t len;
} yoke_str;

/* Raw bytes. In JSON they are a base64 string (RFC 4648 section 4, with padding). */
typedef struct yoke_bytes {
    const void *ptr;
    size_t len;
} yoke_bytes;

/* One JSON value as text, passed through as it stands (checked to be valid JSON when it arrives as JSON). */
typedef struct yoke_json {
    const char *ptr;
    size_t len;
} yoke_json;

#define YOKE_NS ((int64_t)1)
#define YOKE_US ((int64_t)1000)
#define YOKE_MS ((int64_t)1000000)
#define YOKE_S ((int64_t)1000000000)
/* A deadline that never comes. */
#define YOKE_FOREVER INT64_MAX

/* Now, in nanoseconds of CLOCK_MONOTONIC. Any context. */
YOKE_API int64_t yoke_now(void);

/* The version of the library that is loaded, "0.1.0"; compare with YOKE_VERSION. Static storage. */
YOKE_API const char *yoke_version(void);

/* A short text for a negative error code, of what it means where yoke returns it: "timed out", "cancelled", "worker or lock
 * holder died", "certificate not accepted" (-EKEYREJECTED), "of another loop, thread, device or file system" (-EXDEV)...; for
 * codes whose meaning is the system's, its text. What exactly went wrong is for yoke_error(), yoke_net_error() and the like.
 * Static, any thread. */
YOKE_API const char *yoke_strerror(int code);

/* Why a wait of this thread last returned -EDEADLK: who waits for whom, on one line, as 'deadlock: thread "a" joins thread
 * "b", which waits for f (x.c:3), run by thread "a"'; "" if none ever did. Waits that can return it: yoke_wait(), yoke_try() and
 * yoke_await() of futures, yoke_thread_join(), an rwlock in its writer, yoke_once_run() in itself, and all locks and waits for
 * conditions while they are watched (YOKE_DEBUG=locks, see yoke/sync.h). Valid until the next. */
YOKE_API const char *yoke_deadlock(void);

#ifdef __cplusplus
}
#endif
#endif
