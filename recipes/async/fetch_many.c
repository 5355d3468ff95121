/* Forty requests to an HTTP server, eight at a time, each with a time limit. The server, in the program too, leaves out some.
 *
 * Use it for many requests of which one that hangs must not hold up the rest: as many coroutines as may be under way, which take
 * the next from what is left, and YOKE_TIMEOUT for the limit. What is late stops wherever it waits, and cleans up as ever. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

enum { PAGES = 40, AT_A_TIME = 8 };
static yoke_listener *server;
static int next, pages, late; /* of one thread, in which another coroutine runs only where one waits: no locks */

static int answer(yoke_conn *c, void *arg)
{
    const char *head;
    size_t len;
    (void)arg;
    if (yoke_conn_read_until(c, "\r\n\r\n", 4, 1000, &head, &len) < 0 || len < 6)
        return -EBADMSG;
    if (strtol(head + 5, NULL, 10) % 10 == 9) /* GET /NUMBER */
        return yoke_sleep_until(YOKE_FOREVER);
    return (int)yoke_conn_write(c, "HTTP/1.0 200 OK\r\n\r\nThis is it.\n", 31);
}

static int fetch_some(void *arg)
{
    (void)arg;
    while (next < PAGES) {
        int err = 0;
        char text[1000];
        ssize_t n = snprintf(text, sizeof text, "GET /%d HTTP/1.0\r\n\r\n", next++);
        yoke_conn *c = NULL;
        YOKE_TIMEOUT(2 * YOKE_S, &err)
            if (yoke_connect(yoke_listener_address(server), &c) == 0 && yoke_conn_write(c, text, (size_t)n) == n)
                while ((n = yoke_conn_read(c, text, sizeof text)) > 0)
                    continue; /* to the end, which in HTTP/1.0 is that of the answer */
        pages += n == 0;
        late += err == -ETIMEDOUT;
        yoke_conn_close(c);
    }
    return 0;
}

static int serve(void *arg) { return yoke_serve(server, answer, arg, &(yoke_serve_opts){.grace = -1}); }

static int run(void *arg)
{
    int err = yoke_listen("tcp:127.0.0.1:0", &server);
    YOKE_GROUP(all, NULL) {
        err = err < 0 ? err : yoke_go(&all, serve, arg);
        YOKE_GROUP(clients, NULL)
            for (int i = 0; i < AT_A_TIME && err == 0; i++)
                yoke_go(&clients, fetch_some, NULL);
        yoke_group_cancel(&all); /* ends serve() */
    }
    printf("%d pages, %d too late\n", pages, late);
    return err;
}

int main(void) { return yoke_async_run(run, NULL) < 0; }
