/* echo_yoke.c - the echo server as one writes it with yoke: a coroutine for each connection, straight code in each. */
#include <yoke/async.h>
#include <yoke/net.h>
#include <stdio.h>
#include <stdlib.h>

static int serve(void *arg)
{
    yoke_conn *c = arg;
    char buf[1024];
    ssize_t n;
    while ((n = yoke_conn_read(c, buf, sizeof buf)) > 0)
        if (yoke_conn_write(c, buf, (size_t)n) < 0)
            break;
    yoke_conn_close(c);
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
    yoke_group g;
    yoke_group_begin(&g);
    for (yoke_conn *c; yoke_accept(l, &c) == 0;)
        yoke_go(&g, serve, c);
    return yoke_group_end(&g);
}

int main(void)
{
    return yoke_async_run(run, NULL) < 0;
}
