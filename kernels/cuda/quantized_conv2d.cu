/* Samples are quantized, their patches laid out as rows, and multiplied by the filters: sums [O, B positions],
 * which are then scaled. Rows are padded with zeros, so that the library takes them. */
#include "kernels/cuda/integers.h"

#include "base/memory.h"

enum { X = HL_QUANTIZED_X, W = HL_QUANTIZED_W, PADDING = 16 /* bytes: K is a multiple of it */ };

struct sizes {
    int64_t B, I, H, width, O, kh, kw, OH, OW; /* x [B,I,H,width], w [O,I,kh,kw], y [B,O,OH,OW] */
    int64_t patch, K;                          /* elements of a patch, and with padding */
    int64_t stride, padding;
};

struct plan {
    sizes s;
    size_t q, step, filters, patches, sums, scratch; /* in the workspace */
    hl_integer_product product;
};

static sizes sizes_of(const hl_call *c)
{
    const hl_conv_params *p = static_cast<const hl_conv_params *>(c->params);
    const hl_shape x = c->in[X].shape, w = c->in[W].shape, y = c->out[0].shape;
    sizes s = {.B = x.dim[0], .I = x.dim[1], .H = x.dim[2], .width = x.dim[3], .O = w.dim[0], .kh = w.dim[2],
              .kw = w.dim[3], .OH = y.dim[2], .OW = y.dim[3]};
    s.patch = s.I * s.kh * s.kw;
    s.K = hl_pieces(s.patch, PADDING) * PADDING;
    s.stride = p->stride;
    s.padding = p->padding;
    return s;
}

static hl_status prepare(hl_call *c, hl_error *err)
{
    plan *p = static_cast<plan *>(hl_alloc(1, sizeof *p));
    if (!p)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a convolution");
    c->state = p;
    const sizes s = p->s = sizes_of(c);
    const int64_t rows = s.B * s.OH * s.OW;
    hl_parts parts = {};
    p->q = hl_parts_add(&parts, c->in[X].count, 1, sizeof(int8_t));
    p->step = hl_parts_add(&parts, s.B, 1, sizeof(float));
    p->filters = hl_parts_add(&parts, s.O, s.K, sizeof(int8_t));
    p->patches = hl_parts_add(&parts, rows, s.K, sizeof(int8_t));
    p->sums = hl_parts_add(&parts, s.O, rows, sizeof(int32_t));
    p->scratch = hl_parts_add(&parts, 1, (int64_t)hl_integers_prepare(&p->product, s.O, rows, s.K), 1);
    if (parts.overflows || !hl_size_add(parts.bytes, HL_SCRATCH_ALIGN, &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "the workspace of a convolution with %lld-element patches overflows",
                       (long long)s.patch);
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

/* w [O,patch] -> [O,K] */
static __global__ void pad_filters(const int8_t *w, int64_t count, int64_t patch, int64_t K, int8_t *filters)
{
    HL_GRID_STRIDE(i, count)
    filters[i] = i % K < patch ? w[i / K * patch + i % K] : 0;
}

/* q [B,I,H,width] -> [B,OH,OW,K] */
static __global__ void lay_out_patches(const int8_t *q, sizes s, int64_t count, int8_t *patches)
{
    HL_GRID_STRIDE(i, count)
    {
        int64_t e = i % s.K, at = i / s.K, column = at % s.OW * s.stride - s.padding + e % s.kw;
        int64_t row = at / s.OW % s.OH * s.stride - s.padding + e / s.kw % s.kh;
        int64_t plane = at / (s.OW * s.OH) * s.I + e / (s.kw * s.kh);
        bool inside = e < s.patch && row >= 0 && row < s.H && column >= 0 && column < s.width;
        patches[i] = inside ? q[(plane * s.H + row) * s.width + column] : 0;
    }
}

struct scaling {
    const int32_t *sums;
    const float *step, *w_scale, *bias;
    float *y;
    int64_t count, B, O, positions;
    hl_activation activation;
};

static __global__ void scale(scaling s)
{
    HL_GRID_STRIDE(i, s.count)
    {
        int64_t at = i % s.positions, o = i / s.positions % s.O, b = i / s.positions / s.O;
        float value = (float)s.sums[(o * s.B + b) * s.positions + at] * (s.step[b] * s.w_scale[o]);
        value += s.bias ? s.bias[o] : 0;
        s.y[i] = hl_activation_of(s.activation, value);
    }
}

static hl_status run(const hl_call *c, hl_error *err)
{
    plan *p = static_cast<plan *>(c->state);
    int8_t *q = hl_scratch_at<int8_t>(c, p->q), *filters = hl_scratch_at<int8_t>(c, p->filters),
           *patches = hl_scratch_at<int8_t>(c, p->patches);
    int32_t *sums = hl_scratch_at<int32_t>(c, p->sums);
    float *step = hl_scratch_at<float>(c, p->step);
    if (!c->out[0].count)
        return HL_OK;
    const sizes n = p->s;
    const int64_t positions = n.OH * n.OW, of_filters = n.O * n.K, of_patches = n.B * positions * n.K;
    hl_status status = hl_quantize_rows(c, hl_data<float>(c->in[X]), n.B, c->in[X].count / n.B,
                                        hl_data<float>(c->in[HL_QUANTIZED_CONV_X_SCALE]), q, step, err);
    if (status == HL_OK)
        status = hl_launch(c, pad_filters, hl_grid(of_filters, HL_BLOCK), HL_BLOCK, 0, err,
                           hl_data<int8_t>(c->in[W]), of_filters, n.patch, n.K, filters);
    if (status == HL_OK)
        status = hl_launch(c, lay_out_patches, hl_grid(of_patches, HL_BLOCK), HL_BLOCK, 0, err, q, n, of_patches,
                           patches);
    if (status == HL_OK)
        status = hl_integers_run(c, &p->product, filters, patches, sums, hl_scratch_at<char>(c, p->scratch), err);
    const scaling s = {.sums = sums,
                       .step = step,
                       .w_scale = hl_data<float>(c->in[HL_QUANTIZED_W_SCALE]),
                       .bias = hl_data<float>(c->in[HL_QUANTIZED_CONV_BIAS]),
                       .y = hl_data<float>(c->out[0]),
                       .count = c->out[0].count,
                       .B = n.B,
                       .O = n.O,
                       .positions = positions,
                       .activation = static_cast<const hl_conv_params *>(c->params)->activation};
    return status == HL_OK ? hl_launch(c, scale, hl_grid(s.count, HL_BLOCK), HL_BLOCK, 0, err, s) : status;
}

extern "C" {
extern const hl_kernel hl_cuda_quantized_conv2d;
const hl_kernel hl_cuda_quantized_conv2d = {.op = "quantized_conv2d",
                                            .name = "cuda",
                                            .accepts = hl_quantized_accepts,
                                            .prepare = prepare,
                                            .run = run,
                                            .release = release};
}
