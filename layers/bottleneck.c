/* The information bottleneck: a variational encoder (Kingma & Welling 2014). */
#include "layers/block.h"

/* KL(N(mu, exp(logvar)) || N(0,1)) summed over latents: -1/2 sum(1 + logvar - mu^2 - exp(logvar)) */
static hl_tensor divergence(hl_graph *g, hl_tensor mu, hl_tensor logvar)
{
    hl_tensor inner = hl_sub(g, hl_sub(g, hl_affine(g, logvar, 1, 1), hl_mul(g, mu, mu)), hl_exp(g, logvar));
    return hl_scale(g, hl_sum(g, inner, 1), -0.5f);
}

static hl_tensor noise(hl_graph *g, const hl_model_mode *mode, int64_t out)
{
    const int64_t dim[] = {mode->batch, out};
    hl_scope name;
    if (!mode->given_noise)
        return hl_normal(g, 2, dim);
    snprintf(name.text, sizeof name.text, "%seps", mode->prefix ? mode->prefix : "");
    return hl_input(g, name.text, HL_F32, 2, dim);
}

hl_compressed hl_bottleneck(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                            const hl_model_mode *mode, hl_tensor context, int64_t out)
{
    int at = 0, dropouts = o->bottleneck_widths.n - 1;
    float dropout = mode->training ? o->dropout : 0;
    hl_tensor h = hl_blocks(g, params, hl_scope_join(scope, "encoder").text, context, o->bottleneck_widths,
                            &at, dropouts, dropout);
    hl_tensor mu = hl_dense(g, params, hl_scope_join(scope, "mu_layer").text, h, out);
    hl_tensor logvar = hl_dense(g, params, hl_scope_join(scope, "logvar_layer").text, h, out);
    hl_tensor z = mu;
    if (mode->training) {
        hl_tensor deviation = hl_exp(g, hl_scale(g, logvar, 0.5f));
        z = hl_add(g, mu, hl_mul(g, noise(g, mode, out), deviation));
    }
    return (hl_compressed){z, divergence(g, mu, logvar)};
}
