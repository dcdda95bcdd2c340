/* The ways to form a product, and what a call keeps of the one that is taken:
 *     few rows   a batch of one to four by weights [N,K], as fast as the weights can be read
 *     library    cuBLASLt, by the algorithm that was the fastest when tried
 *     tiled      plain, for what the library does not do: no terms, odd alignments */
#ifndef HL_KERNELS_CUDA_MATMUL_H
#define HL_KERNELS_CUDA_MATMUL_H

#include "kernels/cuda/epilogue.h"

#include <cublasLt.h>

enum { HL_MATMUL_A, HL_MATMUL_B, HL_MATMUL_BIAS, HL_MATMUL_ADDEND };

enum { HL_FEW_ROWS = 4 };

typedef enum hl_product_path { HL_BY_ROWS, HL_BY_LIBRARY, HL_BY_TILES } hl_product_path;

/* op(a) [M,K] op(b) [K,N] */
typedef struct hl_product {
    int64_t M, N, K;
    hl_product_path path;
    /* The library's, from the first run on. cuBLASLt's matrices are column-major: it is handed b^T and a^T
     * and makes the transposed result, which lies in memory as ours does. */
    bool chosen;
    bool adds_bias;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t left, right, result; /* b, a, and the result as much as the addend */
    cublasLtMatmulAlgo_t algorithm;
} hl_product;

/* y [M,N] = act(a b^T + bias + addend), M at most HL_FEW_ROWS; of integers a b^T times x_step[M] and
 * w_scale[N] (floats: both NULL). bias and addend may be NULL. */
typedef struct hl_rows_work {
    const void *a, *b, *bias, *addend;
    void *y;
    const float *x_step, *w_scale;
    int64_t N, K;
    int per_row; /* warps: 1, 2, 4 or 8; found by the launch */
    hl_activation activation;
} hl_rows_work;

/* Of integers of eight bits, to f32. */
hl_status hl_integers_by_rows(const hl_call *call, int64_t M, const hl_rows_work *work, hl_error *err);

hl_status hl_product_by_rows(const hl_call *call, const hl_product *product, hl_error *err);
hl_status hl_product_by_tiles(const hl_call *call, const hl_product *product, hl_error *err);
hl_status hl_product_by_library(const hl_call *call, const hl_product *product, hl_error *err);

/* Bytes the library may use. */
size_t hl_product_scratch(const hl_product *product);
/* At the first run: the library's algorithm, or that there is none (path). */
hl_status hl_product_choose(const hl_call *call, hl_product *product, hl_error *err);
void hl_product_release(hl_product *product);

#endif
