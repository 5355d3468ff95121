/* A line of work between threads: some find it, others do it, and all end when nothing more comes.
 *
 * Use it when work is found at another pace than it is done, or by others than do it. The limit of the queue holds back those
 * who are ahead, so the memory for what waits is bounded; shutdown tells the workers, who are waiting, that this was all. */
#include <pthread.h>
#include <stdio.h>
#include <yoke.h>

enum { WORKERS = 3, NUMBERS = 30000 };

typedef struct answer {
    int number, divisors;
} answer;

YOKE_QUEUE(questions, int);
YOKE_PRIORITY_QUEUE(ranking, answer, a, b, a->divisors > b->divisors);
static questions *line;
static ranking *found;

static void *work(void *arg)
{
    (void)arg;
    for (int n; questions_get(line, &n) == 0; questions_task_done(line)) {
        int divisors = 0;
        for (int d = 1; d * d <= n; d++)
            divisors += n % d ? 0 : d * d == n ? 1 : 2;
        ranking_put(found, (answer){n, divisors});
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[WORKERS];
    answer best;
    if (questions_open(YOKE_QUEUE_FIFO, 100, &line) < 0 || ranking_open(0, &found) < 0)
        return 1;
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int n = 1; n <= NUMBERS; n++)
        questions_put(line, n); /* waits while 100 are in the line */
    questions_join(line);       /* every number has been dealt with */
    printf("%zu answers, %zu questions left\n", ranking_size(found), questions_size(line));
    ranking_get(found, &best);
    printf("most divisors: %d has %d\n", best.number, best.divisors);
    questions_shutdown(line, false);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    printf("put after shutdown: %s\n", yoke_strerror(questions_put(line, 1)));
    questions_close(line);
    ranking_close(found);
    return 0;
}
