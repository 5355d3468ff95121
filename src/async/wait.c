/* wait: coroutines that sleep on a word of memory, as threads do on a futex.
 *
 * Through this every lock, condition, queue, channel and future of yoke works in coroutines, and between them and threads: they
 * sleep by yk_wait() and wake by yk_wake() (sync/wait.h), which come here. Sleepers are kept in a table by the word's address, as
 * the kernel keeps its own. Whoever wakes one on another loop posts that to the loop.
 *
 * Nothing is lost: a sleeper counts itself in, then looks at the word, under the lock of its place in the table; who has changed
 * the word looks at the count after a fence. */
#include "async/async.h"
#include "sync/self.h"

enum { PLACES = 256 };

typedef struct sleeper {
    yk_park park;
    yk_post post;
    _Atomic uint32_t *word;
    yk_loop *loop;
    struct sleeper *next, **link; /* link NULL: nobody will find it any more */
} sleeper;

typedef struct place {
    _Alignas(YK_CACHE_LINE) yk_mutex lock;
    _Atomic uint32_t count; /* of those here, or about to be */
    sleeper *first, **end;  /* in the order in which they came */
} place;

static place places[PLACES];

static place *place_of(const _Atomic uint32_t *word)
{
    uintptr_t a = (uintptr_t)word;
    return &places[(a >> 2 ^ a >> 10 ^ a >> 18) % PLACES];
}

static void link_in(place *p, sleeper *s)
{
    if (!p->first)
        p->end = &p->first;
    s->next = NULL;
    s->link = p->end;
    *p->end = s;
    p->end = &s->next;
}

static void link_out(place *p, sleeper *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    else
        p->end = s->link;
    s->link = NULL;
    atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
}

/* False: somebody has taken it out to wake it, and does so soon. */
static bool abort_sleep(yk_park *park)
{
    sleeper *s = (sleeper *)(void *)park;
    place *p = place_of(s->word);
    yk_mutex_lock(&p->lock);
    bool mine = s->link != NULL;
    if (mine)
        link_out(p, s);
    yk_mutex_unlock(&p->lock);
    return mine;
}

static void wake_here(yk_post *post)
{
    sleeper *s = (sleeper *)(void *)((char *)post - offsetof(sleeper, post));
    yk_resume(&s->park, 0);
}

/* Enters it, if the word still has the value. */
static bool begin_sleep(sleeper *s, uint32_t value)
{
    place *p = place_of(s->word);
    atomic_fetch_add_explicit(&p->count, 1, memory_order_seq_cst); /* pairs with wake() */
    yk_mutex_lock(&p->lock);
    bool same = atomic_load_explicit(s->word, memory_order_seq_cst) == value;
    if (same)
        link_in(p, s);
    else
        atomic_fetch_sub_explicit(&p->count, 1, memory_order_relaxed);
    yk_mutex_unlock(&p->lock);
    return same;
}

int yk_wait_in_coroutine(yk_blocking *b, _Atomic uint32_t *word, uint32_t value, int64_t deadline, unsigned how)
{
    bool deaf = how & YK_WAIT_DEAF;
    const yk_cause *cause = b->cause;
    b->cause = NULL;
    if (how & YK_WAIT_SHARED)
        return yk_wait_shared(cause, word, value, deadline, deaf);
    int err = deaf ? 0 : yk_cancel_point();
    if (err < 0)
        return err;
    sleeper s = {.park = {.abort = abort_sleep, .deaf = deaf, .what = "a word", .number = -1, .cause = cause,
                          .object = (const void *)(uintptr_t)word, .outside = how & YK_WAIT_JOB},
                 .post = {.fn = wake_here}, .word = word, .loop = yk_loop_here()};
    if (!begin_sleep(&s, value))
        return -EAGAIN;
    return yk_suspend(&s.park, deadline);
}

/* Takes up to n sleepers on the word out, in order. */
static sleeper *take(place *p, const _Atomic uint32_t *word, int n, int *taken)
{
    sleeper *list = NULL, **end = &list;
    yk_mutex_lock(&p->lock);
    for (sleeper *s = p->first, *next; s && *taken < n; s = next) {
        next = s->next;
        if (s->word != word)
            continue;
        link_out(p, s);
        s->next = NULL;
        *end = s;
        end = &s->next;
        ++*taken;
    }
    yk_mutex_unlock(&p->lock);
    return list;
}

static int wake(_Atomic uint32_t *word, int n)
{
    place *p = place_of(word);
    int taken = 0;
    atomic_thread_fence(memory_order_seq_cst); /* pairs with begin_sleep(): the change of the word, then this */
    if (YK_LIKELY(atomic_load_explicit(&p->count, memory_order_relaxed) == 0))
        return 0;
    sleeper *s = take(p, word, n, &taken);
    for (sleeper *next; s; s = next) {
        next = s->next;
        if (s->loop == yk_loop_here())
            yk_resume(&s->park, 0);
        else
            yk_loop_post(s->loop, &s->post);
    }
    return taken;
}

/* ---- fork() ---- */

static void before_fork(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        yk_mutex_lock(&places[i].lock);
}

static void in_parent(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        yk_mutex_unlock(&places[i].lock);
}

static bool is_among(const yk_post *first, const yk_post *post)
{
    while (first && first != post)
        first = first->next;
    return first != NULL;
}

static bool is_posted(const yk_loop *loop, const yk_post *post)
{
    return is_among(atomic_load_explicit(&loop->posted, memory_order_relaxed), post) || is_among(loop->doing, post);
}

/* Threads that had changed a word, and were to wake who sleeps on it, are not in the child. So all that sleep there look again,
 * as whoever sleeps does when it is woken for no reason. */
static void wake_all_of(yk_loop *loop)
{
    for (yk_coroutine *co = loop->all; co; co = co->all_next) {
        if (!co->park || co->park->abort != abort_sleep)
            continue;
        sleeper *s = (sleeper *)(void *)co->park;
        if (s->link)
            link_out(place_of(s->word), s);
        else if (is_posted(loop, &s->post))
            continue; /* it is on its way */
        yk_resume(&s->park, 0);
    }
}

/* Loops of other threads are not in the child. */
static void in_child(void)
{
    if (yk_loop_here())
        wake_all_of(yk_loop_here());
    for (unsigned i = 0; i < PLACES; i++) {
        place *p = &places[i];
        for (sleeper *s = p->first, *next; s; s = next) {
            next = s->next;
            if (s->loop != yk_loop_here())
                link_out(p, s);
        }
        p->lock = (yk_mutex){0};
    }
}

void yk_wait_hook_up(void)
{
    static yk_mutex once;
    yk_mutex_lock(&once);
    if (!atomic_load_explicit(&yk_wake_hook, memory_order_relaxed)) {
        pthread_atfork(before_fork, in_parent, in_child);
        atomic_store_explicit(&yk_wake_hook, wake, memory_order_release);
        /* Whoever has not seen it has changed his word before this, and who sleeps after it sees that. */
        yk_fence_all(false);
    }
    yk_mutex_unlock(&once);
}
