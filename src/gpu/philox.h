/* philox: the generator of random numbers on the CPU. */
#ifndef YK_GPU_PHILOX_H
#define YK_GPU_PHILOX_H
#include <stdbool.h>
#include <stdint.h>

/* A block: what becomes of the counter. (array_random.c) */
void yk_philox(uint32_t counter[4], const uint32_t key[2]);

enum { YK_PHILOX_BLOCKS = 8 };
/* The blocks of so many counters in a row, as numbers of 64 bits: two of each. */
void yk_philox_blocks(uint64_t bits[2 * YK_PHILOX_BLOCKS], uint64_t key, uint64_t first);
/* For tests: from now on by vectors that are so many steps narrower than the widest that this CPU has. False: there are none. */
bool yk_philox_test_width(unsigned by);

#endif
