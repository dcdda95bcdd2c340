/* Rows are quantized as they come and multiplied by the weights as they lie, a piece of the batch at a time.
 */
#include "kernels/cpu/common.h"
#include "kernels/cpu/skinny_integers.h"
#include "kernels/cpu/threads.h"
#include "kernels/quantized.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/shape.h"

static hl_status prepare(hl_call *c, hl_error *err)
{
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1], K = c->in[HL_QUANTIZED_X].shape.dim[1];
    if (!c->out[0].count)
        return HL_OK;
    hl_skinny_integers *plan = c->state = hl_alloc(1, sizeof *plan);
    if (!plan)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a product");
    int threads = hl_threads_for((double)M * (double)N * (double)K, (double)N * (double)K);
    if (!hl_skinny_integers_prepare(plan, (size_t)hl_min(M, HL_SKINNY_MAX), (size_t)N, (size_t)K, threads))
        return hl_fail(err, HL_ERR_MEMORY, "the scratch of a product of [%lld,%lld] overflows", (long long)N,
                       (long long)K);
    c->workspace_bytes = plan->work_bytes;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_free(c->state);
    c->state = NULL;
}

static hl_status run(const hl_call *c, hl_error *err)
{
    const hl_quantized_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1], K = c->in[HL_QUANTIZED_X].shape.dim[1];
    const float *addend = hl_in(c, HL_QUANTIZED_ADDEND);
    (void)err;
    for (int64_t r = 0; c->out[0].count && r < M; r += HL_SKINNY_MAX) {
        hl_scaling scaling = {.w_scale = hl_in(c, HL_QUANTIZED_W_SCALE),
                              .bias = hl_in(c, HL_QUANTIZED_BIAS),
                              .addend = addend ? addend + r * N : NULL,
                              .activation = p->activation,
                              .y = hl_out(c, 0) + r * N};
        hl_skinny_integers_run(c->state, (size_t)hl_min(M - r, HL_SKINNY_MAX),
                               hl_in(c, HL_QUANTIZED_X) + r * K, hl_in(c, HL_QUANTIZED_X_SCALE),
                               c->in[HL_QUANTIZED_W].data, &scaling, c->workspace);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_quantized_matmul = {.op = "quantized_matmul",
                                           .name = "portable",
                                           .accepts = hl_quantized_accepts,
                                           .prepare = prepare,
                                           .run = run,
                                           .release = release};
