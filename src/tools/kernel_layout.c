/* kernel_layout: what numbers are in the elements of a kernel's arrays, so that they can be made up and compared one
 * by one. The compiler tells the sizes of types alone; the fields of structs are read from the YOKE_DEVICE_CODE of
 * the file, which is kept as text. That is no compiler: what is not understood (unions, pointers, bit-fields,
 * lengths that are no plain numbers) is given up, and so is what adds up to another size than the compiler's. */
#include "tools/kernel_check.h"
#include <stdlib.h>

typedef struct scalar {
    const char *name;
    unsigned code, size;
} scalar;

static const scalar scalars[] = {
    {"bool", YOKE_BOOL, 1}, {"_Bool", YOKE_BOOL, 1}, {"char", YK_CHAR, 1}, {"signed char", YOKE_I8, 1}, {"int8_t", YOKE_I8, 1},
    {"unsigned char", YOKE_U8, 1}, {"uchar", YOKE_U8, 1}, {"uint8_t", YOKE_U8, 1}, {"short", YOKE_I16, 2},
    {"int16_t", YOKE_I16, 2}, {"unsigned short", YOKE_U16, 2}, {"ushort", YOKE_U16, 2}, {"uint16_t", YOKE_U16, 2},
    {"int", YOKE_I32, 4}, {"signed", YOKE_I32, 4}, {"int32_t", YOKE_I32, 4}, {"unsigned", YOKE_U32, 4},
    {"unsigned int", YOKE_U32, 4}, {"uint", YOKE_U32, 4}, {"uint32_t", YOKE_U32, 4}, {"long", YOKE_I64, 8},
    {"long int", YOKE_I64, 8}, {"long long", YOKE_I64, 8}, {"int64_t", YOKE_I64, 8}, {"ssize_t", YOKE_I64, 8},
    {"ptrdiff_t", YOKE_I64, 8}, {"intptr_t", YOKE_I64, 8}, {"unsigned long", YOKE_U64, 8}, {"ulong", YOKE_U64, 8},
    {"unsigned long long", YOKE_U64, 8}, {"uint64_t", YOKE_U64, 8}, {"size_t", YOKE_U64, 8}, {"uintptr_t", YOKE_U64, 8},
    {"float", YOKE_F32, 4}, {"double", YOKE_F64, 8}};

enum { NAME_MOST = 64, DEPTH_MOST = 4 };

static bool find(const yoke_kernel *k, const char *type, unsigned depth, yk_layout *ret);

static const char *past(const yk_token *t)
{
    return t->at + t->len;
}

/* Names that follow each other, as "unsigned char"; `const` and `struct` left out. p is behind them afterwards. */
static void read_names(const char **p, char type[NAME_MOST], char last[NAME_MOST])
{
    yk_token t;
    *type = *last = '\0';
    for (; yk_token_read(*p, &t), t.kind == YK_TOKEN_NAME; *p = past(&t)) {
        if (yk_token_is(&t, "const") || yk_token_is(&t, "struct"))
            continue;
        if (*last) {
            size_t used = strlen(type);
            snprintf(type + used, NAME_MOST - used, "%s%s", used ? " " : "", last);
        }
        snprintf(last, NAME_MOST, "%.*s", (int)YK_MIN(t.len, NAME_MOST - 1), t.at);
    }
}

/* One field more, or `times` of an array. False: there is no room. */
static bool add_field(yk_layout *to, const yk_layout *field, const char *name, unsigned times, bool is_array)
{
    unsigned at = YK_ALIGN_UP(to->size, field->align);
    for (unsigned i = 0; i < times; i++, at += field->size)
        for (unsigned j = 0; j < field->n; j++) {
            if (to->n == YK_PIECES_MOST)
                return false;
            yk_piece *p = &to->pieces[to->n++];
            *p = field->pieces[j];
            p->offset += at;
            if (is_array)
                snprintf(p->name, sizeof p->name, ".%.20s[%u]%.28s", name, i, field->pieces[j].name);
            else
                snprintf(p->name, sizeof p->name, ".%.24s%.38s", name, field->pieces[j].name);
        }
    to->size = at;
    to->align = YK_MAX(to->align, field->align);
    return true;
}

static unsigned number_of(const yk_token *t)
{
    char *end = NULL;
    unsigned long n = t->kind == YK_TOKEN_NUMBER ? strtoul(t->at, &end, 0) : 0;
    return end == past(t) && n <= YK_PIECES_MOST ? (unsigned)n : 0;
}

/* Of enum { K = 3 }; what is something else makes another size than the compiler's. */
static unsigned find_constant(const yoke_kernel *k, const yk_token *name)
{
    const yk_device_code *c = NULL;
    yk_token t, sign, number;
    while ((c = yk_device_code_after(k, c)))
        for (const char *p = c->text; yk_token_read(p, &t), t.kind != YK_TOKEN_END; p = past(&t)) {
            yk_token_read(past(&t), &sign);
            yk_token_read(past(&sign), &number);
            if (t.len == name->len && memcmp(t.at, name->at, t.len) == 0 && yk_token_is(&sign, "=") && number_of(&number))
                return number_of(&number);
        }
    return 0;
}

/* "[8]" or "[K]" at p, if there is one. 0: something else. */
static unsigned read_length(const yoke_kernel *k, const char **p, bool *is_array)
{
    yk_token t;
    yk_token_read(*p, &t);
    *is_array = yk_token_is(&t, "[");
    if (!*is_array)
        return 1;
    yk_token_read(past(&t), &t);
    unsigned n = t.kind == YK_TOKEN_NAME ? find_constant(k, &t) : number_of(&t);
    if (n == 0)
        return 0;
    yk_token_read(past(&t), &t);
    *p = past(&t);
    return yk_token_is(&t, "]") ? n : 0;
}

/* From behind a struct's { to behind its }. */
static bool read_struct(const yoke_kernel *k, const char **p, unsigned depth, yk_layout *ret)
{
    yk_token t;
    *ret = (yk_layout){.align = 1};
    while (yk_token_read(*p, &t), !yk_token_is(&t, "}")) {
        char type[NAME_MOST], name[NAME_MOST], more[NAME_MOST];
        yk_layout field;
        read_names(p, type, name);
        if (!*type || !find(k, type, depth + 1, &field))
            return false;
        for (bool is_array;;) {
            unsigned times = read_length(k, p, &is_array);
            if (times == 0 || !add_field(ret, &field, name, times, is_array))
                return false;
            yk_token_read(*p, &t);
            *p = past(&t);
            if (yk_token_is(&t, ";"))
                break;
            if (!yk_token_is(&t, ","))
                return false;
            read_names(p, more, name);
            if (*more || !*name)
                return false;
        }
    }
    *p = past(&t);
    ret->size = YK_ALIGN_UP(ret->size, ret->align);
    return ret->n > 0;
}

/* p: behind `struct` or `typedef`. Whether this is what defines type. */
static bool read_definition(const yoke_kernel *k, const char *p, bool is_typedef, const char *type, unsigned depth,
                            yk_layout *ret)
{
    char before[NAME_MOST], name[NAME_MOST], other[NAME_MOST];
    yk_token t;
    read_names(&p, before, name);
    yk_token_read(p, &t);
    if (is_typedef && yk_token_is(&t, ";")) /* typedef float real; */
        return strcmp(name, type) == 0 && *before && find(k, before, depth + 1, ret);
    if (*before || !yk_token_is(&t, "{"))
        return false;
    p = past(&t);
    if (!read_struct(k, &p, depth, ret))
        return false;
    if (!is_typedef)
        return strcmp(name, type) == 0;
    read_names(&p, before, other);
    return strcmp(other, type) == 0 || strcmp(name, type) == 0;
}

static bool find_in_text(const yoke_kernel *k, const char *text, const char *type, unsigned depth, yk_layout *ret)
{
    yk_token t, before = {YK_TOKEN_SIGN, ";", 1};
    for (const char *p = text; yk_token_read(p, &t), t.kind != YK_TOKEN_END; p = past(&t)) {
        bool is_typedef = yk_token_is(&t, "typedef");
        if ((is_typedef || (yk_token_is(&t, "struct") && !yk_token_is(&before, "typedef")))
            && read_definition(k, past(&t), is_typedef, type, depth, ret))
            return true;
        before = t;
    }
    return false;
}

static bool find(const yoke_kernel *k, const char *type, unsigned depth, yk_layout *ret)
{
    const yk_device_code *c = NULL;
    for (size_t i = 0; i < YK_COUNT_OF(scalars); i++)
        if (strcmp(type, scalars[i].name) == 0) {
            *ret = (yk_layout){.size = scalars[i].size, .align = scalars[i].size, .n = 1};
            ret->pieces[0] = (yk_piece){.size = scalars[i].size, .code = scalars[i].code};
            return true;
        }
    while (depth < DEPTH_MOST && (c = yk_device_code_after(k, c)))
        if (find_in_text(k, c->text, type, depth, ret))
            return true;
    return false;
}

bool yk_layout_find(const yoke_kernel *k, const char *type, unsigned size, yk_layout *ret)
{
    char words[NAME_MOST], last[NAME_MOST], whole[2 * NAME_MOST];
    const char *p = type;
    read_names(&p, words, last);
    snprintf(whole, sizeof whole, "%s%s%s", words, *words ? " " : "", last);
    return find(k, whole, 0, ret) && ret->size == size;
}
