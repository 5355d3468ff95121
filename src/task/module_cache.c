/* module_cache: what has been compiled already, by content.
 *
 *     KEY.deps     for one source, compiler and flags: the files it included when it was last compiled, with size, time and hash
 *     KEY2.so      the object for KEY and exactly those contents
 *     KEY.lock     held while one process compiles; the others wait and then find the result
 *
 * KEY is the SHA-256 of the source, its path, the compiler's identity, the flags and the state of the objects and
 * libraries that they name; KEY2 of KEY and the hashes of the included files, the system's and yoke's own among them.
 * Flags that name further sources are compiled each time, for the compiler tells what the last of several included only.
 * A file whose size and time of change are as recorded is not read again. Everything is written under another name and
 * renamed, so that at no moment there is half a file; a lock vanishes with its owner. What was compiled while its source
 * was edited, or cannot be kept because the disk is full, is used once. */
#include "task/module.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEEP_SECONDS (30 * 24 * 3600)
#define KEEP_BYTES ((size_t)512 << 20)
#define STALE_SECONDS 3600 /* no compiler runs that long: what it was to write is left over from one that was killed */
#define FILE_LIMIT ((size_t)64 << 20)
enum { PROBE = 1 << 20, FOLDER_MAX = 3900 }; /* so that every name in it fits PATH_MAX */

int yk_read_file(const char *path, size_t limit, yk_buf *ret)
{
    int fd = yk_sys.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct stat st;
    int err = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : S_ISREG(st.st_mode) ? 0 : -EINVAL;
    while (err == 0) {
        char *room = yk_buf_room(ret, 65536);
        ssize_t n = room ? yk_sys.read(fd, room, 65536) : 0;
        if (!room)
            err = -ENOMEM;
        else if (n < 0 && errno != EINTR)
            err = -errno;
        else if (n == 0)
            break;
        else if (n > 0 && (ret->len += (size_t)n) > limit)
            err = -EFBIG;
    }
    close(fd);
    return err;
}

/* ---- Keys ---- */

static void add_identity(yk_sha256 *h, const char *path)
{
    struct stat st = {0};
    char text[100];
    if (stat(path, &st) < 0)
        st.st_size = -1;
    snprintf(text, sizeof text, "%lld %lld.%ld", (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    yk_sha256_add_text(h, path);
    yk_sha256_add_text(h, text);
}

/* What else decides what the compiler does: the variables that it reads, and for flags the folder they are relative to. */
static void add_surroundings(yk_sha256 *h, const yk_recipe *r)
{
    static const char *const names[] = {"CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"};
    char folder[PATH_MAX] = "";
    for (size_t i = 0; i < YK_COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        yk_sha256_add_text(h, value ? value : "");
    }
    yk_sha256_add_text(h, r->count > r->source_at + 1 && getcwd(folder, sizeof folder) ? folder : "");
}

static bool is_suffix_of(const char *suffix, const char *text)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n > m && strcmp(text + n - m, suffix) == 0;
}

/* Whether the flags name more sources, or a file with more flags. */
static bool has_more_sources(const yk_recipe *r)
{
    static const char *const sources[] = {".c", ".cc", ".cpp", ".cxx", ".C", ".s", ".S", ".i", ".ii", ".m", ".f", ".f90", ".F90"};
    for (size_t i = r->source_at + 1; i < r->count; i++) {
        if (r->words[i][0] == '@')
            return true;
        for (size_t k = 0; r->words[i][0] != '-' && k < YK_COUNT_OF(sources); k++)
            if (is_suffix_of(sources[k], r->words[i]))
                return true;
    }
    return false;
}

/* The libraries that -lNAME may mean in one folder of -L. */
static void add_library(yk_sha256 *h, const char *folder, const char *library)
{
    static const char *const suffixes[] = {".so", ".a"};
    char path[PATH_MAX];
    for (size_t i = 0; i < YK_COUNT_OF(suffixes); i++) {
        bool named = *library == ':';
        int n = snprintf(path, sizeof path, "%s/%s%s%s", folder, named ? "" : "lib", library + named, named ? "" : suffixes[i]);
        if (n < (int)sizeof path)
            add_identity(h, path);
    }
}

/* The value of an option: "-Lx", or "-L" "x". NULL: another word. */
static const char *value_of(const yk_recipe *r, size_t i, char letter)
{
    const char *word = r->words[i];
    if (word[0] != '-' || word[1] != letter)
        return NULL;
    return word[2] || i + 1 == r->count ? word + 2 : r->words[i + 1];
}

/* Objects and libraries that the flags name: their size and time. */
static void add_inputs(yk_sha256 *h, const yk_recipe *r)
{
    for (size_t i = r->source_at + 1; i < r->count; i++) {
        struct stat st;
        if (r->words[i][0] != '-' && stat(r->words[i], &st) == 0 && S_ISREG(st.st_mode))
            add_identity(h, r->words[i]);
        const char *library = value_of(r, i, 'l');
        for (size_t k = r->source_at + 1; library && k < r->count; k++)
            if (value_of(r, k, 'L'))
                add_library(h, value_of(r, k, 'L'), library);
    }
}

static void first_key(const yk_recipe *r, const char *text, size_t len, char key[65])
{
    yk_sha256 h;
    char full[PATH_MAX];
    yk_sha256_init(&h);
    yk_sha256_add_text(&h, "yoke module " YOKE_VERSION);
    add_identity(&h, r->compiler);
    add_surroundings(&h, r);
    add_inputs(&h, r);
    for (size_t i = 0; i < r->count; i++)
        if (i != r->source_at)
            yk_sha256_add_text(&h, r->words[i]);
    yk_sha256_add_text(&h, realpath(r->source, full) ? full : r->source); /* "..." includes are relative to it */
    yk_sha256_add(&h, text, len);
    yk_sha256_hex(&h, key);
}

static int hash_file(const char *path, char hex[65])
{
    yk_buf text = {0};
    int err = yk_read_file(path, FILE_LIMIT, &text);
    yk_sha256 h;
    yk_sha256_init(&h);
    yk_sha256_add(&h, text.ptr ? text.ptr : "", text.len);
    yk_sha256_hex(&h, hex);
    yk_buf_done(&text);
    return err;
}

/* ---- The list of included files: lines "SIZE SECONDS NANOSECONDS HASH PATH" ---- */

/* Adds the present hash of one recorded file to h; false when it is gone. */
static bool add_recorded(yk_sha256 *h, char *line)
{
    long long size, seconds;
    long nanoseconds;
    char recorded[65], now[65];
    int at = 0;
    struct stat st;
    if (sscanf(line, "%lld %lld %ld %64s %n", &size, &seconds, &nanoseconds, recorded, &at) != 4 || at == 0 ||
        stat(line + at, &st) < 0)
        return false;
    bool same = st.st_size == size && st.st_ctim.tv_sec == seconds && st.st_ctim.tv_nsec == nanoseconds;
    if (!same && hash_file(line + at, now) < 0)
        return false;
    yk_sha256_add_text(h, line + at);
    yk_sha256_add_text(h, same ? recorded : now);
    return true;
}

/* KEY2 from KEY and a list; false when a file of the list is gone. Cuts the list into lines. */
static bool second_key(const char *key, yk_buf *list, char key2[65])
{
    yk_sha256 h;
    yk_sha256_init(&h);
    yk_sha256_add_text(&h, key);
    yk_buf_str(list);
    bool ok = !list->failed;
    for (char *line = list->ptr, *end; ok && *line; line = end + 1) {
        end = strchr(line, '\n');
        if (!end)
            return false; /* cut off */
        *end = '\0';
        ok = add_recorded(&h, line);
    }
    yk_sha256_hex(&h, key2);
    return ok;
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* -ESTALE when the file changed after the compiler was started: perhaps it has seen what was there before. */
static int record(yk_buf *list, const char *path, const struct timespec *start)
{
    struct stat st;
    char hex[65];
    if (strchr(path, '\n') || stat(path, &st) < 0)
        return -EINVAL;
    if (later(&st.st_ctim, start))
        return -ESTALE;
    int err = hash_file(path, hex);
    if (err == 0)
        yk_buf_printf(list, "%lld %lld %ld %s %s\n", (long long)st.st_size, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec, hex,
                      path);
    return err;
}

/* Takes one name out of a make rule; returns what follows it. As compilers write them: 2 n + 1 backslashes before a blank are n
 * of them and the blank, 2 n end the name; one quotes "#" and ":"; "$" is doubled; any other backslash is itself. */
static const char *take_name(const char *p, char path[PATH_MAX])
{
    size_t n = 0;
    while (*p == ' ' || *p == '\n' || (*p == '\\' && p[1] == '\n'))
        p++;
    while (*p && n < PATH_MAX - 1) {
        size_t slashes = strspn(p, "\\"), own = slashes;
        char c = p[slashes];
        bool blank = c == ' ' || c == '\t', quoted = slashes > 0 && (c == '#' || c == ':');
        if (blank) {
            quoted = slashes % 2;
            own = slashes / 2;
        } else if (quoted || (slashes > 0 && c == '\n')) {
            own = slashes - 1;
        }
        while (own-- > 0 && n < PATH_MAX - 1)
            path[n++] = '\\';
        p += slashes;
        if (c == '\0' || c == '\n' || (blank && !quoted) || n == PATH_MAX - 1)
            break;
        p += c == '$' && p[1] == '$' ? 2 : 1;
        path[n++] = c;
    }
    path[n] = '\0';
    return p;
}

/* Reads the make rule that the compiler wrote (-MD): "m: source header header \ newline ...". A name that means no file is one
 * that this cannot read, so nothing is known about when it changes: an error. */
static int record_rule(yk_buf *list, const char *rule, const char *source, const struct timespec *start)
{
    const char *p = strstr(rule, ": ");
    char path[PATH_MAX], full[PATH_MAX];
    int err = 0;
    for (p = p ? p + 2 : ""; *p && err == 0;) {
        p = take_name(p, path);
        if (*path && strcmp(path, source) != 0)
            err = realpath(path, full) ? record(list, full, start) : -errno;
    }
    return err;
}

/* ---- The folder ---- */

bool yk_is_private(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == 0) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static void make_folder(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(path, 0700);
            *p = '/';
        }
    mkdir(path, 0700);
}

yk_cache_state yk_cache_folder(char folder[PATH_MAX])
{
    *folder = '\0';
    const char *own = getenv("YOKE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (own && *own)
        n = snprintf(folder, PATH_MAX, "%s", own);
    else if (xdg && *xdg == '/')
        n = snprintf(folder, PATH_MAX, "%s/yoke", xdg);
    else if (home && *home == '/')
        n = snprintf(folder, PATH_MAX, "%s/.cache/yoke", home);
    if (n <= 0 || n >= FOLDER_MAX) {
        *folder = '\0';
        return YK_CACHE_NONE;
    }
    make_folder(folder);
    if (access(folder, F_OK) != 0)
        return YK_CACHE_NONE;
    if (!yk_is_private(folder))
        return YK_CACHE_FOREIGN;
    return access(folder, W_OK | X_OK) == 0 ? YK_CACHE_WRITABLE : YK_CACHE_READ_ONLY;
}

/* The folder is the user's to choose, so what else lies in it is not touched. */
static bool is_entry(const char *name)
{
    return strspn(name, "0123456789abcdef") == 64 && name[64] == '.';
}

void yk_cache_prune(const char *folder, size_t most)
{
    DIR *dir = opendir(folder);
    static const time_t ages[] = {KEEP_SECONDS, 24 * 3600, 3600, 60}; /* too much: what was used last stays */
    time_t now = time(NULL);
    for (size_t pass = 0; dir && pass < YK_COUNT_OF(ages); pass++) {
        time_t limit = now - ages[pass];
        off_t total = 0;
        rewinddir(dir);
        for (struct dirent *e; (e = readdir(dir));) {
            struct stat st;
            if (!is_entry(e->d_name) || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            bool half = is_suffix_of(".tmp", e->d_name) || is_suffix_of(".d", e->d_name);
            if (st.st_mtime < (half ? now - STALE_SECONDS : limit))
                unlinkat(dirfd(dir), e->d_name, 0);
            else
                total += st.st_size;
        }
        if (total <= (off_t)most)
            break;
    }
    if (dir)
        closedir(dir);
}

int yk_write_file(const char *path, const yk_buf *text)
{
    int fd = yk_sys.openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err = 0;
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < text->len && err == 0;) {
        ssize_t n = yk_sys.write(fd, text->ptr + at, text->len - at);
        if (n < 0 && errno != EINTR)
            err = -errno;
        else if (n > 0)
            at += (size_t)n;
    }
    if (close(fd) < 0 && err == 0)
        err = -errno;
    return err;
}

/* ---- Finding and making ---- */

typedef struct entry {
    const yk_recipe *recipe;
    const char *text; /* the source's, len bytes */
    size_t len;
    char folder[PATH_MAX], key[65];
} entry;

static void name(const entry *n, char path[PATH_MAX], const char *key, const char *suffix)
{
    snprintf(path, PATH_MAX, "%.3900s/%s%s", n->folder, key, suffix);
}

static bool look_up(const entry *n, char path[PATH_MAX])
{
    char deps[PATH_MAX], key2[65];
    yk_buf list = {0};
    name(n, deps, n->key, ".deps");
    bool found = yk_read_file(deps, FILE_LIMIT, &list) == 0 && second_key(n->key, &list, key2);
    yk_buf_done(&list);
    if (!found)
        return false;
    name(n, path, key2, ".so");
    if (access(path, R_OK) != 0)
        return false;
    utimensat(AT_FDCWD, path, NULL, 0); /* used now: yk_cache_prune() goes by this */
    utimensat(AT_FDCWD, deps, NULL, 0);
    return true;
}

/* Without a folder of our own: once, in the temporary folder. */
static int make_temporary(const yk_recipe *r, char path[PATH_MAX], yk_buf *why)
{
    char folder[PATH_MAX], rule[PATH_MAX];
    int err = yk_temporary_make(folder);
    if (err < 0) {
        yk_buf_printf(why, "cannot write to a cache folder nor to %s: %s", folder, yoke_strerror(err));
        return err;
    }
    snprintf(path, PATH_MAX, "%.4000s/m.so", folder);
    snprintf(rule, sizeof rule, "%.4000s/m.d", folder);
    err = yk_recipe_run(r, path, rule, why);
    unlink(rule);
    if (err < 0)
        yk_temporary_remove(folder);
    return err;
}

/* Whether the folder takes no more: asked when a compile failed, since that may be why. */
static bool is_full(const char *probe)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur < PROBE)
        return true; /* to try it would end the process by SIGXFSZ */
    int fd = yk_sys.openat(AT_FDCWD, probe, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool full = fd < 0 || posix_fallocate(fd, 0, PROBE) != 0;
    if (fd >= 0)
        close(fd);
    unlink(probe);
    return full;
}

static bool still_is(const char *path, const char *text, size_t len)
{
    yk_buf now = {0};
    bool same = yk_read_file(path, FILE_LIMIT, &now) == 0 && now.len == len && (len == 0 || memcmp(now.ptr, text, len) == 0);
    yk_buf_done(&now);
    return same;
}

/* Two renames make it visible, the list last. */
static int keep(const entry *n, const char *object, const char *rule, const struct timespec *start, char path[PATH_MAX])
{
    char deps[PATH_MAX], key2[65];
    yk_buf text = {0}, list = {0}, copy = {0};
    int err = still_is(n->recipe->source, n->text, n->len) ? yk_read_file(rule, FILE_LIMIT, &text) : -ESTALE;
    if (err == 0)
        err = record_rule(&list, yk_buf_str(&text), n->recipe->source, start);
    if (err == 0 && list.len > 0)
        yk_buf_put(&copy, list.ptr, list.len);
    if (err == 0 && (!second_key(n->key, &copy, key2) || list.failed || text.failed))
        err = -ENOMEM;
    if (err == 0)
        err = yk_write_file(rule, &list);
    if (err == 0) {
        name(n, path, key2, ".so");
        name(n, deps, n->key, ".deps");
        if (rename(object, path) < 0)
            err = -errno;
        else
            rename(rule, deps); /* else it is compiled again */
    }
    yk_buf_done(&text);
    yk_buf_done(&list);
    yk_buf_done(&copy);
    return err;
}

/* Compiles into the folder. */
static int make(const entry *n, char path[PATH_MAX], bool *temporary, yk_buf *why)
{
    char object[PATH_MAX], rule[PATH_MAX], own[32];
    struct timespec start;
    static unsigned count; /* loads run one at a time; the loader would take a file for one of the same name before */
    snprintf(own, sizeof own, ".%ld-%u.tmp", (long)getpid(), ++count);
    name(n, object, n->key, own);
    snprintf(own, sizeof own, ".%ld-%u.d", (long)getpid(), count);
    name(n, rule, n->key, own);
    clock_gettime(CLOCK_REALTIME, &start);
    int err = yk_recipe_run(n->recipe, object, rule, why);
    if (err < 0) {
        unlink(rule);
        if (is_full(object)) {
            why->len = 0;
            *temporary = true;
            err = make_temporary(n->recipe, path, why);
        }
        return err;
    }
    if (keep(n, object, rule, &start, path) < 0) { /* then this once */
        *temporary = true;
        snprintf(path, PATH_MAX, "%s", object);
    }
    unlink(rule);
    yk_cache_prune(n->folder, KEEP_BYTES);
    yk_temporary_sweep();
    return 0;
}

int yk_cache_find(const yk_recipe *r, const char *text, size_t len, bool fresh, char path[PATH_MAX], bool *temporary, yk_buf *why)
{
    entry n = {.recipe = r, .text = text, .len = len};
    *temporary = false;
    yk_cache_state state = has_more_sources(r) ? YK_CACHE_NONE : yk_cache_folder(n.folder);
    first_key(r, text, len, n.key);
    if (!fresh && (state == YK_CACHE_WRITABLE || state == YK_CACHE_READ_ONLY) && look_up(&n, path))
        return 0;
    if (state != YK_CACHE_WRITABLE) {
        *temporary = true;
        return make_temporary(r, path, why);
    }
    char lock[PATH_MAX];
    name(&n, lock, n.key, ".lock");
    int fd = yk_sys.openat(AT_FDCWD, lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = 0;
    if (fd >= 0)
        while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
            ;
    /* Somebody else may have made it while we waited. */
    if (fresh || !look_up(&n, path))
        err = make(&n, path, temporary, why);
    if (fd >= 0)
        close(fd);
    return err;
}
