/* image_cache.h - what a compiler of kernels is given, what it makes, and where that is kept for the next time. */
#ifndef YK_GPU_IMAGE_CACHE_H
#define YK_GPU_IMAGE_CACHE_H

#include "base/base.h"

/* What is to be compiled, for a device of this capability (90 is 9.0; 0 where the compiler tells the devices apart). */
typedef struct yk_build_source {
    const char *text, *options, *name;
    unsigned capability;
} yk_build_source;

/* What came out. image: of CUDA a cubin, or PTX ended by a NUL; of OpenCL what the driver gave. log: what the compiler had to
 * say to people; numbers: what the assembler told of each function. */
typedef struct yk_binary {
    yk_buf image, log, numbers;
    bool is_ptx;
} yk_binary;

void yk_binary_done(yk_binary *b);

/* The line of a compiler's log that says most: the first with "error" in it, else the first. Returns its length. */
int yk_first_error(const char *log, const char **ret);

/* 64 digits and a NUL: stands for source, device and compiler. False: it may read files that the key knows nothing of, by an
 * #include or an option, so that what comes of it must not be kept. */
bool yk_image_key(const yk_build_source *source, const char *compiler, char ret[65]);
/* Whether it was there and whole. In every case b is to be done with. */
bool yk_image_cache_read(const char key[65], yk_binary *b);
/* Keeps it if that is possible; nobody needs to know if it is not. */
void yk_image_cache_write(const char key[65], const yk_binary *b);
#endif
