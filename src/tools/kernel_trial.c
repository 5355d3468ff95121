/* kernel_trial: arguments for a kernel, made up from what its macro tells of them. A kernel may want more of its
 * arguments than it says, that a number is an index, for one. So there are several sorts of values, and the first
 * that it can live with is taken.
 *
 * A number that another array's length depends on is n itself, and less where that makes the array too large; of a
 * program, n groups' items. All values follow from a seed, the parameter and the place. */
#include "tools/kernel_check.h"
#include <stdlib.h>

static const size_t most_bytes = 32 << 20; /* of all arrays */

/* ---- Numbers ---- */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool is_real(unsigned code)
{
    return code == YOKE_F32 || code == YOKE_F64;
}

static bool is_unsigned(unsigned code)
{
    return code >= YOKE_U8 && code <= YOKE_U64;
}

static void put_real(unsigned code, double v, char *to)
{
    float f = (float)v;
    if (code == YOKE_F32)
        memcpy(to, &f, sizeof f);
    else
        memcpy(to, &v, sizeof v);
}

/* Little-endian, as every machine that yoke runs on. */
static void put_whole(unsigned size, int64_t v, char *to)
{
    memcpy(to, &v, size);
}

/* Sums and products of quarters come out the same in any order, so reductions and scans have them alone; others also
 * have thousandths, which make every product round. */
static double any_real(const yk_trial *t, uint64_t bits)
{
    bool ordered = t->k->form == YK_REDUCE_KERNEL || t->k->form == YK_SCAN_KERNEL;
    if (ordered || bits >> 63)
        return ((double)(bits % 33) - 16) / 4;
    return ((double)(bits % 20001) - 10000) / 1000;
}

static int64_t any_whole(unsigned code, uint64_t bits)
{
    if (code == YOKE_BOOL)
        return (int64_t)(bits & 1);
    return is_unsigned(code) ? (int64_t)(bits % 101) : (int64_t)(bits % 101) - 50;
}

/* limit: how long the arrays are. */
static int64_t place(unsigned code, unsigned size, bool is_value, size_t limit, uint64_t bits)
{
    size_t most = code == YOKE_BOOL ? 2 : size == 1 ? YK_MIN(limit, 128) : size == 2 ? YK_MIN(limit, 32768) : limit;
    if (!is_value)
        return (int64_t)(bits % most);
    return most > 1 ? 1 + (int64_t)(bits % (most - 1)) : 1;
}

static void put_number(const yk_trial *t, const yk_piece *p, bool is_value, size_t limit, uint64_t bits, char *to)
{
    if (t->sort == YK_ANY && is_real(p->code))
        put_real(p->code, any_real(t, bits), to);
    else if (t->sort == YK_ANY)
        put_whole(p->size, any_whole(p->code, bits), to);
    else if (t->sort == YK_PLACES && is_real(p->code))
        put_real(p->code, (double)(bits % (4 * YK_MIN(limit, 8))) / 4, to);
    else if (t->sort == YK_PLACES)
        put_whole(p->size, place(p->code, p->size, is_value, limit, bits), to);
    else if (is_real(p->code))
        put_real(p->code, t->sort == YK_ONES && is_value, to);
    else
        put_whole(p->size, t->sort == YK_ONES && is_value, to);
}

static void fill(const yk_trial *t, unsigned i, size_t count, size_t limit, char *to)
{
    const yk_layout *l = &t->layouts[i];
    uint64_t seed = mix(mix(mix(t->seed) + i) + (uint64_t)t->n);
    for (size_t e = 0; e < count; e++)
        for (unsigned p = 0; p < l->n; p++)
            put_number(t, &l->pieces[p], t->k->params[i].kind == YK_VAL, limit, mix(seed + e * YK_PIECES_MOST + p),
                       to + e * l->size + l->pieces[p].offset);
}

void yk_put_number(yk_buf *to, unsigned code, const void *number)
{
    union {
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
    } v = {.u64 = 0};
    static const unsigned sizes[] = {[YOKE_BOOL] = 1, [YOKE_I8] = 1, [YOKE_I16] = 2, [YOKE_I32] = 4, [YOKE_I64] = 8,
                                     [YOKE_U8] = 1, [YOKE_U16] = 2, [YOKE_U32] = 4, [YOKE_U64] = 8, [YOKE_F32] = 4,
                                     [YOKE_F64] = 8};
    memcpy(&v, number, sizes[code]);
    switch (code) {
    case YOKE_I8: yk_buf_printf(to, "%d", v.i8); break;
    case YOKE_I16: yk_buf_printf(to, "%d", v.i16); break;
    case YOKE_I32: yk_buf_printf(to, "%d", v.i32); break;
    case YOKE_I64: yk_buf_printf(to, "%lld", (long long)v.i64); break;
    case YOKE_F32: yk_buf_printf(to, "%.9g", (double)v.f32); break;
    case YOKE_F64: yk_buf_printf(to, "%.17g", v.f64); break;
    default: yk_buf_printf(to, "%llu", (unsigned long long)v.u64); break;
    }
}

/* ---- How long arrays are ---- */

/* Whether an array's length has this parameter in it. */
static bool is_count(const yoke_kernel *k, unsigned value)
{
    yk_token t;
    for (unsigned i = 0; i < k->nparams; i++)
        for (const char *p = k->params[i].kind == YK_VAL ? "" : k->params[i].count; yk_token_read(p, &t), t.kind != YK_TOKEN_END;
             p = t.at + t.len)
            if (t.kind == YK_TOKEN_NAME && yk_token_is(&t, k->params[value].name))
                return true;
    return false;
}

/* Numbers that are lengths; a struct has no such number, and keeps its values. */
static void set_counts(const yk_trial *t, long length)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        const yk_piece *p = &t->layouts[i].pieces[0];
        if (t->k->params[i].kind != YK_VAL || t->layouts[i].n != 1 || !is_count(t->k, i))
            continue;
        if (is_real(p->code))
            put_real(p->code, (double)length, t->args + t->k->params[i].at);
        else
            put_whole(p->size, length, t->args + t->k->params[i].at);
    }
}

static void ask_counts(void *arg)
{
    yk_trial *t = arg;
    t->k->counts(t->args, t->counts);
}

/* A program need not say how long an array is: one element for each item then. */
bool yk_trial_says_count(const yk_trial *t, unsigned i)
{
    return t->k->form != YK_GROUP_KERNEL || strcmp(t->k->params[i].count, "0") != 0;
}

/* Whether all arrays together are no larger than they may be. */
static bool fits(yk_trial *t)
{
    size_t bytes = 0;
    if (yk_guard_call(ask_counts, t).signal != 0)
        return false;
    for (unsigned i = 0; i < t->k->nparams; i++) {
        if (!yk_trial_is_array(t, i))
            t->counts[i] = 1;
        else if (!yk_trial_says_count(t, i))
            t->counts[i] = (size_t)t->n * t->k->extra->group;
        if (!yk_trial_is_array(t, i))
            continue;
        if (t->counts[i] > most_bytes || t->counts[i] * t->k->params[i].size > most_bytes - bytes)
            return false;
        bytes += yk_trial_bytes(t, i);
    }
    return true;
}

static int find_counts(yk_trial *t, yk_error *e)
{
    const yoke_kernel *k = t->k;
    const long whole = k->form == YK_GROUP_KERNEL ? t->n * (long)k->extra->group : t->n;
    const long lengths[] = {whole, YK_MIN(whole, 1024), YK_MIN(whole, 64), YK_MIN(whole, 16), YK_MIN(whole, 4), 1};
    for (size_t j = 0; j < YK_COUNT_OF(lengths); j++) {
        set_counts(t, lengths[j]);
        if (fits(t))
            return 0;
    }
    return yk_errorf(e, E2BIG, "what it says of the lengths of its arrays makes none of at most %zu MiB", most_bytes >> 20);
}

/* What an index can be at most: the length of the shortest array, and n. */
static size_t limit_of(const yk_trial *t)
{
    size_t limit = t->k->form == YK_GROUP_KERNEL ? SIZE_MAX : (size_t)t->n;
    for (unsigned i = 0; i < t->k->nparams; i++)
        if (yk_trial_is_array(t, i) && t->counts[i] > 0)
            limit = YK_MIN(limit, t->counts[i]);
    return YK_MIN(limit, most_bytes);
}

/* ---- All of it ---- */

static int find_layouts(yk_trial *t, yk_error *e)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        const yk_param *p = &t->k->params[i];
        if (p->code >= YOKE_BOOL && p->code <= YOKE_F64) { /* also by a name of the user's */
            t->layouts[i] = (yk_layout){.size = p->size, .align = p->size, .n = 1};
            t->layouts[i].pieces[0] = (yk_piece){.size = p->size, .code = p->code};
        } else if (!yk_layout_find(t->k, p->type, p->size, &t->layouts[i])) {
            return yk_errorf(e, ENOTSUP, "what is in %.40s, the type of %.40s, is not known: no plain struct of numbers in "
                             "YOKE_DEVICE_CODE before it", p->type, p->name);
        }
    }
    return 0;
}

static int make_array(yk_trial *t, unsigned i, size_t limit)
{
    size_t bytes = yk_trial_bytes(t, i);
    t->first[i] = yk_sys.calloc(YK_MAX(bytes, 1), 1);
    if (!t->first[i] || yk_guard_make(&t->arrays[i], bytes) < 0)
        return -ENOMEM;
    fill(t, i, t->counts[i], limit, t->first[i]);
    return 0;
}

int yk_trial_make(yk_trial *t, yk_error *e)
{
    const yoke_kernel *k = t->k;
    t->args = yk_args_alloc(k->args_size);
    if (!t->args)
        return yk_errorf(e, ENOMEM, "no memory");
    memcpy(t->args, &t->n, sizeof t->n);
    int err = find_layouts(t, e);
    for (unsigned i = 0; i < k->nparams && err == 0; i++)
        if (!yk_trial_is_array(t, i))
            fill(t, i, 1, (size_t)t->n, t->args + k->params[i].at);
    if (err == 0)
        err = find_counts(t, e);
    size_t limit = err == 0 ? limit_of(t) : 0;
    for (unsigned i = 0; i < k->nparams && err == 0; i++) {
        if (yk_trial_is_array(t, i))
            err = make_array(t, i, limit);
        else if (!is_count(k, i))
            fill(t, i, 1, limit, t->args + k->params[i].at);
    }
    return err == -ENOMEM ? yk_errorf(e, ENOMEM, "no memory") : err;
}

bool yk_trial_is_whole(const yk_trial *t, unsigned i)
{
    const yoke_kernel *k = t->k;
    bool of_call = false;
    yk_token w;
    if (k->params[i].kind != YK_OUT)
        return false;
    for (const char *p = k->params[i].count; yk_token_read(p, &w), w.kind != YK_TOKEN_END; p = w.at + w.len) {
        of_call |= yk_token_is(&w, k->form == YK_GROUP_KERNEL ? "groups" : "n");
        for (unsigned j = 0; j < k->nparams; j++)
            if (k->params[j].kind == YK_VAL && yk_token_is(&w, k->params[j].name))
                return false;
    }
    return of_call;
}

bool yk_trial_turn(yk_trial *t)
{
    bool any = false;
    for (unsigned i = 0; i < t->k->nparams; i++) {
        if (!yk_trial_is_whole(t, i))
            continue;
        for (size_t b = 0; b < yk_trial_bytes(t, i); b++)
            t->first[i][b] = (char)~t->first[i][b];
        any = true;
    }
    return any;
}

void yk_trial_done(yk_trial *t)
{
    for (unsigned i = 0; i < t->k->nparams; i++) {
        yk_guard_done(&t->arrays[i]);
        free(t->first[i]);
    }
    free(t->args);
}
