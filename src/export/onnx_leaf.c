/* Inputs, parameters and constants as ONNX has them. */
#include "export/onnx_build.h"

const char *hl_onnx_lower_input(hl_onnx *x, const hl_node *n)
{
    const hl_input_params *p = n->params;
    if (p->dtype != HL_F32)
        return hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "input '%s' is %s; those of an ONNX model of ours are f32",
                            p->name, hl_dtype_name(p->dtype));
    hl_onnx_input(x, p->name, hl_node_output(n, 0));
    return p->name;
}

const char *hl_onnx_lower_param(hl_onnx *x, const hl_node *n)
{
    const hl_param_params *p = n->params;
    hl_dtype dtype = x->stored[p->index];
    const char *name = hl_onnx_parameter(x, n, dtype, p->shape);
    if (dtype == HL_F32 || dtype == HL_I8)
        return name;
    hl_text a = {0};
    hl_onnx_int(&a, "to", HL_ONNX_FLOAT);
    return hl_onnx_emit(x, "Cast", &a, name);
}

const char *hl_onnx_lower_fill(hl_onnx *x, const hl_node *n)
{
    const hl_fill_params *p = n->params;
    const char *shape = hl_onnx_shape(x, hl_onnx_dims_of(x, hl_node_output(n, 0)));
    return hl_onnx_emit(x, "Expand", NULL, hl_onnx_scalar(x, p->value), shape);
}
