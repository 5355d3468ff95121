/* array_npy: files of numpy.save() (numpy/lib/format.py describes them): a magic number, a version, the length of a header, the
 * header, which is a Python dictionary of three known keys as text, and the elements. The header comes from anywhere: every
 * step of reading it is checked, and nothing is allocated for elements that the file does not have. */
#include "gpu/array.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MOST = 1 << 20, FIRST = 12 };

typedef struct header {
    unsigned type;
    bool swapped, fortran;
    size_t ndim, shape[YOKE_DIMS];
} header;

/* As much of a path as a message has room for: its end, where the file's name stands. */
static const char *end_of(const char *path, size_t most)
{
    size_t len = strlen(path);
    return len > most ? path + len - most : path;
}

/* ---- The header's text ---- */

typedef struct text {
    const char *at, *end;
    yk_error *e;
    bool descr, order, shape; /* keys that have come */
} text;

static void skip_blanks(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t' || *t->at == '\r'))
        t->at++;
}

static bool take_char(text *t, char c)
{
    skip_blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static int bad(text *t, const char *what)
{
    return yk_errorf(t->e, EBADMSG, "no NumPy file: %s in its header", what);
}

/* 'text' or "text", without escapes. */
static bool read_string(text *t, const char **ret, size_t *len)
{
    skip_blanks(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"'))
        return false;
    char quote = *t->at++;
    *ret = t->at;
    while (t->at < t->end && *t->at != quote)
        t->at++;
    *len = (size_t)(t->at - *ret);
    return t->at < t->end && t->at++;
}

static bool read_word(text *t, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0)
        return false;
    t->at += n;
    return true;
}

/* "<f8": the byte order, the kind, and the size. */
static int read_type(text *t, header *h)
{
    const char *s;
    size_t len;
    if (!read_string(t, &s, &len))
        return yk_errorf(t->e, ENOTSUP, "NumPy file: records are no type of an array here");
    for (unsigned type = YOKE_BOOL; type <= YOKE_F64 && len == 3; type++) {
        char kind = type == YOKE_BOOL ? 'b' : type <= YOKE_I64 ? 'i' : type <= YOKE_U64 ? 'u' : 'f';
        size_t size = yoke_array_type_size(type);
        if (s[1] != kind || s[2] != '0' + (char)size || !memchr("<>|=", s[0], 4) || (s[0] == '|' && size > 1))
            continue;
        h->type = type;
        h->swapped = s[0] == '>' && size > 1;
        return 0;
    }
    char name[20];
    snprintf(name, sizeof name, "%.*s", (int)YK_MIN(len, (size_t)16), s);
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return yk_errorf(t->e, ENOTSUP, "NumPy file: its type is '%s', not one of b1, i1 to i8, u1 to u8, f4, f8", name);
}

static int read_length(text *t, size_t *ret)
{
    size_t n = 0;
    skip_blanks(t);
    if (t->at == t->end || *t->at < '0' || *t->at > '9')
        return bad(t, "no length");
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9')
        if (__builtin_mul_overflow(n, (size_t)10, &n) || __builtin_add_overflow(n, (size_t)(*t->at++ - '0'), &n) ||
            n > PTRDIFF_MAX)
            return bad(t, "a length beyond all memory");
    if (t->at < t->end && *t->at == 'L')
        t->at++; /* Python 2 */
    *ret = n;
    return 0;
}

/* "(3, 4)", "(3,)", "()". */
static int read_shape(text *t, header *h)
{
    size_t n = 0;
    if (!take_char(t, '('))
        return bad(t, "no shape");
    while (!take_char(t, ')')) {
        size_t length = 0;
        int err = read_length(t, &length);
        if (err < 0)
            return err;
        if (n < YOKE_DIMS)
            h->shape[n] = length;
        n++;
        bool comma = take_char(t, ',');
        if (!comma && (t->at == t->end || *t->at != ')'))
            return bad(t, "a shape without end");
        if (!comma && n == 1) /* (3) is a number in Python */
            return bad(t, "a shape that is no tuple");
    }
    if (n > YOKE_DIMS)
        return yk_errorf(t->e, ENOTSUP, "NumPy file: it has %zu dimensions, at most %d", n, YOKE_DIMS);
    h->ndim = n;
    return 0;
}

static int read_value(text *t, header *h, const char *key, size_t len)
{
    if (len == 5 && memcmp(key, "descr", 5) == 0 && !t->descr) {
        t->descr = true;
        return read_type(t, h);
    }
    if (len == 5 && memcmp(key, "shape", 5) == 0 && !t->shape) {
        t->shape = true;
        return read_shape(t, h);
    }
    if (len != 13 || memcmp(key, "fortran_order", 13) != 0 || t->order)
        return bad(t, "a key that does not belong there");
    t->order = true;
    h->fortran = read_word(t, "True");
    return h->fortran || read_word(t, "False") ? 0 : bad(t, "no truth value");
}

static int read_header(const char *s, size_t len, header *h, yk_error *e)
{
    text t = {.at = s, .end = s + len, .e = e};
    memset(h, 0, sizeof *h);
    if (!take_char(&t, '{'))
        return bad(&t, "no dictionary");
    while (!take_char(&t, '}')) {
        const char *key;
        size_t n;
        if (!read_string(&t, &key, &n) || !take_char(&t, ':'))
            return bad(&t, "no key");
        int err = read_value(&t, h, key, n);
        if (err < 0)
            return err;
        if (!take_char(&t, ',') && (t.at == t.end || *t.at != '}'))
            return bad(&t, "no end");
    }
    skip_blanks(&t);
    if (t.at != t.end)
        return bad(&t, "something after the end");
    return t.descr && t.order && t.shape ? 0 : bad(&t, "a key is missing");
}

/* ---- Where the bytes come from ---- */

/* A file, or bytes: fd is -1. left: bytes that there still are. */
typedef struct source {
    int fd;
    const char *bytes;
    size_t left;
} source;

static int take(source *s, void *to, size_t n, yk_error *e)
{
    if (n > s->left)
        return yk_errorf(e, EBADMSG, "no NumPy file: it ends too early, %zu bytes of %zu are there", s->left, n);
    s->left -= n;
    if (s->fd < 0) {
        memcpy(to, s->bytes, n);
        s->bytes += n;
        return 0;
    }
    while (n > 0) {
        ssize_t got = yk_sys.read(s->fd, to, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return yk_errorf(e, got < 0 ? errno : EBADMSG, got < 0 ? "reading: %s" : "no NumPy file: it ends too early",
                             got < 0 ? strerror(errno) : "");
        to = (char *)to + got;
        n -= (size_t)got;
    }
    return 0;
}

static int take_header(source *s, header *h, yk_error *e)
{
    unsigned char first[FIRST];
    size_t len;
    int err = take(s, first, 10, e);
    if (err < 0)
        return err;
    if (memcmp(first, "\x93NUMPY", 6) != 0)
        return yk_errorf(e, EBADMSG, "no NumPy file: it does not begin with \"\\x93NUMPY\"");
    if (first[6] < 1 || first[6] > 3 || first[7] != 0)
        return yk_errorf(e, EBADMSG, "NumPy file of version %u.%u, known are 1.0, 2.0 and 3.0", first[6], first[7]);
    len = first[8] + (size_t)first[9] * 256;
    if (first[6] > 1) {
        err = take(s, first + 10, 2, e);
        len += ((size_t)first[10] << 16) + ((size_t)first[11] << 24);
    }
    if (err < 0)
        return err;
    if (len > HEADER_MOST || len > s->left)
        return yk_errorf(e, EBADMSG, "no NumPy file: a header of %zu bytes", len);
    char *words = yk_sys.malloc(len + 1);
    if (!words)
        return yk_errorf(e, ENOMEM, "no memory for the header of a NumPy file");
    err = take(s, words, len, e);
    if (err == 0)
        err = read_header(words, len, h, e);
    free(words);
    return err;
}

/* ---- Elements ---- */

static void swap_bytes(char *p, size_t size, size_t n)
{
    for (size_t k = 0; k < n; k++, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            char c = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = c;
        }
}

static int take_elements(source *s, const header *h, void *to, size_t n, yk_error *e)
{
    size_t size = yoke_array_type_size(h->type);
    int err = take(s, to, n * size, e);
    if (err < 0)
        return err;
    if (h->swapped)
        swap_bytes(to, size, n);
    if (h->type == YOKE_BOOL) /* any byte but 0 is true, and becomes 1 */
        for (size_t k = 0; k < n; k++)
            ((uint8_t *)to)[k] = ((uint8_t *)to)[k] != 0;
    return 0;
}

/* In memory of the host, then on the device. */
static int take_over_host(source *s, const header *h, yoke_array *a, size_t n, yk_error *e)
{
    size_t size = n * yoke_array_type_size(h->type);
    void *host = yk_sys.malloc(YK_MAX(size, 1));
    if (!host)
        return yk_errorf(e, ENOMEM, "no memory for the elements of a NumPy file");
    int err = take_elements(s, h, host, n, e);
    if (err == 0) {
        err = yk_unkept(a->stream, yoke_stream_copy(a->stream, a->data, host, size));
        if (err == 0)
            err = yk_stream_settle(a->stream);
        if (err < 0)
            yk_errorf(e, err, "%s", yoke_device_error(a->stream->dev));
    }
    free(host);
    return err;
}

static yoke_array *load(yoke_stream *stream, source *s, const char *name)
{
    header h = {0};
    yk_error e = {0};
    yoke_array *a = NULL;
    int err = take_header(s, &h, &e);
    size_t n = yk_view_elements(h.ndim, h.shape), size;
    if (err == 0 && (__builtin_mul_overflow(n, yoke_array_type_size(h.type), &size) || size > s->left))
        err = yk_errorf(&e, EBADMSG, "no NumPy file: its shape %s needs more than the %zu bytes there are",
                        yk_dims_text(h.ndim, h.shape).text, s->left);
    if (err == 0) {
        for (size_t d = 0; h.fortran && d < h.ndim / 2; d++) {
            size_t length = h.shape[d];
            h.shape[d] = h.shape[h.ndim - 1 - d];
            h.shape[h.ndim - 1 - d] = length;
        }
        a = yk_array_new(stream, h.type, h.ndim, h.shape);
        if (!a)
            return NULL;
        err = yk_array_is_on_host(a) ? take_elements(s, &h, a->data, n, &e) : take_over_host(s, &h, a, n, &e);
    }
    if (err < 0) {
        yoke_array_free(a);
        return yk_array_fail(stream, err, "load: %s%s%.300s", end_of(name, 150), *name ? ": " : "", e.text);
    }
    for (size_t d = 0; h.fortran && d < a->ndim / 2; d++) {
        size_t other = a->ndim - 1 - d, length = a->shape[d];
        ptrdiff_t step = a->step[d];
        a->shape[d] = a->shape[other];
        a->step[d] = a->step[other];
        a->shape[other] = length;
        a->step[other] = step;
    }
    return a;
}

yoke_array *yoke_array_load_bytes(yoke_stream *s, yoke_bytes file)
{
    source from = {.fd = -1, .bytes = file.ptr, .left = file.len};
    if (!s || yk_device_check(s->dev) < 0)
        return NULL;
    return file.ptr || file.len == 0 ? load(s, &from, "") : yk_array_fail(s, EINVAL, "load: the address of the file is NULL");
}

yoke_array *yoke_array_load(yoke_stream *s, const char *path)
{
    struct stat st;
    if (!s || yk_device_check(s->dev) < 0)
        return NULL;
    if (!path)
        return yk_array_fail(s, EINVAL, "load: the path is NULL");
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); /* a FIFO would wait for its writer */
    if (fd < 0)
        return yk_array_fail(s, errno, "load: %s: %s", end_of(path, 300), strerror(errno));
    yoke_array *a = NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        yk_array_fail(s, EINVAL, "load: %s is no regular file", end_of(path, 300));
    } else {
        source from = {.fd = fd, .left = (size_t)st.st_size};
        a = load(s, &from, path);
    }
    close(fd);
    return a;
}

/* ---- Writing ---- */

static int put(int fd, const void *from, size_t n, yk_error *e)
{
    while (n > 0) {
        ssize_t done = yk_sys.write(fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return yk_errorf(e, errno, "writing: %s", strerror(errno));
        from = (const char *)from + done;
        n -= (size_t)done;
    }
    return 0;
}

/* Magic number, version, length and dictionary: a multiple of 64 bytes, which ends with a newline. */
static size_t make_header(const yoke_array *a, char ret[256])
{
    char shape[120];
    size_t at = 0, len;
    for (size_t d = 0; d < a->ndim; d++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%zu,%s", a->shape[d], d + 1 < a->ndim ? " " : "");
    shape[at - (a->ndim > 1)] = 0; /* "3,": the comma stays where it is alone */
    unsigned size = (unsigned)yoke_array_type_size(a->type);
    const char *kind = a->type == YOKE_BOOL ? "b" : a->type <= YOKE_I64 ? "i" : a->type <= YOKE_U64 ? "u" : "f";
    memset(ret, ' ', 256);
    len = 10 + (size_t)snprintf(ret + 10, 240, "{'descr': '%s%s%u', 'fortran_order': False, 'shape': (%s), }", size > 1 ? "<"
                                : "|",
                                kind, size, a->ndim ? shape : "");
    ret[len] = ' ';
    size_t total = YK_ALIGN_UP(len + 1, 64);
    ret[total - 1] = '\n';
    memcpy(ret, "\x93NUMPY\x01\x00", 8);
    ret[8] = (char)((total - 10) & 255);
    ret[9] = (char)((total - 10) >> 8);
    return total;
}

/* Writes beside the file, under a name that nobody else has, which becomes the file. */
static int save(const yoke_array *a, const void *elements, const char *path, yk_error *e)
{
    static _Atomic unsigned number;
    char first[256];
    yk_buf name = {0};
    yk_buf_printf(&name, "%s.%ld-%u.part", path, (long)getpid(), atomic_fetch_add_explicit(&number, 1, memory_order_relaxed));
    const char *part = yk_buf_str(&name);
    if (name.failed) {
        yk_buf_done(&name);
        return yk_errorf(e, ENOMEM, "no memory");
    }
    int fd = yk_sys.openat(AT_FDCWD, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int err = fd < 0 ? yk_errorf(e, errno, "%s", strerror(errno)) : 0;
    if (err == 0)
        err = put(fd, first, make_header(a, first), e);
    if (err == 0)
        err = put(fd, elements, yoke_array_elements(a) * yoke_array_type_size(a->type), e);
    if (fd >= 0 && close(fd) < 0 && err == 0)
        err = yk_errorf(e, errno, "closing: %s", strerror(errno));
    if (err == 0 && rename(part, path) < 0)
        err = yk_errorf(e, errno, "%s", strerror(errno));
    if (err < 0 && fd >= 0)
        unlink(part);
    yk_buf_done(&name);
    return err;
}

int yoke_array_save(const yoke_array *a, const char *path)
{
    yk_host h;
    yk_error e = {0};
    if (!a || yk_array_is_number(a))
        return -EINVAL;
    if (!path) {
        yk_array_fail(a->stream, EINVAL, "save: the path is NULL");
        return -EINVAL;
    }
    int err = yk_host_of(a, &h);
    if (err < 0)
        return err;
    err = save(a, h.data, path, &e);
    yk_host_done(&h);
    if (err < 0)
        yk_array_fail(a->stream, err, "save: %s: %.250s", end_of(path, 200), e.text);
    return err;
}
