#include "layers/model.h"

#include <stdio.h>

/* new + w (previous - new), w [B,1] the weight of the previous action: 0 at the start of an episode. */
static hl_tensor smooth(hl_graph *g, const hl_model_options *o, const hl_model_mode *mode, hl_tensor action)
{
    char name[64];
    if (!mode->smoothing)
        return action;
    snprintf(name, sizeof name, "%sprevious", mode->prefix ? mode->prefix : "");
    hl_tensor previous = hl_input(g, name, HL_F32, 2, (int64_t[]){mode->batch, o->action});
    snprintf(name, sizeof name, "%ssmoothing", mode->prefix ? mode->prefix : "");
    hl_tensor w = hl_input(g, name, HL_F32, 2, (int64_t[]){mode->batch, 1});
    return hl_add(g, action, hl_mul(g, hl_sub(g, previous, action), w));
}

hl_model_nodes hl_model_build(hl_graph *g, hl_params *params, const hl_model_options *o,
                              const hl_model_mode *mode)
{
    hl_model_nodes m = {0};
    float dropout = mode->training ? o->dropout : 0;
    const char *before = hl_section(g, "H-module");
    m.context = hl_refiner(g, params, o, dropout, hl_context_encoder(g, params, o, mode, &m.features));
    hl_section(g, "compressor");
    hl_compressed z = hl_compress(g, params, o, mode, m.context);
    m.compressed = z.y;
    m.kl = z.kl;
    hl_section(g, "decoder");
    if (mode->decode)
        m.reconstructed = hl_decoder(g, params, o, m.compressed);
    hl_section(g, "L-module");
    m.action = hl_action_head(g, params, o, dropout, m.compressed);
    m.action = smooth(g, o, mode, hl_denormalized_action(g, params, mode, m.action));
    hl_section(g, before);
    return m;
}

/* Mean over the elements that count: sum(mask (a-b)^2) / sum(mask). */
static hl_tensor masked_mse(hl_graph *g, hl_tensor a, hl_tensor b, hl_tensor mask)
{
    hl_tensor d = hl_mul(g, hl_sub(g, a, b), mask);
    return hl_div(g, hl_sum_all(g, hl_mul(g, d, d)), hl_sum_all(g, mask));
}

hl_loss hl_model_loss(hl_graph *g, const hl_model_nodes *m, hl_tensor target, hl_tensor mask,
                      hl_loss_weights w)
{
    hl_loss l = {0};
    const char *before = hl_section(g, "loss");
    l.action = mask.id ? masked_mse(g, m->action, target, mask) : hl_mse(g, m->action, target);
    l.reconstruction = hl_mse(g, m->reconstructed, m->context);
    l.total = hl_add(g, hl_scale(g, l.action, w.action), hl_scale(g, l.reconstruction, w.reconstruction));
    if (m->kl.id) {
        l.kl = hl_mean(g, m->kl);
        l.total = hl_add(g, l.total, hl_scale(g, l.kl, w.kl));
    }
    hl_tensor variance = hl_affine(g, hl_variance(g, m->context), 1, 1e-6f);
    l.information_retained = hl_affine(g, hl_div(g, l.reconstruction, variance), -1, 1);
    hl_section(g, before);
    return l;
}
