/* The optimizer's ops. A step whose loss or gradient is not finite changes nothing but a counter. */
#include "ops/ops.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ global norm */

static bool global_norm_shape(hl_graph *g, hl_node *n)
{
    if (!hl_want_f32(g, n))
        return false;
    hl_node_out(g, n, 0, HL_F32, (hl_shape){0});
    return !g->failed;
}

static void global_norm_reference(const hl_ref_call *c)
{
    double sum = 0;
    for (int k = 0; k < c->n_in; k++)
        for (int64_t i = 0; i < c->in[k].count; i++)
            sum += c->in[k].data[i] * c->in[k].data[i];
    c->out[0].data[0] = sqrt(sum);
}

static double global_norm_flops(const hl_graph *g, const hl_node *n)
{
    double sum = 0;
    for (int k = 0; k < n->n_in; k++)
        sum += 2.0 * (double)hl_node_in(g, n, k)->count;
    return sum;
}

const hl_op_def hl_op_global_norm = {.name = "global_norm",
                                     .min_in = 0,
                                     .max_in = -1,
                                     .n_out = 1,
                                     .shape = global_norm_shape,
                                     .reference = global_norm_reference,
                                     .flops = global_norm_flops};

/* ------------------------------------------------------------------ gate */

static bool update_gate_shape(hl_graph *g, hl_node *n)
{
    for (int k = 0; k < n->n_in; k++) {
        if (hl_node_in(g, n, k)->count != 1) {
            hl_graph_fail(g, "update_gate: operand %d is %s, it must be one number", k,
                          hl_shape_print(hl_node_in(g, n, k)->shape).text);
            return false;
        }
    }
    for (int k = 0; k < 3; k++)
        hl_node_out(g, n, k, HL_F32, (hl_shape){0});
    return hl_want_f32(g, n) && !g->failed;
}

static void update_gate_reference(const hl_ref_call *c)
{
    const hl_gate_params *p = c->params;
    double norm = c->in[2].data[0], loss = c->in[3].data[0];
    bool ok = isfinite(norm) && isfinite(loss);
    double factor = p->clip > 0 ? p->clip / (norm + 1e-6) : 1;
    c->out[0].data[0] = c->in[0].data[0] + ok;
    c->out[1].data[0] = c->in[1].data[0] + !ok;
    c->out[2].data[0] = !ok ? -1 : factor < 1 ? factor : 1;
}

const hl_op_def hl_op_update_gate = {.name = "update_gate",
                                     .params_size = sizeof(hl_gate_params),
                                     .min_in = 4,
                                     .max_in = 4,
                                     .n_out = 3,
                                     .updates = 2,
                                     .shape = update_gate_shape,
                                     .reference = update_gate_reference};

/* ------------------------------------------------------------------ AdamW */

enum { P, M, V, GRADIENT, SCALE, RATE, COUNT };

static bool adamw_shape(hl_graph *g, hl_node *n)
{
    const hl_adamw_params *p = n->params;
    const hl_tensor_info *w = hl_node_in(g, n, P);
    if (!hl_want_f32(g, n))
        return false;
    int64_t covered = n->in[GRADIENT].id ? hl_node_in(g, n, GRADIENT)->count : 0;
    bool fits = p->offset >= 0 && p->offset + covered <= w->count;
    for (int k = M; k <= V; k++)
        fits = fits && hl_shape_equal(hl_node_in(g, n, k)->shape, w->shape);
    if (!fits) {
        hl_graph_fail(g, "adamw: moments %s and %s and a gradient of %lld elements do not fit %s",
                      hl_shape_print(hl_node_in(g, n, M)->shape).text,
                      hl_shape_print(hl_node_in(g, n, V)->shape).text, (long long)covered,
                      hl_shape_print(w->shape).text);
        return false;
    }
    for (int k = 0; k < 3; k++)
        hl_node_out(g, n, k, HL_F32, w->shape);
    return !g->failed;
}

/* Loshchilov & Hutter 2019, Algorithm 2, with the bias corrections of Kingma & Ba 2015. */
static void adamw_reference(const hl_ref_call *c)
{
    const hl_adamw_params *a = c->params;
    double scale = c->in[SCALE].data[0], lr = c->in[RATE].data[0], t = c->in[COUNT].data[0];
    double correct1 = 1 - pow(a->beta1, t), correct2 = 1 - pow(a->beta2, t);
    for (int64_t i = 0; i < c->out[P].count; i++) {
        double p = c->in[P].data[i], m = c->in[M].data[i], v = c->in[V].data[i];
        int64_t at = i - a->offset;
        bool covered = c->in[GRADIENT].data && at >= 0 && at < c->in[GRADIENT].count;
        if (scale >= 0) {
            double gradient = covered ? c->in[GRADIENT].data[at] * scale : 0;
            m = a->beta1 * m + (1 - a->beta1) * gradient;
            v = a->beta2 * v + (1 - a->beta2) * gradient * gradient;
            p -= lr * a->weight_decay * p;
            p -= lr * (m / correct1) / (sqrt(v / correct2) + a->eps);
        }
        c->out[P].data[i] = p;
        c->out[M].data[i] = m;
        c->out[V].data[i] = v;
    }
}

static double adamw_flops(const hl_graph *g, const hl_node *n)
{
    return 14.0 * (double)hl_node_in(g, n, P)->count;
}

const hl_op_def hl_op_adamw = {.name = "adamw",
                               .params_size = sizeof(hl_adamw_params),
                               .min_in = 7,
                               .max_in = 7,
                               .n_out = 3,
                               .optional = 1u << GRADIENT,
                               .updates = 3,
                               .shape = adamw_shape,
                               .reference = adamw_reference,
                               .flops = adamw_flops};

/* ------------------------------------------------------------------ builders */

hl_tensor hl_global_norm(hl_graph *g, int n, const hl_tensor *x)
{
    return hl_graph_apply(g, &hl_op_global_norm, n, x, NULL);
}

hl_gate hl_update_gate(hl_graph *g, hl_tensor count, hl_tensor skipped, hl_tensor norm, hl_tensor loss,
                       float clip)
{
    hl_gate_params p = {clip};
    const hl_node *n = hl_graph_append(g, &hl_op_update_gate, 4, (hl_tensor[]){count, skipped, norm, loss},
                                       &p);
    return (hl_gate){hl_node_output(n, 0), hl_node_output(n, 1), hl_node_output(n, 2)};
}

void hl_adamw_update(hl_graph *g, hl_tensor p, hl_tensor m, hl_tensor v, hl_tensor gradient, hl_gate gate,
                     hl_tensor lr, float weight_decay, hl_adamw_options o)
{
    hl_adamw_params params;
    memset(&params, 0, sizeof params);
    params.beta1 = o.beta1;
    params.beta2 = o.beta2;
    params.eps = o.eps;
    params.weight_decay = weight_decay;
    if (!gradient.id && g && !g->failed)
        hl_graph_fail(g, "adamw: there is no gradient");
    hl_graph_append(g, &hl_op_adamw, 7, (hl_tensor[]){p, m, v, gradient, gate.scale, lr, gate.count},
                    &params);
}
