/* number_write: integers and floats as text, floats with as few digits as read back the same.
 *
 * Floats by the Schubfach method (R. Giulietti, "The Schubfach way to render doubles", 2020): among the numbers that round
 * to v lies at most one multiple of a power of ten 10^(k+1) and at least one of 10^k, for a k that follows from the
 * exponent of v alone; three products with the leading 128 bits of 10^-k tell which. The form is that of Python's repr(). */
#include "task/json.h"

static const char pairs[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Writes v so that it ends before `end`; returns where it begins. */
static char *digits_before(char *end, uint64_t v)
{
    for (; v >= 100; v /= 100) {
        end -= 2;
        memcpy(end, pairs + v % 100 * 2, 2);
    }
    if (v >= 10) {
        end -= 2;
        memcpy(end, pairs + v * 2, 2);
    } else {
        *--end = (char)('0' + v);
    }
    return end;
}

unsigned yk_write_u64(char *text, uint64_t v)
{
    char digits[20], *first = digits_before(digits + 20, v);
    unsigned n = (unsigned)(digits + 20 - first);
    memcpy(text, first, n);
    return n;
}

unsigned yk_write_i64(char *text, int64_t v)
{
    if (v >= 0)
        return yk_write_u64(text, (uint64_t)v);
    *text = '-';
    return 1 + yk_write_u64(text + 1, -(uint64_t)v);
}

/* ---- The shortest decimal ---- */

typedef struct decimal {
    uint64_t digits;
    int exponent; /* the value is digits * 10^exponent */
} decimal;

/* The product of the 128 bits at g with c, less its lowest 128 bits, whose being more than nothing is kept in the last
 * bit ("round to odd"): comparisons with what lies between the integers then come out right. */
static inline uint64_t scaled(unsigned __int128 g, uint64_t c)
{
    unsigned __int128 low = (unsigned __int128)(uint64_t)g * c;
    unsigned __int128 high = (unsigned __int128)(uint64_t)(g >> 64) * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* 10^n, rounded up. */
static inline unsigned __int128 power_above(int n)
{
    const uint64_t *p = yk_powers[n - YK_POWER_FIRST];
    bool is_below = n < -27 || n > 55;
    return ((unsigned __int128)p[0] << 64 | p[1]) + is_below;
}

/* The shortest decimal that rounds to c * 2^q, the nearest if there are several. `closer`: c is a power of two, so that
 * the number below is only half as far away as the one above. */
static decimal shortest(uint64_t c, int q, bool closer)
{
    /* k = floor(log10(2^q)), or of 3/4 of that; h aligns the products at four times the value. */
    int k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    int h = q + ((-k * 1741647) >> 19) + 1;
    unsigned __int128 g = power_above(-k);
    uint64_t below = scaled(g, (4 * c - 2 + closer) << h), value = scaled(g, 4 * c << h), above = scaled(g, (4 * c + 2) << h);
    /* The borders themselves round to v when c is even. */
    below += c & 1;
    above -= c & 1;
    uint64_t s = value / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool low_fits = below <= 40 * tens, high_fits = 40 * tens + 40 <= above;
        if (low_fits != high_fits)
            return (decimal){tens + high_fits, k + 1};
    }
    bool low_fits = below <= 4 * s, high_fits = 4 * s + 4 <= above;
    if (low_fits != high_fits)
        return (decimal){s + high_fits, k};
    uint64_t middle = 4 * s + 2;
    return (decimal){s + (value > middle || (value == middle && (s & 1))), k};
}

/* The shortest decimal of the number whose stored exponent and mantissa these are. */
static decimal shortest_of(uint64_t mantissa, int exponent, int bits, int bias)
{
    if (exponent == 0)
        return shortest(mantissa, 1 - bias - bits, false);
    uint64_t c = mantissa | (uint64_t)1 << bits;
    int q = exponent - bias - bits;
    /* Whole numbers are their own digits; nothing shorter could round to them. */
    if (q <= 0 && -q <= bits && (c & (((uint64_t)1 << -q) - 1)) == 0)
        return (decimal){c >> -q, 0};
    return shortest(c, q, mantissa == 0 && exponent > 1);
}

/* ---- Its text ---- */

static char *repeat(char *p, char c, int n)
{
    memset(p, c, (size_t)n);
    return p + n;
}

static char *copy(char *p, const char *from, int n)
{
    memcpy(p, from, (size_t)n);
    return p + n;
}

/* d.ddde+xx, with at least two digits in the exponent. */
static char *with_exponent(char *p, const char *digits, int n, int ten)
{
    *p++ = *digits;
    if (n > 1) {
        *p++ = '.';
        p = copy(p, digits + 1, n - 1);
    }
    *p++ = 'e';
    *p++ = ten < 0 ? '-' : '+';
    unsigned e = (unsigned)(ten < 0 ? -ten : ten);
    if (e < 10)
        *p++ = '0';
    return p + yk_write_u64(p, e);
}

/* Exponents begin below 1e-4 and at 1e16; else there is a point with at least one digit on each side. */
static unsigned write_decimal(char *text, bool negative, decimal d)
{
    if (d.digits % 100000000 == 0) { /* most numbers that people write have few digits */
        d.digits /= 100000000;
        d.exponent += 8;
    }
    char all[20], *p = text, *digits = digits_before(all + 20, d.digits);
    int n = (int)(all + 20 - digits), point = n + d.exponent; /* the point's place, counted from the first digit */
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (negative)
        *p++ = '-';
    if (point < -3 || point > 16) {
        p = with_exponent(p, digits, n, point - 1);
    } else if (point <= 0) {
        p = copy(p, "0.", 2);
        p = repeat(p, '0', -point);
        p = copy(p, digits, n);
    } else if (point >= n) {
        p = copy(p, digits, n);
        p = repeat(p, '0', point - n);
        p = copy(p, ".0", 2);
    } else {
        p = copy(p, digits, point);
        *p++ = '.';
        p = copy(p, digits + point, n - point);
    }
    return (unsigned)(p - text);
}

static unsigned write_zero(char *text, bool negative)
{
    memcpy(text, negative ? "-0.0" : "0.0", 3u + negative);
    return 3u + negative;
}

unsigned yk_write_f64(char *text, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bool negative = bits >> 63;
    uint64_t mantissa = bits & (((uint64_t)1 << 52) - 1);
    int exponent = (int)(bits >> 52 & 0x7ff);
    if (mantissa == 0 && exponent == 0)
        return write_zero(text, negative);
    return write_decimal(text, negative, shortest_of(mantissa, exponent, 52, 1023));
}

unsigned yk_write_f32(char *text, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bool negative = bits >> 31;
    uint32_t mantissa = bits & ((1u << 23) - 1);
    int exponent = (int)(bits >> 23 & 0xff);
    if (mantissa == 0 && exponent == 0)
        return write_zero(text, negative);
    return write_decimal(text, negative, shortest_of(mantissa, exponent, 23, 127));
}
