/* view: arithmetic of array views. Shapes come from callers and from other processes, so every product is checked. */
#include "task/task.h"

int yk_view_count(const yk_any_view *v, size_t element_size, size_t *ret)
{
    if (v->ndim > YOKE_DIMS)
        return -EINVAL;
    size_t count = 1, bytes;
    for (size_t i = 0; i < v->ndim; i++)
        if (v->shape[i] == 0)
            count = 0;
    for (size_t i = 0; i < v->ndim && count > 0; i++)
        if (__builtin_mul_overflow(count, v->shape[i], &count))
            return -EOVERFLOW;
    if (__builtin_mul_overflow(count, element_size, &bytes) || bytes > PTRDIFF_MAX)
        return -EOVERFLOW;
    if (count > 0 && !v->ptr)
        return -EINVAL;
    *ret = count;
    return 0;
}

bool yk_view_is_contiguous(const yk_any_view *v)
{
    ptrdiff_t expected = 1;
    for (size_t i = 0; i < v->ndim; i++)
        if (v->shape[i] == 0)
            return true;
    for (size_t i = v->ndim; i-- > 0;) {
        if (v->shape[i] > 1 && v->step[i] != expected)
            return false;
        expected *= (ptrdiff_t)v->shape[i];
    }
    return true;
}

/* Copies dimension `dim` and those inside it. */
static void copy_dimension(char *to, const yk_any_view *t, const char *from, const yk_any_view *f, size_t dim, size_t size)
{
    if (dim == f->ndim) {
        memcpy(to, from, size);
        return;
    }
    for (size_t i = 0; i < f->shape[dim]; i++) {
        if (i > 0) { /* the step of a single row may be anything, even too large to multiply */
            to += t->step[dim] * (ptrdiff_t)size;
            from += f->step[dim] * (ptrdiff_t)size;
        }
        copy_dimension(to, t, from, f, dim + 1, size);
    }
}

void yk_view_copy(yk_any_view *to, const yk_any_view *from, size_t element_size)
{
    size_t count;
    if (yk_view_count(from, element_size, &count) < 0 || count == 0)
        return;
    if (yk_view_is_contiguous(to) && yk_view_is_contiguous(from))
        memcpy(to->ptr, from->ptr, count * element_size);
    else
        copy_dimension((char *)to->ptr, to, (const char *)from->ptr, from, 0, element_size);
}
