/* Matrix products and convolutions as ONNX has them. */
#include "export/onnx_build.h"

/* Gemm adds a row; an addend of the result's size comes after. */
const char *hl_onnx_lower_matmul(hl_onnx *x, const hl_node *n)
{
    const hl_matmul_params *p = n->params;
    hl_text a = {0};
    hl_onnx_int(&a, "transA", p->transpose_a);
    hl_onnx_int(&a, "transB", p->transpose_b);
    const char *in[] = {hl_onnx_in(x, 0), hl_onnx_in(x, 1), hl_onnx_in(x, 2)};
    const char *y = hl_onnx_node(x, "Gemm", &a, n->in[2].id ? 3 : 2, in);
    if (n->in[3].id)
        y = hl_onnx_emit(x, "Add", NULL, y, hl_onnx_in(x, 3));
    return hl_onnx_activation(x, p->activation, y);
}

void hl_onnx_window(hl_text *attributes, const hl_conv_params *p)
{
    hl_onnx_ints(attributes, "strides", 2, (int64_t[]){p->stride, p->stride});
    hl_onnx_ints(attributes, "pads", 4, (int64_t[]){p->padding, p->padding, p->padding, p->padding});
}

const char *hl_onnx_lower_conv2d(hl_onnx *x, const hl_node *n)
{
    const hl_conv_params *p = n->params;
    const char *in[] = {hl_onnx_in(x, 0), hl_onnx_in(x, 1), hl_onnx_in(x, 2)};
    hl_text a = {0};
    hl_onnx_window(&a, p);
    const char *y = hl_onnx_node(x, "Conv", &a, n->in[2].id ? 3 : 2, in);
    return hl_onnx_activation(x, p->activation, y);
}
