/* yoke/kernel.h - kernels: one body of C that runs on the CPU, on CUDA and on OpenCL devices.
 *
 *     #include <yoke/kernel.h>
 *
 *     YOKE_KERNEL(axpy, ((val, float, a), (in, float, x), (inout, float, y)),
 *                 y[i] += a * x[i];)
 *     ...
 *     yoke_enqueue(stream, axpy, n, 2, x, y);      // for i = 0 .. n-1; 0 or a negative code
 *
 *     YOKE_REDUCTION(double, dot, (0), a + b, x[i] * y[i], ((in, double, x), (in, double, y)));
 *     ...
 *     double d = yoke_reduction(stream, dot, n, x, y);
 *
 * Scans are in yoke/scan_kernel.h, kernels of work-groups that share memory in yoke/program.h, texts in CUDA's or OpenCL's
 * own language in yoke/source.h; sums, sorts and the like that are there already in yoke/primitive.h.
 *
 * The body is compiled as C, for the CPU, and kept as text, which the driver of a device compiles when the kernel
 * is first used there (tens of milliseconds; what has been compiled once is kept, see yoke/gpu.h). It sees its
 * element's index i and the number of elements n, both `long`, and the parameters. `continue` ends an element;
 * there is no `return`, and `break` ends the loops and switches of the body alone. What the body may use is in
 * yoke/dialect.h; functions, structs and constants of your own come from YOKE_DEVICE_CODE. The order of elements is not
 * defined, and two of them must not write one place, or one read what another writes, other than by yoke_atomic_...
 *
 * Parameters, 1 to 16 of them:
 *
 *     (val, type, name)           a value, also a struct
 *     (in, type, name)            an array that is read: const type *
 *     (out, type, name)           an array of which every element that the call covers is written, and not read before:
 *                                 type *; what is padding in an element is undefined
 *     (inout, type, name)         any other
 *     (in, type, name, count)     ... that has not n elements but so many: an expression of val parameters and n
 *
 * Arrays of one call must not overlap, but for `in` with `in`; to change one in place it is `inout`. They are
 * memory of the stream's device (yoke/gpu.h), at any element; on a device that shares memory with the host also the
 * host's. An array that the body uses as name[i] alone is read and written 16 bytes at a time: prefer that form.
 *
 * Any parameter type without pointers does, but long double, which devices lack; bool and size_t arrive as numbers of 1
 * and 8 bytes. All parameters of a kernel together have 4000 bytes at most. In C a file with
 * kernels includes this header by name, not <yoke.h> alone, for the functions of <tgmath.h>. Write YOKE_KERNEL itself,
 * not within a macro of your own, which would expand the macros that the body uses before it becomes text.
 *
 * Errors: a body with a `break` outside its own loops and switches does not compile (gcc, where it has none), or is
 * -EINVAL at the first call, on every device, the CPU too. A text that a device's compiler refuses is -EINVAL at the first
 * call, with its first message, which names your file and the line of YOKE_KERNEL itself, or with clang of its end (all
 * that stands between is one line for the compiler), in yoke_device_error(). -EFAULT: an array is memory of the host, or
 * of another device (on the CPU, memory of any device of the CPU will do), or was freed and is not in use again. -EINVAL:
 * an array is NULL and has elements, n is negative, or an array of yoke's memory ends before its last element (blocks are
 * somewhat longer than was asked for, so what is little too short is not seen). -E2BIG: more elements than there can be.
 * Kernels may be used from any thread, each stream from one at a time.
 */
#ifndef YOKE_KERNEL_H
#define YOKE_KERNEL_H
#pragma GCC system_header
#include <yoke/gpu.h>
#include <yoke/loop.h>
#include <yoke/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What the macros use ---- */

enum { YK_VAL, YK_IN, YK_OUT, YK_INOUT };

typedef struct yk_param {
    const char *name, *type, *count; /* as they were written */
    uint32_t kind, size;             /* of the value, or of one element */
    uint16_t code;                   /* the same as enum yoke_code */
    size_t at;                       /* in the arguments, which begin with n */
} yk_param;

enum { YK_MAP_KERNEL, YK_REDUCE_KERNEL, YK_SCAN_KERNEL, YK_GROUP_KERNEL };

/* A kernel as its macro describes it. number: its place among the kernels and device codes of its file, which
 * unit names. texts: a map has its body; a reduction its map, its combination and its identity; a scan its
 * input, the next two, its output, and what begins a segment. next, id, task and known are the library's. */
typedef struct yoke_kernel {
    const char *name, *file;
    unsigned line, number;
    const void *unit;
    unsigned form, nparams;
    const yk_param *params;
    size_t args_size;
    const char *texts[6];
    yk_loop_chunk *chunk;                           /* the C form */
    void (*counts)(const void *args, size_t *ret);  /* elements of each parameter */
    const struct yk_kernel_extra *extra;            /* of other forms than maps */
    struct yoke_kernel *next;
    uint32_t id;
    void (*call)(const void *args, void *ret); /* of its task */
    yoke_task *task;
    unsigned known;
} yoke_kernel;

typedef struct yk_kernel_extra {
    const char *type; /* of what is combined */
    size_t size;
    yk_reduction reduction;
    unsigned group; /* of a program: items in a group */
    const struct yk_scanning *scanning;
    uint16_t code; /* of the result of a reduction, enum yoke_code */
} yk_kernel_extra;

typedef struct yk_device_code {
    const char *text, *file;
    unsigned line, number;
    const void *unit;
    struct yk_device_code *next;
} yk_device_code;

/* What constructors and destructors of files with kernels call. */
YOKE_API void yk_kernel_add(yoke_kernel *k);
YOKE_API void yk_kernel_remove(yoke_kernel *k);
YOKE_API void yk_device_code_add(yk_device_code *c);
YOKE_API void yk_device_code_remove(yk_device_code *c);
/* args: a struct of n and the arguments. */
YOKE_API int yk_enqueue(yoke_stream *s, yoke_kernel *k, const void *args);
/* The body of its task. ret: of a reduction, its result. */
YOKE_API void yk_kernel_run(yoke_kernel *k, const void *task_args, void *ret);
YOKE_API struct yoke_future *yk_launch(struct yoke_executor *ex, yoke_kernel *k, const void *args, const struct yoke_opts *opts);
YOKE_API int yk_prepare(yoke_device *dev, yoke_kernel *k);
YOKE_API int yk_enqueue_scan(yoke_stream *s, yoke_kernel *k, const void *args);
/* ret in memory of the device, or, if wait, of the host. */
YOKE_API int yk_enqueue_reduction(yoke_stream *s, yoke_kernel *k, const void *args, void *ret, bool wait);

/* One per file that includes this: what its kernels and its device code know each other by. */
static YK_MAYBE const char yk_kernel_unit = 0;

/* ---- The parameter list ---- */

/* FORM_1: 16 tuples at most, each with a word that is known and 3 or 4 things; else WRONG or CROWD. */
#define YK_KERNEL_FORM(PARAMS) YK_CAT(YK_KERNEL_FORM_, YK_IS_IN_PAREN(PARAMS))(PARAMS)
#define YK_KERNEL_FORM_0(PARAMS) WRONG
#define YK_KERNEL_FORM_1(PARAMS) YK_CAT(YK_KERNEL_MANY_, YK_KERNEL_HAS_ANY(~, YK_UNWRAP PARAMS))(PARAMS)
#define YK_KERNEL_HAS_ANY(...) YK_HAS_MORE(__VA_ARGS__)
#define YK_KERNEL_MANY_TOO_MANY(PARAMS) CROWD
#define YK_KERNEL_MANY_1(PARAMS) YK_CAT(YK_KERNEL_RIGHT_, YK_KERNEL_EACH(YK_KERNEL_IS_PARAM, YK_UNWRAP PARAMS))
#define YK_KERNEL_EACH(t, ...) YK_ALL(t, __VA_ARGS__)
#define YK_KERNEL_RIGHT_0 WRONG
#define YK_KERNEL_RIGHT_1 RIGHT
#define YK_KERNEL_IS_PARAM(p) YK_CAT(YK_KERNEL_IS_PARAM_, YK_IS_TUPLE(p))(p)
#define YK_KERNEL_IS_PARAM_0(p) 0
#define YK_KERNEL_IS_PARAM_1(p) YK_AND(YK_KERNEL_IS_WORD p, YK_CAT(YK_KERNEL_HAS_, YK_COUNT p))
#define YK_KERNEL_IS_WORD(WORD, ...) YK_SECOND(YK_KERNEL_WORD_##WORD, 0)
#define YK_KERNEL_WORD_val ~, 1,
#define YK_KERNEL_WORD_in ~, 1,
#define YK_KERNEL_WORD_out ~, 1,
#define YK_KERNEL_WORD_inout ~, 1,
#define YK_KERNEL_HAS_1 0
#define YK_KERNEL_HAS_2 0
#define YK_KERNEL_HAS_3 1
#define YK_KERNEL_HAS_4 1
#define YK_KERNEL_HAS_5 0
#define YK_KERNEL_HAS_6 0
#define YK_KERNEL_HAS_TOO_MANY 0

#define YK_KERNEL_TYPE_val(T) T
#define YK_KERNEL_TYPE_in(T) const T *
#define YK_KERNEL_TYPE_out(T) T *
#define YK_KERNEL_TYPE_inout(T) T *
#define YK_KERNEL_ALONE_val(T) T
#define YK_KERNEL_ALONE_in(T) const T *__restrict__
#define YK_KERNEL_ALONE_out(T) T *__restrict__
#define YK_KERNEL_ALONE_inout(T) T *__restrict__
#define YK_KERNEL_KIND_val YK_VAL
#define YK_KERNEL_KIND_in YK_IN
#define YK_KERNEL_KIND_out YK_OUT
#define YK_KERNEL_KIND_inout YK_INOUT

#define YK_KERNEL_DECLARE(c, p) YK_KERNEL_DECLARE_AS p
#define YK_KERNEL_DECLARE_AS(WORD, T, ...) YK_KERNEL_TYPE_##WORD(T) YK_FIRST(__VA_ARGS__, ~)
#define YK_KERNEL_TAKE(c, p) YK_KERNEL_TAKE_AS p
#define YK_KERNEL_TAKE_AS(WORD, T, ...) YK_MAYBE YK_KERNEL_ALONE_##WORD(T) YK_FIRST(__VA_ARGS__, ~)
#define YK_KERNEL_NAME_OF(c, p) YK_KERNEL_NAME_AS p
#define YK_KERNEL_NAME_AS(WORD, T, ...) YK_FIRST(__VA_ARGS__, ~)
#define YK_KERNEL_LOAD(c, p) yk_a->YK_KERNEL_NAME_AS p
#define YK_KERNEL_LOCAL(c, p) YK_KERNEL_LOCAL_AS p
#define YK_KERNEL_LOCAL_AS(WORD, T, ...) YK_KERNEL_TYPE_##WORD(T) const YK_FIRST(__VA_ARGS__, ~) = yk_a->YK_FIRST(__VA_ARGS__, ~)
#define YK_KERNEL_COUNT_OF(c, p) YK_KERNEL_ROW_OF(YK_KERNEL_COUNT_AS, c, YK_UNWRAP p)
#define YK_KERNEL_COUNT_AS(COUNT, WORD, T, ...) *yk_ret++ = (size_t)(YK_SECOND(__VA_ARGS__, COUNT))
#define YK_KERNEL_ROW(c, p) YK_KERNEL_ROW_OF(YK_KERNEL_ROW_AS, YK_UNWRAP c, YK_UNWRAP p)
#define YK_KERNEL_ROW_OF(m, ...) m(__VA_ARGS__)
#define YK_KERNEL_ROW_AS(N, COUNT, WORD, T, ...)                                                                       \
    {                                                                                                                  \
        YK_TEXT(YK_FIRST(__VA_ARGS__, ~)), #T, YK_TEXT(YK_SECOND(__VA_ARGS__, COUNT)), YK_KERNEL_KIND_##WORD, sizeof(T), \
            YK_CODE(T), offsetof(struct yk_kernel_args_##N, YK_FIRST(__VA_ARGS__, ~))                                  \
    }

#define YK_KERNEL_LIKE                                                                                                 \
    "write the parameters as ((val, type, name), (in, type, name), (inout, type, name, count)...), with a second pair of " \
    "parentheses round them all"

/* Tests of the text alone; a break beside loops is found when the kernel enters (yk_kernel_add()). In C++ and clang the
 * compiler finds a return by itself: the function returns what cannot be made. */
#if defined __cplusplus || defined __clang__
#define YK_KERNEL_ASSERT_TEXT(N, TEXT)
#else
#define YK_KERNEL_ASSERT_TEXT(N, TEXT)                                                                                 \
    YK_ASSERT(!(YK_KERNEL_RETURNS(TEXT, "return;") || YK_KERNEL_RETURNS(TEXT, "return (")),                            \
              "yoke: kernel " #N ": a body has no return; continue ends an element");                                 \
    YK_ASSERT(!YK_KERNEL_RETURNS(TEXT, "break;") || __builtin_strstr(TEXT, "for") || __builtin_strstr(TEXT, "while")   \
                  || __builtin_strstr(TEXT, "switch"),                                                                 \
              "yoke: kernel " #N ": a break stands outside loops; continue ends an element");
#define YK_KERNEL_RETURNS(TEXT, WORD)                                                                                  \
    (__builtin_strstr(" " TEXT, " " WORD) || __builtin_strstr(TEXT, ")" WORD) || __builtin_strstr(TEXT, "{" WORD)      \
     || __builtin_strstr(TEXT, ";" WORD))
#endif
#ifdef __cplusplus
#define YK_KERNEL_ASSERT_MATH(N)
#else
#define YK_KERNEL_ASSERT_MATH(N)                                                                                       \
    YK_ASSERT(sizeof(YK_TEXT(sqrt(0))) != sizeof "sqrt(0)",                                                            \
              "yoke: kernel " #N ": include <yoke/kernel.h> by name, for the functions of <tgmath.h>");
#endif

#define YK_KERNEL_CODE __attribute__((noinline, unused)) YK_KERNEL_NUMBERS
#ifdef __clang__
#define YK_KERNEL_EXACT _Pragma("clang fp contract(off)")
#define YK_KERNEL_LOOP
#else
#define YK_KERNEL_EXACT
#define YK_KERNEL_LOOP _Pragma("GCC ivdep")
#endif

/* What every form has: its arguments, and a table of its parameters. LENGTH: what the number of the call is
 * called in counts, COUNT: how many elements an array has that does not say it. */
#define YK_KERNEL_HEAD(N, LENGTH, COUNT, ...)                                                                          \
    enum {                                                                                                             \
        yk_kernel_takes_##N = YK_COUNT(__VA_ARGS__)                                                                    \
    };                                                                                                                 \
    struct yk_kernel_args_##N {                                                                                        \
        long yk_n;                                                                                                     \
        YK_MAP(YK_KERNEL_DECLARE, ~, YK_SEMICOLON, __VA_ARGS__);                                                       \
    };                                                                                                                 \
    YK_ASSERT(sizeof(struct yk_kernel_args_##N) <= 4008,                                                               \
              "yoke: kernel " #N ": its parameters have more than 4000 bytes: pass an array of one element");          \
    static YK_MAYBE void yk_kernel_counts_##N(const void *yk_v, size_t *yk_ret)                                        \
    {                                                                                                                  \
        const struct yk_kernel_args_##N *const yk_a = (const struct yk_kernel_args_##N *)yk_v;                         \
        const long LENGTH = yk_a->yk_n;                                                                                \
        (void)LENGTH;                                                                                                  \
        YK_MAP(YK_MAYBE YK_KERNEL_LOCAL, ~, YK_SEMICOLON, __VA_ARGS__);                                                \
        YK_MAP(YK_KERNEL_COUNT_OF, COUNT, YK_SEMICOLON, __VA_ARGS__);                                                  \
    }                                                                                                                  \
    static const yk_param yk_kernel_params_##N[] = {YK_MAP(YK_KERNEL_ROW, (N, COUNT), YK_COMMA, __VA_ARGS__)};
#define YK_KERNEL_RECORD(N, FORM, TEXTS, CHUNK, EXTRA, CALL)                                                           \
    static yoke_kernel yoke_kernel_##N = {#N,                                                                          \
                                          __FILE__,                                                                    \
                                          __LINE__,                                                                    \
                                          __COUNTER__,                                                                 \
                                          &yk_kernel_unit,                                                             \
                                          FORM,                                                                        \
                                          yk_kernel_takes_##N,                                                         \
                                          yk_kernel_params_##N,                                                        \
                                          sizeof(struct yk_kernel_args_##N),                                           \
                                          {YK_UNWRAP TEXTS},                                                           \
                                          CHUNK,                                                                       \
                                          yk_kernel_counts_##N,                                                        \
                                          EXTRA,                                                                       \
                                          NULL,                                                                        \
                                          0,                                                                           \
                                          CALL,                                                                        \
                                          NULL,                                                                        \
                                          0};                                                                          \
    YK_KERNEL_ENTER(N)
/* What makes a job of it: the body of its task, and its submission. */
#define YK_KERNEL_TASK(N, ...)                                                                                         \
    static void yk_kernel_call_##N(const void *yk_v, void *yk_ret)                                                     \
    {                                                                                                                  \
        yk_kernel_run(&yoke_kernel_##N, yk_v, yk_ret);                                                                 \
    }                                                                                                                  \
    static inline YK_MAYBE struct yoke_future *yk_kernel_launch_##N(struct yoke_executor *yk_ex,                       \
                                                                    const struct yoke_opts *yk_options, size_t yk_n,   \
                                                                    YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__)) \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        return yk_launch(yk_ex, &yoke_kernel_##N, &yk_args, yk_options);                                               \
    }
#define YK_KERNEL_ENTER(N)                                                                                             \
    static __attribute__((constructor)) void yk_kernel_add_##N(void)                                                   \
    {                                                                                                                  \
        yk_kernel_add(&yoke_kernel_##N);                                                                               \
    }                                                                                                                  \
    static __attribute__((destructor)) void yk_kernel_remove_##N(void)                                                 \
    {                                                                                                                  \
        yk_kernel_remove(&yoke_kernel_##N);                                                                            \
    }
#define YK_KERNEL_MAKE(RIGHT, M, N, ...) YK_CAT(YK_KERNEL_MAKE_, RIGHT)(M, N, __VA_ARGS__)
#define YK_KERNEL_MAKE_RIGHT(M, N, ...) M(N, __VA_ARGS__)
/* Wrong ones: the assertion is the first that the compiler complains of. */
#define YK_KERNEL_MAKE_WRONG(M, N, ...)                                                                                \
    YK_ASSERT(0, "yoke: kernel " #N ": " YK_KERNEL_LIKE);                                                              \
    M##_WRONG(N)
#define YK_KERNEL_MAKE_CROWD(M, N, ...)                                                                                \
    YK_ASSERT(0, "yoke: kernel " #N ": at most 16 parameters");                                                        \
    M##_WRONG(N)

/* ---- The front: device code ---- */

/* YOKE_DEVICE_CODE(declarations and definitions...): at file scope, in C and C++, for the kernels that stand after
 * it in the same file (an included header is part of it):
 *
 *     YOKE_DEVICE_CODE(
 *         struct body { float x, y, z, mass; };
 *         YOKE_CONST float weights[3] = {0.25f, 0.5f, 0.25f};
 *         YOKE_FN float square(float x) { return x * x; }
 *     )
 *
 * typedef, struct, enum, and the words of yoke/dialect.h; no preprocessor lines. */
#define YOKE_DEVICE_CODE(...) YK_DEVICE_CODE(__COUNTER__, #__VA_ARGS__) __VA_ARGS__
#define YK_DEVICE_CODE(NUMBER, TEXT) YK_DEVICE_CODE_AS(NUMBER, TEXT)
#define YK_DEVICE_CODE_AS(NUMBER, TEXT)                                                                                \
    static yk_device_code yk_device_code_##NUMBER = {TEXT, __FILE__, __LINE__, NUMBER, &yk_kernel_unit, NULL};         \
    static __attribute__((constructor)) void yk_device_code_add_##NUMBER(void)                                         \
    {                                                                                                                  \
        yk_device_code_add(&yk_device_code_##NUMBER);                                                                  \
    }                                                                                                                  \
    static __attribute__((destructor)) void yk_device_code_remove_##NUMBER(void)                                       \
    {                                                                                                                  \
        yk_device_code_remove(&yk_device_code_##NUMBER);                                                               \
    }

/* ---- The front: kernels of one element ---- */

/* YOKE_KERNEL(name, (parameters...), body): at file scope. */
#define YOKE_KERNEL(N, PARAMS, ...)                                                                                    \
    YK_KERNEL_MAKE(YK_KERNEL_FORM(PARAMS), YK_KERNEL_OF, N, #__VA_ARGS__, YK_UNWRAP PARAMS)                            \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
    return yk_none;                                                                                                    \
    }
#define YK_KERNEL_OF_WRONG(N)                                                                                          \
    static YK_MAYBE long yk_wrong_kernel_##N(long i, long n)                                                           \
    {                                                                                                                  \
        long yk_none = i + n;                                                                                          \
        while (yk_none)
#define YK_KERNEL_OF(N, TEXT, ...)                                                                                     \
    YK_KERNEL_ASSERT_TEXT(N, TEXT)                                                                                     \
    YK_KERNEL_ASSERT_MATH(N)                                                                                           \
    YK_KERNEL_HEAD(N, n, n, __VA_ARGS__)                                                                               \
    enum {                                                                                                             \
        yk_a_kernel_named_##N                                                                                          \
    };                                                                                                                 \
    struct yk_no_return_in_kernel_##N {                                                                                \
        char yk_none;                                                                                                  \
    };                                                                                                                 \
    static struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                               \
        long yk_lo, long yk_hi, long n, YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT;                 \
    static YK_MAYBE void yk_kernel_chunk_##N(size_t yk_lo, size_t yk_hi, const void *yk_v) YK_NOEXCEPT                 \
    {                                                                                                                  \
        const struct yk_kernel_args_##N *const yk_a = (const struct yk_kernel_args_##N *)yk_v;                         \
        (void)yk_no_return_in_kernel_##N((long)yk_lo, (long)yk_hi, yk_a->yk_n,                                         \
                                         YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__));                            \
    }                                                                                                                  \
    static void yk_kernel_call_##N(const void *yk_v, void *yk_ret);                                                    \
    YK_KERNEL_RECORD(N, YK_MAP_KERNEL, (TEXT), yk_kernel_chunk_##N, NULL, yk_kernel_call_##N)                          \
    YK_KERNEL_TASK(N, __VA_ARGS__)                                                                                     \
    static inline YK_MAYBE int yk_kernel_put_##N(yoke_stream *yk_s, size_t yk_n,                                       \
                                                 YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__))                  \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        return yk_enqueue(yk_s, &yoke_kernel_##N, &yk_args);                                                           \
    }                                                                                                                  \
    static YK_KERNEL_CODE struct yk_no_return_in_kernel_##N yk_no_return_in_kernel_##N(                                \
        long yk_lo, long yk_hi, YK_MAYBE long n, YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__)) YK_NOEXCEPT         \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        struct yk_no_return_in_kernel_##N yk_none = {0};                                                               \
        YK_KERNEL_LOOP                                                                                                 \
        for (long i = yk_lo; i < yk_hi; i++)

/* yoke_enqueue(stream, name, n, arguments...): puts the kernel in the stream, for i = 0 .. n-1. 0, or a negative
 * code, see above; -EINVAL when stream is NULL. */
#define yoke_enqueue(s, N, n, ...) (YK_USE(kernel, a_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_put_##N((s), (n), __VA_ARGS__))

/* yoke_prepare(device, name): compiles the kernel, reduction, scan or program for the device now and not at its first use. 0,
 * or a negative code, as that would have returned. Nothing to do on the CPU. */
#define yoke_prepare(dev, N) yk_prepare((dev), &yoke_kernel_##N)

/* yoke_launch(executor, name, n, arguments...): the kernel as a job, a yoke_future * of no value; NULL when there
 * is no memory, which yoke_wait() and its kin tell. Arrays are memory of the host, which must stay until the job
 * has ended, or of the executor's device; with memory of any other the job fails with -EFAULT, and where one is NULL
 * or n is negative with -EINVAL. On an executor with a
 * device (yoke/gpu.h) host memory goes up, is worked on and comes down in pieces that overlap, provided that the body
 * uses each such array as x[i] alone; elsewhere the workers of the executor do it.
 *
 * A kernel is a task, too, of the same name, with an array view in place of each array, and in place of n unless
 * an array has n elements: yoke run FILE.c:axpy 2 '[1,2]' '[3,4]' --on cuda. Elements that are structs or bools
 * are bytes there. Kernels of several files may have one name; then yoke run finds the first. */
#define yoke_launch(ex, N, n, ...)                                                                                     \
    (YK_USE(kernel, a_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_launch_##N((ex), NULL, (n), __VA_ARGS__))

/* The same with options in parentheses, as yoke_opt_submit() has them (yoke/executor.h; a file that uses this includes that
 * too, or <yoke.h>):
 *
 *     yoke_opt_launch(ex, (timeout = 2 * YOKE_S, retries = 3), axpy, n, 2, x, y)
 *
 * A kernel that is on a device cannot be interrupted there: after a timeout the future fails at once, as it does for functions
 * on threads, and the device is busy until the kernel ends; between two pieces the job stops. What ends a kernel is the end
 * of a worker process: "processes:cuda:0". An attempt begins with the arrays as the last has left them. */
#define yoke_opt_launch(ex, OPTIONS, N, n, ...)                                                                        \
    YK_WITH_OPTIONS(N, OPTIONS, (YK_USE(kernel, a_kernel, N, YK_COUNT(__VA_ARGS__)),                                   \
                                 yk_kernel_launch_##N((ex), &yk_options.yk_all, (n), __VA_ARGS__)))

/* ---- The front: reductions ---- */

/* YOKE_REDUCTION(type, name, (identity), combination, map, (parameters...)): at file scope. The map is an
 * expression of i, n and the parameters with one element's value; the combination one of two such values a and b,
 * associative and commutative up to rounding; identity its neutral element, as an initialiser: (0), ({0, 1}). type:
 * any without pointers, at most 128 bytes. Of type bool, the map and the combination are conditions, x[i] != 0: a device keeps a
 * byte of what they are.
 *
 * The result of the same call on the same device is the same in every bit. */
#define YOKE_REDUCTION(T, N, IDENTITY, COMBINE, MAP, PARAMS)                                                           \
    YK_KERNEL_MAKE(YK_KERNEL_FORM(PARAMS), YK_REDUCTION_OF, N, T, #T, IDENTITY, #IDENTITY, (COMBINE), #COMBINE, (MAP), #MAP, \
                   YK_UNWRAP PARAMS)
#define YK_REDUCTION_OF_WRONG(N) struct yk_kernel_args_##N
#define YK_REDUCTION_OF(N, T, TYPE, IDENTITY, IDENTITY_TEXT, COMBINE, COMBINE_TEXT, MAP, MAP_TEXT, ...)                \
    YK_ASSERT(YK_IS_IN_PAREN(IDENTITY), "yoke: reduction " #N ": write the identity in parentheses: (0)");             \
    YK_ASSERT(sizeof(T) <= 128, "yoke: reduction " #N ": its type has more than 128 bytes");                           \
    YK_KERNEL_ASSERT_MATH(N)                                                                                           \
    YK_KERNEL_HEAD(N, n, n, __VA_ARGS__)                                                                               \
    enum {                                                                                                             \
        yk_a_reduction_kernel_named_##N                                                                                \
    };                                                                                                                 \
    static YK_MAYBE void yk_kernel_identity_##N(void *yk_to)                                                           \
    {                                                                                                                  \
        const T yk_identity = YK_UNWRAP IDENTITY;                                                                      \
        memcpy(yk_to, &yk_identity, sizeof yk_identity);                                                               \
    }                                                                                                                  \
    static inline YK_MAYBE YK_KERNEL_NUMBERS T yk_kernel_both_##N(const T a, const T b)                                \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        return YK_UNWRAP COMBINE;                                                                                      \
    }                                                                                                                  \
    static YK_MAYBE void yk_kernel_combine_##N(void *yk_to, const void *yk_from) YK_NOEXCEPT                           \
    {                                                                                                                  \
        *(T *)yk_to = yk_kernel_both_##N(*(const T *)yk_to, *(const T *)yk_from);                                      \
    }                                                                                                                  \
    static inline YK_MAYBE YK_KERNEL_NUMBERS T yk_kernel_map_##N(YK_MAYBE long i, YK_MAYBE long n,                     \
                                               YK_MAP(YK_KERNEL_TAKE, ~, YK_COMMA, __VA_ARGS__))                       \
    {                                                                                                                  \
        YK_KERNEL_EXACT                                                                                                \
        return YK_UNWRAP MAP;                                                                                          \
    }                                                                                                                  \
    /* Eight sums at a time, where they fit in registers: a single one would wait for itself. */                       \
    static YK_KERNEL_CODE void yk_kernel_fold_##N(size_t yk_lo, size_t yk_hi, void *yk_to, const void *yk_v) YK_NOEXCEPT \
    {                                                                                                                  \
        enum { yk_lanes = sizeof(T) <= 16 ? 8 : 1 };                                                                   \
        const struct yk_kernel_args_##N yk_l = *(const struct yk_kernel_args_##N *)yk_v, *const yk_a = &yk_l;          \
        const long yk_n = yk_a->yk_n;                                                                                  \
        T yk_sums[yk_lanes];                                                                                           \
        for (size_t yk_k = 0; yk_k < yk_lanes; yk_k++)                                                                 \
            yk_kernel_identity_##N(&yk_sums[yk_k]);                                                                    \
        for (; yk_hi - yk_lo >= yk_lanes; yk_lo += yk_lanes)                                                           \
            for (size_t yk_k = 0; yk_k < yk_lanes; yk_k++)                                                             \
                yk_sums[yk_k] =                                                                                        \
                    yk_kernel_both_##N(yk_sums[yk_k], yk_kernel_map_##N((long)(yk_lo + yk_k), yk_n,                    \
                                                                        YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__))); \
        for (; yk_lo < yk_hi; yk_lo++)                                                                                 \
            yk_sums[0] = yk_kernel_both_##N(                                                                           \
                yk_sums[0], yk_kernel_map_##N((long)yk_lo, yk_n, YK_MAP(YK_KERNEL_LOAD, ~, YK_COMMA, __VA_ARGS__)));   \
        for (size_t yk_k = 0; yk_k < yk_lanes; yk_k++)                                                                 \
            yk_kernel_combine_##N(yk_to, &yk_sums[yk_k]);                                                              \
    }                                                                                                                  \
    static const yk_kernel_extra yk_kernel_extra_##N = {                                                               \
        TYPE, sizeof(T), {yk_kernel_fold_##N, yk_kernel_combine_##N, yk_kernel_identity_##N, sizeof(T)}, 0, NULL,      \
        YK_CODE(T)};                                                                                                   \
    static void yk_kernel_call_##N(const void *yk_v, void *yk_ret);                                                    \
    YK_KERNEL_RECORD(N, YK_REDUCE_KERNEL, (MAP_TEXT, COMBINE_TEXT, IDENTITY_TEXT), NULL, &yk_kernel_extra_##N,         \
                     yk_kernel_call_##N)                                                                               \
    YK_KERNEL_TASK(N, __VA_ARGS__)                                                                                     \
    static inline YK_MAYBE int yk_kernel_put_##N(yoke_stream *yk_s, size_t yk_n, T *yk_ret,                            \
                                                 YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__))                  \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        return yk_enqueue_reduction(yk_s, &yoke_kernel_##N, &yk_args, yk_ret, false);                                  \
    }                                                                                                                  \
    static inline YK_MAYBE T yk_kernel_get_##N(yoke_stream *yk_s, size_t yk_n,                                         \
                                               YK_MAP(YK_KERNEL_DECLARE, ~, YK_COMMA, __VA_ARGS__))                    \
    {                                                                                                                  \
        const struct yk_kernel_args_##N yk_args = {(long)yk_n, YK_MAP(YK_KERNEL_NAME_OF, ~, YK_COMMA, __VA_ARGS__)};   \
        T yk_ret;                                                                                                      \
        yk_kernel_identity_##N(&yk_ret);                                                                               \
        (void)yk_enqueue_reduction(yk_s, &yoke_kernel_##N, &yk_args, &yk_ret, true);                                   \
        return yk_ret;                                                                                                 \
    }                                                                                                                  \
    struct yk_kernel_args_##N

/* yoke_reduction(stream, name, n, arguments...): waits for what is in the stream, and returns the result; the
 * identity when n is 0, and when it failed, which yoke_device_error() and the stream's next wait tell.
 * yoke_enqueue_reduction(stream, name, n, ret, arguments...): writes it to *ret, memory of the device, when the
 * stream comes by. */
#define yoke_reduction(s, N, n, ...)                                                                                   \
    (YK_USE(kernel, a_reduction_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_get_##N((s), (n), __VA_ARGS__))
#define yoke_enqueue_reduction(s, N, n, ret, ...)                                                                      \
    (YK_USE(kernel, a_reduction_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_put_##N((s), (n), (ret), __VA_ARGS__))

/* yoke_launch_reduction(executor, name, n, arguments...): the reduction as a job, a future of its type: as yoke_launch(), with
 * arrays of the host or of the executor's device; those of the host go up whole. On an executor `gpu` either side may do it, and
 * a sum of floats differ in its last bits.
 *
 *     double sum = yoke_await(yoke_launch_reduction(ex, dot, n, x, y), double);
 *
 * yoke_opt_launch_reduction(executor, (options), name, n, arguments...): the same with options, see yoke_opt_launch().
 *
 * A reduction to a number or a bool is a task, too, as a kernel is: yoke run FILE.c:dot '[1,2]' '[3,4]'. The identity of
 * one of nothing must have a text then: infinity has none (--nonfinite). */
#define yoke_launch_reduction(ex, N, n, ...)                                                                           \
    (YK_USE(kernel, a_reduction_kernel, N, YK_COUNT(__VA_ARGS__)), yk_kernel_launch_##N((ex), NULL, (n), __VA_ARGS__))
#define yoke_opt_launch_reduction(ex, OPTIONS, N, n, ...)                                                              \
    YK_WITH_OPTIONS(N, OPTIONS, (YK_USE(kernel, a_reduction_kernel, N, YK_COUNT(__VA_ARGS__)),                         \
                                 yk_kernel_launch_##N((ex), &yk_options.yk_all, (n), __VA_ARGS__)))

#ifdef __cplusplus
}
#endif
#endif
#include <yoke/dialect.h>
