/* How the portable kernels cut their loops into pieces. */
#ifndef HL_KERNELS_CPU_SHAPE_H
#define HL_KERNELS_CPU_SHAPE_H

#include "kernels/cpu/common.h"
#include "kernels/shape.h"

/* Loops are cut into pieces of fixed size, whatever the number of threads: so is every sum and
 * every loop's remainder, and the result does not depend on who computed it. */
enum { HL_PIECE = 4096 }; /* elements */

/* Pieces of `size` that cover n. */
static inline int64_t hl_pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* Rows of `inner` elements cut into tasks of about HL_PIECE: whole rows when they are short, pieces
 * of one row when they are long. */
typedef struct hl_tasks {
    int64_t inner, rows, group, pieces, count;
} hl_tasks;

static inline hl_tasks hl_tasks_of(int64_t rows, int64_t inner)
{
    hl_tasks t = {.inner = inner, .rows = rows};
    if (inner <= 0)
        return t;
    t.group = inner < HL_PIECE ? HL_PIECE / inner : 1;
    t.pieces = hl_pieces(inner, HL_PIECE);
    t.count = hl_pieces(rows, t.group) * t.pieces;
    return t;
}

/* Elements [at, at + n) of rows [begin, end). */
typedef struct hl_task {
    int64_t begin, end, at, n;
} hl_task;

static inline hl_task hl_task_at(const hl_tasks *t, int64_t index)
{
    int64_t begin = index / t->pieces * t->group, at = index % t->pieces * HL_PIECE;
    return (hl_task){begin, hl_min(begin + t->group, t->rows), at, hl_min(HL_PIECE, t->inner - at)};
}

#endif
