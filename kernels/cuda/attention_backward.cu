/* The gradient of attention. Probabilities are made again from the logarithm of the softmax's denominator.
 * With P the probabilities, M what dropout multiplies them by, and delta = <dy, y>:
 *     dS = P (M <dy, v> - delta),  dq = scale dS k,  dk = scale dS^T q,  dv = (P M)^T dy */
#include "kernels/cuda/attention.cuh"

enum { DY, Q, K, V, Y, LSE };

/* Of a lane's query and key, from their score and <dy, v>. Missing ones have no probability. */
typedef struct turned {
    float weight; /* of dy in dv */
    float ds;     /* carries the scale */
} turned;

static __device__ turned turn_back(bool there, float s, float lse, float dp, float delta, float kept,
                                   float scale)
{
    const float probability = there ? hl_expf(scale * s - lse) : 0.0f;
    return turned{probability * kept, scale * probability * (kept * dp - delta)};
}

/* dq [B,T,C] in type O, and delta [B,N,T] for the keys. A block has queries, and meets all keys. */
template <class O, class T>
static __global__ void query_gradient(const T *dy, const T *q, const T *k, const T *v, const T *y,
                                      const float *lse, O *dq, float *delta,
                                      const __grid_constant__ hl_attention_sizes z)
{
    __shared__ hl_attention_tile tile;
    const hl_attention_part p = hl_attention_part_of(z, z.T, z.S);
    const T *queries = q + p.b * z.q_stride + p.first * z.C + p.n * z.D;
    const int64_t row = (p.b * z.N + p.n) * z.T + p.first;
    float of_lse[HL_ROWS] = {}, of_delta[HL_ROWS] = {};
    hl_attention_sums sum = {};
    for (int r = 0; r < HL_ROWS; r++) {
        const int64_t at = p.at_mine + hl_mine(r) * z.C;
        if (hl_mine(r) >= p.rows)
            continue;
        for (int64_t d = hl_lane(); d < z.D; d += HL_WARP)
            of_delta[r] += hl_load(dy[at + d]) * hl_load(y[at + d]);
        of_delta[r] = hl_warp_sum(of_delta[r]);
        of_lse[r] = lse[row + hl_mine(r)];
        if (hl_lane() == 0 && p.channel == 0)
            delta[row + hl_mine(r)] = of_delta[r];
    }
    for (int64_t at = 0; at < z.S; at += HL_OTHERS) {
        const int keys = (int)hl_min(HL_OTHERS, z.S - at);
        float s[HL_ROWS], dp[HL_ROWS];
        hl_attention_products(&tile, queries, p.rows, k + p.at_other + at * z.C, keys, z, s);
        hl_attention_products(&tile, dy + p.at_mine, p.rows, v + p.at_other + at * z.C, keys, z, dp);
        for (int r = 0; r < HL_ROWS; r++) {
            const float kept = hl_attention_kept(z, p.b, p.first + hl_mine(r), p.n, at + hl_lane());
            tile.weight[hl_mine(r)][hl_lane()] =
                turn_back(hl_lane() < keys, s[r], of_lse[r], dp[r], of_delta[r], kept, z.scale).ds;
        }
        hl_attention_accumulate(&tile, k + p.at_other + p.channel + at * z.C, keys, z.C, p.width, sum);
    }
    hl_attention_write(dq + p.at_mine + p.channel, p.rows, z.C, p.width, sum);
}

/* dk and dv [B,S,C]. A block has keys, and meets all queries. */
template <class T>
static __global__ void key_gradient(const T *dy, const T *q, const T *k, const T *v, const float *lse,
                                    const float *delta, T *dk, T *dv,
                                    const __grid_constant__ hl_attention_sizes z)
{
    __shared__ hl_attention_tile tile;
    const hl_attention_part p = hl_attention_part_of(z, z.S, z.T);
    const T *queries = q + p.b * z.q_stride + p.n * z.D;
    hl_attention_sums of_k = {}, of_v = {};
    for (int64_t at = 0; at < z.T; at += HL_OTHERS) {
        const int n = (int)hl_min(HL_OTHERS, z.T - at);
        const bool there = hl_lane() < n;
        const int64_t t = at + hl_lane(), row = (p.b * z.N + p.n) * z.T + t;
        const float of_lse = there ? lse[row] : 0.0f, of_delta = there ? delta[row] : 0.0f;
        float s[HL_ROWS], dp[HL_ROWS];
        hl_attention_products(&tile, k + p.at_mine, p.rows, queries + at * z.C, n, z, s);
        hl_attention_products(&tile, v + p.at_mine, p.rows, dy + p.at_other + at * z.C, n, z, dp);
        for (int r = 0; r < HL_ROWS; r++) {
            const float kept = hl_attention_kept(z, p.b, t, p.n, p.first + hl_mine(r));
            const turned w = turn_back(there, s[r], of_lse, dp[r], of_delta, kept, z.scale);
            tile.weight[hl_mine(r)][hl_lane()] = w.weight;
            s[r] = w.ds;
        }
        hl_attention_accumulate(&tile, dy + p.at_other + p.channel + at * z.C, n, z.C, p.width, of_v);
        for (int r = 0; r < HL_ROWS; r++)
            tile.weight[hl_mine(r)][hl_lane()] = s[r];
        hl_attention_accumulate(&tile, queries + p.channel + at * z.C, n, z.C, p.width, of_k);
    }
    hl_attention_write(dk + p.at_mine + p.channel, p.rows, z.C, p.width, of_k);
    hl_attention_write(dv + p.at_mine + p.channel, p.rows, z.C, p.width, of_v);
}

/* Of queries that all samples share, from each sample's [B,count]. */
template <class T> static __global__ void sum_samples(const float *each, T *dq, int64_t B, int64_t count)
{
    HL_GRID_STRIDE(i, count)
    {
        double sum = 0;
        for (int64_t b = 0; b < B; b++)
            sum += (double)each[b * count + i];
        dq[i] = hl_store<T>((float)sum);
    }
}

/* ------------------------------------------------------------------ the call */

static hl_attention_sizes sizes_of(const hl_call *c)
{
    return hl_attention_sizes_of(c, c->in[Q].shape, c->in[K].shape);
}

static bool backward_accepts(const hl_call *c)
{
    const hl_dtype dtype = c->in[DY].dtype;
    for (int k = Q; k <= Y; k++)
        if (c->in[k].dtype != dtype)
            return false;
    for (int k = 0; k < c->n_out; k++)
        if (c->out[k].dtype != dtype)
            return false;
    return c->in[LSE].dtype == HL_F32;
}

/* Workspace: delta, and of shared queries dq of each sample. */
static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    const hl_attention_sizes z = sizes_of(c);
    const int64_t each = z.q_stride ? 0 : c->in[DY].count;
    (void)err;
    c->workspace_bytes = (size_t)(c->in[LSE].count + each) * sizeof(float);
    return HL_OK;
}

template <class T>
static hl_status backward_queries(const hl_call *c, const hl_attention_sizes &z, hl_error *err)
{
    float *delta = static_cast<float *>(c->workspace), *each = delta + c->in[LSE].count;
    const T *dy = hl_data<T>(c->in[DY]), *q = hl_data<T>(c->in[Q]), *k = hl_data<T>(c->in[K]);
    const T *v = hl_data<T>(c->in[V]), *y = hl_data<T>(c->in[Y]);
    const float *lse = hl_data<float>(c->in[LSE]);
    T *dq = hl_data<T>(c->out[0]);
    const dim3 grid = hl_attention_grid(z, z.T), block = HL_WARPS * HL_WARP;
    if (z.q_stride)
        return hl_launch(c, query_gradient<T, T>, grid, block, 0, err, dy, q, k, v, y, lse, dq, delta, z);
    hl_status status = hl_launch(c, query_gradient<float, T>, grid, block, 0, err, dy, q, k, v, y, lse, each,
                                 delta, z);
    if (status != HL_OK)
        return status;
    return hl_launch(c, sum_samples<T>, hl_grid(c->out[0].count, HL_BLOCK), HL_BLOCK, 0, err, each, dq, z.B,
                     c->out[0].count);
}

template <class T> static hl_status backward_launch(const hl_call *c, hl_error *err)
{
    const hl_attention_sizes z = sizes_of(c);
    const float *delta = static_cast<const float *>(c->workspace);
    hl_status status = backward_queries<T>(c, z, err); /* first: it makes delta */
    if (status != HL_OK)
        return status;
    return hl_launch(c, key_gradient<T>, hl_attention_grid(z, z.S), HL_WARPS * HL_WARP, 0, err,
                     hl_data<T>(c->in[DY]), hl_data<T>(c->in[Q]), hl_data<T>(c->in[K]), hl_data<T>(c->in[V]),
                     hl_data<float>(c->in[LSE]), delta, hl_data<T>(c->out[1]), hl_data<T>(c->out[2]), z);
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[DY].dtype, [&](auto type) { return backward_launch<decltype(type)>(c, err); });
}

HL_CUDA_KERNEL(attention_backward, backward_accepts, backward_prepare, backward_run)
