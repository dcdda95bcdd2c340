/* What no output and no update needs is not computed. Inputs stay: a caller may write them. */
#include "compile/passes.h"

#include "ops/ops.h"

static void mark_live(const hl_graph *g, bool *live)
{
    for (int i = 0; i < g->n_outputs; i++)
        live[hl_info(g, g->outputs[i].tensor)->node->index] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const hl_node *n = g->nodes[i];
        if (n->op->updates || n->op == &hl_op_input)
            live[i] = true;
        for (int k = 0; k < n->n_in && live[i]; k++)
            if (n->in[k].id)
                live[hl_info(g, n->in[k])->node->index] = true;
    }
}

static bool drop_dead(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    const bool *live = r->context;
    (void)in;
    if (live[n->index])
        return false;
    for (int k = 0; k < n->n_out; k++)
        out[k] = (hl_tensor){0};
    return true;
}

hl_graph *hl_pass_dead_code(const hl_graph *g)
{
    bool *live = hl_alloc((size_t)g->n_nodes, sizeof *live);
    if (!live)
        return NULL;
    mark_live(g, live);
    hl_graph *out = hl_graph_rewrite(g, drop_dead, live);
    hl_free(live);
    return out;
}
