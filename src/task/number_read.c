/* number_read: from digits to the nearest double, float or to an exact integer.
 *
 * The text is taken apart eight digits at a time into 19 significant digits and a power of ten. Their product with the
 * leading 128 bits of that power nearly always decides which double is nearest (D. Lemire, "Number parsing at a gigabyte
 * per second", 2021; N. Mushtak and D. Lemire, "Fast number parsing without fallback", 2023). Only when there are more
 * digits, and the number with its last digit raised goes another way, is the whole text compared with the halfway point in
 * big integers. No arithmetic on floats takes part, so neither the rounding mode nor the locale matters. */
#include "task/json.h"

enum { DIGITS = 19 };

/* ---- Taking the text apart ---- */

static const uint64_t small_powers[DIGITS + 1] = {1u,
                                                  10u,
                                                  100u,
                                                  1000u,
                                                  10000u,
                                                  100000u,
                                                  1000000u,
                                                  10000000u,
                                                  100000000u,
                                                  1000000000u,
                                                  10000000000u,
                                                  100000000000u,
                                                  1000000000000u,
                                                  10000000000000u,
                                                  100000000000000u,
                                                  1000000000000000u,
                                                  10000000000000000u,
                                                  100000000000000000u,
                                                  1000000000000000000u,
                                                  10000000000000000000u};

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* The number whose eight digits (0 to 9, not characters) are the bytes of v, the lowest byte first: pairs, then fours,
 * then all of it, each step one multiplication that adds a neighbour scaled. */
static inline uint64_t eight_digits(uint64_t v)
{
    v = v * 10 + (v >> 8);
    return ((v & 0x000000ff000000ff) * 0x000f424000000064 + ((v >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32;
}

/* Appends the digits at p to *digits (it wraps beyond 19) and returns the place after them. */
static inline const char *take_digits(const char *p, const char *end, uint64_t *digits)
{
    uint64_t all = *digits;
    while (end - p >= 8) {
        uint64_t v = load8(p) ^ 0x3030303030303030;
        uint64_t others = ((v + 0x7676767676767676) | v) & 0x8080808080808080;
        if (others == 0) {
            all = all * 100000000 + eight_digits(v);
            p += 8;
            continue;
        }
        unsigned bits = (unsigned)__builtin_ctzll(others) & 56;
        uint64_t last = bits <= 8 ? v & (bits ? 0xff : 0) : eight_digits(v << (56 - bits) << 8);
        *digits = all * small_powers[bits / 8] + last;
        return p + bits / 8;
    }
    for (; p < end && (unsigned char)(*p - '0') <= 9; p++)
        all = all * 10 + (unsigned char)(*p - '0');
    *digits = all;
    return p;
}

/* The exponent after e or E. It stops growing where no number of digits could make up for it. */
static inline __attribute__((always_inline)) const char *take_exponent(const char *p, const char *end, int64_t *exponent)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || (unsigned char)(*p - '0') > 9)
        return NULL;
    int64_t n = 0;
    for (; p < end && (unsigned char)(*p - '0') <= 9; p++)
        if (n < (int64_t)1 << 40)
            n = n * 10 + (*p - '0');
    *exponent = negative ? -n : n;
    return p;
}

/* Takes a number of more than 19 digits apart once more: the first 19 significant ones, without leading zeros. */
static void take_first_digits(yk_decimal *d, const char *p, const char *point, int64_t exponent)
{
    uint64_t digits = 0;
    unsigned n = 0;
    int64_t before_point = 0; /* places between the last digit taken and the point; negative behind it */
    bool behind = false;
    d->more = false;
    for (; p < d->end && *p != 'e' && *p != 'E'; p++) {
        if (p == point) {
            behind = true;
            continue;
        }
        if (n == DIGITS) {
            d->more |= *p != '0';
            before_point += !behind;
            continue;
        }
        digits = digits * 10 + (unsigned char)(*p - '0');
        n += digits != 0;
        before_point -= behind;
    }
    d->digits = digits;
    d->exponent = exponent + before_point;
}

/* A number in pieces. It never leaves the function it is filled in, so that all of it is kept in registers. */
typedef struct pieces {
    uint64_t digits; /* all of them, which is right for up to 19 */
    int64_t count, behind; /* digits in all, and behind the point */
    int64_t exponent;      /* as written */
    const char *first, *point; /* NULL: there is none */
    const char *after;         /* the number's end; or, when false came out, where it stops being one */
    bool negative;
} pieces;

static inline __attribute__((always_inline)) bool take_apart(const char *p, const char *end, pieces *n)
{
    n->negative = p < end && *p == '-';
    p += n->negative;
    n->first = n->after = p;
    n->point = NULL;
    n->digits = 0;
    n->behind = n->exponent = 0;
    if (end - p >= 2 && (unsigned char)(p[1] - '0') > 9 && (unsigned char)(*p - '0') <= 9)
        n->digits = (unsigned char)(*p++ - '0'); /* one digit before the point is most common */
    else
        p = take_digits(p, end, &n->digits);
    n->count = p - n->first;
    if (YK_UNLIKELY(n->count == 0))
        return false;
    if (YK_UNLIKELY(*n->first == '0' && n->count > 1)) {
        n->after++;
        return false;
    }
    if (p < end && *p == '.') {
        n->point = p++;
        n->after = p;
        p = take_digits(p, end, &n->digits);
        n->behind = p - n->after;
        n->count += n->behind;
        if (YK_UNLIKELY(n->behind == 0))
            return false;
    }
    if (p < end && (*p | 0x20) == 'e') {
        n->after = p + 1 + (p + 1 < end && (p[1] == '-' || p[1] == '+'));
        p = take_exponent(p + 1, end, &n->exponent);
        if (YK_UNLIKELY(!p))
            return false;
    }
    n->after = p;
    return true;
}

const char *yk_decimal_scan(const char *p, const char *end, yk_decimal *d)
{
    pieces n;
    bool good = take_apart(p, end, &n);
    *d = (yk_decimal){n.digits, n.exponent - n.behind, n.negative, false, p, n.after};
    if (!good)
        return NULL;
    if (YK_UNLIKELY(n.count > DIGITS))
        take_first_digits(d, n.first, n.point, n.exponent);
    return n.after;
}

const char *yk_decimal_read_plain(const char *p, const char *end, uint64_t *ret)
{
    bool negative = p < end && *p == '-';
    const char *first = p + negative;
    uint64_t v = 0;
    p = take_digits(first, end, &v);
    if (YK_UNLIKELY(p == first || p - first > DIGITS || (*first == '0' && p - first > 1)))
        return NULL;
    if (YK_UNLIKELY(p < end && (*p == '.' || (*p | 0x20) == 'e')))
        return NULL;
    *ret = v;
    return p;
}

/* ---- Integers ---- */

/* Multiplies by ten and adds a digit, unless the result leaves 64 bits. */
static bool append_digit(uint64_t *v, unsigned digit)
{
    uint64_t tens;
    if (__builtin_mul_overflow(*v, (uint64_t)10, &tens))
        return false;
    return !__builtin_add_overflow(tens, digit, v);
}

/* All digits of the text, whose point the exponent moved; the slow way, for numbers of more than 19 digits. */
static int long_integer(const yk_decimal *d, uint64_t *ret)
{
    /* Of the 19 digits the last stands `exponent` places before the point, so beyond it as many digits are whole. */
    uint64_t v = d->digits;
    int64_t whole = d->exponent;
    unsigned seen = 0;
    const char *p = d->begin + d->negative;
    for (bool started = false; p < d->end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.')
            continue;
        started |= *p != '0';
        if (!started || seen++ < DIGITS)
            continue;
        if (whole-- > 0) {
            if (!append_digit(&v, (unsigned char)(*p - '0')))
                return -ERANGE;
        } else if (*p != '0') {
            return -EDOM;
        }
    }
    while (whole-- > 0)
        if (!append_digit(&v, 0))
            return -ERANGE;
    *ret = v;
    return 0;
}

int yk_decimal_u64(const yk_decimal *d, uint64_t *ret)
{
    uint64_t v = d->digits;
    int64_t exponent = d->exponent;
    if (v == 0) {
        *ret = 0;
        return 0;
    }
    for (; exponent < 0; exponent++) {
        if (v % 10 != 0)
            return -EDOM;
        v /= 10;
    }
    if (d->more)
        return long_integer(d, ret);
    for (; exponent > 0; exponent--)
        if (!append_digit(&v, 0))
            return -ERANGE;
    *ret = v;
    return 0;
}

/* ---- Big integers, for the rare number that needs all its digits ---- */

/* Enough for 800 digits times a power of two that a double may have, and for 5^1150 times 2^1150. */
enum { LIMBS = 72, EXACT_DIGITS = 800 };

typedef struct big {
    unsigned n; /* limbs in use, lowest first; the highest is not 0 */
    uint64_t limb[LIMBS];
} big;

static void big_multiply_add(big *b, uint64_t factor, uint64_t add)
{
    unsigned __int128 carry = add;
    for (unsigned i = 0; i < b->n; i++) {
        carry += (unsigned __int128)b->limb[i] * factor;
        b->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry)
        b->limb[b->n++] = (uint64_t)carry;
}

static void big_times_power_of_5(big *b, int64_t n)
{
    const uint64_t most = 7450580596923828125u; /* 5^27 */
    for (; n >= 27; n -= 27)
        big_multiply_add(b, most, 0);
    for (; n > 0; n--)
        big_multiply_add(b, 5, 0);
}

static void big_shift_left(big *b, uint64_t n)
{
    unsigned limbs = (unsigned)(n / 64), bits = (unsigned)(n % 64);
    if (bits)
        big_multiply_add(b, (uint64_t)1 << bits, 0);
    if (b->n == 0 || limbs == 0)
        return;
    memmove(b->limb + limbs, b->limb, b->n * sizeof *b->limb);
    memset(b->limb, 0, limbs * sizeof *b->limb);
    b->n += limbs;
}

static int big_compare(const big *a, const big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (unsigned i = a->n; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* The significant digits of the text as an integer, and the power of ten it is to be multiplied with. What follows
 * EXACT_DIGITS only matters by not being zero: no halfway point between doubles has more than 767 digits. */
static int64_t big_from_text(big *b, const yk_decimal *d)
{
    int64_t exponent = d->exponent, seen = 0;
    bool rest = false;
    const char *p = d->begin + d->negative;
    *b = (big){0};
    for (; p < d->end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.' || (seen == 0 && *p == '0'))
            continue;
        if (seen++ < EXACT_DIGITS)
            big_multiply_add(b, 10, (unsigned char)(*p - '0'));
        else
            rest |= *p != '0';
    }
    int64_t kept = YK_MIN(seen, (int64_t)EXACT_DIGITS);
    exponent -= kept - DIGITS;
    if (rest) {
        big_multiply_add(b, 10, 1);
        exponent--;
    }
    return exponent;
}

/* Compares the number of the text with m * 2^e. */
static int compare_exactly(const yk_decimal *d, uint64_t m, int e)
{
    big number, half = {.n = 1, .limb = {m}};
    int64_t ten = big_from_text(&number, d), two = e;
    if (ten >= 0)
        big_times_power_of_5(&number, ten);
    else
        big_times_power_of_5(&half, -ten);
    two -= ten; /* 10^ten = 5^ten * 2^ten */
    if (two >= 0)
        big_shift_left(&half, (uint64_t)two);
    else
        big_shift_left(&number, (uint64_t)-two);
    return big_compare(&number, &half);
}

/* ---- The nearest float of a format ---- */

/* What tells double and float apart. `even`: the powers of ten between which a product can be exactly halfway. */
typedef struct format {
    int bits;           /* of the mantissa that are stored */
    int bias;           /* of the exponent as stored, less one */
    int infinite;       /* the exponent of infinity */
    int least, largest; /* powers of ten beyond which all is zero or infinite */
    int even_from, even_to;
} format;

static const format binary64 = {52, -1023, 0x7ff, -342, 308, -4, 23};
static const format binary32 = {23, -127, 0xff, -65, 38, -17, 10};

/* The stored bits (without sign) of the number nearest to digits * 10^ten. */
static inline __attribute__((always_inline)) uint64_t nearest(uint64_t digits, int64_t ten, const format *f)
{
    if (digits == 0 || ten < f->least)
        return 0;
    if (ten > f->largest)
        return (uint64_t)f->infinite << f->bits;
    int zeros = __builtin_clzll(digits);
    digits <<= zeros;
    const uint64_t *power = yk_powers[ten - YK_POWER_FIRST];
    unsigned __int128 product = (unsigned __int128)digits * power[0];
    uint64_t unclear = ~(uint64_t)0 >> (f->bits + 3);
    if (YK_UNLIKELY(((uint64_t)(product >> 64) & unclear) == unclear))
        product += (uint64_t)(((unsigned __int128)digits * power[1]) >> 64);
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    int top = (int)(high >> 63), drop = top + 64 - f->bits - 3;
    uint64_t mantissa = high >> drop;
    /* floor(log2(10^ten)) + 63 is the weight of the highest bit of the power. */
    int two = (int)((217706 * ten) >> 16) + 63 + top - zeros - f->bias;
    if (YK_UNLIKELY(two <= 0)) { /* subnormal: fewer bits, and rounding may make it normal again */
        if (-two + 1 >= 64)
            return 0;
        mantissa >>= -two + 1;
        return (mantissa + (mantissa & 1)) >> 1;
    }
    if (YK_UNLIKELY(low <= 1 && (mantissa & 3) == 1 && ten >= f->even_from && ten <= f->even_to &&
                    mantissa << drop == high))
        mantissa--; /* exactly halfway: down to even */
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    /* The hidden bit adds one to the exponent, as does a carry out of the mantissa. */
    uint64_t stored = ((uint64_t)(two - 1) << f->bits) + mantissa;
    uint64_t infinity = (uint64_t)f->infinite << f->bits;
    return stored < infinity ? stored : infinity;
}

/* Between `below` (the bits of a finite number) and the next one up: the nearest to the text. */
static __attribute__((noinline)) uint64_t nearest_exactly(const yk_decimal *d, uint64_t below, const format *f)
{
    uint64_t hidden = (uint64_t)1 << f->bits, mantissa = below & (hidden - 1);
    int exponent = (int)(below >> f->bits);
    if (exponent > 0)
        mantissa |= hidden;
    else
        exponent = 1;
    int order = compare_exactly(d, 2 * mantissa + 1, exponent + f->bias - f->bits - 1);
    return below + (order > 0 || (order == 0 && (below & 1)));
}

static inline __attribute__((always_inline)) uint64_t nearest_of(const yk_decimal *d, const format *f)
{
    uint64_t bits = nearest(d->digits, d->exponent, f);
    if (YK_UNLIKELY(d->more) && bits != nearest(d->digits + 1, d->exponent, f))
        bits = nearest_exactly(d, bits, f);
    return bits;
}

static inline double as_f64(uint64_t bits, bool negative)
{
    double v;
    bits |= (uint64_t)negative << 63;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double yk_decimal_f64(const yk_decimal *d)
{
    return as_f64(nearest_of(d, &binary64), d->negative);
}

const char *yk_decimal_read_f64(const char *p, const char *end, double *ret)
{
    pieces n;
    if (YK_UNLIKELY(!take_apart(p, end, &n)))
        return NULL;
    if (YK_UNLIKELY(n.count > DIGITS)) {
        yk_decimal d;
        yk_decimal_scan(p, end, &d);
        *ret = yk_decimal_f64(&d);
    } else {
        *ret = as_f64(nearest(n.digits, n.exponent - n.behind, &binary64), n.negative);
    }
    return n.after;
}

float yk_decimal_f32(const yk_decimal *d)
{
    uint32_t bits = (uint32_t)nearest_of(d, &binary32) | (uint32_t)d->negative << 31;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
