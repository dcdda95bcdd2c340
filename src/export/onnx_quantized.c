/* Products with weights of eight bits, as the pairs of QuantizeLinear and DequantizeLinear by which runtimes
 * know them: what the operands become as floats, and a product of floats. */
#include "export/onnx_build.h"

#include "base/quantize.h"
#include "ops/ops.h"

enum { X, W, W_SCALE, BIAS };

/* The operand by a given step. QuantizeLinear would go down to -128. */
static const char *by_step(hl_onnx *x, const hl_node *scale)
{
    const char *step = hl_onnx_parameter(x, scale, HL_F32, (hl_shape){0}), *zero = hl_onnx_zero_point(x);
    const char *least = hl_onnx_emit(x, "Mul", NULL, step, hl_onnx_scalar(x, -HL_QUANTIZED_MOST));
    const char *value = hl_onnx_emit(x, "Max", NULL, hl_onnx_in(x, X), least);
    const char *q = hl_onnx_emit(x, "QuantizeLinear", NULL, value, step, zero);
    return hl_onnx_emit(x, "DequantizeLinear", NULL, q, step, zero);
}

/* The operand by the largest magnitude of each row (sample), for which opset 17 has no quantization of its
 * own. No quotient is above 127 once it is rounded; the least step keeps those of zeros finite. */
static const char *by_row(hl_onnx *x)
{
    static const int64_t axes[] = {1, 2, 3};
    hl_text a = {0};
    hl_onnx_ints(&a, "axes", hl_shape_of(x->two, x->node->in[X]).rank - 1, axes);
    const char *most = hl_onnx_emit(x, "ReduceMax", &a, hl_onnx_emit(x, "Abs", NULL, hl_onnx_in(x, X)));
    const char *step = hl_onnx_emit(x, "Div", NULL, most, hl_onnx_scalar(x, HL_QUANTIZED_MOST));
    step = hl_onnx_emit(x, "Max", NULL, step, hl_onnx_scalar(x, FLT_MIN));
    const char *q = hl_onnx_emit(x, "Round", NULL, hl_onnx_emit(x, "Div", NULL, hl_onnx_in(x, X), step));
    return hl_onnx_emit(x, "Mul", NULL, q, step);
}

/* Takes attributes. Operand k is the scale of x, or absent. */
static const char *product(hl_onnx *x, const char *type, hl_text *attributes, int k)
{
    const hl_node *n = x->node, *scale = hl_made_by(x->two, n->in[k], &hl_op_param);
    hl_text per_row = {0};
    if (n->in[k].id && !scale)
        hl_onnx_fail(x, HL_ERR_UNSUPPORTED,
                     "%s (node %d): the scale of x is computed; it must be a parameter", n->op->name,
                     n->index);
    hl_onnx_int(&per_row, "axis", 0);
    const char *w = hl_onnx_emit(x, "DequantizeLinear", &per_row, hl_onnx_in(x, W), hl_onnx_in(x, W_SCALE));
    const char *in[] = {scale ? by_step(x, scale) : by_row(x), w, hl_onnx_in(x, BIAS)};
    return hl_onnx_node(x, type, attributes, n->in[BIAS].id ? 3 : 2, in);
}

const char *hl_onnx_lower_quantized_matmul(hl_onnx *x, const hl_node *n)
{
    enum { ADDEND = BIAS + 1, X_SCALE };
    const hl_quantized_matmul_params *p = n->params;
    hl_text a = {0};
    hl_onnx_int(&a, "transB", 1);
    const char *y = product(x, "Gemm", &a, X_SCALE);
    if (n->in[ADDEND].id)
        y = hl_onnx_emit(x, "Add", NULL, y, hl_onnx_in(x, ADDEND));
    return hl_onnx_activation(x, p->activation, y);
}

const char *hl_onnx_lower_quantized_conv2d(hl_onnx *x, const hl_node *n)
{
    enum { X_SCALE = BIAS + 1 };
    const hl_conv_params *p = n->params;
    hl_text a = {0};
    hl_onnx_window(&a, p);
    return hl_onnx_activation(x, p->activation, product(x, "Conv", &a, X_SCALE));
}
