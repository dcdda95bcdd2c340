/* What limits a processor, each by a loop that does nothing else, with the vectors that the kernels have. */
#ifndef HL_KERNELS_CPU_CEILINGS_H
#define HL_KERNELS_CPU_CEILINGS_H

#include <stddef.h>

/* One short trial by all threads: FLOP/s or bytes/s. Memory loops go once through pool[0..count), which
 * should be much larger than all caches and be written before. Bytes are those that the loop names: what a
 * processor reads before it overwrites a cache line is not counted. */
typedef double hl_trial(float *pool, size_t count);

/* Fused multiply-adds between registers; needs no pool. */
hl_trial hl_trial_multiply_add;
/* Products of integers of eight bits and their sums, between registers, as quantized kernels compute them; an
 * addition and a multiplication count, as of floats. Needs no pool. */
hl_trial hl_trial_integers;
/* The sum of the pool. */
hl_trial hl_trial_read;
/* One half into the other. */
hl_trial hl_trial_copy;
/* a = b + s c, over thirds (McCalpin's STREAM, 1995). */
hl_trial hl_trial_triad;
/* The sum of a piece that stays in each thread's second-level cache, again and again. */
hl_trial hl_trial_cache;

/* The best of three trials, and of as many more as fit into `seconds`. */
double hl_best_of_trials(hl_trial *trial, float *pool, size_t count, double seconds);
/* Floats in a vector. */
int hl_vector_floats(void);

#endif
