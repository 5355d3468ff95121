/* certificates.h - certificates for tests, made by the openssl command when the first test asks for them, in a folder that goes
 * when the program that asked ends. All of them have one private key, key.pem.
 *
 *     ca.pem        the authority; between.pem is one below it, other.pem a stranger
 *     server.pem    for localhost, a.test, *.wild.test, 127.0.0.1 and ::1; chain.pem the same by between.pem, which is in it
 *     b.pem         for b.test and www.b.test; many.pem for twelve hosts; common.pem for c.test, in its common name alone
 *     expired.pem, early.pem (from 2050 on), self.pem (self-signed), stranger.pem (by other.pem): for localhost
 *     alice.pem     of a client, CN=alice,O=yoke; mallory.pem the same by other.pem
 *     odd.pem       for a host with bytes in its name that no host has
 *     locked.pem    the key, encrypted with "sesame"; wrong.pem another key; empty.pem is empty
 *     all.pem       server.pem and its key in one file
 */
#ifndef YK_TESTS_CERTIFICATES_H
#define YK_TESTS_CERTIFICATES_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CERTIFICATES_SCRIPT                                                                                            \
    "set -e; cd \"$FOLDER\"; exec 2>log\n"                                                                             \
    "new() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1; }\n"                              \
    "new key.pem; new wrong.pem; new ca.key; new other.key; : >empty.pem\n"                                            \
    "openssl pkey -in key.pem -aes128 -passout pass:sesame -out locked.pem\n"                                          \
    "printf '[ca]\\ndefault_ca=x\\n[x]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\ndefault_md=sha256\\n"      \
    "policy=p\\nunique_subject=no\\nrand_serial=yes\\n[p]\\ncommonName=supplied\\norganizationName=optional\\n"        \
    "[req]\\ndistinguished_name=d\\n[d]\\n' >conf; : >index\n"                                                         \
    "authority() { openssl req -config conf -x509 -new -key $1.key -subj \"/CN=$2\" -days 36500 -out $1.pem"           \
    " -addext basicConstraints=critical,CA:TRUE; }\n"                                                                  \
    "authority ca 'yoke test CA'; authority other 'a stranger'\n"                                                      \
    "by() { printf '%s\\n' \"$4\" >ext; openssl req -config conf -new -key $5 -subj \"$3\" -out csr\n"                 \
    "openssl ca -config conf -batch -notext -cert $1.pem -keyfile $1.key -startdate ${6:-20200101000000Z}"             \
    " -enddate ${7:-21200101000000Z} -in csr -extfile ext -out $2.pem >out; }\n"                                       \
    "hosts=DNS:localhost,DNS:a.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1\n"                                             \
    "by ca server /CN=server subjectAltName=$hosts key.pem\n"                                                          \
    "new between.key; by ca between '/CN=in between' basicConstraints=critical,CA:TRUE between.key\n"                  \
    "by between leaf /CN=leaf subjectAltName=$hosts key.pem; cat leaf.pem between.pem >chain.pem\n"                    \
    "by ca b /CN=b subjectAltName=DNS:b.test,DNS:www.b.test key.pem\n"                                                 \
    "by ca common /CN=c.test basicConstraints=CA:FALSE key.pem\n"                                                      \
    "by ca many /CN=many subjectAltName=$(printf 'DNS:m%d.test,' 1 2 3 4 5 6 7 8 9 10 11)DNS:m12.test key.pem\n"       \
    "by ca odd /CN=odd subjectAltName=$(printf 'DNS:x\\377\\033y.test') key.pem\n"                                    \
    "by ca expired /CN=old subjectAltName=$hosts key.pem 20200101000000Z 20210203040506Z\n"                            \
    "by ca early /CN=early subjectAltName=$hosts key.pem 20500101000000Z\n"                                            \
    "by other stranger /CN=stranger subjectAltName=$hosts key.pem\n"                                                   \
    "by ca alice /CN=alice/O=yoke extendedKeyUsage=clientAuth key.pem\n"                                               \
    "by other mallory /CN=alice/O=yoke extendedKeyUsage=clientAuth key.pem\n"                                          \
    "openssl req -config conf -x509 -new -key key.pem -subj /CN=self -days 36500 -out self.pem -addext"                \
    " subjectAltName=$hosts; cat server.pem key.pem >all.pem\n"

static struct {
    char folder[64];
    pid_t owner;
} certificates;

/* Tests run in children: the folder has its name before the first of them begins, and goes after the last. */
static __attribute__((constructor)) void certificates_begin(void)
{
    certificates.owner = getpid();
    snprintf(certificates.folder, sizeof certificates.folder, "/tmp/yoke-certificates-%ld", (long)certificates.owner);
}

static __attribute__((destructor)) void certificates_end(void)
{
    char command[128];
    struct stat st;
    snprintf(command, sizeof command, "rm -rf %s", certificates.folder);
    if (getpid() == certificates.owner && stat(certificates.folder, &st) == 0 && system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", certificates.folder);
}

/* False: there is no openssl command here. Then what its messages were is in FOLDER/log. */
static inline bool certificates_make(void)
{
    char done[96];
    struct stat st;
    snprintf(done, sizeof done, "%s/all.pem", certificates.folder);
    if (stat(done, &st) == 0)
        return true;
    setenv("FOLDER", certificates.folder, 1);
    mkdir(certificates.folder, 0700);
    return system("command -v openssl >/dev/null") == 0 && system(CERTIFICATES_SCRIPT) == 0 && stat(done, &st) == 0;
}

/* The path of one of them; the last eight stay valid. */
static inline const char *certificate(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", certificates.folder, name);
    return path;
}

#endif
