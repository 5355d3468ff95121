/* A thread of its own for a function: start it, go on, join it, take its result or its error.
 *
 * Use it for what goes on beside the rest of a program and waits a lot: a reader of a device, a writer of a log. Work that is to
 * be done as fast as possible belongs on an executor, which has as many threads as there are CPUs. */
#include <errno.h>
#include <stdio.h>
#include <yoke.h>

YOKE_TASK(long, count_letters, (const char *, text), (char, letter))
{
    if (!text[0])
        yoke_fail(EINVAL, "there is no text to look at");
    long n = 0;
    for (; *text; text++)
        n += *text == letter;
    return n;
}

int main(void)
{
    static const char *const texts[] = {"parallel", "programming", "yoke", ""};
    yoke_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "reader %d", i);
        threads[i] = yoke_thread_start(name, count_letters, texts[i], 'a');
    }
    for (int i = 0; i < 4; i++) {
        long n;
        if (yoke_thread_try(threads[i], &n) == 0)
            printf("%s: %ld of %s\n", yoke_thread_name(threads[i]), n, texts[i]);
        else
            printf("%s failed: %s\n", yoke_thread_name(threads[i]), yoke_thread_error(threads[i]));
        yoke_thread_release(threads[i]);
    }
    return 0;
}
