/* watch_order: the orders in which locks were taken, and the search for two that contradict each other.
 *
 * An edge leads from a lock that was held to one that was wanted; a cycle of edges can become a deadlock when the edges can be
 * taken at the same time by different threads. It cannot when two of them were only ever taken under one further lock, a gate
 * (Klaus Havelund, "Using runtime analysis to guide model checking of Java programs", SPIN 2000): so an edge comes in
 * variants, with the other locks that were held. Nor can it when at some lock of the cycle both the holder and the one who
 * wants it are of the shared side.
 *
 * Edges are noted when a lock is wanted, that is before the thread could block, and searched for once: when they are new. */
#include "sync/watching.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t searches;

/* ---- Edges ---- */

static yk_edge *find_edge(const yk_watched *from, const yk_watched *to)
{
    yk_edge *e = from->edges;
    while (e && e->to != to)
        e = e->next;
    return e;
}

static yk_edge *make_edge(yk_watched *from, yk_watched *to)
{
    yk_edge *e = yk_sys.calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->from = from;
    e->to = to;
    e->next = from->edges;
    return from->edges = e;
}

static bool has_gate(const yk_variant *v, uint64_t serial)
{
    for (unsigned i = 0; i < v->gate_count; i++)
        if (v->gates[i] == serial)
            return true;
    return false;
}

/* Whatever is forbidden by a's gates is by b's too: b adds nothing to what a says. */
static bool covers(const yk_variant *a, const yk_variant *b)
{
    if (a->from_shared > b->from_shared || a->to_shared > b->to_shared)
        return false;
    for (unsigned i = 0; i < a->gate_count; i++)
        if (!has_gate(b, a->gates[i]))
            return false;
    return true;
}

/* What the thread holds besides: only what excludes others, and from both locks of the edge. */
static void note_gates(yk_variant *v, const yk_keeper *k, const yk_held *from)
{
    for (const yk_held *h = k->held; h; h = h->next_of_thread)
        if (h != from && !h->shared && !h->lock->passed_on && v->gate_count < YK_GATES)
            v->gates[v->gate_count++] = h->lock->serial;
}

/* ---- The search ---- */

static bool exclude_each_other(const yk_variant *a, const yk_variant *b)
{
    for (unsigned i = 0; i < a->gate_count; i++)
        if (has_gate(b, a->gates[i]))
            return true;
    return false;
}

/* Whether the variant can go on after the steps so far, which end at its lock. */
static bool fits(const yk_variant *v, const yk_step *steps, unsigned count)
{
    if (steps[count - 1].variant->to_shared && v->from_shared)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (exclude_each_other(v, steps[i].variant))
            return false;
    return true;
}

static unsigned search(yk_watched *at, const yk_watched *goal, yk_step *steps, unsigned count);

static unsigned search_edge(const yk_edge *e, const yk_watched *goal, yk_step *steps, unsigned count)
{
    for (unsigned i = 0; i < e->count; i++) {
        const yk_variant *v = &e->variants[i];
        if (!fits(v, steps, count))
            continue;
        steps[count] = (yk_step){e, v};
        if (e->to == goal) {
            if (!(v->to_shared && steps[0].variant->from_shared))
                return count + 1;
            continue;
        }
        unsigned found = search(e->to, goal, steps, count + 1);
        if (found > 0)
            return found;
    }
    return 0;
}

/* From the end of the steps so far to the lock where they began. Returns the number of steps, or 0. */
static unsigned search(yk_watched *at, const yk_watched *goal, yk_step *steps, unsigned count)
{
    if (count >= YK_CHAIN || at->mark == searches)
        return 0;
    at->mark = searches;
    for (const yk_edge *e = at->edges; e; e = e->next) {
        unsigned found = search_edge(e, goal, steps, count);
        if (found > 0)
            return found;
    }
    return 0;
}

static void report_if_sure(const yk_step *steps, unsigned count, bool now)
{
    for (unsigned i = 0; i < count; i++)
        if (!yk_is_lock(steps[i].edge->from))
            return; /* yk_order_settle() comes back to it */
    if (count > 0)
        yk_report_order(steps, count, now);
}

void yk_order_settle(yk_watched *lock)
{
    for (yk_edge *e = lock->edges; e; e = e->next) {
        for (unsigned i = 0; i < e->count; i++) {
            yk_step steps[YK_CHAIN + 1] = {{e, &e->variants[i]}};
            searches++;
            report_if_sure(steps, search(e->to, lock, steps, 1), false);
        }
    }
}

static void note_one(const yk_keeper *k, const yk_held *h, yk_who *me)
{
    yk_watched *to = k->want.lock;
    yk_edge *e = find_edge(h->lock, to);
    yk_variant v = {.from_shared = h->shared, .to_shared = k->want.shared, .from_site = h->site, .to_site = k->want.site};
    note_gates(&v, k, h);
    for (unsigned i = 0; e && i < e->count; i++)
        if (covers(&e->variants[i], &v))
            return;
    if (!e)
        e = make_edge(h->lock, to);
    if (!e || e->count == YK_VARIANTS)
        return;
    yk_who_label(me, v.thread, sizeof v.thread);
    e->variants[e->count++] = v;
    yk_step steps[YK_CHAIN + 1] = {{e, &e->variants[e->count - 1]}};
    searches++;
    report_if_sure(steps, search(to, h->lock, steps, 1), true);
}

void yk_order_note(const yk_keeper *k, yk_who *me)
{
    for (const yk_held *h = k->held; h; h = h->next_of_thread)
        if (!h->lock->passed_on)
            note_one(k, h, me);
}

/* ---- Forgetting ---- */

static void cut_edges_to(yk_watched *lock, void *gone)
{
    for (yk_edge **at = &lock->edges; *at;) {
        yk_edge *e = *at;
        if (e->to == gone || lock == gone) {
            *at = e->next;
            free(e);
        } else {
            at = &e->next;
        }
    }
}

void yk_order_forget(yk_watched *lock)
{
    yk_watched_each(cut_edges_to, lock);
}
