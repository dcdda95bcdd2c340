/* The softmax of one number is 1, so attention over ONE key is its value: queries and keys do no
 * work, forward or backward. Exact in real arithmetic. Dropout of the probability stays: it drops a
 * head of the value as a whole. */
#include "compile/passes.h"

#include "ops/ops.h"

static hl_tensor one_key(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    const hl_attention_params *p = n->params;
    hl_shape q = hl_shape_of(g, in[0]), v = hl_shape_of(g, in[2]);
    hl_tensor y = hl_expand(g, in[2], 3, (int64_t[]){v.dim[0], q.dim[1], v.dim[2]});
    if (p->dropout > 0)
        y = hl_dropout_stream(g, y, p->dropout, p->stream, v.dim[2] / p->heads);
    return y;
}

static bool rule(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    if (n->op == &hl_op_softmax) {
        hl_shape x = hl_shape_of(g, in[0]);
        if (x.dim[x.rank - 1] != 1)
            return false;
        out[0] = hl_fill(g, x.rank, x.dim, 1);
        return true;
    }
    if (n->op != &hl_op_attention || hl_shape_of(g, in[1]).dim[1] != 1 || r->uses[n->first_out + 1])
        return false;
    out[0] = one_key(g, n, in);
    return true;
}

hl_graph *hl_pass_single_key_attention(const hl_graph *g)
{
    return hl_graph_rewrite(g, rule, NULL);
}
