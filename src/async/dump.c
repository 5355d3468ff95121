/* dump: what every coroutine of every loop waits for, as text.
 *
 * A loop's coroutines are looked at by its own thread, between two of them: whoever dumps posts a question to each loop, and then
 * waits for the answers. A loop that does not answer within a second is held up by a coroutine; then it is told which, and with
 * YOKE_DEBUG=async with its stack (hog.c).
 *
 * The lock that keeps the loops is held while questions are posted, but not while they are waited for: loops begin and end
 * meanwhile. One that ends does first what was posted, so whose question has no answer has not been freed. */
#include "async/hog.h"
#include "sync/self.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER = 1000 * 1000 * 1000, DEEPEST = 40 };

/* ---- One loop, in its thread ---- */

/* ', held by coroutine "a" (2)': in this loop it is found by its id as holder of locks, in others when it has a record. */
static void tell_holder(yk_buf *out, const yk_loop *loop, uint64_t id)
{
    char name[YK_WHO_LABEL];
    for (const yk_coroutine *co = loop->all; co; co = co->all_next)
        if (co->context.self.id == id) {
            const char *is = yk_coroutine_name(co, name, sizeof name);
            yk_buf_printf(out, ", held by coroutine \"%s\" (%llu)", is, (unsigned long long)co->number);
            return;
        }
    const yk_who *w = yk_who_first();
    while (w && (w->id != id || atomic_load_explicit(&w->tid, memory_order_relaxed) == 0))
        w = w->next;
    if (w)
        yk_buf_printf(out, ", held by %s", yk_who_label(w, name, sizeof name));
    else
        yk_buf_printf(out, ", held by thread %u", (unsigned)(id & YK_TID_MASK));
}

static void tell_thing(yk_buf *out, const yk_loop *loop, const yk_cause *c)
{
    uint64_t holder = c->kind->holder ? c->kind->holder(c->object) : 0;
    yk_buf_text(out, c->kind->name);
    if (c->object)
        yk_buf_printf(out, " at %p", c->object);
    if (holder)
        tell_holder(out, loop, holder);
}

/* What it waits for, as "recv on 7" or, if somebody knows, "waits for f (x.c:3)". */
static void tell_wait(yk_buf *out, const yk_coroutine *co, int64_t now)
{
    const yk_park *p = co->park;
    const yk_wish *wish = co->context.who ? co->context.who->wish : NULL;
    char text[200];
    if (!p) {
        yk_buf_text(out, co == co->loop->running ? "runs" : "can go on");
        return;
    }
    if (wish && wish->kind->tell) {
        wish->kind->tell(wish->object, text, sizeof text);
        yk_buf_text(out, text);
    } else if (p->number >= 0) {
        yk_buf_printf(out, "%s on %ld", p->what, p->number);
    } else if (yk_park_kind(p)) {
        tell_thing(out, co->loop, p->cause);
    } else {
        yk_buf_text(out, p->what);
        if (p->object && !p->deaf)
            yk_buf_printf(out, " at %p", p->object);
    }
    if (p->since)
        yk_buf_printf(out, ", for %.3g s", (double)(now - p->since) / 1e9);
    if (yk_wheel_is_set(&p->alarm.timer))
        yk_buf_printf(out, ", %.3g s left", (double)(p->alarm.timer.when - now) / 1e9);
    if (co->scope && co->scope->effective)
        yk_buf_text(out, ", cancelled");
}

static void tell_coroutine(yk_buf *out, const yk_coroutine *co, int depth, int64_t now)
{
    char name[64];
    yk_buf_printf(out, "%*s%s (%llu): ", 2 + 2 * YK_MIN(depth, DEEPEST), "", yk_coroutine_name(co, name, sizeof name),
                  (unsigned long long)co->number);
    tell_wait(out, co, now);
    yk_buf_char(out, '\n');
}

/* Whose group it is of. */
static yk_coroutine *parent_of(const yk_coroutine *co)
{
    return co->group ? co->group->scope.owner : NULL;
}

/* Hangs each under its parent, the oldest first; returns the oldest of those without. */
static yk_coroutine *grow_tree(yk_loop *loop)
{
    yk_coroutine *roots = NULL;
    for (yk_coroutine *co = loop->all; co; co = co->all_next)
        co->dump_first = co->dump_next = NULL;
    for (yk_coroutine *co = loop->all; co; co = co->all_next) { /* the newest first, so that the oldest comes to the front */
        yk_coroutine *parent = parent_of(co), **list = parent ? &parent->dump_first : &roots;
        co->dump_next = *list;
        *list = co;
    }
    return roots;
}

static void tell_tree(yk_buf *out, yk_coroutine *roots, int64_t now)
{
    int depth = 0;
    for (yk_coroutine *co = roots; co;) {
        tell_coroutine(out, co, depth, now);
        if (co->dump_first) {
            co = co->dump_first;
            depth++;
            continue;
        }
        while (co && !co->dump_next) {
            co = parent_of(co);
            depth--;
        }
        co = co ? co->dump_next : NULL;
    }
}

static void tell_loop(yk_buf *out, yk_loop *loop)
{
    yk_buf_printf(out, "loop in thread %d, %s: %zu coroutines, %zu can go on, %zu timers, %zu operations\n", (int)loop->tid,
                  loop->io->name, loop->coroutines, loop->nready, loop->ntimers, loop->io->under_way(loop->backend));
    yk_mutex_lock(&yk_who_lock); /* wishes */
    tell_tree(out, grow_tree(loop), yk_loop_now(loop));
    yk_mutex_unlock(&yk_who_lock);
}

/* ---- All loops ---- */

/* A question to a loop, freed by the last of the two who have it. */
typedef struct question {
    yk_post post;
    yk_loop *loop;
    yk_buf text;
    size_t coroutines;
    _Atomic uint32_t answered;
    _Atomic int holders;
    struct question *next; /* of the dump */
} question;

static void drop(question *q)
{
    if (atomic_fetch_sub_explicit(&q->holders, 1, memory_order_acq_rel) > 1)
        return;
    yk_buf_done(&q->text);
    free(q);
}

static void answer(yk_post *p)
{
    question *q = (question *)(void *)p;
    tell_loop(&q->text, q->loop);
    q->coroutines = q->loop->coroutines;
    atomic_store_explicit(&q->answered, 1, memory_order_release);
    yk_futex_wake(&q->answered, 1, false);
    drop(q);
}

typedef struct dump {
    question *first, **end;
    int64_t until;
    int fd;
    size_t coroutines;
    bool failed;
} dump;

static void put(dump *d, yk_buf *text)
{
    const char *bytes = yk_buf_str(text);
    for (size_t done = 0; done < text->len && !d->failed;) {
        ssize_t n = yk_sys.write(d->fd, bytes + done, text->len - done);
        d->failed = n < 0 && errno != EINTR;
        done += n > 0 ? (size_t)n : 0;
    }
}

static void tell_silent(dump *d, yk_loop *loop)
{
    yk_buf text = {0};
    yk_buf_printf(&text, "loop in thread %d, %s: does not answer; it is held up by\n", (int)loop->tid, loop->io->name);
    put(d, &text);
    yk_buf_done(&text);
    yk_hog_tell(loop, d->fd);
}

static bool is_answered(question *q)
{
    return atomic_load_explicit(&q->answered, memory_order_acquire);
}

static void ask(yk_loop *loop, void *arg)
{
    dump *d = arg;
    question *q = yk_sys.calloc(1, sizeof *q);
    if (!q) {
        d->failed = true;
        return;
    }
    *q = (question){.post.fn = answer, .loop = loop, .holders = 2};
    *d->end = q;
    d->end = &q->next;
    if (loop == yk_loop_here())
        answer(&q->post);
    else
        yk_loop_post(loop, &q->post);
}

static void tell_if_silent(yk_loop *loop, void *arg)
{
    dump *d = arg;
    if (loop == d->first->loop && !is_answered(d->first))
        tell_silent(d, loop);
}

/* The first question. */
static void wait_for_answer(dump *d)
{
    question *q = d->first;
    while (!is_answered(q) && yoke_now() < d->until)
        yk_futex_wait(&q->answered, 0, d->until, false);
    if (!is_answered(q))
        yk_each_loop(tell_if_silent, d);
    if (is_answered(q)) {
        put(d, &q->text);
        d->coroutines += q->coroutines;
    }
    d->first = q->next;
    drop(q);
}

int yoke_dump(int fd)
{
    dump d = {.fd = fd};
    d.end = &d.first;
    yk_each_loop(ask, &d);
    d.until = yk_after(ANSWER);
    while (d.first)
        wait_for_answer(&d);
    return d.failed ? -EIO : (int)YK_MIN(d.coroutines, (size_t)INT32_MAX);
}

/* ---- On a signal ---- */

static int bell = -1; /* of the thread that dumps */

static void ring(int number)
{
    int saved = errno;
    ssize_t n = write(bell, &(uint64_t){1}, sizeof(uint64_t)); /* the table of calls may be a test's */
    (void)n;
    (void)number;
    errno = saved;
}

static void *dump_on_signal(void *arg)
{
    uint64_t rings;
    pthread_setname_np(pthread_self(), "yoke-dump");
    while (read(bell, &rings, sizeof rings) == sizeof rings)
        yoke_dump(STDERR_FILENO);
    return arg;
}

static int signal_named(const char *name)
{
    return strcmp(name, "USR1") == 0 ? SIGUSR1 : strcmp(name, "USR2") == 0 ? SIGUSR2 : strcmp(name, "QUIT") == 0 ? SIGQUIT : 0;
}

void yk_dump_on_signal(void)
{
    static yk_mutex lock;
    const char *name = getenv("YOKE_DUMP");
    if (!name || !*name)
        return;
    yk_mutex_lock(&lock);
    int number = signal_named(name), fd = bell < 0 && number ? yk_sys.eventfd(0, EFD_CLOEXEC) : -1;
    if (fd >= 0) {
        pthread_t thread;
        struct sigaction how = {.sa_handler = ring, .sa_flags = SA_RESTART};
        bell = fd;
        if (yk_thread_start(&thread, 0, dump_on_signal, NULL) == 0) {
            pthread_detach(thread);
            sigaction(number, &how, NULL);
        }
    } else if (!number) {
        fprintf(stderr, "yoke: YOKE_DUMP is \"%s\"; it can be USR1, USR2 or QUIT\n", name);
    }
    yk_mutex_unlock(&lock);
}
