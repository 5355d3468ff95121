/* pipeline: items through stages, carried by members that come when there is something to carry.
 *
 * An item is a token. A member takes a token and does stage after stage with it, until it comes to a stage in order where it is
 * not the item's turn: there the token is parked, and whoever gives the turn on makes it ready again. A member without a token
 * takes a ready one, else, if the first stage is free and there is a free token, makes the next item.
 *
 * A member that sees more to do than it can do forks one other member, at most one at a time, so members form a row. One that
 * finds nothing to do leaves, if it has no child; else it sleeps until there is something or the child has left, and does not
 * steal meanwhile: members on top of each other in one stack would pile up with the length of the input.
 *
 * Everything in pipe_line but the constants is guarded by lock, except `available` and `code`, which anyone reads, and `bell`,
 * the word on which members sleep. */
#include "threads/crew.h"
#include "threads/fork.h"
#include "sync/mutex.h"
#include "sync/wait.h"
#include <limits.h>
#include <stdlib.h>
#include <yoke/pipeline.h>

typedef struct token {
    void *item;
    uint64_t number;
    size_t stage;  /* the next to be done */
    bool live;     /* holds an item, or will */
    bool filtered; /* the item is gone; only its turns are left */
    struct token *next;
} token;

typedef struct turn {
    uint64_t number; /* whose turn it is */
    token **parked;  /* by number modulo tokens */
} turn;

typedef struct pipe_line {
    const yoke_stage *stages;
    size_t count, tokens;
    token *all;
    turn *turns; /* of each stage; used by those in order */
    yk_mutex lock;
    token *ready, *idle;
    uint64_t made;
    bool making; /* somebody is in the first stage */
    bool ended;  /* it has no more */
    _Atomic int code; /* 0, or why it stopped; read without the lock too */
    _Atomic unsigned available; /* tokens that could be carried now, by somebody else too */
    _Alignas(YK_CACHE_LINE) _Atomic uint32_t bell;
    _Atomic uint32_t sleepers;
} pipe_line;

/* ---- Tokens; all under the lock ---- */

static bool can_make(const pipe_line *p)
{
    return !p->making && !p->ended && p->idle;
}

/* After a change: says whether there is more to do. Releases the lock, and wakes who sleeps for want of work. */
static void changed(pipe_line *p)
{
    unsigned available = p->code < 0 ? 0 : (p->ready != NULL) + can_make(p);
    atomic_store_explicit(&p->available, available, memory_order_relaxed);
    yk_mutex_unlock(&p->lock);
    if (available == 0)
        return;
    /* Sequentially consistent: either the sleeper sees the new bell or this thread sees the sleeper. */
    atomic_fetch_add_explicit(&p->bell, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&p->sleepers, memory_order_seq_cst))
        yk_wake(&p->bell, 1, false);
}

static void push(token **list, token *t)
{
    t->next = *list;
    *list = t;
}

static token *pop(token **list)
{
    token *t = *list;
    *list = t->next;
    return t;
}

static token *take(pipe_line *p)
{
    token *t = NULL;
    if (yk_is_over())
        return NULL;
    yk_mutex_lock(&p->lock);
    if (p->code == 0 && p->ready) {
        t = pop(&p->ready);
    } else if (p->code == 0 && can_make(p)) {
        t = pop(&p->idle);
        p->making = true;
        t->item = NULL;
        t->stage = 0;
        t->live = t->filtered = false;
    }
    changed(p); /* there may be more for another one */
    return t;
}

static void fail(pipe_line *p, int code)
{
    yk_mutex_lock(&p->lock);
    if (p->code == 0)
        p->code = code;
    changed(p);
}

/* ---- Stages; each returns the token if it can be carried on at once ---- */

static token *make(pipe_line *p, token *t)
{
    void *item = NULL;
    int code = p->stages[0].run(&item, p->stages[0].arg);
    yk_mutex_lock(&p->lock);
    p->making = false;
    if (code < 0 && p->code == 0)
        p->code = code;
    if (code == 0) {
        t->number = p->made++;
        t->item = item;
        t->live = true;
        t->stage = 1;
    } else {
        p->ended = true;
        push(&p->idle, t);
        t = NULL;
    }
    changed(p);
    return t;
}

/* Whether it is the token's turn; else it is parked. */
static bool has_turn(pipe_line *p, turn *at, token *t)
{
    yk_mutex_lock(&p->lock);
    bool now = at->number == t->number;
    if (!now)
        at->parked[t->number % p->tokens] = t;
    yk_mutex_unlock(&p->lock);
    return now;
}

static void next_turn(pipe_line *p, turn *at)
{
    yk_mutex_lock(&p->lock);
    token **parked = &at->parked[++at->number % p->tokens];
    if (*parked) {
        push(&p->ready, *parked);
        *parked = NULL;
    }
    changed(p);
}

static void finish(pipe_line *p, token *t)
{
    yk_mutex_lock(&p->lock);
    t->live = false;
    push(&p->idle, t);
    changed(p);
}

static token *advance(pipe_line *p, token *t)
{
    if (t->stage == p->count) {
        finish(p, t);
        return NULL;
    }
    if (t->stage == 0)
        return make(p, t);
    const yoke_stage *s = &p->stages[t->stage];
    bool in_order = s->kind == YOKE_IN_ORDER;
    if (in_order && !has_turn(p, &p->turns[t->stage], t))
        return NULL;
    int code = t->filtered ? 0 : s->run(&t->item, s->arg);
    if (code < 0) {
        fail(p, code);
        return NULL;
    }
    if (code > 0)
        t->filtered = true;
    if (in_order)
        next_turn(p, &p->turns[t->stage]);
    t->stage++;
    return t;
}

/* ---- Members ---- */

enum { NOT_BEGUN, RUNS, HAS_LEFT };
typedef _Atomic uint32_t state; /* of a member, where its parent sees it */

/* Sleeps until something has changed since the bell was `seen`. */
static void sleep_for_work(pipe_line *p, uint32_t seen)
{
    atomic_fetch_add_explicit(&p->sleepers, 1, memory_order_seq_cst);
    yk_wait(&p->bell, seen, YOKE_FOREVER, YK_WAIT_DEAF);
    atomic_fetch_sub_explicit(&p->sleepers, 1, memory_order_relaxed);
}

static bool is_stopped(const pipe_line *p)
{
    return atomic_load_explicit(&p->code, memory_order_relaxed) < 0 || yk_is_over();
}

static void leave(pipe_line *p, state *own)
{
    if (!own)
        return;
    /* Release pairs with the acquire of the parent. The bell is the parent's sign; the pipe may be gone once it has seen the
     * state, but the parent joins this fork first. */
    atomic_store_explicit(own, HAS_LEFT, memory_order_release);
    atomic_fetch_add_explicit(&p->bell, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&p->sleepers, memory_order_seq_cst))
        yk_wake(&p->bell, INT_MAX, false);
}

/* cppcheck-suppress unknownMacro ; it does not get through the macros of pp.h */
YOKE_FORK(void, yk_pipe_member, (void *, arg), (state *, own))
{
    pipe_line *p = arg;
    state child = NOT_BEGUN;
    bool forked = false;
    token *t = NULL;
    if (own)
        atomic_store_explicit(own, RUNS, memory_order_relaxed);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&p->bell, memory_order_acquire);
        uint32_t child_now = atomic_load_explicit(&child, memory_order_acquire);
        if (forked && child_now == HAS_LEFT) {
            yoke_join(yk_pipe_member);
            forked = false;
        }
        if (!t)
            t = take(p);
        if (!t && !forked)
            break;
        if (!t && child_now == NOT_BEGUN) {
            yoke_join(yk_pipe_member); /* there is nothing to do for it */
            forked = false;
            continue;
        }
        if (!t) {
            sleep_for_work(p, seen);
            continue;
        }
        if (!forked && atomic_load_explicit(&p->available, memory_order_relaxed) > 0) {
            atomic_store_explicit(&child, NOT_BEGUN, memory_order_relaxed);
            yk_forks_ask_one((yk_forks *)(void *)yk_only_in_a_fork_body); /* so that it is there to be stolen at once */
            yoke_fork(yk_pipe_member, p, &child);
            forked = true;
        }
        t = is_stopped(p) ? NULL : advance(p, t);
    }
    leave(p, own);
}

/* ---- The whole ---- */

static int check(size_t tokens, const yoke_stage *stages, size_t count)
{
    if (tokens == 0 || count == 0 || stages[0].kind != YOKE_IN_ORDER)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (!stages[i].run || stages[i].kind > YOKE_PARALLEL)
            return -EINVAL;
    return 0;
}

static int set_up(pipe_line *p)
{
    size_t parked, bytes;
    if (__builtin_mul_overflow(p->count * sizeof(token *), p->tokens, &parked) ||
        __builtin_mul_overflow(p->tokens, sizeof(token), &bytes) || __builtin_add_overflow(bytes, parked, &bytes) ||
        __builtin_add_overflow(bytes, p->count * sizeof(turn), &bytes))
        return -ENOMEM;
    char *memory = yk_sys.calloc(1, bytes);
    if (!memory)
        return -ENOMEM;
    p->all = (token *)(void *)memory;
    p->turns = (turn *)(void *)(p->all + p->tokens);
    token **rings = (token **)(void *)(p->turns + p->count);
    for (size_t i = 0; i < p->count; i++)
        p->turns[i].parked = rings + i * p->tokens;
    for (size_t i = p->tokens; i-- > 0;)
        push(&p->idle, &p->all[i]);
    return 0;
}

/* What was under way when it ended. */
static void drop_rest(pipe_line *p)
{
    for (size_t i = 0; i < p->tokens; i++) {
        token *t = &p->all[i];
        if (t->live && !t->filtered && t->stage < p->count && p->stages[t->stage - 1].drop)
            p->stages[t->stage - 1].drop(t->item, p->stages[t->stage - 1].arg);
    }
}

static int run_pipeline(yoke_executor *ex, size_t tokens, const yoke_stage *stages, size_t count)
{
    pipe_line p = {.stages = stages, .count = count, .tokens = tokens};
    int err = check(tokens, stages, count);
    if (err == 0 && yk_is_over())
        err = -ECANCELED;
    if (err == 0)
        err = set_up(&p);
    if (err < 0)
        return err;
    yoke_run(ex, yk_pipe_member, &p, NULL);
    bool whole = p.ended;
    for (size_t i = 0; i < tokens; i++)
        whole = whole && !p.all[i].live;
    drop_rest(&p);
    free(p.all);
    return p.code < 0 ? p.code : whole ? 0 : -ECANCELED;
}

int yoke_pipeline(yoke_executor *ex, size_t tokens, const yoke_stage *stages, size_t count)
{
    yk_outside o;
    yk_outside_begin(&o);
    return yk_outside_end(&o, run_pipeline(ex, tokens, stages, count));
}
