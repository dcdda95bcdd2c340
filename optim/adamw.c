/* AdamW as nodes, in section "optimizer": the update of every parameter is part of the training step's graph.
 */
#include "hl.h"

#include <stdio.h>
#include <stdlib.h>

static hl_adamw_options with_defaults(hl_adamw_options o)
{
    o.beta1 = o.beta1 ? o.beta1 : 0.9f;
    o.beta2 = o.beta2 ? o.beta2 : 0.999f;
    o.eps = o.eps ? o.eps : 1e-8f;
    o.scale_interval = o.scale_interval ? o.scale_interval : 2000;
    return o;
}

static hl_tensor number(hl_graph *g, hl_params *params, const char *name, float value)
{
    return hl_state(g, params, name, HL_F32, value, 0, NULL);
}

static hl_tensor loss_scale(hl_graph *g, hl_params *params, hl_adamw_options o)
{
    hl_tensor none = {0};
    return o.loss_scale > 0 ? number(g, params, "adamw.loss_scale", o.loss_scale) : none;
}

static hl_tensor moment(hl_graph *g, hl_params *params, const char *kind, const char *name, hl_dtype dtype,
                        hl_shape s)
{
    char full[256];
    snprintf(full, sizeof full, "adamw.%s.%s", kind, name);
    return hl_state(g, params, full, dtype, 0, s.rank, s.dim);
}

static void update_all(hl_graph *g, hl_params *params, int n, const hl_tensor *p, const char *const *names,
                       const hl_tensor *gradients, hl_gate gate, hl_adamw_options o)
{
    hl_tensor lr = hl_scalar(g, "lr", 0);
    for (int i = 0; i < n; i++) {
        hl_shape s = hl_shape_of(g, p[i]);
        float decay = o.no_decay_vectors && s.rank < 2 ? 0 : o.weight_decay;
        hl_tensor m = moment(g, params, "m", names[i], o.state, s);
        hl_tensor v = moment(g, params, "v", names[i], o.state, s);
        hl_adamw_update(g, p[i], m, v, gradients[i], gate, lr, decay, o);
    }
}

/* The norm that is clipped and told is that of the unscaled gradients. */
static hl_gate open_gate(hl_graph *g, hl_params *params, hl_tensor loss, int n, const hl_tensor *gradients,
                         hl_adamw_options o)
{
    hl_tensor scale = loss_scale(g, params, o), norm = hl_global_norm(g, n, gradients);
    if (scale.id)
        norm = hl_div(g, norm, scale);
    hl_gate gate = hl_update_gate(g, number(g, params, "adamw.count", 0),
                                  number(g, params, "adamw.skipped", 0), norm, loss, scale, o.clip);
    if (scale.id) {
        hl_update_loss_scale(g, scale, number(g, params, "adamw.good_steps", 0), gate, o.scale_interval);
        hl_output(g, "loss_scale", scale);
    }
    hl_output(g, "grad_norm", norm);
    hl_output(g, "skipped", gate.skipped);
    return gate;
}

hl_tensor hl_adamw_loss(hl_graph *g, hl_params *params, hl_tensor loss, hl_adamw_options options)
{
    const char *before = hl_section(g, "optimizer");
    hl_tensor scale = loss_scale(g, params, options);
    loss = scale.id ? hl_mul(g, loss, scale) : loss;
    hl_section(g, before);
    return loss;
}

void hl_adamw_apply(hl_graph *g, hl_params *params, hl_tensor loss, int n, const hl_tensor *gradients,
                    hl_adamw_options options)
{
    hl_adamw_options o = with_defaults(options);
    hl_tensor *p = calloc((size_t)n + 1, sizeof *p);
    const char **names = calloc((size_t)n + 1, sizeof *names);
    const char *before = hl_section(g, "optimizer");
    if (p && names && hl_graph_params(g, p, names, n) == n)
        update_all(g, params, n, p, names, gradients, open_gate(g, params, loss, n, gradients, o), o);
    else
        hl_graph_reject(g, p && names ? "adamw: the gradients are not one per parameter of the graph"
                                      : "adamw: no memory for the list of parameters");
    hl_section(g, before);
    free(p);
    free(names);
}

void hl_adamw(hl_graph *g, hl_params *params, hl_tensor loss, hl_adamw_options options)
{
    int n = hl_graph_params(g, NULL, NULL, 0);
    hl_tensor *p = calloc(2 * (size_t)n + 1, sizeof *p);
    if (!p) {
        hl_graph_reject(g, "adamw: no memory for the list of parameters");
        return;
    }
    hl_graph_params(g, p, NULL, n);
    const char *before = hl_section(g, "optimizer");
    hl_gradient(g, hl_adamw_loss(g, params, loss, options), n, p, p + n);
    hl_adamw_apply(g, params, loss, n, p + n, options);
    hl_section(g, before);
    free(p);
}
