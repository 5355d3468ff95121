/* map_input: the records of `yoke map`, from standard input, files or the command line, numbered from 1. */
#ifndef YK_MAP_INPUT_H
#define YK_MAP_INPUT_H
#include "base/base.h"

/* A longer record is an error. */
#define YK_RECORD_MAX ((size_t)64 << 20)
#define YK_INPUT_BLOCK ((size_t)256 << 10)

typedef struct yk_record {
    const char *text; /* valid until the next yk_input_fill(); "" when too_long */
    size_t len;
    uint64_t number;
    bool too_long;
} yk_record;

/* Sources are read one after the other; a record never spans two. */
typedef struct yk_input {
    const char *const *paths; /* "-" is standard input */
    size_t npaths, path;      /* path: the next to open */
    const char *const *words; /* instead of files: the records themselves */
    size_t nwords, word;
    char separator;
    int fd;                   /* of the open source, or -1 */
    const char *name;         /* of the open source, for messages */
    char *buffer;
    size_t cap, start, end;   /* unread bytes lie from start to end */
    size_t scanned;           /* bytes after start that hold no separator */
    size_t max;               /* longest record; YK_RECORD_MAX */
    bool skipping;            /* inside a record that is too long */
    bool ended;               /* the open source has no more bytes */
    uint64_t number;          /* of the last record */
    uint64_t bytes;           /* read so far */
    uint64_t total_bytes;     /* of all sources, when all are regular files; else 0 */
} yk_input;

/* Checks that every file can be opened; no paths and no words: standard input. The arrays must live on. 0 or a negative
 * code with its text. */
int yk_input_open(yk_input *in, const char *const *paths, size_t npaths, const char *const *words, size_t nwords,
                  char separator, yk_error *e);
/* 1: *ret is the next record. 0: call yk_input_fill() first. -ENODATA: there are no more. */
int yk_input_next(yk_input *in, yk_record *ret);
/* Reads once; may block, unless poll() says that in->fd is readable. Opens the next source when there is one (then in->fd
 * changes and nothing has been read). 0, -EINTR, or an error with its text. */
int yk_input_fill(yk_input *in, yk_error *e);
void yk_input_close(yk_input *in);

#endif
