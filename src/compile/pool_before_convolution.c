/* A convolution followed by an average pool is linear in the patches, so pool the patches first:
 *     pool(w * x + b) = w pool(patches(x)) + b
 * Exact in real arithmetic; the product shrinks by the size of a pool cell. */
#include "compile/passes.h"

#include "ops/ops.h"

static hl_tensor pooled(hl_graph *g, const hl_node *conv, hl_tensor x, hl_tensor w, hl_tensor b, int64_t h,
                        int64_t wide)
{
    const hl_conv_params *p = conv->params;
    hl_shape k = hl_shape_of(g, w), in = hl_shape_of(g, x);
    int64_t patch = k.dim[1] * k.dim[2] * k.dim[3];
    hl_tensor patches = hl_patch_mean(g, x, (int)k.dim[2], (int)k.dim[3], p->stride, p->padding, h, wide);
    hl_tensor rows = hl_reshape(g, patches, 2, (int64_t[]){in.dim[0] * h * wide, patch});
    hl_tensor flat = hl_reshape(g, w, 2, (int64_t[]){k.dim[0], patch});
    hl_tensor y = hl_linear(g, rows, flat, b);
    y = hl_reshape(g, y, 4, (int64_t[]){in.dim[0], h, wide, k.dim[0]});
    return hl_transpose(g, y, (int[]){0, 3, 1, 2});
}

static bool rule(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    if (n->op != &hl_op_avg_pool || r->uses[n->in[0].id] != 1)
        return false;
    const hl_node *conv = hl_made_by(g, in[0], &hl_op_conv2d);
    if (!conv || ((const hl_conv_params *)conv->params)->activation != HL_ACT_NONE)
        return false;
    const hl_pool_params *p = n->params;
    hl_shape y = hl_shape_of(g, in[0]);
    if (2 * p->height * p->width > y.dim[2] * y.dim[3])
        return false; /* cells of less than two positions gain nothing */
    out[0] = pooled(g, conv, conv->in[0], conv->in[1], conv->in[2], p->height, p->width);
    return true;
}

hl_graph *hl_pass_pool_before_convolution(const hl_graph *g)
{
    return hl_graph_rewrite(g, rule, NULL);
}
