/* Layer normalisation (Ba, Kiros & Hinton 2016) over the last dimension. */
#include "ops/ops.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

enum { X, GAIN, BIAS };
enum { BACK_DY, BACK_X, BACK_GAIN, BACK_MEAN, BACK_RSTD };
enum { Y, MEAN, RSTD };

/* Mean and deviation: one number per row. */
static hl_shape row_shape(hl_shape x)
{
    return (hl_shape){1, {hl_shape_span(x, 0, x.rank - 1)}};
}

static bool layer_norm_shape(hl_graph *g, hl_node *n)
{
    const hl_norm_params *p = n->params;
    hl_shape x = hl_node_in(g, n, X)->shape;
    if (!hl_want_dtypes(g, n))
        return false;
    if (x.rank < 1 || x.dim[x.rank - 1] == 0) {
        hl_graph_fail(g, "layer_norm: %s has no elements in its last dim to normalise",
                      hl_shape_print(x).text);
        return false;
    }
    if (!(p->eps >= 0) || isinf(p->eps)) {
        hl_graph_fail(g, "layer_norm: an eps of %g is not 0 or more", (double)p->eps);
        return false;
    }
    hl_shape channels = {1, {x.dim[x.rank - 1]}};
    for (int k = GAIN; k <= BIAS; k++) {
        hl_shape s = hl_node_in(g, n, k)->shape;
        if (!hl_shape_equal(s, channels)) {
            hl_graph_fail(g, "layer_norm: the %s is %s, for x %s it must be %s", k == GAIN ? "gain" : "bias",
                          hl_shape_print(s).text, hl_shape_print(x).text, hl_shape_print(channels).text);
            return false;
        }
    }
    hl_node_out(g, n, Y, hl_shared_dtype(g, n), x);
    hl_node_out(g, n, MEAN, HL_F32, row_shape(x));
    hl_node_out(g, n, RSTD, HL_F32, row_shape(x));
    return !g->failed;
}

static void layer_norm_reference(const hl_ref_call *c)
{
    const hl_norm_params *p = c->params;
    int64_t C = c->in[GAIN].count, rows = c->out[MEAN].count;
    for (int64_t r = 0; r < rows; r++) {
        const double *x = c->in[X].data + r * C;
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < C; i++)
            sum += x[i];
        double mean = sum / (double)C;
        for (int64_t i = 0; i < C; i++)
            squares += (x[i] - mean) * (x[i] - mean);
        double rstd = 1 / sqrt(squares / (double)C + p->eps);
        for (int64_t i = 0; i < C; i++) {
            double y = (x[i] - mean) * rstd * c->in[GAIN].data[i] + c->in[BIAS].data[i];
            c->out[Y].data[r * C + i] = hl_activation_reference(p->activation, y);
        }
        c->out[MEAN].data[r] = mean;
        c->out[RSTD].data[r] = rstd;
    }
}

static void layer_norm_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                                hl_tensor *dx)
{
    const hl_norm_params *p = n->params;
    HL_ASSERT(p->activation == HL_ACT_NONE);             /* fused only after differentiation */
    HL_ASSERT(dy[Y].id && !dy[MEAN].id && !dy[RSTD].id); /* no builder hands out mean and rstd */
    hl_tensor in[] = {dy[Y], n->in[X], n->in[GAIN], hl_node_output(n, MEAN), hl_node_output(n, RSTD)};
    const hl_node *back = hl_graph_append(g, &hl_op_layer_norm_backward, 5, in, NULL);
    for (int k = X; k <= BIAS; k++)
        if (needed[k])
            dx[k] = hl_node_output(back, k);
}

static double layer_norm_flops(const hl_graph *g, const hl_node *n)
{
    return 7.0 * (double)hl_node_in(g, n, X)->count;
}

static const hl_field layer_norm_fields[] = {HL_FIELD(hl_norm_params, eps, HL_FIELD_FLOAT),
                                             HL_FIELD_OF(hl_norm_params, activation, hl_activation_words),
                                             {0}};

const hl_op_def hl_op_layer_norm = {.name = "layer_norm",
                                    .params_size = sizeof(hl_norm_params),
                                    .fields = layer_norm_fields,
                                    .min_in = 3,
                                    .max_in = 3,
                                    .n_out = 3,
                                    .in_place = 1u << X,
                                    .precision = HL_FOLLOWS,
                                    .low_in = 1u << X,
                                    .low_out = 1u << Y,
                                    .activation = offsetof(hl_norm_params, activation),
                                    .shape = layer_norm_shape,
                                    .gradient = layer_norm_gradient,
                                    .reference = layer_norm_reference,
                                    .flops = layer_norm_flops};

hl_tensor hl_layer_norm(hl_graph *g, hl_tensor x, hl_tensor gain, hl_tensor bias)
{
    hl_norm_params p = {1e-5f, HL_ACT_NONE};
    return hl_graph_apply(g, &hl_op_layer_norm, 3, (hl_tensor[]){x, gain, bias}, &p);
}

/* ------------------------------------------------------------------ backward */

static bool layer_norm_backward_shape(hl_graph *g, hl_node *n)
{
    hl_shape x = hl_node_in(g, n, BACK_X)->shape, dy = hl_node_in(g, n, BACK_DY)->shape;
    if (!hl_want_dtypes(g, n))
        return false;
    if (!hl_shape_equal(x, dy)) {
        hl_graph_fail(g, "layer_norm_backward: dy %s is not shaped as x %s", hl_shape_print(dy).text,
                      hl_shape_print(x).text);
        return false;
    }
    hl_shape gain = hl_node_in(g, n, BACK_GAIN)->shape;
    bool fits = x.rank > 0 && x.dim[x.rank - 1] > 0 &&
                hl_shape_equal(gain, (hl_shape){1, {x.dim[x.rank - 1]}});
    for (int k = BACK_MEAN; fits && k <= BACK_RSTD; k++)
        fits = hl_shape_equal(hl_node_in(g, n, k)->shape, row_shape(x));
    if (!fits) {
        hl_graph_fail(g, "layer_norm_backward: gain %s, mean %s and rstd %s do not belong to x %s",
                      hl_shape_print(gain).text, hl_shape_print(hl_node_in(g, n, BACK_MEAN)->shape).text,
                      hl_shape_print(hl_node_in(g, n, BACK_RSTD)->shape).text, hl_shape_print(x).text);
        return false;
    }
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), x);
    hl_node_out(g, n, 1, HL_F32, gain);
    hl_node_out(g, n, 2, HL_F32, gain);
    return !g->failed;
}

/* With h = (x - mean) rstd and d = dy gain: dx = rstd (d - <d> - h <d h>), <> the mean of a row. */
static void layer_norm_backward_reference(const hl_ref_call *c)
{
    const double *gain = c->in[BACK_GAIN].data;
    int64_t C = c->in[BACK_GAIN].count, rows = c->in[BACK_MEAN].count;
    double *dgain = c->out[1].data, *dbias = c->out[2].data;
    memset(dgain, 0, (size_t)C * sizeof *dgain);
    memset(dbias, 0, (size_t)C * sizeof *dbias);
    for (int64_t r = 0; r < rows; r++) {
        const double *dy = c->in[BACK_DY].data + r * C, *x = c->in[BACK_X].data + r * C;
        double mean = c->in[BACK_MEAN].data[r], rstd = c->in[BACK_RSTD].data[r], d = 0, dh = 0;
        for (int64_t i = 0; i < C; i++) {
            double h = (x[i] - mean) * rstd;
            d += dy[i] * gain[i] / (double)C;
            dh += dy[i] * gain[i] * h / (double)C;
            dgain[i] += dy[i] * h;
            dbias[i] += dy[i];
        }
        for (int64_t i = 0; i < C; i++)
            c->out[0].data[r * C + i] = rstd * (dy[i] * gain[i] - d - (x[i] - mean) * rstd * dh);
    }
}

static double layer_norm_backward_flops(const hl_graph *g, const hl_node *n)
{
    return 14.0 * (double)hl_node_in(g, n, BACK_X)->count;
}

const hl_op_def hl_op_layer_norm_backward = {.name = "layer_norm_backward",
                                             .min_in = 5,
                                             .max_in = 5,
                                             .n_out = 3,
                                             .in_place = 1u << BACK_DY,
                                             .precision = HL_FOLLOWS,
                                             .low_in = 1u << BACK_DY | 1u << BACK_X,
                                             .low_out = 1,
                                             .shape = layer_norm_backward_shape,
                                             .reference = layer_norm_backward_reference,
                                             .flops = layer_norm_backward_flops};
