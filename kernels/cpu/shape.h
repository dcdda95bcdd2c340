/* Small arithmetic on shapes for the portable kernels. */
#ifndef HL_KERNELS_CPU_SHAPE_H
#define HL_KERNELS_CPU_SHAPE_H

#include "kernels/cpu/common.h"

/* Loops are cut into pieces of fixed size, whatever the number of threads: so is every sum and
 * every loop's remainder, and the result does not depend on who computed it. */
enum { HL_PIECE = 4096 }; /* elements */

static inline int64_t hl_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Pieces of `size` that cover n. */
static inline int64_t hl_pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* Product of dims [begin, end). */
static inline int64_t hl_span(hl_shape s, int begin, int end)
{
    int64_t n = 1;
    for (int i = begin; i < end; i++)
        n *= s.dim[i];
    return n;
}

static inline size_t hl_element_size(hl_dtype dtype)
{
    return dtype == HL_F32 ? 4 : 2;
}

/* How two operands lie under the result they broadcast to. Dims that both walk through in the same
 * way are merged, dims of 1 are gone; so the last dim is as long as it can be. */
typedef struct hl_broadcast {
    int rank; /* at least 1 */
    int64_t dim[HL_MAX_RANK];
    int64_t stride[2][HL_MAX_RANK]; /* in elements, 0 where the operand repeats; 0 or 1 for the last dim */
} hl_broadcast;

hl_broadcast hl_broadcast_of(hl_shape out, hl_shape a, hl_shape b);

/* Where row `row` (an index over all dims but the last) of an operand begins. */
static inline int64_t hl_broadcast_row(const hl_broadcast *w, int operand, int64_t row)
{
    int64_t offset = 0;
    for (int i = w->rank - 2; i >= 0; i--) {
        offset += row % w->dim[i] * w->stride[operand][i];
        row /= w->dim[i];
    }
    return offset;
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
