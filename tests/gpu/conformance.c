/* Every word of the dialect on every device: the same text gives what C gives. Integers, and floating-point
 * numbers where the device rounds as C does, are equal in every bit; functions are within so many units in the
 * last place of what is right. */
#include "gpu/cuda.h"
#include "gpu/kernel.h"
#include "kernel_try.h"

enum { N = 1003 }; /* fits no block, so that every path of a kernel runs */

YOKE_DEVICE_CODE(
    struct pair { int a; float b; };
    typedef unsigned int word;
    enum { THREE = 3 };
    YOKE_CONST int primes[4] = {2, 3, 5, 7};
    YOKE_FN int twice(int x) { return 2 * x; }
    YOKE_FN int at(YOKE_GLOBAL const int *x, long i) { return x[i]; }
)

typedef int run_fn(yoke_stream *s, size_t n, const void *x, const void *y, void *z);

/* ulps: how far from the reference a result may be; 0: equal in every bit to what the CPU's device gives. */
typedef struct row {
    const char *name;
    run_fn *run;
    size_t x, y, z; /* bytes of an element */
    char kind_x, kind_y, kind_z;
    double ulps;
    double (*right)(double x, double y); /* NULL: the CPU's device */
    bool needs_division;
} row;

#define KIND(T)                                                                                                        \
    _Generic((T)0, float : 'f', double : 'd', signed char : 'i', short : 'i', int : 'i', long : 'i', unsigned char : 'u', \
             unsigned short : 'u', unsigned : 'u', unsigned long : 'u')

/* Bodies stand in YOKE_KERNEL itself: a macro round it would expand what they call before they become text. */
#define ARRAYS(TX, TY, TZ) ((in, TX, x), (in, TY, y), (out, TZ, z))
#define ROW(NAME, TX, TY, TZ, ULPS, RIGHT, DIVIDES)                                                                    \
    static int run_##NAME(yoke_stream *s, size_t n, const void *x, const void *y, void *z)                             \
    {                                                                                                                  \
        return yoke_enqueue(s, NAME, n, (const TX *)x, (const TY *)y, (TZ *)z);                                        \
    }                                                                                                                  \
    static const row row_##NAME = {#NAME, run_##NAME, sizeof(TX), sizeof(TY), sizeof(TZ), KIND(TX),                    \
                                   KIND(TY), KIND(TZ), ULPS, RIGHT, DIVIDES};
#define SAME(NAME, TX, TY, TZ) ROW(NAME, TX, TY, TZ, 0, NULL, false)
#define DIVIDES(NAME, TX, TY, TZ) ROW(NAME, TX, TY, TZ, 0, NULL, true)
#define FUNCTION(NAME, F, ULPS)                                                                                        \
    static double right_##NAME(double x, double y) { return F((double)(fabs((float)x) + 0.25f)) + 0 * y; }             \
    ROW(NAME, float, float, float, ULPS, right_##NAME, false)

YOKE_KERNEL(int_add, ARRAYS(int, int, int), z[i] = (int)((unsigned)x[i] + (unsigned)y[i]);)
SAME(int_add, int, int, int)
YOKE_KERNEL(int_sub, ARRAYS(int, int, int), z[i] = (int)((unsigned)x[i] - (unsigned)y[i]);)
SAME(int_sub, int, int, int)
YOKE_KERNEL(uint_mul, ARRAYS(unsigned, unsigned, unsigned), z[i] = x[i] * y[i];)
SAME(uint_mul, unsigned, unsigned, unsigned)
YOKE_KERNEL(int_div, ARRAYS(int, int, int), z[i] = x[i] / ((y[i] & 1023) + 1);)
SAME(int_div, int, int, int)
YOKE_KERNEL(int_mod, ARRAYS(int, int, int), z[i] = x[i] % ((y[i] & 1023) + 1);)
SAME(int_mod, int, int, int)
YOKE_KERNEL(uint_div, ARRAYS(unsigned, unsigned, unsigned), z[i] = x[i] / (y[i] | 1u);)
SAME(uint_div, unsigned, unsigned, unsigned)
YOKE_KERNEL(int_shift, ARRAYS(int, int, int), z[i] = x[i] >> (y[i] & 31);)
SAME(int_shift, int, int, int)
YOKE_KERNEL(uint_shift, ARRAYS(unsigned, unsigned, unsigned), z[i] = (x[i] << (y[i] & 31u)) | (x[i] >> ((32u - y[i]) & 31u));)
SAME(uint_shift, unsigned, unsigned, unsigned)
YOKE_KERNEL(bits, ARRAYS(unsigned, unsigned, unsigned), z[i] = ((x[i] & y[i]) | ~y[i]) ^ (x[i] + 0x9e3779b9u);)
SAME(bits, unsigned, unsigned, unsigned)
YOKE_KERNEL(compared, ARRAYS(int, int, int),
            z[i] = (x[i] < y[i]) + 2 * (x[i] == y[i]) + 4 * (x[i] >= y[i] && y[i] != 0) + 8 * !x[i];)
SAME(compared, int, int, int)
YOKE_KERNEL(lesser, ARRAYS(int, int, int), z[i] = yoke_lesser(x[i], y[i]);)
SAME(lesser, int, int, int)
YOKE_KERNEL(greater, ARRAYS(long, long, long), z[i] = yoke_greater(x[i], y[i]);)
SAME(greater, long, long, long)
YOKE_KERNEL(clamped, ARRAYS(int, int, int), z[i] = yoke_clamp(x[i], -5000, y[i] < 0 ? 77 : 5000);)
SAME(clamped, int, int, int)
YOKE_KERNEL(ones, ARRAYS(unsigned, unsigned long, int), z[i] = yoke_popcount(x[i]) + 100 * yoke_popcount(y[i]);)
SAME(ones, unsigned, unsigned long, int)
YOKE_KERNEL(zeros, ARRAYS(unsigned, unsigned long, int), z[i] = yoke_clz(x[i] >> (i & 31)) + 100 * yoke_clz(y[i] >> (i & 63));)
SAME(zeros, unsigned, unsigned long, int)
YOKE_KERNEL(zeros_below, ARRAYS(unsigned, unsigned long, int),
            z[i] = yoke_ctz(x[i] << (i & 31)) + 100 * yoke_ctz(y[i] << (i & 63));)
SAME(zeros_below, unsigned, unsigned long, int)
YOKE_KERNEL(no_bits, ARRAYS(int, long, int),
            z[i] = yoke_clz(x[i] & 0) + 100 * yoke_ctz(y[i] & 0) + 10000 * yoke_popcount(x[i] & 0);)
SAME(no_bits, int, long, int)
YOKE_KERNEL(long_mul, ARRAYS(long, long, long), z[i] = (long)((unsigned long)x[i] * (unsigned long)y[i]) >> 7;)
SAME(long_mul, long, long, long)
YOKE_KERNEL(ulong_mod, ARRAYS(unsigned long, unsigned long, unsigned long), z[i] = x[i] % (y[i] | 1ul);)
SAME(ulong_mod, unsigned long, unsigned long, unsigned long)
YOKE_KERNEL(long_long, ARRAYS(long, int, long), long long v = x[i]; z[i] = (long)(v ^ (unsigned long long)(long long)y[i]);)
SAME(long_long, long, int, long)
YOKE_KERNEL(bytes_widen, ARRAYS(unsigned char, signed char, int), z[i] = x[i] * 1000 + y[i];)
SAME(bytes_widen, unsigned char, signed char, int)
YOKE_KERNEL(bytes_narrow, ARRAYS(int, int, unsigned char), z[i] = (unsigned char)(x[i] ^ y[i]);)
SAME(bytes_narrow, int, int, unsigned char)
YOKE_KERNEL(bytes_mean, ARRAYS(unsigned char, unsigned char, unsigned char), z[i] = (unsigned char)((x[i] + y[i] + 1) / 2);)
SAME(bytes_mean, unsigned char, unsigned char, unsigned char)
YOKE_KERNEL(shorts, ARRAYS(short, unsigned short, short), z[i] = (short)(x[i] ^ (short)(y[i] >> 3));)
SAME(shorts, short, unsigned short, short)
YOKE_KERNEL(exact_types, ARRAYS(int32_t, uint8_t, int64_t), z[i] = (int64_t)x[i] * (uint16_t)y[i] + (int8_t)y[i];)
SAME(exact_types, int32_t, uint8_t, int64_t)
YOKE_KERNEL(limits, ARRAYS(int, int, long),
            z[i] = i % 4 == 0   ? INT_MAX
                   : i % 4 == 1 ? (long)UINT_MAX
                   : i % 4 == 2 ? LONG_MIN
                                : UINT8_MAX;)
SAME(limits, int, int, long)
YOKE_KERNEL(skipped, ARRAYS(int, int, int), z[i] = 7; if (x[i] < 0) continue; z[i] = y[i]; if (y[i] & 1) continue; z[i] += 1;)
SAME(skipped, int, int, int)
YOKE_KERNEL(
    looped, ARRAYS(int, int, unsigned), unsigned h = 0; for (int j = 0; j < (x[i] & 15); j++) {
        if (j == 9)
            break;
        h = h * 31u + (unsigned)j;
    } z[i] = h;)
SAME(looped, int, int, unsigned)
YOKE_KERNEL(
    switched, ARRAYS(int, int, int), switch (x[i] & 3) {
case 0:
    z[i] = y[i];
    break;
case 1:
    z[i] = -1;
    break;
default:
    z[i] = 5;
    })
SAME(switched, int, int, int)
YOKE_KERNEL(
    while_loop, ARRAYS(unsigned, int, int), unsigned v = x[i]; int steps = 0; while (v > 1 && steps < 40) {
        v = v & 1 ? v / 2 + 3 : v / 2;
        steps++;
    } z[i] = steps;)
SAME(while_loop, unsigned, int, int)
YOKE_KERNEL(called, ARRAYS(int, int, int), z[i] = twice(x[i] >> 2) + primes[y[i] & 3] + THREE;)
SAME(called, int, int, int)
YOKE_KERNEL(gathered, ARRAYS(int, int, int), z[i] = at(x, (long)((unsigned)y[i] % (unsigned)n)) + x[n - 1 - i] / 2;)
SAME(gathered, int, int, int)
YOKE_KERNEL(structs, ARRAYS(int, float, int), struct pair p = {x[i] >> 1, y[i]}; struct pair q = p; q.a += 5;
            z[i] = p.b > 0 ? q.a : p.a;)
SAME(structs, int, float, int)
YOKE_KERNEL(array, ARRAYS(int, int, int), int v[4] = {1, 2, 3, 4}; v[x[i] & 3] = y[i]; z[i] = v[0] ^ v[1] ^ v[2] ^ v[3];)
SAME(array, int, int, int)
YOKE_KERNEL(word_type, ARRAYS(unsigned, unsigned, unsigned), word w = x[i]; w ^= w << 13; w ^= w >> 17;
            w ^= w << 5; z[i] = w + y[i];)
SAME(word_type, unsigned, unsigned, unsigned)
YOKE_KERNEL(index, ARRAYS(int, int, long), z[i] = i * 3 + n;)
SAME(index, int, int, long)

YOKE_KERNEL(float_add, ARRAYS(float, float, float), z[i] = x[i] + y[i];)
SAME(float_add, float, float, float)
YOKE_KERNEL(float_mul_add, ARRAYS(float, float, float), z[i] = x[i] * y[i] + x[i];)
SAME(float_mul_add, float, float, float)
YOKE_KERNEL(float_mul_sub, ARRAYS(float, float, float), z[i] = x[i] * x[i] - y[i] * y[i];)
SAME(float_mul_sub, float, float, float)
YOKE_KERNEL(float_fused, ARRAYS(float, float, float), z[i] = fma(x[i], y[i], 0.5f);)
SAME(float_fused, float, float, float)
YOKE_KERNEL(float_parts, ARRAYS(float, float, float), z[i] = floor(x[i]) + ceil(y[i]) * 3.0f - trunc(x[i]) + rint(y[i]);)
SAME(float_parts, float, float, float)
YOKE_KERNEL(float_choice, ARRAYS(float, float, float), z[i] = fmin(x[i], y[i]) - 2.0f * fmax(x[i], 0.0f) + fabs(y[i]);)
SAME(float_choice, float, float, float)
YOKE_KERNEL(float_sign, ARRAYS(float, float, float), z[i] = copysign(x[i], y[i]);)
SAME(float_sign, float, float, float)
YOKE_KERNEL(float_lesser, ARRAYS(float, float, float), z[i] = yoke_lesser(x[i], y[i]) + yoke_clamp(x[i], -1.0f, 1.0f);)
SAME(float_lesser, float, float, float)
YOKE_KERNEL(float_to_int, ARRAYS(float, float, int), z[i] = (int)(x[i] * 1000.0f) + (int)(unsigned char)fabs(y[i]);)
SAME(float_to_int, float, float, int)
YOKE_KERNEL(int_to_float, ARRAYS(int, unsigned, float), z[i] = (float)x[i] + (float)y[i];)
SAME(int_to_float, int, unsigned, float)
YOKE_KERNEL(float_bits, ARRAYS(float, unsigned, unsigned),
            z[i] = yoke_as_uint(x[i]) ^ yoke_as_uint(yoke_as_float(y[i] & 0x7f7fffffu));)
SAME(float_bits, float, unsigned, unsigned)
YOKE_KERNEL(float_classes, ARRAYS(float, float, int),
            z[i] = (x[i] * INFINITY > FLT_MAX) + 2 * (y[i] != NAN) + 4 * isnan(x[i] * 0.0f + NAN);)
SAME(float_classes, float, float, int)
YOKE_KERNEL(float_div, ARRAYS(float, float, float), z[i] = x[i] / (y[i] + 100.0f);)
DIVIDES(float_div, float, float, float)
YOKE_KERNEL(float_sqrt, ARRAYS(float, float, float), z[i] = sqrt(fabs(x[i])) * y[i];)
DIVIDES(float_sqrt, float, float, float)
YOKE_KERNEL(double_mul_add, ARRAYS(double, double, double), z[i] = x[i] * y[i] + x[i];)
SAME(double_mul_add, double, double, double)
YOKE_KERNEL(double_div, ARRAYS(double, double, double), z[i] = x[i] / (y[i] * y[i] + 0.1);)
SAME(double_div, double, double, double)
YOKE_KERNEL(double_sqrt, ARRAYS(double, double, double), z[i] = sqrt(fabs(x[i])) + M_PI * y[i];)
SAME(double_sqrt, double, double, double)
YOKE_KERNEL(double_fused, ARRAYS(double, float, double), z[i] = fma(x[i], (double)y[i], 0.25);)
SAME(double_fused, double, float, double)
YOKE_KERNEL(double_bits, ARRAYS(double, unsigned long, unsigned long),
            z[i] = yoke_as_ulong(x[i]) ^ yoke_as_ulong(yoke_as_double(y[i] >> 2));)
SAME(double_bits, double, unsigned long, unsigned long)
YOKE_KERNEL(double_mixed, ARRAYS(float, int, double), z[i] = (double)x[i] * (double)y[i] - floor((double)x[i]);)
SAME(double_mixed, float, int, double)
YOKE_KERNEL(double_to_long, ARRAYS(double, double, long), z[i] = (long)(x[i] * 1e6) + (long)y[i];)
SAME(double_to_long, double, double, long)

YOKE_KERNEL(f_sin, ARRAYS(float, float, float), z[i] = sin(fabs(x[i]) + 0.25f);)
FUNCTION(f_sin, sin, 4)
YOKE_KERNEL(f_cos, ARRAYS(float, float, float), z[i] = cos(fabs(x[i]) + 0.25f);)
FUNCTION(f_cos, cos, 4)
YOKE_KERNEL(f_tan, ARRAYS(float, float, float), z[i] = tan(fabs(x[i]) + 0.25f);)
FUNCTION(f_tan, tan, 5)
YOKE_KERNEL(f_exp, ARRAYS(float, float, float), z[i] = exp(fabs(x[i]) + 0.25f);)
FUNCTION(f_exp, exp, 4)
YOKE_KERNEL(f_exp2, ARRAYS(float, float, float), z[i] = exp2(fabs(x[i]) + 0.25f);)
FUNCTION(f_exp2, exp2, 4)
YOKE_KERNEL(f_log, ARRAYS(float, float, float), z[i] = log(fabs(x[i]) + 0.25f);)
FUNCTION(f_log, log, 4)
YOKE_KERNEL(f_log2, ARRAYS(float, float, float), z[i] = log2(fabs(x[i]) + 0.25f);)
FUNCTION(f_log2, log2, 4)
YOKE_KERNEL(f_log10, ARRAYS(float, float, float), z[i] = log10(fabs(x[i]) + 0.25f);)
FUNCTION(f_log10, log10, 4)
YOKE_KERNEL(f_atan, ARRAYS(float, float, float), z[i] = atan(fabs(x[i]) + 0.25f);)
FUNCTION(f_atan, atan, 5)
YOKE_KERNEL(f_sinh, ARRAYS(float, float, float), z[i] = sinh(fabs(x[i]) + 0.25f);)
FUNCTION(f_sinh, sinh, 4)
YOKE_KERNEL(f_tanh, ARRAYS(float, float, float), z[i] = tanh(fabs(x[i]) + 0.25f);)
FUNCTION(f_tanh, tanh, 5)
YOKE_KERNEL(f_cbrt, ARRAYS(float, float, float), z[i] = cbrt(fabs(x[i]) + 0.25f);)
FUNCTION(f_cbrt, cbrt, 4)
YOKE_KERNEL(f_rsqrt, ARRAYS(float, float, float), z[i] = yoke_rsqrt(fabs(x[i]) + 0.25f);)
FUNCTION(f_rsqrt, yoke_rsqrt, 4)
static double right_pow(double x, double y) { return pow((double)(fabs((float)x) + 0.25f), (double)((float)y * 0.125f)); }
YOKE_KERNEL(f_pow, ARRAYS(float, float, float), z[i] = pow(fabs(x[i]) + 0.25f, y[i] * 0.125f);)
ROW(f_pow, float, float, float, 16, right_pow, false)
static double right_atan2(double x, double y) { return atan2(x, y); }
YOKE_KERNEL(f_atan2, ARRAYS(float, float, float), z[i] = atan2(x[i], y[i]);)
ROW(f_atan2, float, float, float, 6, right_atan2, false)
static double right_hypot(double x, double y) { return hypot(x, y); }
YOKE_KERNEL(f_hypot, ARRAYS(float, float, float), z[i] = hypot(x[i], y[i]);)
ROW(f_hypot, float, float, float, 4, right_hypot, false)

static const row *const rows[] = {
    &row_int_add, &row_int_sub, &row_uint_mul, &row_int_div, &row_int_mod, &row_uint_div, &row_int_shift, &row_uint_shift,
    &row_bits, &row_compared, &row_lesser, &row_greater, &row_clamped, &row_ones, &row_zeros, &row_zeros_below, &row_no_bits,
    &row_long_mul, &row_ulong_mod, &row_long_long, &row_bytes_widen, &row_bytes_narrow, &row_bytes_mean, &row_shorts,
    &row_exact_types, &row_limits, &row_skipped, &row_looped, &row_switched, &row_while_loop, &row_called, &row_gathered,
    &row_structs, &row_array, &row_word_type, &row_index, &row_float_add, &row_float_mul_add, &row_float_mul_sub,
    &row_float_fused, &row_float_parts, &row_float_choice, &row_float_sign, &row_float_lesser, &row_float_to_int,
    &row_int_to_float, &row_float_bits, &row_float_classes, &row_float_div, &row_float_sqrt, &row_double_mul_add,
    &row_double_div, &row_double_sqrt, &row_double_fused, &row_double_bits, &row_double_mixed, &row_double_to_long, &row_f_sin,
    &row_f_cos, &row_f_tan, &row_f_exp, &row_f_exp2, &row_f_log, &row_f_log2, &row_f_log10, &row_f_atan, &row_f_sinh,
    &row_f_tanh, &row_f_cbrt, &row_f_rsqrt, &row_f_pow, &row_f_atan2, &row_f_hypot};

/* N elements of random bits, or of floating-point numbers between -8 and 8 with some zeros. */
static void fill(char *to, size_t size, char kind)
{
    for (size_t i = 0; i < N; i++) {
        double real = i % 17 == 3 ? 0 : (double)(int64_t)(test_random() >> 11) / (double)(1LL << 48) - 16 * (i % 2 == 0) / 2.0;
        float single = (float)real;
        uint64_t bits = i % 13 == 5 ? 0 : test_random();
        memcpy(to + i * size,
               kind == 'f'   ? (const void *)&single
               : kind == 'd' ? (const void *)&real
                             : (const void *)&bits,
               size);
    }
}

static void run_on(yoke_stream *s, const row *r, const char *x, const char *y, char *z, size_t skip)
{
    char *dx = up(s, x, N * r->x), *dy = up(s, y, N * r->y), *dz = up(s, z, N * r->z);
    expect_done(s, r->run(s, N - skip, dx + skip * r->x, dy + skip * r->y, dz + skip * r->z), r->name);
    down(s, z, dz, N * r->z);
    yoke_device_free(yoke_stream_device(s), dx);
    yoke_device_free(yoke_stream_device(s), dy);
}

static double number(const char *p, char kind)
{
    float single;
    double real;
    memcpy(&single, p, sizeof single);
    if (kind == 'f')
        return (double)single;
    memcpy(&real, p, sizeof real);
    return real;
}

/* How many of the last places of a float lie between them. */
static double places(double got, double right)
{
    if (isnan(right) || isinf(right))
        return (isnan(right) && isnan(got)) || got == right ? 0 : 1e9;
    int exponent;
    frexp(right, &exponent);
    return fabs(got - right) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

static void check_row(yoke_device *dev, const row *r, const char *x, const char *y, const char *got,
                      const char *right, size_t skip)
{
    const char *uri = yoke_device_about(dev)->uri;
    for (size_t i = skip; i < N; i++) {
        double off = 0;
        if (r->right)
            off = places(number(got + i * r->z, 'f'), r->right(number(x + i * r->x, 'f'), number(y + i * r->y, 'f')));
        else if (memcmp(got + i * r->z, right + i * r->z, r->z) != 0)
            off = r->needs_division ? places(number(got + i * r->z, 'f'), number(right + i * r->z, 'f')) : 1e9;
        double limit = r->needs_division && !r->right ? 3 : r->ulps;
        if (off > limit)
            test_fail(
                __FILE__, __LINE__,
                "%s on %s: element %zu of %d is off by %g units in the last place (x %.9g, y %.9g: %.9g, "
                "not %.9g)",
                r->name, uri, i, N, off, number(x + i * r->x, r->kind_x), number(y + i * r->y, r->kind_y),
                number(got + i * r->z, r->kind_z), number(right + i * r->z, r->kind_z));
    }
    CHECK_INT(memcmp(got, right, skip * r->z), 0); /* what comes before is as it was */
}

/* Each step-th row, without the first elements of arrays. */
static void rows_from(yoke_device *dev, yoke_stream *s, size_t step, size_t skip)
{
    static char x[N * 8], y[N * 8], got[N * 8], right[N * 8];
    yoke_device *cpu = yoke_device_open("cpu");
    yoke_stream *c = yoke_stream_open(cpu);
    for (size_t k = 0; k < YK_COUNT_OF(rows); k += step) {
        const row *r = rows[k];
        if ((r->kind_x == 'd' || r->kind_z == 'd') && !yoke_device_about(dev)->has_double)
            continue;
        fill(x, r->x, r->kind_x);
        fill(y, r->y, r->kind_y);
        memset(got, 0x55, sizeof got);
        memset(right, 0x55, sizeof right);
        run_on(c, r, x, y, right, skip);
        run_on(s, r, x, y, got, skip);
        check_row(dev, r, x, y, got, right, skip);
    }
    yoke_device_close(cpu);
}

static void all_rows(yoke_device *dev, yoke_stream *s)
{
    rows_from(dev, s, 1, 0);
    rows_from(dev, s, 1, 3); /* no array is aligned */
}

TEST_LIMIT(every_word_means_the_same_everywhere, 600)
{
    CHECK(YK_COUNT_OF(rows) >= 40);
    on_every_device(all_rows);
}

/* Bytes, as ptxas tells them. */
static long spilled(const char *numbers)
{
    const char *digit = strstr(numbers, " bytes spill stores");
    while (digit && digit > numbers && digit[-1] >= '0' && digit[-1] <= '9')
        digit--;
    return digit ? strtol(digit, NULL, 10) : 0;
}

/* The texts for CUDA, which only the machine with a GPU runs, at least compile, for each generation of them. */
static void compile(const yoke_kernel *k, unsigned capability)
{
    yk_buf text = {0};
    yk_binary b = {.is_ptx = false};
    yk_error e = {.text = ""};
    yk_text_write(k, &(yk_machine){.is_cuda = true, .is_gpu = true, .units = 132}, &text);
    const yk_build_source source = {yk_buf_str(&text), YK_CUDA_OPTIONS, k->name, capability};
    int err = yk_nvrtc_compile(&source, &b, &e);
    if (err == -ENOPKG)
        SKIP("%s", e.text);
    if (err < 0 || strstr(yk_buf_str(&b.log), "warning"))
        test_fail(__FILE__, __LINE__, "%s for %u: %s\n%s", k->name, capability, e.text, yk_buf_str(&b.log));
    yk_buf_str(&b.numbers);
    if (spilled(b.numbers.ptr) > 32) /* a few words about a call, as of a division or a root, are no loop's burden */
        test_fail(__FILE__, __LINE__, "%s for %u: %s", k->name, capability, b.numbers.ptr);
    yk_binary_done(&b);
    yk_buf_done(&text);
}

TEST_LIMIT(texts_compile_for_cuda, 600)
{
    static const unsigned capabilities[] = {90, 75, 80, 90, 100, 120};
    unsigned done = 0;
    for (const yoke_kernel *k = yk_kernels(); k; k = k->next, done++)
        if (done % 2 == 0)
            compile(k, capabilities[done / 2 % YK_COUNT_OF(capabilities)]);
    CHECK(done >= YK_COUNT_OF(rows));
}

/* The form for an OpenCL GPU, on whatever OpenCL device there is. */
TEST_LIMIT(every_word_in_the_form_for_an_opencl_gpu, 600)
{
    yoke_device *dev = yoke_device_open("opencl:0");
    yoke_stream *s = yoke_stream_open(dev);
    if (!s)
        SKIP("%s", yoke_device_error(dev));
    if (yoke_device_about(dev)->group_most < 256)
        SKIP("groups of %u", yoke_device_about(dev)->group_most);
    dev->info.is_gpu = true;
    rows_from(dev, s, 9, 1); /* each takes a compiler for CPUs a third of a second */
    CHECK_INT(yoke_device_close(dev), 0);
}
