/* A condition: wait until something is true that others make true under a lock.
 *
 * Use it when a thread can go on only in certain states of shared data. It gives the lock up while it waits and has it
 * again when it goes on. For items that are handed over use a queue, which has all this inside; for a flag use an event.
 * */
#include <stdio.h>
#include <yoke.h>

enum { ROOM = 2, LOADS = 6 };

static yoke_lock yard = YOKE_LOCK_INIT;
static yoke_condition changed = YOKE_CONDITION_INIT;
static int boxes;

static bool has_room(void *nothing)
{
    return !nothing && boxes < ROOM;
}

static bool has_boxes(void *nothing)
{
    return !nothing && boxes > 0;
}

/* Waits until there is room, or there are boxes, then puts or takes one. */
static void move_one(bool (*may)(void *arg), int change)
{
    yoke_with(&yard) {
        yoke_condition_wait_for(&changed, &yard, may, NULL);
        boxes += change;
        yoke_condition_notify_all(&changed, &yard);
    }
}

YOKE_TASK(int, move, (int, change), (int, times))
{
    for (int i = 0; i < times; i++)
        move_one(change > 0 ? has_room : has_boxes, change);
    return change * times;
}

int main(void)
{
    yoke_thread *truck = yoke_thread_start("truck", move, -1, LOADS);
    yoke_thread *cranes[2] = {yoke_thread_start("crane", move, 1, LOADS / 2), yoke_thread_start("crane", move, 1, LOADS / 2)};
    int moved, sum = 0;
    yoke_thread_try(truck, &moved);
    sum += moved;
    for (int i = 0; i < 2; i++) {
        yoke_thread_try(cranes[i], &moved);
        sum += moved;
        yoke_thread_release(cranes[i]);
    }
    yoke_thread_release(truck);
    printf("%d boxes came and went, %d are left\n", LOADS, boxes + sum);
    return 0;
}
