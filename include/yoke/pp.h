/* yoke/pp.h - counting and mapping over macro arguments, for yoke's own headers.
 *
 * At most 16 items; a 17th selects the word TOO_MANY, so that the caller of the macro can turn it into a readable
 * assertion. Nothing here is part of the public interface. The numbered families are mechanical.
 */
#ifndef YOKE_PP_H
#define YOKE_PP_H
#pragma GCC system_header

#define YK_CAT(a, b) YK_CAT_(a, b)
#define YK_CAT_(a, b) a##b
#define YK_TEXT(...) YK_TEXT_(__VA_ARGS__)
#define YK_TEXT_(...) #__VA_ARGS__
#define YK_UNWRAP(...) __VA_ARGS__
#define YK_DROP(...)
/* m(...), once the arguments have been expanded. */
#define YK_APPLY(m, ...) m(__VA_ARGS__)

/* How many arguments follow the first: 0 to 16, or TOO_MANY (17 to 24). */
#define YK_AFTER_FIRST(...)                                                                                            \
    YK_PICK(__VA_ARGS__, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, 16, 15, 14,   \
            13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
/* 1 when anything follows the first argument, else 0 (or TOO_MANY). */
#define YK_HAS_MORE(...)                                                                                               \
    YK_PICK(__VA_ARGS__, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, TOO_MANY, 1, 1, 1, 1,   \
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, ~)
#define YK_PICK(first, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, \
                a22, a23, a24, n, ...)                                                                                 \
    n
#define YK_COUNT(...) YK_AFTER_FIRST(~, __VA_ARGS__)

/* YK_MAP(m, c, sep, x, y, z) is m(c, x) sep() m(c, y) sep() m(c, z). */
#define YK_MAP(m, c, s, ...) YK_CAT(YK_MAP_, YK_COUNT(__VA_ARGS__))(m, c, s, __VA_ARGS__)
#define YK_MAP_1(m, c, s, x) m(c, x)
#define YK_MAP_2(m, c, s, x, ...) m(c, x) s() YK_MAP_1(m, c, s, __VA_ARGS__)
#define YK_MAP_3(m, c, s, x, ...) m(c, x) s() YK_MAP_2(m, c, s, __VA_ARGS__)
#define YK_MAP_4(m, c, s, x, ...) m(c, x) s() YK_MAP_3(m, c, s, __VA_ARGS__)
#define YK_MAP_5(m, c, s, x, ...) m(c, x) s() YK_MAP_4(m, c, s, __VA_ARGS__)
#define YK_MAP_6(m, c, s, x, ...) m(c, x) s() YK_MAP_5(m, c, s, __VA_ARGS__)
#define YK_MAP_7(m, c, s, x, ...) m(c, x) s() YK_MAP_6(m, c, s, __VA_ARGS__)
#define YK_MAP_8(m, c, s, x, ...) m(c, x) s() YK_MAP_7(m, c, s, __VA_ARGS__)
#define YK_MAP_9(m, c, s, x, ...) m(c, x) s() YK_MAP_8(m, c, s, __VA_ARGS__)
#define YK_MAP_10(m, c, s, x, ...) m(c, x) s() YK_MAP_9(m, c, s, __VA_ARGS__)
#define YK_MAP_11(m, c, s, x, ...) m(c, x) s() YK_MAP_10(m, c, s, __VA_ARGS__)
#define YK_MAP_12(m, c, s, x, ...) m(c, x) s() YK_MAP_11(m, c, s, __VA_ARGS__)
#define YK_MAP_13(m, c, s, x, ...) m(c, x) s() YK_MAP_12(m, c, s, __VA_ARGS__)
#define YK_MAP_14(m, c, s, x, ...) m(c, x) s() YK_MAP_13(m, c, s, __VA_ARGS__)
#define YK_MAP_15(m, c, s, x, ...) m(c, x) s() YK_MAP_14(m, c, s, __VA_ARGS__)
#define YK_MAP_16(m, c, s, x, ...) m(c, x) s() YK_MAP_15(m, c, s, __VA_ARGS__)
#define YK_SEMICOLON() ;
#define YK_COMMA() ,
#define YK_NOTHING()

/* YK_ALL(t, x, y, z) is 1 when every t(x) is 1, else 0. */
#define YK_ALL(t, ...) YK_CAT(YK_ALL_, YK_COUNT(__VA_ARGS__))(t, __VA_ARGS__)
#define YK_ALL_1(t, x) t(x)
#define YK_ALL_2(t, x, ...) YK_AND(t(x), YK_ALL_1(t, __VA_ARGS__))
#define YK_ALL_3(t, x, ...) YK_AND(t(x), YK_ALL_2(t, __VA_ARGS__))
#define YK_ALL_4(t, x, ...) YK_AND(t(x), YK_ALL_3(t, __VA_ARGS__))
#define YK_ALL_5(t, x, ...) YK_AND(t(x), YK_ALL_4(t, __VA_ARGS__))
#define YK_ALL_6(t, x, ...) YK_AND(t(x), YK_ALL_5(t, __VA_ARGS__))
#define YK_ALL_7(t, x, ...) YK_AND(t(x), YK_ALL_6(t, __VA_ARGS__))
#define YK_ALL_8(t, x, ...) YK_AND(t(x), YK_ALL_7(t, __VA_ARGS__))
#define YK_ALL_9(t, x, ...) YK_AND(t(x), YK_ALL_8(t, __VA_ARGS__))
#define YK_ALL_10(t, x, ...) YK_AND(t(x), YK_ALL_9(t, __VA_ARGS__))
#define YK_ALL_11(t, x, ...) YK_AND(t(x), YK_ALL_10(t, __VA_ARGS__))
#define YK_ALL_12(t, x, ...) YK_AND(t(x), YK_ALL_11(t, __VA_ARGS__))
#define YK_ALL_13(t, x, ...) YK_AND(t(x), YK_ALL_12(t, __VA_ARGS__))
#define YK_ALL_14(t, x, ...) YK_AND(t(x), YK_ALL_13(t, __VA_ARGS__))
#define YK_ALL_15(t, x, ...) YK_AND(t(x), YK_ALL_14(t, __VA_ARGS__))
#define YK_ALL_16(t, x, ...) YK_AND(t(x), YK_ALL_15(t, __VA_ARGS__))
#define YK_AND(a, b) YK_CAT(YK_AND_, a)(b)
#define YK_AND_0(b) 0
#define YK_AND_1(b) b

/* YK_IF(1)(yes)(no) is yes; YK_IF(0)(yes)(no) is no. */
#define YK_IF(c) YK_CAT(YK_IF_, c)
#define YK_IF_1(...) __VA_ARGS__ YK_DROP
#define YK_IF_0(...) YK_UNWRAP

#define YK_SECOND(...) YK_SECOND_(__VA_ARGS__, ~)
#define YK_SECOND_(a, b, ...) b
/* 1 when T begins with the token void. Only the first token is pasted, so `const char *` is fine. */
#define YK_IS_VOID(T) YK_SECOND(YK_VOID_##T, 0)
#define YK_VOID_void ~, 1,
/* For those: what follows void, as text; "" when it is void alone. */
#define YK_VOID_REST(T) YK_THIRD_TEXT(YK_VOID_##T, ~)
#define YK_THIRD_TEXT(...) YK_THIRD_TEXT_(__VA_ARGS__)
#define YK_THIRD_TEXT_(a, b, c, ...) #c
/* 1 when p is a parenthesised list of two items or more. */
#define YK_IS_TUPLE(p) YK_CAT(YK_IS_TUPLE_, YK_SECOND(YK_PAREN p, 0))(p)
#define YK_PAREN(...) ~, 1
/* 1 when p begins with a parenthesis. */
#define YK_IS_IN_PAREN(p) YK_SECOND(YK_PAREN p, 0)
/* 1 for what can be a name: not nothing, not in parentheses, and no type before it (of those that are likely there). */
#define YK_IS_NAME(p) YK_CAT(YK_IS_NAME_, YK_IS_IN_PAREN(p))(p)
#define YK_IS_NAME_1(p) 0
#define YK_IS_NAME_0(p) YK_SECOND(YK_TYPED_##p, 1)
#define YK_TYPED_ ~, 0,
#define YK_TYPED_size_t ~, 0,
#define YK_TYPED_ssize_t ~, 0,
#define YK_TYPED_int ~, 0,
#define YK_TYPED_long ~, 0,
#define YK_TYPED_unsigned ~, 0,
#define YK_TYPED_float ~, 0,
#define YK_TYPED_double ~, 0,
#define YK_TYPED_const ~, 0,
#define YK_TYPED_struct ~, 0,
#define YK_IS_TUPLE_0(p) 0
#define YK_IS_TUPLE_1(p) YK_HAS_MORE p

#endif
