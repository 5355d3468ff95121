/* A chat room: whoever is connected gets every line that anybody says. Use it where connections hear of each other: a coroutine
 * reads from each, one writes to all, and a channel is between them. The guests are in the program, too. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

typedef struct line { char text[60]; } line;
YOKE_CHANNEL(lines, line);
static lines *said;
static yoke_conn *room[100];

static int tell_all(void *arg)
{
    for (line l; lines_receive(said, &l) == 0;)
        for (int i = 0; i < 100; i++)
            YOKE_TIMEOUT(YOKE_S, arg) /* and no longer for a guest who does not read */
                if (room[i])
                    yoke_conn_write(room[i], l.text, strlen(l.text));
    return 0;
}

static int attend(yoke_conn *c, void *arg)
{
    line l;
    const char *text;
    size_t len;
    yoke_conn **place = arg;
    while (*place)
        place++;
    for (*place = c; yoke_conn_read_line(c, 50, &text, &len) > 0; lines_send(said, l))
        snprintf(l.text, sizeof l.text, "%.*s\n", (int)len, text);
    *place = NULL;
    return 0;
}
static int host(void *door) { return yoke_serve(door, attend, room, NULL); }

static int run(void *arg)
{
    const char *says[] = {"Ada comes in\n", "Alan comes in\n", "Grace comes in\n", "Ada: hello\n", "Alan: hello, Ada\n"};
    yoke_conn *guests[3] = {NULL};
    yoke_listener *door;
    char text[60] = "";
    if (yoke_listen_with("tcp:127.0.0.1:0", &(yoke_listen_opts){.most = 100}, &door) < 0 || lines_open(16, &said) < 0)
        return -EIO;
    YOKE_GROUP(g, arg) {
        if (yoke_go(&g, tell_all, arg) == 0 && yoke_go(&g, host, door) == 0)
            for (int i = 0, n = 0; i < 5; i++, n = 0) {
                if (guests[i % 3] || yoke_connect(yoke_listener_address(door), &guests[i]) == 0)
                    yoke_conn_write(guests[i % 3], says[i], strlen(says[i]));
                while (n < 3 && guests[n] && yoke_conn_read_exactly(guests[n], text, strlen(says[i])) > 0)
                    n++;
                printf("heard by %d: %.*s", n, (int)strlen(says[i]), text);
            }
        for (int i = 0; i < 3; i++)
            yoke_conn_close(guests[i]);
        yoke_group_cancel(&g);
    }
    return lines_close(said);
}
int main(void) { return yoke_async_run(run, NULL) < 0; }
