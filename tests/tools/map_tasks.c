/* Tasks for the tests of the yoke command. */
// yoke-flags: -lm
#include <yoke.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

YOKE_TASK(double, add3, (double, a), (double, b), (long, n, "an integer", 1))
{
    return a + b + (double)n;
}

YOKE_TASK(long, nap, (long, ms))
{
    if (ms % 100 == 13) {
        yoke_fail(EINVAL, "%ld is\nunlucky", ms);
        return 0;
    }
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
    return ms;
}

/* Waits until the file is there. */
YOKE_TASK(long, waits_for, (const char *, path), (long, n))
{
    while (access(path, F_OK) != 0)
        nap(1);
    return n % 100 == 13 ? nap(n) : n;
}

/* Makes one file, unless it has no name, and waits for the other. */
YOKE_TASK(long, holds, (const char *, began), (const char *, gate), (long, n))
{
    FILE *f = *began ? fopen(began, "w") : NULL;
    if (f)
        fclose(f);
    return waits_for(gate, n);
}

/* An even one never returns, whatever it is asked. */
YOKE_TASK(long, hang, (long, n))
{
    while (n % 2 == 0)
        pause();
    return n;
}

/* As waits_for(), and stops when it is asked to. */
YOKE_TASK(long, asks, (const char *, path), (long, n))
{
    while (access(path, F_OK) != 0 && !yoke_cancelled())
        nap(1);
    return n;
}

YOKE_TASK(double, power, (double, x), (double, p, "exponent", 2))
{
    return pow(x, p);
}

YOKE_TASK(yoke_str, echo, (const char *, text))
{
    return (yoke_str){text, strlen(text)};
}

YOKE_TASK(long, length, (yoke_str, text))
{
    return (long)text.len;
}

/* 1 to 31: dies of that signal; 100 and more: exits with the rest. */
YOKE_TASK(long, die, (long, how))
{
    if (how >= 100)
        exit((int)how - 100);
    if (how > 0)
        raise((int)how);
    return how;
}

/* As die(), and from 200 on _exit(); -1 fails. */
YOKE_TASK(long, hard, (long, how))
{
    if (how == -1)
        yoke_fail(EINVAL, "minus one");
    if (how >= 200)
        _exit((int)how - 200);
    return how > 0 ? die(how) : how;
}

/* The status of a child that ends by _exit() or exit(). */
YOKE_TASK(int, forks, (int, code))
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0 && code % 2)
        _exit(code);
    if (pid == 0)
        exit(code);
    waitpid(pid, &status, 0);
    return status;
}

YOKE_TASK(double, root, (double, x))
{
    return sqrt(x);
}

YOKE_TASK(yoke_str, big, (long, n))
{
    char *p = yoke_alloc((size_t)n);
    if (!p)
        return (yoke_str){"", 0};
    memset(p, 'x', (size_t)n);
    return (yoke_str){p, (size_t)n};
}

/* Fails until it has been called `times` times; the file counts. */
YOKE_TASK(long, flaky, (const char *, path), (long, times))
{
    FILE *f = fopen(path, "a+");
    if (!f) {
        yoke_fail(errno, "cannot open %s", path);
        return 0;
    }
    fputc('x', f);
    long n = ftell(f);
    fclose(f);
    if (n < times)
        yoke_fail(EAGAIN, "try %ld", n);
    return n;
}

YOKE_TASK(int, chatty, (int, n))
{
    printf("for people: %d\n", n);
    if (system("echo from a shell") != 0) /* as descriptor 1 sees it, without stdio */
        yoke_fail(EIO, "no shell");
    printf("cut");
    return n;
}

YOKE_TASK(void, nothing, (long, n))
{
    (void)n;
}
