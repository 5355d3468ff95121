/* omp_main.c LOG2N - the words of omp_words.h by themselves, for gpu.py: reads one a line from stdin, and answers with the
 * nanoseconds that it took. Memory asks for large pages, as a device's does. */
#include "omp_words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *memory(size_t n)
{
    const size_t page = (size_t)2 << 20, size = (n * 4 + page - 1) / page * page;
    void *p = aligned_alloc(page, size);
    if (!p)
        exit(1);
    madvise(p, size, MADV_HUGEPAGE);
    return p;
}

static void make_data(omp_data *d, size_t n)
{
    *d = (omp_data){n, memory(n), memory(n), memory(n), memory(n), memory(n), memory(n)};
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        d->x[i] = (float)(i % 1000) / 1000;
        d->y[i] = 0.5f;
        d->z[i] = 0;
        uint32_t h = (uint32_t)i * 2654435761u;
        h ^= h >> 15;
        d->keys[i] = h * 2246822519u;
        d->from[i] = d->to[i] = 0;
    }
}

int main(int argc, char **argv)
{
    char line[64];
    omp_data d;
    make_data(&d, (size_t)1 << (argc > 1 ? strtoul(argv[1], NULL, 10) : 24));
    omp_use(&d);
    printf("OpenMP\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        double ns = omp_time(line);
        if (ns < 0)
            return 1;
        printf("%.1f\n", ns);
        fflush(stdout);
    }
    return 0;
}
