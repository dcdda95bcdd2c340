/* Sums over axes, and what is made of them. Every kernel sums in double, in a fixed order. */
#include "ops/ops.h"

static bool reduce_shape(hl_graph *g, hl_node *n)
{
    const hl_reduce_params *p = n->params;
    hl_shape in = hl_node_in(g, n, 0)->shape, out = {0};
    if (!hl_want_dtypes(g, n))
        return false;
    if (p->begin < 0 || p->end <= p->begin || p->end > in.rank) {
        hl_graph_fail(g, "reduce: [%d,%d) are not axes of %s", p->begin, p->end, hl_shape_print(in).text);
        return false;
    }
    for (int i = 0; i < in.rank; i++)
        if (i < p->begin || i >= p->end)
            out.dim[out.rank++] = in.dim[i];
    hl_node_out(g, n, 0, HL_F32, out);
    return !g->failed;
}

static void reduce_reference(const hl_ref_call *c)
{
    const hl_reduce_params *p = c->params;
    hl_shape in = c->in[0].shape;
    int64_t outer = hl_shape_span(in, 0, p->begin), count = hl_shape_span(in, p->begin, p->end);
    int64_t inner = hl_shape_span(in, p->end, in.rank);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < inner; i++) {
            double sum = 0;
            for (int64_t k = 0; k < count; k++)
                sum += c->in[0].data[(o * count + k) * inner + i];
            c->out[0].data[o * inner + i] = sum * p->scale;
        }
    }
}

static void reduce_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    const hl_reduce_params *p = n->params;
    hl_shape in = hl_shape_of(g, n->in[0]), kept = in;
    for (int i = p->begin; i < p->end; i++)
        kept.dim[i] = 1;
    if (needed[0])
        dx[0] = hl_expand(g, hl_reshape_to(g, hl_scale(g, dy[0], p->scale), kept), in.rank, in.dim);
}

static double reduce_flops(const hl_graph *g, const hl_node *n)
{
    return (double)hl_node_in(g, n, 0)->count;
}

static const hl_field reduce_fields[] = {HL_FIELD(hl_reduce_params, begin, HL_FIELD_INT),
                                         HL_FIELD(hl_reduce_params, end, HL_FIELD_INT),
                                         HL_FIELD(hl_reduce_params, scale, HL_FIELD_FLOAT),
                                         {0}};

const hl_op_def hl_op_reduce = {.name = "reduce",
                                .params_size = sizeof(hl_reduce_params),
                                .fields = reduce_fields,
                                .min_in = 1,
                                .max_in = 1,
                                .n_out = 1,
                                .low_in = 1,
                                .shape = reduce_shape,
                                .gradient = reduce_gradient,
                                .reference = reduce_reference,
                                .flops = reduce_flops};

hl_tensor hl_reduce(hl_graph *g, hl_tensor x, int begin, int end, float scale)
{
    hl_reduce_params p = {begin, end, scale};
    return hl_graph_apply(g, &hl_op_reduce, 1, &x, &p);
}

hl_tensor hl_sum(hl_graph *g, hl_tensor x, int axis)
{
    int k = axis < 0 ? axis + hl_shape_of(g, x).rank : axis;
    return hl_reduce(g, x, k, k + 1, 1);
}

/* x as a vector: what sums over everything read. */
static hl_tensor flat(hl_graph *g, hl_tensor x)
{
    return hl_reshape(g, x, 1, (int64_t[]){-1});
}

static int64_t count_of(const hl_graph *g, hl_tensor x)
{
    int64_t n = hl_shape_count(hl_shape_of(g, x));
    return n > 0 ? n : 1;
}

hl_tensor hl_sum_all(hl_graph *g, hl_tensor x)
{
    return hl_reduce(g, flat(g, x), 0, 1, 1);
}

hl_tensor hl_mean(hl_graph *g, hl_tensor x)
{
    return hl_reduce(g, flat(g, x), 0, 1, (float)(1.0 / (double)count_of(g, x)));
}

hl_tensor hl_variance(hl_graph *g, hl_tensor x)
{
    int64_t n = count_of(g, x);
    hl_tensor d = hl_sub(g, x, hl_mean(g, x));
    if (n < 2)
        return hl_graph_fail(g, "variance: %s has fewer than two elements",
                             hl_shape_print(hl_shape_of(g, x)).text);
    return hl_reduce(g, flat(g, hl_mul(g, d, d)), 0, 1, (float)(1.0 / (double)(n - 1)));
}

hl_tensor hl_sum_to(hl_graph *g, hl_tensor t, hl_shape shape)
{
    if (!g || g->failed || !t.id)
        return (hl_tensor){0};
    /* From the last axis to the first, so that the indices of the others stay. */
    int lead = hl_shape_of(g, t).rank - shape.rank;
    for (int end = hl_shape_of(g, t).rank; end > 0 && !g->failed;) {
        hl_shape now = hl_shape_of(g, t);
        int begin = end;
        while (begin > 0 &&
               (begin - 1 < lead || (shape.dim[begin - 1 - lead] == 1 && now.dim[begin - 1] != 1)))
            begin--;
        if (begin < end)
            t = hl_reduce(g, t, begin, end, 1);
        end = begin < end ? begin : end - 1;
    }
    return hl_reshape_to(g, t, shape);
}

/* ------------------------------------------------------------------ mse */

static bool mse_shape(hl_graph *g, hl_node *n)
{
    hl_shape a = hl_node_in(g, n, 0)->shape, b = hl_node_in(g, n, 1)->shape;
    if (!hl_want_dtypes(g, n))
        return false;
    if (!hl_shape_equal(a, b) || hl_shape_count(a) == 0) {
        hl_graph_fail(g, "mse: %s and %s must be equal and not empty", hl_shape_print(a).text,
                      hl_shape_print(b).text);
        return false;
    }
    hl_node_out(g, n, 0, HL_F32, (hl_shape){0});
    return !g->failed;
}

static void mse_reference(const hl_ref_call *c)
{
    double sum = 0;
    for (int64_t i = 0; i < c->in[0].count; i++) {
        double d = c->in[0].data[i] - c->in[1].data[i];
        sum += d * d;
    }
    c->out[0].data[0] = sum / (double)c->in[0].count;
}

static void mse_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    float factor = (float)(2.0 / (double)hl_node_in(g, n, 0)->count);
    hl_tensor d = hl_mul(g, hl_sub(g, n->in[0], n->in[1]), hl_scale(g, dy[0], factor));
    if (needed[0])
        dx[0] = d;
    if (needed[1])
        dx[1] = hl_scale(g, d, -1);
}

static double mse_flops(const hl_graph *g, const hl_node *n)
{
    return 3.0 * (double)hl_node_in(g, n, 0)->count;
}

const hl_op_def hl_op_mse = {.name = "mse",
                             .fields = hl_no_fields,
                             .min_in = 2,
                             .max_in = 2,
                             .n_out = 1,
                             .shape = mse_shape,
                             .gradient = mse_gradient,
                             .reference = mse_reference,
                             .flops = mse_flops};

hl_tensor hl_mse(hl_graph *g, hl_tensor a, hl_tensor b)
{
    return hl_graph_apply(g, &hl_op_mse, 2, (hl_tensor[]){a, b}, NULL);
}
