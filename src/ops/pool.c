/* Adaptive average pool: cells as PyTorch's AdaptiveAvgPool2d lays them (ops/window.h). */
#include "ops/ops.h"

#include "ops/window.h"

#include <string.h>

/* x [B,C,H,W] and a pool [h,w] that make sense; false after hl_graph_fail. */
static bool pool_ok(hl_graph *g, const char *op, hl_shape x, int64_t h, int64_t w)
{
    if (x.rank != 4) {
        hl_graph_fail(g, "%s: x is %s, it must be [B,C,H,W]", op, hl_shape_print(x).text);
        return false;
    }
    bool fits = x.dim[2] >= 1 && x.dim[3] >= 1 && h >= 1 && w >= 1;
    if (!fits || x.dim[2] > INT32_MAX || x.dim[3] > INT32_MAX || h > INT32_MAX || w > INT32_MAX) {
        hl_graph_fail(g, "%s: %s to %lldx%lld: every size must be within 1 and %d", op,
                      hl_shape_print(x).text, (long long)h, (long long)w, INT32_MAX);
        return false;
    }
    return true;
}

static bool avg_pool_shape(hl_graph *g, hl_node *n)
{
    const hl_pool_params *p = n->params;
    hl_shape x = hl_node_in(g, n, 0)->shape;
    if (!hl_want_dtypes(g, n) || !pool_ok(g, n->op->name, x, p->height, p->width))
        return false;
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), (hl_shape){4, {x.dim[0], x.dim[1], p->height, p->width}});
    return !g->failed;
}

static bool avg_pool_backward_shape(hl_graph *g, hl_node *n)
{
    const hl_pool_params *p = n->params;
    hl_shape dy = hl_node_in(g, n, 0)->shape, dx = dy;
    dx.dim[2] = p->height;
    dx.dim[3] = p->width;
    if (!hl_want_dtypes(g, n) || !pool_ok(g, n->op->name, dx, dy.dim[2], dy.dim[3]))
        return false;
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), dx);
    return !g->failed;
}

static void avg_pool_reference(const hl_ref_call *c)
{
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t H = in.dim[2], W = in.dim[3], h = out.dim[2], w = out.dim[3];
    for (int64_t o = 0; o < c->out[0].count; o++) {
        int64_t plane = o / (h * w), i = o / w % h, j = o % w, count = 0;
        double sum = 0;
        for (int64_t r = hl_cell_begin(i, H, h); r < hl_cell_end(i, H, h); r++) {
            for (int64_t s = hl_cell_begin(j, W, w); s < hl_cell_end(j, W, w); s++) {
                sum += c->in[0].data[(plane * H + r) * W + s];
                count++;
            }
        }
        c->out[0].data[o] = sum / (double)count;
    }
}

static void avg_pool_backward_reference(const hl_ref_call *c)
{
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t H = out.dim[2], W = out.dim[3], h = in.dim[2], w = in.dim[3];
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].data[i] = 0;
    for (int64_t o = 0; o < c->in[0].count; o++) {
        int64_t plane = o / (h * w), i = o / w % h, j = o % w;
        int64_t r0 = hl_cell_begin(i, H, h), r1 = hl_cell_end(i, H, h);
        int64_t s0 = hl_cell_begin(j, W, w), s1 = hl_cell_end(j, W, w);
        double share = c->in[0].data[o] / (double)((r1 - r0) * (s1 - s0));
        for (int64_t r = r0; r < r1; r++)
            for (int64_t s = s0; s < s1; s++)
                c->out[0].data[(plane * H + r) * W + s] += share;
    }
}

static void avg_pool_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                              hl_tensor *dx)
{
    hl_shape x = hl_shape_of(g, n->in[0]);
    hl_pool_params p = {x.dim[2], x.dim[3]};
    if (needed[0])
        dx[0] = hl_graph_apply(g, &hl_op_avg_pool_backward, 1, dy, &p);
}

/* One addition per element of every cell, cells taken as [ceil(H/h), ceil(W/w)]. */
static double additions(hl_shape large, hl_shape small)
{
    double cell = 1;
    for (int k = 2; k < 4; k++)
        cell *= (double)((large.dim[k] + small.dim[k] - 1) / small.dim[k]);
    return cell * (double)hl_shape_span(small, 0, 4);
}

static double avg_pool_flops(const hl_graph *g, const hl_node *n)
{
    return additions(hl_shape_of(g, n->in[0]), hl_shape_of(g, hl_node_output(n, 0)));
}

static double avg_pool_backward_flops(const hl_graph *g, const hl_node *n)
{
    return additions(hl_shape_of(g, hl_node_output(n, 0)), hl_shape_of(g, n->in[0]));
}

static const hl_field avg_pool_fields[] = {
    HL_FIELD(hl_pool_params, height, HL_FIELD_SIZE), HL_FIELD(hl_pool_params, width, HL_FIELD_SIZE), {0}};

const hl_op_def hl_op_avg_pool = {.name = "avg_pool",
                                  .params_size = sizeof(hl_pool_params),
                                  .fields = avg_pool_fields,
                                  .min_in = 1,
                                  .max_in = 1,
                                  .n_out = 1,
                                  .precision = HL_FOLLOWS,
                                  .low_in = 1,
                                  .low_out = 1,
                                  .shape = avg_pool_shape,
                                  .gradient = avg_pool_gradient,
                                  .reference = avg_pool_reference,
                                  .flops = avg_pool_flops};

const hl_op_def hl_op_avg_pool_backward = {.name = "avg_pool_backward",
                                           .params_size = sizeof(hl_pool_params),
                                           .min_in = 1,
                                           .max_in = 1,
                                           .n_out = 1,
                                           .precision = HL_FOLLOWS,
                                           .low_in = 1,
                                           .low_out = 1,
                                           .shape = avg_pool_backward_shape,
                                           .reference = avg_pool_backward_reference,
                                           .flops = avg_pool_backward_flops};

hl_tensor hl_adaptive_avg_pool(hl_graph *g, hl_tensor x, int64_t h, int64_t w)
{
    hl_pool_params p = {h, w};
    return hl_graph_apply(g, &hl_op_avg_pool, 1, &x, &p);
}
