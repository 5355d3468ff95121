/* Two hours of retries in a moment: code that waits, tested with a clock that jumps, and told to stop at each of its waits.
 *
 * Use it to test what times out, retries or waits its turn. In the loop of a test nothing takes time but waiting, and waiting
 * takes exactly as long as it says. The same code is then run once for each place where it can be cancelled, which finds what
 * is forgotten there. A test that would hang ends with a list of who waits for what. */
#include <stdio.h>
#include <yoke.h>

/* A service that is down for two hours, and what came of asking it. */
typedef struct service {
    int64_t up_from, took;
    int tries;
} service;

static int ask(service *s)
{
    int err = yoke_sleep(100 * YOKE_MS);
    return err < 0 ? err : yoke_now() < s->up_from ? -ECONNREFUSED : 0;
}

/* What is tested: tries again after 1 s, 2 s, 4 s... */
static int ask_patiently(void *arg)
{
    service *s = arg;
    int64_t start = yoke_now(), pause = YOKE_S;
    int err;
    for (s->tries = 1; (err = ask(s)) == -ECONNREFUSED; s->tries++, pause *= 2)
        if (yoke_sleep(pause) < 0)
            return -ECANCELED;
    s->took = yoke_now() - start;
    return err;
}

static int wait_for_nobody(void *arg)
{
    yoke_event never = YOKE_EVENT_INIT;
    (void)arg;
    return yoke_event_wait(&never) < 0 ? -ECANCELED : 0;
}

int main(void)
{
    char text[1000] = "";
    service s = {.up_from = 1000 * YOKE_S + 2 * 3600 * YOKE_S};
    yoke_test_opts opts = {.backend = "epoll", .start = 1000 * YOKE_S, .text = text, .text_size = sizeof text};
    yoke_test_report report;
    int64_t real = yoke_now();
    int code = yoke_test_run(&opts, ask_patiently, &s);
    printf("%s at try %d, after %.1f s\n", yoke_strerror(code), s.tries, (double)s.took / YOKE_S);
    printf("which took %s\n", yoke_now() - real < 60 * YOKE_S ? "a moment" : "very long");
    yoke_test_cancels(&opts, ask_patiently, &s, &report);
    printf("cancelled at each of %zu points: %zu went wrong\n", report.points, report.failures);
    opts.patience = 10 * YOKE_MS; /* for other threads, who might set it */
    code = yoke_test_run(&opts, wait_for_nobody, NULL);
    printf("%s\n%s", yoke_strerror(code), text);
    return 0;
}
