/* Attention without storing the probabilities (Dao et al. 2022): keys come in tiles, and what has been summed
 * so far is rescaled when a larger score appears. */
#include "kernels/cuda/attention.cuh"

/* A query after the keys before: the largest score, and the sum of e^(score - most). */
typedef struct running {
    float most, sum;
} running;

/* Takes in this lane's score (-infinity: no key). Returns its weight, and in shrink what the sums so far are
 * to be multiplied by. */
static __device__ float take_score(running *state, float score, float *shrink)
{
    const float here = hl_warp_max(score), most = here > state->most ? here : state->most;
    const float weight = score == -INFINITY ? 0.0f : hl_expf(score - most);
    /* At first there is nothing to rescale, and the difference of two infinities would be NaN. */
    *shrink = state->sum > 0 ? hl_expf(state->most - most) : 0.0f;
    state->sum = state->sum * *shrink + hl_warp_sum(weight);
    state->most = most;
    return weight;
}

template <class T>
static __global__ void attend(const T *q, const T *k, const T *v, T *y, float *lse,
                              const __grid_constant__ hl_attention_sizes z)
{
    __shared__ hl_attention_tile tile;
    const hl_attention_part p = hl_attention_part_of(z, z.T, z.S);
    const T *queries = q + p.b * z.q_stride + p.first * z.C + p.n * z.D;
    running state[HL_ROWS];
    hl_attention_sums sum = {};
    for (int r = 0; r < HL_ROWS; r++)
        state[r] = running{-INFINITY, 0.0f};
    for (int64_t at = 0; at < z.S; at += HL_OTHERS) {
        const int keys = (int)hl_min(HL_OTHERS, z.S - at);
        float s[HL_ROWS], shrink;
        hl_attention_products(&tile, queries, p.rows, k + p.at_other + at * z.C, keys, z, s);
        for (int r = 0; r < HL_ROWS; r++) {
            const float weight = take_score(&state[r], hl_lane() < keys ? z.scale * s[r] : -INFINITY,
                                            &shrink);
            const float kept = hl_attention_kept(z, p.b, p.first + hl_mine(r), p.n, at + hl_lane());
            tile.weight[hl_mine(r)][hl_lane()] = weight * kept;
            for (int i = 0; i < HL_WIDE / HL_WARP; i++)
                sum[r][i] *= shrink;
        }
        hl_attention_accumulate(&tile, v + p.at_other + p.channel + at * z.C, keys, z.C, p.width, sum);
    }
    for (int r = 0; r < HL_ROWS; r++) {
        for (int i = 0; i < HL_WIDE / HL_WARP; i++)
            sum[r][i] /= state[r].sum;
        if (hl_mine(r) < p.rows && hl_lane() == 0 && p.channel == 0)
            lse[(p.b * z.N + p.n) * z.T + p.first + hl_mine(r)] = state[r].most + logf(state[r].sum);
    }
    hl_attention_write(y + p.at_mine + p.channel, p.rows, z.C, p.width, sum);
}

static bool attention_accepts(const hl_call *c)
{
    enum { Q, K, V };
    const hl_dtype dtype = c->out[0].dtype;
    return c->in[Q].dtype == dtype && c->in[K].dtype == dtype && c->in[V].dtype == dtype &&
           c->out[1].dtype == HL_F32;
}

static hl_status attention_run(const hl_call *c, hl_error *err)
{
    enum { Q, K, V };
    const hl_attention_sizes z = hl_attention_sizes_of(c, c->in[Q].shape, c->in[K].shape);
    dim3 grid = hl_attention_grid(z, z.T);
    grid.y = grid.y ? grid.y : 1; /* heads without channels have a denominator all the same */
    return hl_with_type(c->out[0].dtype, [&](auto type) {
        using T = decltype(type);
        return hl_launch(c, attend<T>, grid, HL_WARPS * HL_WARP, 0, err, hl_data<T>(c->in[Q]),
                         hl_data<T>(c->in[K]), hl_data<T>(c->in[V]), hl_data<T>(c->out[0]),
                         hl_data<float>(c->out[1]), z);
    });
}

HL_CUDA_KERNEL(attention, attention_accepts, NULL, attention_run)
