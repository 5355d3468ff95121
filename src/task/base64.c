/* base64: RFC 4648 section 4, with padding.
 *
 * Each character turns into six bits through one table; four lookups and three shifts make three bytes. The entries of the
 * 64 characters have a bit in common that all others lack, so one test per group of four is enough. */
#include "task/json.h"

static const char letters[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void yk_base64_put(char *to, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    for (; n >= 3; n -= 3, from += 3, to += 4) {
        uint32_t v = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        to[0] = letters[v >> 18];
        to[1] = letters[v >> 12 & 63];
        to[2] = letters[v >> 6 & 63];
        to[3] = letters[v & 63];
    }
    if (n == 0)
        return;
    uint32_t v = (uint32_t)from[0] << 16 | (n == 2 ? (uint32_t)from[1] << 8 : 0);
    to[0] = letters[v >> 18];
    to[1] = letters[v >> 12 & 63];
    to[2] = n == 2 ? letters[v >> 6 & 63] : '=';
    to[3] = '=';
}

enum { GOOD = 0x40 };

/* GOOD and the six bits of a character, or 0. */
static const unsigned char sextet[256] = {
    ['A'] = GOOD + 0, ['B'] = GOOD + 1, ['C'] = GOOD + 2, ['D'] = GOOD + 3, ['E'] = GOOD + 4,
    ['F'] = GOOD + 5, ['G'] = GOOD + 6, ['H'] = GOOD + 7, ['I'] = GOOD + 8, ['J'] = GOOD + 9,
    ['K'] = GOOD + 10, ['L'] = GOOD + 11, ['M'] = GOOD + 12, ['N'] = GOOD + 13, ['O'] = GOOD + 14,
    ['P'] = GOOD + 15, ['Q'] = GOOD + 16, ['R'] = GOOD + 17, ['S'] = GOOD + 18, ['T'] = GOOD + 19,
    ['U'] = GOOD + 20, ['V'] = GOOD + 21, ['W'] = GOOD + 22, ['X'] = GOOD + 23, ['Y'] = GOOD + 24,
    ['Z'] = GOOD + 25, ['a'] = GOOD + 26, ['b'] = GOOD + 27, ['c'] = GOOD + 28, ['d'] = GOOD + 29,
    ['e'] = GOOD + 30, ['f'] = GOOD + 31, ['g'] = GOOD + 32, ['h'] = GOOD + 33, ['i'] = GOOD + 34,
    ['j'] = GOOD + 35, ['k'] = GOOD + 36, ['l'] = GOOD + 37, ['m'] = GOOD + 38, ['n'] = GOOD + 39,
    ['o'] = GOOD + 40, ['p'] = GOOD + 41, ['q'] = GOOD + 42, ['r'] = GOOD + 43, ['s'] = GOOD + 44,
    ['t'] = GOOD + 45, ['u'] = GOOD + 46, ['v'] = GOOD + 47, ['w'] = GOOD + 48, ['x'] = GOOD + 49,
    ['y'] = GOOD + 50, ['z'] = GOOD + 51, ['0'] = GOOD + 52, ['1'] = GOOD + 53, ['2'] = GOOD + 54,
    ['3'] = GOOD + 55, ['4'] = GOOD + 56, ['5'] = GOOD + 57, ['6'] = GOOD + 58, ['7'] = GOOD + 59,
    ['8'] = GOOD + 60, ['9'] = GOOD + 61, ['+'] = GOOD + 62, ['/'] = GOOD + 63};

/* The index of the first character of the n at text that is none of the 64; n when there is none. */
static size_t first_bad(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && sextet[(unsigned char)text[i]])
        i++;
    return i;
}

/* The last group, of two or three characters before its padding. */
static int get_rest(unsigned char *to, const char *text, size_t n, size_t *bad)
{
    *bad = first_bad(text, n);
    if (*bad < n)
        return -EINVAL;
    *bad = n - 1;
    uint32_t v = (uint32_t)(sextet[(unsigned char)text[0]] & 63) << 18 | (uint32_t)(sextet[(unsigned char)text[1]] & 63) << 12;
    if (n == 3)
        v |= (uint32_t)(sextet[(unsigned char)text[2]] & 63) << 6;
    if (v & (n == 3 ? 0xff : 0xffff))
        return -EINVAL;
    to[0] = (unsigned char)(v >> 16);
    if (n == 3)
        to[1] = (unsigned char)(v >> 8);
    return 0;
}

int yk_base64_get(void *to, const char *text, size_t n, size_t *ret)
{
    unsigned char *out = to;
    size_t padding = 0, at = 0, bad;
    if (n % 4 == 0 && n > 0 && text[n - 1] == '=')
        padding = text[n - 2] == '=' ? 2 : 1;
    size_t whole = (n - padding) & ~(size_t)3;
    for (; at < whole; at += 4, out += 3) {
        uint32_t a = sextet[(unsigned char)text[at]], b = sextet[(unsigned char)text[at + 1]];
        uint32_t c = sextet[(unsigned char)text[at + 2]], d = sextet[(unsigned char)text[at + 3]];
        if (YK_UNLIKELY(!(a & b & c & d & GOOD))) {
            *ret = at + first_bad(text + at, 4);
            return -EINVAL;
        }
        uint32_t v = (a << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63)) & 0xffffff;
        out[0] = (unsigned char)(v >> 16);
        out[1] = (unsigned char)(v >> 8);
        out[2] = (unsigned char)v;
    }
    if (n % 4 != 0) {
        *ret = n;
        return -EINVAL;
    }
    if (padding && get_rest(out, text + at, 4 - padding, &bad) < 0) {
        *ret = at + bad;
        return -EINVAL;
    }
    *ret = n / 4 * 3 - padding;
    return 0;
}
