/* Elementwise ops. Binary ones broadcast as NumPy does. */
#include "ops/ops.h"

#include "base/error.h"

#include <math.h>

/* ------------------------------------------------------------------ binary */

static bool broadcast_shape(hl_shape a, hl_shape b, hl_shape *out)
{
    int rank = a.rank > b.rank ? a.rank : b.rank;
    *out = (hl_shape){.rank = rank};
    for (int i = 1; i <= rank; i++) {
        int64_t da = i <= a.rank ? a.dim[a.rank - i] : 1;
        int64_t db = i <= b.rank ? b.dim[b.rank - i] : 1;
        if (da != db && da != 1 && db != 1)
            return false;
        out->dim[rank - i] = da == 1 ? db : da;
    }
    return true;
}

static bool binary_shape(hl_graph *g, hl_node *n)
{
    const hl_tensor_info *a = hl_node_in(g, n, 0), *b = hl_node_in(g, n, 1);
    hl_shape out;
    if (!hl_want_dtypes(g, n))
        return false;
    if (!broadcast_shape(a->shape, b->shape, &out)) {
        hl_graph_fail(g, "%s: shapes %s and %s do not broadcast", n->op->name, hl_shape_print(a->shape).text,
                      hl_shape_print(b->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), out);
    return !g->failed;
}

/* Offset of output element i in an operand that broadcasts to the output. */
static int64_t broadcast_offset(hl_shape out, hl_shape in, int64_t i)
{
    int64_t offset = 0, stride = 1;
    for (int k = 1; k <= out.rank; k++) {
        int64_t at = i % out.dim[out.rank - k];
        i /= out.dim[out.rank - k];
        if (k <= in.rank) {
            if (in.dim[in.rank - k] > 1)
                offset += at * stride;
            stride *= in.dim[in.rank - k];
        }
    }
    return offset;
}

#define BINARY_REFERENCE(name, expression)                                                                   \
    static void name##_reference(const hl_ref_call *c)                                                       \
    {                                                                                                        \
        for (int64_t i = 0; i < c->out[0].count; i++) {                                                      \
            double a = c->in[0].data[broadcast_offset(c->out[0].shape, c->in[0].shape, i)];                  \
            double b = c->in[1].data[broadcast_offset(c->out[0].shape, c->in[1].shape, i)];                  \
            c->out[0].data[i] = expression;                                                                  \
        }                                                                                                    \
    }

BINARY_REFERENCE(add, a + b)
BINARY_REFERENCE(sub, a - b)
BINARY_REFERENCE(mul, a *b)
BINARY_REFERENCE(div, a / b)

static hl_tensor binary(hl_graph *g, const hl_op_def *op, hl_tensor a, hl_tensor b)
{
    return hl_graph_apply(g, op, 2, (hl_tensor[]){a, b}, NULL);
}

hl_tensor hl_add(hl_graph *g, hl_tensor a, hl_tensor b)
{
    return binary(g, &hl_op_add, a, b);
}

hl_tensor hl_sub(hl_graph *g, hl_tensor a, hl_tensor b)
{
    return binary(g, &hl_op_sub, a, b);
}

hl_tensor hl_mul(hl_graph *g, hl_tensor a, hl_tensor b)
{
    return binary(g, &hl_op_mul, a, b);
}

hl_tensor hl_div(hl_graph *g, hl_tensor a, hl_tensor b)
{
    return binary(g, &hl_op_div, a, b);
}

static void add_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    for (int k = 0; k < 2; k++)
        if (needed[k])
            dx[k] = hl_sum_to(g, dy[0], hl_shape_of(g, n->in[k]));
}

static void sub_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_sum_to(g, dy[0], hl_shape_of(g, n->in[0]));
    if (needed[1])
        dx[1] = hl_scale(g, hl_sum_to(g, dy[0], hl_shape_of(g, n->in[1])), -1);
}

static void mul_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    for (int k = 0; k < 2; k++)
        if (needed[k])
            dx[k] = hl_sum_to(g, hl_mul(g, dy[0], n->in[1 - k]), hl_shape_of(g, n->in[k]));
}

/* y = a/b: da = dy/b, db = -dy y/b */
static void div_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    hl_tensor da = hl_div(g, dy[0], n->in[1]);
    if (needed[0])
        dx[0] = hl_sum_to(g, da, hl_shape_of(g, n->in[0]));
    if (needed[1]) {
        hl_tensor db = hl_scale(g, hl_mul(g, da, hl_node_output(n, 0)), -1);
        dx[1] = hl_sum_to(g, db, hl_shape_of(g, n->in[1]));
    }
}

#define BINARY_OP(id)                                                                                        \
    const hl_op_def hl_op_##id = {.name = #id,                                                               \
                                  .fields = hl_no_fields,                                                    \
                                  .min_in = 2,                                                               \
                                  .max_in = 2,                                                               \
                                  .n_out = 1,                                                                \
                                  .in_place = 3,                                                             \
                                  .precision = HL_FOLLOWS,                                                   \
                                  .low_in = 3,                                                               \
                                  .low_out = 1,                                                              \
                                  .shape = binary_shape,                                                     \
                                  .gradient = id##_gradient,                                                 \
                                  .reference = id##_reference};
BINARY_OP(add)
BINARY_OP(sub)
BINARY_OP(mul)
BINARY_OP(div)

/* ------------------------------------------------------------------ unary */

static bool unary_shape(hl_graph *g, hl_node *n)
{
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    if (!hl_want_dtypes(g, n))
        return false;
    if (n->n_in == 2 && !hl_shape_equal(x->shape, hl_node_in(g, n, 1)->shape)) {
        hl_graph_fail(g, "%s: shapes %s and %s differ", n->op->name, hl_shape_print(x->shape).text,
                      hl_shape_print(hl_node_in(g, n, 1)->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, hl_shared_dtype(g, n), x->shape);
    return !g->failed;
}

#define UNARY_REFERENCE(name, expression)                                                                    \
    static void name##_reference(const hl_ref_call *c)                                                       \
    {                                                                                                        \
        for (int64_t i = 0; i < c->out[0].count; i++) {                                                      \
            double x = c->in[0].data[i];                                                                     \
            c->out[0].data[i] = expression;                                                                  \
        }                                                                                                    \
    }

/* dy, then the tensor the derivative is read from */
#define BACKWARD_REFERENCE(name, expression)                                                                 \
    static void name##_reference(const hl_ref_call *c)                                                       \
    {                                                                                                        \
        for (int64_t i = 0; i < c->out[0].count; i++) {                                                      \
            double dy = c->in[0].data[i], x = c->in[1].data[i];                                              \
            c->out[0].data[i] = expression;                                                                  \
        }                                                                                                    \
    }

static double normal_cdf(double x)
{
    return 0.5 * (1 + erf(x * M_SQRT1_2));
}

static double normal_density(double x)
{
    return exp(-0.5 * x * x) * 0.5 * M_SQRT1_2 * M_2_SQRTPI;
}

/* A NaN stays a NaN: a comparison that loses it would hide a diverged run. */
double hl_activation_reference(hl_activation activation, double x)
{
    if (activation == HL_ACT_RELU)
        return x <= 0 ? 0 : x;
    if (activation == HL_ACT_GELU)
        return x * normal_cdf(x);
    return x;
}

UNARY_REFERENCE(relu, hl_activation_reference(HL_ACT_RELU, x))
BACKWARD_REFERENCE(relu_backward, x > 0 ? dy : 0)
UNARY_REFERENCE(gelu, hl_activation_reference(HL_ACT_GELU, x))
BACKWARD_REFERENCE(gelu_backward, dy *(normal_cdf(x) + x * normal_density(x)))
UNARY_REFERENCE(exp, exp(x))

hl_tensor hl_relu(hl_graph *g, hl_tensor x)
{
    return hl_graph_apply(g, &hl_op_relu, 1, &x, NULL);
}

hl_tensor hl_gelu(hl_graph *g, hl_tensor x)
{
    return hl_graph_apply(g, &hl_op_gelu, 1, &x, NULL);
}

hl_tensor hl_exp(hl_graph *g, hl_tensor x)
{
    return hl_graph_apply(g, &hl_op_exp, 1, &x, NULL);
}

/* From the output, not the input: y > 0 iff x > 0, and the input need not be kept. */
static void relu_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                          hl_tensor *dx)
{
    if (needed[0])
        dx[0] = binary(g, &hl_op_relu_backward, dy[0], hl_node_output(n, 0));
}

static void gelu_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                          hl_tensor *dx)
{
    if (needed[0])
        dx[0] = binary(g, &hl_op_gelu_backward, dy[0], n->in[0]);
}

static void exp_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_mul(g, dy[0], hl_node_output(n, 0));
}

#define UNARY_OP(id)                                                                                         \
    const hl_op_def hl_op_##id = {.name = #id,                                                               \
                                  .fields = hl_no_fields,                                                    \
                                  .min_in = 1,                                                               \
                                  .max_in = 1,                                                               \
                                  .n_out = 1,                                                                \
                                  .in_place = 1,                                                             \
                                  .precision = HL_FOLLOWS,                                                   \
                                  .low_in = 1,                                                               \
                                  .low_out = 1,                                                              \
                                  .shape = unary_shape,                                                      \
                                  .gradient = id##_gradient,                                                 \
                                  .reference = id##_reference};
#define BACKWARD_OP(id)                                                                                      \
    const hl_op_def hl_op_##id = {.name = #id,                                                               \
                                  .min_in = 2,                                                               \
                                  .max_in = 2,                                                               \
                                  .n_out = 1,                                                                \
                                  .in_place = 3,                                                             \
                                  .precision = HL_FOLLOWS,                                                   \
                                  .low_in = 3,                                                               \
                                  .low_out = 1,                                                              \
                                  .shape = unary_shape,                                                      \
                                  .reference = id##_reference};
UNARY_OP(relu)
UNARY_OP(gelu)
UNARY_OP(exp)
BACKWARD_OP(relu_backward)
BACKWARD_OP(gelu_backward)

static void affine_reference(const hl_ref_call *c)
{
    const hl_affine_params *p = c->params;
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].data[i] = c->in[0].data[i] * p->factor + p->offset;
}

static void affine_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    const hl_affine_params *p = n->params;
    if (needed[0])
        dx[0] = hl_scale(g, dy[0], p->factor);
}

static const hl_field affine_fields[] = {HL_FIELD(hl_affine_params, factor, HL_FIELD_FLOAT),
                                         HL_FIELD(hl_affine_params, offset, HL_FIELD_FLOAT),
                                         {0}};

const hl_op_def hl_op_affine = {.name = "affine",
                                .params_size = sizeof(hl_affine_params),
                                .fields = affine_fields,
                                .min_in = 1,
                                .max_in = 1,
                                .n_out = 1,
                                .in_place = 1,
                                .precision = HL_FOLLOWS,
                                .low_in = 1,
                                .low_out = 1,
                                .shape = unary_shape,
                                .gradient = affine_gradient,
                                .reference = affine_reference};

hl_tensor hl_affine(hl_graph *g, hl_tensor x, float factor, float offset)
{
    hl_affine_params p = {factor, offset};
    return hl_graph_apply(g, &hl_op_affine, 1, &x, &p);
}

hl_tensor hl_scale(hl_graph *g, hl_tensor x, float factor)
{
    return hl_affine(g, x, factor, 0);
}
