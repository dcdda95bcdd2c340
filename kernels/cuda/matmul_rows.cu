/* A batch of at most four by weights [N,K]: all time goes into reading the weights, once. A warp, or several
 * where there are few weight rows, reads a row in 16-byte pieces, several at once, against every sample. Of
 * integers of eight bits the sums are integers, and scaled at the end. */
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/pack.cuh"

enum { WARPS = HL_BLOCK / HL_WARP };
/* 16-byte pieces that a lane asks for before it needs the first. */
enum { AT_ONCE = 4 };
/* Warps that keep the memory of a large GPU busy. */
enum { ENOUGH_WARPS = 132 * 32 };

/* What products of a storage type are summed in, and the sum over a pack of them. */
template <class T, int W> static __device__ float dot(const hl_pack<T, W> &a, const hl_pack<T, W> &b)
{
    float sum = 0;
    for (int i = 0; i < W; i++)
        sum += hl_load(a.at[i]) * hl_load(b.at[i]);
    return sum;
}

template <int W> static __device__ int dot(const hl_pack<int8_t, W> &a, const hl_pack<int8_t, W> &b)
{
    if constexpr (W == 1)
        return a.at[0] * b.at[0];
    int sum = 0;
    for (int i = 0; i + 4 <= W; i += 4) {
        int four_a, four_b;
        memcpy(&four_a, a.at + i, 4);
        memcpy(&four_b, b.at + i, 4);
        sum = __dp4a(four_a, four_b, sum);
    }
    return sum;
}

template <class T> using sum_of = decltype(dot(hl_pack<T, 1>{}, hl_pack<T, 1>{}));

/* Sums of a lane: pieces first, then what they give. W elements in a piece. */
template <class T, int M, int W>
static __device__ void sum_row(const hl_rows_work &p, int64_t row, int first, int step, sum_of<T> *sum)
{
    const T *a = static_cast<const T *>(p.a), *b = static_cast<const T *>(p.b) + row * p.K;
    for (int64_t k = (int64_t)first * W; k < p.K; k += (int64_t)step * W * AT_ONCE) {
        hl_pack<T, W> weights[AT_ONCE] = {};
        for (int u = 0; u < AT_ONCE; u++)
            if (k + (int64_t)u * step * W < p.K)
                weights[u] = hl_pack_load<W>(b + k + (int64_t)u * step * W);
        for (int u = 0; u < AT_ONCE; u++) {
            int64_t at = k + (int64_t)u * step * W;
            for (int m = 0; m < M && at < p.K; m++) {
                sum[m] += dot(hl_pack_load<W>(a + m * p.K + at), weights[u]);
            }
        }
    }
}

/* The warps of a row each have a part of it; parts are added in their order. */
template <class T, class Out, int M, int W> static __global__ void rows_kernel(hl_rows_work p)
{
    __shared__ sum_of<T> parts[WARPS][M];
    const int lane = threadIdx.x % HL_WARP, warp = threadIdx.x / HL_WARP, rows = WARPS / p.per_row;
    const int64_t first_row = (int64_t)blockIdx.x * rows, row = first_row + warp / p.per_row;
    sum_of<T> sum[M] = {};
    if (row < p.N)
        sum_row<T, M, W>(p, row, warp % p.per_row * HL_WARP + lane, p.per_row * HL_WARP, sum);
    for (int m = 0; m < M; m++) {
        sum_of<T> part = hl_warp_sum(sum[m]);
        if (lane == 0)
            parts[warp][m] = part;
    }
    __syncthreads();
    const int m = threadIdx.x % M, n = threadIdx.x / M;
    if (n >= rows || first_row + n >= p.N)
        return;
    sum_of<T> exact = 0;
    for (int i = 0; i < p.per_row; i++)
        exact += parts[n * p.per_row + i][m];
    const int64_t j = first_row + n, at = m * p.N + j;
    float total = (float)exact;
    if (p.w_scale)
        total *= p.x_step[m] * p.w_scale[j];
    if (p.bias)
        total += hl_load(static_cast<const Out *>(p.bias)[j]);
    if (p.addend)
        total += hl_load(static_cast<const Out *>(p.addend)[at]);
    static_cast<Out *>(p.y)[at] = hl_store<Out>(hl_activation_of(p.activation, total));
}

template <class T, class Out, int W> static auto kernel_of(int64_t M)
{
    return M == 1   ? rows_kernel<T, Out, 1, W>
           : M == 2 ? rows_kernel<T, Out, 2, W>
           : M == 3 ? rows_kernel<T, Out, 3, W>
                    : rows_kernel<T, Out, 4, W>;
}

/* Doubled until there are enough warps, as long as each lane keeps a few pieces. A function of the shape
 * alone, since it decides the order of the sum. */
static int warps_per_row(int64_t N, int64_t K, int width)
{
    int warps = 1;
    while (warps < WARPS && N * warps < ENOUGH_WARPS && K >= 2 * AT_ONCE * HL_WARP * (int64_t)width * warps)
        warps *= 2;
    return warps;
}

template <class T, class Out>
static hl_status launch(const hl_call *c, int64_t M, hl_rows_work p, hl_error *err)
{
    constexpr int W = hl_pack_width<T>;
    p.per_row = warps_per_row(p.N, p.K, W);
    bool wide = p.K % W == 0 && hl_aligned(p.a, 16) && hl_aligned(p.b, 16);
    unsigned grid = (unsigned)hl_pieces(p.N, WARPS / p.per_row);
    return hl_launch(c, wide ? kernel_of<T, Out, W>(M) : kernel_of<T, Out, 1>(M), grid, HL_BLOCK, 0, err, p);
}

hl_status hl_product_by_rows(const hl_call *c, const hl_product *product, hl_error *err)
{
    const hl_rows_work p = {.a = c->in[HL_MATMUL_A].data,
                            .b = c->in[HL_MATMUL_B].data,
                            .bias = c->in[HL_MATMUL_BIAS].data,
                            .addend = c->in[HL_MATMUL_ADDEND].data,
                            .y = c->out[0].data,
                            .N = product->N,
                            .K = product->K,
                            .activation = static_cast<const hl_matmul_params *>(c->params)->activation};
    return hl_with_types(c->in[HL_MATMUL_A].dtype, c->out[0].dtype, [&](auto x, auto y) {
        return launch<decltype(x), decltype(y)>(c, product->M, p, err);
    });
}

hl_status hl_integers_by_rows(const hl_call *c, int64_t M, const hl_rows_work *work, hl_error *err)
{
    return launch<int8_t, float>(c, M, *work, err);
}
