/* Post-norm transformer layers (ReLU) over the context taken as one token. */
#include "layers/model.h"
#include "layers/nn.h"

hl_tensor hl_refiner(hl_graph *g, hl_params *params, const hl_model_options *o, float dropout,
                     hl_tensor context)
{
    hl_shape s = hl_shape_of(g, context);
    hl_tensor x = hl_reshape(g, context, 3, (int64_t[]){s.dim[0], 1, s.dim[1]});
    for (int i = 0; i < o->refiner_layers; i++) {
        hl_scope layer = hl_scope_index("h_module.context_refiner.layers", i);
        hl_tensor a = hl_multihead(g, params, hl_scope_join(layer.text, "self_attn").text, x, x,
                                   o->refiner_heads, dropout);
        x = hl_norm(g, params, hl_scope_join(layer.text, "norm1").text,
                    hl_add(g, x, hl_dropout(g, a, dropout)));
        hl_tensor h = hl_relu(
            g, hl_dense(g, params, hl_scope_join(layer.text, "linear1").text, x, o->refiner_hidden));
        h = hl_dense(g, params, hl_scope_join(layer.text, "linear2").text, hl_dropout(g, h, dropout),
                     s.dim[1]);
        x = hl_norm(g, params, hl_scope_join(layer.text, "norm2").text,
                    hl_add(g, x, hl_dropout(g, h, dropout)));
    }
    return hl_reshape(g, x, 2, s.dim);
}
