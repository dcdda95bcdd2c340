/* What the three skinny products share: tile shapes and how work is dealt out. */
#ifndef HL_KERNELS_CPU_SKINNY_TILES_H
#define HL_KERNELS_CPU_SKINNY_TILES_H

#include <stddef.h>

#include "kernels/cpu/skinny.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/vec.h"

/* Tile shapes: as many accumulators as the register file holds (16 vectors on AVX2 and SSE, 32 on
 * AVX-512) beside the operands. NN_*: rows of the batch x vectors of columns. TN_*: rows of dw x
 * vectors of columns. NT_ROWS_v: rows of w beside v vectors of the batch. */
#if VEC_WIDTH == 16
enum { NN_ROWS = 8, NN_VECS = 3, TN_ROWS = 12, TN_VECS = 2 };
enum { NT_ROWS_1 = 12, NT_ROWS_2 = 12, NT_ROWS_3 = 8, NT_ROWS_4 = 6 };
#else
enum { NN_ROWS = 4, NN_VECS = 3, TN_ROWS = 6, TN_VECS = 2 };
enum { NT_ROWS_1 = 8, NT_ROWS_2 = 6, NT_ROWS_3 = 4, NT_ROWS_4 = 3 };
#endif

enum {
    V = VEC_WIDTH,
    LINE = 16,      /* floats in a cache line */
    RUN = 32,       /* products that are added up in fp32; runs are added in double */
    NT_DEPTH = 256, /* k per tile: 256 x 32 rows of the batch fill L1, 256 x 16 half of it */
    NT_GROUP = 48,  /* weight rows whose sums a thread holds; a multiple of most nt_rows */
    NT_SUMS = NT_GROUP * (HL_SKINNY_MAX + 16),
    NN_DEPTH = RUN,                        /* rows of w per tile */
    NN_STRIP = NN_VECS * V,                /* columns of w per tile */
    NN_AHEAD = 2 * NN_STRIP,               /* how far ahead of the computation w is fetched */
    NN_BLOCK = 1024 / NN_STRIP * NN_STRIP, /* columns whose dx stays in L2 while w streams by */
    TN_STRIP = TN_VECS * V,
    TN_BLOCK = 1024,        /* columns of x that stay in L2 while the rows of dw go by */
    TN_AHEAD = 2 * TN_STRIP /* how far ahead lines of dw are fetched for writing */
};

static inline size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Threads of a call: scratch is planned for so many, and the caller may have fewer by now. */
static inline int team(const hl_skinny *s)
{
    int now = omp_get_max_threads();
    return now < s->threads ? now : s->threads;
}

/* The part of n units that thread id of count owns. */
static inline void split(size_t n, size_t unit, int id, int count, size_t *begin, size_t *end)
{
    size_t units = (n + unit - 1) / unit, c = (size_t)count, i = (size_t)id;
    size_t base = units / c, extra = units % c;
    size_t first = base * i + smaller(i, extra);
    *begin = smaller(first * unit, n);
    *end = smaller((first + base + (i < extra ? 1 : 0)) * unit, n);
}

#endif
