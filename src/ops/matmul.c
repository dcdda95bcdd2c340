#include "ops/ops.h"

#include "base/error.h"

enum { A, B, BIAS, ADDEND };

static bool matmul_shape(hl_graph *g, hl_node *n)
{
    const hl_matmul_params *p = n->params;
    hl_shape a = hl_node_in(g, n, A)->shape, b = hl_node_in(g, n, B)->shape;
    if (!hl_want_out(g, n, BIAS, p->out))
        return false;
    if (a.rank != 2 || b.rank != 2 || a.dim[!p->transpose_a] != b.dim[p->transpose_b]) {
        hl_graph_fail(g, "matmul: %s%s and %s%s do not fit together", hl_shape_print(a).text,
                      p->transpose_a ? " transposed" : "", hl_shape_print(b).text,
                      p->transpose_b ? " transposed" : "");
        return false;
    }
    hl_shape out = {2, {a.dim[p->transpose_a], b.dim[!p->transpose_b]}};
    if (n->in[BIAS].id && !hl_shape_equal(hl_node_in(g, n, BIAS)->shape, (hl_shape){1, {out.dim[1]}})) {
        hl_graph_fail(g, "matmul: the bias is %s, it must be [%lld]",
                      hl_shape_print(hl_node_in(g, n, BIAS)->shape).text, (long long)out.dim[1]);
        return false;
    }
    if (n->in[ADDEND].id && !hl_shape_equal(hl_node_in(g, n, ADDEND)->shape, out)) {
        hl_graph_fail(g, "matmul: the addend is %s, it must be %s",
                      hl_shape_print(hl_node_in(g, n, ADDEND)->shape).text, hl_shape_print(out).text);
        return false;
    }
    hl_node_out(g, n, 0, p->out, out);
    return !g->failed;
}

static void matmul_reference(const hl_ref_call *c)
{
    const hl_matmul_params *p = c->params;
    const hl_ref_tensor *a = &c->in[A], *b = &c->in[B];
    int64_t M = c->out[0].shape.dim[0], N = c->out[0].shape.dim[1], K = a->shape.dim[!p->transpose_a];
    for (int64_t i = 0; i < M; i++) {
        for (int64_t j = 0; j < N; j++) {
            double sum = c->in[BIAS].data ? c->in[BIAS].data[j] : 0;
            if (c->in[ADDEND].data)
                sum += c->in[ADDEND].data[i * N + j];
            for (int64_t k = 0; k < K; k++)
                sum += a->data[p->transpose_a ? k * M + i : i * K + k] *
                       b->data[p->transpose_b ? j * K + k : k * N + j];
            c->out[0].data[i * N + j] = hl_activation_reference(p->activation, sum);
        }
    }
}

/* y = op(a) op(b): d op(a) = dy op(b)^T, d op(b) = op(a)^T dy */
static void matmul_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    const hl_matmul_params *p = n->params;
    bool ta = p->transpose_a, tb = p->transpose_b;
    HL_ASSERT(p->activation == HL_ACT_NONE && !n->in[ADDEND].id); /* fused only after differentiation */
    if (needed[A])
        dx[A] = ta ? hl_matmul(g, n->in[B], tb, dy[0], true) : hl_matmul(g, dy[0], false, n->in[B], !tb);
    if (needed[B])
        dx[B] = tb ? hl_matmul(g, dy[0], true, n->in[A], ta) : hl_matmul(g, n->in[A], !ta, dy[0], false);
    if (n->in[BIAS].id && needed[BIAS])
        dx[BIAS] = hl_sum(g, dy[0], 0);
}

static double matmul_flops(const hl_graph *g, const hl_node *n)
{
    const hl_matmul_params *p = n->params;
    double K = (double)hl_node_in(g, n, A)->shape.dim[!p->transpose_a];
    return 2 * K * (double)hl_info(g, hl_node_output(n, 0))->count;
}

static const hl_field matmul_fields[] = {HL_FIELD(hl_matmul_params, transpose_a, HL_FIELD_BOOL),
                                         HL_FIELD(hl_matmul_params, transpose_b, HL_FIELD_BOOL),
                                         HL_FIELD_OF(hl_matmul_params, activation, hl_activation_words),
                                         HL_FIELD_OF(hl_matmul_params, out, hl_dtype_words),
                                         HL_FIELD_OF(hl_matmul_params, math, hl_math_words),
                                         {0}};

const hl_op_def hl_op_matmul = {.name = "matmul",
                                .params_size = sizeof(hl_matmul_params),
                                .fields = matmul_fields,
                                .min_in = 4,
                                .max_in = 4,
                                .n_out = 1,
                                .optional = 1u << BIAS | 1u << ADDEND,
                                .in_place = 1u << ADDEND,
                                .precision = HL_RUNS_LOW,
                                .low_in = 3,
                                .low_out = 1,
                                .out_dtype = offsetof(hl_matmul_params, out),
                                .math = offsetof(hl_matmul_params, math),
                                .activation = offsetof(hl_matmul_params, activation),
                                .addend = ADDEND,
                                .shape = matmul_shape,
                                .gradient = matmul_gradient,
                                .reference = matmul_reference,
                                .flops = matmul_flops};

hl_tensor hl_matmul_bias(hl_graph *g, hl_tensor a, bool transpose_a, hl_tensor b, bool transpose_b,
                         hl_tensor bias, hl_activation activation)
{
    hl_matmul_params p = {transpose_a, transpose_b, activation, HL_F32, HL_MATH_EXACT};
    return hl_graph_apply(g, &hl_op_matmul, 4, (hl_tensor[]){a, b, bias, {0}}, &p);
}

hl_tensor hl_matmul(hl_graph *g, hl_tensor a, bool transpose_a, hl_tensor b, bool transpose_b)
{
    return hl_matmul_bias(g, a, transpose_a, b, transpose_b, (hl_tensor){0}, HL_ACT_NONE);
}

hl_tensor hl_linear(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor b)
{
    hl_shape in = hl_shape_of(g, x), weight = hl_shape_of(g, w);
    if (!g || g->failed)
        return (hl_tensor){0};
    if (in.rank < 1 || weight.rank != 2 || in.dim[in.rank - 1] != weight.dim[1])
        return hl_graph_fail(g, "linear: the last dim of x %s must be the second of w %s",
                             hl_shape_print(in).text, hl_shape_print(weight).text);
    hl_tensor rows = hl_reshape(g, x, 2, (int64_t[]){hl_shape_span(in, 0, in.rank - 1), weight.dim[1]});
    hl_tensor y = hl_matmul_bias(g, rows, false, w, true, b, HL_ACT_NONE);
    in.dim[in.rank - 1] = weight.dim[0];
    return hl_reshape_to(g, y, in);
}
