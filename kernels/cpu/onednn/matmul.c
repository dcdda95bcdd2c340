/* The product through dnnl_sgemm, for the shapes where it is measured to beat ours. */
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn/engine.h"
#include "kernels/cpu/skinny.h"

enum { A, B, BIAS, ADDEND };

/* dX = dY W of up to FEW rows is a matrix-vector product down the columns, which oneDNN streams better.
 * Of more rows, but fewer than MANY, it chooses a path that takes 1.6 times as long as ours
 * (measured with 2.6.3 on AVX2). */
enum { FEW = 4, MANY = 512 };

/* Long batches. In short ones the portable kernel reads the weights once while the batch stays in cache. */
static bool accepts(const hl_call *c)
{
    const hl_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], batch = p->transpose_a ? c->in[A].shape.dim[0] : M;
    if (!hl_onednn_fits(c))
        return false;
    if (p->transpose_a && p->transpose_b)
        return true;
    if (!p->transpose_a && !p->transpose_b)
        return M <= FEW || M >= MANY;
    return batch > HL_SKINNY_MAX;
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
