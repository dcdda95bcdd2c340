/* Epilogues: an activation or a sum after a product (or a convolution, or a norm) joins it, so that
 * the result is touched once. Only where nothing else reads the value in between. */
#include "compile/passes.h"

#include "ops/ops.h"

static hl_activation activation_of(const hl_op_def *op)
{
    return op == &hl_op_relu ? HL_ACT_RELU : op == &hl_op_gelu ? HL_ACT_GELU : HL_ACT_NONE;
}

/* The node behind t, seen through a reshape (which moves nothing). */
static const hl_node *behind(const hl_graph *g, hl_tensor t)
{
    const hl_node *n = hl_info(g, t)->node;
    return n->op == &hl_op_reshape ? hl_info(g, n->in[0])->node : n;
}

/* Old tensor t, and what a reshape made of it, are read once. */
static bool read_once(const hl_rewrite *r, hl_tensor t)
{
    const hl_node *n = hl_info(r->old, t)->node;
    if (r->uses[t.id] != 1)
        return false;
    return n->op != &hl_op_reshape || r->uses[n->in[0].id] == 1;
}

static hl_tensor with_activation(hl_graph *g, const hl_node *n, hl_activation activation)
{
    if (n->op == &hl_op_matmul) {
        hl_matmul_params p = *(const hl_matmul_params *)n->params;
        p.activation = activation;
        return hl_graph_apply(g, n->op, n->n_in, n->in, &p);
    }
    if (n->op == &hl_op_conv2d) {
        hl_conv_params p = *(const hl_conv_params *)n->params;
        p.activation = activation;
        return hl_graph_apply(g, n->op, n->n_in, n->in, &p);
    }
    hl_norm_params p = *(const hl_norm_params *)n->params;
    p.activation = activation;
    return hl_graph_apply(g, n->op, n->n_in, n->in, &p);
}

static bool has_activation(const hl_node *n)
{
    if (n->op == &hl_op_matmul)
        return ((const hl_matmul_params *)n->params)->activation != HL_ACT_NONE;
    if (n->op == &hl_op_conv2d)
        return ((const hl_conv_params *)n->params)->activation != HL_ACT_NONE;
    return ((const hl_norm_params *)n->params)->activation != HL_ACT_NONE;
}

static bool fuse_activation(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_activation activation = activation_of(n->op);
    if (activation == HL_ACT_NONE || !read_once(r, n->in[0]))
        return false;
    const hl_node *before = behind(r->g, in[0]);
    if ((before->op != &hl_op_matmul && before->op != &hl_op_conv2d && before->op != &hl_op_layer_norm) ||
        has_activation(before))
        return false;
    hl_graph_set_label(r->g, before->label);
    hl_tensor y = with_activation(r->g, before, activation);
    out[0] = hl_reshape_to(r->g, y, hl_shape_of(r->g, in[0]));
    return true;
}

/* matmul(a, b) + c: c enters the product as its addend. */
static bool fuse_addend(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    if (n->op != &hl_op_add || !hl_shape_equal(hl_shape_of(g, in[0]), hl_shape_of(g, in[1])))
        return false;
    for (int k = 0; k < 2; k++) {
        const hl_node *product = behind(g, in[k]);
        if (product->op != &hl_op_matmul || product->in[3].id || has_activation(product) ||
            !read_once(r, n->in[k]) || n->in[0].id == n->in[1].id)
            continue;
        hl_graph_set_label(g, product->label);
        hl_shape rows = hl_shape_of(g, hl_node_output(product, 0));
        hl_tensor operands[] = {product->in[0], product->in[1], product->in[2],
                                hl_reshape_to(g, in[1 - k], rows)};
        hl_tensor y = hl_graph_apply(g, &hl_op_matmul, 4, operands, product->params);
        out[0] = hl_reshape_to(g, y, hl_shape_of(g, in[0]));
        return true;
    }
    return false;
}

static bool rule(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    return fuse_activation(r, n, in, out) || fuse_addend(r, n, in, out);
}

hl_graph *hl_pass_fuse(const hl_graph *g)
{
    return hl_graph_rewrite(g, rule, NULL);
}
