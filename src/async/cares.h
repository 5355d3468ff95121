/* cares: look-ups by c-ares, a library that asks the servers of names itself and needs no thread, where the user wants it. */
#ifndef YK_ASYNC_CARES_H
#define YK_ASYNC_CARES_H
#include "async/net.h"

struct addrinfo;
/* Whether YOKE_DNS=cares is in the environment: 1, 0 for none or "system", or -EINVAL for what is neither. */
int yk_cares_wanted(void);
/* How many addresses, or the code of an error, which is said in words. Waits. */
int yk_cares_look_up(const char *host, const char *service, const struct addrinfo *hints, yoke_address **ret);
#endif
