/* array_random: arrays of random numbers: the functions of array_random.h as loops for the CPU and as kernels for devices. */
#include "gpu/array_random.h"
#include "gpu/array_text.h"
#include "gpu/philox.h"
#include <math.h>
#include <stdio.h>
#include <yoke/loop.h>

#ifndef __clang__
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

enum { SERIAL = 8192 };

typedef uint64_t u64;
typedef int64_t i64;
typedef uint32_t u32;
#define FN static inline __attribute__((unused))
#define AS_CODE(...) __VA_ARGS__
YK_RANDOM_FUNCTIONS(AS_CODE)
YK_RANDOM_DOUBLES(AS_CODE)

void yk_philox(uint32_t counter[4], const uint32_t key[2])
{
    philox(counter, key[0], key[1]);
}

double yk_normal_of(uint64_t bits)
{
    return normal_of(bits);
}

/* ---- On the CPU ---- */

typedef union number {
    float f32;
    double f64;
    int64_t i64;
} number;

typedef struct job {
    uint64_t key, start;
    number low, high, last;
    void *to;
} job;

#define FIELD_F32 f32
#define FIELD_F64 f64
#define FIELD_I64 i64
enum { NUMBERS = 2 * YK_PHILOX_BLOCKS }; /* at a time */

/* As normal_of(). Most lie in the middle, which is computed for all of them, in vectors; the others follow. */
static void normals_of(const u64 *bits, size_t n, double *z)
{
    double q[NUMBERS];
    u64 whole[NUMBERS];
    for (size_t k = 0; k < n; k++) {
        whole[k] = (bits[k] >> 12) * 2 + 1;
        q[k] = (double)(i64)whole[k] * 1.1102230246251565e-16 - 0.5;
    }
    for (size_t k = 0; k < n; k++)
        z[k] = middle_of(q[k]);
    for (size_t k = 0; k < n; k++)
        if (q[k] > 0.425 || q[k] < -0.425)
            z[k] = tail_of(whole[k], q[k]);
}
#define NORMAL normals[k]
#define LOOP(what, code, T, doubles, is_normal, ...)                                                                   \
    static void fill_##what(size_t lo, size_t hi, const void *arg)                                                     \
    {                                                                                                                  \
        typedef T N;                                                                                                   \
        const job *j = arg;                                                                                            \
        const N low = j->low.FIELD_##code, high = j->high.FIELD_##code;                                                \
        const N last __attribute__((unused)) = j->last.FIELD_##code;                                                   \
        u64 all[NUMBERS];                                                                                              \
        double normals[NUMBERS];                                                                                       \
        for (size_t i = lo, some; i < hi; i += some) {                                                                 \
            const u64 *own = all + i % 2;                                                                              \
            N *restrict z = (N *)j->to + i;                                                                            \
            some = YK_MIN(hi - i, NUMBERS - i % 2);                                                                    \
            yk_philox_blocks(all, j->key, j->start + i / 2);                                                           \
            if (is_normal)                                                                                             \
                normals_of(own, some, normals);                                                                        \
            for (size_t k = 0; k < some; k++) {                                                                        \
                const u64 bits __attribute__((unused)) = own[k];                                                       \
                N r;                                                                                                   \
                __VA_ARGS__                                                                                            \
                z[k] = r;                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }
YK_RANDOM_BODIES(LOOP)

#define STRING(...) #__VA_ARGS__
#define ENTRY(what, code, T, doubles, is_normal, ...) {#what, YOKE_##code, doubles, fill_##what, #__VA_ARGS__},
typedef struct kind {
    const char *name;
    unsigned type;
    bool doubles;
    yk_loop_chunk *fill;
    const char *text;
} kind;
static const kind kinds[] = {YK_RANDOM_BODIES(ENTRY)};
enum { UNIFORM_F32, UNIFORM_F64, NORMAL_F32, NORMAL_F64, INTEGERS };

/* ---- On a device ---- */

#define AS_TEXT(...) #__VA_ARGS__ "\n"
#undef NORMAL
static const char functions[] = YK_RANDOM_FUNCTIONS(AS_TEXT);
static const char doubles[] = YK_RANDOM_DOUBLES(AS_TEXT);

/* A thread of a GPU makes one block; a thread of a CPU several at a time, in vectors (as philox.c), until it has RUN numbers. */
enum { RUN = 4096 };
static const char blocks_of_gpu[] =
    "#define NUMBERS 2\n"
    "#define ITEM (GROUP_ID * GROUP + LID)\n"
    "FN void blocks_of(u64 *all, const u64 key, const u64 block)\n"
    "{\n"
    "    u32 x[4];\n"
    "    block_of(x, key, block);\n"
    "    all[0] = (u64)x[1] << 32 | x[0];\n"
    "    all[1] = (u64)x[3] << 32 | x[2];\n"
    "}\n";
static const char blocks_of_cpu[] =
    "#define NUMBERS 16\n"
    "#define ITEM GROUP_ID\n"
    "FN void blocks_of(u64 *all, const u64 key, const u64 block)\n"
    "{\n"
    "    const ulong8 lower = 0xffffffffu, counter = block + (ulong8)(0, 1, 2, 3, 4, 5, 6, 7);\n"
    "    ulong8 x0 = counter & lower, x1 = counter >> 32, x2 = 0, x3 = 0;\n"
    "    u32 key0 = (u32)key, key1 = (u32)(key >> 32);\n"
    "    _Pragma(\"unroll\")\n"
    "    for (int round = 0; round < 10; round++) {\n"
    "        const ulong8 a = x0 * 0xD2511F53u, b = x2 * 0xCD9E8D57u;\n"
    "        x0 = (b >> 32) ^ x1 ^ key0;\n"
    "        x2 = (a >> 32) ^ x3 ^ key1;\n"
    "        x1 = b & lower;\n"
    "        x3 = a & lower;\n"
    "        key0 += 0x9E3779B9u;\n"
    "        key1 += 0xBB67AE85u;\n"
    "    }\n"
    "    const ulong8 even = x1 << 32 | x0, odd = x3 << 32 | x2;\n"
    "    vstore16((ulong16)(even.s0, odd.s0, even.s1, odd.s1, even.s2, odd.s2, even.s3, odd.s3,\n"
    "                       even.s4, odd.s4, even.s5, odd.s5, even.s6, odd.s6, even.s7, odd.s7), 0, all);\n"
    "}\n";

static int item_of(bool is_cpu)
{
    return is_cpu ? RUN : 2;
}

void yk_random_text(const void *plan, const yk_array_target *t, yk_buf *to)
{
    const kind *k = plan;
    const int each = item_of(t->is_cpu);
    yk_array_text_begin(t, to);
    yk_buf_printf(to, "typedef unsigned u32;\ntypedef %s N;\n", yk_array_text_type(k->type));
    yk_buf_text(to, functions);
    if (k->doubles)
        yk_buf_text(to, doubles);
    yk_buf_text(to, "#define NORMAL normal_of(bits)\n");
    yk_buf_printf(to,
                  "%sKERNEL void yk_random(const i64 n, const u64 key, const u64 start, const N low, const N high,\n"
                  "                      const N last, MEMORY(N, z))\n"
                  "{\n"
                  "    USE(N, z)\n"
                  "    const i64 begin = ITEM * %d, end = n - begin < %d ? n : begin + %d;\n"
                  "    for (i64 at = begin; at < end; at += NUMBERS) {\n"
                  "        u64 all[NUMBERS];\n"
                  "        blocks_of(all, key, start + (u64)at / 2);\n"
                  "        const int some = end - at < NUMBERS ? (int)(end - at) : NUMBERS;\n"
                  "        for (int k = 0; k < some; k++) {\n"
                  "            const u64 bits = all[k];\n"
                  "            N r;\n"
                  "            %s\n"
                  "            z[at + k] = r;\n"
                  "        }\n"
                  "    }\n"
                  "}\n",
                  t->is_cpu ? blocks_of_cpu : blocks_of_gpu, each, each, each, k->text);
}

const void *yk_random_plan(unsigned i)
{
    return i < YK_COUNT_OF(kinds) ? &kinds[i] : NULL;
}

static int fill_on_device(yoke_array *out, const kind *k, job *j)
{
    static const char *const names[] = {"yk_random", NULL};
    const yk_array_kernel *b = yk_array_kernel_get(out->stream, k->name, k->name, names, yk_random_text, k);
    if (!b)
        return yk_array_code(out->stream);
    int64_t n = (int64_t)yoke_array_elements(out);
    const yk_array_target t = yk_array_target_of(out->stream->dev);
    const size_t size = yoke_array_type_size(k->type), group = t.is_cpu ? 1 : t.group, each = group * (size_t)item_of(t.is_cpu);
    yk_kernel_arg args[] = {yk_value_arg(&n, 8), yk_value_arg(&j->key, 8), yk_value_arg(&j->start, 8),
                            yk_value_arg(&j->low, size), yk_value_arg(&j->high, size), yk_value_arg(&j->last, size),
                            yk_memory_arg(&out->data)};
    return yk_array_launch_groups(out->stream, b, 0, ((size_t)n + each - 1) / each, group, args, YK_COUNT_OF(args), k->name);
}

/* ---- The calls ---- */

static yoke_array *fill(yoke_stream *s, yoke_random *random, const kind *k, yoke_dims shape, job j)
{
    if (k->doubles && !s->dev->info.has_double)
        return yk_array_fail(s, ENOTSUP, "random: %s has no f64, which %s needs", s->dev->info.uri, k->name);
    yoke_array *out = yoke_array_empty(s, k->type, shape);
    size_t n = yoke_array_elements(out);
    if (!out || n == 0)
        return out;
    j.key = random->seed;
    j.start = random->at;
    j.to = out->data;
    int err = 0;
    if (!yk_array_is_on_host(out))
        err = fill_on_device(out, k, &j);
    else if (n > SERIAL)
        err = yk_loop(yk_array_pool(s), n, k->fill, &j);
    else
        k->fill(0, n, &j);
    random->at += (n + 1) / 2;
    if (err == 0)
        return out;
    yoke_array_free(out);
    return NULL;
}

static bool has_generator(yoke_stream *s, const yoke_random *random)
{
    if (!s || yk_device_check(s->dev) < 0)
        return false;
    if (!random)
        yk_array_fail(s, EINVAL, "random: the generator is NULL");
    return random != NULL;
}

static bool makes_floats(yoke_stream *s, const yoke_random *random, unsigned type)
{
    if (!has_generator(s, random))
        return false;
    if (type != YOKE_F32 && type != YOKE_F64)
        yk_array_fail(s, EINVAL, "random: in %s, it makes f32 or f64", yoke_array_type_name(type));
    return type == YOKE_F32 || type == YOKE_F64;
}

yoke_array *yoke_array_uniform(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, double low, double high)
{
    job j = {0};
    if (!makes_floats(s, random, type))
        return NULL;
    bool fits;
    if (type == YOKE_F32) {
        float a = j.low.f32 = (float)low, b = j.high.f32 = (float)high;
        j.last.f32 = a < b ? nextafterf(b, a) : b;
        fits = a <= b && isfinite(b - a);
    } else {
        j.low.f64 = low;
        j.high.f64 = high;
        j.last.f64 = low < high ? nextafter(high, low) : high;
        fits = low <= high && isfinite(high - low);
    }
    if (!fits)
        return yk_array_fail(s, EINVAL, "random: uniform from %g to %g in %s", low, high, yoke_array_type_name(type));
    return fill(s, random, &kinds[type == YOKE_F32 ? UNIFORM_F32 : UNIFORM_F64], shape, j);
}

yoke_array *yoke_array_normal(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, double mean,
                              double deviation)
{
    job j = {0};
    if (!makes_floats(s, random, type))
        return NULL;
    if (deviation < 0)
        return yk_array_fail(s, EINVAL, "random: normal with a deviation of %g, which is below 0", deviation);
    if (type == YOKE_F32) {
        j.low.f32 = (float)mean;
        j.high.f32 = (float)deviation;
    } else {
        j.low.f64 = mean;
        j.high.f64 = deviation;
    }
    return fill(s, random, &kinds[type == YOKE_F32 ? NORMAL_F32 : NORMAL_F64], shape, j);
}

yoke_array *yoke_array_integers(yoke_stream *s, yoke_random *random, unsigned type, yoke_dims shape, int64_t low, int64_t high)
{
    if (!has_generator(s, random) || !yk_array_type_ok(s, "random", type))
        return NULL;
    yoke_array ends[] = {{.type = YOKE_I64, .number = {.i = low}}, {.type = YOKE_I64, .number = {.i = high}}};
    uint64_t raw;
    bool fits = type == YOKE_BOOL ? low >= 0 && high <= 1 : yk_number_as(&ends[0], type, &raw) == 0 &&
        yk_number_as(&ends[1], type, &raw) == 0;
    if (type == YOKE_F32 || type == YOKE_F64 || low > high || !fits)
        return yk_array_fail(s, EINVAL, "random: integers from %lld to %lld in %s", (long long)low, (long long)high,
                             yoke_array_type_name(type));
    job j = {.low = {.i64 = low}, .high = {.i64 = (int64_t)((uint64_t)high - (uint64_t)low + 1)}};
    yoke_array *wide = fill(s, random, &kinds[INTEGERS], shape, j);
    if (!wide || type == YOKE_I64)
        return wide;
    yoke_array *out = yoke_array_astype(wide, type);
    yoke_array_free(wide);
    return out;
}
