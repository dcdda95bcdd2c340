/* One row by weights of 16 bits, which are widened in registers: at batch 1 the time goes into reading the
 * weights, and these are half the bytes. (More rows: skinny.h, by way of widened.h.) */
#include "kernels/cpu/convert.h"
#include "kernels/cpu/halves.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/skinny_tiles.h"

#include "base/error.h"
#include "base/memory.h"

enum { A, B, BIAS, ADDEND };
enum { TOGETHER = 4 /* rows of weights */, PIECE = 512, AHEAD = 128 /* elements of a stream */ };

static bool accepts(const hl_call *c)
{
    const hl_matmul_params *p = c->params;
    hl_dtype low = c->in[A].dtype;
    bool fits = (low == HL_F16 || low == HL_BF16) && c->in[B].dtype == low && !p->transpose_a &&
                p->transpose_b;
    for (int k = BIAS; k < c->n_in; k++)
        fits = fits && (!c->in[k].shape.rank || c->in[k].dtype == HL_F32 || c->in[k].dtype == low);
    return fits && c->in[A].shape.rank == 2 && c->in[A].shape.dim[0] == 1 &&
           (c->out[0].dtype == HL_F32 || c->out[0].dtype == low);
}

/* The row as f32, then the sums. */
static hl_status prepare(hl_call *c, hl_error *err)
{
    size_t floats;
    if (!hl_size_add(round_up((size_t)c->in[A].count, LINE), (size_t)c->out[0].count, &floats) ||
        !hl_size_mul(floats, sizeof(float), &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "the scratch of a product of %lld terms overflows",
                       (long long)c->in[A].count);
    return HL_OK;
}

/* y [n] = x w[o] for n rows of w that lie `apart` rows apart: dot products in lanes. */
VEC_INLINE void dots(const int n, vec load(const uint16_t *), float one(uint16_t), const float *x, size_t K,
                     const uint16_t *w, size_t apart, float *y)
{
    const size_t whole = K / V * V, ldw = apart * K;
    vec acc[TOGETHER];
    VEC_UNROLL
    for (int r = 0; r < n; r++)
        acc[r] = vec_splat(0);
    for (size_t k = 0; k < whole; k += V) {
        vec a = vec_load(x + k);
        if (k % (2 * LINE) == 0) { /* what comes next, which may be past the end */
            VEC_UNROLL
            for (int r = 0; r < n; r++)
                __builtin_prefetch(w + (size_t)r * ldw + k + AHEAD, 0, 3);
        }
        VEC_UNROLL
        for (int r = 0; r < n; r++)
            acc[r] = vec_fma(a, load(w + (size_t)r * ldw + k), acc[r]);
    }
    for (int r = 0; r < n; r++) {
        float sum = vec_sum(acc[r]);
        for (size_t k = whole; k < K; k++)
            sum += x[k] * one(w[(size_t)r * ldw + k]);
        y[(size_t)r * apart] = sum;
    }
}

/* y [N] = x w^T. Four rows at a time that lie far apart: memory is read as four long streams. */
VEC_INLINE void rows(vec load(const uint16_t *), float one(uint16_t), const float *x, size_t K,
                     const uint16_t *w, size_t N, float *y)
{
    const size_t apart = N / TOGETHER;
    for (size_t o = 0; o < apart; o++)
        dots(TOGETHER, load, one, x, K, w + o * K, apart, y + o);
    for (size_t o = TOGETHER * apart; o < N; o++)
        dots(1, load, one, x, K, w + o * K, 1, y + o);
}

/* y [N] += an operand, if it is there */
static void add(const hl_view *v, int64_t at, int64_t n, float *y)
{
    float piece[PIECE];
    if (!v->data)
        return;
    hl_widen(v, at, n, piece);
    for (int64_t i = 0; i < n; i++)
        y[i] += piece[i];
}

static hl_status run(const hl_call *c, hl_error *err)
{
    const hl_matmul_params *p = c->params;
    const uint16_t *w = c->in[B].data;
    const size_t K = (size_t)c->in[A].count, N = (size_t)c->out[0].count;
    float *x = c->workspace, *y = x + round_up(K, LINE);
    (void)err;
    hl_widen(&c->in[A], 0, (int64_t)K, x);
#pragma omp parallel num_threads(hl_threads_for((double)N *(double)K, sizeof *w *(double)N *(double)K))
    {
        size_t begin, end;
        split(N, TOGETHER, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        if (c->in[B].dtype == HL_BF16)
            rows(vec_from_bf16, hl_bf16_to_float, x, K, w + begin * K, end - begin, y + begin);
        else
            rows(vec_from_f16, hl_f16_to_float, x, K, w + begin * K, end - begin, y + begin);
    }
    for (int64_t at = 0; at < (int64_t)N; at += PIECE) {
        int64_t n = hl_min(PIECE, (int64_t)N - at);
        add(&c->in[BIAS], at, n, y + at);
        add(&c->in[ADDEND], at, n, y + at);
        hl_activate(y + at, n, p->activation);
        hl_narrow(&c->out[0], at, n, y + at);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_matmul_row = {
    .op = "matmul", .name = "one row", .accepts = accepts, .prepare = prepare, .run = run};
