/* Attention without storing the probabilities (Dao et al. 2022): keys come in tiles, and what has been
 * summed so far is rescaled when a larger score appears. Sums over keys run in a fixed order. */
#include "kernels/cpu/attention_tile.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* ------------------------------------------------------------------ forward */

/* One query after the keys before `at`: the largest score, the sum of e^(score - most) and, in y, the
 * values weighted by these. */
typedef struct running {
    float most, sum;
} running;

/* Takes in keys whose scores are s; leaves the weights of their values in s. */
static void take_scores(running *r, float *s, int64_t keys, float *y, int64_t D)
{
    const float here = hl_largest(s, keys), most = here > r->most ? here : r->most;
    float sum = 0;
    /* At first there is nothing to rescale, and the difference of two infinities would be NaN. */
    const float shrink = r->sum > 0 ? hl_expf(r->most - most) : 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < keys; j++) {
        s[j] = hl_expf(s[j] - most);
        sum += s[j];
    }
#pragma omp simd
    for (int64_t d = 0; d < D; d++)
        y[d] *= shrink;
    r->sum = r->sum * shrink + sum;
    r->most = most;
}

/* Queries [t, t + queries) of one head of one sample. */
static void attend(const hl_call *c, const hl_attention_sizes *z, int64_t b, int64_t n, int64_t t,
                   int64_t queries)
{
    const hl_attention_params *p = c->params;
    const float *q = hl_in(c, 0) + b * z->q_stride + t * z->C + n * z->D;
    const int64_t head = b * z->S * z->C + n * z->D;
    float *y = hl_out(c, 0) + (b * z->T + t) * z->C + n * z->D,
          *lse = hl_out(c, 1) + (b * z->N + n) * z->T + t;
    running state[HL_QUERIES];
    for (int64_t i = 0; i < queries; i++) {
        state[i] = (running){-INFINITY, 0};
        memset(y + i * z->C, 0, (size_t)z->D * sizeof *y);
    }
    for (int64_t at = 0; at < z->S; at += HL_KEYS) {
        hl_attention_tile s;
        int64_t keys = hl_min(HL_KEYS, z->S - at);
        hl_tile_products(s, q, queries, hl_in(c, 1) + head + at * z->C, keys, z);
        for (int64_t i = 0; i < queries; i++) {
            float factor[HL_KEYS];
            take_scores(&state[i], s[i], keys, y + i * z->C, z->D);
            if (p->dropout > 0) {
                hl_tile_dropout(factor, c, z, b, t + i, n, at, keys);
                for (int64_t j = 0; j < keys; j++)
                    s[i][j] *= factor[j];
            }
            hl_tile_accumulate(y + i * z->C, z->D, s[i], 1, hl_in(c, 2) + head + at * z->C, z->C, keys);
        }
    }
    for (int64_t i = 0; i < queries; i++) {
        for (int64_t d = 0; d < z->D; d++)
            y[i * z->C + d] /= state[i].sum;
        lse[i] = state[i].most + logf(state[i].sum);
    }
}

static hl_status attention_run(const hl_call *c, hl_error *err)
{
    const hl_attention_sizes z = hl_attention_sizes_of(c->params, c->in[0].shape, c->in[1].shape);
    const int64_t tiles = hl_pieces(z.T, HL_QUERIES);
    (void)err;
    HL_PARALLEL_FOR(z.B * z.T * z.S * z.C)
    for (int64_t task = 0; task < z.B * z.N * tiles; task++) {
        int64_t t = task % tiles * HL_QUERIES, n = task / tiles % z.N, b = task / tiles / z.N;
        attend(c, &z, b, n, t, hl_min(HL_QUERIES, z.T - t));
    }
    return HL_OK;
}

const hl_kernel hl_cpu_attention = {.op = "attention", .name = "portable", .run = attention_run};

/* ------------------------------------------------------------------ backward */

enum { DY, Q, K, V, Y, LSE };

/* Queries shared by all samples: dq of each sample goes to the workspace and is summed afterwards. */
static bool shared(const hl_attention_sizes *z)
{
    return !z->q_stride && z->B > 1;
}

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    const hl_attention_sizes z = hl_attention_sizes_of(c->params, c->in[Q].shape, c->in[K].shape);
    size_t each, all;
    if (!shared(&z))
        return HL_OK;
    if (!hl_size_mul((size_t)c->in[Q].count, sizeof(float), &each) || !hl_size_mul(each, (size_t)z.B, &all))
        return hl_fail(err, HL_ERR_MEMORY, "attention_backward: dq of %lld samples is too large",
                       (long long)z.B);
    c->workspace_bytes = all;
    return HL_OK;
}

/* What one task works on: one head of one sample. */
typedef struct head {
    int64_t b, n;
    const float *dy, *q, *k, *v, *y, *lse;
    float *dq, *dk, *dv;
} head;

static head head_of(const hl_call *c, const hl_attention_sizes *z, int64_t b, int64_t n)
{
    const int64_t at_q = b * z->q_stride + n * z->D, at_k = b * z->S * z->C + n * z->D;
    const int64_t at_y = b * z->T * z->C + n * z->D;
    return (head){.b = b,
                  .n = n,
                  .dy = hl_in(c, DY) + at_y,
                  .q = hl_in(c, Q) + at_q,
                  .k = hl_in(c, K) + at_k,
                  .v = hl_in(c, V) + at_k,
                  .y = hl_in(c, Y) + at_y,
                  .lse = hl_in(c, LSE) + (b * z->N + n) * z->T,
                  .dq = shared(z) ? (float *)c->workspace + at_y : hl_out(c, 0) + at_q,
                  .dk = hl_out(c, 1) + at_k,
                  .dv = hl_out(c, 2) + at_k};
}

static float row_dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* From scores s and <dy, v> in dp: the weights of dy in dv (into s), and dS (into dp), which already
 * carries the scale. */
static void turn_back(const hl_call *c, const hl_attention_sizes *z, const head *h, int64_t t, int64_t at,
                      int64_t keys, float delta, float *s, float *dp)
{
    const hl_attention_params *p = c->params;
    const float lse = h->lse[t];
    float factor[HL_KEYS];
    if (p->dropout > 0)
        hl_tile_dropout(factor, c, z, h->b, t, h->n, at, keys);
    else
        for (int64_t j = 0; j < keys; j++)
            factor[j] = 1;
            /* dp holds scale <dy, v>: the products are made with the scale in them. */
#pragma omp simd
    for (int64_t j = 0; j < keys; j++) {
        float probability = hl_expf(s[j] - lse);
        s[j] = probability * factor[j];
        dp[j] = probability * (dp[j] * factor[j] - z->scale * delta);
    }
}

/* Queries [t, t + queries) against keys [at, at + keys). */
static void backward_tile(const hl_call *c, const hl_attention_sizes *z, const head *h, int64_t t,
                          int64_t queries, int64_t at, int64_t keys)
{
    hl_attention_tile s, dp;
    const float *k = h->k + at * z->C, *v = h->v + at * z->C, *q = h->q + t * z->C, *dy = h->dy + t * z->C;
    hl_tile_products(s, q, queries, k, keys, z);
    hl_tile_products(dp, dy, queries, v, keys, z);
    for (int64_t i = 0; i < queries; i++) {
        float delta = row_dot(dy + i * z->C, h->y + (t + i) * z->C, z->D);
        turn_back(c, z, h, t + i, at, keys, delta, s[i], dp[i]);
        hl_tile_accumulate(h->dq + (t + i) * z->C, z->D, dp[i], 1, k, z->C, keys);
    }
    for (int64_t j = 0; j < keys; j++) {
        hl_tile_accumulate(h->dk + (at + j) * z->C, z->D, &dp[0][j], HL_KEYS, q, z->C, queries);
        hl_tile_accumulate(h->dv + (at + j) * z->C, z->D, &s[0][j], HL_KEYS, dy, z->C, queries);
    }
}

static void clear(float *rows, int64_t n, const hl_attention_sizes *z)
{
    for (int64_t i = 0; i < n; i++)
        memset(rows + i * z->C, 0, (size_t)z->D * sizeof *rows);
}

static void backward_head(const hl_call *c, const hl_attention_sizes *z, const head *h)
{
    clear(h->dq, z->T, z);
    clear(h->dk, z->S, z);
    clear(h->dv, z->S, z);
    for (int64_t at = 0; at < z->S; at += HL_KEYS)
        for (int64_t t = 0; t < z->T; t += HL_QUERIES)
            backward_tile(c, z, h, t, hl_min(HL_QUERIES, z->T - t), at, hl_min(HL_KEYS, z->S - at));
}

static void sum_shared(const hl_call *c, const hl_attention_sizes *z)
{
    const int64_t count = c->out[0].count;
    const float *each = c->workspace;
    float *dq = hl_out(c, 0);
    HL_PARALLEL_FOR(count * z->B)
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t b = 0; b < z->B; b++)
            sum += (double)each[b * count + i];
        dq[i] = (float)sum;
    }
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    const hl_attention_sizes z = hl_attention_sizes_of(c->params, c->in[Q].shape, c->in[K].shape);
    (void)err;
    if (z.B == 0 && c->out[0].count)
        memset(c->out[0].data, 0, (size_t)c->out[0].count * sizeof(float));
    HL_PARALLEL_FOR(z.B * z.T * z.S * z.C)
    for (int64_t task = 0; task < z.B * z.N; task++) {
        const head h = head_of(c, &z, task / z.N, task % z.N);
        backward_head(c, &z, &h);
    }
    if (shared(&z))
        sum_shared(c, &z);
    return HL_OK;
}

const hl_kernel hl_cpu_attention_backward = {
    .op = "attention_backward", .name = "portable", .prepare = backward_prepare, .run = backward_run};
