/* An output that is a parameter or state, or its next value, lies in the store; the caller reads outputs
 * after the run, from memory that is the session's own. So such an output becomes a copy. */
#include "compile/passes.h"

#include "ops/ops.h"

#include <string.h>

static bool in_store(const hl_graph *g, hl_tensor t)
{
    for (;;) {
        const hl_tensor_info *info = hl_info(g, t);
        int64_t offset;
        if (info->node->op == &hl_op_param || info->output < hl_node_updates(info->node))
            return true;
        if (!info->node->op->view || !info->node->op->view(g, info->node, &offset))
            return false;
        t = info->node->in[0];
    }
}

hl_graph *hl_pass_detach_outputs(const hl_graph *old)
{
    hl_graph *g = hl_graph_rewrite(old, NULL, NULL);
    for (int i = 0; g && !g->failed && i < g->n_outputs; i++) {
        hl_tensor t = g->outputs[i].tensor;
        hl_reshape_params same;
        memset(&same, 0, sizeof same);
        same.shape = hl_shape_of(g, t);
        if (!in_store(g, t))
            continue;
        hl_graph_set_label(g, hl_info(g, t)->node->label);
        g->outputs[i].tensor = hl_graph_apply(g, &hl_op_expand, 1, &t,
                                              &same); /* hl_expand would give t itself */
    }
    return g;
}
