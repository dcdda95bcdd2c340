/* The small products that attention is made of, on tiles of QUERIES x KEYS numbers that stay in the
 * nearest cache. A head's rows are D long and lie C apart (D head width, C = N*D). */
#ifndef HL_KERNELS_CPU_ATTENTION_TILE_H
#define HL_KERNELS_CPU_ATTENTION_TILE_H

#include "kernels/cpu/math.h"
#include "kernels/cpu/random.h"
#include "kernels/cpu/shape.h"

enum { HL_QUERIES = 16, HL_KEYS = 64, HL_WIDTH = 64 };

typedef float hl_attention_tile[HL_QUERIES][HL_KEYS];

typedef struct hl_attention_sizes {
    int64_t B, T, S, C, N, D;
    int64_t q_stride; /* from sample to sample; 0: all share their queries */
    float scale;      /* 1/sqrt(D) */
} hl_attention_sizes;

static inline hl_attention_sizes hl_attention_sizes_of(const hl_attention_params *p, hl_shape q, hl_shape k)
{
    hl_attention_sizes z = {.B = k.dim[0], .T = q.dim[1], .S = k.dim[1], .C = k.dim[2], .N = p->heads};
    z.D = z.C / z.N;
    z.q_stride = q.dim[0] == k.dim[0] ? z.T * z.C : 0;
    z.scale = z.D ? (float)(1.0 / sqrt((double)z.D)) : 0.0f;
    return z;
}

/* y [width] += sum over i < n of weight[i*step] * row i: four rows at a time, so that y is loaded and
 * stored a quarter as often. */
static inline void hl_tile_accumulate(float *y, int64_t width, const float *weight, int64_t step,
                                      const float *rows, int64_t stride, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float w0 = weight[i * step], w1 = weight[(i + 1) * step];
        const float w2 = weight[(i + 2) * step], w3 = weight[(i + 3) * step];
        const float *r0 = rows + i * stride, *r1 = r0 + stride, *r2 = r1 + stride, *r3 = r2 + stride;
#pragma omp simd
        for (int64_t d = 0; d < width; d++)
            y[d] += (w0 * r0[d] + w1 * r1[d]) + (w2 * r2[d] + w3 * r3[d]);
    }
    for (; i < n; i++) {
        const float w = weight[i * step], *r = rows + i * stride;
#pragma omp simd
        for (int64_t d = 0; d < width; d++)
            y[d] += w * r[d];
    }
}

/* s[t][j] = scale <a row t, b row j> for `queries` rows of a and `keys` rows of b. b is turned so that
 * the inner loop runs over keys: no sum across a vector is needed, however narrow a head is. */
static inline void hl_tile_products(hl_attention_tile s, const float *a, int64_t queries, const float *b,
                                    int64_t keys, const hl_attention_sizes *z)
{
    float turned[HL_WIDTH][HL_KEYS], scaled[HL_WIDTH];
    for (int64_t t = 0; t < queries; t++)
        for (int64_t j = 0; j < HL_KEYS; j++)
            s[t][j] = 0;
    for (int64_t at = 0; at < z->D; at += HL_WIDTH) {
        int64_t width = hl_min(HL_WIDTH, z->D - at);
        for (int64_t j = 0; j < HL_KEYS; j++)
            for (int64_t d = 0; d < width; d++)
                turned[d][j] = j < keys ? b[j * z->C + at + d] : 0.0f;
        for (int64_t t = 0; t < queries; t++) {
            for (int64_t d = 0; d < width; d++)
                scaled[d] = a[t * z->C + at + d] * z->scale;
            hl_tile_accumulate(s[t], HL_KEYS, scaled, 1, turned[0], HL_KEYS, width);
        }
    }
}

/* What dropout multiplies the probabilities of (b, t, n, keys [at, at + keys)) by. */
static inline void hl_tile_dropout(float *factor, const hl_call *c, const hl_attention_sizes *z, int64_t b,
                                   int64_t t, int64_t n, int64_t at, int64_t keys)
{
    const hl_attention_params *p = c->params;
    uint64_t first = (uint64_t)(((b * z->T + t) * z->N + n) * z->S + at);
    hl_dropout_factors(factor, c->clock, p->stream, p->dropout, first, keys);
}

#endif
