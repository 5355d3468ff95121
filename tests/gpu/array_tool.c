/* array_tool DEVICE: does with arrays what its input says, for tests that compare with numpy. A line is
 *
 *     NAME = OPERATION ARGUMENT...
 *
 * An argument is the name of an array, #2 or #2.5 (a yoke_number()), a type as "f32", numbers with commas between ("0,-1",
 * "all", "none"), or text. "save ARRAY PATH", "free ARRAY". The answer to each line is "ok" with the result's type and shape,
 * or "error " with what yoke_device_error() says. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

enum { WORDS = 10, NAMES = 200 };

static yoke_device *dev;
static yoke_stream *stream;
static struct {
    char name[24];
    yoke_array *a;
} names[NAMES];
static yoke_array numbers[WORDS];

static yoke_array **named(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (!names[i].name[0] || strcmp(names[i].name, name) == 0) {
            snprintf(names[i].name, sizeof names[i].name, "%s", name);
            return &names[i].a;
        }
    abort();
}

static double number(const char *text)
{
    return text ? strtod(text, NULL) : 0;
}

/* The i-th word as an operand. */
static const yoke_array *operand(char **word, int i)
{
    const char *text = word[i];
    if (!text)
        return NULL;
    if (*text != '#')
        return *named(text);
    if (strpbrk(text, ".enNI"))
        numbers[i] = *yoke_number(number(text + 1));
    else if (text[1] == '-')
        numbers[i] = *yoke_number(strtoll(text + 1, NULL, 10));
    else
        numbers[i] = *yoke_number(strtoull(text + 1, NULL, 10));
    return &numbers[i];
}

static yoke_dims dims(const char *text)
{
    yoke_dims d = YOKE_NO_DIMS;
    if (!text || strcmp(text, "none") == 0)
        return d;
    if (strcmp(text, "all") == 0)
        return YOKE_ALL_AXES;
    while (*text && d.count < YOKE_DIMS) {
        char *end;
        d.at[d.count++] = strtol(text, &end, 10);
        text = *end ? end + 1 : end;
    }
    return d;
}

static ptrdiff_t whole(const char *text)
{
    return !text || strcmp(text, "none") == 0 ? YOKE_END : strtol(text, NULL, 10);
}

static unsigned type_of(const char *text)
{
    for (unsigned t = YOKE_BOOL; t <= YOKE_F64; t++)
        if (text && strcmp(yoke_array_type_name(t), text) == 0)
            return t;
    return 99;
}

#define UNARY_OPS(X)                                                                                                   \
    X(neg) X(sign) X(abs) X(logical_not) X(bit_not) X(sin) X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh)       \
    X(tanh) X(asinh) X(acosh) X(atanh) X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sqrt) X(cbrt)        \
    X(rsqrt) X(isnan) X(isinf) X(isfinite) X(floor) X(ceil) X(round) X(trunc) X(copy) X(flat) X(empty_like)            \
    X(zeros_like) X(unique) X(nonzero)
#define BINARY_OPS(X)                                                                                                  \
    X(add) X(sub) X(mul) X(div) X(floor_div) X(mod) X(pow) X(minimum) X(maximum) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)   \
    X(logical_and) X(logical_or) X(logical_xor) X(bit_and) X(bit_or) X(bit_xor) X(shl) X(shr) X(atan2) X(hypot)        \
    X(copysign) X(fmod) X(matmul) X(select)
#define TERNARY_OPS(X) X(fma) X(clip) X(where)
#define ALONG(X) X(cumsum) X(cumprod) X(diff) X(sort) X(argsort)
#define REDUCTIONS(X) X(sum) X(prod) X(min) X(max) X(any) X(all) X(argmin) X(argmax) X(mean)
#define SHAPES(X) X(transpose) X(reshape) X(squeeze) X(broadcast) X(flip)

static yoke_array *other(const char *op, char **w)
{
    if (strcmp(op, "load") == 0)
        return yoke_array_load(stream, w[0]);
    if (strcmp(op, "var") == 0)
        return yoke_array_var(operand(w, 0), dims(w[1]), whole(w[2]), number(w[3]));
    if (strcmp(op, "std") == 0)
        return yoke_array_std(operand(w, 0), dims(w[1]), whole(w[2]), number(w[3]));
    if (strcmp(op, "take") == 0)
        return yoke_array_take(operand(w, 0), operand(w, 1), whole(w[2]));
    if (strcmp(op, "repeat") == 0)
        return yoke_array_repeat(operand(w, 0), (size_t)whole(w[1]), whole(w[2]));
    if (strcmp(op, "concatenate") == 0 || strcmp(op, "stack") == 0) {
        const yoke_array *all[WORDS];
        size_t n = 0;
        for (; w[n + 1]; n++)
            all[n] = operand(w, (int)n + 1);
        return op[0] == 'c' ? yoke_array_concatenate(all, n, whole(w[0])) : yoke_array_stack(all, n, whole(w[0]));
    }
    if (strcmp(op, "slice") == 0)
        return yoke_array_slice(operand(w, 0), whole(w[1]), whole(w[2]), whole(w[3]), whole(w[4]));
    if (strcmp(op, "index") == 0)
        return yoke_array_index(operand(w, 0), whole(w[1]), whole(w[2]));
    if (strcmp(op, "expand") == 0)
        return yoke_array_expand(operand(w, 0), whole(w[1]));
    if (strcmp(op, "astype") == 0)
        return yoke_array_astype(operand(w, 0), type_of(w[1]));
    if (strcmp(op, "zeros") == 0)
        return yoke_array_zeros(stream, type_of(w[0]), dims(w[1]));
    if (strcmp(op, "ones") == 0)
        return yoke_array_ones(stream, type_of(w[0]), dims(w[1]));
    if (strcmp(op, "full") == 0)
        return yoke_array_full(stream, type_of(w[0]), dims(w[1]), operand(w, 2));
    if (strcmp(op, "arange") == 0)
        return yoke_array_arange(stream, type_of(w[0]), number(w[1]), number(w[2]), number(w[3]));
    if (strcmp(op, "linspace") == 0)
        return yoke_array_linspace(stream, type_of(w[0]), number(w[1]), number(w[2]), strtoul(w[3], NULL, 10));
    if (strcmp(op, "eye") == 0)
        return yoke_array_eye(stream, type_of(w[0]), strtoul(w[1], NULL, 10), strtoul(w[2], NULL, 10), whole(w[3]));
    abort();
}

static yoke_array *run(const char *op, char **w)
{
#define UNARY_RUN(name)                                                                                                \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0));
#define BINARY_RUN(name)                                                                                               \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0), operand(w, 1));
#define TERNARY_RUN(name)                                                                                              \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0), operand(w, 1), operand(w, 2));
#define REDUCTION_RUN(name)                                                                                            \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0), dims(w[1]), whole(w[2]));
#define SHAPE_RUN(name)                                                                                                \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0), dims(w[1]));
#define ALONG_RUN(name)                                                                                                \
    if (strcmp(op, #name) == 0)                                                                                        \
        return yoke_array_##name(operand(w, 0), whole(w[1]));
    UNARY_OPS(UNARY_RUN)
    BINARY_OPS(BINARY_RUN)
    TERNARY_OPS(TERNARY_RUN)
    REDUCTIONS(REDUCTION_RUN)
    SHAPES(SHAPE_RUN)
    ALONG(ALONG_RUN)
    return other(op, w);
}

/* A statement: 0 or a negative code; *ret is what it made, if anything. */
static int statement(char **w, int n, yoke_array **ret)
{
    if (n == 3 && strcmp(w[0], "save") == 0)
        return yoke_array_save(operand(w, 1), w[2]);
    if (n == 3 && strcmp(w[0], "assign") == 0)
        return yoke_array_assign(*named(w[1]), operand(w, 2));
    if (n == 5 && strcmp(w[0], "put") == 0)
        return yoke_array_put(*named(w[1]), operand(w, 2), whole(w[3]), operand(w, 4));
    if (n == 2 && strcmp(w[0], "free") == 0) {
        yoke_array_free(*named(w[1]));
        *named(w[1]) = NULL;
        return 0;
    }
    if (n < 3 || strcmp(w[1], "=") != 0)
        abort();
    yoke_array **to = named(w[0]), *a = run(w[2], w + 3);
    yoke_array_free(*to);
    *ret = *to = a;
    return a ? 0 : -1;
}

int main(int argc, char **argv)
{
    char line[1000];
    dev = yoke_device_open(argc > 1 ? argv[1] : NULL);
    stream = yoke_stream_open(dev);
    if (!stream) {
        printf("error %s\n", yoke_device_error(dev));
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        char *w[WORDS + 4] = {NULL}, *rest = line;
        int n = 0;
        while (n < WORDS && (w[n] = strtok_r(rest, " \n", &rest)))
            n++;
        yoke_array *made = NULL;
        if (statement(w, n, &made) < 0) {
            printf("error %s\n", yoke_device_error(dev));
            yoke_stream_wait(stream); /* or its close would tell it again */
        } else if (made) {
            printf("ok %s", yoke_array_type_name(made->type));
            for (size_t d = 0; d < made->ndim; d++)
                printf(" %zu", made->shape[d]);
            printf("\n");
        } else {
            printf("ok\n");
        }
        fflush(stdout);
    }
    for (int i = 0; i < NAMES; i++)
        yoke_array_free(names[i].a);
    return yoke_stream_close(stream) < 0 || yoke_device_close(dev) < 0;
}
