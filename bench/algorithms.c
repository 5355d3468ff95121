/* algorithms.c - sorts, scans, searches, selections, histograms, pipelines, loops and sums beside oneTBB, OpenMP (libgomp) and
 * libstdc++ with its parallel mode, in the same run, with two workers each. */
#include "bench.h"
#include <math.h>
#include <omp.h>
#include <yoke.h>

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

enum { WORKERS = 2, WAYS = 6, BINS = 256 };
static yoke_executor *ex;
static int rounds = 5;
static const size_t keys = 10000000, floats = 100000000;
static int32_t *random_keys, *v, *sorted;
static float *x, *y;

/* ---- One comparison: several ways to do the same, in turn; the first is the one that the others are compared with ---- */

typedef struct way {
    const char *name;
    void (*prepare)(void);
    void (*run)(void);
    void (*check)(void);
    const char *goal; /* for the ratio to the first */
} way;

static void compare(const char *title, const way *ways, int count)
{
    static samples took[WAYS];
    memset(took, 0, sizeof took);
    for (int round = 0; round <= rounds; round++) /* the first is not counted */
        for (int i = 0; i < count; i++) {
            if (ways[i].prepare)
                ways[i].prepare();
            bench_calm();
            double start = bench_now();
            ways[i].run();
            double time = bench_now() - start;
            ways[i].check();
            if (round > 0)
                sample(&took[i], time);
        }
    head(title);
    for (int i = 0; i < count; i++)
        row(ways[i].name, &took[i], 1e-6, "ms");
    for (int i = 1; i < count; i++)
        if (ways[i].goal) {
            char name[80];
            snprintf(name, sizeof name, "%s / %s", ways[i].name, ways[0].name);
            ratio_row(name, &took[i], &took[0], ways[i].goal);
        }
}

/* ---- Sorts ---- */

YOKE_ORDER(int32_t, up, a, b)
{
    return *a < *b;
}

static int compare_keys(const void *a, const void *b, void *arg)
{
    int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

static void shuffle(void) { memcpy(v, random_keys, keys * sizeof *v); }
static void check_sorted(void) { BENCH_CHECK(memcmp(v, sorted, keys * sizeof *v) == 0); }
static void tbb_sort(void) { peer_tbb_sort(v, keys); }
static void radix_sort(void) { BENCH_CHECK(yoke_sort_i32(ex, v, keys) == 0); }
static void merge_sort(void) { BENCH_CHECK(yoke_sort(ex, v, keys, up) == 0); }
static void call_sort(void) { BENCH_CHECK(yoke_qsort(ex, v, keys, sizeof *v, compare_keys, NULL) == 0); }
static void gnu_sort(void) { peer_gnu_sort(v, keys); }
static void std_sort(void) { peer_std_sort(v, keys); }

static void sorts(void)
{
    static const way ways[] = {{"oneTBB parallel_sort", shuffle, tbb_sort, check_sorted, NULL},
                               {"yoke_sort_i32 (radix)", shuffle, radix_sort, check_sorted, "<= 0.29"},
                               {"yoke_sort (merge, stable)", shuffle, merge_sort, check_sorted, "<= 0.65"},
                               {"yoke_qsort (merge, a call for each comparison)", shuffle, call_sort, check_sorted, "none"},
                               {"libstdc++ __gnu_parallel::sort", shuffle, gnu_sort, check_sorted, "none"},
                               {"std::sort, alone", shuffle, std_sort, check_sorted, "none"}};
    compare("sort 10^7 random int32", ways, 6);
}

/* ---- The n-th element ---- */

/* The median is where a full sort puts it, the sides are right, and nothing is lost. */
static void check_nth(void)
{
    size_t k = keys / 2;
    int64_t sum = 0;
    BENCH_CHECK(v[k] == sorted[k]);
    for (size_t i = 0; i < keys; i++) {
        BENCH_CHECK(i < k ? v[i] <= v[k] : v[i] >= v[k]);
        sum += (int64_t)v[i] - sorted[i];
    }
    BENCH_CHECK(sum == 0);
}
static void std_nth(void) { peer_std_nth(v, keys, keys / 2); }
static void gnu_nth(void) { peer_gnu_nth(v, keys, keys / 2); }
static void nth_i32(void) { BENCH_CHECK(yoke_nth_i32(ex, v, keys, keys / 2) == 0); }
static void nth_any(void) { BENCH_CHECK(yoke_nth(ex, v, keys, keys / 2, up) == 0); }

static void medians(void)
{
    static const way ways[] = {{"std::nth_element, alone", shuffle, std_nth, check_nth, NULL},
                               {"yoke_nth_i32", shuffle, nth_i32, check_nth, "<= 1.0"},
                               {"yoke_nth (YOKE_ORDER)", shuffle, nth_any, check_nth, "<= 1.0"},
                               {"libstdc++ __gnu_parallel::nth_element", shuffle, gnu_nth, check_nth, "none"}};
    compare("median of 10^7 random int32", ways, 4);
}

/* ---- Scans ---- */

YOKE_SCAN(float, running, i, acc, other, (0), (*acc += *other), (const float *, from))
{
    *acc += from[i];
}

static void forget_y(void) { y[floats - 1] = y[floats / 2] = -1; }
static void check_scan(void)
{
    /* x holds 0 and 1 in turn, so all sums of up to 2^24 are exact; beyond that a plain float sum stands still. */
    size_t at = floats < ((size_t)1 << 24) ? floats - 1 : ((size_t)1 << 24) - 1;
    BENCH_CHECK(y[at] == (float)((at + 1) / 2) && y[floats - 1] >= y[at]);
}
static void tbb_scan(void) { peer_tbb_scan(x, floats, y); }
static void scan_f32(void) { BENCH_CHECK(yoke_scan_f32(ex, x, floats, y) == 0); }
static void scan_any(void) { BENCH_CHECK(yoke_scan(ex, floats, y, running, x) == 0); }
static void scan_alone(void)
{
    float sum = 0;
    for (size_t i = 0; i < floats; i++)
        y[i] = sum += x[i];
}

static void scans(void)
{
    static const way ways[] = {{"oneTBB parallel_scan", forget_y, tbb_scan, check_scan, NULL},
                               {"yoke_scan_f32", forget_y, scan_f32, check_scan, "<= 0.71"},
                               {"yoke_scan (YOKE_SCAN)", forget_y, scan_any, check_scan, "<= 1.0"},
                               {"a plain loop, alone", forget_y, scan_alone, check_scan, "none"}};
    compare("inclusive scan of 10^8 floats", ways, 4);
}

/* ---- find, count, select, histogram ---- */

static size_t answer;
static uint64_t counts[BINS];
static unsigned char *bytes;

YOKE_PREDICATE(is, i, (const int32_t *, at), (int32_t, what))
{
    return at[i] == what;
}

YOKE_PREDICATE(is_positive, i, (const int32_t *, at))
{
    return at[i] > 0;
}

YOKE_BIN(byte_of, i, (const unsigned char *, at))
{
    return at[i];
}

static void clear(void) { answer = 0; }
static void hide(void)
{
    memcpy(v, sorted, keys * sizeof *v);
    for (size_t i = 0; i < keys; i++)
        v[i] |= 1;
    v[keys / 10 * 9] = 2;
}
static void check_found(void) { BENCH_CHECK(answer == keys / 10 * 9); }
static void omp_find(void)
{
    size_t best = keys;
#pragma omp parallel for reduction(min : best) num_threads(WORKERS)
    for (size_t i = 0; i < keys; i++)
        if (i < best && v[i] == 2)
            best = i;
    answer = best;
}
static void find(void) { answer = yoke_find_first(ex, keys, is, v, 2); }
static void gnu_find(void) { answer = peer_gnu_find(v, keys, 2); }

static size_t positive;
static void check_positive(void) { BENCH_CHECK(answer == positive); }
static void omp_count(void)
{
    size_t n = 0;
#pragma omp parallel for reduction(+ : n) num_threads(WORKERS)
    for (size_t i = 0; i < keys; i++)
        n += random_keys[i] > 0;
    answer = n;
}
static void count(void) { answer = yoke_count(ex, keys, is_positive, random_keys); }

static void check_selected(void)
{
    size_t n = 0;
    for (size_t i = 0; i < keys; i++)
        if (random_keys[i] > 0)
            BENCH_CHECK(v[n++] == random_keys[i]);
    BENCH_CHECK(n == answer);
}
/* Two passes: each thread counts, then copies behind those before it. */
static void omp_select(void)
{
    size_t begin[WORKERS + 1] = {0};
#pragma omp parallel num_threads(WORKERS)
    {
        size_t me = (size_t)omp_get_thread_num(), lo = keys * me / WORKERS, hi = keys * (me + 1) / WORKERS, n = 0;
        for (size_t i = lo; i < hi; i++)
            n += random_keys[i] > 0;
        begin[me + 1] = n;
#pragma omp barrier
#pragma omp single
        for (int i = 0; i < WORKERS; i++)
            begin[i + 1] += begin[i];
        size_t at = begin[me];
        for (size_t i = lo; i < hi; i++)
            if (random_keys[i] > 0)
                v[at++] = random_keys[i];
    }
    answer = begin[WORKERS];
}
static void select_some(void) { BENCH_CHECK(yoke_select(ex, random_keys, keys, v, &answer, is_positive, random_keys) == 0); }

static void clear_counts(void) { memset(counts, 0, sizeof counts); }
static void check_counts(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < BINS; i++)
        sum += counts[i];
    BENCH_CHECK(sum == keys * 4 && counts[7] > 0);
}
static void omp_histogram(void)
{
    uint64_t *bins = counts;
    size_t n = keys * 4;
#pragma omp parallel for reduction(+ : bins[:BINS]) num_threads(WORKERS)
    for (size_t i = 0; i < n; i++)
        bins[bytes[i]]++;
}
static void histogram(void) { BENCH_CHECK(yoke_histogram(ex, keys * 4, BINS, counts, byte_of, bytes) == 0); }

static void searches(void)
{
    static const way finds[] = {{"OpenMP reduction(min)", clear, omp_find, check_found, NULL},
                                {"yoke_find_first", clear, find, check_found, "<= 1.0"},
                                {"libstdc++ __gnu_parallel::find", clear, gnu_find, check_found, "none"}};
    static const way tallies[] = {{"OpenMP reduction(+)", clear, omp_count, check_positive, NULL},
                                 {"yoke_count", clear, count, check_positive, "<= 1.0"}};
    static const way selections[] = {{"OpenMP, two passes", clear, omp_select, check_selected, NULL},
                                     {"yoke_select", clear, select_some, check_selected, "<= 1.0"}};
    static const way histograms[] = {{"OpenMP reduction of an array", clear_counts, omp_histogram, check_counts, NULL},
                                     {"yoke_histogram", clear_counts, histogram, check_counts, "<= 1.0"}};
    hide();
    compare("find among 10^7 int32, nine tenths on", finds, 3);
    compare("count half of 10^7 int32", tallies, 2);
    compare("select half of 10^7 int32", selections, 2);
    compare("histogram of 4 * 10^7 bytes", histograms, 2);
}

/* ---- Loops and sums ---- */

static double sum_of;

YOKE_LOOP(saxpy, i, (float, a), (const float *, from), (float *, to))
{
    to[i] += a * from[i];
}

YOKE_REDUCE(double, sum, i, acc, other, (0), (*acc += *other), (const float *, from))
{
    *acc += from[i];
}

static void zero_y(void) { y[0] = y[floats - 1] = 0; }
static void check_saxpy(void) { BENCH_CHECK(y[floats - 1] == 2 * x[floats - 1] && y[0] == 0); }
static void omp_saxpy(void)
{
#pragma omp parallel for num_threads(WORKERS)
    for (size_t i = 0; i < floats; i++)
        y[i] += 2 * x[i];
}
static void yoke_saxpy(void) { yoke_for(ex, floats, saxpy, 2, x, y); }
static void tbb_saxpy(void) { peer_tbb_saxpy(2, x, floats, y); }
static void check_sum(void) { BENCH_CHECK(sum_of == (double)(floats / 2)); }
static void omp_sum(void)
{
    double total = 0;
#pragma omp parallel for reduction(+ : total) num_threads(WORKERS)
    for (size_t i = 0; i < floats; i++)
        total += x[i];
    sum_of = total;
}
static void yoke_sum(void) { sum_of = yoke_reduce(ex, floats, sum, x); }
static void tbb_sum(void) { sum_of = peer_tbb_sum(x, floats); }

static void loops(void)
{
    static const way loop[] = {{"OpenMP", zero_y, omp_saxpy, check_saxpy, NULL},
                               {"yoke_for", zero_y, yoke_saxpy, check_saxpy, "<= 1.0"},
                               {"oneTBB parallel_for", zero_y, tbb_saxpy, check_saxpy, "none"}};
    static const way sums[] = {{"OpenMP", NULL, omp_sum, check_sum, NULL},
                               {"yoke_reduce", NULL, yoke_sum, check_sum, "<= 1.0"},
                               {"oneTBB parallel_deterministic_reduce", NULL, tbb_sum, check_sum, "none"}};
    compare("saxpy on 10^8 floats", loop, 3);
    compare("sum of 10^8 floats into a double", sums, 3);
}

/* ---- Pipelines ---- */

enum { ITEMS = 20000, TOKENS = 8 };
static long made, total;

static long some_work(long item)
{
    unsigned long r = (unsigned long)item;
    for (int i = 0; i < 1000; i++)
        r = r * 6364136223846793005u + 1442695040888963407u;
    return item + (r == 1);
}

static int make_item(void **item, void *arg)
{
    *item = (void *)made;
    return made++ == ITEMS;
}
static int work_on(void **item, void *arg)
{
    *item = (void *)some_work((long)*item);
    return 0;
}
static int add_item(void **item, void *arg)
{
    total += (long)*item;
    return 0;
}
static void reset(void) { made = total = 0; }
static void check_total(void) { BENCH_CHECK(total == ITEMS * (ITEMS - 1L) / 2); }
static void tbb_pipeline(void) { total = peer_tbb_pipeline(ITEMS, TOKENS, some_work); }
static void pipeline(void)
{
    static const yoke_stage stages[] = {{make_item, NULL, YOKE_IN_ORDER, NULL}, {work_on, NULL, YOKE_PARALLEL, NULL},
                                        {add_item, NULL, YOKE_IN_ORDER, NULL}};
    BENCH_CHECK(yoke_pipeline(ex, TOKENS, stages, 3) == 0);
}

static void pipelines(void)
{
    static const way ways[] = {{"oneTBB parallel_pipeline", reset, tbb_pipeline, check_total, NULL},
                               {"yoke_pipeline", reset, pipeline, check_total, "<= 1.0"}};
    compare("pipeline of 3 stages, 20000 items of about 1 us", ways, 2);
}

static void set_up(void)
{
    random_keys = malloc(keys * sizeof *random_keys);
    sorted = malloc(keys * sizeof *sorted);
    v = aligned_alloc(64, keys * sizeof *v);
    bytes = (unsigned char *)random_keys;
    x = aligned_alloc(64, floats * sizeof *x);
    y = aligned_alloc(64, floats * sizeof *y);
    BENCH_CHECK(random_keys && sorted && v && x && y);
    uint64_t seed = 88172645463325252u;
    for (size_t i = 0; i < keys; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        random_keys[i] = (int32_t)(seed >> 20);
        positive += random_keys[i] > 0;
    }
    memcpy(sorted, random_keys, keys * sizeof *sorted);
    peer_std_sort(sorted, keys);
#pragma omp parallel for num_threads(WORKERS)
    for (size_t i = 0; i < floats; i++) {
        x[i] = (float)(i % 2);
        y[i] = 0;
    }
}

int main(void)
{
    rounds = bench_rounds(rounds);
    ex = yoke_open("threads:2");
    omp_set_num_threads(WORKERS);
    peer_threads(WORKERS);
    set_up();
    sorts();
    medians();
    scans();
    searches();
    loops();
    pipelines();
    yoke_close(ex);
    return 0;
}
