/* Tasks for the tests of `yoke run` and `yoke ls`: one of every kind, and some that end badly. */
#include <yoke.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct pair {
    int32_t x, y;
} pair;

YOKE_TASK(double, integrate, (double, a, "from"), (double, b, "to"), (long, n, "steps", 1000))
{
    double h = (b - a) / (double)n, sum = 0;
    for (long i = 0; i < n; i++) {
        double x = a + ((double)i + 0.5) * h;
        sum += 4 / (1 + x * x);
    }
    return sum * h;
}

YOKE_TASK(bool, negate, (bool, b)) { return !b; }
YOKE_TASK(int8_t, same_i8, (int8_t, v)) { return v; }
YOKE_TASK(int16_t, same_i16, (int16_t, v)) { return v; }
YOKE_TASK(int32_t, same_i32, (int32_t, v)) { return v; }
YOKE_TASK(int64_t, same_i64, (int64_t, v)) { return v; }
YOKE_TASK(uint8_t, same_u8, (uint8_t, v)) { return v; }
YOKE_TASK(uint16_t, same_u16, (uint16_t, v)) { return v; }
YOKE_TASK(uint32_t, same_u32, (uint32_t, v)) { return v; }
YOKE_TASK(uint64_t, same_u64, (uint64_t, v)) { return v; }
YOKE_TASK(float, same_f32, (float, v)) { return v; }
YOKE_TASK(double, same_f64, (double, v)) { return v; }
YOKE_TASK(const char *, same_text, (const char *, v)) { return v; }
YOKE_TASK(yoke_str, same_str, (yoke_str, v)) { return v; }
YOKE_TASK(yoke_bytes, same_bytes, (yoke_bytes, v)) { return v; }
YOKE_TASK(yoke_json, same_json, (yoke_json, v)) { return v; }
YOKE_TASK(yoke_in_f64, same_array, (yoke_in_f64, v)) { return v; }
YOKE_TASK(void, nothing) { }
YOKE_TASK(long, two, (long, first), (long, second)) { return first * 100 + second; }

YOKE_TASK(double, total, (yoke_in_f64, x))
{
    double sum = 0;
    for (size_t i = 0; i < x.shape[0]; i++)
        sum += x.ptr[(ptrdiff_t)i * x.step[0]];
    return sum;
}

YOKE_TASK(double, divide, (double, a), (double, b)) { return a / b; }

YOKE_TASK(void, fails, (long, code)) { yoke_fail((int)code, "it was to fail with %ld", code); }

YOKE_TASK(long, where) { return (long)getpid(); }

YOKE_TASK(int, chatty, (int, n))
{
    printf("for people: %d\n", n);
    printf("cut");
    return n;
}

/* ---- Bad ends ---- */

YOKE_TASK(void, aborts) { abort(); }
YOKE_TASK(void, exits, (int, code)) { exit(code); }

YOKE_TASK(int, reads_null, (long, at))
{
    return *(volatile int *)(uintptr_t)at;
}

YOKE_TASK(int, divides_by_zero, (int, by))
{
    volatile int zero = by;
    return 1 / zero;
}

/* What the processor does about it differs (arm64 returns 0), so the signal comes from here. */
YOKE_TASK(void, raises, (int, number)) { raise(number); }

static int deeper(int n, volatile char *above)
{
    volatile char here[4096];
    here[0] = above ? above[0] : (char)n;
    return n > 0 ? deeper(n + 1, here) + here[0] : 0;
}

YOKE_TASK(int, overflows) { return deeper(1, NULL); }

YOKE_TASK(void, loops)
{
    for (volatile long i = 0;; i++)
        ;
}

/* The same, and tells by a file that it runs. */
YOKE_TASK(void, begins_to_loop, (const char *, path))
{
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
    loops();
}

static char *volatile kept; /* or clang would see that nobody needs the memory, and ask for none */

YOKE_TASK(long, hoards)
{
    for (long n = 0;; n++) {
        char *p = kept = malloc(1 << 20);
        if (!p) {
            yoke_fail(ENOMEM, "refused after %ld MiB", n);
            return n;
        }
        p[0] = p[(1 << 20) - 1] = 1;
    }
}

YOKE_TASK(int, shift, (pair, p, "from where", ((pair){1, 2})), (int, by, "how far", 3)) { return p.x + p.y + by; }
YOKE_TASK(pair, swap, (pair, p)) { return (pair){p.y, p.x}; }
YOKE_TASK(pair, both, (int, n))
{
    fprintf(stderr, "both has run\n");
    return (pair){n, n};
}
