/* array_ops: every operation that goes element by element, once. YK_BODIES gives for each operation and kind of type a few
 * statements in the common part of C, OpenCL C and CUDA C: from a, b, c, of type T, they set r. They are compiled into loops
 * for the CPU (array_loops.h), and stand as text in kernels for devices (array_text.c).
 *
 * T: the type that is computed in; U: unsigned, of its size but at least 32 bits, in which integers wrap around; R: the
 * result's; i, an i64: the number of the element in the result. A bool is a byte, 0 or 1. Functions of floats are those that
 * have one name for f32 and f64 in all three languages. No integer is ever divided by 0, or -1; no float becomes an integer
 * here (conversions are YK_CAST_ below). */
#ifndef YK_ARRAY_OPS_H
#define YK_ARRAY_OPS_H

/* X(name, how an error shows it, number of operands, rule, result) */
#define YK_OPS(X)                                                                                                      \
    X(copy, "copy", 1, SAME, SAME)                                                                                     \
    X(add, "a + b", 2, SAME, SAME)                                                                                     \
    X(sub, "a - b", 2, SAME, SAME)                                                                                     \
    X(mul, "a * b", 2, SAME, SAME)                                                                                     \
    X(div, "a / b", 2, DIV, SAME)                                                                                      \
    X(floor_div, "a // b", 2, SAME, SAME)                                                                              \
    X(mod, "a % b", 2, SAME, SAME)                                                                                     \
    X(pow, "a ** b", 2, SAME, SAME)                                                                                    \
    X(minimum, "minimum", 2, SAME, SAME)                                                                               \
    X(maximum, "maximum", 2, SAME, SAME)                                                                               \
    X(neg, "-a", 1, SAME, SAME)                                                                                        \
    X(sign, "sign", 1, SAME, SAME)                                                                                     \
    X(abs, "abs", 1, SAME, SAME)                                                                                       \
    X(eq, "a == b", 2, SAME, BOOL)                                                                                     \
    X(ne, "a != b", 2, SAME, BOOL)                                                                                     \
    X(lt, "a < b", 2, SAME, BOOL)                                                                                      \
    X(le, "a <= b", 2, SAME, BOOL)                                                                                     \
    X(gt, "a > b", 2, SAME, BOOL)                                                                                      \
    X(ge, "a >= b", 2, SAME, BOOL)                                                                                     \
    X(logical_and, "a and b", 2, BOOL, BOOL)                                                                           \
    X(logical_or, "a or b", 2, BOOL, BOOL)                                                                             \
    X(logical_xor, "a xor b", 2, BOOL, BOOL)                                                                           \
    X(logical_not, "not a", 1, BOOL, BOOL)                                                                             \
    X(bit_and, "a & b", 2, BITS, SAME)                                                                                 \
    X(bit_or, "a | b", 2, BITS, SAME)                                                                                  \
    X(bit_xor, "a ^ b", 2, BITS, SAME)                                                                                 \
    X(bit_not, "~a", 1, BITS, SAME)                                                                                    \
    X(shl, "a << b", 2, BITS, SAME)                                                                                    \
    X(shr, "a >> b", 2, BITS, SAME)                                                                                    \
    X(sin, "sin", 1, FLOAT, SAME)                                                                                      \
    X(cos, "cos", 1, FLOAT, SAME)                                                                                      \
    X(tan, "tan", 1, FLOAT, SAME)                                                                                      \
    X(asin, "asin", 1, FLOAT, SAME)                                                                                    \
    X(acos, "acos", 1, FLOAT, SAME)                                                                                    \
    X(atan, "atan", 1, FLOAT, SAME)                                                                                    \
    X(sinh, "sinh", 1, FLOAT, SAME)                                                                                    \
    X(cosh, "cosh", 1, FLOAT, SAME)                                                                                    \
    X(tanh, "tanh", 1, FLOAT, SAME)                                                                                    \
    X(asinh, "asinh", 1, FLOAT, SAME)                                                                                  \
    X(acosh, "acosh", 1, FLOAT, SAME)                                                                                  \
    X(atanh, "atanh", 1, FLOAT, SAME)                                                                                  \
    X(exp, "exp", 1, FLOAT, SAME)                                                                                      \
    X(exp2, "exp2", 1, FLOAT, SAME)                                                                                    \
    X(expm1, "expm1", 1, FLOAT, SAME)                                                                                  \
    X(log, "log", 1, FLOAT, SAME)                                                                                      \
    X(log2, "log2", 1, FLOAT, SAME)                                                                                    \
    X(log10, "log10", 1, FLOAT, SAME)                                                                                  \
    X(log1p, "log1p", 1, FLOAT, SAME)                                                                                  \
    X(sqrt, "sqrt", 1, FLOAT, SAME)                                                                                    \
    X(cbrt, "cbrt", 1, FLOAT, SAME)                                                                                    \
    X(rsqrt, "rsqrt", 1, FLOAT, SAME)                                                                                  \
    X(atan2, "atan2", 2, FLOAT, SAME)                                                                                  \
    X(hypot, "hypot", 2, FLOAT, SAME)                                                                                  \
    X(copysign, "copysign", 2, FLOAT, SAME)                                                                            \
    X(fmod, "fmod", 2, FLOAT, SAME)                                                                                    \
    X(isnan, "isnan", 1, FLOAT, BOOL)                                                                                  \
    X(isinf, "isinf", 1, FLOAT, BOOL)                                                                                  \
    X(isfinite, "isfinite", 1, FLOAT, BOOL)                                                                            \
    X(floor, "floor", 1, SAME, SAME)                                                                                   \
    X(ceil, "ceil", 1, SAME, SAME)                                                                                     \
    X(round, "round", 1, SAME, SAME)                                                                                   \
    X(trunc, "trunc", 1, SAME, SAME)                                                                                   \
    X(fma, "fma", 3, FLOAT, SAME)                                                                                      \
    X(clip, "clip", 3, SAME, SAME)                                                                                     \
    X(where, "where", 3, SAME, SAME)                                                                                   \
    X(arange, "arange", 2, SAME, SAME)                                                                                 \
    X(eye, "eye", 2, SAME, BOOL)                                                                                       \
    X(sortable, "sort", 1, SAME, SAME)                                                                                 \
    X(canonical, "argsort", 1, SAME, SAME)

/* X(operands: 1 2 3, P for a result of bool, W for a first operand of bool; name; kind of T; statements) */
#define YK_BODIES(X)                                                                                                   \
    X(1, copy, all, r = a;)                                                                                            \
    X(2, add, bools, r = a | b;)                                                                                       \
    X(2, add, ints, r = (T)((U)a + (U)b);)                                                                             \
    X(2, add, floats, r = a + b;)                                                                                      \
    X(2, sub, ints, r = (T)((U)a - (U)b);)                                                                             \
    X(2, sub, floats, r = a - b;)                                                                                      \
    X(2, mul, bools, r = a & b;)                                                                                       \
    X(2, mul, ints, r = (T)((U)a * (U)b);)                                                                             \
    X(2, mul, floats, r = a * b;)                                                                                      \
    X(2, div, floats, r = a / b;)                                                                                      \
    X(2, floor_div, ints, if (b == 0) r = 0; else if (!(b > 0) && b == (T)-1) r = (T)((U)0 - (U)a);                    \
      else r = (T)(a / b - (a % b != 0 && (a < 0) != (b < 0)));)                                                       \
    X(2, floor_div, floats, T m = fmod(a, b); T q = (a - m) / b;                                                       \
      if (m != 0 && (b < 0) != (m < 0)) q -= 1;                                                                        \
      T f = floor(q); if (q - f > (T)0.5) f += 1;                                                                      \
      r = b == 0 ? a / b : q != 0 ? f : copysign((T)0, a / b);)                                                        \
    X(2, mod, ints, if (b == 0 || (!(b > 0) && b == (T)-1)) r = 0;                                                     \
      else { r = (T)(a % b); if (r != 0 && (r < 0) != (b < 0)) r = (T)(r + b); })                                      \
    X(2, mod, floats, T m = fmod(a, b);                                                                                \
      r = b == 0 || m != m ? m : m == 0 ? copysign((T)0, b) : (b < 0) != (m < 0) ? m + b : m;)                         \
    X(2, pow, ints, U p = 1; U s = (U)a; T e = b;                                                                      \
      if (e < 0) p = a == 1 ? 1 : a == (T)-1 ? (e % 2 != 0 ? (U)a : 1) : 0;                                            \
      else for (; e != 0; e = (T)(e / 2)) { if (e % 2 != 0) p *= s; s *= s; }                                          \
      r = (T)p;)                                                                                                       \
    X(2, pow, floats, r = pow(a, b);)                                                                                  \
    X(2, minimum, whole, r = a < b ? a : b;)                                                                           \
    X(2, minimum, floats, r = ((a < b) | (a != a)) ? a : b;)                                                           \
    X(2, maximum, whole, r = a > b ? a : b;)                                                                           \
    X(2, maximum, floats, r = ((a > b) | (a != a)) ? a : b;)                                                           \
    X(1, neg, ints, r = (T)((U)0 - (U)a);)                                                                             \
    X(1, neg, floats, r = -a;)                                                                                         \
    X(1, sign, ints, r = (T)((a > 0) - (a < 0));)                                                                      \
    X(1, sign, floats, r = a > 0 ? 1 : a < 0 ? -1 : a == 0 ? 0 : a;)                                                   \
    X(1, abs, bools, r = a;)                                                                                           \
    X(1, abs, ints, r = a < 0 ? (T)((U)0 - (U)a) : a;)                                                                 \
    X(1, abs, floats, r = fabs(a);)                                                                                    \
    X(P2, eq, all, r = a == b;)                                                                                        \
    X(P2, ne, all, r = a != b;)                                                                                        \
    X(P2, lt, all, r = a < b;)                                                                                         \
    X(P2, le, all, r = a <= b;)                                                                                        \
    X(P2, gt, all, r = a > b;)                                                                                         \
    X(P2, ge, all, r = a >= b;)                                                                                        \
    X(P2, logical_and, bools, r = a & b;)                                                                              \
    X(P2, logical_or, bools, r = a | b;)                                                                               \
    X(P2, logical_xor, bools, r = a ^ b;)                                                                              \
    X(P1, logical_not, bools, r = !a;)                                                                                 \
    X(2, bit_and, whole, r = a & b;)                                                                                   \
    X(2, bit_or, whole, r = a | b;)                                                                                    \
    X(2, bit_xor, whole, r = a ^ b;)                                                                                   \
    X(1, bit_not, bools, r = !a;)                                                                                      \
    X(1, bit_not, ints, r = (T)~a;)                                                                                    \
    X(2, shl, ints, r = (u64)b < sizeof(T) * 8 ? (T)((U)a << b) : 0;)                                                  \
    X(2, shr, ints, r = (u64)b < sizeof(T) * 8 ? (T)(a >> b) : a < 0 ? (T)-1 : 0;)                                     \
    X(1, sin, floats, r = sin(a);)                                                                                     \
    X(1, cos, floats, r = cos(a);)                                                                                     \
    X(1, tan, floats, r = tan(a);)                                                                                     \
    X(1, asin, floats, r = asin(a);)                                                                                   \
    X(1, acos, floats, r = acos(a);)                                                                                   \
    X(1, atan, floats, r = atan(a);)                                                                                   \
    X(1, sinh, floats, r = sinh(a);)                                                                                   \
    X(1, cosh, floats, r = cosh(a);)                                                                                   \
    X(1, tanh, floats, r = tanh(a);)                                                                                   \
    X(1, asinh, floats, r = asinh(a);)                                                                                 \
    X(1, acosh, floats, r = acosh(a);)                                                                                 \
    X(1, atanh, floats, r = atanh(a);)                                                                                 \
    X(1, exp, floats, r = exp(a);)                                                                                     \
    X(1, exp2, floats, r = exp2(a);)                                                                                   \
    X(1, expm1, floats, r = expm1(a);)                                                                                 \
    X(1, log, floats, r = log(a);)                                                                                     \
    X(1, log2, floats, r = log2(a);)                                                                                   \
    X(1, log10, floats, r = log10(a);)                                                                                 \
    X(1, log1p, floats, r = log1p(a);)                                                                                 \
    X(1, sqrt, floats, r = sqrt(a);)                                                                                   \
    X(1, cbrt, floats, r = cbrt(a);)                                                                                   \
    X(1, rsqrt, floats, r = 1 / sqrt(a);)                                                                              \
    X(2, atan2, floats, r = atan2(a, b);)                                                                              \
    X(2, hypot, floats, r = hypot(a, b);)                                                                              \
    X(2, copysign, floats, r = copysign(a, b);)                                                                        \
    X(2, fmod, floats, r = fmod(a, b);)                                                                                \
    X(P1, isnan, floats, r = a != a;)                                                                                  \
    X(P1, isinf, floats, r = a == a && a - a != 0;)                                                                    \
    X(P1, isfinite, floats, r = a - a == 0;)                                                                           \
    X(1, floor, whole, r = a;)                                                                                         \
    X(1, floor, floats, r = floor(a);)                                                                                 \
    X(1, ceil, whole, r = a;)                                                                                          \
    X(1, ceil, floats, r = ceil(a);)                                                                                   \
    X(1, round, whole, r = a;)                                                                                         \
    X(1, round, floats, r = rint(a);)                                                                                  \
    X(1, trunc, whole, r = a;)                                                                                         \
    X(1, trunc, floats, r = trunc(a);)                                                                                 \
    X(3, fma, floats, r = fma(a, b, c);)                                                                               \
    X(3, clip, whole, T t = a > b ? a : b; r = t < c ? t : c;)                                                         \
    X(3, clip, floats, T t = ((a > b) | (a != a)) ? a : b; r = ((t < c) | (t != t)) ? t : c;)                          \
    X(W, where, all, r = a ? b : c;)                                                                                   \
    X(2, arange, ints, r = (T)((U)a + (U)b * (U)i);)                                                                   \
    X(2, arange, floats, r = a + b * (T)i;)                                                                            \
    X(P2, eye, longs, r = i % a - i / a == b;)                                                                         \
    X(1, sortable, floats, r = a != a ? fabs(a) : a;)                                                                  \
    X(1, canonical, floats, r = a != a ? fabs(sqrt((T)-1)) : a == 0 ? 0 : a;)

/* Conversions: from v, of type S, they set r, of type T. Floats to integers: LOW and HIGH are T's least and largest as S. */
#define YK_CAST_PLAIN(X) X(r = (T)v;)
#define YK_CAST_BOOL(X) X(r = v != 0;)
#define YK_CAST_WHOLE(X) X(r = v != v ? 0 : v <= (S)LOW ? LOW : v >= (S)HIGH ? HIGH : (T)v;)

/* Kinds of types. M(code, T, U, ...) for each. */
#define YK_EACH_bools(M, ...) M(BOOL, uint8_t, uint32_t, __VA_ARGS__)
#define YK_EACH_ints(M, ...)                                                                                           \
    M(I8, int8_t, uint32_t, __VA_ARGS__)                                                                               \
    M(I16, int16_t, uint32_t, __VA_ARGS__)                                                                             \
    M(I32, int32_t, uint32_t, __VA_ARGS__)                                                                             \
    M(I64, int64_t, uint64_t, __VA_ARGS__)                                                                             \
    M(U8, uint8_t, uint32_t, __VA_ARGS__)                                                                              \
    M(U16, uint16_t, uint32_t, __VA_ARGS__)                                                                            \
    M(U32, uint32_t, uint32_t, __VA_ARGS__)                                                                            \
    M(U64, uint64_t, uint64_t, __VA_ARGS__)
#define YK_EACH_longs(M, ...) M(I64, int64_t, uint64_t, __VA_ARGS__)
#define YK_EACH_floats(M, ...)                                                                                         \
    M(F32, float, uint32_t, __VA_ARGS__)                                                                               \
    M(F64, double, uint64_t, __VA_ARGS__)
#define YK_EACH_whole(M, ...) YK_EACH_bools(M, __VA_ARGS__) YK_EACH_ints(M, __VA_ARGS__)
#define YK_EACH_all(M, ...) YK_EACH_whole(M, __VA_ARGS__) YK_EACH_floats(M, __VA_ARGS__)

#define YK_OP_ID(name, shown, arity, rule, result) YK_OP_##name,
enum { YK_OPS(YK_OP_ID) YK_OP_COUNT };

#endif
