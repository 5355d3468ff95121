/* yoke/task.h - tasks: ordinary typed C functions that any executor can run.
 *
 *     YOKE_TASK(double, integrate, (double, a), (double, b), (long, n, "steps", 1000000))
 *     {
 *         ...
 *     }
 *
 * defines the function `double integrate(double a, double b, long n)`, which can be called as any other, and a
 * descriptor `yoke_task_integrate` from which arguments are encoded, decoded, checked, documented and given defaults.
 * Use it at file scope. In C++, put it inside extern "C" { }.
 *
 * A parameter is (type, name), (type, name, "doc") or (type, name, "doc", default); there may be none, or up to 16. A default
 * with commas in it, as a struct's, is written in parentheses: (options, how, "limits", ((options){2, 3})),
 * in C++ (options{2, 3}).
 * Types: bool, every integer type, float, double, const char *, yoke_str, yoke_bytes, yoke_json, the array views
 * below, and plain structs by value (these travel between processes of one machine only). The result may be any of
 * these or void. A raw pointer does not compile.
 *
 * Who owns what: inside the task, everything an argument points to is valid until the task returns. A result that
 * points somewhere (const char *, yoke_str, yoke_bytes, yoke_json, a view) must point to static storage, to memory
 * from yoke_alloc(), or into an argument; it stays valid as long as the future.
 */
#ifndef YOKE_TASK_H
#define YOKE_TASK_H
#pragma GCC system_header
#include <yoke/base.h>
#include <yoke/pp.h>
#include <limits.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Array views ------------------------------------------------------------------------------------------------ */

/* At most this many dimensions. */
#define YOKE_DIMS 4

/* A view is a pointer to the first element, the number of dimensions (0 to YOKE_DIMS; 0 is a single element), and for
 * each dimension its length and its step, both counted in elements: element (i, j) of a matrix m is
 * m.ptr[i * m.step[0] + j * m.step[1]]. yoke_in_T is read by the task, yoke_out_T is written, yoke_inout_T both; T is
 * i8, i16, i32, i64, u8, u16, u32, u64, f32 or f64.
 *
 * A view that a job writes is that job's until it ends, all of it: on `processes` the whole view is copied back, unless it lies
 * in yoke_shared_alloc() memory. So jobs that write parts of one array each get a view of their part, never the whole array; and
 * a task writes every element of an out view: what it leaves out is undefined (there zero, elsewhere what it was). Steps may
 * differ where a view was copied: use them, or yoke_at(). A task that expects one dimension says so: if (v.ndim != 1)
 * yoke_fail(...). */
#define YK_VIEW(name, T)                                                                                               \
    typedef struct name {                                                                                              \
        T *ptr;                                                                                                        \
        size_t ndim, shape[YOKE_DIMS];                                                                                 \
        ptrdiff_t step[YOKE_DIMS];                                                                                     \
    } name;
#define YK_VIEWS(suffix, T) YK_VIEW(yoke_in_##suffix, const T) YK_VIEW(yoke_out_##suffix, T) YK_VIEW(yoke_inout_##suffix, T)
YK_VIEWS(i8, int8_t)
YK_VIEWS(i16, int16_t)
YK_VIEWS(i32, int32_t)
YK_VIEWS(i64, int64_t)
YK_VIEWS(u8, uint8_t)
YK_VIEWS(u16, uint16_t)
YK_VIEWS(u32, uint32_t)
YK_VIEWS(u64, uint64_t)
YK_VIEWS(f32, float)
YK_VIEWS(f64, double)

/* yoke_1d(yoke_in_f64, p, n), yoke_2d(yoke_out_i32, p, rows, columns): a contiguous view, last dimension fastest. */
#ifdef __cplusplus
#define yoke_1d(VIEW, p, n) (VIEW{(p), 1, {(size_t)(n)}, {1}})
#define yoke_2d(VIEW, p, n, m) (VIEW{(p), 2, {(size_t)(n), (size_t)(m)}, {(ptrdiff_t)(m), 1}})
#else
#define yoke_1d(VIEW, p, n) (__extension__(VIEW){(p), 1, {(size_t)(n)}, {1}})
#define yoke_2d(VIEW, p, n, m) (__extension__(VIEW){(p), 2, {(size_t)(n), (size_t)(m)}, {(ptrdiff_t)(m), 1}})
#endif

/* ---- Type codes and descriptors --------------------------------------------------------------------------------- */

/* What a parameter or a result is. A view is the code of its element with YOKE_IN, YOKE_OUT or both added. */
enum yoke_code {
    YOKE_VOID,
    YOKE_BOOL,
    YOKE_I8,
    YOKE_I16,
    YOKE_I32,
    YOKE_I64,
    YOKE_U8,
    YOKE_U16,
    YOKE_U32,
    YOKE_U64,
    YOKE_F32,
    YOKE_F64,
    YOKE_CSTR,
    YOKE_STR,
    YOKE_BYTES,
    YOKE_JSON,
    YOKE_STRUCT,
    YOKE_POINTER, /* never in a descriptor: the compiler stops first */
    YOKE_IN = 0x100,
    YOKE_OUT = 0x200
};

typedef struct yoke_param {
    const char *name, *type, *doc; /* doc is "" when none was written */
    uint16_t code;                 /* enum yoke_code */
    uint16_t has_default;          /* 0 or 1 */
    uint16_t offset, size;         /* where it lies in the argument struct, in bytes */
} yoke_param;

typedef struct yoke_task {
    uint32_t abi;  /* YOKE_ABI of the header the task was compiled with; first, and never moves */
    uint32_t line; /* of the definition */
    const char *name, *ret, *file;
    uint16_t ret_code, ret_size, args_size, nparams;
    const yoke_param *params;
    void (*defaults)(void *args);              /* zeroes the struct and sets the defaults */
    void (*call)(const void *args, void *ret); /* runs the function; ret may be NULL for void */
    const struct yk_task_info *info;           /* the registry's; NULL until yoke_register() */
} yoke_task;

/* ---- The registry ----------------------------------------------------------------------------------------------- */

/* Enters a task; YOKE_TASK does it before main() or when a module is loaded, so only bindings call it. The descriptor
 * must stay where it is. A task of another ABI, or a second task of the same name in one module, is remembered as an
 * error of that module and not entered. Any thread. */
YOKE_API void yoke_register(yoke_task *task);

/* The task of that name, or NULL. With several modules loaded the program's own task comes first, then the module
 * loaded last. Any thread. */
YOKE_API const yoke_task *yoke_find(const char *name);

/* Calls fn for each task in order of registration until it returns other than 0; returns that value or 0. fn must not
 * load modules. Any thread. */
YOKE_API int yoke_each_task(int (*fn)(const yoke_task *task, void *arg), void *arg);

/* "integrate(a: f64, b: f64, n: i64 = 1000000) -> f64" without values of defaults: "n: i64?" marks one. Valid while
 * the task is loaded. NULL before registration. */
YOKE_API const char *yoke_signature(const yoke_task *task);

/* FNV-1a (64 bits) of the signature: equal hashes mean that arguments encoded here can be decoded there. */
YOKE_API uint64_t yoke_signature_hash(const yoke_task *task);

/* ---- Inside a task ---------------------------------------------------------------------------------------------- */
/* Outside a task these do nothing: yoke_fail() still returns its code, yoke_cancelled() is false, yoke_alloc() is NULL.
 * (In a body of a loop, an algorithm or a fork yoke_fail() counts in any case: yoke/loop.h.)
 * None of them may be called from a thread that the task itself started. */

/* Makes the task fail: records code (an errno value, either sign) and the text with the task's name and the place, and
 * returns the negative code. The task should then return; its value is discarded. The first call wins. */
#define yoke_fail(code, ...) yk_fail(__FILE__, __LINE__, (code), __VA_ARGS__)
YOKE_API int yk_fail(const char *file, int line, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Fails like yoke_fail(EAGAIN, ...), and asks for another attempt after `delay` nanoseconds even when the job has no
 * retries left; use it for "not yet". The number of attempts so far is yoke_attempt(). */
YOKE_API int yoke_retry(int64_t delay);

/* 1 in the first attempt, 2 in the second...; 0 outside a task. */
YOKE_API unsigned yoke_attempt(void);

/* True once somebody called yoke_cancel() on the job, or its deadline has passed. Cheap enough for inner loops. */
YOKE_API bool yoke_cancelled(void);

/* The time at which the job will be given up, or YOKE_FOREVER. */
YOKE_API int64_t yoke_deadline(void);

/* Tells the caller how far the task is: done of total, in any unit. Read with yoke_future_progress(). */
YOKE_API void yoke_progress(double done, double total);

/* Memory that lives as long as the future of this job, aligned to 16 bytes (64 from 4096 bytes on) and not zeroed. For
 * results that point somewhere. On executors with isolated workers it is memory that the caller can see, so returning
 * a large array costs no copy. NULL when there is none left or outside a task. */
YOKE_API void *yoke_alloc(size_t size);

/* The executor that runs this task, for nested work, or NULL outside a task. In a worker process it is an executor
 * of that worker which runs jobs at once. Do not close it. */
struct yoke_executor;
YOKE_API struct yoke_executor *yoke_current_executor(void);

/* ---- YOKE_TASK -------------------------------------------------------------------------------------------------- */

enum {
    YK_CHAR = CHAR_MIN < 0 ? YOKE_I8 : YOKE_U8,
    YK_LONG = sizeof(long) == 8 ? YOKE_I64 : YOKE_I32,
    YK_ULONG = sizeof(long) == 8 ? YOKE_U64 : YOKE_U32
};

#ifdef __cplusplus
/* X(type, code) for each type that has a code of its own; S() between them. */
#define YK_TYPES(X, S)                                                                                                 \
    X(bool, YOKE_BOOL)                                                                                                 \
    S() X(char, YK_CHAR) S() X(signed char, YOKE_I8) S() X(short, YOKE_I16) S()               \
    X(int, YOKE_I32) S() X(long, YK_LONG) S() X(long long, YOKE_I64) S()               \
    X(unsigned char, YOKE_U8) S() X(unsigned short, YOKE_U16) S() X(unsigned, YOKE_U32) S()                            \
    X(unsigned long, YK_ULONG) S() X(unsigned long long, YOKE_U64) S()                  \
    X(float, YOKE_F32) S() X(double, YOKE_F64) S() X(const char *, YOKE_CSTR) S() X(yoke_str, YOKE_STR) S()            \
    X(yoke_bytes, YOKE_BYTES) S() X(yoke_json, YOKE_JSON) S() YK_VIEW_TYPES(X, S, i8, YOKE_I8) S()                     \
    YK_VIEW_TYPES(X, S, i16, YOKE_I16) S() YK_VIEW_TYPES(X, S, i32, YOKE_I32) S() YK_VIEW_TYPES(X, S, i64, YOKE_I64)   \
    S() YK_VIEW_TYPES(X, S, u8, YOKE_U8) S() YK_VIEW_TYPES(X, S, u16, YOKE_U16) S()                                    \
    YK_VIEW_TYPES(X, S, u32, YOKE_U32) S() YK_VIEW_TYPES(X, S, u64, YOKE_U64) S() YK_VIEW_TYPES(X, S, f32, YOKE_F32)   \
    S() YK_VIEW_TYPES(X, S, f64, YOKE_F64)
#define YK_VIEW_TYPES(X, S, suffix, c)                                                                                 \
    X(yoke_in_##suffix, (c) | YOKE_IN)                                                                                 \
    S() X(yoke_out_##suffix, (c) | YOKE_OUT) S() X(yoke_inout_##suffix, (c) | YOKE_IN | YOKE_OUT)
}
template <class T> struct yk_code_of {
    enum { code = __is_class(T) || __is_union(T) ? YOKE_STRUCT : YOKE_POINTER };
};
#define YK_CODE_OF(T, c)                                                                                               \
    template <> struct yk_code_of<T> {                                                                                 \
        enum { code = c };                                                                                             \
    };
YK_TYPES(YK_CODE_OF, YK_NOTHING)
#define YK_CODE(T) ((uint16_t)yk_code_of<T>::code)
#define YK_ASSERT(condition, message) static_assert(condition, message)
extern "C" {
#else
/* The same list written out, because going through YK_TYPES for each parameter took most of the compiler's time. What
 * is left over is a struct or a union when __builtin_classify_type says 12 or 13; anything else cannot travel. */
#define YK_CODE(T)                                                                                                     \
    ((uint16_t)(__extension__ _Generic((__typeof__(T) *)0,                                                             \
        bool *: YOKE_BOOL, char *: YK_CHAR, signed char *: YOKE_I8, short *: YOKE_I16, int *: YOKE_I32,                \
        long *: YK_LONG, long long *: YOKE_I64, unsigned char *: YOKE_U8, unsigned short *: YOKE_U16,                  \
        unsigned *: YOKE_U32, unsigned long *: YK_ULONG, unsigned long long *: YOKE_U64, float *: YOKE_F32,            \
        double *: YOKE_F64, const char **: YOKE_CSTR, yoke_str *: YOKE_STR, yoke_bytes *: YOKE_BYTES,                  \
        yoke_json *: YOKE_JSON, void *: YOKE_POINTER, yoke_in_i8 *: YOKE_I8 + YOKE_IN,                                 \
        yoke_out_i8 *: YOKE_I8 + YOKE_OUT, yoke_inout_i8 *: YOKE_I8 + YOKE_IN + YOKE_OUT,                              \
        yoke_in_i16 *: YOKE_I16 + YOKE_IN, yoke_out_i16 *: YOKE_I16 + YOKE_OUT,                                        \
        yoke_inout_i16 *: YOKE_I16 + YOKE_IN + YOKE_OUT, yoke_in_i32 *: YOKE_I32 + YOKE_IN,                            \
        yoke_out_i32 *: YOKE_I32 + YOKE_OUT, yoke_inout_i32 *: YOKE_I32 + YOKE_IN + YOKE_OUT,                          \
        yoke_in_i64 *: YOKE_I64 + YOKE_IN, yoke_out_i64 *: YOKE_I64 + YOKE_OUT,                                        \
        yoke_inout_i64 *: YOKE_I64 + YOKE_IN + YOKE_OUT, yoke_in_u8 *: YOKE_U8 + YOKE_IN,                              \
        yoke_out_u8 *: YOKE_U8 + YOKE_OUT, yoke_inout_u8 *: YOKE_U8 + YOKE_IN + YOKE_OUT,                              \
        yoke_in_u16 *: YOKE_U16 + YOKE_IN, yoke_out_u16 *: YOKE_U16 + YOKE_OUT,                                        \
        yoke_inout_u16 *: YOKE_U16 + YOKE_IN + YOKE_OUT, yoke_in_u32 *: YOKE_U32 + YOKE_IN,                            \
        yoke_out_u32 *: YOKE_U32 + YOKE_OUT, yoke_inout_u32 *: YOKE_U32 + YOKE_IN + YOKE_OUT,                          \
        yoke_in_u64 *: YOKE_U64 + YOKE_IN, yoke_out_u64 *: YOKE_U64 + YOKE_OUT,                                        \
        yoke_inout_u64 *: YOKE_U64 + YOKE_IN + YOKE_OUT, yoke_in_f32 *: YOKE_F32 + YOKE_IN,                            \
        yoke_out_f32 *: YOKE_F32 + YOKE_OUT, yoke_inout_f32 *: YOKE_F32 + YOKE_IN + YOKE_OUT,                          \
        yoke_in_f64 *: YOKE_F64 + YOKE_IN, yoke_out_f64 *: YOKE_F64 + YOKE_OUT,                                        \
        yoke_inout_f64 *: YOKE_F64 + YOKE_IN + YOKE_OUT,                                                               \
        default: __builtin_classify_type(*(__typeof__(T) *)0) >= 12 ? YOKE_STRUCT : YOKE_POINTER)))
#define YK_ASSERT(condition, message) __extension__ _Static_assert(condition, message)
#endif

/* ---- Elements of views ------------------------------------------------------------------------------------------ */

/* yoke_at(v, i), yoke_at(v, i, j)...: element (i, j) of v, whatever its steps; as many indices as v has dimensions. A view may
 * be a parameter of every body of a loop or an algorithm:
 *
 *     YOKE_LOOP(halve, i, (yoke_inout_f64, x)) { yoke_at(x, i) /= 2; }
 *     ...
 *     yoke_for(ex, yoke_elements(x), halve, x);
 *
 * v is evaluated twice. A compiler that is to vectorise wants x.ptr[i], with elements that lie one after the other. */
#define yoke_at(v, ...) YK_CAT(YK_AT_, YK_COUNT(__VA_ARGS__))(v, __VA_ARGS__)
#define YK_AT_1(v, i) ((v).ptr[(ptrdiff_t)(i) * (v).step[0]])
#define YK_AT_2(v, i, j) ((v).ptr[(ptrdiff_t)(i) * (v).step[0] + (ptrdiff_t)(j) * (v).step[1]])
#define YK_AT_3(v, i, j, k)                                                                                            \
    ((v).ptr[(ptrdiff_t)(i) * (v).step[0] + (ptrdiff_t)(j) * (v).step[1] + (ptrdiff_t)(k) * (v).step[2]])
#define YK_AT_4(v, i, j, k, l)                                                                                         \
    ((v).ptr[(ptrdiff_t)(i) * (v).step[0] + (ptrdiff_t)(j) * (v).step[1] + (ptrdiff_t)(k) * (v).step[2]                \
             + (ptrdiff_t)(l) * (v).step[3]])

/* yoke_elements(v): how many elements v has: the product of its lengths. SIZE_MAX when that is more than there can be.
 *
 * yoke_data(v): v.ptr, if the elements lie one after the other in the order of their indices (last dimension fastest), so that
 * they are an array; NULL if they do not. Sorts, selections and others that move elements want such an array, and return -EINVAL
 * for NULL with elements.
 *
 * yoke_flat(v): both as two arguments, pointer and number of elements, for calls that take these:
 *
 *     yoke_sort_f64(ex, yoke_flat(v));           yoke_select(ex, yoke_flat(from), yoke_data(to), &kept, is_good);
 *
 * What is not a view does not compile. A yoke_in_T has a pointer to const, with which what writes does not compile in C++, and
 * in C is warned of, as for any such pointer. v is evaluated once (by yoke_flat() twice). */
#define yoke_flat(v) yoke_data(v), yoke_elements(v)
#define YK_NO_VIEW "yoke: what this is given is no array view (yoke_in_T, yoke_out_T, yoke_inout_T)"
static inline size_t yk_view_elements(size_t ndim, const size_t *shape)
{
    size_t yk_n = 1;
    bool yk_over = false, yk_none = false; /* no length of 0 is too late to make it none */
    for (size_t yk_d = 0; yk_d < ndim && yk_d < YOKE_DIMS; yk_d++) {
        yk_over |= __builtin_mul_overflow(yk_n, shape[yk_d], &yk_n);
        yk_none |= shape[yk_d] == 0;
    }
    return yk_none ? 0 : yk_over ? SIZE_MAX : yk_n; /* SIZE_MAX: more than there can be */
}
static inline bool yk_view_is_flat(size_t ndim, const size_t *shape, const ptrdiff_t *step)
{
    size_t yk_each = 1;
    if (ndim > YOKE_DIMS || yk_view_elements(ndim, shape) == 0)
        return ndim <= YOKE_DIMS;
    for (size_t yk_d = ndim; yk_d-- > 0; yk_each *= shape[yk_d])
        if (shape[yk_d] > 1 && step[yk_d] != (ptrdiff_t)yk_each)
            return false;
    return true;
}
#ifdef __cplusplus
}
template <class V, bool = (yk_code_of<V>::code & (YOKE_IN | YOKE_OUT)) != 0> struct yk_view_of {
    static_assert(sizeof(V) == 0, YK_NO_VIEW);
    typedef void *pointer;
};
template <class V> struct yk_view_of<V, true> {
    typedef decltype(V::ptr) pointer;
};
template <class V> inline size_t yk_elements_of(const V &yk_v)
{
    return sizeof(yk_view_of<V>) ? yk_view_elements(yk_v.ndim, yk_v.shape) : 0;
}
template <class V> inline typename yk_view_of<V>::pointer yk_data_of(const V &yk_v)
{
    return yk_view_is_flat(yk_v.ndim, yk_v.shape, yk_v.step) ? yk_v.ptr : NULL;
}
#define yoke_elements(v) (yk_elements_of(v))
#define yoke_data(v) (yk_data_of(v))
extern "C" {
#else
#define YK_IS_VIEW(v)                                                                                                  \
    _Generic((v), YK_VIEW_CASES(i8), YK_VIEW_CASES(i16), YK_VIEW_CASES(i32), YK_VIEW_CASES(i64), YK_VIEW_CASES(u8),    \
             YK_VIEW_CASES(u16), YK_VIEW_CASES(u32), YK_VIEW_CASES(u64), YK_VIEW_CASES(f32), YK_VIEW_CASES(f64),       \
             default: 0)
#define YK_VIEW_CASES(suffix) yoke_in_##suffix: 1, yoke_out_##suffix: 1, yoke_inout_##suffix: 1
#define yoke_elements(v)                                                                                               \
    __extension__({                                                                                                    \
        YK_ASSERT(YK_IS_VIEW(v), YK_NO_VIEW);                                                                          \
        const __typeof__(v) yk_v = (v);                                                                                \
        yk_view_elements(yk_v.ndim, yk_v.shape);                                                                       \
    })
#define yoke_data(v)                                                                                                   \
    __extension__({                                                                                                    \
        YK_ASSERT(YK_IS_VIEW(v), YK_NO_VIEW);                                                                          \
        const __typeof__(v) yk_v = (v);                                                                                \
        yk_view_is_flat(yk_v.ndim, yk_v.shape, yk_v.step) ? yk_v.ptr : NULL;                                           \
    })
#endif

#define YK_MAYBE __attribute__((unused))
#define YK_ALWAYS_INLINE __attribute__((always_inline, unused))
/* Bodies of forks, loops and algorithms: an exception that left one would leave other threads at work on what it destroys. And
 * calls of tasks: on `inline` somebody above might catch it, and the job would never end. */
#ifdef __cplusplus
#define YK_NOEXCEPT noexcept
#else
#define YK_NOEXCEPT
#endif

/* Parts of one parameter p = (type, name[, doc[, default]]). */
#define YK_TYPE(p) YK_TYPE_ p
#define YK_TYPE_(t, ...) t
#define YK_NAME(p) YK_SECOND(YK_UNWRAP p)
#define YK_DOC(p) YK_DOC_(YK_UNWRAP p, "", ~)
#define YK_DOC_(...) YK_DOC_OF(__VA_ARGS__)
#define YK_DOC_OF(t, n, d, ...) d
#define YK_DECLARE(c, p) YK_TYPE(p) YK_NAME(p)
#define YK_PASS(c, p) YK_NAME(p)
#define YK_LOAD(c, p) yk_a->YK_NAME(p)
#define YK_DEFAULT(N, p) YK_APPLY(YK_CAT(YK_DEFAULT_, YK_AFTER_FIRST p), N, YK_UNWRAP p)
#define YK_DEFAULT_1(N, t, n)
#define YK_DEFAULT_2(N, t, n, d) YK_CHECK_DOC(N, n, d)
#define YK_DEFAULT_3(N, t, n, d, v)                                                                                    \
    YK_CHECK_DOC(N, n, d)                                                                                              \
    YK_CHECK_DEFAULT(N, n, v)                                                                                          \
    yk_a->n = v;
#define YK_HAS_DEFAULT_1 0
#define YK_HAS_DEFAULT_2 0
#define YK_HAS_DEFAULT_3 1
#define YK_PARAM(N, p)                                                                                                 \
    {YK_TEXT(YK_NAME(p)), YK_TEXT(YK_TYPE(p)), YK_DOC(p), YK_CODE(YK_TYPE(p)),                                         \
     YK_CAT(YK_HAS_DEFAULT_, YK_AFTER_FIRST p), (uint16_t)offsetof(struct yoke_args_##N, YK_NAME(p)),                  \
     (uint16_t)sizeof(YK_TYPE(p))}
/* What the compiler is to say about wrong parameters and results comes before anything that would make it say something
 * else. The enumerators keep clang from printing the whole expression, and name task and parameter when one is there
 * twice. */
#define YK_CHECK(N, p) YK_APPLY(YK_CHECK_AS, N, YK_UNWRAP p, ~)
#define YK_CHECK_AS(N, T, n, ...)                                                                                      \
    enum {                                                                                                             \
        yk_parameter_##n##_of_task_##N = YK_CODE(T) != YOKE_POINTER,                                                   \
        yk_name_##n##_of_task_##N = !YK_SECOND(YK_TAKEN_##n, 0)                                                        \
    };                                                                                                                 \
    YK_ASSERT(yk_parameter_##n##_of_task_##N,                                                                          \
              "yoke: parameter " #n " of task " #N " is a raw pointer or another type that cannot leave this "    \
              "process (" #T "): use yoke_str, yoke_bytes, a yoke_in_/out_/inout_ view or a plain struct");            \
    YK_ASSERT(yk_name_##n##_of_task_##N,                                                                               \
              "yoke: parameter " #n " of task " #N ": names that start with yk_ are yoke's own");
/* The parameters and locals of the generated submit function. */
#define YK_TAKEN_yk_ex ~, 1
#define YK_TAKEN_yk_options ~, 1
#define YK_TAKEN_yk_args ~, 1
/* The first error about a task defined twice is about the first enumerator. */
#define YK_CHECK_TASK(RET, N)                                                                                          \
    enum {                                                                                                             \
        yk_there_is_a_task_##N##_already,                                                                              \
        yk_result_of_task_##N = YK_IF(YK_IS_VOID(RET))(sizeof(YK_VOID_REST(RET)) == 1)(YK_CODE(RET) != YOKE_POINTER) \
    };                                                                                                                 \
    YK_ASSERT(sizeof(#N) > 1, "yoke: a task has no name: write YOKE_TASK(result, name, (type, parameter)...)");        \
    YK_ASSERT(yk_result_of_task_##N,                                                                                   \
              "yoke: task " #N " returns a raw pointer or another type that cannot leave this process ("               \
              #RET          \
              "): return yoke_str, yoke_bytes, a view or a plain struct");
/* Sizes and offsets are 16 bits wide in the descriptor. */
#define YK_CHECK_SIZES(RET, N, size)                                                                                   \
    YK_ASSERT((size) <= 65535 && YK_IF(YK_IS_VOID(RET))(0)(sizeof(RET)) <= 65535,                                      \
              "yoke: task " #N " takes or returns more than 65535 bytes by value: pass a view, yoke_bytes or yoke_str");
/* gcc before 14 only warns of these two, and keeps the warning to itself because it stands in a system header. */
#ifdef __cplusplus
#define YK_CHECK_DOC(N, n, d)
#define YK_CHECK_DEFAULT(N, n, v)
#else
#define YK_CHECK_DOC(N, n, d)                                                                                          \
    YK_ASSERT(__builtin_types_compatible_p(__typeof__(d), char[sizeof(d)]),                                            \
              "yoke: parameter " #n " of task " #N ": its documentation is not a string (" #d ")");
#define YK_CHECK_DEFAULT(N, n, v)                                                                                      \
    YK_ASSERT((__builtin_classify_type(yk_a->n) == 5) == (__builtin_classify_type(v) == 5),                            \
              "yoke: parameter " #n " of task " #N ": its default is of another type (" #v ")");
#endif

/* YOKE_TASK(result, name, parameters...) { body }: a task, declared and defined, as said at the top of this file. */
#define YOKE_TASK(RET, ...)                                                                                            \
    YOKE_TASK_DECL(RET, __VA_ARGS__);                                                                                  \
    YOKE_TASK_IMPL(RET, __VA_ARGS__)

/* For a task used from several files: YOKE_TASK_DECL(...); in a header and YOKE_TASK_IMPL(...) { } in one .c. Write
 * docs and defaults in the IMPL; the compiler rejects a DECL that disagrees with it. */
#define YOKE_TASK_DECL(RET, ...) YK_CAT(YK_DECL_, YK_HAS_MORE(__VA_ARGS__))(RET, __VA_ARGS__)
#define YOKE_TASK_IMPL(RET, ...) YK_CAT(YK_IMPL_, YK_HAS_MORE(__VA_ARGS__))(RET, __VA_ARGS__)

#define YK_DECL_TOO_MANY(RET, N, ...) YK_ASSERT(0, "yoke: task " #N ": at most 16 parameters")
#define YK_IMPL_TOO_MANY(RET, N, ...) void N(void)
#define YK_DECL_1(RET, N, ...) YK_CAT(YK_DECL_1_, YK_ALL(YK_IS_TUPLE, __VA_ARGS__))(RET, N, __VA_ARGS__)
#define YK_IMPL_1(RET, N, ...) YK_CAT(YK_IMPL_1_, YK_ALL(YK_IS_TUPLE, __VA_ARGS__))(RET, N, __VA_ARGS__)
#define YK_DECL_1_0(RET, N, ...)                                                                                       \
    YK_ASSERT(0, "yoke: task " #N ": write every parameter as (type, name), in parentheses and with a comma")
#define YK_IMPL_1_0(RET, N, ...) void N(void)

#define YK_DECL_0(RET, N)                                                                                              \
    YK_CHECK_TASK(RET, N)                                                                                              \
    RET N(void);                                                                                                       \
    struct yoke_args_##N {                                                                                             \
        char yk_none;                                                                                                  \
    };                                                                                                                 \
    extern yoke_task yoke_task_##N;                                                                                    \
    static inline YK_MAYBE struct yoke_future *yoke_submit_##N(struct yoke_executor *yk_ex,                            \
                                                               const struct yoke_opts *yk_options)                     \
    {                                                                                                                  \
        return yoke_raw_submit(yk_ex, &yoke_task_##N, "", yk_options);                                                 \
    }                                                                                                                  \
    struct yoke_args_##N
#define YK_DECL_1_1(RET, N, ...)                                                                                       \
    YK_CHECK_TASK(RET, N)                                                                                              \
    YK_MAP(YK_CHECK, N, YK_NOTHING, __VA_ARGS__)                                                                       \
    RET N(YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__));                                                               \
    struct yoke_args_##N {                                                                                             \
        YK_MAP(YK_DECLARE, ~, YK_SEMICOLON, __VA_ARGS__);                                                              \
    };                                                                                                                 \
    extern yoke_task yoke_task_##N;                                                                                    \
    static inline YK_MAYBE struct yoke_future *yoke_submit_##N(struct yoke_executor *yk_ex,                            \
                                                               const struct yoke_opts *yk_options,                     \
                                                               YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__))           \
    {                                                                                                                  \
        const struct yoke_args_##N yk_args = {YK_MAP(YK_PASS, ~, YK_COMMA, __VA_ARGS__)};                              \
        return yoke_raw_submit(yk_ex, &yoke_task_##N, &yk_args, yk_options);                                           \
    }                                                                                                                  \
    struct yoke_args_##N

#define YK_IMPL_0(RET, N)                                                                                              \
    YK_CHECK_SIZES(RET, N, 0)                                                                                          \
    static void yk_call_##N(const void *yk_v, void *yk_r) YK_NOEXCEPT                                                  \
    {                                                                                                                  \
        (void)yk_v;                                                                                                    \
        (void)yk_r;                                                                                                    \
        YK_IF(YK_IS_VOID(RET))(N())(*(RET *)yk_r = N());                                                               \
    }                                                                                                                  \
    YK_DESCRIBE(RET, N, 0, 0, NULL, NULL)                                                                              \
    RET N(void)
#define YK_IMPL_1_1(RET, N, ...)                                                                                       \
    YK_CHECK_SIZES(RET, N, sizeof(struct yoke_args_##N))                                                               \
    static void yk_call_##N(const void *yk_v, void *yk_r) YK_NOEXCEPT                                                  \
    {                                                                                                                  \
        const struct yoke_args_##N *yk_a = (const struct yoke_args_##N *)yk_v;                                         \
        (void)yk_r;                                                                                                    \
        YK_IF(YK_IS_VOID(RET))()(*(RET *)yk_r =) N(YK_MAP(YK_LOAD, ~, YK_COMMA, __VA_ARGS__));                         \
    }                                                                                                                  \
    static void yk_defaults_##N(void *yk_v)                                                                            \
    {                                                                                                                  \
        struct yoke_args_##N *yk_a = (struct yoke_args_##N *)yk_v;                                                     \
        memset(yk_v, 0, sizeof *yk_a);                                                                                 \
        YK_MAP(YK_DEFAULT, N, YK_NOTHING, __VA_ARGS__)                                                                 \
    }                                                                                                                  \
    static const yoke_param yk_params_##N[] = {YK_MAP(YK_PARAM, N, YK_COMMA, __VA_ARGS__)};                            \
    YK_DESCRIBE(RET, N, sizeof(struct yoke_args_##N), YK_COUNT(__VA_ARGS__), yk_params_##N, yk_defaults_##N)           \
    RET N(YK_MAP(YK_DECLARE, ~, YK_COMMA, __VA_ARGS__))
#define YK_DESCRIBE(RET, N, size, n, params, defaults)                                                                 \
    yoke_task yoke_task_##N = {YOKE_ABI, __LINE__, #N, #RET, __FILE__,                                                 \
                               YK_IF(YK_IS_VOID(RET))(YOKE_VOID, 0)(YK_CODE(RET), (uint16_t)sizeof(RET)),              \
                               (uint16_t)(size), n, params, defaults, yk_call_##N, NULL};                              \
    static __attribute__((constructor)) void yk_register_##N(void)                                                     \
    {                                                                                                                  \
        yoke_register(&yoke_task_##N);                                                                                 \
    }

/* The typed submit functions above are generated here and declared for callers in yoke/executor.h. */
struct yoke_future;
struct yoke_opts;
YOKE_API struct yoke_future *yoke_raw_submit(struct yoke_executor *ex, const yoke_task *task, const void *args,
                                             const struct yoke_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
