/* array_text: placeholder */
#include "gpu/array.h"
int yk_map_on_device(yoke_array *out, const yk_op *op, unsigned type, const yoke_array *const *in, const yk_layout *l)
{
    return -ENOTSUP;
}
int yk_reduce_on_device(yoke_array *out, const struct yk_fold *fold, unsigned computed, const yoke_array *a,
                        const yk_layout *outer,
                        const yk_layout *inner, const char *what)
{
    return -ENOTSUP;
}
