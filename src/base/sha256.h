/* sha256: the SHA-256 of FIPS 180-4, for names that stand for contents. */
#ifndef YK_SHA256_H
#define YK_SHA256_H
#include <stddef.h>
#include <stdint.h>

typedef struct yk_sha256 {
    uint32_t h[8];
    uint64_t len;
    unsigned char block[64];
} yk_sha256;

void yk_sha256_init(yk_sha256 *s);
void yk_sha256_add(yk_sha256 *s, const void *bytes, size_t n);
/* Adds text with its NUL, so that "ab" "c" and "a" "bc" differ. */
void yk_sha256_add_text(yk_sha256 *s, const char *text);
/* 64 hexadecimal digits and a NUL. */
void yk_sha256_hex(yk_sha256 *s, char hex[65]);
#endif
