/* A client: it connects, and prints line by line what the other side says, as long as its patience lasts. Started without an
 * argument it is its own server; with one, as "tcp:127.0.0.1:9000", it connects there: to server.c in another terminal.
 *
 * Use it as the beginning of any client. What goes wrong is a code, and yoke_net_error() says it in words. */
#include <stdio.h>
#include <yoke.h>

static int serve_one(void *listener)
{
    static const char text[] = "Hello.\nThis is the other side.\n";
    yoke_conn *c;
    int err = yoke_accept(listener, &c);
    if (err < 0)
        return err;
    yoke_conn_write(c, text, sizeof text - 1);
    return yoke_conn_close(c);
}

static int listen_to(const char *where)
{
    yoke_conn *c = NULL;
    const char *line;
    size_t len;
    int late = 0, err = 0;
    YOKE_TIMEOUT(10 * YOKE_S, &late) {
        err = yoke_connect(where, &c);
        if (err < 0)
            fprintf(stderr, "%s\n", yoke_net_error());
        else
            while ((err = yoke_conn_read_line(c, 1000, &line, &len)) > 0)
                printf("%.*s\n", (int)len, line);
    }
    yoke_conn_close(c);
    return late < 0 ? late : err;
}

static int run(void *where)
{
    int err = 0;
    yoke_listener *l = NULL;
    if (where)
        return listen_to(where);
    if (yoke_listen("tcp:127.0.0.1:0", &l) < 0)
        return -EIO;
    YOKE_GROUP(g, &err) {
        yoke_go(&g, serve_one, l);
        listen_to(yoke_listener_address(l));
    }
    printf("it has ended: %s\n", err < 0 ? yoke_strerror(err) : "in good order");
    yoke_listener_close(l);
    return err;
}

int main(int argc, char **argv)
{
    return yoke_async_run(run, argc > 1 ? argv[1] : NULL) < 0;
}
