/* Linear, layer norm, GELU, dropout: the block that compressors and heads are stacked from. */
#ifndef HL_LAYERS_BLOCK_H
#define HL_LAYERS_BLOCK_H

#include "layers/model.h"
#include "layers/nn.h"

/* Blocks of the given widths; scopes SCOPE.N numbered as in a PyTorch Sequential from *at on, which
 * counts on. dropouts: how many of the blocks (from the first) end in dropout, which takes a number. */
hl_tensor hl_blocks(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, hl_widths widths, int *at,
                    int dropouts, float dropout);

#endif
