/* array_type: the types of elements - names, sizes, where two of them meet, and what a number becomes beside an array. */
#include "gpu/array.h"
#include <math.h>

static const struct {
    const char *name;
    size_t size;
} types[YK_TYPES] = {
    [YOKE_BOOL] = {"bool", 1}, [YOKE_I8] = {"i8", 1}, [YOKE_I16] = {"i16", 2}, [YOKE_I32] = {"i32", 4}, [YOKE_I64] = {"i64", 8},
    [YOKE_U8] = {"u8", 1}, [YOKE_U16] = {"u16", 2}, [YOKE_U32] = {"u32", 4}, [YOKE_U64] = {"u64", 8},
    [YOKE_F32] = {"f32", 4}, [YOKE_F64] = {"f64", 8}};

const char *yoke_array_type_name(unsigned type)
{
    return type < YK_TYPES && types[type].name ? types[type].name : "?";
}

size_t yoke_array_type_size(unsigned type)
{
    return type < YK_TYPES ? types[type].size : 0;
}

static bool is_signed(unsigned type)
{
    return type >= YOKE_I8 && type <= YOKE_I64;
}

static bool is_unsigned(unsigned type)
{
    return type >= YOKE_U8 && type <= YOKE_U64;
}

static bool is_float(unsigned type)
{
    return type == YOKE_F32 || type == YOKE_F64;
}

/* A signed and an unsigned one. */
static unsigned meet_signs(unsigned s, unsigned u)
{
    unsigned bits_s = s - YOKE_I8, bits_u = u - YOKE_U8; /* 0 for 8 bits, 3 for 64 */
    if (bits_s > bits_u)
        return s;
    return bits_u == 3 ? YOKE_F64 : YOKE_I8 + bits_u + 1;
}

unsigned yoke_array_promote(unsigned a, unsigned b)
{
    if (yoke_array_type_size(a) == 0 || yoke_array_type_size(b) == 0)
        return YOKE_VOID;
    if (a == b || a == YOKE_BOOL || b == YOKE_BOOL)
        return a == YOKE_BOOL ? b : a;
    if (is_float(a) || is_float(b)) {
        bool wide = a == YOKE_F64 || b == YOKE_F64 || types[a].size + types[b].size > 6;
        return wide ? YOKE_F64 : YOKE_F32;
    }
    if (is_signed(a) == is_signed(b))
        return YK_MAX(a, b);
    return is_signed(a) ? meet_signs(a, b) : meet_signs(b, a);
}

/* ---- Numbers ---- */

/* The integer of a number in [low, high]? Fills ret as 64 bits, which little-endian hosts cut to any size. */
static int integer_as(const yoke_array *number, unsigned type, void *ret)
{
    unsigned bits = (unsigned)yoke_array_type_size(type) * 8;
    bool negative = number->type == YOKE_I64 && number->number.i < 0;
    uint64_t most = is_signed(type) ? (UINT64_C(1) << (bits - 1)) - 1 : bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    if (negative ? is_unsigned(type) || number->number.i < -(int64_t)most - 1 : number->number.u > most)
        return -ERANGE;
    union {
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
    } as;
    memset(&as, 0, sizeof as);
    switch (bits) {
    case 8: as.i8 = (int8_t)number->number.i; break;
    case 16: as.i16 = (int16_t)number->number.i; break;
    case 32: as.i32 = (int32_t)number->number.i; break;
    default: as.i64 = number->number.i;
    }
    memcpy(ret, &as, sizeof as);
    return 0;
}

int yk_number_as(const yoke_array *number, unsigned type, void *ret)
{
    if (type == YOKE_BOOL) {
        uint64_t raw = 0;
        uint8_t set = number->type == YOKE_F64 ? number->number.f != 0 : number->number.u != 0;
        memcpy(&raw, &set, 1);
        memcpy(ret, &raw, sizeof raw);
        return 0;
    }
    if (number->type != YOKE_F64 && !is_float(type))
        return integer_as(number, type, ret);
    uint64_t raw = 0;
    yk_casts[number->type][type](1, &number->number, 1, &raw, 1);
    memcpy(ret, &raw, sizeof raw);
    return 0;
}

int yk_number_refuse(yoke_stream *s, const char *what, unsigned type, const yoke_array *number)
{
    if (number->type == YOKE_U64)
        yk_array_fail(s, ERANGE, "%s: %s cannot hold the number %llu", what, yoke_array_type_name(type),
                      (unsigned long long)number->number.u);
    else
        yk_array_fail(s, ERANGE, "%s: %s cannot hold the number %lld", what, yoke_array_type_name(type),
                      (long long)number->number.i);
    return -ERANGE;
}

/* What an array's type becomes beside a number's (NumPy 2: a number bends to the array, if it is of its kind). */
static unsigned beside(unsigned type, const yoke_array *number)
{
    if (number->type == YOKE_F64)
        return is_float(type) ? type : YOKE_F64;
    return type == YOKE_BOOL ? YOKE_I64 : type;
}

unsigned yk_rule_type(yk_rule rule, unsigned type)
{
    bool is_small = yoke_array_type_size(type) <= 2;
    switch (rule) {
    case YK_RULE_FLOAT: return is_float(type) ? type : is_small ? YOKE_F32 : YOKE_F64;
    case YK_RULE_DIV: return is_float(type) ? type : YOKE_F64;
    case YK_RULE_BOOL: return YOKE_BOOL;
    default: return type;
    }
}

/* Where two numbers meet, whichever comes first. One of u64 is of i64 as well if it fits. */
static unsigned numbers_meet(unsigned type, const yoke_array *number)
{
    unsigned own = number->type == YOKE_U64 && number->number.u <= INT64_MAX ? YOKE_I64 : number->type;
    if (type == YOKE_VOID || type == own)
        return own;
    return type == YOKE_F64 || own == YOKE_F64 ? YOKE_F64 : YOKE_U64;
}

unsigned yk_types_meet(yk_rule rule, const yoke_array *const *in, unsigned n)
{
    unsigned type = YOKE_VOID, numbers = 0;
    for (unsigned k = 0; k < n; k++)
        numbers += yk_array_is_number(in[k]);
    for (unsigned k = 0; k < n; k++)
        if (!yk_array_is_number(in[k])) { /* functions of floats: each operand for itself, so i8 and u16 make f32,
                                         as in NumPy */
            unsigned own = rule == YK_RULE_FLOAT && numbers == 0 ? yk_rule_type(rule, in[k]->type) : in[k]->type;
            type = type == YOKE_VOID ? own : yoke_array_promote(type, own);
        }
    for (unsigned k = 0; k < n; k++)
        if (yk_array_is_number(in[k]))
            type = numbers == n ? numbers_meet(type, in[k]) : beside(type, in[k]);
    return yk_rule_type(rule, type);
}
