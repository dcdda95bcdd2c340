/* Ops that draw. */
#include "kernels/cpu/random.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/shape.h"

enum { TILE = 4 * HL_RANDOM_TILE }; /* numbers */

void hl_dropout_factors(float *factor, const hl_clock *clock, uint32_t stream, float p, uint64_t first,
                        int64_t n)
{
    const float scale = (float)(1.0 / (1.0 - (double)p));
    for (int64_t done = 0; done < n;) {
        uint32_t w[4][HL_RANDOM_TILE];
        float tile[TILE];
        int64_t skip = (int64_t)((first + (uint64_t)done) % 4), take = hl_min(TILE - skip, n - done);
        int64_t blocks = hl_pieces(skip + take, 4);
        hl_random_tile(w, clock, stream, (first + (uint64_t)done) / 4, blocks);
#pragma omp simd
        for (int64_t j = 0; j < blocks; j++) {
            tile[4 * j] = hl_uniform_float(w[0][j]) >= p ? scale : 0.0f;
            tile[4 * j + 1] = hl_uniform_float(w[1][j]) >= p ? scale : 0.0f;
            tile[4 * j + 2] = hl_uniform_float(w[2][j]) >= p ? scale : 0.0f;
            tile[4 * j + 3] = hl_uniform_float(w[3][j]) >= p ? scale : 0.0f;
        }
        for (int64_t i = 0; i < take; i++)
            factor[done + i] = tile[skip + i];
        done += take;
    }
}

/* A kept NaN or infinity stays one; a dropped one is 0, as in the reference. */
static inline float drop(float x, float factor)
{
    return factor > 0.0f ? x * factor : 0.0f;
}

static void drop_elements(const hl_call *c, const hl_dropout_params *p, int64_t count)
{
    const float *x = hl_in(c, 0);
    float *y = hl_out(c, 0);
    HL_PARALLEL_FOR(count)
    for (int64_t at = 0; at < count; at += TILE) {
        float factor[TILE];
        int64_t n = hl_min(TILE, count - at);
        hl_dropout_factors(factor, c->clock, p->stream, p->p, (uint64_t)at, n);
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[at + i] = drop(x[at + i], factor[i]);
    }
}

/* One number for each `group` elements. */
static void drop_groups(const hl_call *c, const hl_dropout_params *p, int64_t count)
{
    enum { NUMBERS = 32 };
    const float *x = hl_in(c, 0);
    float *y = hl_out(c, 0);
    const int64_t numbers = hl_pieces(count, p->group);
    HL_PARALLEL_FOR(count)
    for (int64_t first = 0; first < numbers; first += NUMBERS) {
        float factor[NUMBERS];
        int64_t n = hl_min(NUMBERS, numbers - first);
        hl_dropout_factors(factor, c->clock, p->stream, p->p, (uint64_t)first, n);
        for (int64_t j = 0; j < n; j++) {
            int64_t begin = (first + j) * p->group, end = hl_min(begin + p->group, count);
            const float f = factor[j];
#pragma omp simd
            for (int64_t i = begin; i < end; i++)
                y[i] = drop(x[i], f);
        }
    }
}

static hl_status dropout_run(const hl_call *c, hl_error *err)
{
    const hl_dropout_params *p = c->params;
    (void)err;
    if (p->group == 1)
        drop_elements(c, p, c->out[0].count);
    else
        drop_groups(c, p, c->out[0].count);
    return HL_OK;
}

const hl_kernel hl_cpu_dropout = {.op = "dropout", .name = "portable", .run = dropout_run};

/* ------------------------------------------------------------------ normal */

/* Box-Muller: two words, two numbers. */
static inline void normal_pair(uint32_t first, uint32_t second, float *a, float *b)
{
    float sine, cosine, radius = sqrtf(-2.0f * hl_log_unit(hl_uniform_open(first)));
    hl_sincos_turns(hl_uniform_float(second), &sine, &cosine);
    *a = radius * cosine;
    *b = radius * sine;
}

static hl_status normal_run(const hl_call *c, hl_error *err)
{
    const hl_normal_params *p = c->params;
    const int64_t count = c->out[0].count;
    float *y = hl_out(c, 0);
    (void)err;
    HL_PARALLEL_FOR(count)
    for (int64_t at = 0; at < count; at += TILE) {
        uint32_t w[4][HL_RANDOM_TILE];
        float tile[TILE];
        int64_t n = hl_min(TILE, count - at), blocks = hl_pieces(n, 4);
        hl_random_tile(w, c->clock, p->stream, (uint64_t)at / 4, blocks);
#pragma omp simd
        for (int64_t j = 0; j < blocks; j++) {
            normal_pair(w[0][j], w[1][j], &tile[4 * j], &tile[4 * j + 1]);
            normal_pair(w[2][j], w[3][j], &tile[4 * j + 2], &tile[4 * j + 3]);
        }
        for (int64_t i = 0; i < n; i++)
            y[at + i] = tile[i];
    }
    return HL_OK;
}

const hl_kernel hl_cpu_normal = {.op = "normal", .name = "portable", .run = normal_run};
