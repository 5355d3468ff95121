/* A semaphore: at most so many at a time.
 *
 * Use it to limit how many use something of which there are several: connections, licences, memory. A bounded one also finds the
 * bug of giving back more than was taken. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <yoke.h>

enum { LINES = 3, CALLERS = 8 };

static yoke_semaphore lines;
static atomic_int busy, most;

YOKE_TASK(int, call, (int, number))
{
    yoke_semaphore_acquire(&lines);
    int now = atomic_fetch_add(&busy, 1) + 1, seen = most;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    usleep(5000);
    atomic_fetch_sub(&busy, 1);
    yoke_semaphore_release(&lines, 1);
    return number;
}

int main(void)
{
    yoke_thread *callers[CALLERS];
    yoke_semaphore_init_bounded(&lines, LINES, 0);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = yoke_thread_start("caller", call, i);
    for (int i = 0; i < CALLERS; i++) {
        yoke_thread_join(callers[i]);
        yoke_thread_release(callers[i]);
    }
    printf("%d calls over %d lines, never more at a time: %s\n", CALLERS, LINES, most <= LINES ? "yes" : "no");
    printf("lines free again: %d\n", yoke_semaphore_permits(&lines));
    printf("one more than there are: %s\n", yoke_semaphore_release(&lines, 1) < 0 ? "refused" : "accepted");
    return 0;
}
