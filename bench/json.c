/* json.c - reading the JSON arguments of one call: three scalars, and a megabyte of doubles, beside jansson (the tree it
 * builds is walked into the same argument struct) and Python's json module; and writing the doubles back. */
#include "bench.h"
#include "task/task.h"
#include <math.h>
#include <jansson.h>

YOKE_TASK(double, integrate, (double, a), (double, b), (long, n))
{
    return (b - a) / (double)n;
}

YOKE_TASK(yoke_in_f64, same, (yoke_in_f64, x))
{
    return x;
}

enum { ROUNDS = 30, CALLS = 2000, TEXT = 1 << 20 };

static const char scalars[] = "[0.5,1.25,1000000]";
static char array[TEXT + 64];
static size_t array_len, array_count;

/* A megabyte of doubles as programs print them: 16 or 17 digits. */
static void make_array(void)
{
    uint64_t state = 1;
    char *p = array;
    *p++ = '[';
    while (p - array < TEXT - 32) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        yk_buf b = {.ptr = p, .cap = 64};
        yk_json_f64(&b, (double)(state >> 11) / 9007199254740992.0);
        p += b.len;
        *p++ = ',';
        array_count++;
    }
    p[-1] = ']';
    array_len = (size_t)(p - array);
}

/* ---- yoke ---- */

static double yoke_scalars(double *sum)
{
    char memory[256];
    struct yoke_args_integrate args;
    yk_region region;
    double start = bench_now();
    for (int i = 0; i < CALLS; i++) {
        yk_region_init(&region, memory, sizeof memory, NULL);
        BENCH_CHECK(yk_json_args(&yoke_task_integrate, scalars, sizeof scalars - 1, 0, &region, &args, NULL) == 0);
        *sum += args.a + args.b + (double)args.n;
    }
    return (bench_now() - start) / CALLS;
}

static double yoke_array(double *sum)
{
    static char text[TEXT + 64];
    struct yoke_args_same args;
    yk_region region;
    yk_region_init(&region, NULL, 0, NULL);
    text[0] = '[';
    memcpy(text + 1, array, array_len);
    text[array_len + 1] = ']';
    double start = bench_now();
    BENCH_CHECK(yk_json_args(&yoke_task_same, text, array_len + 2, 0, &region, &args, NULL) == 0);
    double took = bench_now() - start;
    BENCH_CHECK(args.x.ndim == 1 && args.x.shape[0] == array_count);
    *sum = 0;
    for (size_t i = 0; i < array_count; i++)
        *sum += args.x.ptr[i];
    yk_region_done(&region);
    return took / (double)array_count;
}

/* Writing what was read gives the text that it was read from. */
static double yoke_written(void)
{
    static double values[TEXT];
    yoke_in_f64 view = yoke_1d(yoke_in_f64, values, array_count);
    char *p = array + 1;
    for (size_t i = 0; i < array_count; i++, p++)
        values[i] = strtod(p, &p);
    yk_buf out = {0};
    double start = bench_now();
    BENCH_CHECK(yk_json_result(&yoke_task_same, NULL, &view, 0, &out, NULL) == 0);
    double took = bench_now() - start;
    BENCH_CHECK(out.len == array_len && memcmp(out.ptr, array, array_len) == 0);
    yk_buf_done(&out);
    return took / (double)array_count;
}

/* ---- jansson ---- */

static double jansson_scalars(double *sum)
{
    double start = bench_now();
    for (int i = 0; i < CALLS; i++) {
        json_t *root = json_loadb(scalars, sizeof scalars - 1, 0, NULL);
        struct yoke_args_integrate args;
        BENCH_CHECK(json_is_array(root) && json_array_size(root) == 3 && json_is_integer(json_array_get(root, 2)));
        args.a = json_number_value(json_array_get(root, 0));
        args.b = json_number_value(json_array_get(root, 1));
        args.n = (long)json_integer_value(json_array_get(root, 2));
        *sum += args.a + args.b + (double)args.n;
        json_decref(root);
    }
    return (bench_now() - start) / CALLS;
}

static double jansson_array(double *sum)
{
    double start = bench_now();
    json_t *root = json_loadb(array, array_len, 0, NULL), *v;
    size_t i;
    double *values = malloc(array_count * sizeof *values);
    BENCH_CHECK(values && json_array_size(root) == array_count);
    json_array_foreach(root, i, v)
        values[i] = json_number_value(v);
    json_decref(root);
    double took = bench_now() - start;
    *sum = 0;
    for (i = 0; i < array_count; i++)
        *sum += values[i];
    free(values);
    return took / (double)array_count;
}

static double jansson_written(void)
{
    json_t *root = json_loadb(array, array_len, 0, NULL);
    double start = bench_now();
    char *text = json_dumps(root, JSON_COMPACT);
    double took = bench_now() - start;
    BENCH_CHECK(text);
    free(text);
    json_decref(root);
    return took / (double)array_count;
}

/* ---- Python ---- */

/* What bench/json_python.py measures for the same text: nanoseconds, and the sum it saw. */
static void python(const char *name, const char *text, size_t len, double expected)
{
    char path[] = "/tmp/yoke-bench-XXXXXX", command[4500];
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    BENCH_CHECK(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s'", bench_file("json_python.py"), path);
    FILE *child = popen(command, "r");
    double least = 0, middle = 0, most = 0, sum = 0;
    bool ran = child && fscanf(child, "%lf %lf %lf %lf", &least, &middle, &most, &sum) == 4;
    if (child)
        pclose(child);
    remove(path);
    BENCH_CHECK(ran && sum == expected);
    printf("%-56s %10.3f %10.3f %10.3f ns\n", name, least, middle, most);
}

int main(void)
{
    static samples ours, theirs, ours_array, theirs_array, ours_out, theirs_out;
    double a = 0, b = 0, sum = 0, sum2 = 0;
    make_array();
    for (int i = 0; i < ROUNDS; i++) {
        sample(&ours, yoke_scalars(&a));
        sample(&ours_array, yoke_array(&sum));
        sample(&ours_out, yoke_written());
        sample(&theirs, jansson_scalars(&b));
        sample(&theirs_array, jansson_array(&sum2));
        sample(&theirs_out, jansson_written());
        BENCH_CHECK(a == b && sum == sum2);
    }
    head("JSON arguments");
    row("yoke: [0.5,1.25,1000000], a call", &ours, 1, "ns");
    row("yoke: 1 MB of doubles, a double", &ours_array, 1, "ns");
    row("yoke: writing them, a double", &ours_out, 1, "ns");
    row("jansson: three scalars, a call", &theirs, 1, "ns");
    row("jansson: 1 MB of doubles, a double", &theirs_array, 1, "ns");
    row("jansson: writing them, a double", &theirs_out, 1, "ns");
    ratio_row("jansson / yoke, three scalars", &theirs, &ours, ">= 10");
    ratio_row("jansson / yoke, 1 MB of doubles", &theirs_array, &ours_array, ">= 10");
    ratio_row("jansson / yoke, writing", &theirs_out, &ours_out, "none");
    python("Python json.loads: three scalars, a call", scalars, sizeof scalars - 1, 0.5 + 1.25 + 1000000);
    python("Python json.loads: 1 MB of doubles, a double", array, array_len, sum);
    return b != b;
}
