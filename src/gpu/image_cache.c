/* image_cache: what NVRTC has made (and OpenCL drivers that keep nothing themselves), on disk: in the folder "kernels"
 * of the cache of compiled modules (task/module.h), one file for each key, "KEY.image". A compile takes about 100 ms,
 * to read a file less than one.
 *
 * The key stands for all that decides what the compiler makes: text, options, name, the device's capability, and the
 * compiler. A text that reads files is not kept, for they may change. What the driver makes of PTX is not kept here,
 * but by the driver. A file holds its own hash, is written under another name and renamed; one that is cut off or was
 * changed is as good as none, and is written again. So nothing need wait for the disk, and processes that compile the
 * same at the same time do not disturb each other. */
#include "gpu/image_cache.h"
#include "base/sha256.h"
#include "task/module.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

#define KEEP_BYTES ((size_t)256 << 20)
#define FILE_LIMIT ((size_t)256 << 20)
static const char MAGIC[16] = "yoke image 1\n";

/* The head of a file. Its parts follow: image, log, numbers. */
typedef struct head {
    char magic[16];
    char hash[64]; /* of all that follows it */
    char key[64];
    uint64_t is_ptx, image, log, numbers;
} head;

void yk_binary_done(yk_binary *b)
{
    yk_buf_done(&b->image);
    yk_buf_done(&b->log);
    yk_buf_done(&b->numbers);
}

int yk_first_error(const char *log, const char **ret)
{
    const char *found = strstr(log, "error");
    while (found && found > log && found[-1] != '\n')
        found--;
    *ret = found ? found : log;
    return (int)strcspn(*ret, "\n");
}

/* The word is enough: yoke's own texts are without it, and "-include", "--include-path" and "#include" all have it. */
static bool reads_files(const yk_build_source *source)
{
    return strstr(source->text, "include") || strstr(source->options, "include") || strstr(source->options, "-I");
}

bool yk_image_key(const yk_build_source *source, const char *compiler, char ret[65])
{
    yk_sha256 h;
    if (reads_files(source))
        return false;
    yk_sha256_init(&h);
    yk_sha256_add_text(&h, MAGIC);
    yk_sha256_add_text(&h, source->text);
    yk_sha256_add_text(&h, source->options);
    yk_sha256_add_text(&h, source->name);
    yk_sha256_add_text(&h, compiler);
    yk_sha256_add(&h, &source->capability, sizeof source->capability);
    yk_sha256_hex(&h, ret);
    return true;
}

static void hash_of(const char *file, size_t len, char ret[65])
{
    yk_sha256 h;
    size_t from = offsetof(head, key);
    yk_sha256_init(&h);
    yk_sha256_add(&h, file + from, len - from);
    yk_sha256_hex(&h, ret);
}

/* The path of a key's file, without its suffix; false when there is no cache. */
static bool path_of(const char key[65], bool to_write, char folder[PATH_MAX], char path[PATH_MAX])
{
    char base[PATH_MAX];
    yk_cache_state state = yk_cache_folder(base);
    if (state != YK_CACHE_WRITABLE && (to_write || state != YK_CACHE_READ_ONLY))
        return false;
    snprintf(folder, PATH_MAX, "%.3900s/kernels", base);
    snprintf(path, PATH_MAX, "%.3950s/%s", folder, key);
    return true;
}

/* ---- Reading ---- */

static bool is_whole(const yk_buf *file, const char key[65], head *ret)
{
    char hash[65];
    if (file->failed || file->len < sizeof *ret)
        return false;
    memcpy(ret, file->ptr, sizeof *ret);
    hash_of(file->ptr, file->len, hash);
    size_t left = file->len - sizeof *ret;
    return memcmp(ret->magic, MAGIC, sizeof MAGIC) == 0 && memcmp(ret->hash, hash, 64) == 0 &&
           memcmp(ret->key, key, 64) == 0 && ret->image > 0 && ret->image <= left && ret->log <= left - ret->image &&
           ret->numbers == left - ret->image - ret->log;
}

bool yk_image_cache_read(const char key[65], yk_binary *b)
{
    char folder[PATH_MAX], path[PATH_MAX];
    yk_buf file = {0};
    head h;
    if (!path_of(key, false, folder, path))
        return false;
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, ".image");
    bool ok = yk_read_file(path, FILE_LIMIT, &file) == 0 && is_whole(&file, key, &h);
    if (ok) {
        const char *p = file.ptr + sizeof h;
        yk_buf_put(&b->image, p, h.image);
        yk_buf_put(&b->log, p + h.image, h.log);
        yk_buf_put(&b->numbers, p + h.image + h.log, h.numbers);
        b->is_ptx = h.is_ptx;
        ok = !b->image.failed && !b->log.failed && !b->numbers.failed;
        utimensat(AT_FDCWD, path, NULL, 0); /* used now: yk_cache_prune() goes by this */
    }
    yk_buf_done(&file);
    return ok;
}

/* ---- Writing ---- */

static void make_file(const char key[65], const yk_binary *b, yk_buf *ret)
{
    char hash[65];
    head h = {.is_ptx = b->is_ptx, .image = b->image.len, .log = b->log.len, .numbers = b->numbers.len};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    memcpy(h.key, key, sizeof h.key);
    yk_buf_put(ret, &h, sizeof h);
    yk_buf_put(ret, b->image.ptr, b->image.len);
    yk_buf_put(ret, b->log.ptr, b->log.len);
    yk_buf_put(ret, b->numbers.ptr, b->numbers.len);
    if (ret->failed)
        return;
    hash_of(ret->ptr, ret->len, hash);
    memcpy(ret->ptr + offsetof(head, hash), hash, sizeof h.hash);
}

void yk_image_cache_write(const char key[65], const yk_binary *b)
{
    char folder[PATH_MAX], path[PATH_MAX], temporary[PATH_MAX];
    static _Atomic unsigned count;
    yk_buf file = {0};
    if (!path_of(key, true, folder, path))
        return;
    mkdir(folder, 0700);
    snprintf(temporary, sizeof temporary, "%.4050s.%ld-%u.tmp", path, (long)getpid(),
             atomic_fetch_add_explicit(&count, 1, memory_order_relaxed));
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, ".image");
    make_file(key, b, &file);
    if (file.failed || yk_write_file(temporary, &file) < 0 || rename(temporary, path) < 0)
        unlink(temporary);
    else
        yk_cache_prune(folder, KEEP_BYTES);
    yk_buf_done(&file);
}
