/* Elementwise ops as ONNX has them. */
#include "export/onnx_build.h"

#include <math.h>

#define BINARY(op, type)                                                                                     \
    const char *hl_onnx_lower_##op(hl_onnx *x, const hl_node *n)                                             \
    {                                                                                                        \
        (void)n;                                                                                             \
        return hl_onnx_emit(x, type, NULL, hl_onnx_in(x, 0), hl_onnx_in(x, 1));                              \
    }
BINARY(add, "Add")
BINARY(sub, "Sub")
BINARY(mul, "Mul")
BINARY(div, "Div")

const char *hl_onnx_lower_affine(hl_onnx *x, const hl_node *n)
{
    const hl_affine_params *p = n->params;
    const char *y = hl_onnx_emit(x, "Mul", NULL, hl_onnx_in(x, 0), hl_onnx_scalar(x, p->factor));
    return p->offset == 0 ? y : hl_onnx_emit(x, "Add", NULL, y, hl_onnx_scalar(x, p->offset));
}

const char *hl_onnx_lower_exp(hl_onnx *x, const hl_node *n)
{
    (void)n;
    return hl_onnx_emit(x, "Exp", NULL, hl_onnx_in(x, 0));
}

/* x (1 + erf(x / sqrt 2)) / 2, in the order in which runtimes recognise it. */
static const char *gelu(hl_onnx *x, const char *value)
{
    const char *t = hl_onnx_emit(x, "Div", NULL, value, hl_onnx_scalar(x, (float)M_SQRT2));
    t = hl_onnx_emit(x, "Erf", NULL, t);
    t = hl_onnx_emit(x, "Add", NULL, t, hl_onnx_scalar(x, 1));
    t = hl_onnx_emit(x, "Mul", NULL, value, t);
    return hl_onnx_emit(x, "Mul", NULL, t, hl_onnx_scalar(x, 0.5f));
}

const char *hl_onnx_activation(hl_onnx *x, hl_activation activation, const char *value)
{
    if (activation == HL_ACT_GELU)
        return gelu(x, value);
    return activation == HL_ACT_RELU ? hl_onnx_emit(x, "Relu", NULL, value) : value;
}

const char *hl_onnx_lower_relu(hl_onnx *x, const hl_node *n)
{
    (void)n;
    return hl_onnx_activation(x, HL_ACT_RELU, hl_onnx_in(x, 0));
}

const char *hl_onnx_lower_gelu(hl_onnx *x, const hl_node *n)
{
    (void)n;
    return hl_onnx_activation(x, HL_ACT_GELU, hl_onnx_in(x, 0));
}

/* Every result of 16 bits is rounded to them where it is made (onnx.c): nothing is left to do. */
const char *hl_onnx_lower_cast(hl_onnx *x, const hl_node *n)
{
    const hl_cast_params *p = n->params;
    if (p->dtype == HL_I8)
        return hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "a cast to i8 (node %d) says no scale", n->index);
    return hl_onnx_in(x, 0);
}
