/* task: descriptors and their registry, the JSON and byte forms of arguments and results, modules. Floor 1. */
#ifndef YK_TASK_H
#define YK_TASK_H
#include "base/base.h"
#include <yoke/task.h>
#include <yoke/json.h>
#include <yoke/module.h>

/* What the registry knows of a task beyond its descriptor. Never freed while its task is loaded. */
typedef struct yk_task_info {
    yoke_task *task;
    uint32_t id;       /* index in the registry; the same in every process forked afterwards */
    bool args_point;   /* some parameter is not a plain value: text, bytes, json or a view */
    bool ret_points;   /* so is the result */
    bool has_out;      /* some parameter is an out or inout view */
    bool has_struct;   /* some parameter or the result is a struct by value */
    bool has_result;   /* not void */
    bool hidden;       /* found by its id alone */
    bool owns_task;    /* the task was allocated, and is freed with this */
    uint64_t hash;     /* of the signature */
    const char *signature;
    yoke_module *module; /* NULL: the program itself */
} yk_task_info;

static inline bool yk_is_view(unsigned code) { return (code & (YOKE_IN | YOKE_OUT)) != 0; }
static inline unsigned yk_element(unsigned code) { return code & 0xff; }
static inline bool yk_is_pointing(unsigned code) { return yk_is_view(code) || (code >= YOKE_CSTR && code <= YOKE_JSON); }
/* Bytes of one value of a scalar or element code (BOOL..F64), else 0. */
size_t yk_code_size(unsigned code);
/* "i64", "f64[] in", "str"... for signatures and messages. Static storage. */
const char *yk_code_name(unsigned code);
/* The view behind any view type: they differ in the pointer's type only. */
typedef yoke_inout_u8 yk_any_view;
/* Number of elements; *ret is untouched and -EOVERFLOW returned when the product (or its bytes) does not fit. -EINVAL
 * for ndim > YOKE_DIMS or NULL ptr with elements. */
int yk_view_count(const yk_any_view *v, size_t element_size, size_t *ret);
/* True when elements lie one after the other, last dimension fastest. */
bool yk_view_is_contiguous(const yk_any_view *v);
/* Copies all elements between two views of the same shape. */
void yk_view_copy(yk_any_view *to, const yk_any_view *from, size_t element_size);

/* ---- Registry (registry.c) ---- */
/* Enters a task that only its id leads to, so that its name may be another's too. 0 or -ENOMEM. */
int yk_register_hidden(yoke_task *task);
/* yoke_register() of a task that was allocated: it is freed with its module, and found by its id alone when another has the
 * name, before or after, or it is not to be shown. False: there is no memory. */
bool yk_register_made(yoke_task *task, bool is_shown);
/* The task with that id, or NULL. */
const yoke_task *yk_task_by_id(uint32_t id);
/* One more than the largest id ever given. */
uint32_t yk_task_count(void);
/* Between begin and end, what constructors register in this thread belongs to module m; end returns the first error that
 * was remembered (wrong ABI, name twice) with its text in e, or 0. */
void yk_registry_begin(yoke_module *m);
int yk_registry_end(yoke_module *m, yk_error *e);
void yk_registry_forget(yoke_module *m);

/* ---- JSON (json_*.c) ---- */

/* Reads one call's arguments (an array or an object, or for a task of one parameter also that value alone) into the
 * argument struct; what they point to is put in region. Error text: 'argument 2 "n" of integrate: expected integer, got
 * "ten" at byte 7' (bytes count from 1 in text). */
int yk_json_args(const yoke_task *t, const char *text, size_t len, unsigned flags, yk_region *region, void *args, yk_error *e);
/* One parameter from a command-line word: strings take the word as it is, every other type reads it as JSON. */
int yk_json_word(const yoke_task *t, unsigned param, const char *word, size_t len, unsigned flags, yk_region *region, void *args,
                 yk_error *e);
/* What to do about parameter `param`, a struct, which neither JSON nor (if `word`) a word can give. Returns the index of the
 * parameter that the text is about: of one that must be given, if there is one. */
int yk_json_struct_hint(const yoke_task *t, unsigned param, bool word, char *to, size_t size);
/* Whether calls of t can be written as JSON at all, and their results: 0, or -ENOTSUP with its text for a struct in the way. */
int yk_json_callable(const yoke_task *t, yk_error *e);
/* Writes the result (and out views, from args) as JSON to out. */
int yk_json_result(const yoke_task *t, const void *args, const void *ret, unsigned flags, yk_buf *out, yk_error *e);
/* Checks that text is exactly one JSON value (surrounded by blanks at most). */
int yk_json_check(const char *text, size_t len, yk_error *e);
/* Appends text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. For messages and traces. */
void yk_json_quote(yk_buf *out, const char *text, size_t len);
/* Appends a number in its shortest form. */
void yk_json_i64(yk_buf *out, int64_t v);
void yk_json_u64(yk_buf *out, uint64_t v);
void yk_json_f64(yk_buf *out, double v); /* finite */

/* ---- Byte frames (frame.c), for executors of the same machine ---- */

/* Memory that both sides see at the same address. take() gives some of it to whoever encodes (NULL: none left). Of what is
 * encoded only what lies between lasting and lasting_end stays where it is (NULL: all of the window). */
typedef struct yk_window {
    char *base;
    size_t size;
    void *(*take)(struct yk_window *w, size_t size);
    const char *lasting, *lasting_end;
} yk_window;

enum yk_side { YK_ARGS, YK_RESULT };

/* Whether every element of one view lies between the first and the last byte of another, of at least one element. */
bool yk_view_lies_in(const yk_any_view *inner, unsigned inner_element, const yk_any_view *outer, unsigned outer_element);

/* A frame is the argument struct (or the result) as it lies in memory, followed by what it points to; each pointer is
 * replaced by a tagged offset, into the frame or into the window. Payloads of at most YK_FRAME_INLINE bytes go into the
 * frame; what lies in the window already stays there; larger ones are copied into memory from take(). */
#define YK_FRAME_INLINE 4096

/* The bytes a frame of these values may take at most. */
size_t yk_frame_bound(const yoke_task *t, enum yk_side side, const void *values, const yk_window *w);
/* Encodes into frame (8-byte aligned, cap bytes). Calls w->take() once for each payload that moved into the window. *len
 * is written on success. -ENOMEM, -EMSGSIZE (cap), -EINVAL (a view that is not one, NULL text). For YK_ARGS, an out or
 * inout view outside the window is moved into it too (inout with its elements); the caller copies back afterwards. */
int yk_frame_put(const yoke_task *t, enum yk_side side, const void *values, yk_window *w, void *frame, size_t cap, size_t *len,
                 yk_error *e);
/* Decodes: fills values (args_size or ret_size bytes); pointers lead into frame and window, so frame must live as long.
 * Every offset and length is checked: a hostile frame gives -EBADMSG. */
int yk_frame_get(const yoke_task *t, enum yk_side side, const void *frame, size_t len, const yk_window *w, void *values,
                 yk_error *e);

#endif
