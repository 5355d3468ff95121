/* tls_library: the functions of OpenSSL 3 that are used, declared here, so that yoke is built without its headers and runs where
 * it is missing. The one idea is that of src/gpu/cuda.h: a table of functions, filled when it is first needed (tls_load.c).
 * Types are opaque; numbers are those of OpenSSL's headers, which are part of the library's ABI. Only tls*.c include this. */
#ifndef YK_ASYNC_TLS_LIBRARY_H
#define YK_ASYNC_TLS_LIBRARY_H
#include "base/base.h"
#include <time.h>

typedef struct yk_ssl yk_ssl;                     /* SSL */
typedef struct yk_ssl_ctx yk_ssl_ctx;             /* SSL_CTX */
typedef struct yk_ssl_method yk_ssl_method;       /* SSL_METHOD */
typedef struct yk_ssl_session yk_ssl_session;     /* SSL_SESSION */
typedef struct yk_ssl_cipher yk_ssl_cipher;       /* SSL_CIPHER */
typedef struct yk_bio yk_bio;                     /* BIO */
typedef struct yk_bio_method yk_bio_method;       /* BIO_METHOD */
typedef struct yk_x509 yk_x509;                   /* X509 */
typedef struct yk_x509_name yk_x509_name;         /* X509_NAME */
typedef struct yk_x509_checking yk_x509_checking; /* X509_STORE_CTX */
typedef struct yk_x509_rules yk_x509_rules;       /* X509_VERIFY_PARAM */
typedef struct yk_asn1_time yk_asn1_time;         /* ASN1_TIME */
typedef struct yk_asn1_text yk_asn1_text;         /* ASN1_STRING */
typedef struct yk_alt_name yk_alt_name;           /* GENERAL_NAME */
typedef struct yk_stack yk_stack;                 /* OPENSSL_STACK */

typedef int yk_ssl_verify_fn(int good, yk_x509_checking *c);
typedef int yk_ssl_password_fn(char *to, int size, int writing, void *arg);
typedef int yk_ssl_alpn_fn(yk_ssl *s, const unsigned char **ret, unsigned char *ret_len, const unsigned char *in, unsigned len,
                           void *arg);
typedef int yk_ssl_session_fn(yk_ssl *s, yk_ssl_session *session);
typedef int yk_bio_read_fn(yk_bio *b, char *to, int n);
typedef int yk_bio_write_fn(yk_bio *b, const char *from, int n);
typedef long yk_bio_ctrl_fn(yk_bio *b, int what, long number, void *pointer);

enum {
    YK_SSL_ERROR_SSL = 1,
    YK_SSL_ERROR_WANT_READ = 2,
    YK_SSL_ERROR_SYSCALL = 5,
    YK_SSL_ERROR_ZERO_RETURN = 6,

    YK_SSL_VERIFY_NONE = 0,
    YK_SSL_VERIFY_PEER = 1,
    YK_SSL_VERIFY_NEEDS_CERT = 2,

    YK_SSL_CTRL_MODE = 33,
    YK_SSL_CTRL_SESS_CACHE_MODE = 44,
    YK_SSL_CTRL_SET_SERVER_NAME = 55,
    YK_SSL_CTRL_SET_MIN_VERSION = 123,
    YK_SSL_CTRL_SET_MAX_VERSION = 124,
    YK_TLS_1_2 = 0x0303,

    YK_SSL_MODE_PARTIAL_WRITE = 1,
    YK_SSL_MODE_MOVING_BUFFER = 2,
    YK_SSL_MODE_RELEASE_BUFFERS = 16,

    YK_SSL_CACHE_OFF = 0,
    YK_SSL_CACHE_CLIENT = 1,
    YK_SSL_CACHE_SERVER = 2,
    YK_SSL_CACHE_NO_INTERNAL = 0x300,

    YK_SSL_ALPN_OK = 0,
    YK_SSL_ALPN_REFUSE = 2,
    YK_SSL_ALPN_NONE = 3,

    YK_SSL_FILE_PEM = 1,

    YK_BIO_SOURCE_SINK = 0x0400,
    YK_BIO_READ_LATER = 0x09,
    YK_BIO_ALL_RETRIES = 0x0f,
    YK_BIO_CTRL_EOF = 2,
    YK_BIO_CTRL_FLUSH = 11,

    YK_X509_NO_PARTIAL_WILDCARDS = 4,
    YK_NID_COMMON_NAME = 13,
    YK_NID_ALT_NAMES = 85,
    YK_ALT_DNS = 2,
    YK_ALT_IP = 7,
    YK_NAME_RFC2253 = 0x110317,

    YK_ERR_LIB_X509 = 11,
    YK_ERR_LIB_SSL = 20,
};
#define YK_SSL_OP_NO_TICKET ((uint64_t)1 << 14)
#define YK_SSL_OP_NO_RENEGOTIATION ((uint64_t)1 << 30)
/* OpenSSL cleans up after itself in exit(), beneath the feet of threads that still run: it is told not to. */
#define YK_SSL_INIT_NO_ATEXIT ((uint64_t)0x00080000)

/* X(result, name, parameters) */
#define YK_SSL_CALLS(X)                                                                                                \
    X(int, OPENSSL_init_ssl, (uint64_t options, const void *settings))                                                 \
    X(const yk_ssl_method *, TLS_client_method, (void))                                                                \
    X(const yk_ssl_method *, TLS_server_method, (void))                                                                \
    X(yk_ssl_ctx *, SSL_CTX_new, (const yk_ssl_method *m))                                                             \
    X(void, SSL_CTX_free, (yk_ssl_ctx * c))                                                                            \
    X(long, SSL_CTX_ctrl, (yk_ssl_ctx * c, int what, long number, void *pointer))                                      \
    X(uint64_t, SSL_CTX_set_options, (yk_ssl_ctx * c, uint64_t options))                                               \
    X(void, SSL_CTX_set_verify, (yk_ssl_ctx * c, int mode, yk_ssl_verify_fn *fn))                                      \
    X(int, SSL_CTX_set_default_verify_paths, (yk_ssl_ctx * c))                                                         \
    X(int, SSL_CTX_load_verify_file, (yk_ssl_ctx * c, const char *file))                                               \
    X(yk_stack *, SSL_load_client_CA_file, (const char *file))                                                         \
    X(void, SSL_CTX_set_client_CA_list, (yk_ssl_ctx * c, yk_stack *names))                                             \
    X(int, SSL_CTX_use_certificate_chain_file, (yk_ssl_ctx * c, const char *file))                                     \
    X(int, SSL_CTX_use_PrivateKey_file, (yk_ssl_ctx * c, const char *file, int format))                                \
    X(int, SSL_CTX_check_private_key, (const yk_ssl_ctx *c))                                                           \
    X(void, SSL_CTX_set_default_passwd_cb, (yk_ssl_ctx * c, yk_ssl_password_fn *fn))                                   \
    X(void, SSL_CTX_set_default_passwd_cb_userdata, (yk_ssl_ctx * c, void *arg))                                       \
    X(int, SSL_CTX_set_alpn_protos, (yk_ssl_ctx * c, const unsigned char *names, unsigned len))                        \
    X(void, SSL_CTX_set_alpn_select_cb, (yk_ssl_ctx * c, yk_ssl_alpn_fn *fn, void *arg))                               \
    X(int, SSL_CTX_set_session_id_context, (yk_ssl_ctx * c, const unsigned char *id, unsigned len))                    \
    X(void, SSL_CTX_sess_set_new_cb, (yk_ssl_ctx * c, yk_ssl_session_fn *fn))                                          \
    X(int, SSL_CTX_set_num_tickets, (yk_ssl_ctx * c, size_t n))                                                        \
    X(yk_ssl_session *, SSL_get1_session, (yk_ssl * s))                                                                \
    X(void, SSL_SESSION_free, (yk_ssl_session * s))                                                                    \
    X(int, SSL_SESSION_is_resumable, (const yk_ssl_session *s))                                                        \
    X(yk_ssl *, SSL_new, (yk_ssl_ctx * c))                                                                             \
    X(void, SSL_free, (yk_ssl * s))                                                                                    \
    X(int, SSL_set_ex_data, (yk_ssl * s, int index, void *data))                                                       \
    X(void *, SSL_get_ex_data, (const yk_ssl *s, int index))                                                           \
    X(int, SSL_get_ex_data_X509_STORE_CTX_idx, (void))                                                                 \
    X(void, SSL_set_bio, (yk_ssl * s, yk_bio * in, yk_bio * out))                                                      \
    X(void, SSL_set_connect_state, (yk_ssl * s))                                                                       \
    X(void, SSL_set_accept_state, (yk_ssl * s))                                                                        \
    X(long, SSL_ctrl, (yk_ssl * s, int what, long number, void *pointer))                                              \
    X(int, SSL_set1_host, (yk_ssl * s, const char *name))                                                              \
    X(void, SSL_set_hostflags, (yk_ssl * s, unsigned flags))                                                           \
    X(yk_x509_rules *, SSL_get0_param, (yk_ssl * s))                                                                   \
    X(int, SSL_set_session, (yk_ssl * s, yk_ssl_session * session))                                                    \
    X(int, SSL_session_reused, (const yk_ssl *s))                                                                      \
    X(int, SSL_do_handshake, (yk_ssl * s))                                                                             \
    X(int, SSL_read_ex, (yk_ssl * s, void *to, size_t n, size_t *ret))                                                 \
    X(int, SSL_write_ex, (yk_ssl * s, const void *from, size_t n, size_t *ret))                                        \
    X(int, SSL_has_pending, (const yk_ssl *s))                                                                         \
    X(int, SSL_shutdown, (yk_ssl * s))                                                                                 \
    X(int, SSL_get_error, (const yk_ssl *s, int result))                                                               \
    X(const char *, SSL_get_version, (const yk_ssl *s))                                                                \
    X(const yk_ssl_cipher *, SSL_get_current_cipher, (const yk_ssl *s))                                                \
    X(const char *, SSL_CIPHER_get_name, (const yk_ssl_cipher *c))                                                     \
    X(void, SSL_get0_alpn_selected, (const yk_ssl *s, const unsigned char **ret, unsigned *ret_len))                   \
    X(const char *, SSL_get_servername, (const yk_ssl *s, int type))                                                   \
    X(yk_x509 *, SSL_get0_peer_certificate, (const yk_ssl *s))                                                         \
    X(yk_bio_method *, BIO_meth_new, (int type, const char *name))                                                     \
    X(int, BIO_meth_set_read, (yk_bio_method * m, yk_bio_read_fn *fn))                                                 \
    X(int, BIO_meth_set_write, (yk_bio_method * m, yk_bio_write_fn *fn))                                               \
    X(int, BIO_meth_set_ctrl, (yk_bio_method * m, yk_bio_ctrl_fn *fn))                                                 \
    X(void, BIO_meth_free, (yk_bio_method * m))                                                                        \
    X(int, BIO_get_new_index, (void))                                                                                  \
    X(const yk_bio_method *, BIO_s_mem, (void))                                                                        \
    X(yk_bio *, BIO_new, (const yk_bio_method *m))                                                                     \
    X(int, BIO_free, (yk_bio * b))                                                                                     \
    X(int, BIO_read, (yk_bio * b, void *to, int n))                                                                    \
    X(void, BIO_set_data, (yk_bio * b, void *data))                                                                    \
    X(void *, BIO_get_data, (yk_bio * b))                                                                              \
    X(void, BIO_set_init, (yk_bio * b, int value))                                                                     \
    X(void, BIO_set_flags, (yk_bio * b, int flags))                                                                    \
    X(void, BIO_clear_flags, (yk_bio * b, int flags))                                                                  \
    X(void, ERR_clear_error, (void))                                                                                   \
    X(unsigned long, ERR_peek_error, (void))                                                                           \
    X(unsigned long, ERR_peek_last_error, (void))                                                                      \
    X(const char *, ERR_reason_error_string, (unsigned long error))                                                    \
    X(int, X509_VERIFY_PARAM_set1_ip_asc, (yk_x509_rules * r, const char *address))                                    \
    X(const char *, X509_verify_cert_error_string, (long error))                                                       \
    X(int, X509_STORE_CTX_get_error, (const yk_x509_checking *c))                                                      \
    X(yk_x509 *, X509_STORE_CTX_get_current_cert, (const yk_x509_checking *c))                                         \
    X(int, X509_STORE_CTX_get_error_depth, (const yk_x509_checking *c))                                                \
    X(void *, X509_STORE_CTX_get_ex_data, (const yk_x509_checking *c, int index))                                      \
    X(yk_x509_name *, X509_get_subject_name, (const yk_x509 *x))                                                       \
    X(yk_x509_name *, X509_get_issuer_name, (const yk_x509 *x))                                                        \
    X(int, X509_NAME_get_text_by_NID, (const yk_x509_name *n, int nid, char *to, int size))                            \
    X(int, X509_NAME_print_ex, (yk_bio * to, const yk_x509_name *n, int indent, unsigned long flags))                  \
    X(const yk_asn1_time *, X509_get0_notBefore, (const yk_x509 *x))                                                   \
    X(const yk_asn1_time *, X509_get0_notAfter, (const yk_x509 *x))                                                    \
    X(int, ASN1_TIME_to_tm, (const yk_asn1_time *t, struct tm *ret))                                                   \
    X(void *, X509_get_ext_d2i, (const yk_x509 *x, int nid, int *ret_critical, int *at))                               \
    X(int, OPENSSL_sk_num, (const yk_stack *s))                                                                        \
    X(void *, OPENSSL_sk_value, (const yk_stack *s, int i))                                                            \
    X(void *, GENERAL_NAME_get0_value, (const yk_alt_name *n, int *ret_type))                                          \
    X(void, GENERAL_NAMES_free, (yk_stack * names))                                                                    \
    X(const unsigned char *, ASN1_STRING_get0_data, (const yk_asn1_text *s))                                           \
    X(int, ASN1_STRING_length, (const yk_asn1_text *s))

#define YK_SSL_FIELD(result, name, parameters) result(*name) parameters;
typedef struct yk_ssl_table {
    YK_SSL_CALLS(YK_SSL_FIELD)
} yk_ssl_table;
extern yk_ssl_table yk_ssl_lib;

/* Opens the library unless it is open; every other use of yk_ssl_lib comes after a call that returned 0. A failure is not kept:
 * the next call tries again. -ENOTSUP, with the sentence in e. */
int yk_ssl_load(yk_error *e);

/* The lib and the reason in a number of OpenSSL's queue of errors, and whether it means that memory ran out. */
int yk_ssl_lib_of(unsigned long error);
int yk_ssl_reason_of(unsigned long error);
bool yk_ssl_no_memory(unsigned long error);

#endif
