/* json_numbers - fuzzes the reading and writing of numbers, with the C library as the judge.
 *
 * The whole input is a text: where a number of RFC 8259 ends is decided here a second time, by its grammar, and its value
 * by strtod(), strtof(), strtoull(). The first eight bytes are also taken as a double, a float and an integer, whose text
 * must read back as the same bits.
 */
#include "fuzz.h"
#include <math.h>

/* ---- The grammar ---- */

static bool is_digit(const char *p)
{
    return *p >= '0' && *p <= '9';
}

/* The place after the number at p, which a NUL ends somewhere; NULL, with the place in *bad, when it is none. */
static const char *number_end(const char *p, const char **bad)
{
    if (*p == '-')
        p++;
    *bad = p;
    if (!is_digit(p))
        return NULL;
    if (*p == '0' && is_digit(p + 1)) {
        *bad = p + 1;
        return NULL;
    }
    while (is_digit(p))
        p++;
    if (*p == '.') {
        *bad = ++p;
        if (!is_digit(p))
            return NULL;
        while (is_digit(p))
            p++;
    }
    if (*p != 'e' && *p != 'E')
        return p;
    p++;
    if (*p == '+' || *p == '-')
        p++;
    *bad = p;
    if (!is_digit(p))
        return NULL;
    while (is_digit(p))
        p++;
    return p;
}

/* ---- Reading ---- */

static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool same_float(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* `number` is the number alone, ended by a NUL. */
static void check_values(const yk_decimal *d, const char *number)
{
    REQUIRE(same_double(yk_decimal_f64(d), strtod(number, NULL)));
    REQUIRE(same_float(yk_decimal_f32(d), strtof(number, NULL)));
    uint64_t v = 0;
    int err = yk_decimal_u64(d, &v);
    const char *digits = number + (*number == '-');
    if (digits[strspn(digits, "0123456789")] == '\0') {
        errno = 0;
        unsigned long long expected = strtoull(digits, NULL, 10);
        REQUIRE(errno == ERANGE ? err == -ERANGE : err == 0 && v == expected);
        return;
    }
    /* A double says little about a number of many digits, but never the contrary. */
    double value = fabs(strtod(number, NULL));
    REQUIRE(err == 0 || err == -EDOM || err == -ERANGE);
    if (err == 0)
        REQUIRE((double)v == value);
    if (err == -ERANGE)
        REQUIRE(value >= 18446744073709551615.0);
    if (err == -EDOM)
        REQUIRE(value <= 18446744073709551616.0); /* which rounds up to it */
}

static void check_plain(const char *text, const char *end)
{
    uint64_t v;
    const char *after = yk_decimal_read_plain(text, end, &v);
    if (!after)
        return;
    const char *digits = text + (*text == '-');
    size_t n = 0;
    while (digits + n < end && is_digit(digits + n))
        n++;
    REQUIRE(after == digits + n && n >= 1 && n <= 19 && (n == 1 || *digits != '0'));
    char copy[20] = "";
    memcpy(copy, digits, n);
    REQUIRE(v == strtoull(copy, NULL, 10));
}

static void check_text(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size), *ended = malloc(size + 1);
    REQUIRE(ended);
    if (size > 0)
        memcpy(ended, data, size);
    ended[size] = '\0';
    yk_decimal d;
    double v;
    const char *bad = NULL, *expected = number_end(ended, &bad);
    const char *after = yk_decimal_scan(text, text + size, &d);
    const char *array_after = yk_decimal_read_f64(text, text + size, &v);
    REQUIRE(after == (expected ? text + (expected - ended) : NULL));
    REQUIRE(array_after == after);
    check_plain(text, text + size);
    if (expected) {
        ended[expected - ended] = '\0';
        REQUIRE(same_double(v, strtod(ended, NULL)));
        check_values(&d, ended);
    } else {
        REQUIRE(d.end == text + (bad - ended));
    }
    free(text);
    free(ended);
}

/* ---- Writing ---- */

static void check_written(uint64_t bits)
{
    char text[YK_NUMBER_TEXT + 1];
    double d;
    float f;
    uint32_t half = (uint32_t)bits;
    memcpy(&d, &bits, sizeof d);
    memcpy(&f, &half, sizeof f);
    if (isfinite(d)) {
        text[yk_write_f64(text, d)] = '\0';
        REQUIRE(same_double(strtod(text, NULL), d));
        check_text((const uint8_t *)text, strlen(text));
    }
    if (isfinite(f)) {
        text[yk_write_f32(text, f)] = '\0';
        REQUIRE(same_float(strtof(text, NULL), f));
    }
    text[yk_write_u64(text, bits)] = '\0';
    REQUIRE(strtoull(text, NULL, 10) == bits);
    text[yk_write_i64(text, (int64_t)bits)] = '\0';
    REQUIRE(strtoll(text, NULL, 10) == (long long)(int64_t)bits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t bits = 0;
    check_text(data, size);
    if (size > 0)
        memcpy(&bits, data, YK_MIN(size, sizeof bits));
    check_written(bits);
    return 0;
}
