/* signature: the names of types, and the text by which two programs know that they mean the same task.
 *
 * It is built from codes and not from the C spelling, so `long` and `int64_t` agree where they are the same. The hash is
 * FNV-1a, 64 bits (Fowler, Noll, Vo; RFC 9923). */
#include "task/signature.h"

size_t yk_code_size(unsigned code)
{
    static const unsigned char sizes[] = {
        [YOKE_BOOL] = 1, [YOKE_I8] = 1,  [YOKE_I16] = 2, [YOKE_I32] = 4, [YOKE_I64] = 8, [YOKE_U8] = 1,
        [YOKE_U16] = 2,  [YOKE_U32] = 4, [YOKE_U64] = 8, [YOKE_F32] = 4, [YOKE_F64] = 8,
    };
    return code < YK_COUNT_OF(sizes) ? sizes[code] : 0;
}

#define VIEW_NAMES(code, name)                                                                                         \
    case (code) | YOKE_IN:                                                                                             \
        return name "[] in";                                                                                           \
    case (code) | YOKE_OUT:                                                                                            \
        return name "[] out";                                                                                          \
    case (code) | YOKE_IN | YOKE_OUT:                                                                                  \
        return name "[] inout";                                                                                        \
    case (code):                                                                                                       \
        return name

const char *yk_code_name(unsigned code)
{
    switch (code) {
        VIEW_NAMES(YOKE_I8, "i8");
        VIEW_NAMES(YOKE_I16, "i16");
        VIEW_NAMES(YOKE_I32, "i32");
        VIEW_NAMES(YOKE_I64, "i64");
        VIEW_NAMES(YOKE_U8, "u8");
        VIEW_NAMES(YOKE_U16, "u16");
        VIEW_NAMES(YOKE_U32, "u32");
        VIEW_NAMES(YOKE_U64, "u64");
        VIEW_NAMES(YOKE_F32, "f32");
        VIEW_NAMES(YOKE_F64, "f64");
    case YOKE_VOID:
        return "void";
    case YOKE_BOOL:
        return "bool";
    case YOKE_CSTR:
        return "cstr";
    case YOKE_STR:
        return "str";
    case YOKE_BYTES:
        return "bytes";
    case YOKE_JSON:
        return "json";
    case YOKE_STRUCT:
        return "struct";
    }
    return "unknown";
}

/* A struct is known by its name and size: what is inside cannot be seen from here. */
static void put_type(yk_buf *out, unsigned code, const char *type, unsigned size)
{
    if (code == YOKE_STRUCT)
        yk_buf_printf(out, "struct %s/%u", strncmp(type, "struct ", 7) == 0 ? type + 7 : type, size);
    else
        yk_buf_text(out, yk_code_name(code));
}

void yk_signature_write(const yoke_task *t, yk_buf *out)
{
    yk_buf_text(out, t->name);
    yk_buf_char(out, '(');
    for (unsigned i = 0; i < t->nparams; i++) {
        const yoke_param *p = &t->params[i];
        yk_buf_printf(out, "%s%s: ", i ? ", " : "", p->name);
        put_type(out, p->code, p->type, p->size);
        if (p->has_default)
            yk_buf_char(out, '?');
    }
    yk_buf_text(out, ") -> ");
    put_type(out, t->ret_code, t->ret, t->ret_size);
}

uint64_t yk_fnv1a(const void *bytes, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return h;
}
