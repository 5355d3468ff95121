/* app.c - a program outside of yoke's tree, as any user would write it: it sees what was installed and nothing else. */
#include <stdio.h>
#include <string.h>
#include <yoke.h>

YOKE_TASK(double, scale, (double, x, "what to scale"), (double, by, "factor", 2))
{
    return x * by;
}

YOKE_TASK(const char *, echo, (const char *, text))
{
    return text;
}

/* Runs both tasks on the executor; prints a line that is the same wherever it runs. */
static int show(const char *uri)
{
    yoke_executor *ex = yoke_open(uri);
    if (yoke_executor_status(ex)) {
        fprintf(stderr, "%s: %s\n", uri, yoke_executor_error(ex));
        yoke_close(ex);
        return 1;
    }
    yoke_future *f = yoke_submit(ex, scale, 10.5, 4), *g = yoke_kw_submit(ex, scale, x = 3), *h = yoke_submit(ex, echo, "ox");
    printf("%g %g %s\n", yoke_await(f, double), yoke_await(g, double), yoke_await(h, const char *));
    yoke_release(f);
    yoke_release(g);
    yoke_release(h);
    return yoke_close(ex) != 0;
}

int main(void)
{
    if (strcmp(yoke_version(), YOKE_VERSION) != 0) {
        fprintf(stderr, "header %s, library %s\n", YOKE_VERSION, yoke_version());
        return 1;
    }
    return show("inline") | show("threads:2") | show("processes:2");
}
