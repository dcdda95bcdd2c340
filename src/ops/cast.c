/* Conversion between storage types; arithmetic is in f32. */
#include "ops/ops.h"

#include "base/half.h"

static bool cast_shape(hl_graph *g, hl_node *n)
{
    const hl_cast_params *p = n->params;
    if ((unsigned)p->dtype >= HL_FLOATS) {
        hl_graph_fail(g, "cast: to %s, which is none of f32, f16 and bf16", hl_dtype_name(p->dtype));
        return false;
    }
    hl_node_out(g, n, 0, p->dtype, hl_node_in(g, n, 0)->shape);
    return !g->failed;
}

/* The reference keeps doubles; a value of a 16-bit type is the nearest one of that type. */
static void cast_reference(const hl_ref_call *c)
{
    const hl_cast_params *p = c->params;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        double x = c->in[0].data[i];
        if (p->dtype == HL_F16)
            x = hl_f16_to_float(hl_float_to_f16((float)x));
        if (p->dtype == HL_BF16)
            x = hl_bf16_to_float(hl_float_to_bf16((float)x));
        c->out[0].data[i] = x;
    }
}

/* Straight through: rounding is taken as the identity. */
static void cast_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                          hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_cast(g, dy[0], hl_dtype_of(g, n->in[0]));
}

static const hl_field cast_fields[] = {HL_FIELD_OF(hl_cast_params, dtype, hl_dtype_words), {0}};

const hl_op_def hl_op_cast = {.name = "cast",
                              .params_size = sizeof(hl_cast_params),
                              .fields = cast_fields,
                              .min_in = 1,
                              .max_in = 1,
                              .n_out = 1,
                              .low_in = 1,
                              .shape = cast_shape,
                              .gradient = cast_gradient,
                              .reference = cast_reference};

hl_tensor hl_cast(hl_graph *g, hl_tensor x, hl_dtype dtype)
{
    hl_cast_params p = {dtype};
    if (x.id && g && !g->failed && hl_dtype_of(g, x) == dtype)
        return x;
    return hl_graph_apply(g, &hl_op_cast, 1, &x, &p);
}
