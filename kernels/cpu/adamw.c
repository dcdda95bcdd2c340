/* AdamW runs at the speed of memory: each value is read once and written once. */
#include "kernels/cpu/random.h"

#include "base/half.h"
#include "kernels/cpu/shape.h"

#include <math.h>
#include <string.h>

enum { P, M, V, LOW, GRADIENT, FACTOR, RATE, COUNT };
enum { TILE = 4 * HL_RANDOM_TILE };

/* The numbers of one step. */
typedef struct adamw_step {
    float factor; /* on the gradient */
    float beta1, beta2, eps;
    float rest1, rest2; /* 1 - beta */
    float rate;         /* lr / (1 - beta1^t) */
    float inverse2;     /* 1 / (1 - beta2^t) */
    float decay;        /* lr * weight_decay */
} adamw_step;

static adamw_step step_of(const hl_call *c)
{
    const hl_adamw_params *a = c->params;
    const double lr = *hl_in(c, RATE), t = *hl_in(c, COUNT), beta1 = a->beta1, beta2 = a->beta2;
    return (adamw_step){.factor = *hl_in(c, FACTOR),
                        .beta1 = a->beta1,
                        .beta2 = a->beta2,
                        .eps = a->eps,
                        .rest1 = (float)(1 - beta1),
                        .rest2 = (float)(1 - beta2),
                        .rate = (float)(lr / (1 - pow(beta1, t))),
                        .inverse2 = (float)(1 / (1 - pow(beta2, t))),
                        .decay = (float)(lr * (double)a->weight_decay)};
}

static void update(const adamw_step *a, const float *gradient, const float *p, const float *m, const float *v,
                   float *p_next, float *m_next, float *v_next, int64_t n)
{
    const adamw_step k = *a;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * k.factor;
        float first = k.beta1 * m[i] + k.rest1 * g, second = k.beta2 * v[i] + k.rest2 * g * g;
        /* The change is summed first: as a factor, 1 - decay would round most of the decay away. */
        float change = k.decay * p[i] + k.rate * first / (sqrtf(second * k.inverse2) + k.eps);
        p_next[i] = p[i] - change;
        m_next[i] = first;
        v_next[i] = second;
    }
}

/* The random words of elements [at, at + n): at a multiple of 4, n <= TILE. */
static void draw(const hl_call *c, int64_t at, int64_t n, uint32_t *word)
{
    const hl_adamw_params *params = c->params;
    uint32_t w[4][HL_RANDOM_TILE];
    const int64_t blocks = hl_pieces(n, 4);
    hl_random_tile(w, c->clock, params->stream, (uint64_t)at / 4, blocks);
    for (int64_t i = 0; i < n; i++)
        word[i] = w[i % 4][i / 4];
}

/* A tile of bf16 moments: widened, updated, rounded stochastically. */
static void update_rounding(const hl_call *c, const adamw_step *a, const float *gradient, int64_t at,
                            int64_t n)
{
    float m[TILE], v[TILE];
    uint32_t word[TILE + 4];
    const uint16_t *m_now = (const uint16_t *)c->in[M].data + at,
                   *v_now = (const uint16_t *)c->in[V].data + at;
    uint16_t *m_next = (uint16_t *)c->out[M].data + at, *v_next = (uint16_t *)c->out[V].data + at;
    const int64_t skip = at % 4; /* the tile may begin within a block */
    for (int64_t i = 0; i < n; i++) {
        m[i] = hl_bf16_to_float(m_now[i]);
        v[i] = hl_bf16_to_float(v_now[i]);
    }
    update(a, gradient, hl_in(c, P) + at, m, v, hl_out(c, P) + at, m, v, n);
    draw(c, at - skip, n + skip, word);
    for (int64_t i = 0; i < n; i++) {
        m_next[i] = hl_float_to_bf16_stochastic(m[i], word[i + skip] & 0xffff);
        v_next[i] = hl_float_to_bf16_stochastic(v[i], word[i + skip] >> 16);
    }
}

static void update_tiles(const hl_call *c, const adamw_step *a, const float *gradient, int64_t at, int64_t n)
{
    if (c->in[M].dtype == HL_F32) {
        update(a, gradient, hl_in(c, P) + at, hl_in(c, M) + at, hl_in(c, V) + at, hl_out(c, P) + at,
               hl_out(c, M) + at, hl_out(c, V) + at, n);
        return;
    }
    const int64_t most = TILE - 4; /* room for the block it begins in */
    for (int64_t i = 0; i < n; i += most)
        update_rounding(c, a, gradient + i, at + i, hl_min(most, n - i));
}

/* Elements [at, at + n) of operand k stay as they are. */
static void keep(const hl_call *c, int k, int64_t at, int64_t n)
{
    const size_t size = c->in[k].dtype == HL_F32 ? 4 : 2;
    const char *now = (const char *)c->in[k].data + (size_t)at * size;
    char *next = (char *)c->out[k].data + (size_t)at * size;
    if (next != now && n > 0)
        memcpy(next, now, (size_t)n * size);
}

/* No gradient here, so the moments are zero and stay: only the decay acts. */
static void decay(const hl_call *c, float by, int64_t at, int64_t n)
{
    const float *p = hl_in(c, P) + at;
    float *next = hl_out(c, P) + at;
    if (by != 0)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            next[i] = p[i] - by * p[i];
    else
        keep(c, P, at, n);
    keep(c, M, at, n);
    keep(c, V, at, n);
}

static void write_copy(const hl_call *c, int64_t at, int64_t n)
{
    const float *p = hl_out(c, P) + at;
    uint16_t *low = (uint16_t *)c->out[LOW].data + at;
    if (c->out[LOW].dtype == HL_BF16)
        for (int64_t i = 0; i < n; i++)
            low[i] = hl_float_to_bf16(p[i]);
    else
        for (int64_t i = 0; i < n; i++)
            low[i] = hl_float_to_f16(p[i]);
}

/* Elements [at, end), of which the gradient covers [begin, begin + covered). */
static void update_piece(const hl_call *c, const adamw_step *a, int64_t begin, int64_t covered, int64_t at,
                         int64_t end)
{
    int64_t first = begin > at ? hl_min(begin, end) : at;
    int64_t last = hl_min(begin + covered, end);
    last = last > first ? last : first;
    decay(c, a->decay, at, first - at);
    if (last > first)
        update_tiles(c, a, hl_in(c, GRADIENT) + (first - begin), first, last - first);
    decay(c, a->decay, last, end - last);
    if (c->n_out > LOW)
        write_copy(c, at, end - at);
}

/* Moments of 16 bits, a copy of 16 bits, and nothing else. */
static bool adamw_accepts(const hl_call *c)
{
    for (int k = 0; k < c->n_in; k++)
        if (c->in[k].count && c->in[k].dtype != HL_F32 && k != M && k != V && k != LOW)
            return false;
    return c->in[M].dtype != HL_F16;
}

static hl_status adamw_run(const hl_call *c, hl_error *err)
{
    enum { PIECE = 16384 };
    const hl_adamw_params *params = c->params;
    const int64_t count = c->out[P].count, covered = c->in[GRADIENT].data ? c->in[GRADIENT].count : 0;
    const adamw_step a = step_of(c);
    (void)err;
    if (!(a.factor >= 0)) { /* the step does not count */
        for (int k = P; k < c->n_out; k++)
            keep(c, k, 0, count);
        return HL_OK;
    }
    HL_PARALLEL_FOR(count)
    for (int64_t at = 0; at < count; at += PIECE)
        update_piece(c, &a, params->offset, covered, at, hl_min(at + PIECE, count));
    return HL_OK;
}

const hl_kernel hl_cpu_adamw = {
    .op = "adamw", .name = "portable", .accepts = adamw_accepts, .run = adamw_run};
