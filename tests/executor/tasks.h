/* tasks.h - the tasks of the conformance suite, declared here and defined in tasks.c, as a program of several files would. */
#ifndef TEST_TASKS_H
#define TEST_TASKS_H
#include <yoke.h>

typedef struct point {
    double x, y;
} point;

YOKE_TASK_DECL(long, add, (long, a), (long, b));
YOKE_TASK_DECL(void, nothing);
YOKE_TASK_DECL(double, mix, (bool, b), (int8_t, i8), (uint8_t, u8), (short, i16), (unsigned short, u16), (int, i32),
               (unsigned, u32), (long long, i64), (unsigned long long, u64), (float, f32), (double, f64));
YOKE_TASK_DECL(yoke_str, greet, (const char *, name), (yoke_str, mark));
YOKE_TASK_DECL(const char *, constant_text);
YOKE_TASK_DECL(yoke_bytes, reversed, (yoke_bytes, data));
YOKE_TASK_DECL(yoke_json, echo_json, (yoke_json, value));
YOKE_TASK_DECL(point, mirrored, (point, p));
YOKE_TASK_DECL(double, sum, (yoke_in_f64, x));
YOKE_TASK_DECL(void, scale, (double, a), (yoke_in_f64, x), (yoke_out_f64, y));
YOKE_TASK_DECL(void, increment, (yoke_inout_i32, x));
YOKE_TASK_DECL(yoke_out_f64, ramp, (size_t, n));
YOKE_TASK_DECL(int, fails, (int, code));
YOKE_TASK_DECL(int, fails_at_first, (unsigned, times));
YOKE_TASK_DECL(unsigned, retries_itself, (unsigned, times));
YOKE_TASK_DECL(int64_t, sleeps, (int64_t, duration));
YOKE_TASK_DECL(bool, until_cancelled, (int64_t, longest));
YOKE_TASK_DECL(void, reports_progress);
YOKE_TASK_DECL(long, nested_sum, (long, n), (int, depth));
YOKE_TASK_DECL(long, awaits_failure);
YOKE_TASK_DECL(int64_t, time_left);
YOKE_TASK_DECL(const char *, kind_of_device);
YOKE_TASK_DECL(long, filled_on_device, (long, n));
YOKE_TASK_DECL(size_t, allocates, (size_t, pieces), (size_t, size));

#endif
