/* The product in plain C: the kernels of skinny.h where one side is a small batch, packed panels
 * (gemm.h) elsewhere. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/skinny.h"
#include "kernels/cpu/threads.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum { A, B, BIAS, ADDEND };

/* A longer batch goes in pieces of HL_SKINNY_MAX rows where the weights have at least this many
 * elements (4 MB: they come from memory or the last cache anyway); below, panels are faster. */
static const double LARGE = 1 << 20;

/* The call as a layer: batch rows, weights [n_out, n_in]; whole pieces and what remains. */
typedef struct skinny_state {
    hl_skinny_product product;
    int64_t batch, n_out, n_in;
    hl_skinny whole, rest; /* rest: batch % HL_SKINNY_MAX rows, unused if batch is no longer than a piece */
} skinny_state;

static int64_t depth_of(const hl_call *c)
{
    const hl_matmul_params *p = c->params;
    return c->in[A].shape.dim[!p->transpose_a];
}

/* False if the call is none of the three products of a layer, or no product at all. */
static bool as_layer(const hl_call *c, skinny_state *s)
{
    const hl_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1], K = depth_of(c);
    if (M == 0 || N == 0 || K == 0 || (p->transpose_a && p->transpose_b))
        return false;
    if (p->transpose_a)
        *s = (skinny_state){.product = HL_SKINNY_TN, .batch = K, .n_out = M, .n_in = N};
    else if (p->transpose_b)
        *s = (skinny_state){.product = HL_SKINNY_NT, .batch = M, .n_out = N, .n_in = K};
    else
        *s = (skinny_state){.product = HL_SKINNY_NN, .batch = M, .n_out = K, .n_in = N};
    return s->batch <= HL_SKINNY_MAX || (double)s->n_out * (double)s->n_in >= LARGE;
}

/* All f32, but the weights of a layer whose batch is one piece of at least two rows are read in 16 bits, too.
 * (One row: matmul_row.c.) */
static bool accepts(const hl_call *c)
{
    skinny_state s;
    bool fits = c->out[0].dtype == HL_F32;
    for (int k = 0; k < c->n_in; k++)
        fits = fits && (k == B || !c->in[k].count || c->in[k].dtype == HL_F32);
    if (!fits || !c->in[B].count || c->in[B].dtype == HL_F32)
        return fits;
    return c->in[B].dtype != HL_I8 && as_layer(c, &s) && s.product == HL_SKINNY_NT && s.batch > 1 &&
           s.batch <= HL_SKINNY_MAX;
}

static bool plan_pieces(skinny_state *s)
{
    double weights = (double)s->n_out * (double)s->n_in;
    int threads = hl_threads_for((double)s->batch * weights, sizeof(float) * weights);
    size_t n_out = (size_t)s->n_out, n_in = (size_t)s->n_in, batch = (size_t)s->batch;
    size_t piece = batch < HL_SKINNY_MAX ? batch : HL_SKINNY_MAX, rest = batch % piece;
    return hl_skinny_prepare(&s->whole, s->product, piece, n_out, n_in, threads) &&
           (rest == 0 || hl_skinny_prepare(&s->rest, s->product, rest, n_out, n_in, threads));
}

static hl_status prepare(hl_call *c, hl_error *err)
{
    skinny_state s;
    if (!as_layer(c, &s))
        return HL_OK;
    if (!plan_pieces(&s))
        return hl_fail(
            err, HL_ERR_MEMORY,
            "a product of [%lld,%lld] with a batch of %lld needs more scratch than can be addressed",
            (long long)s.n_out, (long long)s.n_in, (long long)s.batch);
    c->state = hl_alloc(1, sizeof s);
    if (!c->state)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a product");
    *(skinny_state *)c->state = s;
    c->workspace_bytes = s.whole.work_bytes > s.rest.work_bytes ? s.whole.work_bytes : s.rest.work_bytes;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_free(c->state);
    c->state = NULL;
}

/* Rows [r, r + plan->m) of the batch. */
static void run_piece(const hl_call *c, const skinny_state *s, const hl_skinny *plan, int64_t r,
                      bool accumulate)
{
    const float *a = hl_in(c, A), *b = c->in[B].data, *bias = hl_in(c, BIAS), *addend = hl_in(c, ADDEND);
    float *y = hl_out(c, 0);
    switch (s->product) {
    case HL_SKINNY_NT:
        hl_skinny_nt(plan, a + r * s->n_in, b, c->in[B].dtype, bias, addend ? addend + r * s->n_out : NULL,
                     y + r * s->n_out, c->workspace);
        break;
    case HL_SKINNY_NN:
        hl_skinny_nn(plan, a + r * s->n_out, b, accumulate, y + r * s->n_in, c->workspace);
        break;
    case HL_SKINNY_TN:
        hl_skinny_tn(plan, a + r * s->n_out, b + r * s->n_in, accumulate || r > 0, y, c->workspace);
        break;
    }
}

/* The product is accumulated into the addend, so that a result does not depend on where the planner let it
 * lie: on the addend or apart. (hl_skinny_nt takes it into its sums either way.) */
static hl_status run(const hl_call *c, hl_error *err)
{
    const hl_matmul_params *p = c->params;
    const skinny_state *s = c->state;
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1];
    const float *bias = hl_in(c, BIAS), *addend = hl_in(c, ADDEND);
    float *y = hl_out(c, 0);
    bool in_sums = s && s->product == HL_SKINNY_NT, accumulate = addend && !in_sums;
    (void)err;
    if (accumulate && addend != y)
        memcpy(y, addend, (size_t)(M * N) * sizeof *y);
    if (s) {
        for (int64_t r = 0; r < s->batch; r += HL_SKINNY_MAX)
            run_piece(c, s, s->batch - r >= (int64_t)s->whole.m ? &s->whole : &s->rest, r, accumulate);
    } else {
        hl_gemm(p->transpose_a, p->transpose_b, M, N, depth_of(c), hl_in(c, A), c->in[A].shape.dim[1],
                hl_in(c, B), c->in[B].shape.dim[1], y, N, accumulate);
    }
    hl_epilogue(y, M, N, in_sums ? NULL : bias, p->activation);
    return HL_OK;
}

const hl_kernel hl_cpu_matmul = {.op = "matmul",
                                 .name = "portable",
                                 .accepts = accepts,
                                 .prepare = prepare,
                                 .run = run,
                                 .release = release};
