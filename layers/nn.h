/* Layers beyond those of hl.h. */
#ifndef HL_LAYERS_NN_H
#define HL_LAYERS_NN_H

#include "hl.h"

#include <stdio.h>

/* A parameter's name under construction: "h_module.context_encoder". By value; cut at 159 characters. */
typedef struct hl_scope {
    char text[160];
} hl_scope;

hl_scope hl_scope_join(const char *scope, const char *name);
hl_scope hl_scope_index(const char *scope, int index);

/* PyTorch's MultiheadAttention: SCOPE.in_proj_weight [3C,C], in_proj_bias, out_proj.weight, .bias.
 * query [B or 1,T,C], memory [B,S,C] -> [B,T,C] */
hl_tensor hl_multihead(hl_graph *g, hl_params *params, const char *scope, hl_tensor query, hl_tensor memory,
                       int heads, float dropout);

/* PyTorch's LSTM(batch_first, bidirectional) from zero state. x [B,T,I] -> [B,2H]: the last layer's
 * final hidden states, forward then backward. */
hl_tensor hl_bidirectional_lstm(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int layers,
                                int64_t hidden);
/* Only its parameters (x's width is in): a model that reads no history keeps them all the same. */
void hl_bidirectional_lstm_declare(hl_graph *g, hl_params *params, const char *scope, int64_t in, int layers,
                                   int64_t hidden);

#endif
