/* The L-module: compressed context -> action. */
#include "layers/block.h"

hl_tensor hl_action_head(hl_graph *g, hl_params *params, const hl_model_options *o, float dropout,
                         hl_tensor compressed)
{
    const char *scope = "l_module.action_net";
    int at = 0;
    hl_tensor h = hl_blocks(g, params, scope, compressed, o->head_widths, &at, o->head_widths.n - 1, dropout);
    return hl_dense(g, params, hl_scope_index(scope, at).text, h, o->action);
}
