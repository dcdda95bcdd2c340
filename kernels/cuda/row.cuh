/* Ops over the last dim: a row is the work of a warp where it is short, and of a block where it is long. */
#ifndef HL_KERNELS_CUDA_ROW_CUH
#define HL_KERNELS_CUDA_ROW_CUH

#include "kernels/cuda/common.cuh"

enum { HL_SHORT_ROW = 256, HL_SHORT_ROWS = 4 }; /* elements; how many such rows a block takes */

/* Threads of a row by rows of a block. */
inline dim3 hl_row_block(int64_t length)
{
    return length <= HL_SHORT_ROW ? dim3(HL_WARP, HL_SHORT_ROWS) : dim3(HL_BLOCK);
}

inline unsigned hl_row_grid(int64_t rows, int64_t length)
{
    return (unsigned)hl_pieces(rows, hl_row_block(length).y);
}

/* The row of this thread; it may lie past the last one. */
__device__ inline int64_t hl_row()
{
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}

/* The elements i of a row of n that are this thread's, `width` neighbours at a time. */
#define HL_ROW_STRIDE(i, n, width)                                                                           \
    for (int64_t i = (int64_t)threadIdx.x * (width); i < (n); i += (int64_t)blockDim.x * (width))

/* Over the threads of a row, at every one of them. */
__device__ inline double hl_row_sum(double x)
{
    __shared__ double scratch[HL_WARP];
    return blockDim.x == HL_WARP ? hl_warp_sum(x) : hl_block_sum(x, scratch);
}

__device__ inline float hl_row_max(float x)
{
    __shared__ float scratch[HL_BLOCK / HL_WARP];
    x = hl_warp_max(x);
    if (blockDim.x == HL_WARP)
        return x;
    if (threadIdx.x % HL_WARP == 0)
        scratch[threadIdx.x / HL_WARP] = x;
    __syncthreads();
    for (int warp = 0; warp < HL_BLOCK / HL_WARP; warp++)
        x = scratch[warp] > x ? scratch[warp] : x;
    __syncthreads();
    return x;
}

#endif
