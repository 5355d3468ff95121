/* tasks.c - see tasks.h. */
#include "tasks.h"
#include <time.h>

YOKE_TASK_IMPL(long, add, (long, a), (long, b))
{
    return a + b;
}

YOKE_TASK_IMPL(void, nothing)
{
}

YOKE_TASK_IMPL(double, mix, (bool, b), (int8_t, i8), (uint8_t, u8), (short, i16), (unsigned short, u16), (int, i32),
               (unsigned, u32), (long long, i64), (unsigned long long, u64), (float, f32), (double, f64))
{
    return b + i8 * 2. + u8 * 3. + i16 * 5. + u16 * 7. + i32 * 11. + u32 * 13. + (double)i64 * 17. + (double)u64 * 19. +
           f32 * 23. + f64 * 29.;
}

YOKE_TASK_IMPL(yoke_str, greet, (const char *, name), (yoke_str, mark))
{
    size_t n = strlen(name), len = n + mark.len + 6;
    char *text = yoke_alloc(len);
    memcpy(text, "hello ", 6);
    memcpy(text + 6, name, n);
    memcpy(text + 6 + n, mark.ptr, mark.len);
    return (yoke_str){text, len};
}

YOKE_TASK_IMPL(const char *, constant_text)
{
    return "a constant of the program";
}

YOKE_TASK_IMPL(yoke_bytes, reversed, (yoke_bytes, data))
{
    char *to = yoke_alloc(data.len);
    for (size_t i = 0; i < data.len; i++)
        to[i] = ((const char *)data.ptr)[data.len - 1 - i];
    return (yoke_bytes){to, data.len};
}

YOKE_TASK_IMPL(yoke_json, echo_json, (yoke_json, value))
{
    return value;
}

YOKE_TASK_IMPL(point, mirrored, (point, p))
{
    return (point){p.y, p.x};
}

YOKE_TASK_IMPL(double, sum, (yoke_in_f64, x))
{
    double total = 0;
    size_t rows = x.ndim > 1 ? x.shape[0] : 1, columns = x.ndim > 1 ? x.shape[1] : x.ndim > 0 ? x.shape[0] : 1;
    ptrdiff_t down = x.ndim > 1 ? x.step[0] : 0, across = x.ndim > 1 ? x.step[1] : x.step[0];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            total += x.ptr[(ptrdiff_t)i * down + (ptrdiff_t)j * across];
    return total;
}

YOKE_TASK_IMPL(void, scale, (double, a), (yoke_in_f64, x), (yoke_out_f64, y))
{
    if (x.shape[0] != y.shape[0]) {
        yoke_fail(EINVAL, "x has %zu elements, y has %zu", x.shape[0], y.shape[0]);
        return;
    }
    for (size_t i = 0; i < x.shape[0]; i++)
        y.ptr[(ptrdiff_t)i * y.step[0]] = a * x.ptr[(ptrdiff_t)i * x.step[0]];
}

YOKE_TASK_IMPL(void, increment, (yoke_inout_i32, x))
{
    for (size_t i = 0; i < x.shape[0]; i++)
        x.ptr[(ptrdiff_t)i * x.step[0]]++;
}

YOKE_TASK_IMPL(yoke_out_f64, ramp, (size_t, n))
{
    double *p = yoke_alloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (double)i;
    return yoke_1d(yoke_out_f64, p, n);
}

YOKE_TASK_IMPL(int, fails, (int, code))
{
    yoke_fail(code, "failed with %d on purpose", code);
    return 7;
}

YOKE_TASK_IMPL(int, fails_at_first, (unsigned, times))
{
    if (yoke_attempt() <= times)
        yoke_fail(EIO, "attempt %u is too early", yoke_attempt());
    return (int)yoke_attempt();
}

YOKE_TASK_IMPL(unsigned, retries_itself, (unsigned, times))
{
    if (yoke_attempt() <= times)
        yoke_retry(YOKE_MS);
    return yoke_attempt();
}

static void sleep_for(int64_t ns)
{
    struct timespec t = {ns / YOKE_S, ns % YOKE_S};
    nanosleep(&t, NULL);
}

YOKE_TASK_IMPL(int64_t, sleeps, (int64_t, duration))
{
    sleep_for(duration);
    return duration;
}

/* True when it noticed, false when the time was up first. */
YOKE_TASK_IMPL(bool, until_cancelled, (int64_t, longest))
{
    int64_t end = yoke_now() + longest;
    yoke_progress(1, 1); /* tells the test that it runs */
    while (yoke_now() < end) {
        if (yoke_cancelled())
            return true;
        sleep_for(YOKE_MS / 2);
    }
    return false;
}

YOKE_TASK_IMPL(void, reports_progress)
{
    yoke_progress(3, 4);
}

/* Adds 1 to n by splitting the range: each level submits to the executor it runs on, and awaits. */
YOKE_TASK_IMPL(long, nested_sum, (long, n), (int, depth))
{
    if (n <= 1 || depth == 0)
        return n * (n + 1) / 2;
    long half = n / 2;
    yoke_future *low = yoke_submit(yoke_current_executor(), nested_sum, half, depth - 1);
    yoke_future *high = yoke_submit(yoke_current_executor(), nested_sum, n - half, depth - 1);
    long total = yoke_await(low, long) + yoke_await(high, long) + half * (n - half);
    yoke_release(low);
    yoke_release(high);
    return total;
}

YOKE_TASK_IMPL(long, awaits_failure)
{
    yoke_future *f = yoke_submit(yoke_current_executor(), fails, 5);
    long v = yoke_await(f, int);
    yoke_release(f);
    return v;
}

YOKE_TASK_IMPL(int64_t, time_left)
{
    return yoke_deadline() == YOKE_FOREVER ? -1 : yoke_deadline() - yoke_now();
}

/* Touches `pieces` blocks of yoke_alloc(); the sum says that none overlaps another. */
YOKE_TASK_IMPL(size_t, allocates, (size_t, pieces), (size_t, size))
{
    unsigned char *blocks[64];
    size_t total = 0;
    for (size_t i = 0; i < pieces && i < 64; i++) {
        blocks[i] = yoke_alloc(size);
        if (!blocks[i]) {
            yoke_fail(ENOMEM, "no block %zu of %zu bytes", i, size);
            return 0;
        }
        memset(blocks[i], (int)i, size);
    }
    for (size_t i = 0; i < pieces && i < 64; i++)
        for (size_t j = 0; j < size; j++)
            total += blocks[i][j] == i;
    return total;
}

YOKE_TASK_IMPL(const char *, kind_of_device)
{
    yoke_device *dev = yoke_current_device();
    return dev ? yoke_device_about(dev)->driver : "none";
}

/* Sum of n sevens that went through memory of the device; -1: there is none. */
YOKE_TASK_IMPL(long, filled_on_device, (long, n))
{
    yoke_device *dev = yoke_current_device();
    if (!dev)
        return -1;
    int32_t seven = 7, *back = yoke_alloc((size_t)n * sizeof *back);
    yoke_stream *s = yoke_stream_open(dev);
    int32_t *there = yoke_stream_alloc(s, (size_t)n * sizeof *there);
    yoke_stream_fill(s, there, &seven, sizeof seven, (size_t)n);
    yoke_stream_copy(s, back, there, (size_t)n * sizeof *back);
    yoke_stream_free(s, there);
    if (!back || !there || yoke_stream_close(s) < 0)
        return yoke_fail(EIO, "%s", yoke_device_error(dev));
    long sum = 0;
    for (long i = 0; i < n; i++)
        sum += back[i];
    return sum;
}
