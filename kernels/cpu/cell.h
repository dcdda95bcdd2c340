/* Cells of an adaptive pool: cell i of n over `size` is floor(i size / n) .. ceil((i + 1) size / n). */
#ifndef HL_KERNELS_CPU_CELL_H
#define HL_KERNELS_CPU_CELL_H

#include <stdint.h>

typedef struct hl_cell {
    int64_t begin, end;
} hl_cell;

static inline hl_cell hl_cell_at(int64_t i, int64_t size, int64_t n)
{
    return (hl_cell){i * size / n, ((i + 1) * size + n - 1) / n};
}

static inline int64_t hl_cell_size(hl_cell c)
{
    return c.end - c.begin;
}

#endif
