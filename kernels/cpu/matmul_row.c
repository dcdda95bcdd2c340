/* One row by weights of 16 bits, which are widened in registers: at batch 1 the time goes into reading the
 * weights, and these are half the bytes. (More rows: widened.h.) */
#include "kernels/cpu/convert.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/skinny_tiles.h"

#include "base/error.h"
#include "base/memory.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

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

typedef uint16_t halves __attribute__((vector_size(2 * V), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * V)));

VEC_INLINE vec from_bf16(const uint16_t *p)
{
#if VEC_WIDTH == 8 && defined(__AVX2__) /* gcc makes more of the conversion than this */
    return (vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)),
                                  16);
#else
    return (vec)(__builtin_convertvector(*(const halves *)p, words) << 16);
#endif
}

VEC_INLINE vec from_f16(const uint16_t *p)
{
#if VEC_WIDTH == 16 && defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif VEC_WIDTH == 8 && defined(__F16C__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif VEC_WIDTH == 4 && defined(__aarch64__)
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vec v;
    for (int i = 0; i < V; i++)
        v[i] = hl_f16_to_float(p[i]);
    return v;
#endif
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
#pragma omp parallel if (N * K > HL_GRAIN)
    {
        size_t begin, end;
        split(N, TOGETHER, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        if (c->in[B].dtype == HL_BF16)
            rows(from_bf16, hl_bf16_to_float, x, K, w + begin * K, end - begin, y + begin);
        else
            rows(from_f16, hl_f16_to_float, x, K, w + begin * K, end - begin, y + begin);
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
