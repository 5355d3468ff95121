/* test.c - runs the tests of one program, see test.h.
 *
 * Each test runs in a child that leads a process group: a crash, a hang or a leaked process costs that test alone. The
 * parent waits with a limit, and ends the whole group whatever happened.
 */
#include "test.h"
#include <stdatomic.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIPPED = 77, USAGE = 2, LIMIT_SCALE_MAX = 100, REASON_MAX = 200 };

static struct {
    bool list, in_process, selected; /* selected: names were given */
    long repeat;
    uint64_t seed;
} options = {.repeat = 1};
static test_case *first, **last = &first;
static _Atomic uint64_t random_state;
static char *reason; /* why a test was skipped; the child writes it, so it is shared */

void test_add(test_case *t)
{
    *last = t;
    last = &t->next;
}

/* Lines after the first are comments too: a text that holds TAP of its own must not be counted. */
static void put_comment(const char *text)
{
    for (; *text; text++) {
        putchar(*text);
        if (*text == '\n')
            fputs("#   ", stdout);
    }
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, format);
    printf("# %s:%d: ", file, line);
    put_comment(vasprintf(&text, format, ap) < 0 ? format : text);
    printf(" (seed %llu)\n", (unsigned long long)options.seed);
    va_end(ap);
    free(text);
    fflush(stdout);
    _exit(1);
}

void test_skip(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (reason)
        vsnprintf(reason, REASON_MAX, format, ap);
    va_end(ap);
    fflush(stdout);
    _exit(SKIPPED);
}

/* splitmix64, Steele, Lea and Flood, OOPSLA 2014. */
uint64_t test_random(void)
{
    const uint64_t gamma = 0x9e3779b97f4a7c15u;
    uint64_t z = atomic_fetch_add_explicit(&random_state, gamma, memory_order_relaxed) + gamma;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

const char *test_source(void)
{
    const char *root = getenv("YOKE_SOURCE");
    return root ? root : TEST_SOURCE;
}

/* Sanitizers and emulators are slower: TEST_TIME_SCALE=5 gives every test five times its limit. */
static int limit_of(const test_case *t)
{
    const char *text = getenv("TEST_TIME_SCALE");
    long scale = text ? strtol(text, NULL, 10) : 1;
    return t->limit * (int)(scale < 1 ? 1 : scale > LIMIT_SCALE_MAX ? LIMIT_SCALE_MAX : scale);
}

static void run_here(const test_case *t)
{
    random_state = options.seed;
    t->fn();
}

static bool is_past(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* Waits for the child with naps that grow from 0.1 to 10 ms. False when the limit passed first. */
static bool wait_with_limit(pid_t pid, int seconds, int *status)
{
    struct timespec end, nap = {0, 100000};
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    while (waitpid(pid, status, WNOHANG) != pid) {
        if (is_past(&end))
            return false;
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < 10000000)
            nap.tv_nsec *= 2;
    }
    return true;
}

static int run_in_child(const test_case *t)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        printf("# %s: cannot fork: %s\n", t->name, strerror(errno));
        return 1;
    }
    if (pid == 0) {
        setpgid(0, 0);
        run_here(t);
        fflush(stdout);
        exit(0); /* and not _exit(), so that leak checkers speak */
    }
    setpgid(pid, pid);
    bool ended = wait_with_limit(pid, limit_of(t), &status);
    kill(-pid, SIGKILL);
    if (!ended) {
        printf("# %s: still running after %d s\n", t->name, limit_of(t));
        waitpid(pid, &status, 0);
        return 1;
    }
    if (WIFSIGNALED(status)) {
        printf("# %s: killed by signal %d (%s)\n", t->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
        return 1;
    }
    return WEXITSTATUS(status);
}

/* As often as --repeat says, or until it fails or skips. */
static int run_case(const test_case *t)
{
    int outcome = 0;
    for (long i = 0; i < options.repeat && outcome == 0; i++) {
        if (options.in_process)
            run_here(t);
        else
            outcome = run_in_child(t);
    }
    return outcome;
}

static void usage(FILE *out, const char *program)
{
    fprintf(out,
            "usage: %s [option...] [test...]\n"
            "Runs the named tests, or all, and prints TAP.\n\n"
            "  --list         print the names of the tests\n"
            "  --repeat=N     run each test N times, until it fails\n"
            "  --seed=N       start test_random() from N; a failure prints its seed\n"
            "  --in-process   run without a child process and a time limit, for a debugger\n"
            "  --help         this text\n\n"
            "TEST_TIME_SCALE=N in the environment multiplies every time limit by N.\n",
            program);
}

static int complain(const char *program, const char *what, const char *word)
{
    fprintf(stderr, "%s: %s: %s (see --help)\n", program, what, word);
    return USAGE;
}

/* "--name=7" or "--name" "7"; true when it was that option, with *ok false for a bad number. */
static bool number_option(const char *name, char ***arg, uint64_t *ret, bool *ok)
{
    size_t len = strlen(name);
    const char *value = NULL;
    if (strncmp(**arg, name, len) != 0)
        return false;
    if ((**arg)[len] == '=')
        value = **arg + len + 1;
    else if ((**arg)[len] == '\0')
        value = (*arg)[1] ? *++*arg : "";
    else
        return false;
    char *end;
    errno = 0;
    *ret = strtoull(value, &end, 10);
    *ok = *value >= '0' && *value <= '9' && *end == '\0' && errno == 0;
    return true;
}

static bool select_test(const char *name)
{
    bool found = false;
    for (test_case *t = first; t; t = t->next)
        if (strcmp(t->name, name) == 0)
            found = t->selected = true;
    options.selected = true;
    return found;
}

/* Returns -1 to go on, else the exit status. */
static int read_options(char **argv)
{
    const char *program = argv[0];
    for (char **arg = argv + 1; *arg; arg++) {
        const char *word = *arg;
        uint64_t number = 0;
        bool ok = true;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            usage(stdout, program);
            return 0;
        } else if (strcmp(word, "--list") == 0)
            options.list = true;
        else if (strcmp(word, "--in-process") == 0)
            options.in_process = true;
        else if (number_option("--repeat", &arg, &number, &ok)) {
            options.repeat = (long)number;
            ok = ok && number >= 1 && number <= 1000000;
        } else if (number_option("--seed", &arg, &options.seed, &ok))
            ;
        else if (word[0] == '-')
            return complain(program, "unknown option", word);
        else if (!select_test(word))
            return complain(program, "no such test", word);
        if (!ok)
            return complain(program, "bad number", word);
    }
    return -1;
}

static bool is_selected(const test_case *t)
{
    return !options.selected || t->selected;
}

static int print_list(void)
{
    for (test_case *t = first; t; t = t->next)
        printf("%s\n", t->name);
    return 0;
}

static int run_all(void)
{
    int number = 0, failed = 0, skipped = 0, count = 0;
    for (test_case *t = first; t; t = t->next)
        count += is_selected(t);
    printf("TAP version 13\n1..%d\n", count);
    for (test_case *t = first; t; t = t->next) {
        if (!is_selected(t))
            continue;
        reason[0] = '\0';
        int outcome = run_case(t);
        failed += outcome != 0 && outcome != SKIPPED;
        skipped += outcome == SKIPPED;
        printf("%s %d - %s", outcome == 0 || outcome == SKIPPED ? "ok" : "not ok", ++number, t->name);
        printf(outcome == SKIPPED ? " # SKIP %s\n" : "%s\n", outcome == SKIPPED ? reason : "");
        fflush(stdout);
    }
    printf("# %d passed, %d failed, %d skipped\n", count - failed - skipped, failed, skipped);
    return failed ? 1 : 0;
}

/* What LeakSanitizer asks for: the OpenCL of CPUs keeps what it compiled a kernel with. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpocl\nleak:libLLVM\nleak:libclang\n";
}

int main(int argc, char **argv)
{
    struct timespec now;
    (void)argc;
    clock_gettime(CLOCK_REALTIME, &now);
    options.seed = (uint64_t)now.tv_nsec;
    int status = read_options(argv);
    if (status >= 0)
        return status;
    if (options.list)
        return print_list();
    reason = mmap(NULL, REASON_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reason == MAP_FAILED)
        return complain(argv[0], "cannot share memory", strerror(errno));
    return run_all();
}
