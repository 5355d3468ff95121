/* kernels.c - the leaves of the fork-join benchmarks; see kernels.h. */
#include "kernels.h"

long queens_alone(board b)
{
    if (b.columns == (1u << QUEENS) - 1)
        return 1;
    long n = 0;
    for (uint32_t here = free_columns(b); here; here &= here - 1)
        n += queens_alone(with_queen(b, here & (0u - here)));
    return n;
}

void sort_alone(int32_t *a, size_t n)
{
    while (n > 16) {
        size_t middle = partition(a, n);
        sort_alone(a + middle, n - middle);
        n = middle;
    }
    for (size_t i = 1; i < n; i++) {
        int32_t v = a[i];
        size_t j = i;
        for (; j > 0 && a[j - 1] > v; j--)
            a[j] = a[j - 1];
        a[j] = v;
    }
}

void merge_alone(const int32_t *a, size_t n, const int32_t *b, size_t m, int32_t *to)
{
    while (n > 0 && m > 0) {
        if (*b < *a) {
            *to++ = *b++;
            m--;
        } else {
            *to++ = *a++;
            n--;
        }
    }
    memcpy(to, a, n * sizeof *a);
    memcpy(to + n, b, m * sizeof *b);
}

void matmul_alone(product p)
{
    for (int i = 0; i < p.rows; i++)
        for (int k = 0; k < p.inner; k++)
            for (int j = 0; j < p.columns; j++)
                p.c[i * SIDE + j] += p.a[i * SIDE + k] * p.b[k * SIDE + j];
}

void sha1(const uint8_t *bytes, size_t n, uint8_t digest[20])
{
    uint8_t block[64] = {0};
    uint32_t w[80], h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(block, bytes, n);
    block[n] = 0x80;
    block[62] = (uint8_t)(n * 8 >> 8);
    block[63] = (uint8_t)(n * 8);
    for (int i = 0; i < 16; i++)
        w[i] = get_word(block + 4 * i);
    for (int i = 16; i < 80; i++)
        w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t t = turn(a, 5) + f + e + w[i];
        e = d;
        d = c;
        c = turn(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}
