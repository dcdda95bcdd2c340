/* Epilogues: an activation or a sum after a product (or a convolution, or a norm) joins it, so that
 * the result is touched once. Only where nothing else reads the value in between. */
#include "compile/passes.h"

#include "base/error.h"
#include "ops/ops.h"

#include <string.h>

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

static bool takes_activation(const hl_node *n)
{
    hl_activation now = HL_ACT_NONE;
    if (n->op->activation)
        memcpy(&now, (const unsigned char *)n->params + n->op->activation, sizeof now);
    return n->op->activation && now == HL_ACT_NONE;
}

static hl_tensor with_activation(hl_graph *g, const hl_node *n, hl_activation activation)
{
    unsigned char *params = hl_arena_alloc(g->arena, 1, n->op->params_size);
    if (!params)
        return hl_graph_fail(g, "no memory to fuse an activation into %s", n->op->name);
    memcpy(params, n->params, n->op->params_size);
    memcpy(params + n->op->activation, &activation, sizeof activation);
    return hl_graph_apply(g, n->op, n->n_in, n->in, params);
}

static bool fuse_activation(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_activation activation = activation_of(n->op);
    if (activation == HL_ACT_NONE || !read_once(r, n->in[0]))
        return false;
    const hl_node *before = behind(r->g, in[0]);
    if (!takes_activation(before))
        return false;
    hl_graph_set_label(r->g, before->label);
    hl_tensor y = with_activation(r->g, before, activation);
    out[0] = hl_reshape_to(r->g, y, hl_shape_of(r->g, in[0]));
    return true;
}

/* The product with one operand more. */
static hl_tensor with_addend(hl_graph *g, const hl_node *product, hl_tensor addend)
{
    hl_tensor operand[8];
    HL_ASSERT(product->n_in <= 8);
    memcpy(operand, product->in, (size_t)product->n_in * sizeof *operand);
    operand[product->op->addend] = addend;
    return hl_graph_apply(g, product->op, product->n_in, operand, product->params);
}

/* matmul(a, b) + c: c enters the product as its addend. */
static bool fuse_addend(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    if (n->op != &hl_op_add || !hl_shape_equal(hl_shape_of(g, in[0]), hl_shape_of(g, in[1])))
        return false;
    for (int k = 0; k < 2; k++) {
        const hl_node *product = behind(g, in[k]);
        int addend = product->op->addend;
        if (!addend || product->in[addend].id || !takes_activation(product) || !read_once(r, n->in[k]) ||
            n->in[0].id == n->in[1].id)
            continue;
        hl_graph_set_label(g, product->label);
        hl_shape rows = hl_shape_of(g, hl_node_output(product, 0));
        hl_tensor y = with_addend(g, product, hl_reshape_to(g, in[1 - k], rows));
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
