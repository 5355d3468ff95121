/* test.c - runs the tests of one program, see test.h. */
#include "test.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, LIMIT_SCALE_MAX = 100 };

static test_case *first, **last = &first;
static uint64_t seed, random_state;

void test_add(test_case *t)
{
    *last = t;
    last = &t->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, ap);
    printf(" (seed %llu)\n", (unsigned long long)seed);
    va_end(ap);
    fflush(stdout);
    _exit(1);
}

void test_skip(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("# skipped: ");
    vprintf(format, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    _exit(SKIPPED);
}

/* splitmix64, Steele, Lea and Flood, OOPSLA 2014. */
uint64_t test_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Sanitizers and emulators are slower: TEST_TIME_SCALE=5 gives every test five times its limit. */
static int limit_of(const test_case *t)
{
    const char *text = getenv("TEST_TIME_SCALE");
    int scale = text ? atoi(text) : 1;
    return t->limit * (scale < 1 ? 1 : scale > LIMIT_SCALE_MAX ? LIMIT_SCALE_MAX : scale);
}

static void run_here(const test_case *t)
{
    random_state = seed;
    t->fn();
}

/* The child leads a process group, so that what it leaves behind can be ended with it. exit() and not _exit(), so that
 * leak checkers speak. */
static int run_in_child(const test_case *t)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        run_here(t);
        fflush(stdout);
        exit(0);
    }
    setpgid(pid, pid);
    int status = 0;
    struct timespec end, now, nap = {0, 500000};
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += limit_of(t);
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            break;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec)) {
            printf("# %s: still running after %d s\n", t->name, limit_of(t));
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return 1;
        }
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < 10000000)
            nap.tv_nsec *= 2;
    }
    kill(-pid, SIGKILL);
    if (WIFSIGNALED(status)) {
        printf("# %s: killed by signal %d (%s)\n", t->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return 1;
    }
    return WEXITSTATUS(status);
}

static bool is_selected(const test_case *t, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        any = true;
        if (strcmp(argv[i], t->name) == 0)
            return true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    bool list = false, in_process = false;
    int repeat = 1, failed = 0, skipped = 0, count = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_nsec;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            list = true;
        else if (strcmp(argv[i], "--in-process") == 0)
            in_process = true;
        else if (strncmp(argv[i], "--repeat=", 9) == 0)
            repeat = atoi(argv[i] + 9);
        else if (strncmp(argv[i], "--seed=", 7) == 0)
            seed = strtoull(argv[i] + 7, NULL, 10);
    }
    for (test_case *t = first; t; t = t->next)
        count += is_selected(t, argc, argv);
    if (!list)
        printf("TAP version 13\n1..%d\n", count);
    int number = 0;
    for (test_case *t = first; t; t = t->next) {
        if (!is_selected(t, argc, argv))
            continue;
        if (list) {
            printf("%s\n", t->name);
            continue;
        }
        int outcome = 0;
        for (int i = 0; i < repeat && outcome == 0; i++) {
            if (in_process)
                run_here(t);
            else
                outcome = run_in_child(t);
        }
        number++;
        if (outcome == SKIPPED)
            skipped++;
        else if (outcome != 0)
            failed++;
        printf("%s %d - %s%s\n", outcome == 0 || outcome == SKIPPED ? "ok" : "not ok", number, t->name,
               outcome == SKIPPED ? " # SKIP" : "");
        fflush(stdout);
    }
    if (!list)
        printf("# %d passed, %d failed, %d skipped\n", count - failed - skipped, failed, skipped);
    return failed ? 1 : 0;
}
