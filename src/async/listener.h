/* listener: what opening and closing (listener.c) share with accepting (accept.c). */
#ifndef YK_ASYNC_LISTENER_H
#define YK_ASYNC_LISTENER_H
#include "async/net.h"
#include <sys/stat.h>
#include <sys/un.h>

/* Lives as long as the listener, calls in it, and connections that came from it, which count against `most`. */
struct yoke_listener {
    yk_socket s;
    unsigned refs; /* itself, until it is closed and nobody is in a call; and each connection */
    unsigned most, open;
    int backlog;
    int spare;     /* a descriptor that can be done without; or -1 */
    yoke_tls *tls;
    yoke_address address;
    struct stat file; /* of a Unix socket, to know it again; st_nlink 0: none */
    char text[160];
    char path[sizeof ((struct sockaddr_un *)0)->sun_path + 1];
};

void yk_listener_unref(yoke_listener *l);
/* A descriptor for `spare`; -1: there is none. */
int yk_listener_spare(void);
#endif
