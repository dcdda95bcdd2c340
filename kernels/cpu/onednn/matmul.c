/* The product through dnnl_sgemm, for the shapes where it is measured to beat ours. */
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn/engine.h"
#include "kernels/cpu/skinny.h"

enum { A, B, BIAS, ADDEND };

/* Up to so many rows dX = dY W is a matrix-vector product down the columns, which oneDNN streams better. */
enum { FEW_ROWS = 4 };

/* A long batch; or very few rows through weights that are not transposed. Everything between, where
 * the weights are read once while the batch stays in cache, is the portable kernel's. */
static bool accepts(const hl_call *c)
{
    const hl_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], batch = p->transpose_a ? c->in[A].shape.dim[0] : M;
    if (!hl_onednn_fits(c))
        return false;
    if (p->transpose_a && p->transpose_b)
        return true;
    return batch > HL_SKINNY_MAX || (!p->transpose_a && !p->transpose_b && M <= FEW_ROWS);
}

static hl_status run(const hl_call *c, hl_error *err)
{
    const hl_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1];
    int64_t K = c->in[A].shape.dim[!p->transpose_a];
    const float *addend = hl_in(c, ADDEND);
    float *y = hl_out(c, 0);
    /* An addend that lies where the result goes is accumulated into. */
    dnnl_status_t status = dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', M, N, K, 1.0f,
                                      hl_in(c, A), c->in[A].shape.dim[1], hl_in(c, B), c->in[B].shape.dim[1],
                                      addend == y ? 1.0f : 0.0f, y, N);
    if (status != dnnl_success)
        return hl_onednn_fail(err, "a product", status);
    hl_epilogue(y, M, N, hl_in(c, BIAS), addend == y ? NULL : addend, p->activation);
    return HL_OK;
}

const hl_kernel hl_cpu_onednn_matmul = {.op = "matmul", .name = "onednn", .accepts = accepts, .run = run};
