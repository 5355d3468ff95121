/* cares */
#include "async/cares.h"

bool yk_cares_wanted(void)
{
    return false;
}

int yk_cares_look_up(const char *host, const char *service, const struct addrinfo *hints, yoke_address **ret)
{
    return -ENOTSUP;
}
