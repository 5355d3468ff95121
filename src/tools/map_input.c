/* map_input: the records of `yoke map`.
 *
 * One buffer: bytes are read in blocks, records are found with memchr() and handed out where they lie. The unfinished record
 * at the end is moved to the front before the next read, and the buffer grows only when that record fills it, up to the
 * longest record allowed; what is longer is passed over. Nothing here waits for more than one read(), so that the main loop
 * decides when to wait. */
#include "tools/map_input.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *source_name(const char *path)
{
    return is_stdin(path) ? "standard input" : path;
}

static int unreadable(const char *path, int error, yk_error *e)
{
    return yk_errorf(e, error, "cannot read %s: %s", source_name(path), strerror(error));
}

/* A source's file descriptor; standard input is not opened anew. */
static int open_source(const char *path)
{
    if (is_stdin(path))
        return fcntl(STDIN_FILENO, F_GETFD) < 0 ? -1 : STDIN_FILENO;
    return yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

static void close_source(int fd)
{
    if (fd > STDIN_FILENO)
        close(fd);
}

/* Opens each once, so that a wrong name is found before anything runs, and adds up the sizes. A named pipe cannot be opened
 * twice, so of it only its kind and the permission are looked at. */
static int check_source(yk_input *in, const char *path, bool *regular, yk_error *e)
{
    struct stat st;
    if (!is_stdin(path) && stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) {
        *regular = false;
        return access(path, R_OK) < 0 ? unreadable(path, errno, e) : 0;
    }
    int fd = open_source(path);
    if (fd < 0)
        return unreadable(path, errno, e);
    int err = 0;
    if (fstat(fd, &st) < 0)
        err = unreadable(path, errno, e);
    else if (S_ISDIR(st.st_mode))
        err = unreadable(path, EISDIR, e);
    else if (!S_ISREG(st.st_mode))
        *regular = false;
    else
        in->total_bytes += (uint64_t)st.st_size;
    close_source(fd);
    return err;
}

int yk_input_open(yk_input *in, const char *const *paths, size_t npaths, const char *const *words, size_t nwords,
                  char separator, yk_error *e)
{
    static const char *const standard_input[] = {"-"};
    *in = (yk_input){.paths = paths, .npaths = npaths, .words = words, .nwords = nwords, .separator = separator, .fd = -1,
                     .max = YK_RECORD_MAX, .ended = true, .name = ""};
    if (words)
        return 0;
    if (npaths == 0) {
        in->paths = standard_input;
        in->npaths = 1;
    }
    bool regular = true;
    for (size_t i = 0; i < in->npaths; i++) {
        int err = check_source(in, in->paths[i], &regular, e);
        if (err < 0)
            return err;
    }
    if (!regular)
        in->total_bytes = 0;
    in->buffer = yk_sys.malloc(YK_INPUT_BLOCK);
    if (!in->buffer)
        return yk_errorf(e, ENOMEM, "out of memory");
    in->cap = YK_INPUT_BLOCK;
    return 0;
}

static int give(yk_input *in, yk_record *ret, const char *text, size_t len, bool too_long)
{
    *ret = (yk_record){too_long ? "" : text, too_long ? 0 : len, ++in->number, too_long};
    return 1;
}

static int next_word(yk_input *in, yk_record *ret)
{
    if (in->word == in->nwords)
        return -ENODATA;
    const char *word = in->words[in->word++];
    size_t len = strlen(word);
    return give(in, ret, word, len, len > in->max);
}

/* The bytes after the last separator, when the source has ended: a record if there are any. */
static int last_record(yk_input *in, yk_record *ret)
{
    size_t len = in->end - in->start;
    bool skipping = in->skipping;
    const char *text = in->buffer + in->start;
    in->start = in->end = in->scanned = 0;
    in->skipping = false;
    if (len > 0 || skipping)
        return give(in, ret, text, len, skipping || len > in->max);
    return in->path < in->npaths ? 0 : -ENODATA;
}

int yk_input_next(yk_input *in, yk_record *ret)
{
    if (in->words)
        return next_word(in, ret);
    char *text = in->buffer + in->start;
    char *separator = memchr(text + in->scanned, in->separator, in->end - in->start - in->scanned);
    if (YK_UNLIKELY(!separator)) {
        if (in->ended)
            return last_record(in, ret);
        in->scanned = in->end - in->start;
        return 0;
    }
    size_t len = (size_t)(separator - text);
    bool skipping = in->skipping;
    in->start += len + 1;
    in->scanned = 0;
    in->skipping = false;
    return give(in, ret, text, len, skipping || len > in->max);
}

static int open_next(yk_input *in, yk_error *e)
{
    if (in->path == in->npaths)
        return 0;
    const char *path = in->paths[in->path];
    int fd = open_source(path);
    if (fd < 0)
        return errno == EINTR ? -EINTR : unreadable(path, errno, e);
    in->path++;
    in->fd = fd;
    in->name = source_name(path);
    in->ended = false;
    return 0;
}

/* Space to read into: the unread bytes go to the front, and the buffer grows when a record fills it. */
static int make_room(yk_input *in, yk_error *e)
{
    size_t unread = in->end - in->start;
    if (in->skipping || unread > in->max) {
        in->skipping = true;
        unread = 0;
    } else if (unread > 0 && in->start > 0) {
        memmove(in->buffer, in->buffer + in->start, unread);
    }
    in->start = 0;
    in->end = unread;
    in->scanned = unread;
    if (in->cap - in->end >= in->cap / 2)
        return 0;
    char *grown = yk_sys.realloc(in->buffer, in->cap * 2);
    if (!grown)
        return yk_errorf(e, ENOMEM, "out of memory for record %llu of %s", (unsigned long long)in->number + 1, in->name);
    in->buffer = grown;
    in->cap *= 2;
    return 0;
}

int yk_input_fill(yk_input *in, yk_error *e)
{
    if (in->words)
        return 0;
    if (in->ended)
        return open_next(in, e);
    int err = make_room(in, e);
    if (err < 0)
        return err;
    ssize_t n = yk_sys.read(in->fd, in->buffer + in->end, in->cap - in->end);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return -EINTR;
    if (n < 0)
        return yk_errorf(e, errno, "cannot read %s: %s", in->name, strerror(errno));
    in->end += (size_t)n;
    in->bytes += (uint64_t)n;
    if (n == 0) {
        close_source(in->fd);
        in->fd = -1;
        in->ended = true;
    }
    return 0;
}

void yk_input_close(yk_input *in)
{
    close_source(in->fd);
    free(in->buffer);
    *in = (yk_input){.fd = -1};
}
