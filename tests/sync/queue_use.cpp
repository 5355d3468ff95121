/* queue_use.cpp - the typed queues as a program uses them, in both C and C++, without a warning: compiled by queue_use.py with
 * every compiler, and run. Exits with the line of the first check that fails. */
#include <pthread.h>
#include <string.h>
#include <yoke.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__ % 256;                                                                                     \
    } while (0)

typedef struct parcel {
    int weight;
    const char *to;
} parcel;

#ifdef __cplusplus
namespace post {
#endif
YOKE_QUEUE(line, parcel);
YOKE_QUEUE(numbers, unsigned long long);
YOKE_QUEUE(names, const char *);
YOKE_QUEUE(letters, char);
YOKE_PRIORITY_QUEUE(lightest, parcel, a, b, a->weight < b->weight);
YOKE_PRIORITY_QUEUE(dictionary, const char *, left, right, strcmp(*left, *right) < 0);
YOKE_PRIORITY_QUEUE(in_pairs, struct parcel, a, b, a->weight / 2 == b->weight / 2 ? false : a->weight < b->weight);
#ifdef __cplusplus
}
using namespace post;
#endif

static parcel parcel_of(int weight, const char *to)
{
    parcel p;
    p.weight = weight;
    p.to = to;
    return p;
}

static void *send(void *arg)
{
    line *q = (line *)arg;
    for (int i = 0; i < 1000; i++)
        if (line_put(q, parcel_of(i, "here")) != 0)
            break;
    line_shutdown(q, false);
    return NULL;
}

static int check_threads(void)
{
    line *q = NULL;
    pthread_t thread;
    parcel p;
    int n = 0;
    CHECK(line_open(YOKE_QUEUE_SPSC, 7, &q) == 0 && line_capacity(q) == 7);
    CHECK(pthread_create(&thread, NULL, send, q) == 0);
    for (; line_get(q, &p) == 0; n++)
        CHECK(p.weight == n && strcmp(p.to, "here") == 0 && line_task_done(q) == 0);
    pthread_join(thread, NULL);
    CHECK(n == 1000 && line_unfinished(q) == 0 && line_join(q) == 0);
    CHECK(line_put_try(q, p) == -ESHUTDOWN && line_close(q) == 0);
    return 0;
}

static int check_order(void)
{
    lightest *q = NULL;
    dictionary *words = NULL;
    in_pairs *pairs = NULL;
    parcel p, all[3];
    const char *word = NULL;
    CHECK(lightest_open(0, &q) == 0 && dictionary_open(3, &words) == 0 && in_pairs_open(0, &pairs) == 0);
    CHECK(lightest_put(q, parcel_of(3, "c")) == 0 && lightest_put_timed(q, parcel_of(1, "a"), 0) == 0);
    CHECK(lightest_put_until(q, parcel_of(1, "b"), YOKE_FOREVER) == 0 && lightest_size(q) == 3);
    CHECK(lightest_get_many(q, all, 3) == 3 && lightest_empty(q) && !lightest_full(q));
    CHECK(*all[0].to == 'a' && *all[1].to == 'b' && *all[2].to == 'c');
    CHECK(lightest_get_timed(q, &p, 0) == -ETIMEDOUT && lightest_get_try(q, &p) == -EAGAIN);
    CHECK(dictionary_put(words, "pear") == 0 && dictionary_put(words, "fig") == 0 && dictionary_put(words, "plum") == 0);
    CHECK(dictionary_full(words) && dictionary_put_try(words, "nut") == -EAGAIN);
    CHECK(dictionary_get(words, &word) == 0 && strcmp(word, "fig") == 0);
    for (int i = 9; i >= 0; i--)
        CHECK(in_pairs_put(pairs, parcel_of(i, "")) == 0);
    for (int i = 0; i < 10; i++)
        CHECK(in_pairs_get(pairs, &p) == 0 && p.weight == (i ^ 1)); /* in a pair, the one that came first */
    CHECK(lightest_close(q) == 0 && dictionary_close(words) == 0 && in_pairs_close(pairs) == 0);
    return 0;
}

static int check_types(void)
{
    numbers *n = NULL;
    names *w = NULL;
    letters *l = NULL;
    unsigned long long several[4] = {1, 2, 3, 4}, got[4] = {0, 0, 0, 0};
    const unsigned long long *constant = several;
    const char *name = NULL;
    char letter = 0;
    CHECK(numbers_open(YOKE_QUEUE_FIFO, 3, &n) == 0 && names_open(YOKE_QUEUE_LIFO, 0, &w) == 0);
    CHECK(letters_open(YOKE_QUEUE_FIFO, 0, &l) == 0 && letters_open(YOKE_QUEUE_PRIORITY, 0, &l) == -EINVAL);
    CHECK(numbers_put_many_try(n, constant, 4) == 3 && numbers_put_many_until(n, several, 1, 0) == -ETIMEDOUT);
    CHECK(numbers_get_many_try(n, got, 2) == 2 && numbers_get_many_until(n, got + 2, 2, 0) == 1);
    CHECK(got[0] == 1 && got[1] == 2 && got[2] == 3 && got[3] == 0);
    CHECK(names_put(w, "x") == 0 && names_get_until(w, &name, 0) == 0 && strcmp(name, "x") == 0);
    CHECK(letters_put(l, 'y') == 0 && letters_get(l, &letter) == 0 && letter == 'y');
    CHECK(numbers_put_many(n, several, 2) == 2 && numbers_shutdown(n, true) == 0 && numbers_get(n, got) == -ESHUTDOWN);
    CHECK(numbers_join_timed(n, 0) == -ETIMEDOUT && numbers_join_until(n, 0) == -ETIMEDOUT);
    CHECK(numbers_close(n) == 0 && names_close(w) == 0 && letters_close(l) == 0 && line_close(NULL) == 0);
    return 0;
}

int main(void)
{
    int line_number = check_threads();
    if (line_number == 0)
        line_number = check_order();
    return line_number ? line_number : check_types();
}
