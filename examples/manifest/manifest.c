/* manifest: size, lines, words and SHA-256 of one file. `make run` maps it over every file of a folder:
 *
 *     find /usr/share/doc -type f -print0 | yoke map manifest.c:entry --on processes --null --input text
 *
 * A line is what ends with a newline, a word is a run of bytes that are not blanks. The checksum comes last but one and the
 * path last, so that a list for sha256sum -c can be cut out with sed. */
// yoke-flags: -lcrypto
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

YOKE_TASK(yoke_json, entry, (const char *, path, "the file to read"))
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    counts c = {0};
    yoke_json entry = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        yoke_fail(errno, "%s: %s", path, strerror(errno));
        return entry;
    }
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    unsigned char *block = malloc(BLOCK);
    if (!sha || !block || !EVP_DigestInit_ex(sha, EVP_sha256(), NULL)) {
        yoke_fail(ENOMEM, "%s: no memory to read it", path);
    } else {
        int err = digest(fd, block, sha, &c);
        if (err)
            yoke_fail(err, "%s: %s", path, strerror(err));
        else if (!EVP_DigestFinal_ex(sha, sum, NULL))
            yoke_fail(EIO, "%s: no checksum", path);
        else
            entry = entry_text(path, &c, sum);
    }
    free(block);
    EVP_MD_CTX_free(sha);
    close(fd);
    return entry;
}
