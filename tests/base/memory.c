/* memory.c - buffers and regions under random use, beside a plain model; alignment; every failure of memory; SHA-256 against the
 * published vectors and against itself cut anywhere. */
#include "base/base.h"
#include "base/sha256.h"
#include "test.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Buffers ---- */

TEST(a_buffer_holds_what_was_put)
{
    for (int round = 0; round < 50; round++) {
        yk_buf b = {0};
        static char model[100000];
        size_t len = 0;
        while (len < 60000) {
            char piece[700];
            size_t n = test_random() % (round % 2 ? 20 : sizeof piece);
            for (size_t i = 0; i < n; i++)
                piece[i] = (char)test_random();
            switch (test_random() % 4) {
            case 0:
                yk_buf_put(&b, piece, n);
                break;
            case 1:
                n = n > 0;
                if (n)
                    yk_buf_char(&b, piece[0]);
                break;
            case 2: {
                char *room = yk_buf_room(&b, n);
                CHECK(room || n == 0);
                if (n > 0)
                    memcpy(room, piece, n);
                b.len += n;
                break;
            }
            default:
                n = (size_t)snprintf(piece, sizeof piece, "<%d|%s>", (int)n, "text");
                yk_buf_printf(&b, "<%d|%s>", (int)strtol(piece + 1, NULL, 10), "text");
            }
            memcpy(model + len, piece, n);
            len += n;
            CHECK_INT(b.len, len);
            CHECK(b.cap >= b.len && !b.failed);
        }
        CHECK(memcmp(b.ptr, model, len) == 0);
        CHECK(yk_buf_str(&b)[len] == '\0');
        CHECK_INT(b.len, len);
        yk_buf_done(&b);
        CHECK(b.ptr == NULL && b.len == 0 && b.cap == 0);
    }
}

TEST(growth_is_not_quadratic)
{
    yk_buf b = {0};
    yk_sys_fail("realloc", INT_MAX, ENOMEM);
    for (int i = 0; i < 1000000; i++)
        yk_buf_char(&b, 'x');
    int calls = yk_sys_fail("realloc", 0, 0);
    CHECK(calls > 0 && calls < 20);
    yk_buf_done(&b);
}

TEST(a_buffer_begins_in_borrowed_memory)
{
    char room[16];
    for (size_t n = 0; n < 40; n++) {
        yk_buf b = {.ptr = room, .cap = sizeof room, .borrowed = true};
        for (size_t i = 0; i < n; i++)
            yk_buf_char(&b, (char)('a' + i % 26));
        CHECK(b.borrowed == (n <= sizeof room));
        CHECK((b.ptr == room) == b.borrowed);
        CHECK_INT(b.len, n);
        for (size_t i = 0; i < n; i++)
            CHECK_INT(b.ptr[i], 'a' + i % 26);
        yk_buf_done(&b);
        CHECK(!b.ptr && !b.borrowed);
    }
    yk_buf b = {.ptr = room, .cap = sizeof room, .borrowed = true};
    yk_sys_fail("realloc", 1, ENOMEM);
    CHECK(!yk_buf_room(&b, sizeof room + 1) && b.failed && b.ptr == room);
    yk_buf_done(&b); /* which frees nothing that is not its own */
}

TEST(an_empty_buffer_is_an_empty_text)
{
    yk_buf b = {0};
    CHECK_STR(yk_buf_str(&b), "");
    CHECK_INT(b.len, 0);
    yk_buf_put(&b, NULL, 0);
    yk_buf_text(&b, "");
    CHECK_STR(yk_buf_str(&b), "");
    yk_buf_done(&b);
}

TEST(each_failure_to_grow_is_remembered)
{
    for (int n = 1; n <= 5; n++) {
        yk_buf b = {0};
        yk_sys_fail("realloc", n, ENOMEM);
        size_t good = 0;
        for (int i = 0; i < 10000; i++) {
            yk_buf_text(&b, "0123456789");
            good += !b.failed;
        }
        CHECK(b.failed);
        CHECK_INT(b.len, good * 10); /* whole pieces or nothing */
        yk_buf_printf(&b, "%d", 5);
        CHECK_INT(b.len, good * 10);
        CHECK_STR(yk_buf_str(&b), "");
        yk_sys_fail("realloc", 0, 0);
        yk_buf_text(&b, "later"); /* it sticks though memory is there again */
        CHECK(b.failed);
        yk_buf_done(&b);
        CHECK(!b.failed);
    }
}

TEST(absurd_sizes_are_refused)
{
    yk_buf b = {0};
    yk_buf_text(&b, "some");
    CHECK(yk_buf_room(&b, SIZE_MAX) == NULL);
    CHECK(b.failed);
    yk_buf_done(&b);
    CHECK(yk_buf_room(&b, SIZE_MAX / 2 + 1) == NULL);
    yk_buf_done(&b);
    yk_region r;
    yk_region_init(&r, NULL, 0, NULL);
    CHECK(yk_region_alloc(&r, SIZE_MAX) == NULL);
    CHECK(yk_region_alloc(&r, SIZE_MAX / 2 + 1) == NULL);
    CHECK(yk_region_copy(&r, "", SIZE_MAX) == NULL);
    CHECK(yk_region_alloc(&r, 10) != NULL);
    yk_region_done(&r);
}

/* ---- Regions ---- */

typedef struct piece {
    unsigned char *at;
    size_t size;
    unsigned char fill;
} piece;

static void check_pieces(const piece *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p[i].size; k++)
            CHECK_INT(p[i].at[k], p[i].fill);
}

/* Pieces overlap neither each other nor what follows the buffer. */
TEST(pieces_keep_apart)
{
    enum { PIECES = 300 };
    for (int round = 0; round < 40; round++) {
        _Alignas(16) unsigned char buffer[600 + 16];
        size_t size = test_random() % 600, offset = test_random() % 16;
        memset(buffer, 0xee, sizeof buffer);
        yk_region r;
        yk_region_init(&r, round % 3 ? buffer + offset : NULL, round % 3 ? YK_MIN(size, sizeof buffer - offset) : 0, NULL);
        piece p[PIECES];
        for (size_t i = 0; i < PIECES; i++) {
            static const size_t limits[] = {4, 100, 3000, 20000};
            p[i].size = test_random() % limits[test_random() % 4];
            p[i].fill = (unsigned char)i;
            p[i].at = yk_region_alloc(&r, p[i].size);
            CHECK(p[i].at != NULL);
            CHECK_INT((uintptr_t)p[i].at % (p[i].size >= 4096 ? 64 : 16), 0);
            memset(p[i].at, p[i].fill, p[i].size);
        }
        check_pieces(p, PIECES);
        yk_region_done(&r);
        CHECK(r.chunks == NULL);
        for (size_t i = 0; i < offset; i++)
            CHECK_INT(buffer[i], 0xee);
    }
}

TEST(small_pieces_come_from_the_buffer)
{
    _Alignas(16) char buffer[256];
    yk_region r;
    yk_region_init(&r, buffer, sizeof buffer, NULL);
    yk_sys_fail("posix_memalign", 1, ENOMEM);
    for (int i = 0; i < 16; i++) {
        char *p = yk_region_alloc(&r, 16);
        CHECK(p == buffer + 16 * i);
    }
    CHECK(yk_region_alloc(&r, 1) == NULL); /* full, and there is no memory */
    yk_sys_fail("posix_memalign", 0, 0);
    CHECK(yk_region_alloc(&r, 1) != NULL);
    yk_region_done(&r);
}

TEST(copies_and_texts)
{
    yk_region r;
    yk_region_init(&r, NULL, 0, NULL);
    for (size_t n = 0; n < 9000; n = n * 2 + 1) {
        char *from = malloc(n + 1);
        CHECK(from != NULL);
        memset(from, 'a', n);
        char *copy = yk_region_copy(&r, from, n);
        CHECK(copy && memcmp(copy, from, n) == 0 && copy[n] == '\0');
        from[n] = '\0';
        char *text = yk_region_printf(&r, "[%s]%zu", from, n);
        CHECK(text && text[0] == '[' && text[n + 1] == ']');
        CHECK_INT(strtol(text + n + 2, NULL, 10), n);
        free(from);
    }
    yk_region_done(&r);
}

TEST(every_chunk_may_be_refused)
{
    for (int n = 1; n < 20; n++) {
        yk_region r;
        yk_region_init(&r, NULL, 0, NULL);
        yk_sys_fail("posix_memalign", n, ENOMEM);
        int refused = 0;
        for (size_t i = 0; i < 200; i++) {
            char *p = yk_region_alloc(&r, i * 37 % 9000);
            refused += p == NULL;
            if (p)
                memset(p, 1, i * 37 % 9000);
        }
        CHECK_INT(refused, 1); /* and the next goes on */
        yk_sys_fail("posix_memalign", 0, 0);
        yk_region_done(&r);
    }
}

typedef struct counting {
    yk_source base;
    int taken, given;
} counting;

static void *count_take(yk_source *s, size_t size)
{
    void *p = NULL;
    ((counting *)(void *)s)->taken++;
    return posix_memalign(&p, 64, size) == 0 ? p : NULL;
}

static void count_give(yk_source *s, void *chunk)
{
    ((counting *)(void *)s)->given++;
    free(chunk);
}

TEST(a_source_gets_every_chunk_back)
{
    counting s = {.base = {count_take, count_give}};
    yk_region r;
    yk_region_init(&r, NULL, 0, &s.base);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++)
            CHECK(yk_region_alloc(&r, test_random() % 10000) != NULL);
        CHECK(s.taken > s.given);
        yk_region_done(&r); /* and it can be used again */
        CHECK_INT(s.taken, s.given);
    }
    CHECK(s.taken > 100 && s.taken < 1500);
}

/* ---- Large memory ---- */

/* Whether the memory at p wishes for large pages, as the kernel tells: "hg" among the flags of its mapping. */
static bool wishes_large(const void *p)
{
    char line[512];
    bool inside = false, found = false;
    FILE *f = fopen("/proc/self/smaps", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        unsigned long lo, hi;
        if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
            inside = lo <= (uintptr_t)p && (uintptr_t)p < hi;
        if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " hg") != NULL;
    }
    fclose(f);
    return found;
}

TEST(large_memory_lies_on_large_pages)
{
    enum { LARGE = 5 << 20 };
    char *small = yk_large(256, 1000), *large = yk_large(64, LARGE);
    CHECK(small && (uintptr_t)small % 256 == 0);
    CHECK(large && (uintptr_t)large % (2 << 20) == 0);
    small[999] = large[0] = large[LARGE - 1] = 1;
    CHECK(!wishes_large(small));
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0)
        CHECK(wishes_large(large) && wishes_large(large + LARGE - 1));
    free(small);
    free(large);
}

TEST(no_large_memory)
{
    for (size_t size = 64; size < (size_t)64 << 20; size *= 1024) {
        yk_sys_fail("posix_memalign", 1, ENOMEM);
        CHECK(yk_large(64, size) == NULL);
        CHECK_INT(yk_sys_fail("posix_memalign", 0, 0), 1);
    }
}

/* ---- SHA-256 ---- */

static void check_sha(const void *bytes, size_t n, const char *expected)
{
    yk_sha256 s;
    char hex[65];
    yk_sha256_init(&s);
    yk_sha256_add(&s, bytes, n);
    yk_sha256_hex(&s, hex);
    CHECK_STR(hex, expected);
}

/* FIPS 180-4's examples (csrc.nist.gov, "SHA256.pdf") and RFC 6234's. */
TEST(published_digests)
{
    check_sha("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_sha("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static char million[1000000];
    memset(million, 'a', sizeof million);
    check_sha(million, sizeof million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check_sha("\x19", 1, "68aa2e2ee5dff96e3355e6c7ee373e3d6a4e17f75f9518d843709c0c9bc3e3d4");
}

TEST(the_cut_does_not_matter)
{
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)test_random();
    for (size_t n = 0; n < sizeof bytes; n++) {
        yk_sha256 whole, parts;
        char a[65], b[65];
        yk_sha256_init(&whole);
        yk_sha256_add(&whole, bytes, n);
        yk_sha256_hex(&whole, a);
        yk_sha256_init(&parts);
        for (size_t at = 0, step; at < n; at += step) {
            step = 1 + test_random() % (n - at);
            yk_sha256_add(&parts, bytes + at, step);
        }
        yk_sha256_hex(&parts, b);
        CHECK_STR(a, b);
    }
}

TEST(texts_are_kept_apart)
{
    char first[65], second[65];
    yk_sha256 s;
    yk_sha256_init(&s);
    yk_sha256_add_text(&s, "ab");
    yk_sha256_add_text(&s, "c");
    yk_sha256_hex(&s, first);
    yk_sha256_init(&s);
    yk_sha256_add_text(&s, "a");
    yk_sha256_add_text(&s, "bc");
    yk_sha256_hex(&s, second);
    CHECK(strcmp(first, second) != 0);
}
