/* Philox numbers in bulk: the same as base/philox.h gives one by one. */
#ifndef HL_KERNELS_CPU_RANDOM_H
#define HL_KERNELS_CPU_RANDOM_H

#include "kernels/cpu/common.h"

#include "base/philox.h"

enum { HL_RANDOM_TILE = 64 }; /* blocks at once: enough for vectors, and the state stays in cache */

/* Words of blocks [first, first + n), n <= HL_RANDOM_TILE: word k of block j at [k][j]. The rounds are
 * outside and the blocks inside, so that the inner loop is one of vectors. */
static inline void hl_random_tile(uint32_t w[4][HL_RANDOM_TILE], const hl_clock *clock, uint32_t stream,
                                  uint64_t first, int64_t n)
{
    uint32_t k0 = (uint32_t)clock->seed, k1 = (uint32_t)(clock->seed >> 32);
    for (int64_t j = 0; j < n; j++) {
        uint64_t index = first + (uint64_t)j;
        w[0][j] = (uint32_t)index;
        w[1][j] = (uint32_t)(index >> 32);
        w[2][j] = clock->step;
        w[3][j] = stream;
    }
    for (int round = 0; round < 10; round++) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            hl_philox c = hl_philox_round((hl_philox){{w[0][j], w[1][j], w[2][j], w[3][j]}}, k0, k1);
            w[0][j] = c.v[0];
            w[1][j] = c.v[1];
            w[2][j] = c.v[2];
            w[3][j] = c.v[3];
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Factors of dropout for numbers [first, first + n) of a stream: 0, or 1/(1-p). */
void hl_dropout_factors(float *factor, const hl_clock *clock, uint32_t stream, float p, uint64_t first,
                        int64_t n);

#endif
