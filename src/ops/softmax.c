/* Softmax over the last dimension. */
#include "ops/ops.h"

#include <math.h>

static bool softmax_shape(hl_graph *g, hl_node *n)
{
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    if (!hl_want_dtypes(g, n))
        return false;
    if (x->shape.rank < 1) {
        hl_graph_fail(g, "%s: a scalar has no last dim to normalise over", n->op->name);
        return false;
    }
    if (n->n_in == 2 && !hl_shape_equal(x->shape, hl_node_in(g, n, 1)->shape)) {
        hl_graph_fail(g, "%s: dy %s is not shaped as y %s", n->op->name, hl_shape_print(x->shape).text,
                      hl_shape_print(hl_node_in(g, n, 1)->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, HL_F32, x->shape);
    return !g->failed;
}

static void softmax_reference(const hl_ref_call *c)
{
    hl_shape s = c->out[0].shape;
    int64_t C = s.dim[s.rank - 1], rows = hl_shape_span(s, 0, s.rank - 1);
    for (int64_t r = 0; r < rows; r++) {
        const double *x = c->in[0].data + r * C;
        double *y = c->out[0].data + r * C, most = -INFINITY, sum = 0;
        for (int64_t i = 0; i < C; i++)
            most = x[i] > most ? x[i] : most;
        for (int64_t i = 0; i < C; i++)
            sum += y[i] = exp(x[i] - most);
        for (int64_t i = 0; i < C; i++)
            y[i] /= sum;
    }
}

/* From the output: the input need not be kept. */
static void softmax_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                             hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_graph_apply(g, &hl_op_softmax_backward, 2, (hl_tensor[]){dy[0], hl_node_output(n, 0)},
                               NULL);
}

static double softmax_flops(const hl_graph *g, const hl_node *n)
{
    return 4.0 * (double)hl_node_in(g, n, 0)->count;
}

const hl_op_def hl_op_softmax = {.name = "softmax",
                                 .fields = hl_no_fields,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .n_out = 1,
                                 .in_place = 1,
                                 .shape = softmax_shape,
                                 .gradient = softmax_gradient,
                                 .reference = softmax_reference,
                                 .flops = softmax_flops};

hl_tensor hl_softmax(hl_graph *g, hl_tensor x)
{
    return hl_graph_apply(g, &hl_op_softmax, 1, &x, NULL);
}

/* dx = y (dy - <dy, y>) */
static void softmax_backward_reference(const hl_ref_call *c)
{
    hl_shape s = c->out[0].shape;
    int64_t C = s.dim[s.rank - 1], rows = hl_shape_span(s, 0, s.rank - 1);
    for (int64_t r = 0; r < rows; r++) {
        const double *dy = c->in[0].data + r * C, *y = c->in[1].data + r * C;
        double dot = 0;
        for (int64_t i = 0; i < C; i++)
            dot += dy[i] * y[i];
        for (int64_t i = 0; i < C; i++)
            c->out[0].data[r * C + i] = y[i] * (dy[i] - dot);
    }
}

const hl_op_def hl_op_softmax_backward = {.name = "softmax_backward",
                                          .min_in = 2,
                                          .max_in = 2,
                                          .n_out = 1,
                                          .in_place = 3,
                                          .shape = softmax_shape,
                                          .reference = softmax_backward_reference,
                                          .flops = softmax_flops};
