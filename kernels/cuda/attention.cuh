/* The products that attention is made of. A block has HL_MINE rows of one head of one sample, HL_ROWS to a
 * warp; it meets the rows of the other side (keys, or queries) HL_OTHERS at a time, one to a lane. A head's
 * rows are D long and lie C apart (C = N*D). All sums are in f32 and in a fixed order. */
#ifndef HL_KERNELS_CUDA_ATTENTION_CUH
#define HL_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/shape.h"

#include "base/philox.h"

constexpr int HL_WARPS = 4, HL_ROWS = 4, HL_MINE = HL_WARPS * HL_ROWS, HL_OTHERS = HL_WARP;
constexpr int HL_CHANNELS = 64; /* held at once */
constexpr int HL_WIDE = 256;    /* channels of a result that a block makes; wider heads take several blocks */

typedef struct hl_attention_sizes {
    int64_t B, T, S, C, N, D;
    int64_t q_stride; /* from sample to sample; 0: all share their queries */
    float scale;      /* 1/sqrt(D) */
    float dropout, kept;
    uint32_t stream;
    const hl_clock *clock;
} hl_attention_sizes;

inline hl_attention_sizes hl_attention_sizes_of(const hl_call *c, hl_shape q, hl_shape k)
{
    const hl_attention_params *p = static_cast<const hl_attention_params *>(c->params);
    hl_attention_sizes z = {.B = k.dim[0], .T = q.dim[1], .S = k.dim[1], .C = k.dim[2], .N = p->heads};
    z.D = z.C / z.N;
    z.q_stride = q.dim[0] == k.dim[0] ? z.T * z.C : 0;
    z.scale = z.D ? (float)(1.0 / sqrt((double)z.D)) : 0.0f;
    z.dropout = p->dropout;
    z.kept = (float)(1.0 / (1.0 - (double)p->dropout));
    z.stream = p->stream;
    z.clock = c->clock;
    return z;
}

/* Blocks for all rows (queries or keys) of all heads, by the channels of the result. */
inline dim3 hl_attention_grid(const hl_attention_sizes &z, int64_t rows)
{
    return dim3((unsigned)(z.B * z.N * hl_pieces(rows, HL_MINE)), (unsigned)hl_pieces(z.D, HL_WIDE));
}

/* What a block works on. */
typedef struct hl_attention_part {
    int64_t b, n, first; /* sample, head, row */
    int rows;            /* up to HL_MINE */
    int64_t channel;     /* of the head, where the result begins */
    int width;           /* up to HL_WIDE */
    int64_t at_mine,
        at_other; /* where the head's first channel is, in row `first` and in row 0 of the others */
} hl_attention_part;

/* mine, others: how many rows a sample has of each. */
__device__ inline hl_attention_part hl_attention_part_of(const hl_attention_sizes &z, int64_t mine,
                                                         int64_t others)
{
    const int64_t tiles = (mine + HL_MINE - 1) / HL_MINE, head = blockIdx.x / tiles;
    hl_attention_part p;
    p.b = head / z.N;
    p.n = head % z.N;
    p.first = blockIdx.x % tiles * HL_MINE;
    p.rows = (int)hl_min(HL_MINE, mine - p.first);
    p.channel = (int64_t)blockIdx.y * HL_WIDE;
    p.width = (int)hl_min(HL_WIDE, z.D - p.channel);
    p.at_mine = (p.b * mine + p.first) * z.C + p.n * z.D;
    p.at_other = p.b * others * z.C + p.n * z.D;
    return p;
}

/* What dropout multiplies the probability of key s by, for query t. */
__device__ inline float hl_attention_kept(const hl_attention_sizes &z, int64_t b, int64_t t, int64_t n,
                                          int64_t s)
{
    if (z.dropout == 0.0f)
        return 1.0f;
    const uint64_t number = (uint64_t)(((b * z.T + t) * z.N + n) * z.S + s);
    const hl_philox words = hl_philox_block(z.clock->seed, z.clock->step, z.stream, number / 4);
    const uint32_t odd = number % 4 < 2 ? words.v[1] : words.v[3],
                   even = number % 4 < 2 ? words.v[0] : words.v[2];
    return hl_uniform_float(number % 2 ? odd : even) >= z.dropout ? z.kept : 0.0f;
}

/* ------------------------------------------------------------------ tiles */

typedef struct hl_attention_tile {
    alignas(16) float mine[HL_MINE][HL_CHANNELS]; /* read four at a time, as is weight */
    float others[HL_OTHERS][HL_CHANNELS + 1];     /* one more: a column then lies in different banks */
    alignas(16) float weight[HL_MINE][HL_OTHERS];
} hl_attention_tile;

__device__ inline int hl_lane()
{
    return (int)threadIdx.x % HL_WARP;
}

/* Row r of this warp, among the block's. */
__device__ inline int hl_mine(int r)
{
    return (int)threadIdx.x / HL_WARP * HL_ROWS + r;
}

/* `width` channels of n rows; zeros up to row `all` and to a whole warp of channels. */
template <class T>
__device__ inline void hl_attention_stage(float *to, int stride, int all, const T *from, int n, int64_t C,
                                          int width)
{
    for (int row = (int)threadIdx.x / HL_WARP; row < all; row += HL_WARPS)
        for (int d = hl_lane(); d < (width + HL_WARP - 1) / HL_WARP * HL_WARP; d += HL_WARP)
            to[row * stride + d] = row < n && d < width ? hl_load(from[row * C + d]) : 0.0f;
}

/* s[r] = <row r of this warp, row `lane` of the others>; 0 where either is missing. */
template <class T>
__device__ inline void hl_attention_products(hl_attention_tile *tile, const T *mine, int n, const T *others,
                                             int m, const hl_attention_sizes &z, float *s)
{
    for (int r = 0; r < HL_ROWS; r++)
        s[r] = 0;
    for (int64_t at = 0; at < z.D; at += HL_CHANNELS) {
        const int width = (int)hl_min(HL_CHANNELS, z.D - at);
        hl_attention_stage(tile->mine[0], HL_CHANNELS, HL_MINE, mine + at, n, z.C, width);
        hl_attention_stage(tile->others[0], HL_CHANNELS + 1, HL_OTHERS, others + at, m, z.C, width);
        __syncthreads();
        for (int d = 0; d < width; d += 4) {
            const float *x = &tile->others[hl_lane()][d];
            for (int r = 0; r < HL_ROWS; r++) {
                const float4 u = *reinterpret_cast<const float4 *>(&tile->mine[hl_mine(r)][d]);
                s[r] += (u.x * x[0] + u.y * x[1]) + (u.z * x[2] + u.w * x[3]);
            }
        }
        __syncthreads();
    }
}

/* A warp's part of a result: channel k*HL_WARP + lane of row r at [r][k]. */
typedef float hl_attention_sums[HL_ROWS][HL_WIDE / HL_WARP];

/* sum += weight (in the tile, of which a warp reads what it wrote) times m rows of the others. */
template <class T>
__device__ inline void hl_attention_accumulate(hl_attention_tile *tile, const T *others, int m, int64_t C,
                                               int width, hl_attention_sums sum)
{
#pragma unroll
    for (int at = 0; at < HL_WIDE; at += HL_CHANNELS) {
        if (at >= width)
            break;
        hl_attention_stage(tile->others[0], HL_CHANNELS + 1, HL_OTHERS, others + at, m, C,
                           width - at < HL_CHANNELS ? width - at : HL_CHANNELS);
        __syncthreads();
        for (int j = 0; j < m; j += 4) {
            float4 w[HL_ROWS];
            for (int r = 0; r < HL_ROWS; r++)
                w[r] = *reinterpret_cast<const float4 *>(&tile->weight[hl_mine(r)][j]);
#pragma unroll
            for (int k = 0; k < HL_CHANNELS / HL_WARP && at + k * HL_WARP < width; k++) {
                const int d = k * HL_WARP + hl_lane();
                const float x0 = tile->others[j][d], x1 = tile->others[j + 1][d];
                const float x2 = tile->others[j + 2][d], x3 = tile->others[j + 3][d];
                for (int r = 0; r < HL_ROWS; r++)
                    sum[r][at / HL_WARP + k] += (w[r].x * x0 + w[r].y * x1) + (w[r].z * x2 + w[r].w * x3);
            }
        }
        __syncthreads();
    }
}

/* Rows of this warp to rows of y that lie C apart. */
template <class T>
__device__ inline void hl_attention_write(T *y, int n, int64_t C, int width, const hl_attention_sums sum)
{
    for (int r = 0; r < HL_ROWS && hl_mine(r) < n; r++)
        for (int k = 0; k < HL_WIDE / HL_WARP; k++)
            if (k * HL_WARP + hl_lane() < width)
                y[hl_mine(r) * C + k * HL_WARP + hl_lane()] = hl_store<T>(sum[r][k]);
}

#endif
