/* The recurrence of an LSTM.  Sequences do not touch each other, so a task is a block of them for all
 * time steps: one parallel region per call.  w_hidden is packed once per call, for all steps. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/threads.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

typedef struct sizes {
    int64_t B, T, H;
    int64_t block; /* sequences per task */
    int64_t blocks;
    size_t weights;  /* bytes of packed weights */
    size_t left;     /* bytes of a task's packed left operand */
    size_t of_block; /* bytes of all that is a task's */
} sizes;

enum { LARGEST_BLOCK = 48 };

/* K, N: of the product with the weights. states: [block,H] matrices that a task needs besides. */
static hl_status prepare(hl_call *c, hl_shape gates, int64_t K, int64_t N, size_t states, hl_error *err)
{
    sizes s = {.B = gates.dim[0], .T = gates.dim[1], .H = gates.dim[2] / 4};
    int64_t threads = omp_get_max_threads();
    size_t state, all;
    s.block = (s.B + threads - 1) / threads;
    s.block = s.block < 1 ? 1 : s.block > LARGEST_BLOCK ? LARGEST_BLOCK : s.block;
    s.blocks = (s.B + s.block - 1) / s.block;
    bool fits = hl_gemm_right_bytes(K, N, &s.weights) && hl_gemm_left_bytes(s.block, K, &s.left) &&
                hl_size_mul((size_t)(s.block * s.H), states * sizeof(float), &state) &&
                hl_size_add(s.left, state, &s.of_block) && s.of_block <= SIZE_MAX - 64;
    s.of_block = fits ? hl_size_align(s.of_block, 64) : 0;
    fits = fits && hl_size_mul(s.of_block, (size_t)s.blocks, &all) &&
           hl_size_add(all, s.weights, &c->workspace_bytes);
    if (!fits)
        return hl_fail(err, HL_ERR_MEMORY, "the workspace of an LSTM of width %lld overflows",
                       (long long)s.H);
    sizes *kept = hl_alloc(1, sizeof *kept);
    if (!kept)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the state of an LSTM");
    *kept = s;
    c->state = kept;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_free(c->state);
    c->state = NULL;
}

static float *weights_of(const hl_call *c)
{
    return (float *)c->workspace;
}

static float *left_of(const hl_call *c, const sizes *s, int64_t block)
{
    return (float *)((char *)c->workspace + s->weights + (size_t)block * s->of_block);
}

static float *states_of(const hl_call *c, const sizes *s, int64_t block)
{
    return (float *)((char *)left_of(c, s, block) + s->left);
}

static bool reversed(const hl_call *c)
{
    return ((const hl_lstm_params *)c->params)->reverse;
}

/* ------------------------------------------------------------------ nonlinearities */

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + hl_expf(-x));
}

/* Near zero, where 1 - 2/(e^2x + 1) cancels, Lambert's continued fraction cut after x^2/9: relative
 * error below 2e-7 everywhere. */
static inline float squash(float x)
{
    float x2 = x * x, size = fabsf(x);
    float near = x * (945.0f + x2 * (105.0f + x2)) / (945.0f + x2 * (420.0f + 15.0f * x2));
    float far = copysignf(1.0f - 2.0f / (hl_expf(2.0f * size) + 1.0f), x);
    return size < 0.55f ? near : far;
}

/* ------------------------------------------------------------------ forward */

enum { X, W };
enum { H_OUT, C_OUT, GATES };

static hl_status forward_prepare(hl_call *c, hl_error *err)
{
    int64_t H = c->in[W].shape.dim[1];
    return prepare(c, c->in[X].shape, H, 4 * H, 0, err);
}

/* One sequence, one step: sums of the gates -> gates, c, h. previous is c of the step before or NULL. */
static void forward_step(int64_t H, float *restrict gates, const float *restrict previous,
                         float *restrict cell, float *restrict h)
{
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        float i = sigmoid(gates[j]), f = sigmoid(gates[H + j]);
        float g = squash(gates[2 * H + j]), o = sigmoid(gates[3 * H + j]);
        float now = i * g + (previous ? f * previous[j] : 0.0f);
        gates[j] = i;
        gates[H + j] = f;
        gates[2 * H + j] = g;
        gates[3 * H + j] = o;
        cell[j] = now;
        h[j] = o * squash(now);
    }
}

/* Step t of n sequences from `first` on, after step `before` (-1: none). */
static void forward_rows(const hl_call *c, const sizes *s, int64_t block, int64_t n, int64_t t,
                         int64_t before)
{
    int64_t H = s->H, T = s->T, first = block * s->block;
    float *gates = hl_out(c, GATES) + (first * T + t) * 4 * H, *left = left_of(c, s, block);
    for (int64_t b = 0; b < n; b++)
        memcpy(gates + b * T * 4 * H, hl_in(c, X) + ((first + b) * T + t) * 4 * H,
               (size_t)(4 * H) * sizeof(float));
    if (before >= 0) {
        hl_gemm_pack_left(false, n, H, hl_out(c, H_OUT) + (first * T + before) * H, T * H, left);
        hl_gemm_packed(n, 4 * H, H, left, weights_of(c), gates, T * 4 * H, true);
    }
    for (int64_t b = first; b < first + n; b++)
        forward_step(H, hl_out(c, GATES) + (b * T + t) * 4 * H,
                     before < 0 ? NULL : hl_out(c, C_OUT) + (b * T + before) * H,
                     hl_out(c, C_OUT) + (b * T + t) * H, hl_out(c, H_OUT) + (b * T + t) * H);
}

static hl_status forward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    const sizes *s = c->state;
    bool reverse = reversed(c);
    if (s->T > 1)
        hl_gemm_pack_right(true, s->H, 4 * s->H, hl_in(c, W), s->H, weights_of(c));
    HL_PARALLEL_FOR(c->in[X].count)
    for (int64_t block = 0; block < s->blocks; block++) {
        int64_t rest = s->B - block * s->block, n = rest < s->block ? rest : s->block;
        for (int64_t step = 0; step < s->T; step++) {
            int64_t t = reverse ? s->T - 1 - step : step;
            forward_rows(c, s, block, n, t, step == 0 ? -1 : reverse ? t + 1 : t - 1);
        }
    }
    return HL_OK;
}

const hl_kernel hl_cpu_lstm = {
    .op = "lstm", .name = "portable", .prepare = forward_prepare, .run = forward_run, .release = release};

/* ------------------------------------------------------------------ backward */

enum { DH, BACK_W, BACK_C, BACK_GATES };

/* A task keeps d h of the step, and f dc that the step before takes over. */
static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    int64_t H = c->in[BACK_W].shape.dim[1];
    return prepare(c, c->in[BACK_GATES].shape, 4 * H, H, 2, err);
}

/* One sequence, one step. carried: f dc of the step after, then of this one. */
static void backward_step(int64_t H, const float *restrict gates, const float *restrict previous,
                          const float *restrict cell, const float *restrict dh, float *restrict carried,
                          float *restrict dx)
{
#pragma omp simd
    for (int64_t j = 0; j < H; j++) {
        float i = gates[j], f = gates[H + j], g = gates[2 * H + j], o = gates[3 * H + j];
        float squashed = squash(cell[j]);
        float dc = carried[j] + dh[j] * o * (1.0f - squashed * squashed);
        dx[j] = dc * g * i * (1.0f - i);
        dx[H + j] = previous ? dc * previous[j] * f * (1.0f - f) : 0.0f;
        dx[2 * H + j] = dc * i * (1.0f - g * g);
        dx[3 * H + j] = dh[j] * squashed * o * (1.0f - o);
        carried[j] = dc * f;
    }
}

/* Step t of n sequences; before and later are the steps around it, -1 where there is none. */
static void backward_rows(const hl_call *c, const sizes *s, int64_t block, int64_t n, int64_t t,
                          int64_t before, int64_t later)
{
    int64_t H = s->H, T = s->T, first = block * s->block;
    float *left = left_of(c, s, block), *dh = states_of(c, s, block), *carried = dh + s->block * H;
    for (int64_t b = 0; b < n; b++)
        memcpy(dh + b * H, hl_in(c, DH) + ((first + b) * T + t) * H, (size_t)H * sizeof *dh);
    if (later >= 0) {
        hl_gemm_pack_left(false, n, 4 * H, hl_out(c, 0) + (first * T + later) * 4 * H, T * 4 * H, left);
        hl_gemm_packed(n, H, 4 * H, left, weights_of(c), dh, H, true);
    } else {
        memset(carried, 0, (size_t)(n * H) * sizeof *carried);
    }
    for (int64_t b = 0; b < n; b++) {
        const float *cells = hl_in(c, BACK_C) + (first + b) * T * H;
        int64_t at = ((first + b) * T + t) * 4 * H;
        backward_step(H, hl_in(c, BACK_GATES) + at, before < 0 ? NULL : cells + before * H, cells + t * H,
                      dh + b * H, carried + b * H, hl_out(c, 0) + at);
    }
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    const sizes *s = c->state;
    bool reverse = reversed(c);
    if (s->T > 1)
        hl_gemm_pack_right(false, 4 * s->H, s->H, hl_in(c, BACK_W), s->H, weights_of(c));
    HL_PARALLEL_FOR(c->out[0].count)
    for (int64_t block = 0; block < s->blocks; block++) {
        int64_t rest = s->B - block * s->block, n = rest < s->block ? rest : s->block;
        for (int64_t step = s->T - 1; step >= 0; step--) {
            int64_t t = reverse ? s->T - 1 - step : step, past = reverse ? t + 1 : t - 1;
            backward_rows(c, s, block, n, t, step == 0 ? -1 : past, step == s->T - 1 ? -1 : 2 * t - past);
        }
    }
    return HL_OK;
}

const hl_kernel hl_cpu_lstm_backward = {.op = "lstm_backward",
                                        .name = "portable",
                                        .prepare = backward_prepare,
                                        .run = backward_run,
                                        .release = release};
