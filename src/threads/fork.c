/* fork: what a worker does with forked calls when the short ways of yoke/fork.h are not enough.
 *
 *     | stolen or public: base ... | tail ... | private: split ... head | free ... end |
 *
 * The owner pushes at the head and joins there. Thieves take at the tail, up to the split. `open` holds tail and split in one
 * word: thieves add to the tail with compare and swap, the owner raises the split by an atomic addition and lowers it with
 * compare and swap, so neither can overlook the other. The word also counts how often slots were made public: who has read a
 * slot and then swaps knows that the slot is still what it read.
 *
 * A public slot's state is the job it belongs to (a yk_run or NULL), then the thief, then FINISHED. The owner that waits for a
 * thief helps it first: what the thief has public are mostly parts of what the owner waits for (Wagner and Calder,
 * "Leapfrogging", PPoPP 1993). It takes forks of its own job only. A stranger might await the very job that lies below it on
 * this stack, and so itself. When there are others to be had, it sleeps and lends its place to somebody who takes them.
 *
 * An owner that holds a lock must not help: what it stole could want the lock. It sleeps, lending its place, and the thief must
 * not get stuck behind the lock either, with something on its stack above the fork. So forks that become public while their
 * owner holds a lock are ISOLATED, and their thief counts as a holder of a lock while it runs them: it does not help, and what
 * it makes public is isolated too. Then whoever is waited for under a lock either runs, or waits for what is really a part of it
 * or what its own code waits for: nothing else is ever on its stack. What was public before the lock was taken is not isolated;
 * yoke/fork.h forbids to join it under the lock. (ADR 11.) */
#include "threads/fork.h"
#include "threads/pool.h"
#include "base/spin.h"
#include "sync/who.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLOTS_MAX = 1 << 20, SLOTS_MIN = 1 << 10 };
enum { FINISHED = 1, BY_THIEF = 2, OWNER_SLEEPS = 4, ISOLATED = 8, STATE_FLAGS = 15 };
_Static_assert(_Alignof(yk_run) > STATE_FLAGS && _Alignof(yk_pool_worker) > STATE_FLAGS, "their addresses leave the flags free");
#define NEVER ((yk_fork_slot *)UINTPTR_MAX)

struct yk_fork_done {
    yk_fork_done *below;
    yk_fork_slot *top;
    yk_fork_slot slot; /* its bytes: arguments, then result */
};

/* ---- The slots ---- */

/* Sets what the macros see. While forks are watched all of them take the slow way. */
static void begin_own(yk_forks *f)
{
    bool slow = yk_watching_forks;
    f->own = (yk_fork_worker){.limit = slow ? NULL : f->end, .split = slow ? NEVER : f->base, .head = f->base};
}

int yk_forks_init(yk_forks *f)
{
    for (size_t slots = SLOTS_MAX; slots >= SLOTS_MIN; slots /= 4) {
        void *map = yk_sys.mmap(NULL, slots * sizeof(yk_fork_slot), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED)
            continue;
        f->mapped = slots * sizeof(yk_fork_slot);
        f->base = map;
        f->end = f->base + slots;
        begin_own(f);
        return 0;
    }
    return -ENOMEM;
}

void yk_forks_init_without(yk_forks *f)
{
    static yk_fork_slot none; /* all that is asked of it is where it lies */
    f->base = f->end = &none;
    f->mapped = 0;
    begin_own(f);
}

void yk_forks_done(yk_forks *f)
{
    if (f->mapped)
        munmap(f->base, f->mapped);
    f->base = NULL;
    f->mapped = 0;
    free(f->match);
    f->match = NULL;
}

void yk_forks_give_up(size_t bytes, const char *what)
{
    fflush(stdout); /* what the program has printed so far would be lost */
    fprintf(stderr, "yoke: out of memory: %zu bytes for %s, and no job to fail\n", bytes, what);
    abort(); /* there is nobody to tell, and going on would be a wrong answer */
}

/* `open`, from the lowest bit on: tail, split, and how often slots were made public. */
enum { INDEX_BITS = 21 };
#define INDEX_MASK (((uint64_t)1 << INDEX_BITS) - 1)
#define ONE_SPLIT ((uint64_t)1 << INDEX_BITS)
#define ONE_TIME ((uint64_t)1 << 2 * INDEX_BITS)
_Static_assert(SLOTS_MAX <= INDEX_MASK, "every place has a number");

static uint32_t tail_of(uint64_t open)
{
    return (uint32_t)(open & INDEX_MASK);
}

static uint32_t split_of(uint64_t open)
{
    return (uint32_t)(open / ONE_SPLIT & INDEX_MASK);
}

/* The same with another tail and split. */
static uint64_t with(uint64_t open, uint32_t tail, uint32_t split)
{
    return (open & ~(ONE_TIME - 1)) | split * ONE_SPLIT | tail;
}

bool yk_forks_open(const yk_forks *f)
{
    uint64_t open = atomic_load_explicit(&f->open, memory_order_seq_cst);
    return tail_of(open) < split_of(open);
}

static yk_pool_worker *worker_of(yk_forks *f)
{
    return (yk_pool_worker *)(void *)f;
}

/* ---- The job of a fork ---- */

static bool is_over(const yk_run *run)
{
    return run && yk_run_is_over(run);
}

static bool is_cancelled(const yk_forks *f)
{
    return f->frame && is_over(f->frame->run);
}

/* For who then leaves something out. */
static bool is_cut(const yk_forks *f)
{
    return f->frame && f->frame->run && yk_run_cut(f->frame->run);
}

bool yk_forks_is_over(const yk_fork_worker *w)
{
    return is_cut((const yk_forks *)(const void *)w);
}

/* Sets what the macros compare with. While results of early runs wait, or the job is cancelled, each join takes the slow way;
 * in a cancelled job, or while forks are watched, each fork, too. */
static void refresh(yk_forks *f)
{
    bool slow = is_cancelled(f) || yk_watching_forks;
    f->own.split = slow || f->done_early ? NEVER : f->base + f->split;
    if (slow)
        __atomic_store_n(&f->own.limit, NULL, __ATOMIC_RELAXED);
}

void yk_forks_begin(yk_forks *f, yk_fork_frame *frame, yk_fork_slot *top, yk_run *run)
{
    *frame = (yk_fork_frame){.first = (uint32_t)(top - f->base), .run = run, .under_lock = yk_is_isolated(), .outer = f->frame};
    f->frame = frame;
    f->own.head = top;
    if (yk_watching_forks)
        yk_fork_match_begin(f, frame);
    refresh(f);
}

/* Writes into slots [from, to), about to become public, which job they belong to, and whether they are isolated: a frame's if a
 * lock is held, by now or when the next frame began. */
static void name_owners(yk_forks *f, uint32_t from, uint32_t to)
{
    const yk_fork_frame *frame = f->frame;
    bool isolated = yk_is_isolated();
    for (uint32_t i = to; i-- > from;) {
        for (; frame->first > i; frame = frame->outer)
            isolated = frame->under_lock;
        if (frame->run)
            atomic_store_explicit(&frame->run->shared, true, memory_order_relaxed); /* its lock counts from now on */
        __atomic_store_n(&f->base[i].state, (uintptr_t)frame->run | (isolated ? ISOLATED : 0), __ATOMIC_RELAXED);
    }
}

/* ---- Making forks public ---- */

void yk_forks_ask_one(yk_forks *f)
{
    if (__atomic_load_n(&f->own.limit, __ATOMIC_RELAXED))
        __atomic_store_n(&f->own.limit, NULL, __ATOMIC_RELEASE);
}

void yk_forks_ask(yk_pool *p)
{
    uint32_t count = yk_pool_reach(p);
    for (uint32_t i = 0; i < count; i++)
        yk_forks_ask_one(&p->workers[i]->forks);
}

/* Makes the older half of the private slots public. */
static void share(yk_forks *f, uint32_t head)
{
    if (head <= f->split)
        return;
    uint32_t private = head - f->split, more = (private + 1) / 2;
    name_owners(f, f->split, f->split + more);
    f->split += more;
    /* Release: the slots are there before they can be stolen. Sequentially consistent because of the look at the sleepers. */
    atomic_fetch_add_explicit(&f->open, ONE_TIME + more * ONE_SPLIT, memory_order_seq_cst);
}

/* Somebody has asked. */
static void answer(yk_forks *f, yk_fork_slot *head)
{
    /* Acquire pairs with the asker's release: it is entered as a sleeper by now. */
    (void)__atomic_exchange_n(&f->own.limit, f->end, __ATOMIC_ACQ_REL);
    share(f, (uint32_t)(head - f->base));
    refresh(f);
    yk_pool *p = worker_of(f)->pool;
    if (p && yk_pool_wake_for_forks(p))
        yk_forks_ask_one(f); /* more sleep than were woken */
}

/* The slots are full: the call is made at once, its result kept for the join. */
static void run_early(yk_forks *f, yk_fork_slot *top, yk_fork_fn *run, const void *args, size_t size)
{
    yk_fork_done *d = yk_sys.malloc(sizeof *d);
    if (!d) {
        static const char what[] = "one more fork without a join, beyond all slots";
        if (!f->frame->run || !yk_run_is_task(f->frame->run))
            yk_forks_give_up(sizeof *d, what);
        yk_fail(__FILE__, __LINE__, -ENOMEM, "out of memory: %zu bytes for %s", sizeof *d, what);
        return;
    }
    *d = (yk_fork_done){.top = top};
    memcpy(d->slot.bytes, args, size);
    run(&f->own, top, &d->slot);
    d->below = f->done_early;
    f->done_early = d;
    refresh(f);
}

static void clear_forgotten(yk_forks *f, yk_fork_slot *top);

yk_fork_slot *yk_fork_slow(yk_fork_worker *w, yk_fork_slot *top, yk_fork_fn *run, const void *args, size_t size,
                           const char *name)
{
    yk_forks *f = (yk_forks *)(void *)w;
    if (yk_watching_forks)
        clear_forgotten(f, top); /* so that what is reported does no harm meanwhile */
    w->head = top + 1;
    bool cut = is_cut(f), early = !cut && top >= f->end;
    if (early)
        run_early(f, top, run, args, size); /* whose own forks begin at the same slot */
    if (yk_watching_forks)
        yk_fork_match_forked(f, top, name, __builtin_return_address(0));
    if (cut)
        refresh(f); /* the join gives zero */
    if (cut || early)
        return top + 1;
    memcpy(top->bytes, args, size);
    top->run = run;
    if (!__atomic_load_n(&w->limit, __ATOMIC_RELAXED))
        answer(f, top + 1);
    return top + 1;
}

/* ---- Taking back ---- */

/* Makes slot i private again if no thief has it; all above it have been joined. */
static bool take_back(yk_forks *f, uint32_t i)
{
    uint64_t open = atomic_load_explicit(&f->open, memory_order_relaxed);
    while (tail_of(open) <= i) {
        uint32_t tail = tail_of(open), split = tail + (i - tail) / 2;
        if (atomic_compare_exchange_weak_explicit(&f->open, &open, with(open, tail, split), memory_order_acq_rel,
                                                  memory_order_relaxed)) {
            f->split = split;
            return true;
        }
    }
    return false;
}

/* Nothing from slot i on is public any more. No thief can be at it: for all of them tail == split. */
static void close_from(yk_forks *f, uint32_t i)
{
    f->split = i;
    atomic_store_explicit(&f->open, with(atomic_load_explicit(&f->open, memory_order_relaxed), i, i), memory_order_relaxed);
}

/* ---- Stealing ---- */

static yk_run *run_of(uintptr_t state)
{
    return (yk_run *)(state & ~(uintptr_t)STATE_FLAGS);
}

static void run_stolen(yk_pool_worker *w, yk_pool_worker *victim, yk_fork_slot *s, yk_fork_slot *top)
{
    uintptr_t state = __atomic_load_n(&s->state, __ATOMIC_RELAXED);
    yk_run *run = run_of(state);
    uint32_t isolated = state & ISOLATED ? 1 : 0;
    if (__atomic_exchange_n(&s->state, (uintptr_t)w | BY_THIEF, __ATOMIC_ACQ_REL) & OWNER_SLEEPS)
        __atomic_fetch_or(&s->state, OWNER_SLEEPS, __ATOMIC_RELAXED);
    yk_fork_frame frame;
    yk_forks_begin(&w->forks, &frame, top, run);
    yk_self.held += isolated;
    yk_run *before = yk_run_enter(run);
    void *scope = yk_scope_enter(NULL);
    if (run && yk_run_cut(run))
        memset(s->bytes, 0, sizeof s->bytes);
    else
        s->run(&w->forks.own, top, s);
    yk_scope_enter(scope);
    yk_run_enter(before);
    yk_forks_end(&w->forks, &frame, top); /* waits for forks without a join, isolated too */
    if (isolated)
        yk_hold_less();
    /* Release: the result is there before the state says so. The slot is the owner's again from here on. */
    if (__atomic_exchange_n(&s->state, FINISHED, __ATOMIC_SEQ_CST) & OWNER_SLEEPS)
        yk_pool_ring(victim);
}

bool yk_forks_steal_from(yk_pool_worker *w, yk_pool_worker *victim, yk_fork_slot *top, const yk_run *only)
{
    yk_forks *f = &victim->forks;
    /* Acquire pairs with the owner's addition in share(), and the swap does. */
    uint64_t open = atomic_load_explicit(&f->open, memory_order_acquire);
    if (tail_of(open) >= split_of(open))
        return false;
    if (only && run_of(__atomic_load_n(&f->base[tail_of(open)].state, __ATOMIC_RELAXED)) != only)
        return false;
    if (!atomic_compare_exchange_strong_explicit(&f->open, &open, open + 1, memory_order_acquire, memory_order_relaxed))
        return false;
    bool searched = w->searching;
    yk_pool_found(w);
    if (!searched && tail_of(open) + 1 < split_of(open))
        yk_pool_wake_for_forks(w->pool);
    yk_count(&w->steals);
    run_stolen(w, victim, &f->base[tail_of(open)], top);
    return true;
}

bool yk_forks_steal(yk_pool_worker *w, yk_fork_slot *top, const yk_run *only)
{
    yk_round round;
    yk_round_begin(&round, w);
    for (yk_pool_worker *victim; (victim = yk_round_next(&round));)
        if (yk_forks_steal_from(w, victim, top, only)) {
            w->victim = victim->index;
            return true;
        }
    yk_forks_ask(w->pool);
    return false;
}

/* ---- Waiting for a thief ---- */

static bool is_finished(const yk_fork_slot *s)
{
    return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == FINISHED;
}

static yk_pool_worker *thief_of(const yk_fork_slot *s)
{
    uintptr_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE); /* pairs with the exchange in run_stolen() */
    return state & BY_THIEF ? (yk_pool_worker *)(state & ~(uintptr_t)STATE_FLAGS) : NULL;
}

/* The thief's thread. While yk_who_lock is held it cannot begin to wait for anything else than in this fork. */
static yk_who *holder(const void *slot, unsigned i)
{
    const yk_pool_worker *thief = i == 0 ? thief_of(slot) : NULL;
    return thief ? atomic_load_explicit(&thief->who, memory_order_relaxed) : NULL;
}

static void tell(const void *slot, char *text, size_t size)
{
    snprintf(text, size, "joins a fork");
}

static const yk_wish_kind join_wish = {.holder = holder, .tell = tell, .by = "run by"};

/* Others may see who waits for whom. A join cannot be refused: one that would never be over is reported, and waits. */
static void begin_wish(yk_wish *wish, const yk_fork_slot *s)
{
    if (!yoke_watching_locks || yk_wish_begin(wish, &join_wish, s, YOKE_FOREVER) < 0)
        yk_wish_enter(wish, &join_wish, s);
}

/* Asks the thief to ring the bell; false when it has finished. */
static bool is_asleep_for(yk_fork_slot *s)
{
    if (__atomic_fetch_or(&s->state, OWNER_SLEEPS, __ATOMIC_SEQ_CST) != FINISHED)
        return true;
    __atomic_store_n(&s->state, FINISHED, __ATOMIC_RELAXED);
    return false;
}

/* A guest has the place of a worker that sleeps; a worker lends its own by yk_wait(). */
static void lend(yk_pool_worker *w)
{
    if (w->guest)
        atomic_fetch_sub_explicit(&w->pool->guests, 1, memory_order_seq_cst); /* before the looks: see yk_pool_has_place() */
}

static void take_again(yk_pool_worker *w)
{
    if (w->guest)
        atomic_fetch_add_explicit(&w->pool->guests, 1, memory_order_relaxed);
}

static void sleep_on_bell(yk_pool_worker *w, const yk_fork_slot *s, uint32_t seen, bool lent)
{
    yk_wish wish;
    begin_wish(&wish, s);
    if (lent)
        yk_wait(&w->bell, seen, YOKE_FOREVER, YK_WAIT_DEAF);
    else
        yk_futex_wait(&w->bell, seen, YOKE_FOREVER, false);
    yk_wish_end(&wish);
}

static void sleep_and_lend(yk_pool_worker *w, const yk_fork_slot *s, uint32_t seen)
{
    lend(w);
    yk_forks_ask(w->pool);
    if (yk_pool_has_forks(w->pool))
        yk_pool_wake_for_forks(w->pool);
    sleep_on_bell(w, s, seen, true);
    take_again(w);
}

/* Runs a part of what slot s waits for, or else another part of the same job. */
static bool help(yk_pool_worker *w, yk_fork_slot *s)
{
    const yk_run *job = w->forks.frame->run;
    yk_pool_worker *thief = thief_of(s);
    return (thief && yk_forks_steal_from(w, thief, s + 1, job)) || yk_forks_steal(w, s + 1, job);
}

/* Sleeps until the thief has finished or there are forks to steal. A job that waits to be begun, and forks of other jobs, get
 * this thread's place, and those of others who sleep so, until somebody takes them: the thief may be waiting for that job. */
static void sleep_for(yk_pool_worker *w, yk_fork_slot *s)
{
    yk_pool *p = w->pool;
    uint32_t seen = atomic_load_explicit(&w->bell, memory_order_acquire);
    yk_idle_enter(&p->joiners, w->index);
    bool asleep = is_asleep_for(s);
    yk_forks_ask(p);
    bool others = yk_pool_has_work(p) || yk_pool_has_forks(p);
    if (asleep && !others)
        sleep_on_bell(w, s, seen, false);
    yk_idle_leave(&p->joiners, w->index);
    if (asleep && others && !help(w, s)) {
        yk_pool_wake(p);
        sleep_and_lend(w, s, seen);
    }
}

/* Sleeps until the thief has finished, while others do what there is to do. */
static void sleep_isolated(yk_pool_worker *w, yk_fork_slot *s)
{
    uint32_t seen = atomic_load_explicit(&w->bell, memory_order_acquire);
    if (is_asleep_for(s))
        sleep_and_lend(w, s, seen);
}

/* Waits until the thief of slot s has finished, and helps meanwhile unless a lock is held. */
static void wait_for(yk_forks *f, yk_fork_slot *s)
{
    yk_pool_worker *w = worker_of(f);
    bool isolated = yk_is_isolated();
    yk_spin spin;
    yk_spin_begin(&spin, yk_pool_may_spin(w->pool));
    while (!is_finished(s)) {
        if (!isolated && help(w, s))
            yk_spin_begin(&spin, yk_pool_may_spin(w->pool));
        else if (!yk_spin_more(&spin))
            (isolated ? sleep_isolated : sleep_for)(w, s);
    }
}

/* ---- The end of a frame ---- */

/* Forks that a body has left without a join: what has been stolen must end before its slot is used again, and the rest is
 * dropped. */
static void clear_forgotten(yk_forks *f, yk_fork_slot *top)
{
    uint32_t first = (uint32_t)(top - f->base);
    while (f->split > first) {
        uint32_t i = f->split - 1;
        if (take_back(f, i))
            continue;
        f->own.head = f->base + f->split;
        wait_for(f, &f->base[i]);
        close_from(f, i);
    }
    while (f->done_early && f->done_early->top >= top) {
        yk_fork_done *d = f->done_early;
        f->done_early = d->below;
        free(d);
    }
}

void yk_forks_end(yk_forks *f, yk_fork_frame *frame, yk_fork_slot *top)
{
    clear_forgotten(f, top);
    if (yk_watching_forks)
        yk_fork_match_end(f, frame);
    f->frame = frame->outer;
    f->own.head = top;
    refresh(f);
}

/* ---- Joining ---- */

static const void *pop_early(yk_forks *f)
{
    yk_fork_done *d = f->done_early;
    memcpy(f->result, d->slot.bytes, sizeof f->result);
    f->done_early = d->below;
    free(d);
    refresh(f);
    return f->result;
}

static const char zero[YOKE_FORK_BYTES] __attribute__((aligned(16)));

const void *yk_fork_reclaim(yk_fork_worker *own, yk_fork_slot *top, const char *name)
{
    yk_forks *f = (yk_forks *)(void *)own;
    if (yk_watching_forks) {
        clear_forgotten(f, top + 1);
        own->head = top;
        if (!yk_fork_match_joined(f, top, name))
            return zero;
    }
    if (f->done_early && f->done_early->top == top)
        return pop_early(f);
    uint32_t i = (uint32_t)(top - f->base);
    if (top < f->end && i < f->split && !take_back(f, i)) {
        own->head = top + 1;
        wait_for(f, top);
        own->head = top;
        close_from(f, i);
        refresh(f);
        return top->bytes;
    }
    refresh(f);
    return is_cut(f) ? zero : NULL;
}
