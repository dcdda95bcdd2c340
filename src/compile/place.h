/* Places blocks with known lifetimes in one arena. */
#ifndef HL_COMPILE_PLACE_H
#define HL_COMPILE_PLACE_H

#include "hl.h"

typedef struct hl_block {
    size_t bytes;
    int first, last; /* the steps at which it is alive, inclusive */
    size_t offset;   /* the answer; a multiple of HL_ALIGN */
} hl_block;

/* Greedy by size (largest first, best-fitting gap; Pisarchyk & Lee 2020, "Efficient memory management
 * for deep neural net inference"). Blocks alive at the same step never overlap. *arena is the size
 * needed; *lower_bound the most bytes alive at one step. reuse false: every block for itself.
 * HL_ERR_MEMORY if sizes overflow or there is no memory to think. */
hl_status hl_place(hl_block *blocks, int n, int steps, bool reuse, size_t *arena, size_t *lower_bound,
                   hl_error *err);

#endif
