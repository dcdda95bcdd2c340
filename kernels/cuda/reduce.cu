/* Sums over axes, in double: in pieces of a size that the shape alone decides, each by one block in a fixed
 * order, and then the pieces in theirs. */
#include "kernels/cuda/pack.cuh"
#include "kernels/shape.h"

/* x [outer, count, inner] -> [outer, pieces, inner]: a sum for each piece of `count`. */
struct sizes {
    int64_t outer, count, inner;
    int64_t piece, pieces;
};

constexpr int64_t PIECE = 8192; /* terms of a piece where terms lie together */
constexpr int DEPTH = 8;        /* warps of a block, each on another row, where columns are summed */
constexpr int WIDE = 4;         /* columns of a thread, where they fit */
constexpr int64_t ENOUGH = 512; /* blocks that fill a device */

static __device__ double number(double x)
{
    return x;
}

template <class T> static __device__ double number(T x)
{
    return (double)hl_load(x);
}

/* ------------------------------------------------------------------ one stage */

/* inner is 1: a block sums one piece. */
template <class T, class R> static __global__ void sum_rows(R *y, const T *x, const sizes z, double scale)
{
    __shared__ double scratch[HL_WARP];
    const int64_t row = blockIdx.x / z.pieces, begin = blockIdx.x % z.pieces * z.piece;
    const int64_t end = hl_min(begin + z.piece, z.count);
    double sum = 0;
    x += row * z.count;
#pragma unroll 4
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x)
        sum += number(x[i]);
    sum = hl_block_sum(sum, scratch);
    if (threadIdx.x == 0)
        y[blockIdx.x] = (R)(sum * scale);
}

/* A warp reads W * HL_WARP neighbouring columns of every DEPTH-th row of a piece. */
template <int W, class T, class R>
static __global__ void sum_columns(R *y, const T *x, const sizes z, int64_t across, double scale)
{
    __shared__ double scratch[DEPTH][W][HL_WARP];
    const int64_t column = (blockIdx.x % across * HL_WARP + threadIdx.x) * W, task = blockIdx.x / across;
    const int64_t begin = task % z.pieces * z.piece, end = hl_min(begin + z.piece, z.count);
    double sum[W] = {0};
    x += task / z.pieces * z.count * z.inner + column;
    if (column < z.inner) {
#pragma unroll 4
        for (int64_t i = begin + threadIdx.y; i < end; i += DEPTH) {
            hl_pack<T, W> row = hl_pack_load<W>(x + i * z.inner);
            for (int k = 0; k < W; k++)
                sum[k] += number(row.at[k]);
        }
    }
    for (int k = 0; k < W; k++)
        scratch[threadIdx.y][k][threadIdx.x] = sum[k];
    __syncthreads();
    if (threadIdx.y > 0 || column >= z.inner)
        return;
    for (int k = 0; k < W; k++) {
        double total = 0;
        for (int i = 0; i < DEPTH; i++)
            total += scratch[i][k][threadIdx.x];
        y[task * z.inner + column + k] = (R)(total * scale);
    }
}

template <class T, class R>
static hl_status stage(const hl_call *c, R *y, const T *x, const sizes &z, double scale, hl_error *err)
{
    const int64_t tasks = z.outer * z.pieces;
    if (z.inner == 1) {
        const unsigned threads = HL_WARP * (z.piece > HL_BLOCK ? 8 : 1);
        return hl_launch(c, sum_rows<T, R>, (unsigned)tasks, threads, 0, err, y, x, z, scale);
    }
    const bool wide = z.inner >= WIDE * HL_WARP && z.inner % WIDE == 0 && hl_aligned(x, WIDE * sizeof(T));
    const int64_t across = hl_pieces(z.inner, HL_WARP * (wide ? WIDE : 1));
    return hl_launch(c, wide ? sum_columns<WIDE, T, R> : sum_columns<1, T, R>, (unsigned)(tasks * across),
                     dim3(HL_WARP, DEPTH), 0, err, y, x, z, across, scale);
}

/* Where there is one piece: the last stage at once. Else the workspace holds the sums of the pieces. */
template <class T>
static hl_status stages(const hl_call *c, float *y, const T *x, const sizes &z, double scale, hl_error *err)
{
    if (z.pieces == 1)
        return stage(c, y, x, z, scale, err);
    double *partial = static_cast<double *>(c->workspace);
    const sizes last = {z.outer, z.pieces, z.inner, z.pieces, 1};
    const hl_status status = stage(c, partial, x, z, 1, err);
    return status == HL_OK ? stage(c, y, partial, last, scale, err) : status;
}

/* ------------------------------------------------------------------ reduce */

static sizes sizes_of(const hl_call *c)
{
    const hl_reduce_params *p = static_cast<const hl_reduce_params *>(c->params);
    const hl_shape in = c->in[0].shape;
    sizes z = {hl_span(in, 0, p->begin), hl_span(in, p->begin, p->end), hl_span(in, p->end, in.rank), 0, 1};
    z.piece = z.count;
    if (z.inner == 1 && z.count > PIECE)
        z.piece = PIECE;
    if (z.inner > 1 && z.outer > 0) {
        const int64_t blocks = z.outer * hl_pieces(z.inner, WIDE * HL_WARP);
        const int64_t most = hl_pieces(z.count, 4 * DEPTH), wanted = hl_pieces(ENOUGH, blocks);
        z.piece = most > 1 ? hl_pieces(z.count, hl_min(most, wanted)) : z.count;
    }
    z.pieces = z.count > 0 ? hl_pieces(z.count, z.piece) : 1;
    return z;
}

static hl_status reduce_prepare(hl_call *c, hl_error *)
{
    const sizes z = sizes_of(c);
    c->workspace_bytes = z.pieces > 1 ? (size_t)(z.outer * z.pieces * z.inner) * sizeof(double) : 0;
    return HL_OK;
}

static hl_status reduce_run(const hl_call *c, hl_error *err)
{
    const double scale = static_cast<const hl_reduce_params *>(c->params)->scale;
    return hl_with_type(c->in[0].dtype, [&](auto type) {
        using T = decltype(type);
        return stages(c, hl_data<float>(c->out[0]), hl_data<const T>(c->in[0]), sizes_of(c), scale, err);
    });
}

static bool reduce_accepts(const hl_call *c)
{
    return c->out[0].dtype == HL_F32;
}

HL_CUDA_KERNEL(reduce, reduce_accepts, reduce_prepare, reduce_run)

/* ------------------------------------------------------------------ mse */

/* Block k: the sum of (a - b)^2 over piece k. */
static __global__ void sum_squared_difference(double *y, const float *a, const float *b, int64_t n)
{
    __shared__ double scratch[HL_WARP];
    const int64_t begin = (int64_t)blockIdx.x * PIECE, end = hl_min(begin + PIECE, n);
    double sum = 0;
#pragma unroll 4
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
        double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    sum = hl_block_sum(sum, scratch);
    if (threadIdx.x == 0)
        y[blockIdx.x] = sum;
}

static hl_status mse_prepare(hl_call *c, hl_error *)
{
    c->workspace_bytes = (size_t)hl_pieces(c->in[0].count, PIECE) * sizeof(double);
    return HL_OK;
}

static hl_status mse_run(const hl_call *c, hl_error *err)
{
    const int64_t n = c->in[0].count, pieces = hl_pieces(n, PIECE);
    double *partial = static_cast<double *>(c->workspace);
    const hl_status status = hl_launch(c, sum_squared_difference, (unsigned)pieces, HL_BLOCK, 0, err, partial,
                                       hl_data<const float>(c->in[0]), hl_data<const float>(c->in[1]), n);
    const sizes last = {1, pieces, 1, pieces, 1};
    return status == HL_OK ? stage(c, hl_data<float>(c->out[0]), partial, last, 1 / (double)n, err) : status;
}

HL_CUDA_KERNEL(mse, NULL, mse_prepare, mse_run)
