/* json: what the files of the JSON codec share: the reader, numbers, strings, base64. Private to src/task. */
#ifndef YK_TASK_JSON_H
#define YK_TASK_JSON_H
#include "task/task.h"

/* ---- Numbers (number_read.c, number_write.c, number_powers.c) ---- */

/* A number of the text: 19 digits (the significant ones, from the first) times ten to the exponent, and where to find
 * the rest when there are more. */
typedef struct yk_decimal {
    uint64_t digits;
    int64_t exponent;
    bool negative;
    bool more;              /* digits were left out: ask the text from begin to end */
    const char *begin, *end;
} yk_decimal;

/* Reads a number as RFC 8259 writes it; returns the place after it. NULL: it is none, and d->end is where that shows. */
const char *yk_decimal_scan(const char *p, const char *end, yk_decimal *d);
/* The nearest double or float, ties to even, in any rounding mode; an infinity when it is too large. */
double yk_decimal_f64(const yk_decimal *d);
float yk_decimal_f32(const yk_decimal *d);
/* The absolute value of an integer in plain digits, at most 19. NULL: it is something else, ask
 * yk_decimal_scan(). */
const char *yk_decimal_read_plain(const char *p, const char *end, uint64_t *ret);
/* yk_decimal_scan() and yk_decimal_f64() in one, for arrays; NULL: it is no number. */
const char *yk_decimal_read_f64(const char *p, const char *end, double *ret);
/* The absolute value if the number is an integer. -EDOM: it has a fraction. -ERANGE: it does not fit. */
int yk_decimal_u64(const yk_decimal *d, uint64_t *ret);

/* The shortest text that reads back as v, as Python's repr() writes it: 4.0, 1e-07, 1.5e+300. v is finite. They write
 * at most YK_NUMBER_TEXT bytes, of which none ends the text, and return how many. */
enum { YK_NUMBER_TEXT = 32 };
unsigned yk_write_f64(char *text, double v);
unsigned yk_write_f32(char *text, float v);
unsigned yk_write_u64(char *text, uint64_t v);
unsigned yk_write_i64(char *text, int64_t v);

enum { YK_POWER_FIRST = -342, YK_POWER_LAST = 324 };
extern const uint64_t yk_powers[YK_POWER_LAST - YK_POWER_FIRST + 1][2];

/* ---- Base64 (base64.c), RFC 4648 section 4 ---- */

static inline size_t yk_base64_size(size_t n) { return (n + 2) / 3 * 4; }
/* Writes yk_base64_size(n) characters. */
void yk_base64_put(char *to, const void *bytes, size_t n);
/* Decodes n characters into to, which has room for n / 4 * 3 bytes. Padding is required and the bits it leaves over
 * must be zero, so every byte string has one text. *ret is the number of bytes or, with -EINVAL, the index of the character
 * that is wrong. */
int yk_base64_get(void *to, const char *text, size_t n, size_t *ret);

/* ---- The reader (json_read.c) ---- */

/* Text being read. A place in it is a pointer that goes in and out of every function: NULL comes out after an error,
 * whose code and text are then in the reader. */
typedef struct yk_reader {
    const char *text, *end;
    bool word;             /* the text is one word of a command line, not JSON */
    const yoke_task *task; /* and param: what the error text names; NULL: nothing */
    int param;             /* index; -1: the arguments as a whole, or the text */
    unsigned flags;        /* YOKE_JSON_* */
    int code;
    yk_region *region;
    yk_error *e;
} yk_reader;

/* A string found in the text and checked: what lies between its quotes, and how long it will be once unescaped. */
typedef struct yk_json_span {
    const char *raw;
    size_t raw_len, len;
    bool has_nul; /* \u0000 */
} yk_json_span;

static inline const char *yk_blanks(const yk_reader *r, const char *p)
{
    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}
static inline bool yk_is_at(const yk_reader *r, const char *p, char c) { return p < r->end && *p == c; }

/* Records 'argument 2 "n" of f: MESSAGE at byte N' and returns NULL. */
const char *yk_fail_at(yk_reader *r, const char *p, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));
/* The same for 'expected WHAT, got FOUND'. */
const char *yk_expected(yk_reader *r, const char *p, const char *what) __attribute__((cold));
/* The same for 'got FOUND, WHAT'. */
const char *yk_unexpected(yk_reader *r, const char *p, const char *what) __attribute__((cold));
/* The same for a number at p that yk_decimal_scan() refused. */
const char *yk_bad_number(yk_reader *r, const char *p, const yk_decimal *d) __attribute__((cold));
/* The same for the struct that r->param is, or any other that keeps JSON from calling the task. (json_args.c) */
const char *yk_fail_struct(yk_reader *r, const char *p) __attribute__((cold));
/* The same for memory that ran out. */
const char *yk_fail_memory(yk_reader *r) __attribute__((cold));

/* A string, its opening quote at p. */
const char *yk_read_string(yk_reader *r, const char *p, yk_json_span *ret);
/* Writes s->len bytes. */
void yk_unescape(const yk_json_span *s, char *to);
/* True if the string says this. */
bool yk_span_is(const yk_json_span *s, const char *word);
/* Any value: checked and passed over. */
const char *yk_skip_value(yk_reader *r, const char *p);
/* Only blanks may follow until the end. */
const char *yk_read_end(yk_reader *r, const char *p);
/* What the text may not be as a whole: too long, empty, with a byte order mark in front. Returns the first place that is
 * not blank. */
const char *yk_read_begin(yk_reader *r, const char *what);
/* The length of the valid UTF-8 sequence at p (1 to 4), or 0. */
unsigned yk_utf8_length(const char *p, const char *end);

/* One value of that type code, into to. (json_values.c) */
const char *yk_read_value(yk_reader *r, const char *p, unsigned code, void *to);

#endif
