/* The optimizer's ops. A step whose loss or gradient is not finite changes nothing but a counter. */
#include "ops/ops.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ global norm */

static bool global_norm_shape(hl_graph *g, hl_node *n)
{
    if (!hl_want_dtypes(g, n))
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
                                     .phase = HL_PHASE_CLIP,
                                     .shape = global_norm_shape,
                                     .reference = global_norm_reference,
                                     .flops = global_norm_flops};

/* ------------------------------------------------------------------ gate */

static bool all_numbers(hl_graph *g, const hl_node *n)
{
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k].id && hl_node_in(g, n, k)->count != 1) {
            hl_graph_fail(g, "%s: operand %d is %s, it must be one number", n->op->name, k,
                          hl_shape_print(hl_node_in(g, n, k)->shape).text);
            return false;
        }
    }
    return true;
}

static bool update_gate_shape(hl_graph *g, hl_node *n)
{
    if (!all_numbers(g, n))
        return false;
    for (int k = 0; k < 3; k++)
        hl_node_out(g, n, k, HL_F32, (hl_shape){0});
    return hl_want_dtypes(g, n) && !g->failed;
}

static void update_gate_reference(const hl_ref_call *c)
{
    const hl_gate_params *p = c->params;
    double norm = c->in[2].data[0], loss = c->in[3].data[0];
    double loss_scale = c->in[4].data ? c->in[4].data[0] : 1;
    bool ok = isfinite(norm) && isfinite(loss);
    double factor = p->clip > 0 ? p->clip / (norm + 1e-6) : 1;
    c->out[0].data[0] = c->in[0].data[0] + ok;
    c->out[1].data[0] = c->in[1].data[0] + !ok;
    c->out[2].data[0] = !ok ? -1 : (factor < 1 ? factor : 1) / loss_scale;
}

const hl_op_def hl_op_update_gate = {.name = "update_gate",
                                     .params_size = sizeof(hl_gate_params),
                                     .min_in = 5,
                                     .max_in = 5,
                                     .n_out = 3,
                                     .optional = 1u << 4,
                                     .phase = HL_PHASE_CLIP,
                                     .updates = 2,
                                     .shape = update_gate_shape,
                                     .reference = update_gate_reference};

/* ------------------------------------------------------------------ loss scale */

static bool loss_scale_shape(hl_graph *g, hl_node *n)
{
    const hl_loss_scale_params *p = n->params;
    if (!(p->interval >= 1)) {
        hl_graph_fail(g, "loss_scale: an interval of %g steps is below 1", (double)p->interval);
        return false;
    }
    for (int k = 0; k < 2; k++)
        hl_node_out(g, n, k, HL_F32, (hl_shape){0});
    return all_numbers(g, n) && hl_want_dtypes(g, n) && !g->failed;
}

/* Micikevicius et al. 2018, "Mixed precision training", section 3.2. */
static void loss_scale_reference(const hl_ref_call *c)
{
    const hl_loss_scale_params *p = c->params;
    double scale = c->in[0].data[0], good = c->in[1].data[0] + 1;
    if (c->in[2].data[0] < 0) {
        scale = fmax(scale / 2, 1);
        good = 0;
    } else if (good >= p->interval) {
        scale = fmin(scale * 2, 16777216);
        good = 0;
    }
    c->out[0].data[0] = scale;
    c->out[1].data[0] = good;
}

const hl_op_def hl_op_loss_scale = {.name = "loss_scale",
                                    .params_size = sizeof(hl_loss_scale_params),
                                    .min_in = 3,
                                    .max_in = 3,
                                    .n_out = 2,
                                    .phase = HL_PHASE_CLIP,
                                    .updates = 2,
                                    .shape = loss_scale_shape,
                                    .reference = loss_scale_reference};

/* ------------------------------------------------------------------ AdamW */

enum { P, M, V, LOW, GRADIENT, FACTOR, RATE, COUNT };

static bool adamw_dtypes(hl_graph *g, const hl_node *n)
{
    hl_dtype m = hl_node_in(g, n, M)->dtype, v = hl_node_in(g, n, V)->dtype;
    hl_dtype low = n->in[LOW].id ? hl_node_in(g, n, LOW)->dtype : HL_BF16;
    bool others = true;
    for (int k = 0; k < n->n_in; k++)
        others = others &&
                 (k == M || k == V || k == LOW || !n->in[k].id || hl_node_in(g, n, k)->dtype == HL_F32);
    if (m == v && (m == HL_F32 || m == HL_BF16) && low != HL_F32 && others)
        return true;
    hl_graph_fail(
        g,
        "adamw: moments are %s and %s, they must be both f32 or both bf16; the copy is %s, it must be of "
        "16 bits; all others must be f32",
        hl_dtype_name(m), hl_dtype_name(v), hl_dtype_name(low));
    return false;
}

static bool adamw_shape(hl_graph *g, hl_node *n)
{
    const hl_adamw_params *p = n->params;
    const hl_tensor_info *w = hl_node_in(g, n, P);
    if (!adamw_dtypes(g, n))
        return false;
    int64_t covered = n->in[GRADIENT].id ? hl_node_in(g, n, GRADIENT)->count : 0;
    bool fits = p->offset >= 0 && p->offset + covered <= w->count;
    for (int k = M; k <= LOW; k++)
        fits = fits && (!n->in[k].id || hl_shape_equal(hl_node_in(g, n, k)->shape, w->shape));
    if (!fits) {
        hl_graph_fail(g, "adamw: moments %s and %s and a gradient of %lld elements do not fit %s",
                      hl_shape_print(hl_node_in(g, n, M)->shape).text,
                      hl_shape_print(hl_node_in(g, n, V)->shape).text, (long long)covered,
                      hl_shape_print(w->shape).text);
        return false;
    }
    n->n_out = hl_node_updates(n);
    for (int k = 0; k < n->n_out; k++)
        hl_node_out(g, n, k, hl_node_in(g, n, k)->dtype, w->shape);
    return !g->failed;
}

/* Loshchilov & Hutter 2019, Algorithm 2, with the bias corrections of Kingma & Ba 2015. */
static void adamw_reference(const hl_ref_call *c)
{
    const hl_adamw_params *a = c->params;
    double factor = c->in[FACTOR].data[0], lr = c->in[RATE].data[0], t = c->in[COUNT].data[0];
    double correct1 = 1 - pow(a->beta1, t), correct2 = 1 - pow(a->beta2, t);
    for (int64_t i = 0; i < c->out[P].count; i++) {
        double p = c->in[P].data[i], m = c->in[M].data[i], v = c->in[V].data[i];
        int64_t at = i - a->offset;
        bool covered = c->in[GRADIENT].data && at >= 0 && at < c->in[GRADIENT].count;
        if (factor >= 0) {
            double gradient = covered ? c->in[GRADIENT].data[at] * factor : 0;
            m = a->beta1 * m + (1 - a->beta1) * gradient;
            v = a->beta2 * v + (1 - a->beta2) * gradient * gradient;
            p -= lr * a->weight_decay * p;
            p -= lr * (m / correct1) / (sqrt(v / correct2) + a->eps);
        }
        c->out[P].data[i] = p;
        c->out[M].data[i] = m;
        c->out[V].data[i] = v;
        if (c->n_out > LOW)
            c->out[LOW].data[i] = factor >= 0 ? p : c->in[LOW].data[i];
    }
}

static double adamw_flops(const hl_graph *g, const hl_node *n)
{
    return 14.0 * (double)hl_node_in(g, n, P)->count;
}

const hl_op_def hl_op_adamw = {.name = "adamw",
                               .params_size = sizeof(hl_adamw_params),
                               .min_in = 8,
                               .max_in = 8,
                               .n_out = 4,
                               .optional = 1u << LOW | 1u << GRADIENT,
                               .phase = HL_PHASE_UPDATE,
                               .updates = 4,
                               .low_in = 1u << M | 1u << V | 1u << LOW,
                               .shape = adamw_shape,
                               .reference = adamw_reference,
                               .flops = adamw_flops};

/* ------------------------------------------------------------------ builders */

hl_tensor hl_global_norm(hl_graph *g, int n, const hl_tensor *x)
{
    return hl_graph_apply(g, &hl_op_global_norm, n, x, NULL);
}

hl_gate hl_update_gate(hl_graph *g, hl_tensor count, hl_tensor skipped, hl_tensor norm, hl_tensor loss,
                       hl_tensor loss_scale, float clip)
{
    hl_gate_params p = {clip};
    hl_tensor in[] = {count, skipped, norm, loss, loss_scale};
    const hl_node *n = hl_graph_append(g, &hl_op_update_gate, 5, in, &p);
    return (hl_gate){hl_node_output(n, 0), hl_node_output(n, 1), hl_node_output(n, 2)};
}

void hl_update_loss_scale(hl_graph *g, hl_tensor loss_scale, hl_tensor good, hl_gate gate, int interval)
{
    hl_loss_scale_params p = {(float)interval};
    hl_graph_append(g, &hl_op_loss_scale, 3, (hl_tensor[]){loss_scale, good, gate.factor}, &p);
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
    if (!g || g->failed)
        return;
    if (!gradient.id)
        hl_graph_fail(g, "adamw: there is no gradient");
    if (hl_dtype_of(g, m) != HL_F32)
        params.stream = g->streams++;
    hl_tensor in[] = {p, m, v, {0}, gradient, gate.factor, lr, gate.count};
    hl_graph_append(g, &hl_op_adamw, 8, in, &params);
}
