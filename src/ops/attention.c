/* Scaled dot-product attention (Vaswani et al. 2017) as one op: the probabilities are never stored.
 * The backward op makes them again from the logarithm of the softmax's denominator, as
 * FlashAttention does (Dao et al. 2022). */
#include "ops/ops.h"

#include "base/error.h"
#include "base/philox.h"

#include <math.h>
#include <string.h>

enum { Q, K, V };
enum { BACK_DY, BACK_Q, BACK_K, BACK_V, BACK_Y, BACK_LSE };
enum { Y, LSE };

static bool heads_fit(hl_graph *g, const hl_node *n, hl_shape q)
{
    const hl_attention_params *p = n->params;
    if (!(p->dropout >= 0 && p->dropout < 1)) {
        hl_graph_fail(g, "%s: dropout = %g is not in [0,1)", n->op->name, (double)p->dropout);
        return false;
    }
    if (p->heads < 1 || q.dim[2] % p->heads) {
        hl_graph_fail(g, "%s: %d heads do not divide the width of q %s", n->op->name, p->heads,
                      hl_shape_print(q).text);
        return false;
    }
    return true;
}

/* q [B or 1,T,C], k and v [B,S,C], S > 0 */
static bool operands_fit(hl_graph *g, const hl_node *n, int first)
{
    hl_shape q = hl_node_in(g, n, first + Q)->shape, k = hl_node_in(g, n, first + K)->shape;
    hl_shape v = hl_node_in(g, n, first + V)->shape;
    if (!hl_want_dtypes(g, n))
        return false;
    bool fits = q.rank == 3 && k.rank == 3 && hl_shape_equal(k, v) && q.dim[2] == k.dim[2] &&
                (q.dim[0] == k.dim[0] || q.dim[0] == 1);
    if (!fits) {
        hl_graph_fail(g, "%s: q %s, k %s and v %s must be [B or 1,T,C], [B,S,C] and [B,S,C]", n->op->name,
                      hl_shape_print(q).text, hl_shape_print(k).text, hl_shape_print(v).text);
        return false;
    }
    if (k.dim[1] == 0) {
        hl_graph_fail(g, "%s: k %s holds no keys to attend to", n->op->name, hl_shape_print(k).text);
        return false;
    }
    return heads_fit(g, n, q);
}

static hl_shape y_shape(hl_shape q, hl_shape k)
{
    return (hl_shape){3, {k.dim[0], q.dim[1], q.dim[2]}};
}

static hl_shape lse_shape(hl_shape q, hl_shape k, int heads)
{
    return (hl_shape){3, {k.dim[0], heads, q.dim[1]}};
}

static bool attention_shape(hl_graph *g, hl_node *n)
{
    const hl_attention_params *p = n->params;
    if (!operands_fit(g, n, Q))
        return false;
    hl_shape q = hl_node_in(g, n, Q)->shape, k = hl_node_in(g, n, K)->shape;
    hl_node_out(g, n, Y, hl_shared_dtype(g, n), y_shape(q, k));
    hl_node_out(g, n, LSE, HL_F32, lse_shape(q, k, p->heads));
    return !g->failed;
}

/* ------------------------------------------------------------------ reference */

typedef struct sizes {
    int64_t B, T, S, C, N, D;
    int64_t q_stride; /* 0: all samples share their queries */
    double scale;
} sizes;

static sizes sizes_of(const hl_attention_params *p, hl_shape q, hl_shape k)
{
    sizes z = {k.dim[0], q.dim[1], k.dim[1], k.dim[2], p->heads, k.dim[2] / p->heads, 0, 0};
    z.q_stride = q.dim[0] == k.dim[0] ? z.T * z.C : 0;
    z.scale = z.D ? 1 / sqrt((double)z.D) : 0;
    return z;
}

/* What the probability of key s is multiplied by: 0 or 1/(1-p). */
static double kept(const hl_ref_call *c, const sizes *z, int64_t b, int64_t t, int64_t n, int64_t s)
{
    const hl_attention_params *p = c->params;
    uint64_t j = (uint64_t)(((b * z->T + t) * z->N + n) * z->S + s);
    if (p->dropout == 0)
        return 1;
    hl_philox words = hl_philox_block(c->seed, c->step, p->stream, j / 4);
    return hl_uniform_float(words.v[j % 4]) >= p->dropout ? 1 / (1 - (double)p->dropout) : 0;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void attend(const hl_ref_call *c, const sizes *z, int64_t b, int64_t n, int64_t t)
{
    const double *q = c->in[Q].data + b * z->q_stride + t * z->C + n * z->D;
    const double *k = c->in[K].data + b * z->S * z->C + n * z->D;
    const double *v = c->in[V].data + b * z->S * z->C + n * z->D;
    double *y = c->out[Y].data + (b * z->T + t) * z->C + n * z->D, most = -INFINITY, sum = 0;
    for (int64_t s = 0; s < z->S; s++)
        most = fmax(most, z->scale * dot(q, k + s * z->C, z->D));
    for (int64_t s = 0; s < z->S; s++)
        sum += exp(z->scale * dot(q, k + s * z->C, z->D) - most);
    double lse = most + log(sum);
    for (int64_t d = 0; d < z->D; d++)
        y[d] = 0;
    for (int64_t s = 0; s < z->S; s++) {
        double p = exp(z->scale * dot(q, k + s * z->C, z->D) - lse) * kept(c, z, b, t, n, s);
        for (int64_t d = 0; d < z->D; d++)
            y[d] += p * v[s * z->C + d];
    }
    c->out[LSE].data[(b * z->N + n) * z->T + t] = lse;
}

static void attention_reference(const hl_ref_call *c)
{
    sizes z = sizes_of(c->params, c->in[Q].shape, c->in[K].shape);
    for (int64_t b = 0; b < z.B; b++)
        for (int64_t n = 0; n < z.N; n++)
            for (int64_t t = 0; t < z.T; t++)
                attend(c, &z, b, n, t);
}

/* With P the probabilities, M what dropout multiplies them by, and dP = M (dy . v):
 *     dS = P (dP - dy . y),  dq = scale dS k,  dk = scale dS^T q,  dv = (P M)^T dy */
static void attend_backward(const hl_ref_call *c, const sizes *z, int64_t b, int64_t n, int64_t t)
{
    int64_t at_q = b * z->q_stride + t * z->C + n * z->D, at_k = b * z->S * z->C + n * z->D;
    int64_t at_y = (b * z->T + t) * z->C + n * z->D;
    const double *dy = c->in[BACK_DY].data + at_y, *q = c->in[BACK_Q].data + at_q;
    const double *k = c->in[BACK_K].data + at_k, *v = c->in[BACK_V].data + at_k;
    double *dq = c->out[Q].data + at_q, *dk = c->out[K].data + at_k, *dv = c->out[V].data + at_k;
    double lse = c->in[BACK_LSE].data[(b * z->N + n) * z->T + t];
    double delta = dot(dy, c->in[BACK_Y].data + at_y, z->D);
    for (int64_t s = 0; s < z->S; s++) {
        double p = exp(z->scale * dot(q, k + s * z->C, z->D) - lse), m = kept(c, z, b, t, n, s);
        double ds = z->scale * p * (m * dot(dy, v + s * z->C, z->D) - delta);
        for (int64_t d = 0; d < z->D; d++) {
            dq[d] += ds * k[s * z->C + d];
            dk[s * z->C + d] += ds * q[d];
            dv[s * z->C + d] += p * m * dy[d];
        }
    }
}

static void attention_backward_reference(const hl_ref_call *c)
{
    sizes z = sizes_of(c->params, c->in[BACK_Q].shape, c->in[BACK_K].shape);
    for (int k = Q; k <= V; k++)
        memset(c->out[k].data, 0, (size_t)c->out[k].count * sizeof(double));
    for (int64_t b = 0; b < z.B; b++)
        for (int64_t n = 0; n < z.N; n++)
            for (int64_t t = 0; t < z.T; t++)
                attend_backward(c, &z, b, n, t);
}

/* ------------------------------------------------------------------ gradient */

static void attention_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                               hl_tensor *dx)
{
    HL_ASSERT(dy[Y].id && !dy[LSE].id); /* no builder hands out lse */
    hl_tensor in[] = {dy[Y], n->in[Q], n->in[K], n->in[V], hl_node_output(n, Y), hl_node_output(n, LSE)};
    const hl_node *back = hl_graph_append(g, &hl_op_attention_backward, 6, in, n->params);
    for (int k = Q; k <= V; k++)
        if (needed[k])
            dx[k] = hl_node_output(back, k);
}

static bool attention_backward_shape(hl_graph *g, hl_node *n)
{
    const hl_attention_params *p = n->params;
    if (!operands_fit(g, n, BACK_Q))
        return false;
    hl_shape q = hl_node_in(g, n, BACK_Q)->shape, k = hl_node_in(g, n, BACK_K)->shape;
    hl_shape dy = hl_node_in(g, n, BACK_DY)->shape, y = hl_node_in(g, n, BACK_Y)->shape;
    hl_shape lse = hl_node_in(g, n, BACK_LSE)->shape;
    if (!hl_shape_equal(dy, y_shape(q, k)) || !hl_shape_equal(y, dy) ||
        !hl_shape_equal(lse, lse_shape(q, k, p->heads))) {
        hl_graph_fail(g, "attention_backward: dy %s, y %s and lse %s do not belong to q %s and k %s",
                      hl_shape_print(dy).text, hl_shape_print(y).text, hl_shape_print(lse).text,
                      hl_shape_print(q).text, hl_shape_print(k).text);
        return false;
    }
    hl_node_out(g, n, Q, hl_shared_dtype(g, n), q);
    hl_node_out(g, n, K, hl_shared_dtype(g, n), k);
    hl_node_out(g, n, V, hl_shared_dtype(g, n), k);
    return !g->failed;
}

/* Two products of T x S x D per head forward, five backward. */
static double attention_flops(const hl_graph *g, const hl_node *n)
{
    bool backward = n->op == &hl_op_attention_backward;
    int first = backward ? BACK_Q : Q;
    double rows = (double)hl_node_in(g, n, first + Q)->shape.dim[1];
    return (backward ? 10 : 4) * rows * (double)hl_node_in(g, n, first + K)->count;
}

static const hl_field attention_fields[] = {HL_FIELD(hl_attention_params, heads, HL_FIELD_INT),
                                            HL_FIELD(hl_attention_params, dropout, HL_FIELD_FLOAT),
                                            HL_FIELD(hl_attention_params, stream, HL_FIELD_STREAM),
                                            {0}};

const hl_op_def hl_op_attention = {.name = "attention",
                                   .params_size = sizeof(hl_attention_params),
                                   .fields = attention_fields,
                                   .min_in = 3,
                                   .max_in = 3,
                                   .n_out = 2,
                                   .precision = HL_RUNS_LOW,
                                   .low_in = 7,
                                   .low_out = 1u << Y,
                                   .shape = attention_shape,
                                   .gradient = attention_gradient,
                                   .reference = attention_reference,
                                   .flops = attention_flops};

const hl_op_def hl_op_attention_backward = {.name = "attention_backward",
                                            .params_size = sizeof(hl_attention_params),
                                            .min_in = 6,
                                            .max_in = 6,
                                            .n_out = 3,
                                            .precision = HL_RUNS_LOW,
                                            .low_in = 31, /* all but lse */
                                            .low_out = 7,
                                            .shape = attention_backward_shape,
                                            .reference = attention_backward_reference,
                                            .flops = attention_flops};

hl_tensor hl_attention(hl_graph *g, hl_tensor q, hl_tensor k, hl_tensor v, int heads, float dropout)
{
    hl_attention_params p = {heads, dropout, 0};
    if (!g || g->failed)
        return (hl_tensor){0};
    if (dropout > 0)
        p.stream = g->streams++;
    return hl_graph_apply(g, &hl_op_attention, 3, (hl_tensor[]){q, k, v}, &p);
}
