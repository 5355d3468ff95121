/* omp_words.h - OpenMP in C as the peer of what runs on the CPU: within yoke.c over the same memory, since where arrays lie makes
 * 5 % and more, and as a program of its own beside OpenCL (omp_main.c). */
#include <stddef.h>
#include <stdint.h>

/* n elements each: x is i % 1000 / 1000, y is 0.5; the rest is written. */
typedef struct omp_data {
    size_t n;
    float *x, *y, *z;
    uint32_t *keys, *from, *to;
} omp_data;

void omp_use(const omp_data *d);
/* Nanoseconds of copy, axpy, triad, exp, sum, scan or sort; negative: another word, or a wrong answer. */
double omp_time(const char *word);
