/* child_run: a child from its start to its end, with all that it reads and writes.
 *
 * Its pipes and its pidfd are in an epoll set, and that is one descriptor to wait for, in a coroutine as in a thread. Each turn
 * moves what can be moved on those that are ready. The end is the child's end, not that of its output, which children of its own
 * may hold open for ever: then what is in the pipes belongs to it and is read, and nothing after that. */
#include "async/child.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <yoke/async.h>

enum { PIECE = 64 << 10, PIDFD = 3 };

typedef struct talk {
    yoke_child *c;
    int set;
    const char *input;
    size_t left;
    yk_buf text[3]; /* [1] and [2]: what it wrote */
    bool dropping;  /* nobody wants it any more */
    bool over;
} talk;

static int watch(const talk *t, int fd, int what)
{
    struct epoll_event e = {.events = what == 0 ? EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)what};
    return yk_sys.epoll_ctl(t->set, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int begin(talk *t)
{
    t->set = yk_sys.epoll_create1(EPOLL_CLOEXEC);
    int err = t->set < 0 ? -errno : watch(t, t->c->pidfd, PIDFD);
    for (int i = 0; i < 3 && err == 0; i++) {
        int fd = t->c->pipes[i];
        if (fd < 0)
            continue;
        err = fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : watch(t, fd, i);
    }
    return err;
}

/* Closing takes it out of the set. */
static void hang_up(talk *t, int i)
{
    close(t->c->pipes[i]);
    t->c->pipes[i] = -1;
}

static void feed(talk *t)
{
    ssize_t n = t->left == 0 ? 0 : yk_quiet_write(t->c->pipes[0], t->input, YK_MIN(t->left, (size_t)PIECE));
    if (n == -EAGAIN)
        return;
    t->input += n > 0 ? n : 0;
    t->left -= n > 0 ? (size_t)n : 0;
    if (n < 0 || t->left == 0)
        hang_up(t, 0);
}

/* At most `most` bytes of what is there. */
static int take(talk *t, int i, size_t most)
{
    yk_buf *b = &t->text[i];
    if (t->dropping)
        b->len = 0;
    char *to = yk_buf_room(b, most + 1); /* and the NUL */
    if (!to)
        return -ENOMEM;
    ssize_t n = yk_sys.read(t->c->pipes[i], to, most);
    if (n > 0)
        b->len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        hang_up(t, i);
    return 0;
}

static int take_rest(talk *t)
{
    int err = 0;
    for (int i = 1; i < 3 && err == 0; i++) {
        int n = 0;
        if (t->c->pipes[i] >= 0 && ioctl(t->c->pipes[i], FIONREAD, &n) == 0 && n > 0)
            err = take(t, i, (size_t)n);
    }
    return err;
}

static int turn(talk *t)
{
    struct epoll_event events[4];
    int err = 0, n = yk_sys.epoll_wait(t->set, events, 4, 0);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n && err == 0; i++) {
        int what = (int)events[i].data.u32;
        if (what == PIDFD)
            t->over = true;
        else if (what == 0)
            feed(t);
        else
            err = take(t, what, PIECE);
    }
    return err == 0 && t->over ? take_rest(t) : err;
}

/* Until the child has ended. 0, or why not. */
static int converse(talk *t, int64_t deadline)
{
    while (!t->over) {
        int err = yoke_poll_until(t->set, POLLIN, deadline);
        if (err >= 0)
            err = turn(t);
        if (err < 0)
            return err;
    }
    return 0;
}

/* What it writes while it ends is read, lest it wait for that. */
static void end_child(talk *t)
{
    yoke_scope shield;
    yoke_shield_begin_timed(&shield, YOKE_FOREVER);
    yk_child_ask(t->c);
    if (t->c->pipes[0] >= 0)
        hang_up(t, 0);
    for (int i = 1; i < 3; i++)
        t->text[i].failed = false;
    t->dropping = true;
    if (t->set < 0 || converse(t, yk_after(t->c->grace)) < 0)
        yoke_poll_timed(t->c->pidfd, POLLIN, t->c->grace);
    yoke_scope_end(&shield);
}

static char *text_of(yk_buf *b, size_t *ret_len)
{
    char *to = yk_buf_room(b, 1);
    if (to)
        *to = '\0';
    *ret_len = b->len;
    return b->ptr;
}

/* The texts, unless there was no pipe. */
static int hand_over(talk *t, const yoke_child_opts *opts, yoke_child_output *ret)
{
    if (opts->out == YOKE_CHILD_PIPE)
        ret->out = text_of(&t->text[1], &ret->out_len);
    if (opts->err == YOKE_CHILD_PIPE)
        ret->err = text_of(&t->text[2], &ret->err_len);
    return t->text[1].failed || t->text[2].failed ? -ENOMEM : 0;
}

/* Whatever comes of it, the child has ended and has been waited for. */
static int talk_to_end(talk *t, const yoke_child_opts *opts, yoke_child_output *ret)
{
    int err = begin(t);
    if (err == 0)
        err = converse(t, opts->limit > 0 ? yk_after(opts->limit) : YOKE_FOREVER);
    if (err == 0)
        err = yoke_child_wait_try(t->c, &ret->status);
    if (err == 0)
        return hand_over(t, opts, ret);
    end_child(t);
    yk_child_force(t->c);
    return err;
}

int yoke_child_run(const yoke_child_opts *opts, const void *input, size_t n, yoke_child_output *ret)
{
    yoke_child_opts o = opts ? *opts : (yoke_child_opts){0};
    int *const wants[] = {&o.in, &o.out, &o.err};
    for (unsigned i = 0; i < YK_COUNT_OF(wants); i++)
        if (*wants[i] == YOKE_CHILD_INHERIT)
            *wants[i] = YOKE_CHILD_PIPE;
    *ret = (yoke_child_output){0};
    talk t = {.set = -1, .input = input, .left = n};
    int err = yoke_child_spawn(&o, &t.c);
    if (err < 0)
        return err;
    err = talk_to_end(&t, &o, ret);
    if (t.set >= 0)
        yoke_close_fd(t.set);
    yoke_child_close(t.c);
    if (err < 0) {
        for (int i = 1; i < 3; i++)
            yk_buf_done(&t.text[i]);
        *ret = (yoke_child_output){0};
    }
    return err;
}

void yoke_child_output_done(yoke_child_output *o)
{
    free(o->out);
    free(o->err);
    *o = (yoke_child_output){0};
}
