/* channel_use.cpp - the typed channels as a program uses them, in both C and C++, without a warning: compiled by queue_use.py
 * with every compiler, and run. Exits with the line of the first check that fails. */
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
YOKE_CHANNEL(line, parcel);
YOKE_CHANNEL(numbers, unsigned long long);
YOKE_CHANNEL(names, const char *);
#ifdef __cplusplus
}
using namespace post;
#endif

static void *send_all(void *arg)
{
    line *c = (line *)arg;
    for (int i = 0; i < 1000; i++) {
        parcel p;
        p.weight = i;
        p.to = "here";
        if (line_send(c, p) != 0)
            break;
    }
    line_sender_unref(c);
    return NULL;
}

static int check_threads(void)
{
    line *c = NULL;
    pthread_t thread;
    parcel p;
    int n = 0, err;
    CHECK(line_open(0, &c) == 0 && line_capacity(c) == 0);
    CHECK(pthread_create(&thread, NULL, send_all, c) == 0);
    for (; (err = line_receive(c, &p)) == 0; n++)
        CHECK(p.weight == n && strcmp(p.to, "here") == 0);
    CHECK(n == 1000 && err == -ESHUTDOWN);
    pthread_join(thread, NULL);
    CHECK(line_receiver_unref(c) == 0);
    return 0;
}

static int check_select(void)
{
    numbers *in = NULL;
    names *out = NULL;
    unsigned long long got = 0;
    const char *const name = "Ada";
    const char *back = NULL;
    CHECK(numbers_open(1, &in) == 0 && names_open(1, &out) == 0);
    yoke_case cases[] = {numbers_case_receive(in, &got), names_case_send(out, &name)};
    CHECK(yoke_channel_select(cases, 2) == 1 && cases[1].err == 0);
    CHECK(yoke_channel_select_try(cases, 2) == -EAGAIN);
    CHECK(yoke_channel_select_timed(cases, 2, 0) == -ETIMEDOUT);
    CHECK(numbers_send_try(in, 1ULL << 60) == 0 && numbers_size(in) == 1);
    CHECK(yoke_channel_select_until(cases, 2, YOKE_FOREVER) == 0 && got == 1ULL << 60);
    CHECK(names_receive(out, &back) == 0 && strcmp(back, "Ada") == 0);
    CHECK(numbers_close(in) == 0 && names_close(out) == 0);
    return 0;
}

int main(void)
{
    int failed = check_threads();
    return failed ? failed : check_select();
}
