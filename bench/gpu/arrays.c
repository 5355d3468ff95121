/* arrays DEVICE [SIDE]: milliseconds of operations of arrays of SIDE by SIDE, the best of seven, and the bytes a second that they
 * must at least move.
 * Each is waited for; the first run, which builds the kernel, does not count. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

static yoke_stream *s;
static yoke_array *a, *b, *whole, *rows, *columns, *row, *small;

static yoke_array *run_add(void) { return yoke_array_add(a, b); }
static yoke_array *run_add_number(void) { return yoke_array_add(a, yoke_number(2.5)); }
static yoke_array *run_greater(void) { return yoke_array_gt(a, b); }
static yoke_array *run_to_f64(void) { return yoke_array_astype(a, YOKE_F64); }
static yoke_array *run_two_types(void) { return yoke_array_add(a, whole); }
static yoke_array *run_broadcast(void) { return yoke_array_add(rows, row); }
static yoke_array *run_transpose(void) { return yoke_array_copy(columns); }
static yoke_array *run_exp(void) { return yoke_array_exp(a); }
static yoke_array *run_sum(void) { return yoke_array_sum(a, YOKE_ALL_AXES, false); }
static yoke_array *run_sum_rows(void) { return yoke_array_sum(rows, yoke_axes(0), false); }
static yoke_array *run_sum_columns(void) { return yoke_array_sum(rows, yoke_axes(1), false); }
static yoke_array *run_argmax(void) { return yoke_array_argmax(a, YOKE_ALL_AXES, false); }
static yoke_array *run_cumsum(void) { return yoke_array_cumsum(a, 0); }
static yoke_array *run_sort(void) { return yoke_array_sort(b, 0); }
static yoke_array *run_matmul(void) { return yoke_array_matmul(small, small); }
static yoke_array *run_uniform(void)
{
    yoke_random r = {.seed = 1};
    return yoke_array_uniform(s, &r, YOKE_F32, yoke_shape((ptrdiff_t)yoke_array_elements(a)), 0, 1);
}
static yoke_array *run_normal(void)
{
    yoke_random r = {.seed = 1};
    return yoke_array_normal(s, &r, YOKE_F64, yoke_shape((ptrdiff_t)yoke_array_elements(a)), 0, 1);
}

static const struct {
    const char *name;
    yoke_array *(*run)(void);
    unsigned bytes; /* for each element of a */
} ops[] = {{"add", run_add, 12}, {"add number", run_add_number, 8}, {"greater", run_greater, 9},
           {"to f64", run_to_f64, 12},
           {"f32 + i32", run_two_types, 16}, {"broadcast", run_broadcast, 8}, {"transpose", run_transpose, 8},
           {"exp", run_exp, 8},
           {"sum", run_sum, 4}, {"sum rows", run_sum_rows, 4}, {"sum columns", run_sum_columns, 4}, {"argmax", run_argmax, 4},
           {"cumsum", run_cumsum, 8}, {"sort", run_sort, 8}, {"uniform", run_uniform, 4}, {"normal", run_normal, 8},
           {"matmul 1024", run_matmul, 0}};

static double best(yoke_array *(*run)(void))
{
    double least = 0;
    for (int turn = 0; turn < 8; turn++) {
        int64_t begin = yoke_now();
        yoke_array *r = run();
        if (!r || yoke_stream_wait(s) < 0) {
            fprintf(stderr, "%s\n", yoke_device_error(yoke_stream_device(s)));
            exit(1);
        }
        double took = (double)(yoke_now() - begin) * 1e-6;
        yoke_array_free(r);
        least = turn <= 1 || took < least ? took : least;
    }
    return least;
}

int main(int argc, char **argv)
{
    yoke_random r = {.seed = 3};
    yoke_device *dev = yoke_device_open(argc > 1 ? argv[1] : NULL);
    long side = argc > 2 ? strtol(argv[2], NULL, 10) : 2000, n = side * side;
    s = yoke_stream_open(dev);
    if (!s) {
        fprintf(stderr, "%s\n", yoke_device_error(dev));
        return 1;
    }
    a = yoke_array_linspace(s, YOKE_F32, 0, 5, (size_t)n);
    b = yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(n), -1, 1);
    whole = yoke_array_arange(s, YOKE_I32, 0, (double)n, 1);
    rows = yoke_array_reshape(a, yoke_shape(side, side));
    columns = yoke_array_transpose(rows, YOKE_NO_DIMS);
    row = yoke_array_linspace(s, YOKE_F32, 0, 1, (size_t)side);
    small = yoke_array_uniform(s, &r, YOKE_F32, yoke_shape(1024, 1024), -1, 1);
    printf("%s, %ld by %ld elements\n", yoke_device_about(dev)->name, side, side);
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        double ms = best(ops[k].run);
        printf("%-12s %9.3f ms", ops[k].name, ms);
        if (ops[k].bytes)
            printf(" %9.1f GB/s\n", ops[k].bytes * (double)n / ms * 1e-6);
        else
            printf(" %9.1f GFLOP/s\n", 2.0 * 1024 * 1024 * 1024 / ms * 1e-6);
    }
    yoke_array *every[] = {a, b, whole, rows, columns, row, small};
    for (size_t k = 0; k < sizeof every / sizeof *every; k++)
        yoke_array_free(every[k]);
    return yoke_stream_close(s) < 0 || yoke_device_close(dev) < 0;
}
