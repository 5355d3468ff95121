/* yoke/json.h - the JSON form of a task's arguments and of its result.
 *
 * Strict RFC 8259, read straight into the argument struct: there is no document tree. Arguments are an array
 * (positional; trailing parameters with defaults may be left out) or an object (by name). Integers are exact over the
 * whole range of int64_t and uint64_t; doubles are read to the nearest and written as the shortest text that reads
 * back the same. Text must be valid UTF-8 everywhere.
 *
 *     bool                   true, false
 *     integers               a number without fraction that fits the type (1e3 and 2.0 are accepted, 2.5 is not)
 *     float, double          a number; with YOKE_JSON_NONFINITE also "NaN", "Infinity", "-Infinity" as strings
 *     const char *, yoke_str a string (const char * may not contain \u0000)
 *     yoke_bytes             a string in base64
 *     yoke_json              any value, kept as text
 *     in and inout views     nested arrays, [[1,2],[3,4]], or {"shape":[2,2],"base64":"..."} (little-endian elements)
 *     out views              the shape alone: 3, [3] or [2,2]; the elements come back with the result
 *     structs                none, as C does not say what is in them: such an argument is left out, if it has a default, or
 *                            given from C, yoke_kw_submit(ex, draw, p = ((point){1, 2})); the error says which
 *
 * A result is written by the same table. A task with out or inout views gives an object: {"return":R,"y":[...]}, without
 * "return" if the task is void. Arrays are written nested, or as base64 with YOKE_JSON_BASE64. A view of no dimensions is
 * written as its one number, but read only from {"shape":[],"base64":"..."}: a number where an array belongs is a mistake.
 */
#ifndef YOKE_JSON_H
#define YOKE_JSON_H
#pragma GCC system_header
#include <yoke/task.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    YOKE_JSON_NONFINITE = 1 << 0, /* allow NaN and infinities, as strings; without it they are errors */
    YOKE_JSON_BASE64 = 1 << 1,    /* write arrays as {"shape":...,"base64":...} */
    YOKE_JSON_ALL = (1 << 2) - 1
};
/* Deepest nesting of a yoke_json argument, and the longest text. */
#define YOKE_JSON_DEPTH 512
#define YOKE_JSON_MAX ((size_t)1 << 30)

/* Reads the arguments of one call of task from text and submits it. What is wrong with the text is the future's error,
 * as: argument 2 "n" of integrate: expected integer, got "ten" at byte 7. flags is an OR of YOKE_JSON_*; opts may be
 * NULL. Never NULL. Any thread. */
struct yoke_opts;
YOKE_API struct yoke_future *yoke_json_submit(struct yoke_executor *ex, const yoke_task *task, const char *text, size_t len,
                                              unsigned flags, const struct yoke_opts *opts);

/* Waits, then writes the result as JSON text: *ret is ended by a NUL, belongs to the future, and is len bytes long.
 * Returns 0 or the job's error, or -EDOM for a NaN or infinity without YOKE_JSON_NONFINITE, -ENOTSUP for a struct. */
YOKE_API int yoke_json_result(struct yoke_future *f, unsigned flags, yoke_str *ret);

#ifdef __cplusplus
}
#endif
#endif
