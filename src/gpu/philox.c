/* philox: blocks of random bits for the CPU, several at a time. array_random.h has the generator, Philox4x32-10, as text that
 * every device runs. Its rounds are two products of 32 by 32 bits and some exclusive ors, of which a compiler makes slow
 * vectors: here each lane of a vector has 64 bits, of which the product takes the lower half, so that nothing needs to be
 * moved between lanes until the rounds are over. */
#include "gpu/philox.h"
#include "base/base.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { ROUNDS = 10 };
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define STEP_0 0x9E3779B9u
#define STEP_1 0xBB67AE85u
#define UNROLLED _Pragma("GCC unroll 8")

/* One after the other. */
static void blocks_plain(uint64_t *bits, uint64_t key, uint64_t first)
{
    for (uint64_t k = 0; k < YK_PHILOX_BLOCKS; k++) {
        uint32_t x[4] = {(uint32_t)(first + k), (uint32_t)((first + k) >> 32)};
        yk_philox(x, (const uint32_t[]){(uint32_t)key, (uint32_t)(key >> 32)});
        bits[2 * k] = (uint64_t)x[1] << 32 | x[0];
        bits[2 * k + 1] = (uint64_t)x[3] << 32 | x[2];
    }
}

#ifdef __x86_64__

/* The upper half of a lane may hold anything. At the end x0 and x1 are a number, x2 and x3 the one behind it. SHUFFLE_LOW and
 * SHUFFLE_HIGH put those of lanes in turns. */
#define BLOCKS(name, BYTES, PRODUCT, WHOLE, TARGET, SHUFFLE_LOW, SHUFFLE_HIGH)                                         \
    TARGET static void blocks_##name(uint64_t *bits, uint64_t key, uint64_t first)                                     \
    {                                                                                                                  \
        typedef uint64_t vector __attribute__((vector_size(BYTES)));                                                   \
        enum { LANES = BYTES / 8, VECTORS = YK_PHILOX_BLOCKS / LANES };                                                \
        const vector zero = {0}, m0 = zero + MULTIPLIER_0, m1 = zero + MULTIPLIER_1;                                   \
        vector x0[VECTORS], x1[VECTORS], x2[VECTORS], x3[VECTORS];                                                     \
        UNROLLED for (int v = 0; v < VECTORS; v++) {                                                                   \
            vector counter = zero;                                                                                     \
            UNROLLED for (int l = 0; l < LANES; l++)                                                                   \
                counter[l] = first + (uint64_t)(v * LANES + l);                                                        \
            x0[v] = counter;                                                                                           \
            x1[v] = counter >> 32;                                                                                     \
            x2[v] = x3[v] = zero;                                                                                      \
        }                                                                                                              \
        uint32_t key0 = (uint32_t)key, key1 = (uint32_t)(key >> 32);                                                   \
        for (int round = 0; round < ROUNDS; round++, key0 += STEP_0, key1 += STEP_1)                                   \
            UNROLLED for (int v = 0; v < VECTORS; v++) {                                                               \
                const vector a = (vector)PRODUCT((WHOLE)x0[v], (WHOLE)m0), b = (vector)PRODUCT((WHOLE)x2[v], (WHOLE)m1); \
                x0[v] = (b >> 32) ^ x1[v] ^ (zero + key0);                                                             \
                x2[v] = (a >> 32) ^ x3[v] ^ (zero + key1);                                                             \
                x1[v] = b;                                                                                             \
                x3[v] = a;                                                                                             \
            }                                                                                                          \
        UNROLLED for (int v = 0; v < VECTORS; v++) {                                                                   \
            const vector even = x1[v] << 32 | (x0[v] << 32 >> 32), odd = x3[v] << 32 | (x2[v] << 32 >> 32);            \
            const vector low = SHUFFLE_LOW(even, odd), high = SHUFFLE_HIGH(even, odd);                                 \
            memcpy(bits + 2 * v * LANES, &low, sizeof low);                                                            \
            memcpy(bits + (2 * v + 1) * LANES, &high, sizeof high);                                                    \
        }                                                                                                              \
    }
#ifdef __clang__
#define SHUFFLE __builtin_shufflevector
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vector){__VA_ARGS__})
#endif
#define LOW_2(a, b) SHUFFLE(a, b, 0, 2)
#define HIGH_2(a, b) SHUFFLE(a, b, 1, 3)
#define LOW_4(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define HIGH_4(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
BLOCKS(sse2, 16, _mm_mul_epu32, __m128i, , LOW_2, HIGH_2)
BLOCKS(avx2, 32, _mm256_mul_epu32, __m256i, __attribute__((target("avx2"))), LOW_4, HIGH_4)

static unsigned widest(void)
{
    return __builtin_cpu_supports("avx2") ? 0 : 1;
}
static void (*const widths[])(uint64_t *bits, uint64_t key, uint64_t first) = {blocks_avx2, blocks_sse2, blocks_plain};

#else

static unsigned widest(void)
{
    return 0;
}
static void (*const widths[])(uint64_t *bits, uint64_t key, uint64_t first) = {blocks_plain};

#endif

static unsigned narrower;

bool yk_philox_test_width(unsigned by)
{
    narrower = by;
    return widest() + by < YK_COUNT_OF(widths);
}

void yk_philox_blocks(uint64_t bits[2 * YK_PHILOX_BLOCKS], uint64_t key, uint64_t first)
{
    widths[widest() + narrower](bits, key, first);
}
