/* Products with weights of eight bits. The other operand is quantized as it comes: a row (a sample) by its
 * largest magnitude, or all of it by a given scale. Sums of products of integers are exact, so only the
 * scaling at the end rounds. No gradients: what is quantized has been trained. */
#include "ops/ops.h"

#include "base/quantize.h"
#include "ops/window.h"

#include <string.h>

enum { X, W, W_SCALE };
enum { MATMUL_BIAS = W_SCALE + 1, MATMUL_ADDEND, MATMUL_X_SCALE, MATMUL_OPERANDS };
enum { CONV_BIAS = W_SCALE + 1, CONV_X_SCALE, CONV_OPERANDS };

/* ------------------------------------------------------------------ shapes */

/* An operand of f32 that is absent or has this shape; else hl_graph_fail. */
static bool is_shaped(hl_graph *g, const hl_node *n, int k, const char *what, hl_shape want)
{
    if (!n->in[k].id || hl_shape_equal(hl_node_in(g, n, k)->shape, want))
        return true;
    hl_graph_fail(g, "%s: the %s is %s, it must be %s", n->op->name, what,
                  hl_shape_print(hl_node_in(g, n, k)->shape).text, hl_shape_print(want).text);
    return false;
}

static bool sum_fits(hl_graph *g, const hl_node *n, int64_t terms)
{
    if (terms >= 0 && terms <= HL_QUANTIZED_TERMS)
        return true;
    hl_graph_fail(g, "%s: sums of %lld products; up to %d are sure to fit 32 bits", n->op->name,
                  (long long)terms, HL_QUANTIZED_TERMS);
    return false;
}

static bool quantized_matmul_shape(hl_graph *g, hl_node *n)
{
    hl_shape x = hl_node_in(g, n, X)->shape, w = hl_node_in(g, n, W)->shape;
    if (!hl_want_dtypes(g, n))
        return false;
    if (x.rank != 2 || w.rank != 2 || x.dim[1] != w.dim[1]) {
        hl_graph_fail(g, "quantized_matmul: x is %s and w %s, they must be [M,K] and [N,K]",
                      hl_shape_print(x).text, hl_shape_print(w).text);
        return false;
    }
    hl_shape out = {2, {x.dim[0], w.dim[0]}}, per_row = {1, {w.dim[0]}};
    if (!sum_fits(g, n, x.dim[1]) || !is_shaped(g, n, W_SCALE, "scale of w", per_row) ||
        !is_shaped(g, n, MATMUL_BIAS, "bias", per_row) || !is_shaped(g, n, MATMUL_ADDEND, "addend", out) ||
        !is_shaped(g, n, MATMUL_X_SCALE, "scale of x", (hl_shape){1, {1}}))
        return false;
    hl_node_out(g, n, 0, HL_F32, out);
    return !g->failed;
}

static bool quantized_conv2d_shape(hl_graph *g, hl_node *n)
{
    const hl_conv_params *p = n->params;
    hl_shape w = hl_node_in(g, n, W)->shape, y;
    if (!hl_want_dtypes(g, n) || !hl_conv_shape(g, n, hl_node_in(g, n, X)->shape, w, &y))
        return false;
    if (p->out != HL_F32) {
        hl_graph_fail(g, "quantized_conv2d: a result of %s; it is f32", hl_dtype_name(p->out));
        return false;
    }
    hl_shape patch = {3, {w.dim[1], w.dim[2], w.dim[3]}}, per_filter = {1, {w.dim[0]}};
    if (!sum_fits(g, n, hl_shape_count(patch)) || !is_shaped(g, n, W_SCALE, "scale of w", per_filter) ||
        !is_shaped(g, n, CONV_BIAS, "bias", per_filter) ||
        !is_shaped(g, n, CONV_X_SCALE, "scale of x", (hl_shape){1, {1}}))
        return false;
    hl_node_out(g, n, 0, HL_F32, y);
    return !g->failed;
}

/* ------------------------------------------------------------------ references */

/* Of n values that are quantized together. */
static float step_of(const double *x, int64_t n, const hl_ref_tensor *given)
{
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = hl_magnitude((float)x[i]) > most ? hl_magnitude((float)x[i]) : most;
    float scale = given->data ? (float)given->data[0] : 0;
    return hl_quantize_step(most, given->data ? &scale : NULL);
}

static void quantized_matmul_reference(const hl_ref_call *c)
{
    const hl_quantized_matmul_params *p = c->params;
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1], K = c->in[X].shape.dim[1];
    for (int64_t i = 0; i < M; i++) {
        const double *x = c->in[X].data + i * K;
        float step = step_of(x, K, &c->in[MATMUL_X_SCALE]);
        for (int64_t j = 0; j < N; j++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += hl_quantize((float)x[k], step) * c->in[W].data[j * K + k];
            sum *= (double)step * c->in[W_SCALE].data[j];
            sum += c->in[MATMUL_BIAS].data ? c->in[MATMUL_BIAS].data[j] : 0;
            sum += c->in[MATMUL_ADDEND].data ? c->in[MATMUL_ADDEND].data[i * N + j] : 0;
            c->out[0].data[i * N + j] = hl_activation_reference(p->activation, sum);
        }
    }
}

/* Sum over the patch of one sample x [I,H,W] whose corner is (top, left), by a filter w [I,h,w]. */
static double patch_sum(const double *x, hl_shape xs, const double *w, hl_shape ws, int64_t top, int64_t left,
                        float step)
{
    double sum = 0;
    for (int64_t i = 0; i < ws.dim[1]; i++) {
        for (int64_t r = 0; r < ws.dim[2]; r++) {
            for (int64_t s = 0; s < ws.dim[3]; s++, w++) {
                int64_t row = top + r, column = left + s;
                if (row >= 0 && row < xs.dim[2] && column >= 0 && column < xs.dim[3])
                    sum += *w * hl_quantize((float)x[(i * xs.dim[2] + row) * xs.dim[3] + column], step);
            }
        }
    }
    return sum;
}

static void quantized_conv2d_reference(const hl_ref_call *c)
{
    const hl_conv_params *p = c->params;
    hl_shape x = c->in[X].shape, w = c->in[W].shape, y = c->out[0].shape;
    int64_t sample = hl_shape_span(x, 1, 4), filter = hl_shape_span(w, 1, 4);
    double *out = c->out[0].data;
    for (int64_t b = 0; b < y.dim[0]; b++) {
        const double *image = c->in[X].data + b * sample;
        float step = step_of(image, sample, &c->in[CONV_X_SCALE]);
        for (int64_t o = 0; o < y.dim[1]; o++) {
            for (int64_t r = 0; r < y.dim[2] * y.dim[3]; r++) {
                int64_t top = r / y.dim[3] * p->stride - p->padding,
                        left = r % y.dim[3] * p->stride - p->padding;
                double sum = patch_sum(image, x, c->in[W].data + o * filter, w, top, left, step);
                sum *= (double)step * c->in[W_SCALE].data[o];
                sum += c->in[CONV_BIAS].data ? c->in[CONV_BIAS].data[o] : 0;
                *out++ = hl_activation_reference(p->activation, sum);
            }
        }
    }
}

/* ------------------------------------------------------------------ the ops */

static double quantized_flops(const hl_graph *g, const hl_node *n)
{
    hl_shape w = hl_shape_of(g, n->in[W]);
    return 2.0 * (double)hl_info(g, hl_node_output(n, 0))->count * (double)hl_shape_span(w, 1, w.rank);
}

static const hl_field matmul_fields[] = {
    HL_FIELD_OF(hl_quantized_matmul_params, activation, hl_activation_words), {0}};

const hl_op_def hl_op_quantized_matmul = {.name = "quantized_matmul",
                                          .params_size = sizeof(hl_quantized_matmul_params),
                                          .fields = matmul_fields,
                                          .min_in = MATMUL_OPERANDS,
                                          .max_in = MATMUL_OPERANDS,
                                          .n_out = 1,
                                          .optional = 1u << MATMUL_BIAS | 1u << MATMUL_ADDEND |
                                                      1u << MATMUL_X_SCALE,
                                          .in_place = 1u << MATMUL_ADDEND,
                                          .integers = 1u << W,
                                          .activation = offsetof(hl_quantized_matmul_params, activation),
                                          .addend = MATMUL_ADDEND,
                                          .shape = quantized_matmul_shape,
                                          .reference = quantized_matmul_reference,
                                          .flops = quantized_flops};

/* Of hl_conv_params what this op reads. */
static const hl_field conv_fields[] = {HL_FIELD(hl_conv_params, stride, HL_FIELD_INT),
                                       HL_FIELD(hl_conv_params, padding, HL_FIELD_INT),
                                       HL_FIELD_OF(hl_conv_params, activation, hl_activation_words),
                                       {0}};

const hl_op_def hl_op_quantized_conv2d = {.name = "quantized_conv2d",
                                          .params_size = sizeof(hl_conv_params),
                                          .fields = conv_fields,
                                          .min_in = CONV_OPERANDS,
                                          .max_in = CONV_OPERANDS,
                                          .n_out = 1,
                                          .optional = 1u << CONV_BIAS | 1u << CONV_X_SCALE,
                                          .integers = 1u << W,
                                          .activation = offsetof(hl_conv_params, activation),
                                          .shape = quantized_conv2d_shape,
                                          .reference = quantized_conv2d_reference,
                                          .flops = quantized_flops};

hl_tensor hl_quantized_matmul(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor w_scale, hl_tensor bias,
                              hl_tensor x_scale)
{
    hl_quantized_matmul_params p = {0, HL_ACT_NONE};
    hl_tensor in[MATMUL_OPERANDS] = {x, w, w_scale, bias, {0}, x_scale};
    return hl_graph_apply(g, &hl_op_quantized_matmul, MATMUL_OPERANDS, in, &p);
}

hl_tensor hl_quantized_conv2d(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor w_scale, hl_tensor bias,
                              hl_tensor x_scale, int stride, int padding)
{
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = stride;
    p.padding = padding;
    hl_tensor in[CONV_OPERANDS] = {x, w, w_scale, bias, x_scale};
    return hl_graph_apply(g, &hl_op_quantized_conv2d, CONV_OPERANDS, in, &p);
}
