/* Rows are quantized by one launch, multiplied, and the sums scaled. A few rows: by the kernel that reads the
 * weights as fast as they can be read (matmul_rows.cu), which scales as well. */
#include "kernels/cuda/integers.h"

#include "base/memory.h"

struct plan {
    int64_t M, N, K;
    size_t q, step, sums, scratch; /* in the workspace */
    hl_integer_product product;
};

static hl_status prepare(hl_call *c, hl_error *err)
{
    plan *p = static_cast<plan *>(hl_alloc(1, sizeof *p));
    if (!p)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a product");
    c->state = p;
    p->M = c->out[0].shape.dim[0];
    p->N = c->out[0].shape.dim[1];
    p->K = c->in[HL_QUANTIZED_X].shape.dim[1];
    hl_parts parts = {};
    p->q = hl_parts_add(&parts, p->M, p->K, sizeof(int8_t));
    p->step = hl_parts_add(&parts, p->M, 1, sizeof(float));
    if (p->M > HL_FEW_ROWS) {
        p->sums = hl_parts_add(&parts, p->M, p->N, sizeof(int32_t));
        p->scratch = hl_parts_add(&parts, 1, (int64_t)hl_integers_prepare(&p->product, p->M, p->N, p->K), 1);
    }
    if (parts.overflows || !hl_size_add(parts.bytes, HL_SCRATCH_ALIGN, &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "the workspace of a product of [%lld,%lld] overflows", (long long)p->M,
                       (long long)p->N);
    return HL_OK;
}

static void release(hl_call *c)
{
    plan *p = static_cast<plan *>(c->state);
    if (p)
        hl_integers_release(&p->product);
    hl_free(p);
    c->state = NULL;
}

struct scaling {
    const int32_t *sums;
    const float *step, *w_scale, *bias, *addend;
    float *y;
    int64_t count, N;
    hl_activation activation;
};

static __global__ void scale(scaling s)
{
    HL_GRID_STRIDE(i, s.count)
    {
        int64_t m = i / s.N, n = i % s.N;
        float value = (float)s.sums[i] * (s.step[m] * s.w_scale[n]);
        value += s.bias ? s.bias[n] : 0;
        value += s.addend ? s.addend[i] : 0;
        s.y[i] = hl_activation_of(s.activation, value);
    }
}

static hl_status run(const hl_call *c, hl_error *err)
{
    plan *p = static_cast<plan *>(c->state);
    const hl_activation activation = static_cast<const hl_quantized_matmul_params *>(c->params)->activation;
    const float *w_scale = hl_data<float>(c->in[HL_QUANTIZED_W_SCALE]), *bias = hl_data<float>(c->in[HL_QUANTIZED_BIAS]),
                *addend = hl_data<float>(c->in[HL_QUANTIZED_ADDEND]);
    const int8_t *w = hl_data<int8_t>(c->in[HL_QUANTIZED_W]);
    int8_t *q = hl_scratch_at<int8_t>(c, p->q);
    float *step = hl_scratch_at<float>(c, p->step), *y = hl_data<float>(c->out[0]);
    if (!c->out[0].count)
        return HL_OK;
    hl_status status = hl_quantize_rows(c, hl_data<float>(c->in[HL_QUANTIZED_X]), p->M, p->K,
                                        hl_data<float>(c->in[HL_QUANTIZED_X_SCALE]), q, step, err);
    if (status != HL_OK)
        return status;
    if (p->M <= HL_FEW_ROWS) {
        const hl_rows_work few = {.a = q,
                                  .b = w,
                                  .bias = bias,
                                  .addend = addend,
                                  .y = y,
                                  .x_step = step,
                                  .w_scale = w_scale,
                                  .N = p->N,
                                  .K = p->K,
                                  .activation = activation};
        return hl_integers_by_rows(c, p->M, &few, err);
    }
    int32_t *sums = hl_scratch_at<int32_t>(c, p->sums);
    status = hl_integers_run(c, &p->product, q, w, sums, hl_scratch_at<char>(c, p->scratch), err);
    const scaling s = {sums, step, w_scale, bias, addend, y, c->out[0].count, p->N, activation};
    return status == HL_OK ? hl_launch(c, scale, hl_grid(s.count, HL_BLOCK), HL_BLOCK, 0, err, s) : status;
}

extern "C" {
extern const hl_kernel hl_cuda_quantized_matmul;
const hl_kernel hl_cuda_quantized_matmul = {.op = "quantized_matmul",
                                            .name = "cuda",
                                            .accepts = hl_quantized_accepts,
                                            .prepare = prepare,
                                            .run = run,
                                            .release = release};
}
