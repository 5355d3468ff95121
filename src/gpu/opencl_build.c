/* opencl_build: from a text to a program.
 *
 * PoCL and NVIDIA keep what they have built by themselves; asking PoCL for a binary would even make it build another
 * one. For all others the binary is kept here, in the same place as CUDA's: the key stands for text, options, device
 * and driver. A binary that a driver does not take (any more) is built from the text again, and replaced. */
#include "gpu/image_cache.h"
#include "gpu/opencl.h"
#include <stdlib.h>

/* What the compiler said; nothing when it said nothing or cannot be asked. */
static void get_log(const yk_cl_device *c, void *program, yk_buf *log)
{
    size_t n = 0;
    if (yk_cl.GetProgramBuildInfo(program, c->id, YK_CL_PROGRAM_BUILD_LOG, 0, NULL, &n) != 0 || n < 2)
        return;
    char *room = yk_buf_room(log, n);
    if (!room || yk_cl.GetProgramBuildInfo(program, c->id, YK_CL_PROGRAM_BUILD_LOG, n, room, NULL) != 0)
        return;
    log->len += strnlen(room, n);
}

/* The user's options; OpenCL C 1.2 unless they name another; and divisions as exact as in C where the device can. */
static void put_options(yk_buf *out, const yk_cl_device *c, const char *options)
{
    yk_buf_text(out, options);
    if (!strstr(options, "-cl-std="))
        yk_buf_text(out, " -cl-std=CL1.2");
    if (c->exact_division && !strstr(options, "-cl-fast-relaxed-math"))
        yk_buf_text(out, " -cl-fp32-correctly-rounded-divide-sqrt");
    yk_buf_str(out);
}

/* ---- What was built before ---- */

static void *from_binary(const yk_cl_device *c, const yk_buf *binary, const char *options)
{
    const unsigned char *bytes = (const unsigned char *)binary->ptr;
    int32_t status = 0, code = 0;
    void *program = yk_cl.CreateProgramWithBinary(c->context, 1, &c->id, &binary->len, &bytes, &status, &code);
    if (!program || code != 0)
        return NULL;
    if (status == 0 && yk_cl.BuildProgram(program, 1, &c->id, options, NULL, NULL) == 0)
        return program;
    yk_cl.ReleaseProgram(program);
    return NULL;
}

/* The program as it was kept, with what the compiler said then; or NULL. */
static void *read_program(const yk_cl_device *c, const char key[65], const char *options, yk_buf *log)
{
    yk_binary b = {.is_ptx = false};
    void *program = yk_image_cache_read(key, &b) ? from_binary(c, &b.image, options) : NULL;
    if (program && log)
        yk_buf_put(log, b.log.ptr, b.log.len);
    yk_binary_done(&b);
    return program;
}

/* Of the one device of the context. */
static bool get_binary(void *program, yk_buf *ret)
{
    size_t n = 0;
    if (yk_cl.GetProgramInfo(program, YK_CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL) != 0 || n == 0)
        return false;
    char *room = yk_buf_room(ret, n);
    if (!room || yk_cl.GetProgramInfo(program, YK_CL_PROGRAM_BINARIES, sizeof room, &room, NULL) != 0)
        return false;
    ret->len = n;
    return true;
}

static void write_program(const yk_cl_device *c, const char key[65], void *program)
{
    yk_binary b = {.is_ptx = false};
    get_log(c, program, &b.log);
    if (get_binary(program, &b.image))
        yk_image_cache_write(key, &b);
    yk_binary_done(&b);
}

/* ---- Building ---- */

static int from_text(const yoke_device *d, const char *text, const char *options, const char *name, void **ret,
                     yk_buf *log, yk_error *e)
{
    const yk_cl_device *c = d->native;
    int32_t code = 0;
    void *program = yk_cl.CreateProgramWithSource(c->context, 1, &text, NULL, &code);
    if (!program || code != 0)
        return yk_cl_fail(e, code, "CreateProgramWithSource", "%s: %s cannot be built", d->info.uri, name);
    code = yk_cl.BuildProgram(program, 1, &c->id, options, NULL, NULL);
    if (log)
        get_log(c, program, log);
    if (code != 0) {
        yk_cl.ReleaseProgram(program);
        return yk_cl_fail(e, code, "BuildProgram", "%s: %s does not compile", d->info.uri, name);
    }
    *ret = program;
    return 0;
}

int yk_cl_build_program(const yoke_device *d, const char *text, const char *options, const char *name, void **ret,
                        yk_buf *log, yk_error *e)
{
    const yk_cl_device *c = d->native;
    char key[65];
    yk_buf all = {0};
    put_options(&all, c, options);
    if (all.failed) {
        yk_buf_done(&all);
        return yk_errorf(e, -ENOMEM, "%s: no memory to build %s", d->info.uri, name);
    }
    const yk_build_source source = {.text = text, .options = all.ptr, .name = name};
    const bool keeps = !c->keeps_programs && yk_image_key(&source, c->builder, key);
    if (keeps) {
        void *program = read_program(c, key, all.ptr, log);
        if (program) {
            *ret = program;
            yk_buf_done(&all);
            return 0;
        }
    }
    int err = from_text(d, text, all.ptr, name, ret, log, e);
    yk_buf_done(&all);
    if (err == 0 && keeps)
        write_program(c, key, *ret);
    return err;
}
