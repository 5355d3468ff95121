/* array_random: the generator of random numbers, in the common part of C, OpenCL C and CUDA C, so that every device makes the
 * same bits. Compiled for the CPU by array_random.c, and text of a kernel besides.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a block of 128 bits is
 * a function of a key and a counter. Element i takes half a block, 64 bits: that of counter start + i / 2. */
#ifndef YK_ARRAY_RANDOM_H
#define YK_ARRAY_RANDOM_H

/* X(text): the functions. The normal distribution is by the inverse of its distribution function (Wichura: Algorithm AS 241,
 * PPND16), with a logarithm of its own, of + - * / alone, since that of the languages differs in the last places. */
#define YK_RANDOM_FUNCTIONS(X)                                                                                         \
    X(FN void philox_round(u32 *x, const u32 key0, const u32 key1) {                                                   \
        const u64 a = (u64)0xD2511F53u * x[0];                                                                         \
        const u64 b = (u64)0xCD9E8D57u * x[2];                                                                         \
        const u32 low_a = (u32)a;                                                                                      \
        x[0] = (u32)(b >> 32) ^ x[1] ^ key0;                                                                           \
        x[2] = (u32)(a >> 32) ^ x[3] ^ key1;                                                                           \
        x[1] = (u32)b;                                                                                                 \
        x[3] = low_a;                                                                                                  \
    })                                                                                                                 \
    X(FN void philox(u32 *x, u32 key0, u32 key1) {                                                                     \
        for (int round = 0; round < 10; round++) {                                                                     \
            philox_round(x, key0, key1);                                                                               \
            key0 += 0x9E3779B9u;                                                                                       \
            key1 += 0xBB67AE85u;                                                                                       \
        }                                                                                                              \
    })                                                                                                                 \
    X(FN void block_of(u32 *x, const u64 key, const u64 block) {                                                       \
        x[0] = (u32)block;                                                                                             \
        x[1] = (u32)(block >> 32);                                                                                     \
        x[2] = 0;                                                                                                      \
        x[3] = 0;                                                                                                      \
        philox(x, (u32)key, (u32)(key >> 32));                                                                         \
    })                                                                                                                 \
    X(FN u64 below(const u64 bits, const u64 range) {                                                                  \
        const u64 low = (bits & 0xffffffffu) * (range & 0xffffffffu);                                                  \
        const u64 one = (bits >> 32) * (range & 0xffffffffu) + (low >> 32);                                            \
        const u64 two = (bits & 0xffffffffu) * (range >> 32) + (one & 0xffffffffu);                                    \
        return (bits >> 32) * (range >> 32) + (one >> 32) + (two >> 32);                                               \
    })
#define YK_RANDOM_DOUBLES(X)                                                                                           \
    X(FN double log_of(u64 whole, const int power) {                                                                   \
        int e = 52 + power;                                                                                            \
        while (whole < ((u64)1 << 52)) { whole <<= 1; e--; }                                                           \
        while (whole >= ((u64)1 << 53)) { whole >>= 1; e++; }                                                          \
        double f = (double)whole * 2.220446049250313e-16;                                                              \
        if (f > 1.4142135623730951) { f = f * 0.5; e++; }                                                              \
        const double s = (f - 1) / (f + 1);                                                                            \
        const double t = s * s;                                                                                        \
        double y = 1.0 / 25;                                                                                           \
        for (int k = 23; k > 0; k -= 2) y = y * t + 1.0 / k;                                                           \
        return e * 0.6931471805599453 + 2 * s * y;                                                                     \
    })                                                                                                                 \
    X(FN double ratio(const double r, const double a0, const double a1, const double a2, const double a3, const double a4,       \
        const double a5, const double a6, const double a7, const double b1, const double b2, const double b3, const double b4,   \
        const double b5, const double b6, const double b7) {                                                           \
        return (((((((a7 * r + a6) * r + a5) * r + a4) * r + a3) * r + a2) * r + a1) * r + a0)                         \
            / (((((((b7 * r + b6) * r + b5) * r + b4) * r + b3) * r + b2) * r + b1) * r + 1);                          \
    })                                                                                                                 \
    X(FN double middle_of(const double q) {                                                                            \
        return q * ratio(0.180625 - q * q, 3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3,      \
                1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, \
                2.5090809287301226727e+3, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3, \
                2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3); \
    })                                                                                                                 \
    X(FN double tail_of(const u64 whole, const double q) {                                                             \
        double r = sqrt(-log_of(q < 0 ? whole : ((u64)1 << 53) - whole, -53));                                         \
        if (r <= 5)                                                                                                    \
            r = ratio(r - 1.6, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,           \
                3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, \
                7.74545014278341407640e-4, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, \
                1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9); \
        else                                                                                                           \
            r = ratio(r - 5, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,             \
                2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, \
                2.01033439929228813265e-7, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, \
                7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15); \
        return q < 0 ? -r : r;                                                                                         \
    })                                                                                                                 \
    X(FN double normal_of(const u64 bits) {                                                                            \
        const u64 whole = (bits >> 12) * 2 + 1;                                                                        \
        const double q = (double)(i64)whole * 1.1102230246251565e-16 - 0.5;                                            \
        return q <= 0.425 && q >= -0.425 ? middle_of(q) : tail_of(whole, q);                                           \
    })

/* X(what, the result's type: R; whether it needs f64, and NORMAL; from bits, or NORMAL, the normal number that they make, and
 * numbers low, high, last of type N: r). A product that is rounded up can reach high, which uniform numbers do not: `last`, the
 * number before it, stands for all that would. */
#define YK_RANDOM_BODIES(X)                                                                                            \
    X(uniform_f32, F32, float, 0, 0, r = low + (high - low) * ((float)(int)(bits >> 40) * 5.9604644775390625e-8f);     \
      r = r < last ? r : last;)                                                                                        \
    X(uniform_f64, F64, double, 1, 0, r = low + (high - low) * ((double)(i64)(bits >> 11) * 1.1102230246251565e-16);   \
      r = r < last ? r : last;)                                                                                        \
    X(normal_f32, F32, float, 1, 1, r = low + high * (float)NORMAL;)                                                   \
    X(normal_f64, F64, double, 1, 1, r = low + high * NORMAL;)                                                         \
    X(integers, I64, int64_t, 0, 0, r = (N)((u64)low + ((u64)high == 0 ? bits : below(bits, (u64)high)));)

#endif
