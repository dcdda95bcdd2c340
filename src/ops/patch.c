/* Pooled patches: what a convolution reads at each position of its output, averaged over the cells of
 * an adaptive pool of that output.  The pool of a convolution is linear in them:
 *     avg_pool(conv2d(x, w, b)) = patch_mean(x) w^T + b
 * in real arithmetic, at the price of one product per cell instead of one per position. */
#include "ops/ops.h"

#include "ops/window.h"

#include <string.h>

/* Sizes of the convolution's output; false after hl_graph_fail. */
static bool positions(hl_graph *g, const char *op, const hl_patch_params *p, hl_shape x, int64_t *rows,
                      int64_t *columns)
{
    if (x.rank != 4 || x.dim[1] < 1 || x.dim[2] < 1 || x.dim[3] < 1 || x.dim[2] > INT32_MAX ||
        x.dim[3] > INT32_MAX) {
        hl_graph_fail(g, "%s: x is %s, it must be [B,C,H,W] with C, H and W of at least 1", op,
                      hl_shape_print(x).text);
        return false;
    }
    bool positive = p->kernel_h >= 1 && p->kernel_w >= 1 && p->stride >= 1 && p->padding >= 0 &&
                    p->pool_h >= 1 && p->pool_w >= 1;
    bool small = p->kernel_h <= INT32_MAX && p->kernel_w <= INT32_MAX && p->pool_h <= INT32_MAX &&
                 p->pool_w <= INT32_MAX;
    if (!positive || !small) {
        hl_graph_fail(
            g,
            "%s: kernel %lldx%lld, stride %d and pool %lldx%lld must be within 1 and %d, padding %d at "
            "least 0",
            op, (long long)p->kernel_h, (long long)p->kernel_w, p->stride, (long long)p->pool_h,
            (long long)p->pool_w, INT32_MAX, p->padding);
        return false;
    }
    *rows = hl_window_count(x.dim[2], p->kernel_h, p->stride, p->padding);
    *columns = hl_window_count(x.dim[3], p->kernel_w, p->stride, p->padding);
    if (*rows < 1 || *columns < 1) {
        hl_graph_fail(g, "%s: a kernel of %lldx%lld is larger than an image of %lldx%lld padded by %d", op,
                      (long long)p->kernel_h, (long long)p->kernel_w, (long long)x.dim[2],
                      (long long)x.dim[3], p->padding);
        return false;
    }
    return true;
}

/* [B,h,w,C*kh*kw]; rank 0 after hl_graph_fail. */
static hl_shape patches_of(hl_graph *g, const hl_node *n, hl_shape x)
{
    const hl_patch_params *p = n->params;
    int64_t rows, columns;
    hl_shape patch = {3, {x.dim[1], p->kernel_h, p->kernel_w}};
    if (!positions(g, n->op->name, p, x, &rows, &columns))
        return (hl_shape){0};
    if (hl_shape_count(patch) < 0) {
        hl_graph_fail(g, "%s: a patch of %s is too large", n->op->name, hl_shape_print(patch).text);
        return (hl_shape){0};
    }
    return (hl_shape){4, {x.dim[0], p->pool_h, p->pool_w, hl_shape_count(patch)}};
}

static bool patch_mean_shape(hl_graph *g, hl_node *n)
{
    hl_shape out;
    if (!hl_want_dtypes(g, n) || !(out = patches_of(g, n, hl_node_in(g, n, 0)->shape)).rank)
        return false;
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), out);
    return !g->failed;
}

static bool patch_mean_backward_shape(hl_graph *g, hl_node *n)
{
    const hl_patch_params *p = n->params;
    hl_shape dy = hl_node_in(g, n, 0)->shape;
    hl_shape dx = {4, {dy.dim[0], p->channels, p->height, p->width}}, want;
    if (!hl_want_dtypes(g, n) || !(want = patches_of(g, n, dx)).rank)
        return false;
    if (!hl_shape_equal(dy, want)) {
        hl_graph_fail(g, "patch_mean_backward: dy is %s, x %s gives %s", hl_shape_print(dy).text,
                      hl_shape_print(dx).text, hl_shape_print(want).text);
        return false;
    }
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), dx);
    return !g->failed;
}

/* ------------------------------------------------------------------ references */

/* One patch element over one cell: the elements of x at which it reads, each weighted 1/positions. */
typedef struct cell {
    const hl_patch_params *p;
    hl_shape x;
    int64_t begin[2], end[2]; /* positions of the convolution: rows, columns */
    int64_t plane, ki, kj;    /* plane: b * C + c */
} cell;

/* Element o of patches [B,h,w,C*kh*kw]. */
static cell cell_of(const hl_patch_params *p, hl_shape x, int64_t o)
{
    int64_t rows = hl_window_count(x.dim[2], p->kernel_h, p->stride, p->padding);
    int64_t columns = hl_window_count(x.dim[3], p->kernel_w, p->stride, p->padding);
    int64_t taps = p->kernel_h * p->kernel_w, C = x.dim[1], place = o / (C * taps);
    int64_t i = place / p->pool_w % p->pool_h, j = place % p->pool_w;
    return (cell){.p = p,
                  .x = x,
                  .begin = {hl_cell_begin(i, rows, p->pool_h), hl_cell_begin(j, columns, p->pool_w)},
                  .end = {hl_cell_end(i, rows, p->pool_h), hl_cell_end(j, columns, p->pool_w)},
                  .plane = place / (p->pool_h * p->pool_w) * C + o / taps % C,
                  .ki = o / p->kernel_w % p->kernel_h,
                  .kj = o % p->kernel_w};
}

static double cell_area(const cell *c)
{
    return (double)((c->end[0] - c->begin[0]) * (c->end[1] - c->begin[1]));
}

/* Sum of x over the cell, or share added to each of its elements (share NULL: only the sum). */
static double visit(const cell *c, double *x, const double *share)
{
    double sum = 0;
    for (int64_t r = c->begin[0]; r < c->end[0]; r++) {
        for (int64_t s = c->begin[1]; s < c->end[1]; s++) {
            int64_t row = r * c->p->stride - c->p->padding + c->ki;
            int64_t column = s * c->p->stride - c->p->padding + c->kj;
            if (row < 0 || row >= c->x.dim[2] || column < 0 || column >= c->x.dim[3])
                continue;
            double *at = &x[(c->plane * c->x.dim[2] + row) * c->x.dim[3] + column];
            if (share)
                *at += *share;
            sum += *at;
        }
    }
    return sum;
}

static void patch_mean_reference(const hl_ref_call *c)
{
    for (int64_t o = 0; o < c->out[0].count; o++) {
        cell at = cell_of(c->params, c->in[0].shape, o);
        c->out[0].data[o] = visit(&at, c->in[0].data, NULL) / cell_area(&at);
    }
}

static void patch_mean_backward_reference(const hl_ref_call *c)
{
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].data[i] = 0;
    for (int64_t o = 0; o < c->in[0].count; o++) {
        cell at = cell_of(c->params, c->out[0].shape, o);
        double share = c->in[0].data[o] / cell_area(&at);
        visit(&at, c->out[0].data, &share);
    }
}

/* ------------------------------------------------------------------ gradient */

static void patch_mean_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                                hl_tensor *dx)
{
    hl_shape x = hl_shape_of(g, n->in[0]);
    hl_patch_params p;
    memcpy(&p, n->params, sizeof p);
    p.channels = x.dim[1];
    p.height = x.dim[2];
    p.width = x.dim[3];
    if (needed[0])
        dx[0] = hl_graph_apply(g, &hl_op_patch_mean_backward, 1, dy, &p);
}

/* One addition per patch element and position of the convolution. */
static double additions(const hl_node *n, hl_shape x)
{
    const hl_patch_params *p = n->params;
    return (double)hl_window_count(x.dim[2], p->kernel_h, p->stride, p->padding) *
           (double)hl_window_count(x.dim[3], p->kernel_w, p->stride, p->padding) *
           (double)(x.dim[0] * x.dim[1]) * (double)(p->kernel_h * p->kernel_w);
}

static double patch_mean_flops(const hl_graph *g, const hl_node *n)
{
    return additions(n, hl_shape_of(g, n->in[0]));
}

static double patch_mean_backward_flops(const hl_graph *g, const hl_node *n)
{
    return additions(n, hl_shape_of(g, hl_node_output(n, 0)));
}

static const hl_field patch_mean_fields[] = {HL_FIELD(hl_patch_params, kernel_h, HL_FIELD_SIZE),
                                             HL_FIELD(hl_patch_params, kernel_w, HL_FIELD_SIZE),
                                             HL_FIELD(hl_patch_params, stride, HL_FIELD_INT),
                                             HL_FIELD(hl_patch_params, padding, HL_FIELD_INT),
                                             HL_FIELD(hl_patch_params, pool_h, HL_FIELD_SIZE),
                                             HL_FIELD(hl_patch_params, pool_w, HL_FIELD_SIZE),
                                             {0}};

const hl_op_def hl_op_patch_mean = {.name = "patch_mean",
                                    .params_size = sizeof(hl_patch_params),
                                    .fields = patch_mean_fields,
                                    .min_in = 1,
                                    .max_in = 1,
                                    .n_out = 1,
                                    .precision = HL_FOLLOWS,
                                    .low_in = 1,
                                    .low_out = 1,
                                    .shape = patch_mean_shape,
                                    .gradient = patch_mean_gradient,
                                    .reference = patch_mean_reference,
                                    .flops = patch_mean_flops};

const hl_op_def hl_op_patch_mean_backward = {.name = "patch_mean_backward",
                                             .params_size = sizeof(hl_patch_params),
                                             .min_in = 1,
                                             .max_in = 1,
                                             .n_out = 1,
                                             .precision = HL_FOLLOWS,
                                             .low_in = 1,
                                             .low_out = 1,
                                             .shape = patch_mean_backward_shape,
                                             .reference = patch_mean_backward_reference,
                                             .flops = patch_mean_backward_flops};

hl_tensor hl_patch_mean(hl_graph *g, hl_tensor x, int kernel_h, int kernel_w, int stride, int padding,
                        int64_t h, int64_t w)
{
    hl_patch_params p;
    memset(&p, 0, sizeof p);
    p.kernel_h = kernel_h;
    p.kernel_w = kernel_w;
    p.stride = stride;
    p.padding = padding;
    p.pool_h = h;
    p.pool_w = w;
    return hl_graph_apply(g, &hl_op_patch_mean, 1, &x, &p);
}
