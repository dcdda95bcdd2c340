/* Cross-attention of learned latents to the context's tokens (Jaegle et al. 2021, "Perceiver"). */
#include "layers/model.h"
#include "layers/nn.h"

/* The width the reference gives a Perceiver of so many outputs: max(64, out / latents * 8). */
static int64_t width_of(const hl_model_options *o, int64_t out)
{
    int64_t rule = o->latents > 0 ? out / o->latents * 8 : 0;
    return o->perceiver_width ? o->perceiver_width : rule > 64 ? rule : 64;
}

hl_tensor hl_perceiver(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                       float dropout, hl_tensor context, int64_t out)
{
    int64_t B = hl_shape_of(g, context).dim[0], C = hl_shape_of(g, context).dim[1];
    int64_t d = width_of(o, out), L = o->latents;
    if (o->tokens < 1 || C % o->tokens) {
        char message[128];
        snprintf(message, sizeof message, "model.tokens: %lld does not divide the context's width %lld",
                 (long long)o->tokens, (long long)C);
        hl_graph_reject(g, message);
        return (hl_tensor){0};
    }
    hl_tensor latents = hl_param(g, params, hl_scope_join(scope, "latent_codes").text, 3,
                                 (int64_t[]){1, L, d}, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_tensor tokens = hl_reshape(g, context, 3, (int64_t[]){B, o->tokens, C / o->tokens});
    tokens = hl_dense(g, params, hl_scope_join(scope, "input_proj").text, tokens, d);
    hl_tensor a = hl_multihead(g, params, hl_scope_join(scope, "cross_attention").text, latents, tokens,
                               o->perceiver_heads, dropout);
    a = hl_reshape(g, a, 2, (int64_t[]){B, L * d});
    hl_scope proj = hl_scope_join(scope, "output_proj");
    hl_tensor h = hl_dense(g, params, hl_scope_index(proj.text, 0).text, a, 2 * out);
    h = hl_gelu(g, hl_norm(g, params, hl_scope_index(proj.text, 1).text, h));
    return hl_dense(g, params, hl_scope_index(proj.text, 3).text, h, out);
}
