/* algorithms_peers.cpp - what the peers of bench/algorithms.c do: oneTBB, libstdc++ (serial, and its parallel mode). */
#include <algorithm>
#include <cstdint>
#include <parallel/algorithm>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/parallel_scan.h>
#include <tbb/parallel_sort.h>

extern "C" {
void peer_threads(int n);
void peer_std_sort(int32_t *v, size_t n);
void peer_std_stable_sort(int32_t *v, size_t n);
void peer_tbb_sort(int32_t *v, size_t n);
void peer_gnu_sort(int32_t *v, size_t n);
void peer_std_nth(int32_t *v, size_t n, size_t k);
void peer_gnu_nth(int32_t *v, size_t n, size_t k);
void peer_tbb_scan(const float *x, size_t n, float *y);
double peer_tbb_sum(const float *x, size_t n);
void peer_tbb_saxpy(float a, const float *x, size_t n, float *y);
size_t peer_gnu_find(const int32_t *v, size_t n, int32_t what);
long peer_tbb_pipeline(long items, size_t tokens, long (*work)(long));
}

void peer_threads(int n)
{
    static tbb::global_control *control;
    delete control;
    control = new tbb::global_control(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(n));
}

void peer_std_sort(int32_t *v, size_t n)
{
    std::sort(v, v + n);
}

void peer_std_stable_sort(int32_t *v, size_t n)
{
    std::stable_sort(v, v + n);
}

void peer_tbb_sort(int32_t *v, size_t n)
{
    tbb::parallel_sort(v, v + n);
}

void peer_gnu_sort(int32_t *v, size_t n)
{
    __gnu_parallel::sort(v, v + n);
}

void peer_std_nth(int32_t *v, size_t n, size_t k)
{
    std::nth_element(v, v + k, v + n);
}

void peer_gnu_nth(int32_t *v, size_t n, size_t k)
{
    __gnu_parallel::nth_element(v, v + k, v + n);
}

void peer_tbb_scan(const float *x, size_t n, float *y)
{
    typedef tbb::blocked_range<size_t> range;
    tbb::parallel_scan(
        range(0, n), 0.0f,
        [=](const range &r, float sum, bool last) {
            if (last) {
                for (size_t i = r.begin(); i < r.end(); i++)
                    y[i] = sum += x[i];
            } else {
                for (size_t i = r.begin(); i < r.end(); i++)
                    sum += x[i];
            }
            return sum;
        },
        [](float a, float b) { return a + b; });
}

double peer_tbb_sum(const float *x, size_t n)
{
    typedef tbb::blocked_range<size_t> range;
    return tbb::parallel_deterministic_reduce(
        range(0, n, 65536), 0.0,
        [=](const range &r, double sum) {
            for (size_t i = r.begin(); i < r.end(); i++)
                sum += x[i];
            return sum;
        },
        [](double a, double b) { return a + b; });
}

void peer_tbb_saxpy(float a, const float *x, size_t n, float *y)
{
    typedef tbb::blocked_range<size_t> range;
    tbb::parallel_for(range(0, n), [=](const range &r) {
        for (size_t i = r.begin(); i < r.end(); i++)
            y[i] += a * x[i];
    });
}

size_t peer_gnu_find(const int32_t *v, size_t n, int32_t what)
{
    return static_cast<size_t>(__gnu_parallel::find(v, v + n, what) - v);
}

long peer_tbb_pipeline(long items, size_t tokens, long (*work)(long))
{
    long made = 0, sum = 0;
    tbb::parallel_pipeline(tokens, tbb::make_filter<void, long>(tbb::filter_mode::serial_in_order,
                                                                [&](tbb::flow_control &flow) -> long {
                                                                    if (made == items) {
                                                                        flow.stop();
                                                                        return 0;
                                                                    }
                                                                    return made++;
                                                                }) &
                                       tbb::make_filter<long, long>(tbb::filter_mode::parallel, work) &
                                       tbb::make_filter<long, void>(tbb::filter_mode::serial_in_order,
                                                                    [&](long x) { sum += x; }));
    return sum;
}
