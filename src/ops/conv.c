/* 2-D convolution (cross-correlation, as the field says convolution), zero padded. */
#include "ops/ops.h"

#include "base/error.h"
#include "ops/window.h"

#include <string.h>

/* Operands: conv2d x, w, bias; backward_data dy, w; backward_filter x, dy. */
enum { X, W, BIAS };

/* Stride and padding that make sense, and an arithmetic of positions that cannot overflow. */
static bool window_ok(hl_graph *g, const char *op, const hl_conv_params *p)
{
    if (p->stride >= 1 && p->padding >= 0)
        return true;
    hl_graph_fail(g, "%s: stride %d and padding %d; the stride must be at least 1, the padding at least 0",
                  op, p->stride, p->padding);
    return false;
}

static bool size_ok(hl_graph *g, const char *op, int64_t height, int64_t width)
{
    if (height >= 1 && width >= 1 && height <= INT32_MAX && width <= INT32_MAX)
        return true;
    hl_graph_fail(g, "%s: a size of %lldx%lld must be within 1x1 and %dx%d", op, (long long)height,
                  (long long)width, INT32_MAX, INT32_MAX);
    return false;
}

bool hl_conv_shape(hl_graph *g, const hl_node *n, hl_shape x, hl_shape w, hl_shape *y)
{
    const hl_conv_params *p = n->params;
    const char *op = n->op->name;
    if (x.rank != 4 || w.rank != 4) {
        hl_graph_fail(g, "%s: x %s must be [B,I,H,W] and w %s must be [O,I,h,w]", op, hl_shape_print(x).text,
                      hl_shape_print(w).text);
        return false;
    }
    if (x.dim[1] != w.dim[1] || w.dim[0] < 1 || w.dim[1] < 1) {
        hl_graph_fail(g, "%s: x %s has %lld channels, w %s takes %lld and gives %lld", op,
                      hl_shape_print(x).text, (long long)x.dim[1], hl_shape_print(w).text,
                      (long long)w.dim[1], (long long)w.dim[0]);
        return false;
    }
    if (!window_ok(g, op, p) || !size_ok(g, op, x.dim[2], x.dim[3]) || !size_ok(g, op, w.dim[2], w.dim[3]))
        return false;
    *y = (hl_shape){4,
                    {x.dim[0], w.dim[0], hl_window_count(x.dim[2], w.dim[2], p->stride, p->padding),
                     hl_window_count(x.dim[3], w.dim[3], p->stride, p->padding)}};
    if (y->dim[2] < 1 || y->dim[3] < 1) {
        hl_graph_fail(g, "%s: a kernel of %lldx%lld is larger than an image of %lldx%lld padded by %d", op,
                      (long long)w.dim[2], (long long)w.dim[3], (long long)x.dim[2], (long long)x.dim[3],
                      p->padding);
        return false;
    }
    return true;
}

static bool conv2d_shape(hl_graph *g, hl_node *n)
{
    const hl_conv_params *p = n->params;
    hl_shape w = hl_node_in(g, n, W)->shape, y;
    if (!hl_want_out(g, n, BIAS, p->out) || !hl_conv_shape(g, n, hl_node_in(g, n, X)->shape, w, &y))
        return false;
    if (n->in[BIAS].id && !hl_shape_equal(hl_node_in(g, n, BIAS)->shape, (hl_shape){1, {w.dim[0]}})) {
        hl_graph_fail(g, "conv2d: the bias is %s, it must be [%lld]",
                      hl_shape_print(hl_node_in(g, n, BIAS)->shape).text, (long long)w.dim[0]);
        return false;
    }
    hl_node_out(g, n, 0, p->out, y);
    return !g->failed;
}

/* Shared by both backward ops: dy must be what the convolution of x by w gives. */
static bool backward_fits(hl_graph *g, const hl_node *n, hl_shape dy, hl_shape x, hl_shape w)
{
    hl_shape y;
    if (!hl_conv_shape(g, n, x, w, &y))
        return false;
    if (hl_shape_equal(dy, y))
        return true;
    hl_graph_fail(g, "%s: dy is %s, x %s and w %s give %s", n->op->name, hl_shape_print(dy).text,
                  hl_shape_print(x).text, hl_shape_print(w).text, hl_shape_print(y).text);
    return false;
}

static bool conv2d_backward_data_shape(hl_graph *g, hl_node *n)
{
    const hl_conv_params *p = n->params;
    hl_shape dy = hl_node_in(g, n, 0)->shape, w = hl_node_in(g, n, 1)->shape;
    hl_shape dx = {4, {dy.dim[0], w.dim[1], p->height, p->width}};
    if (!hl_want_out(g, n, 2, p->out) || !backward_fits(g, n, dy, dx, w))
        return false;
    hl_node_out(g, n, 0, p->out, dx);
    return !g->failed;
}

static bool conv2d_backward_filter_shape(hl_graph *g, hl_node *n)
{
    const hl_conv_params *p = n->params;
    hl_shape x = hl_node_in(g, n, 0)->shape, dy = hl_node_in(g, n, 1)->shape;
    hl_shape dw = {4, {dy.dim[1], x.dim[1], p->height, p->width}};
    if (!hl_want_out(g, n, 2, p->out) || !backward_fits(g, n, dy, x, dw))
        return false;
    hl_node_out(g, n, 0, p->out, dw);
    return !g->failed;
}

/* ------------------------------------------------------------------ references */

static int64_t offset4(hl_shape s, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return ((a * s.dim[1] + b) * s.dim[2] + c) * s.dim[3] + d;
}

/* One product x[b,i,row,column] w[o,i,r,s] that output [b,o,y,z] sums: the offsets of the three. */
typedef void (*term)(void *context, int64_t x, int64_t w, int64_t y);

/* All terms of output position [b,o,y,z]. */
static void position_terms(const hl_conv_params *p, hl_shape x, hl_shape w, const int64_t at[4],
                           int64_t y_offset, term visit, void *context)
{
    for (int64_t i = 0; i < w.dim[1]; i++) {
        for (int64_t r = 0; r < w.dim[2]; r++) {
            for (int64_t s = 0; s < w.dim[3]; s++) {
                int64_t row = at[2] * p->stride - p->padding + r, column = at[3] * p->stride - p->padding + s;
                if (row >= 0 && row < x.dim[2] && column >= 0 && column < x.dim[3])
                    visit(context, offset4(x, at[0], i, row, column), offset4(w, at[1], i, r, s), y_offset);
            }
        }
    }
}

/* Visits every product of the convolution, by output position. The three ops differ only in which of
 * x, w and y they sum into. */
static void all_terms(const hl_conv_params *p, hl_shape x, hl_shape w, hl_shape y, term visit, void *context)
{
    for (int64_t b = 0; b < y.dim[0]; b++)
        for (int64_t o = 0; o < y.dim[1]; o++)
            for (int64_t r = 0; r < y.dim[2]; r++)
                for (int64_t s = 0; s < y.dim[3]; s++)
                    position_terms(p, x, w, (int64_t[]){b, o, r, s}, offset4(y, b, o, r, s), visit, context);
}

typedef struct conv_data {
    double *x, *w, *y;
} conv_data;

static void into_y(void *context, int64_t x, int64_t w, int64_t y)
{
    const conv_data *d = context;
    d->y[y] += d->x[x] * d->w[w];
}

static void into_x(void *context, int64_t x, int64_t w, int64_t y)
{
    const conv_data *d = context;
    d->x[x] += d->y[y] * d->w[w];
}

static void into_w(void *context, int64_t x, int64_t w, int64_t y)
{
    const conv_data *d = context;
    d->w[w] += d->x[x] * d->y[y];
}

static void conv2d_reference(const hl_ref_call *c)
{
    const hl_conv_params *p = c->params;
    hl_shape s = c->out[0].shape;
    double *y = c->out[0].data;
    int64_t area = s.dim[2] * s.dim[3];
    for (int64_t i = 0; i < c->out[0].count; i++)
        y[i] = c->in[BIAS].data ? c->in[BIAS].data[i / area % s.dim[1]] : 0;
    all_terms(p, c->in[X].shape, c->in[W].shape, s, into_y, &(conv_data){c->in[X].data, c->in[W].data, y});
    for (int64_t i = 0; i < c->out[0].count; i++)
        y[i] = hl_activation_reference(p->activation, y[i]);
}

static void conv2d_backward_data_reference(const hl_ref_call *c)
{
    const hl_ref_tensor *dy = &c->in[0], *w = &c->in[1], *dx = &c->out[0];
    for (int64_t i = 0; i < dx->count; i++)
        dx->data[i] = 0;
    all_terms(c->params, dx->shape, w->shape, dy->shape, into_x, &(conv_data){dx->data, w->data, dy->data});
}

static void conv2d_backward_filter_reference(const hl_ref_call *c)
{
    const hl_ref_tensor *x = &c->in[0], *dy = &c->in[1], *dw = &c->out[0];
    for (int64_t i = 0; i < dw->count; i++)
        dw->data[i] = 0;
    all_terms(c->params, x->shape, dw->shape, dy->shape, into_w, &(conv_data){x->data, dw->data, dy->data});
}

/* ------------------------------------------------------------------ gradient */

static hl_tensor backward(hl_graph *g, const hl_op_def *op, const hl_conv_params *forward, hl_tensor a,
                          hl_tensor b, hl_shape target)
{
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = forward->stride;
    p.padding = forward->padding;
    p.height = target.dim[2];
    p.width = target.dim[3];
    return hl_graph_apply(g, op, 2, (hl_tensor[]){a, b}, &p);
}

static void conv2d_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    const hl_conv_params *p = n->params;
    HL_ASSERT(p->activation == HL_ACT_NONE); /* fused only after differentiation */
    if (needed[W])                           /* before dx: then x and dx need not be there at once */
        dx[W] = backward(g, &hl_op_conv2d_backward_filter, p, n->in[X], dy[0], hl_shape_of(g, n->in[W]));
    if (n->in[BIAS].id && needed[BIAS])
        dx[BIAS] = hl_sum(g, hl_reduce(g, dy[0], 2, 4, 1), 0);
    if (needed[X])
        dx[X] = backward(g, &hl_op_conv2d_backward_data, p, dy[0], n->in[W], hl_shape_of(g, n->in[X]));
}

/* A product per element of y [B,O,H,W] and of a patch [I,h,w], whichever of the three is summed into. */
static double products(hl_shape y, hl_shape w)
{
    return 2.0 * (double)hl_shape_span(y, 0, 4) * (double)hl_shape_span(w, 1, 4);
}

static double conv2d_flops(const hl_graph *g, const hl_node *n)
{
    return products(hl_shape_of(g, hl_node_output(n, 0)), hl_shape_of(g, n->in[W]));
}

static double conv2d_backward_data_flops(const hl_graph *g, const hl_node *n)
{
    return products(hl_shape_of(g, n->in[0]), hl_shape_of(g, n->in[1]));
}

static double conv2d_backward_filter_flops(const hl_graph *g, const hl_node *n)
{
    return products(hl_shape_of(g, n->in[1]), hl_shape_of(g, hl_node_output(n, 0)));
}

static const hl_field conv2d_fields[] = {HL_FIELD(hl_conv_params, stride, HL_FIELD_INT),
                                         HL_FIELD(hl_conv_params, padding, HL_FIELD_INT),
                                         HL_FIELD_OF(hl_conv_params, activation, hl_activation_words),
                                         HL_FIELD_OF(hl_conv_params, out, hl_dtype_words),
                                         HL_FIELD_OF(hl_conv_params, math, hl_math_words),
                                         {0}};

const hl_op_def hl_op_conv2d = {.name = "conv2d",
                                .params_size = sizeof(hl_conv_params),
                                .fields = conv2d_fields,
                                .min_in = 3,
                                .max_in = 3,
                                .n_out = 1,
                                .optional = 1u << BIAS,
                                .precision = HL_RUNS_LOW,
                                .low_in = 3,
                                .low_out = 1,
                                .out_dtype = offsetof(hl_conv_params, out),
                                .math = offsetof(hl_conv_params, math),
                                .activation = offsetof(hl_conv_params, activation),
                                .shape = conv2d_shape,
                                .gradient = conv2d_gradient,
                                .reference = conv2d_reference,
                                .flops = conv2d_flops};

const hl_op_def hl_op_conv2d_backward_data = {.name = "conv2d_backward_data",
                                              .params_size = sizeof(hl_conv_params),
                                              .min_in = 2,
                                              .max_in = 2,
                                              .n_out = 1,
                                              .precision = HL_RUNS_LOW,
                                              .low_in = 3,
                                              .low_out = 1,
                                              .out_dtype = offsetof(hl_conv_params, out),
                                              .math = offsetof(hl_conv_params, math),
                                              .shape = conv2d_backward_data_shape,
                                              .reference = conv2d_backward_data_reference,
                                              .flops = conv2d_backward_data_flops};

const hl_op_def hl_op_conv2d_backward_filter = {.name = "conv2d_backward_filter",
                                                .params_size = sizeof(hl_conv_params),
                                                .min_in = 2,
                                                .max_in = 2,
                                                .n_out = 1,
                                                .precision = HL_RUNS_LOW,
                                                .low_in = 3,
                                                .low_out = 1,
                                                .out_dtype = offsetof(hl_conv_params, out),
                                                .math = offsetof(hl_conv_params, math),
                                                .shape = conv2d_backward_filter_shape,
                                                .reference = conv2d_backward_filter_reference,
                                                .flops = conv2d_backward_filter_flops};

hl_tensor hl_conv2d(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor b, int stride, int padding)
{
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = stride;
    p.padding = padding;
    return hl_graph_apply(g, &hl_op_conv2d, 3, (hl_tensor[]){x, w, b}, &p);
}
