/* manifest: size, lines, words and SHA-256 of one file. `make run` maps it over every file of a folder:
 *
 *     find /usr/share/doc -type f -print0 | yoke map manifest.c:entry --on processes --null --input text
 *
 * A line is what ends with a newline, a word is a run of bytes that are not blanks. The checksum comes last but one and the
 * path last, so that a list for sha256sum -c can be cut out with sed.
 *
 * Names of files are bytes, JSON is UTF-8. A name that is not UTF-8 is given as a URI, file:NAME with %XX for bytes that do not
 * fit, and stays one in the answer. */
// yoke-flags: -lcrypto
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoke.h>

enum { BLOCK = 1 << 18 };

typedef struct counts {
    unsigned long long bytes, lines, words;
    int inside; /* the last byte was part of a word */
} counts;

static int is_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void count(counts *c, const unsigned char *block, size_t n)
{
    c->bytes += n;
    for (size_t i = 0; i < n; i++) {
        int inside = !is_blank(block[i]);
        c->lines += block[i] == '\n';
        c->words += inside && !c->inside;
        c->inside = inside;
    }
}

/* Reads the file to its end. 0 or an errno value. */
static int digest(int fd, unsigned char *block, EVP_MD_CTX *sha, counts *c)
{
    ssize_t n;
    while ((n = read(fd, block, BLOCK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        count(c, block, (size_t)n);
        if (!EVP_DigestUpdate(sha, block, (size_t)n))
            return EIO;
        if (yoke_cancelled())
            return ECANCELED;
    }
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The name in a file: URI, in place of it; what %00 would cut off, and a % without two digits, stay as they are. */
static void decode(char *text)
{
    char *to = text;
    for (const char *p = text + 5; *p; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1, low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0 || high + low == 0) {
            *to++ = *p;
        } else {
            *to++ = (char)(high << 4 | low);
            p += 2;
        }
    }
    *to = '\0';
}

/* The path as a JSON string; returns its end. Room for six bytes for each of the path's and two quotes. */
static char *quote(char *to, const char *path)
{
    *to++ = '"';
    for (; *path; path++) {
        if ((unsigned char)*path < ' ') {
            to += snprintf(to, 7, "\\u%04x", (unsigned)*path);
        } else {
            if (*path == '"' || *path == '\\')
                *to++ = '\\';
            *to++ = *path;
        }
    }
    *to++ = '"';
    return to;
}

static yoke_json entry_text(const char *path, const counts *c, const unsigned char sum[32])
{
    size_t room = 6 * strlen(path) + 256;
    char *text = yoke_alloc(room), *end = text;
    if (!text) {
        yoke_fail(ENOMEM, "no memory for the entry of %s", path);
        return (yoke_json){0};
    }
    end += snprintf(end, room, "{\"bytes\":%llu,\"lines\":%llu,\"words\":%llu,\"sha256\":\"", c->bytes, c->lines, c->words);
    for (int i = 0; i < 32; i++)
        end += snprintf(end, 3, "%02x", sum[i]);
    memcpy(end, "\",\"path\":", 9);
    end = quote(end + 9, path);
    *end++ = '}';
    return (yoke_json){text, (size_t)(end - text)};
}

/* Opens a regular file; anything else, such as a FIFO, might make us wait. -1 and errno. */
static int open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    return -1;
}

/* Answers and fails with what the caller gave, which is UTF-8, and not with the name, which may be anything. */
static yoke_json read_entry(const char *given, const char *path)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    counts c = {0};
    yoke_json entry = {0};
    int fd = open_regular(path);
    if (fd < 0) {
        yoke_fail(errno, "%s: %s", given, strerror(errno));
        return entry;
    }
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    unsigned char *block = malloc(BLOCK);
    if (!sha || !block || !EVP_DigestInit_ex(sha, EVP_sha256(), NULL)) {
        yoke_fail(ENOMEM, "%s: no memory to read it", given);
    } else {
        int err = digest(fd, block, sha, &c);
        if (err)
            yoke_fail(err, "%s: %s", given, strerror(err));
        else if (!EVP_DigestFinal_ex(sha, sum, NULL))
            yoke_fail(EIO, "%s: no checksum", given);
        else
            entry = entry_text(given, &c, sum);
    }
    free(block);
    EVP_MD_CTX_free(sha);
    close(fd);
    return entry;
}

YOKE_TASK(yoke_json, entry, (const char *, path, "the file to read, or its file: URI"))
{
    if (strncmp(path, "file:", 5) != 0)
        return read_entry(path, path);
    char *name = strdup(path);
    if (!name) {
        yoke_fail(ENOMEM, "%s: no memory for its name", path);
        return (yoke_json){0};
    }
    decode(name);
    yoke_json entry = read_entry(path, name);
    free(name);
    return entry;
}
