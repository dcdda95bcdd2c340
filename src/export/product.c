/* Products whose weights are constants, as rules see them. */
#include "export/folding.h"

#include "ops/ops.h"

enum { X, W, BIAS, ADDEND };

static bool is_constant(const hl_rewrite *r, hl_tensor t)
{
    const hl_folding *f = r->context;
    return f->constant[t.id];
}

static bool all_f32(const hl_graph *g, const hl_node *n)
{
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k].id && hl_dtype_of(g, n->in[k]) != HL_F32)
            return false;
    return hl_dtype_of(g, hl_node_output(n, 0)) == HL_F32;
}

bool hl_product_of(const hl_rewrite *r, const hl_node *n, hl_product *p)
{
    if (!n || (n->op != &hl_op_matmul && n->op != &hl_op_conv2d))
        return false;
    *p = (hl_product){.node = n, .x = n->in[X], .w = n->in[W], .b = n->in[BIAS]};
    p->convolution = n->op == &hl_op_conv2d;
    if (!all_f32(r->old, n) || is_constant(r, p->x) || !is_constant(r, p->w) ||
        (p->b.id && !is_constant(r, p->b)))
        return false;
    hl_shape w = hl_shape_of(r->old, p->w);
    if (p->convolution) {
        p->plain = ((const hl_conv_params *)n->params)->activation == HL_ACT_NONE;
        p->in = w.dim[1];
        p->out = w.dim[0];
        return p->in > 0 && p->out > 0;
    }
    const hl_matmul_params *m = n->params;
    p->plain = m->activation == HL_ACT_NONE && !n->in[ADDEND].id;
    p->in = w.dim[m->transpose_b];
    p->out = w.dim[!m->transpose_b];
    return !m->transpose_a && p->in > 0 && p->out > 0;
}

hl_tensor hl_product_weights(const hl_rewrite *r, const hl_product *p)
{
    hl_tensor w = r->map[p->w.id];
    if (p->convolution || ((const hl_matmul_params *)p->node->params)->transpose_b)
        return w;
    return hl_transpose(r->g, w, (int[]){1, 0});
}

hl_tensor hl_product_again(hl_rewrite *r, const hl_product *p, hl_tensor x, hl_tensor w, hl_tensor b)
{
    const hl_node *n = p->node;
    if (p->convolution)
        return hl_graph_apply(r->g, n->op, 3, (hl_tensor[]){x, w, b}, n->params);
    hl_matmul_params m = *(const hl_matmul_params *)n->params;
    m.transpose_b = 1;
    return hl_graph_apply(r->g, n->op, 4, (hl_tensor[]){x, w, b, r->map[n->in[ADDEND].id]}, &m);
}

hl_tensor hl_product_shift(hl_graph *g, hl_tensor w, hl_tensor t)
{
    return hl_reduce(g, hl_mul(g, w, t), 1, hl_shape_of(g, w).rank, 1);
}

const hl_node *hl_sole_source(const hl_rewrite *r, hl_tensor t)
{
    for (;;) {
        const hl_node *n = hl_info(r->old, t)->node;
        if (r->uses[t.id] != 1)
            return NULL;
        if (n->op != &hl_op_reshape)
            return n;
        t = n->in[0];
    }
}
