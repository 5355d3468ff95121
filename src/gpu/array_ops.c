/* array_ops: the table of operations, and the calls of yoke/array.h that are one operation each. */
#include "gpu/array.h"
#include "gpu/array_ops.h"

#define SAME_BOOL false
#define BOOL_BOOL true
#define OP(id, text, operands, r, result) \
    [YK_OP_##id] = {.name = #id, .shown = text, .arity = operands, .rule = YK_RULE_##r, .gives_bool = result##_BOOL},
static const yk_op described[YK_OP_COUNT] = {YK_OPS(OP)};

/* The bodies as they stand: a parameter that is only made a string is not expanded. */
#define TEXT(shape, id, kind, ...) YK_EACH_##kind(TEXT_ENTRY, id, #__VA_ARGS__)
#define TEXT_ENTRY(code, T, U, id, text) [YK_OP_##id][YOKE_##code] = text,
static const char *const texts[YK_OP_COUNT][YK_TYPES] = {YK_BODIES(TEXT)};

yk_op yk_op_of(unsigned id)
{
    yk_op op = described[id];
    op.id = id;
    op.is_where = id == YK_OP_where;
    return op;
}

yk_map_loop *yk_op_loop(const yk_op *op, unsigned type)
{
    return type == YOKE_F32 || type == YOKE_F64 ? yk_loops_float[op->id][type] : yk_loops_whole[op->id][type];
}

const char *yk_op_text(const yk_op *op, unsigned type)
{
    return texts[op->id][type];
}

static yoke_array *map(unsigned id, const yoke_array *a, const yoke_array *b, const yoke_array *c)
{
    const yoke_array *in[YK_INPUTS] = {a, b, c};
    yk_op op = yk_op_of(id);
    return yk_map(&op, in);
}

static bool is_signed(const yoke_array *a)
{
    return a && !yk_array_is_number(a) && a->type >= YOKE_I8 && a->type <= YOKE_I64;
}

static bool is_u64(const yoke_array *a)
{
    return a && !yk_array_is_number(a) && a->type == YOKE_U64;
}

/* Of u64 and a signed type, which meet in f64, where neighbours are equal: compared as u64, but where the signed one is
 * negative, and so less than the other. */
static yoke_array *compare(unsigned id, const yoke_array *a, const yoke_array *b)
{
    bool left = is_signed(a) && is_u64(b);
    if (!left && !(is_u64(a) && is_signed(b)))
        return map(id, a, b, NULL);
    const yoke_array zero = {.type = YOKE_I64};
    yoke_array_scope scope;
    yoke_array_begin(&scope);
    yoke_array *negative = map(YK_OP_lt, left ? a : b, &zero, NULL), *as_u64 = yoke_array_astype(left ? a : b, YOKE_U64);
    yoke_array *same = left ? map(id, as_u64, b, NULL) : map(id, a, as_u64, NULL);
    bool holds = id == YK_OP_ne || (left ? id == YK_OP_lt || id == YK_OP_le : id == YK_OP_gt || id == YK_OP_ge);
    yoke_array *r = holds ? yoke_array_logical_or(same, negative) : yoke_array_gt(same, negative);
    return yoke_array_end(&scope, r);
}

#define UNARY(name)                                                                                                    \
    yoke_array *yoke_array_##name(const yoke_array *a)                                                                 \
    {                                                                                                                  \
        return map(YK_OP_##name, a, NULL, NULL);                                                                       \
    }
#define BINARY(name)                                                                                                   \
    yoke_array *yoke_array_##name(const yoke_array *a, const yoke_array *b)                                            \
    {                                                                                                                  \
        return map(YK_OP_##name, a, b, NULL);                                                                          \
    }
#define COMPARISON(name)                                                                                               \
    yoke_array *yoke_array_##name(const yoke_array *a, const yoke_array *b)                                            \
    {                                                                                                                  \
        return compare(YK_OP_##name, a, b);                                                                            \
    }
#define TERNARY(name)                                                                                                  \
    yoke_array *yoke_array_##name(const yoke_array *a, const yoke_array *b, const yoke_array *c)                       \
    {                                                                                                                  \
        return map(YK_OP_##name, a, b, c);                                                                             \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(floor_div)
BINARY(mod)
BINARY(pow)
BINARY(minimum)
BINARY(maximum)
UNARY(neg)
UNARY(sign)
UNARY(abs)
COMPARISON(eq)
COMPARISON(ne)
COMPARISON(lt)
COMPARISON(le)
COMPARISON(gt)
COMPARISON(ge)
BINARY(logical_and)
BINARY(logical_or)
BINARY(logical_xor)
UNARY(logical_not)
BINARY(bit_and)
BINARY(bit_or)
BINARY(bit_xor)
UNARY(bit_not)
BINARY(shl)
BINARY(shr)
UNARY(sin)
UNARY(cos)
UNARY(tan)
UNARY(asin)
UNARY(acos)
UNARY(atan)
UNARY(sinh)
UNARY(cosh)
UNARY(tanh)
UNARY(asinh)
UNARY(acosh)
UNARY(atanh)
UNARY(exp)
UNARY(exp2)
UNARY(expm1)
UNARY(log)
UNARY(log2)
UNARY(log10)
UNARY(log1p)
UNARY(sqrt)
UNARY(cbrt)
UNARY(rsqrt)
BINARY(atan2)
BINARY(hypot)
BINARY(copysign)
BINARY(fmod)
UNARY(isnan)
UNARY(isinf)
UNARY(isfinite)
UNARY(floor)
UNARY(ceil)
UNARY(round)
UNARY(trunc)
TERNARY(fma)
TERNARY(clip)

yoke_array *yoke_array_where(const yoke_array *condition, const yoke_array *a, const yoke_array *b)
{
    return map(YK_OP_where, condition, a, b);
}
