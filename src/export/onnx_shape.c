/* Shapes in an ONNX model, where one dim or another is a multiple of the batch. */
#include "export/onnx_build.h"

#include "ops/ops.h"

hl_onnx_dims hl_onnx_dims_of(const hl_onnx *x, hl_tensor t)
{
    hl_onnx_dims d = {.rank = hl_shape_of(x->two, t).rank};
    for (int k = 0; k < d.rank; k++)
        d.dim[k] = hl_batch_dim(x->two, x->three, t, k);
    return d;
}

/* The batch, int64 [1]: a dim of the first input that has it. */
static const char *batch(hl_onnx *x)
{
    for (int i = 0; i < x->two->n_nodes; i++) {
        const hl_node *n = x->two->nodes[i];
        hl_tensor t = hl_node_output(n, 0);
        if (n->op != &hl_op_input)
            continue;
        hl_onnx_dims d = hl_onnx_dims_of(x, t);
        for (int64_t k = 0; k < d.rank; k++) {
            if (!d.dim[k].per_row || d.dim[k].count != 1)
                continue;
            const char *shape = hl_onnx_emit(x, "Shape", NULL, ((const hl_input_params *)n->params)->name);
            return hl_onnx_emit(x, "Gather", NULL, shape, hl_onnx_integers(x, 1, &k));
        }
    }
    return hl_onnx_fail(
        x, HL_ERR_UNSUPPORTED,
        "%s (node %d) grows with the batch, and no input says how large that is: give one input a "
        "dim of the batch",
        x->node->op->name, x->node->index);
}

static bool fixed(hl_onnx_dims d)
{
    for (int k = 0; k < d.rank; k++)
        if (d.dim[k].per_row)
            return false;
    return true;
}

const char *hl_onnx_shape(hl_onnx *x, hl_onnx_dims to)
{
    const char *part[HL_MAX_RANK];
    int64_t count[HL_MAX_RANK];
    for (int k = 0; k < to.rank; k++)
        count[k] = to.dim[k].count;
    if (fixed(to))
        return hl_onnx_integers(x, to.rank, count);
    const char *rows = batch(x);
    for (int k = 0; k < to.rank; k++) {
        bool plain = to.dim[k].per_row && count[k] == 1;
        part[k] = plain ? rows : hl_onnx_integers(x, 1, &count[k]);
        if (to.dim[k].per_row && !plain)
            part[k] = hl_onnx_emit(x, "Mul", NULL, rows, part[k]);
    }
    hl_text axis = {0};
    hl_onnx_int(&axis, "axis", 0);
    return hl_onnx_node(x, "Concat", &axis, to.rank, part);
}

/* A dim that grows with the batch is 0, the operand's own at its place, or -1, what is left; a second one to
 * be computed is too many. */
const char *hl_onnx_reshape(hl_onnx *x, const char *value, hl_onnx_dims from, hl_onnx_dims to)
{
    int64_t code[HL_MAX_RANK];
    int left = 0;
    for (int k = 0; k < to.rank; k++) {
        bool own = k < from.rank && from.dim[k].per_row && from.dim[k].count == to.dim[k].count;
        code[k] = !to.dim[k].per_row ? to.dim[k].count : own ? 0 : -1;
        left += code[k] == -1;
    }
    const char *shape = left < 2 ? hl_onnx_integers(x, to.rank, code) : hl_onnx_shape(x, to);
    return hl_onnx_emit(x, "Reshape", NULL, value, shape);
}

const char *hl_onnx_transpose(hl_onnx *x, const char *value, int rank, const int *order)
{
    hl_text a = {0};
    int64_t perm[HL_MAX_RANK];
    for (int k = 0; k < rank; k++)
        perm[k] = order[k];
    hl_onnx_ints(&a, "perm", rank, perm);
    return hl_onnx_emit(x, "Transpose", &a, value);
}
