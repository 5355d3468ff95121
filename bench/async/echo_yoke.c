/* echo_yoke.c - the echo server as one writes it with yoke: a coroutine for each connection, straight code in each. */
#include <yoke/async.h>
#include <yoke/net.h>
#include <stdio.h>
#include <stdlib.h>

static int echo(yoke_conn *c, void *arg)
{
    (void)arg;
    char buf[1024];
    ssize_t n;
    while ((n = yoke_conn_read(c, buf, sizeof buf)) > 0)
        if (yoke_conn_write(c, buf, (size_t)n) < 0)
            break;
    return 0;
}

static int run(void *arg)
{
    (void)arg;
    yoke_listener *l;
    int err = yoke_listen("tcp:127.0.0.1:0", &l);
    if (err < 0) {
        fprintf(stderr, "yoke_listen: %d\n", err);
        return err;
    }
    printf("port %d\n", yoke_listener_port(l));
    fflush(stdout);
    return yoke_serve(l, echo, NULL, NULL);
}

int main(void)
{
    return yoke_async_run(run, NULL) < 0;
}
