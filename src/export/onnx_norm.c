/* What sums over axes, as ONNX has it. */
#include "export/onnx_build.h"

const char *hl_onnx_lower_reduce(hl_onnx *x, const hl_node *n)
{
    const hl_reduce_params *p = n->params;
    int64_t axes[HL_MAX_RANK];
    hl_text a = {0};
    for (int k = p->begin; k < p->end; k++)
        axes[k - p->begin] = k;
    hl_onnx_int(&a, "keepdims", 0);
    const char *sum = hl_onnx_emit(x, "ReduceSum", &a, hl_onnx_in(x, 0),
                                   hl_onnx_integers(x, p->end - p->begin, axes));
    return p->scale == 1 ? sum : hl_onnx_emit(x, "Mul", NULL, sum, hl_onnx_scalar(x, p->scale));
}

const char *hl_onnx_lower_layer_norm(hl_onnx *x, const hl_node *n)
{
    const hl_norm_params *p = n->params;
    hl_text a = {0};
    hl_onnx_int(&a, "axis", -1);
    hl_onnx_float(&a, "epsilon", p->eps);
    const char *y = hl_onnx_emit(x, "LayerNormalization", &a, hl_onnx_in(x, 0), hl_onnx_in(x, 1),
                                 hl_onnx_in(x, 2));
    return hl_onnx_activation(x, p->activation, y);
}

const char *hl_onnx_softmax(hl_onnx *x, const char *value)
{
    hl_text a = {0};
    hl_onnx_int(&a, "axis", -1);
    return hl_onnx_emit(x, "Softmax", &a, value);
}

const char *hl_onnx_lower_softmax(hl_onnx *x, const hl_node *n)
{
    (void)n;
    return hl_onnx_softmax(x, hl_onnx_in(x, 0));
}
