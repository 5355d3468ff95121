/* A server: it tells each who connects which one it is and what the time is. Started without an argument it is its own client,
 * three times; with one, as "tcp:127.0.0.1:9000", it serves there until Ctrl-C: try client.c in another terminal.
 *
 * Use it as the beginning of any server: yoke_serve() runs a coroutine for each connection. */
#include <stdio.h>
#include <time.h>
#include <yoke.h>

static int greet(yoke_conn *c, void *visitors)
{
    char text[100], now[30];
    time_t t = time(NULL);
    strftime(now, sizeof now, "%F %T", localtime(&t));
    int n = snprintf(text, sizeof text, "You are number %d. It is %s.\n", ++*(int *)visitors, now);
    return (int)yoke_conn_write(c, text, (size_t)n);
}

static int visit_thrice(void *arg)
{
    yoke_listener *l = arg;
    const char *line;
    size_t len;
    for (int i = 0; i < 3; i++) {
        yoke_conn *c;
        if (yoke_connect(yoke_listener_address(l), &c) < 0)
            break;
        if (yoke_conn_read_line(c, 100, &line, &len) > 0)
            printf("%.*s\n", (int)len, line);
        yoke_conn_close(c);
    }
    yoke_listener_close(l); /* ends yoke_serve() */
    return 0;
}

static int run(void *where)
{
    int visitors = 0, err = 0;
    yoke_listener *l;
    if (yoke_listen(where ? where : "tcp:127.0.0.1:0", &l) < 0)
        return fprintf(stderr, "%s\n", yoke_net_error()), -EIO;
    YOKE_GROUP(g, NULL) {
        if (where)
            printf("listening at %s\n", yoke_listener_address(l));
        else
            yoke_go(&g, visit_thrice, l);
        err = yoke_serve(l, greet, &visitors, NULL);
    }
    return err;
}

int main(int argc, char **argv)
{
    return yoke_async_run(run, argc > 1 ? argv[1] : NULL) < 0;
}
