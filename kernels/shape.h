/* Small arithmetic on shapes, for the kernels of every backend. Compiles as C and CUDA C++. */
#ifndef HL_KERNELS_SHAPE_H
#define HL_KERNELS_SHAPE_H

#include "base/half.h" /* HL_BOTH */
#include "hl.h"

HL_BOTH int64_t hl_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

HL_BOTH int64_t hl_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
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
    return dtype == HL_F32 ? 4 : dtype == HL_I8 ? 1 : 2;
}

/* How two operands lie under the result they broadcast to. Dims that both walk through in the same
 * way are merged, dims of 1 are gone; so the last dim is as long as it can be. */
typedef struct hl_broadcast {
    int rank; /* at least 1 */
    int64_t dim[HL_MAX_RANK];
    int64_t stride[2][HL_MAX_RANK]; /* in elements, 0 where the operand repeats; 0 or 1 for the last dim */
} hl_broadcast;

/* Strides of `in` under the dims of `out`, both aligned at the last dim. */
static inline void hl_natural_strides(hl_shape out, hl_shape in, int64_t *stride)
{
    int64_t step = 1;
    for (int i = 1; i <= out.rank; i++) {
        int64_t size = i <= in.rank ? in.dim[in.rank - i] : 1;
        stride[out.rank - i] = size == 1 ? 0 : step;
        step *= size;
    }
}

static inline hl_broadcast hl_broadcast_of(hl_shape out, hl_shape a, hl_shape b)
{
    int64_t natural[2][HL_MAX_RANK];
    hl_broadcast w = {.rank = 0};
    hl_natural_strides(out, a, natural[0]);
    hl_natural_strides(out, b, natural[1]);
    for (int i = 0; i < out.rank; i++) {
        if (out.dim[i] == 1)
            continue;
        bool merge = w.rank > 0;
        for (int k = 0; k < 2 && merge; k++)
            merge = w.stride[k][w.rank - 1] == natural[k][i] * out.dim[i];
        int at = merge ? w.rank - 1 : w.rank++;
        w.dim[at] = merge ? w.dim[at] * out.dim[i] : out.dim[i];
        for (int k = 0; k < 2; k++)
            w.stride[k][at] = natural[k][i];
    }
    if (!w.rank) {
        w.rank = 1;
        w.dim[0] = w.stride[0][0] = w.stride[1][0] = 1;
    }
    return w;
}

/* Where row `row` (an index over all dims but the last) of an operand begins. */
HL_BOTH int64_t hl_broadcast_row(const hl_broadcast *w, int operand, int64_t row)
{
    int64_t offset = 0;
    for (int i = w->rank - 2; i > 0; i--) {
        offset += row % w->dim[i] * w->stride[operand][i];
        row /= w->dim[i];
    }
    return w->rank > 1 ? offset + row * w->stride[operand][0] : 0;
}

#endif
