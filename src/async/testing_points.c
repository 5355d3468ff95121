/* testing_points: which waiting points a function has come to, over many runs of it.
 *
 * Where other threads take part no two runs need have the same points: what is waited for may be there already, and then the
 * third wait is another. So a point is not known by its number but by what it is: which coroutine (in order of starting), before
 * a wait or in it, where in yoke, and how often that coroutine has been there in this run. A number of 64 bits is made of these;
 * that two points have the same is as good as impossible.
 *
 * The table is of pages of its own, as it grows between two looks at how much memory is in use. */
#include "async/testing.h"
#include <sys/mman.h>

enum { FIRST_SIZE = 256 };

typedef struct yk_point {
    uint64_t id;    /* 0: free */
    unsigned run;   /* in which `times` was counted, of a place; 0: it is a point */
    unsigned times;
    unsigned looks; /* how many of the runs without a cancel came to it */
    unsigned look;  /* the last that did */
    bool done;      /* there was a cancel at it */
} yk_point;

/* The last step of MurmurHash3 (public domain), with the parts of an identity one after the other. */
static uint64_t mix(uint64_t id, uint64_t part)
{
    id = (id ^ part) * 0xff51afd7ed558ccdu;
    id = (id ^ id >> 33) * 0xc4ceb9fe1a85ec53u;
    id ^= id >> 33;
    return id ? id : 1;
}

static yk_point *find_in(yk_point *slots, size_t size, uint64_t id)
{
    size_t at = id % size;
    while (slots[at].id != 0 && slots[at].id != id)
        at = (at + 1) % size;
    return &slots[at];
}

static bool grow(yk_points *p)
{
    size_t size = p->size > 0 ? 2 * p->size : FIRST_SIZE;
    yk_point *slots = yk_sys.mmap(NULL, size * sizeof *slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        return false;
    for (size_t i = 0; i < p->size; i++)
        if (p->slots[i].id != 0)
            *find_in(slots, size, p->slots[i].id) = p->slots[i];
    if (p->slots)
        munmap(p->slots, p->size * sizeof *slots);
    p->slots = slots;
    p->size = size;
    return true;
}

/* Found or new. NULL: no memory. */
static yk_point *look_up(yk_points *p, uint64_t id)
{
    if (2 * p->used >= p->size && !grow(p))
        return NULL;
    yk_point *point = find_in(p->slots, p->size, id);
    p->used += point->id == 0;
    point->id = id;
    return point;
}

/* How often the run that is under way has come to this place, with this time. 0: no memory. */
static unsigned count(yk_points *p, uint64_t place)
{
    yk_point *point = look_up(p, place);
    if (!point)
        return 0;
    if (point->run != p->run)
        point->times = 0;
    point->run = p->run;
    return ++point->times;
}

static void see(const yk_points *p, yk_point *point)
{
    point->looks += point->look != p->look;
    point->look = p->look;
}

static void cancel_at(yk_points *p, yk_point *point)
{
    p->told = true;
    p->target = point->id;
    if (point->done)
        return;
    point->done = true;
    p->done++;
    p->found += point->looks == 0;
    p->seen -= point->looks > 0;
    p->left -= point->looks == p->looks;
}

int yk_points_meet(yk_points *p, uint64_t coroutine, unsigned when, const void *where)
{
    uint64_t place = mix(mix(mix(1, coroutine), when), (uintptr_t)where);
    unsigned times = count(p, place);
    yk_point *point = times > 0 ? look_up(p, mix(place, times)) : NULL;
    if (!point)
        return -ENOMEM;
    if (p->look > 0) {
        see(p, point);
        return 0;
    }
    if (p->told || (p->target ? point->id != p->target : point->done))
        return 0;
    cancel_at(p, point);
    return 1;
}

void yk_points_known(yk_points *p)
{
    p->look = 0;
    for (size_t i = 0; i < p->size; i++) {
        const yk_point *point = &p->slots[i];
        p->found += point->looks > 0;
        p->left += point->looks == p->looks;
    }
    p->seen = p->found;
}

void yk_points_clear(yk_points *p)
{
    if (p->slots)
        munmap(p->slots, p->size * sizeof *p->slots);
    *p = (yk_points){.look = p->look, .looks = p->looks};
}
