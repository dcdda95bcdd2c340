/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * Randomness is a function: the same (seed, step, stream, index) gives the same number on every
 * backend, so nothing is stored and a resumed run repeats it. Compiles as C and CUDA C++. */
#ifndef HL_BASE_PHILOX_H
#define HL_BASE_PHILOX_H

#include <stdint.h>

#if defined(__CUDACC__)
#define HL_BOTH static inline __host__ __device__
#else
#define HL_BOTH static inline
#endif

typedef struct hl_philox {
    uint32_t v[4];
} hl_philox;

HL_BOTH hl_philox hl_philox_round(hl_philox c, uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0];
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c.v[2];
    hl_philox r;
    r.v[0] = (uint32_t)(p1 >> 32) ^ c.v[1] ^ k0;
    r.v[1] = (uint32_t)p1;
    r.v[2] = (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1;
    r.v[3] = (uint32_t)p0;
    return r;
}

/* Four 32-bit words for block `index`. The counter is (index low, index high, step, stream): a
 * stream is one random op of a graph, a step one run of it. */
HL_BOTH hl_philox hl_philox_block(uint64_t seed, uint32_t step, uint32_t stream, uint64_t index)
{
    hl_philox c;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    int i;
    c.v[0] = (uint32_t)index;
    c.v[1] = (uint32_t)(index >> 32);
    c.v[2] = step;
    c.v[3] = stream;
    for (i = 0; i < 10; i++) {
        c = hl_philox_round(c, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* [0, 1), 24 bits: exact in float. */
HL_BOTH float hl_uniform_float(uint32_t word)
{
    return (float)(word >> 8) * (1.0f / 16777216.0f);
}

/* (0, 1], so that its logarithm is finite. */
HL_BOTH float hl_uniform_open(uint32_t word)
{
    return ((float)(word >> 8) + 1.0f) * (1.0f / 16777216.0f);
}

#endif
