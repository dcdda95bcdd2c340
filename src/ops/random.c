/* Ops that draw: see base/philox.h. A stream is given to each when it is built, so that rewriting,
 * recomputing and differentiating the graph change no number. */
#include "ops/ops.h"

#include "base/philox.h"

#include <math.h>
#include <string.h>

static bool dropout_shape(hl_graph *g, hl_node *n)
{
    const hl_dropout_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    if (!hl_want_dtypes(g, n))
        return false;
    if (!(p->p >= 0 && p->p < 1)) {
        hl_graph_fail(g, "dropout: p = %g is not in [0,1)", (double)p->p);
        return false;
    }
    if (p->group < 1 || p->group > INT32_MAX) {
        hl_graph_fail(g, "dropout: groups of %lld elements; must be within 1 and %d", (long long)p->group,
                      INT32_MAX);
        return false;
    }
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), x->shape);
    return !g->failed;
}

static void dropout_reference(const hl_ref_call *c)
{
    const hl_dropout_params *p = c->params;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        uint64_t j = (uint64_t)(i / p->group);
        hl_philox words = hl_philox_block(c->seed, c->step, p->stream, j / 4);
        bool keep = hl_uniform_float(words.v[j % 4]) >= p->p;
        c->out[0].data[i] = keep ? c->in[0].data[i] / (1.0 - (double)p->p) : 0;
    }
}

/* The same numbers again: nothing was stored. */
static void dropout_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                             hl_tensor *dx)
{
    const hl_dropout_params *p = n->params;
    if (needed[0])
        dx[0] = hl_dropout_stream(g, dy[0], p->p, p->stream, p->group);
}

static const hl_field dropout_fields[] = {HL_FIELD(hl_dropout_params, group, HL_FIELD_SIZE),
                                          HL_FIELD(hl_dropout_params, p, HL_FIELD_FLOAT),
                                          HL_FIELD(hl_dropout_params, stream, HL_FIELD_STREAM),
                                          {0}};

const hl_op_def hl_op_dropout = {.name = "dropout",
                                 .params_size = sizeof(hl_dropout_params),
                                 .fields = dropout_fields,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .n_out = 1,
                                 .in_place = 1,
                                 .precision = HL_FOLLOWS,
                                 .low_in = 1,
                                 .low_out = 1,
                                 .shape = dropout_shape,
                                 .gradient = dropout_gradient,
                                 .reference = dropout_reference};

hl_tensor hl_dropout_stream(hl_graph *g, hl_tensor x, float p, uint32_t stream, int64_t group)
{
    hl_dropout_params params;
    memset(&params, 0, sizeof params);
    params.group = group;
    params.p = p;
    params.stream = stream;
    return hl_graph_apply(g, &hl_op_dropout, 1, &x, &params);
}

hl_tensor hl_dropout(hl_graph *g, hl_tensor x, float p)
{
    if (!g || g->failed || p == 0)
        return x;
    return hl_dropout_stream(g, x, p, g->streams++, 1);
}

static bool normal_shape(hl_graph *g, hl_node *n)
{
    const hl_normal_params *p = n->params;
    hl_node_out(g, n, 0, HL_F32, p->shape);
    return !g->failed;
}

static void normal_reference(const hl_ref_call *c)
{
    const hl_normal_params *p = c->params;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        hl_philox words = hl_philox_block(c->seed, c->step, p->stream, (uint64_t)i / 4);
        int pair = (int)(i % 4) / 2 * 2;
        double radius = sqrt(-2 * log(hl_uniform_open(words.v[pair])));
        double angle = 2 * M_PI * hl_uniform_float(words.v[pair + 1]);
        c->out[0].data[i] = radius * (i % 2 ? sin(angle) : cos(angle));
    }
}

static const hl_field normal_fields[] = {HL_FIELD(hl_normal_params, shape, HL_FIELD_SHAPE),
                                         HL_FIELD(hl_normal_params, stream, HL_FIELD_STREAM),
                                         {0}};

const hl_op_def hl_op_normal = {.name = "normal",
                                .params_size = sizeof(hl_normal_params),
                                .fields = normal_fields,
                                .n_out = 1,
                                .shape = normal_shape,
                                .reference = normal_reference};

hl_tensor hl_normal(hl_graph *g, int rank, const int64_t *dim)
{
    hl_normal_params p;
    memset(&p, 0, sizeof p);
    p.shape = hl_shape_make(rank, dim);
    if (!g || g->failed)
        return (hl_tensor){0};
    p.stream = g->streams++;
    return hl_graph_apply(g, &hl_op_normal, 0, NULL, &p);
}
