/* kernel_verdict: whether two runs of a kernel have given the same. Whole numbers are the same bit for bit;
 * floating-point numbers within some units in the last place (ulp), none for a body of + - * alone, since nothing is
 * contracted to an fma(). Two NaN are the same, and so are 0 and -0. */
#include "tools/kernel_check.h"
#include <math.h>
#include <stdlib.h>

/* ---- What a text tells ---- */

/* Calls, and words that stand before a parenthesis, that round nothing. */
static const char *const exact_words[] = {
    "if", "for", "while", "switch", "return", "sizeof", "else", "fabs", "fmin", "fmax", "floor", "ceil",
    "trunc", "rint", "fma", "copysign", "abs", "min", "max", "isnan", "isinf", "signbit", "ldexp",
    "yoke_lesser", "yoke_greater", "yoke_clamp", "yoke_as_uint", "yoke_as_float", "yoke_as_ulong",
    "yoke_as_double", "yoke_popcount", "yoke_clz", "yoke_ctz", "YOKE_ITEMS", "YOKE_SHARED",
    "YOKE_DEVICE_CODE", "printf", "fmaf", "fabsf", "fminf", "fmaxf", "floorf", "ceilf", "truncf", "rintf"};

static bool begins(const yk_token *t, const char *with)
{
    return t->len >= strlen(with) && memcmp(t->at, with, strlen(with)) == 0;
}

static bool is_exact_word(const yk_token *t)
{
    for (size_t i = 0; i < YK_COUNT_OF(exact_words); i++)
        if (yk_token_is(t, exact_words[i]))
            return true;
    return false;
}

/* Whether the device code defines it: a type's name stands before its own. What it does is then read there. */
static bool is_own_function(const yoke_kernel *k, const yk_token *name)
{
    const yk_device_code *c = NULL;
    while ((c = yk_device_code_after(k, c))) {
        yk_token t, before = {YK_TOKEN_SIGN, ";", 1};
        for (const char *p = c->text; yk_token_read(p, &t), t.kind != YK_TOKEN_END; p = t.at + t.len) {
            if (t.len == name->len && memcmp(t.at, name->at, t.len) == 0 && before.kind == YK_TOKEN_NAME
                && !yk_token_is(&before, "return") && !yk_token_is(&before, "else"))
                return true;
            before = t;
        }
    }
    return false;
}

/* Adding, and whatever else comes out the same in any order, is no matter unless somebody looks at what was there
 * before: the call is a whole statement then. */
static void look_at_atomic(const yk_token *before, const yk_token *t, yk_habits *h)
{
    static const char *const orderless[] = {"yoke_atomic_add", "yoke_atomic_sub", "yoke_atomic_and", "yoke_atomic_or",
                                            "yoke_atomic_xor", "yoke_atomic_min", "yoke_atomic_max"};
    bool statement = yk_token_is(before, ";") || yk_token_is(before, "{") || yk_token_is(before, "}") || yk_token_is(before, ")")
                     || yk_token_is(before, "else");
    if (yk_token_is(t, "yoke_atomic_addf")) {
        h->exact = false;
        return;
    }
    for (size_t i = 0; i < YK_COUNT_OF(orderless) && statement; i++)
        if (yk_token_is(t, orderless[i]))
            return;
    h->order = t->at;
}

static void read_habits(const yoke_kernel *k, const char *text, yk_habits *h)
{
    yk_token t, after, before = {YK_TOKEN_SIGN, ";", 1};
    for (const char *p = text ? text : ""; yk_token_read(p, &t), t.kind != YK_TOKEN_END; p = t.at + t.len) {
        yk_token_read(t.at + t.len, &after);
        h->narrow |= yk_token_is(&t, "float") || (t.kind == YK_TOKEN_NUMBER && (t.at[t.len - 1] | 32) == 'f');
        if (begins(&t, "yoke_atomic_"))
            look_at_atomic(&before, &t, h);
        else if (begins(&t, "yoke_fast_"))
            h->fast = true;
        else if (yk_token_is(&t, "/") || yk_token_is(&t, "/=")
                 || (t.kind == YK_TOKEN_NAME && yk_token_is(&after, "(") && !is_exact_word(&t) && !is_own_function(k, &t)))
            h->exact = false;
        before = t;
    }
}

void yk_habits_find(const yoke_kernel *k, yk_habits *ret)
{
    const yk_device_code *c = NULL;
    *ret = (yk_habits){.exact = k->form == YK_MAP_KERNEL || k->form == YK_GROUP_KERNEL};
    for (size_t i = 0; i < YK_COUNT_OF(k->texts); i++)
        read_habits(k, k->texts[i], ret);
    for (unsigned i = 0; i < k->nparams; i++)
        ret->narrow |= k->params[i].code == YOKE_F32;
    while ((c = yk_device_code_after(k, c)))
        read_habits(k, c->text, ret);
}

/* ---- Numbers ---- */

static bool is_real(unsigned code)
{
    return code == YOKE_F32 || code == YOKE_F64;
}

static double real_of(unsigned code, const char *p)
{
    float f;
    double d;
    if (code == YOKE_F32) {
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    memcpy(&d, p, sizeof d);
    return d;
}

/* The numbers of a type in a row: neighbours are 1 apart, 0 and -0 are one. */
static int64_t rank(unsigned code, const char *p)
{
    int32_t narrow;
    int64_t wide;
    if (code == YOKE_F32) {
        memcpy(&narrow, p, sizeof narrow);
        return narrow < 0 ? -(int64_t)(narrow & INT32_MAX) : narrow;
    }
    memcpy(&wide, p, sizeof wide);
    return wide < 0 ? -(wide & INT64_MAX) : wide;
}

/* Units in the last place; UINT64_MAX when one of them is no number. */
static uint64_t distance(unsigned code, const char *a, const char *b)
{
    bool nan_a = isnan(real_of(code, a)), nan_b = isnan(real_of(code, b));
    if (nan_a || nan_b)
        return nan_a && nan_b ? 0 : UINT64_MAX;
    int64_t x = rank(code, a), y = rank(code, b);
    return x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x;
}

/* By how much the ways on the CPU differ here. */
static double spread(unsigned code, const char *const at[YK_WAYS])
{
    double most = 0, first = real_of(code, at[0]);
    for (int w = 1; w < YK_WAYS; w++) {
        double by = fabs(real_of(code, at[w]) - first);
        most = by > most ? by : most;
    }
    return most;
}

/* ---- Walking through outcomes ---- */

typedef struct walk {
    const yk_trial *t;
    yk_outcome *const *ways;
    const yk_outcome *other; /* NULL: the ways among themselves */
    uint64_t most;
    bool narrow;
    yk_buf *why;
    size_t differing;
} walk;

/* Of a double, as many units of a float where it may come from one. */
static uint64_t most_of(const walk *w, unsigned code)
{
    return code == YOKE_F64 && w->narrow ? w->most << (DBL_MANT_DIG - FLT_MANT_DIG) : w->most;
}

static void put_distance(const walk *w, unsigned code, const char *here, const char *other)
{
    uint64_t far = distance(code, here, other);
    if (far == UINT64_MAX)
        yk_buf_text(w->why, ": one is no number");
    else
        yk_buf_printf(w->why, ": %llu ulp apart, %llu allowed", (unsigned long long)far,
                      (unsigned long long)most_of(w, code));
}

/* What element e of a map was made of: " (a = 2, x[3] = 1.5)". */
static void put_inputs(const walk *w, size_t e)
{
    const yk_trial *t = w->t;
    const char *separator = " (";
    for (unsigned i = 0; i < t->k->nparams; i++) {
        const yk_param *p = &t->k->params[i];
        if (t->layouts[i].n != 1 || (yk_trial_is_array(t, i) && (t->k->form == YK_GROUP_KERNEL || t->counts[i] != (size_t)t->n)))
            continue;
        const char *at = yk_trial_is_array(t, i) ? t->first[i] + e * p->size : t->args + p->at;
        if (p->kind == YK_OUT)
            continue;
        yk_buf_printf(w->why, "%s%s", separator, p->name);
        if (yk_trial_is_array(t, i))
            yk_buf_printf(w->why, "[%zu]%s", e, p->kind == YK_INOUT ? " before" : "");
        yk_buf_text(w->why, " = ");
        yk_put_number(w->why, t->layouts[i].pieces[0].code, at);
        separator = ", ";
    }
    if (separator[0] == ',')
        yk_buf_text(w->why, ")");
}

static void put_difference(walk *w, const char *name, size_t e, bool is_array, const yk_piece *p, const char *here,
                           const char *other)
{
    yk_buf_text(w->why, name);
    if (is_array)
        yk_buf_printf(w->why, "[%zu]", e);
    yk_buf_text(w->why, p->name);
    if (!w->other) {
        yk_buf_text(w->why, " depends on the order in which elements are done: it is ");
        yk_put_number(w->why, p->code, here);
        yk_buf_text(w->why, " or ");
        yk_put_number(w->why, p->code, other);
        return;
    }
    yk_buf_text(w->why, " is ");
    yk_put_number(w->why, p->code, other);
    yk_buf_text(w->why, ", and on the CPU ");
    yk_put_number(w->why, p->code, here);
    if (is_real(p->code))
        put_distance(w, p->code, here, other);
    if (is_array)
        put_inputs(w, e);
}

/* More than rounding: such numbers were not computed from the same. Sums of numbers near 1 may cancel to almost
 * nothing. */
static bool is_gross(const walk *w, const yk_piece *p, const char *a, const char *b)
{
    double x = real_of(p->code, a), y = real_of(p->code, b), ordered = w->t->k->form == YK_MAP_KERNEL ? 0 : 1;
    if (isnan(x) || isnan(y))
        return isnan(x) != isnan(y);
    return distance(p->code, a, b) > most_of(w, p->code) && fabs(x - y) > 0.01 * (fmax(fabs(x), fabs(y)) + ordered);
}

static bool differs_here(const walk *w, const yk_piece *p, const char *const at[YK_WAYS], const char *other)
{
    if (!is_real(p->code))
        return memcmp(at[0], other, p->size) != 0;
    if (!w->other)
        return is_gross(w, p, at[0], other);
    if (distance(p->code, at[0], other) <= most_of(w, p->code))
        return false;
    double by = fabs(real_of(p->code, at[0]) - real_of(p->code, other));
    return !(by <= 8 * spread(p->code, at));
}

static void look_at_element(walk *w, const yk_layout *l, const char *name, size_t e, bool is_array, const char *const at[YK_WAYS],
                            const char *other)
{
    for (unsigned i = 0; i < l->n; i++) {
        const yk_piece *p = &l->pieces[i];
        const char *here[YK_WAYS];
        for (int way = 0; way < YK_WAYS; way++)
            here[way] = at[way] + p->offset;
        if (!differs_here(w, p, here, other + p->offset))
            continue;
        if (w->differing++ == 0)
            put_difference(w, name, e, is_array, p, here[0], other + p->offset);
        return;
    }
}

static void look_at_array(walk *w, unsigned i, const yk_outcome *other)
{
    for (size_t e = 0; e < w->t->counts[i]; e++) {
        size_t offset = e * w->t->k->params[i].size;
        const char *at[YK_WAYS];
        for (int way = 0; way < YK_WAYS; way++)
            at[way] = w->ways[way]->arrays[i] + offset;
        look_at_element(w, &w->t->layouts[i], w->t->k->params[i].name, e, true, at, other->arrays[i] + offset);
    }
}

static bool look(walk *w, const yk_outcome *other)
{
    const yoke_kernel *k = w->t->k;
    yk_layout result;
    for (unsigned i = 0; i < k->nparams; i++)
        if (other->arrays[i])
            look_at_array(w, i, other);
    if (k->form == YK_REDUCE_KERNEL && yk_layout_find(k, k->extra->type, (unsigned)k->extra->size, &result)) {
        const char *at[YK_WAYS];
        for (int way = 0; way < YK_WAYS; way++)
            at[way] = w->ways[way]->result;
        look_at_element(w, &result, "the result", 0, false, at, other->result);
    }
    if (w->differing > 1)
        yk_buf_printf(w->why, "; so do %zu more", w->differing - 1);
    return w->differing > 0;
}

bool yk_differs_by_order(const yk_trial *t, yk_outcome *const ways[YK_WAYS], yk_buf *why)
{
    walk w = {.t = t, .ways = ways, .why = why, .most = 64};
    for (int way = 1; way < YK_WAYS; way++)
        if (look(&w, ways[way]))
            return true;
    return false;
}

/* first: what was there before y; before x it was turned. */
static bool is_kept(const char *first, const char *x, const char *y, size_t size)
{
    for (size_t b = 0; b < size; b++)
        if (y[b] != first[b] || x[b] != (char)~first[b])
            return false;
    return true;
}

static bool look_through(const yk_trial *t, unsigned i, const yk_outcome *a, const yk_outcome *b, yk_buf *why)
{
    const yk_layout *l = &t->layouts[i];
    for (size_t e = 0; e < t->counts[i]; e++)
        for (unsigned j = 0; j < l->n; j++) {
            const yk_piece *p = &l->pieces[j];
            size_t at = e * t->k->params[i].size + p->offset;
            const char *x = a->arrays[i] + at, *y = b->arrays[i] + at;
            if (memcmp(x, y, p->size) == 0 || (is_real(p->code) && distance(p->code, x, y) == 0))
                continue;
            const char *what = is_kept(t->first[i] + at, x, y, p->size)
                ? "is not written: an out array is written whole; make it inout"
                : "depends on what was in an out array before; make the one that is read inout";
            yk_buf_printf(why, "%s[%zu]%s %s", t->k->params[i].name, e, p->name, what);
            return true;
        }
    return false;
}

bool yk_shows_through(const yk_trial *t, const yk_outcome *a, const yk_outcome *b, yk_buf *why)
{
    for (unsigned i = 0; i < t->k->nparams; i++)
        if (yk_trial_is_whole(t, i) && look_through(t, i, a, b, why))
            return true;
    return false;
}

bool yk_differs(const yk_trial *t, yk_outcome *const ways[YK_WAYS], const yk_outcome *other, const yk_habits *h, uint64_t ulp,
                yk_buf *why)
{
    walk w = {.t = t, .ways = ways, .other = other, .most = h->exact ? 0 : ulp, .narrow = h->narrow, .why = why};
    return look(&w, other);
}
