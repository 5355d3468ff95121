/* A quicksort that forks, beside the library's own sorts.
 *
 * Use it to see how a recursive function becomes parallel: fork one half, do the other, join. Below a few thousand elements it
 * goes on alone, for a fork costs some nanoseconds and a steal a microsecond. To sort for real, take yoke_sort(), or for
 * numbers yoke_sort_i32() and its kin: they are stable, faster, and split the first pass over the data too. */
#include <stdio.h>
#include <stdlib.h>
#include <yoke.h>

enum { N = 2000000, ALONE = 4000 };

static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

YOKE_FORK(void, quicksort, (int *, v), (long, n))
{
    if (n <= ALONE) {
        qsort(v, (size_t)n, sizeof *v, compare);
        return;
    }
    int pivot = v[n / 2];
    long i = 0, j = n - 1;
    while (i <= j) {
        while (v[i] < pivot)
            i++;
        while (v[j] > pivot)
            j--;
        if (i <= j) {
            int swap = v[i];
            v[i++] = v[j];
            v[j--] = swap;
        }
    }
    yoke_fork(quicksort, v, j + 1); /* may run on another worker */
    yoke_call(quicksort, v + i, n - i);
    yoke_join(quicksort);
}

YOKE_ORDER(int, up, a, b) { return *a < *b; }

static int v[N];

int main(void)
{
    const char *names[] = {"qsort", "quicksort with forks", "yoke_sort", "yoke_sort_i32"};
    for (int way = 0; way < 4; way++) {
        for (unsigned i = 0, x = 1; i < N; i++, x = x * 1664525 + 1013904223)
            v[i] = (int)(x >> 1);
        int64_t start = yoke_now();
        if (way < 2)
            way ? quicksort(v, N) : qsort(v, N, sizeof *v, compare);
        int err = way == 2 ? yoke_sort(NULL, v, N, up) : way == 3 ? yoke_sort_i32(NULL, v, N) : 0;
        double seconds = (double)(yoke_now() - start) / 1e9;
        printf("%-22s %.3f s: %d ... %d%s\n", names[way], seconds, v[0], v[N - 1], err ? ", failed" : "");
    }
    return 0;
}
