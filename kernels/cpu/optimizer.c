/* The optimizer's ops run at the speed of memory: each value is read once and written once. */
#include "kernels/cpu/sum.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ global norm */

static int64_t norm_pieces(const hl_call *c)
{
    int64_t pieces = 0;
    for (int k = 0; k < c->n_in; k++)
        pieces += hl_pieces(c->in[k].count, HL_SUM_PIECE);
    return pieces;
}

/* Workspace: a partial sum per piece, then where each operand's pieces begin. */
static hl_status norm_prepare(hl_call *c, hl_error *err)
{
    return hl_want_partials(c, norm_pieces(c) + c->n_in + 1, 1, err);
}

/* The operand that piece i lies in: the last one that begins at or before it. */
static int operand_of(const int64_t *begin, int n, int64_t i)
{
    int low = 0, high = n;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (begin[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static hl_status norm_run(const hl_call *c, hl_error *err)
{
    const int64_t pieces = norm_pieces(c);
    double *partial = c->workspace;
    int64_t *begin = (int64_t *)(void *)(partial + pieces);
    (void)err;
    begin[0] = 0;
    for (int k = 0; k < c->n_in; k++)
        begin[k + 1] = begin[k] + hl_pieces(c->in[k].count, HL_SUM_PIECE);
    HL_PARALLEL_FOR(pieces * HL_SUM_PIECE)
    for (int64_t i = 0; i < pieces; i++) {
        int k = operand_of(begin, c->n_in, i);
        int64_t at = (i - begin[k]) * HL_SUM_PIECE;
        partial[i] = hl_sum_squares(hl_in(c, k) + at, hl_min(HL_SUM_PIECE, c->in[k].count - at));
    }
    hl_out(c, 0)[0] = (float)sqrt(hl_sum_partial(partial, pieces, 1));
    return HL_OK;
}

const hl_kernel hl_cpu_global_norm = {
    .op = "global_norm", .name = "portable", .prepare = norm_prepare, .run = norm_run};

/* ------------------------------------------------------------------ gate */

static hl_status gate_run(const hl_call *c, hl_error *err)
{
    const hl_gate_params *p = c->params;
    const float count = *hl_in(c, 0), skipped = *hl_in(c, 1), norm = *hl_in(c, 2), loss = *hl_in(c, 3);
    const bool counts = isfinite(norm) && isfinite(loss);
    const double factor = p->clip > 0 ? (double)p->clip / ((double)norm + 1e-6) : 1;
    (void)err;
    *hl_out(c, 0) = count + (counts ? 1.0f : 0.0f);
    *hl_out(c, 1) = skipped + (counts ? 0.0f : 1.0f);
    *hl_out(c, 2) = !counts ? -1.0f : factor < 1 ? (float)factor : 1.0f;
    return HL_OK;
}

const hl_kernel hl_cpu_update_gate = {.op = "update_gate", .name = "portable", .run = gate_run};

/* ------------------------------------------------------------------ AdamW */

enum { P, M, V, GRADIENT, SCALE, RATE, COUNT };

/* The numbers of one step. */
typedef struct adamw_step {
    float clip; /* factor on the gradient */
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
    return (adamw_step){.clip = *hl_in(c, SCALE),
                        .beta1 = a->beta1,
                        .beta2 = a->beta2,
                        .eps = a->eps,
                        .rest1 = (float)(1 - beta1),
                        .rest2 = (float)(1 - beta2),
                        .rate = (float)(lr / (1 - pow(beta1, t))),
                        .inverse2 = (float)(1 / (1 - pow(beta2, t))),
                        .decay = (float)(lr * (double)a->weight_decay)};
}

/* The pointers of a call; the outputs may be the inputs. */
typedef struct state {
    const float *p, *m, *v;
    float *p_next, *m_next, *v_next;
} state;

static void update(const state *s, const adamw_step *a, const float *gradient, int64_t at, int64_t n)
{
    const adamw_step k = *a;
    const float *p = s->p + at, *m = s->m + at, *v = s->v + at;
    float *p_next = s->p_next + at, *m_next = s->m_next + at, *v_next = s->v_next + at;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * k.clip;
        float first = k.beta1 * m[i] + k.rest1 * g, second = k.beta2 * v[i] + k.rest2 * g * g;
        /* The change is summed first: as a factor, 1 - decay would round most of the decay away. */
        float change = k.decay * p[i] + k.rate * first / (sqrtf(second * k.inverse2) + k.eps);
        p_next[i] = p[i] - change;
        m_next[i] = first;
        v_next[i] = second;
    }
}

static void keep(float *next, const float *now, int64_t at, int64_t n)
{
    if (next != now && n > 0)
        memcpy(next + at, now + at, (size_t)n * sizeof *next);
}

/* No gradient here, so the moments are zero and stay: only the decay acts. */
static void decay(const state *s, float by, int64_t at, int64_t n)
{
    const float *p = s->p + at;
    float *next = s->p_next + at;
    if (by != 0)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            next[i] = p[i] - by * p[i];
    else
        keep(s->p_next, s->p, at, n);
    keep(s->m_next, s->m, at, n);
    keep(s->v_next, s->v, at, n);
}

/* Elements [at, end), of which the gradient covers [begin, begin + covered). */
static void update_piece(const state *s, const adamw_step *a, const float *gradient, int64_t begin,
                         int64_t covered, int64_t at, int64_t end)
{
    int64_t first = begin > at ? hl_min(begin, end) : at;
    int64_t last = hl_min(begin + covered, end);
    last = last > first ? last : first;
    decay(s, a->decay, at, first - at);
    if (last > first)
        update(s, a, gradient + (first - begin), first, last - first);
    decay(s, a->decay, last, end - last);
}

static hl_status adamw_run(const hl_call *c, hl_error *err)
{
    enum { PIECE = 16384 };
    const hl_adamw_params *params = c->params;
    const state s = {hl_in(c, P), hl_in(c, M), hl_in(c, V), hl_out(c, P), hl_out(c, M), hl_out(c, V)};
    const int64_t count = c->out[P].count, covered = c->in[GRADIENT].data ? c->in[GRADIENT].count : 0;
    const adamw_step a = step_of(c);
    const float *gradient = hl_in(c, GRADIENT);
    (void)err;
    if (!(a.clip >= 0)) { /* the step does not count */
        keep(s.p_next, s.p, 0, count);
        keep(s.m_next, s.m, 0, count);
        keep(s.v_next, s.v, 0, count);
        return HL_OK;
    }
    HL_PARALLEL_FOR(count)
    for (int64_t at = 0; at < count; at += PIECE)
        update_piece(&s, &a, gradient, params->offset, covered, at, hl_min(at + PIECE, count));
    return HL_OK;
}

const hl_kernel hl_cpu_adamw = {.op = "adamw", .name = "portable", .run = adamw_run};
