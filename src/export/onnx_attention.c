/* Attention as ONNX has it: of batched matrix products. */
#include "export/onnx_build.h"

#include <math.h>

/* Operand k [B,T,N*D] by heads: [B,N,T,D], or [B,N,D,T]. */
static const char *by_heads(hl_onnx *x, const hl_node *n, int k, bool transposed)
{
    const hl_attention_params *p = n->params;
    hl_onnx_dims from = hl_onnx_dims_of(x, n->in[k]), to = from;
    to.rank = 4;
    to.dim[2] = hl_onnx_fixed(p->heads);
    to.dim[3] = hl_onnx_fixed(from.dim[2].count / p->heads);
    const char *heads = hl_onnx_reshape(x, hl_onnx_in(x, k), from, to);
    return hl_onnx_transpose(x, heads, 4, transposed ? (int[]){0, 2, 3, 1} : (int[]){0, 2, 1, 3});
}

/* Queries that all samples share have a batch of 1, which broadcasts. */
const char *hl_onnx_lower_attention(hl_onnx *x, const hl_node *n)
{
    const hl_attention_params *p = n->params;
    hl_onnx_dims to = hl_onnx_dims_of(x, hl_node_output(n, 0)), from = to;
    if (p->dropout > 0)
        return hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "attention (node %d) with dropout is of training",
                            n->index);
    if (to.dim[2].per_row)
        return hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "attention (node %d): its width grows with the batch",
                            n->index);
    from.rank = 4; /* [B,T,N,D] */
    from.dim[2] = hl_onnx_fixed(p->heads);
    from.dim[3] = hl_onnx_fixed(to.dim[2].count / p->heads);
    float scale = (float)(1 / sqrt((double)from.dim[3].count));
    const char *score = hl_onnx_emit(x, "MatMul", NULL, by_heads(x, n, 0, false), by_heads(x, n, 1, true));
    score = hl_onnx_softmax(x, hl_onnx_emit(x, "Mul", NULL, score, hl_onnx_scalar(x, scale)));
    const char *y = hl_onnx_emit(x, "MatMul", NULL, score, by_heads(x, n, 2, false));
    return hl_onnx_reshape(x, hl_onnx_transpose(x, y, 4, (int[]){0, 2, 1, 3}), from, to);
}
