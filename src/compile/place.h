/* Places blocks with known lifetimes in one arena. */
#ifndef HL_COMPILE_PLACE_H
#define HL_COMPILE_PLACE_H

#include "hl.h"

typedef struct hl_block {
    size_t bytes;
    int first, last; /* the steps at which it is alive, inclusive, 0 .. steps-1 */
    size_t offset;   /* the answer; a multiple of HL_ALIGN */
} hl_block;

typedef struct hl_placement {
    size_t bytes;       /* the size of the arena */
    size_t lower_bound; /* the most bytes alive at one step: no placement needs less */
    int fullest;        /* the last such step */
} hl_placement;

/* Greedy by size (largest first, best-fitting gap; Pisarchyk & Lee 2020, "Efficient memory management
 * for deep neural net inference"); where that misses the lower bound, also as on a stack, with what lies
 * highest placed first the next time. Blocks alive at the same step never overlap. reuse false: every block
 * for itself. HL_ERR_MEMORY if sizes overflow or there is no memory to think. */
hl_status hl_place(hl_block *blocks, int n, int steps, bool reuse, hl_placement *result, hl_error *err);

#endif
