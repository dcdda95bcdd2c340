#include "layers/block.h"

hl_tensor hl_blocks(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, hl_widths widths, int *at,
                    int dropouts, float dropout)
{
    for (int i = 0; i < widths.n; i++) {
        x = hl_dense(g, params, hl_scope_index(scope, *at).text, x, widths.at[i]);
        x = hl_gelu(g, hl_norm(g, params, hl_scope_index(scope, *at + 1).text, x));
        *at += 3;
        if (i < dropouts) {
            x = hl_dropout(g, x, dropout);
            (*at)++;
        }
    }
    return x;
}
