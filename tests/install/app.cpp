/* The same from C++. */
#include <cstdio>
#include <initializer_list>
#include <yoke.h>

extern "C" {
YOKE_TASK(double, scale, (double, x, "what to scale"), (double, by, "factor", 2))
{
    return x * by;
}
}

int main()
{
    for (const char *uri : {"inline", "threads:2", "processes:2"}) {
        yoke_executor *ex = yoke_open(uri);
        yoke_future *f = yoke_submit(ex, scale, 10.5, 4);
        double value = 0;
        if (yoke_try(f, &value) != 0)
            std::fprintf(stderr, "%s\n", yoke_error(f));
        std::printf("%g\n", value);
        yoke_release(f);
        yoke_close(ex);
    }
}
