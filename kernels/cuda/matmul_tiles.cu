/* Products as the definition has them, tile by tile, of any layout and alignment. */
#include "kernels/cuda/matmul.h"

enum { TILE = 32, ROWS = HL_BLOCK / TILE, EACH = TILE / ROWS }; /* a thread makes EACH elements of a column */

/* Element (i,k) of op(a) is a[i * a_row + k * a_column]; likewise (k,j) of op(b). */
struct tiles_work {
    const void *a, *b, *bias, *addend;
    void *y;
    int64_t M, N, K, a_row, a_column, b_row, b_column;
    hl_activation activation;
};

/* Elements (row + i, column + j) of a matrix of rows x columns, zero beyond it. */
template <class T>
static __device__ void fetch(float (*tile)[TILE + 1], const void *matrix, int64_t row, int64_t column,
                             int64_t rows, int64_t columns, int64_t row_step, int64_t column_step)
{
    const int64_t j = column + threadIdx.x;
    for (int i = threadIdx.y; i < TILE; i += ROWS)
        tile[i][threadIdx.x] =
            row + i < rows && j < columns
                ? hl_load(static_cast<const T *>(matrix)[(row + i) * row_step + j * column_step])
                : 0.0f;
}

/* Sums go by TILE terms, whose sums are summed: the error grows with the number of tiles only. */
template <class T, class Out> static __global__ void tiles_kernel(tiles_work p)
{
    __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];
    const int64_t across = (p.N + TILE - 1) / TILE, tiles = (p.M + TILE - 1) / TILE * across;
    for (int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
        const int64_t row = t / across * TILE, column = t % across * TILE, j = column + threadIdx.x;
        float sum[EACH] = {};
        for (int64_t k = 0; k < p.K; k += TILE) {
            fetch<T>(a, p.a, row, k, p.M, p.K, p.a_row, p.a_column);
            fetch<T>(b, p.b, k, column, p.K, p.N, p.b_row, p.b_column);
            __syncthreads();
            for (int e = 0; e < EACH; e++) {
                float part = 0;
                for (int i = 0; i < TILE; i++)
                    part += a[threadIdx.y + e * ROWS][i] * b[i][threadIdx.x];
                sum[e] += part;
            }
            __syncthreads();
        }
        for (int e = 0; e < EACH; e++) {
            const int64_t i = row + threadIdx.y + e * ROWS, at = i * p.N + j;
            if (i >= p.M || j >= p.N)
                continue;
            float total = sum[e];
            if (p.bias)
                total += hl_load(static_cast<const Out *>(p.bias)[j]);
            if (p.addend)
                total += hl_load(static_cast<const Out *>(p.addend)[at]);
            static_cast<Out *>(p.y)[at] = hl_store<Out>(hl_activation_of(p.activation, total));
        }
    }
}

hl_status hl_product_by_tiles(const hl_call *c, const hl_product *product, hl_error *err)
{
    const hl_matmul_params *params = static_cast<const hl_matmul_params *>(c->params);
    const bool ta = params->transpose_a, tb = params->transpose_b;
    const int64_t M = product->M, N = product->N, K = product->K;
    tiles_work p = {.a = c->in[HL_MATMUL_A].data,
                    .b = c->in[HL_MATMUL_B].data,
                    .bias = c->in[HL_MATMUL_BIAS].data,
                    .addend = c->in[HL_MATMUL_ADDEND].data,
                    .y = c->out[0].data,
                    .M = M,
                    .N = N,
                    .K = K,
                    .a_row = ta ? 1 : K,
                    .a_column = ta ? M : 1,
                    .b_row = tb ? 1 : N,
                    .b_column = tb ? K : 1,
                    .activation = params->activation};
    unsigned grid = hl_grid(hl_pieces(M, TILE) * hl_pieces(N, TILE), 1);
    return hl_with_types(c->in[HL_MATMUL_A].dtype, c->out[0].dtype, [&](auto x, auto y) {
        return hl_launch(c, tiles_kernel<decltype(x), decltype(y)>, grid, dim3(TILE, ROWS), 0, err, p);
    });
}
