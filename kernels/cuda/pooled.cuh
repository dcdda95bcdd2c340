/* Adaptive pools, of an image or of what a convolution reads from it. Cells and kernels are rectangles, so
 * rows and columns are worked out apart. */
#ifndef HL_KERNELS_CUDA_POOLED_CUH
#define HL_KERNELS_CUDA_POOLED_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/shape.h"

typedef struct hl_cell {
    int begin, end;
} hl_cell;

/* Cell i of n over `size` elements: floor(i size / n) .. ceil((i + 1) size / n). Asked the other way round,
 * for element i of n among `size` cells, it gives the cells that hold the element. */
__device__ inline hl_cell hl_cell_at(int i, int size, int n)
{
    const unsigned k = (unsigned)i, s = (unsigned)size, m = (unsigned)n;
    return hl_cell{(int)(k * s / m), (int)(((k + 1) * s + m - 1) / m)};
}

/* The rows of an image, or its columns. A kernel lies at `positions` places, and what it reads there is
 * averaged over each of `cells`. A plain pool has a kernel of 1. */
typedef struct hl_pooled_dim {
    int64_t size, kernel, stride, padding, positions, cells;
} hl_pooled_dim;

inline hl_pooled_dim hl_pooled_dim_of(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                                      int64_t cells)
{
    return hl_pooled_dim{size, kernel, stride, padding, (size + 2 * padding - kernel) / stride + 1, cells};
}

/* How many (cell, tap of the kernel) pairs read one element, at most. */
inline int64_t hl_pooled_readers(const hl_pooled_dim &d)
{
    return hl_pieces(d.kernel, d.stride) * (hl_pieces(d.cells, d.positions) + 1);
}

/* Whether 32 bits hold all that is computed along this dim: divisions of 64 bits would take most of the time.
 */
inline bool hl_pooled_fits(const hl_pooled_dim &d)
{
    const int64_t most = INT32_MAX / 2, readers = hl_pooled_readers(d);
    return d.size + 2 * d.padding <= most && (d.positions + 1) * (d.cells + 1) <= most && readers <= most &&
           d.size * readers <= most;
}

/* ------------------------------------------------------------------ gradient
 * A pixel gathers from every cell and tap that read it. Which these are is listed first, for each row and
 * for each column: the pixel's are all pairs of the two lists. */

/* A cell and a tap: where they are in dy, and one over the cell's extent. */
typedef struct hl_share {
    int64_t offset;
    float weight; /* 0 ends a list */
} hl_share;

typedef struct hl_spread {
    hl_pooled_dim dim[2];              /* rows, columns */
    int64_t cell_step[2], tap_step[2]; /* of dy, in elements */
    int64_t channels, sample_step, channel_step;
    int64_t planes; /* of dx: samples * channels */
} hl_spread;

inline int64_t hl_spread_shares(const hl_spread &s, int k)
{
    return s.dim[k].size * hl_pooled_readers(s.dim[k]);
}

inline size_t hl_spread_workspace(const hl_spread &s)
{
    return (size_t)(hl_spread_shares(s, 0) + hl_spread_shares(s, 1)) * sizeof(hl_share);
}

/* The lists of one dim, `readers` long each. */
static __global__ void hl_list_shares(hl_share *lists, const hl_pooled_dim d, int readers, int64_t cell_step,
                                      int64_t tap_step)
{
    const int stride = (int)d.stride, positions = (int)d.positions, cells = (int)d.cells;
    HL_GRID_STRIDE(at, d.size)
    {
        hl_share *list = lists + at * readers;
        const int padded = (int)(at + d.padding);
        int n = 0, p = padded / stride < positions ? padded / stride : positions - 1;
        for (; p >= 0 && padded - p * stride < d.kernel; p--) {
            const hl_cell of = hl_cell_at(p, cells, positions);
            for (int i = of.begin; i < of.end; i++) {
                const hl_cell cell = hl_cell_at(i, positions, cells);
                list[n].offset = i * cell_step + (padded - p * stride) * tap_step;
                list[n++].weight = 1.0f / (float)(cell.end - cell.begin);
            }
        }
        if (n < readers)
            list[n].weight = 0;
    }
}

/* A block takes a plane of dx at a time. */
template <class T>
static __global__ void hl_spread_planes(const T *dy, T *dx, const hl_share *rows, const hl_share *columns,
                                        int of_row, int of_column, const __grid_constant__ hl_spread s)
{
    const int W = (int)s.dim[1].size, pixels = (int)s.dim[0].size * W;
    for (int64_t plane = blockIdx.x; plane < s.planes; plane += gridDim.x) {
        const T *from = dy + plane / s.channels * s.sample_step + plane % s.channels * s.channel_step;
        for (int at = threadIdx.x; at < pixels; at += HL_BLOCK) {
            const hl_share *up = rows + (int64_t)(at / W) * of_row;
            const hl_share *across = columns + (int64_t)(at % W) * of_column;
            double sum = 0;
            for (int i = 0; i < of_row && up[i].weight > 0; i++) {
                float line = 0;
                for (int j = 0; j < of_column && across[j].weight > 0; j++)
                    line += across[j].weight * hl_load(from[up[i].offset + across[j].offset]);
                sum += (double)(up[i].weight * line);
            }
            dx[plane * pixels + at] = hl_store<T>((float)sum);
        }
    }
}

template <class T> static hl_status hl_spread_run(const hl_call *c, const hl_spread &s, hl_error *err)
{
    hl_share *lists[2];
    int readers[2];
    if (!c->out[0].count)
        return HL_OK;
    lists[0] = static_cast<hl_share *>(c->workspace);
    lists[1] = lists[0] + hl_spread_shares(s, 0);
    for (int k = 0; k < 2; k++) {
        readers[k] = (int)hl_pooled_readers(s.dim[k]);
        hl_status status = hl_launch(c, hl_list_shares, hl_grid(s.dim[k].size, HL_WARP), HL_WARP, 0, err,
                                     lists[k], s.dim[k], readers[k], s.cell_step[k], s.tap_step[k]);
        if (status != HL_OK)
            return status;
    }
    return hl_launch(c, hl_spread_planes<T>, hl_grid(s.planes, 1), HL_BLOCK, 0, err, hl_data<T>(c->in[0]),
                     hl_data<T>(c->out[0]), lists[0], lists[1], readers[0], readers[1], s);
}

#endif
