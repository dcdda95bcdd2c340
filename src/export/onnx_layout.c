/* Ops that move elements, as ONNX has them. */
#include "export/onnx_build.h"

const char *hl_onnx_lower_reshape(hl_onnx *x, const hl_node *n)
{
    return hl_onnx_reshape(x, hl_onnx_in(x, 0), hl_onnx_dims_of(x, n->in[0]),
                           hl_onnx_dims_of(x, hl_node_output(n, 0)));
}

const char *hl_onnx_lower_transpose(hl_onnx *x, const hl_node *n)
{
    const hl_transpose_params *p = n->params;
    return hl_onnx_transpose(x, hl_onnx_in(x, 0), hl_shape_of(x->two, n->in[0]).rank, p->order);
}

const char *hl_onnx_lower_slice(hl_onnx *x, const hl_node *n)
{
    const hl_slice_params *p = n->params;
    return hl_onnx_emit(x, "Slice", NULL, hl_onnx_in(x, 0), hl_onnx_integers(x, 1, &p->begin),
                        hl_onnx_integers(x, 1, &p->end), hl_onnx_integers(x, 1, &(int64_t){p->axis}));
}

const char *hl_onnx_lower_concat(hl_onnx *x, const hl_node *n)
{
    const hl_concat_params *p = n->params;
    hl_text a = {0};
    hl_onnx_int(&a, "axis", p->axis);
    const char **in = hl_arena_alloc(x->arena, (size_t)n->n_in, sizeof *in);
    for (int k = 0; in && k < n->n_in; k++)
        in[k] = hl_onnx_in(x, k);
    if (in)
        return hl_onnx_node(x, "Concat", &a, n->n_in, in);
    hl_text_free(&a);
    return hl_onnx_fail(x, HL_ERR_MEMORY, "no memory for a concat of %d operands", n->n_in);
}

const char *hl_onnx_lower_pad(hl_onnx *x, const hl_node *n)
{
    const hl_pad_params *p = n->params;
    int rank = hl_shape_of(x->two, n->in[0]).rank;
    int64_t pads[2 * HL_MAX_RANK] = {0}; /* before each axis, then after each */
    pads[p->axis] = p->before;
    pads[rank + p->axis] = p->after;
    return hl_onnx_emit(x, "Pad", NULL, hl_onnx_in(x, 0), hl_onnx_integers(x, 2 * rank, pads));
}

const char *hl_onnx_lower_expand(hl_onnx *x, const hl_node *n)
{
    const char *shape = hl_onnx_shape(x, hl_onnx_dims_of(x, hl_node_output(n, 0)));
    return hl_onnx_emit(x, "Expand", NULL, hl_onnx_in(x, 0), shape);
}
