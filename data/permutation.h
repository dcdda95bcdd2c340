/* A shuffled order that is a function, so that nothing is stored and a resumed run repeats it. */
#ifndef HL_DATA_PERMUTATION_H
#define HL_DATA_PERMUTATION_H

#include <stdint.h>

/* Where position `index` of 0..count-1 falls in the order that (seed, epoch) names: a permutation for any
 * count >= 1, in constant memory.  Swap-or-not (Hoang, Morris, Rogaway, "An enciphering scheme based on a
 * card shuffle", CRYPTO 2012), which unlike a Feistel network is even for small counts too. */
int64_t hl_permute(uint64_t seed, uint64_t epoch, int64_t count, int64_t index);

#endif
