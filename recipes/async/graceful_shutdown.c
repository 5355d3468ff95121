/* A server that SIGTERM tells to stop: it accepts no more, finishes the requests that are under way, and ends.
 *
 * Use it for every server: yoke_serve() does so when its group is cancelled, here by a coroutine that waits for the signal. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <yoke.h>

static char where[64];

static int answer(yoke_conn *c, void *under_way)
{
    char text[5];
    while (!yoke_serve_stopping(c) && yoke_conn_read_exactly(c, text, 5) > 0) {
        if (++*(int *)under_way == 3)
            kill(getpid(), SIGTERM); /* as an operator would */
        yoke_sleep(300 * YOKE_MS); /* the work */
        yoke_conn_write(c, "done\n", 5);
    }
    return printf("answered%s\n", yoke_serve_stopping(c) ? ", as the last that it accepted" : "");
}

static int on_signal(void *serving)
{
    yoke_signals *s;
    int number = yoke_signals_open((int[]){SIGTERM, SIGINT}, 2, &s);
    if (number < 0 || (number = yoke_signal_next(s)) < 0)
        return number;
    yoke_group_cancel(serving);
    return yoke_signals_close(s), 0;
}

static int ask(void *arg)
{
    yoke_conn *c = NULL;
    bool ok = yoke_connect(where, &c) == 0 && yoke_conn_write(c, "work\n", 5) == 5 && yoke_conn_read_exactly(c, arg, 5) == 5;
    return yoke_conn_close(c), ok ? 0 : -EIO;
}

static int run(void *arg)
{
    yoke_listener *l;
    int under_way = 0;
    if (yoke_listen("tcp:127.0.0.1:0", &l) < 0)
        return -EIO;
    YOKE_GROUP(clients, NULL) {
        snprintf(where, sizeof where, "%s", yoke_listener_address(l));
        YOKE_GROUP(serving, NULL) {
            yoke_go(&serving, on_signal, &serving);
            for (int i = 0; i < 3; i++)
                yoke_go(&clients, ask, arg);
            yoke_serve(l, answer, &under_way, NULL); /* up to ten seconds for what is under way */
            yoke_group_cancel(&serving);             /* however it ended, no signal is waited for any more */
        }
        printf("one more: %s\n", ask(arg) < 0 ? "refused" : "answered");
    }
    return 0;
}

int main(void) { return yoke_async_run(run, (char[5]){0}) < 0; }
