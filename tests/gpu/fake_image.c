/* fake_image.c - images, functions and launches of the fake driver: a function is what the test says its name means. */
#include "fake_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long an image is: a text, or an ELF file with its table of sections. */
static size_t length(const char *image)
{
    uint64_t sections;
    uint16_t size, count;
    if (memcmp(image, "\177ELF", 4) != 0)
        return strlen(image);
    memcpy(&sections, image + 40, sizeof sections);
    memcpy(&size, image + 58, sizeof size);
    memcpy(&count, image + 60, sizeof count);
    return sections + (size_t)size * count;
}

int cuModuleLoadDataEx(struct yk_cu_module **ret, const void *image, unsigned count, const int *options, void **values)
{
    BEGIN(true);
    if (!begun && memcmp(image, "\177ELF", 4) != 0 && !strstr(image, ".version") && strncmp(image, "fake", 4) != 0)
        begun = YK_CUDA_INVALID_IMAGE;
    for (unsigned i = 0; begun && i + 1 < count; i++)
        if (options[i] == 5 && options[i + 1] == 6)
            snprintf(values[i], (size_t)values[i + 1], "fake: no image\n");
    if (begun)
        RETURN(begun);
    struct yk_cu_module *m = calloc(1, sizeof *m);
    m->context = fake_current;
    m->len = length(image);
    m->text = malloc(m->len);
    memcpy(m->text, image, m->len);
    m->next = fake.modules;
    fake.modules = m;
    fake_count(fake_current, modules, 1);
    *ret = m;
    RETURN(YK_CUDA_OK);
}

void fake_end_module(struct yk_cu_module *m)
{
    struct yk_cu_module **at = &fake.modules;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    for (struct yk_cu_function *f = m->functions, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    free(m->text);
    free(m);
}

int cuModuleUnload(struct yk_cu_module *m)
{
    BEGIN(true);
    if (!fake_is_lost(begun)) {
        fake_wait_idle(fake_current);
        fake_count(m->context, modules, -1);
        fake_end_module(m);
    }
    RETURN(begun);
}

int cuModuleGetFunction(struct yk_cu_function **ret, struct yk_cu_module *m, const char *name)
{
    BEGIN_OR_RETURN(true);
    for (size_t i = 0; i < fake.kernel_count && memmem(m->text, m->len, name, strlen(name)); i++)
        if (strcmp(fake.kernels[i].name, name) == 0) {
            struct yk_cu_function *f = malloc(sizeof *f);
            *f = fake.kernels[i];
            f->dynamic_most = 48 << 10;
            f->next = m->functions;
            m->functions = f;
            *ret = f;
            RETURN(YK_CUDA_OK);
        }
    RETURN(YK_CUDA_NOT_FOUND);
}

int cuFuncGetAttribute(int *ret, int attribute, struct yk_cu_function *f)
{
    BEGIN_OR_RETURN(true);
    *ret = attribute == 0 ? 1024 : attribute == 3 ? 16 : attribute == 4 ? 32 : attribute == 8 ? f->dynamic_most : 0;
    RETURN(YK_CUDA_OK);
}

int cuFuncSetAttribute(struct yk_cu_function *f, int attribute, int value)
{
    BEGIN_OR_RETURN(true);
    if (attribute != 8 || value > LOCAL_MOST)
        RETURN(YK_CUDA_INVALID_VALUE);
    f->dynamic_most = value;
    RETURN(YK_CUDA_OK);
}

/* Values are copied at the launch, as a driver does. */
static void copy_values(const struct yk_cu_function *f, void **arguments, op *o)
{
    size_t count = 0, at = 0;
    while (f->sizes[count])
        at += YK_ALIGN_UP(f->sizes[count++], 16);
    o->value_count = count;
    o->value_size = count * sizeof(void *) + 16 + at;
    o->values = calloc(1, o->value_size);
    void **places = (void **)(void *)o->values;
    char *p = o->values + YK_ALIGN_UP(count * sizeof(void *), 16);
    for (size_t i = 0; i < count; i++) {
        memcpy(p, arguments[i], f->sizes[i]);
        places[i] = p;
        p += YK_ALIGN_UP(f->sizes[i], 16);
    }
    o->launch.args = places;
}

int cuLaunchKernel(struct yk_cu_function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared, struct yk_cu_stream *s, void **arguments,
                   void **extra)
{
    BEGIN_OR_RETURN(true);
    uint64_t threads = (uint64_t)block_x * block_y * block_z, groups = (uint64_t)grid_x * grid_y * grid_z;
    if (!threads || threads > 1024 || !groups || grid_y > 65535 || grid_z > 65535 || extra ||
        (int)shared > f->dynamic_most)
        RETURN(YK_CUDA_INVALID_VALUE);
    op o = {.kind = LAUNCH, .fn = f->fn, .launch = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, NULL}};
    copy_values(f, arguments, &o);
    RETURN(fake_put(s, o, __func__));
}
