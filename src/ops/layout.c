/* Ops that move elements and compute nothing. */
#include "ops/ops.h"

#include <string.h>

/* ------------------------------------------------------------------ reshape */

static bool reshape_shape(hl_graph *g, hl_node *n)
{
    const hl_reshape_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    if (hl_shape_count(p->shape) != x->count) {
        hl_graph_fail(g, "reshape: %s has other elements than %s", hl_shape_print(x->shape).text,
                      hl_shape_print(p->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, x->dtype, p->shape);
    return !g->failed;
}

static void copy_reference(const hl_ref_call *c)
{
    memcpy(c->out[0].data, c->in[0].data, (size_t)c->out[0].count * sizeof(double));
}

static bool reshape_view(const hl_graph *g, const hl_node *n, int64_t *offset)
{
    (void)g, (void)n;
    *offset = 0;
    return true;
}

static void reshape_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                             hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_reshape_to(g, dy[0], hl_shape_of(g, n->in[0]));
}

static const hl_field shape_fields[] = {HL_FIELD(hl_reshape_params, shape, HL_FIELD_SHAPE), {0}};

const hl_op_def hl_op_reshape = {.name = "reshape",
                                 .params_size = sizeof(hl_reshape_params),
                                 .fields = shape_fields,
                                 .min_in = 1,
                                 .max_in = 1,
                                 .n_out = 1,
                                 .precision = HL_FOLLOWS,
                                 .low_in = 1,
                                 .low_out = 1,
                                 .shape = reshape_shape,
                                 .gradient = reshape_gradient,
                                 .reference = copy_reference,
                                 .view = reshape_view};

hl_tensor hl_reshape_to(hl_graph *g, hl_tensor x, hl_shape shape)
{
    hl_reshape_params p;
    if (g && !g->failed && x.id && hl_shape_equal(hl_shape_of(g, x), shape))
        return x;
    memset(&p, 0, sizeof p);
    p.shape = shape;
    return hl_graph_apply(g, &hl_op_reshape, 1, &x, &p);
}

hl_tensor hl_reshape(hl_graph *g, hl_tensor x, int rank, const int64_t *dim)
{
    if (!g || g->failed || !x.id)
        return hl_graph_apply(g, &hl_op_reshape, 1, &x, &(hl_reshape_params){0});
    hl_shape shape = hl_shape_make(rank, dim);
    int64_t known = 1;
    int unknown = -1;
    for (int i = 0; i < rank; i++) {
        if (dim[i] == -1 && unknown >= 0)
            return hl_graph_fail(g, "reshape: two dims are -1");
        if (dim[i] == -1)
            unknown = i;
        else
            known *= dim[i];
    }
    if (unknown >= 0)
        shape.dim[unknown] = known > 0 ? hl_info(g, x)->count / known : 0;
    return hl_reshape_to(g, x, shape);
}

/* ------------------------------------------------------------------ transpose */

static bool transpose_shape(hl_graph *g, hl_node *n)
{
    const hl_transpose_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    hl_shape out = {.rank = x->shape.rank};
    unsigned seen = 0;
    for (int i = 0; i < out.rank; i++) {
        if (p->order[i] < 0 || p->order[i] >= out.rank || seen >> p->order[i] & 1) {
            hl_graph_fail(g, "transpose: the order of %s is no permutation", hl_shape_print(x->shape).text);
            return false;
        }
        seen |= 1u << p->order[i];
        out.dim[i] = x->shape.dim[p->order[i]];
    }
    hl_node_out(g, n, 0, x->dtype, out);
    return !g->failed;
}

static void transpose_reference(const hl_ref_call *c)
{
    const hl_transpose_params *p = c->params;
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t rest = i, offset = 0;
        for (int k = out.rank - 1; k >= 0; k--) {
            offset += rest % out.dim[k] * hl_shape_span(in, p->order[k] + 1, in.rank);
            rest /= out.dim[k];
        }
        c->out[0].data[i] = c->in[0].data[offset];
    }
}

static void transpose_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                               hl_tensor *dx)
{
    const hl_transpose_params *p = n->params;
    int inverse[HL_MAX_RANK] = {0};
    for (int i = 0; i < hl_shape_of(g, n->in[0]).rank; i++)
        inverse[p->order[i]] = i;
    if (needed[0])
        dx[0] = hl_transpose(g, dy[0], inverse);
}

/* Nothing moves when all but one of the dims that change places are 1. */
static bool transpose_view(const hl_graph *g, const hl_node *n, int64_t *offset)
{
    const hl_transpose_params *p = n->params;
    hl_shape in = hl_shape_of(g, n->in[0]);
    int last = -1;
    *offset = 0;
    for (int i = 0; i < in.rank; i++) {
        if (in.dim[p->order[i]] == 1)
            continue;
        if (p->order[i] < last)
            return false;
        last = p->order[i];
    }
    return true;
}

static const hl_field transpose_fields[] = {HL_FIELD(hl_transpose_params, order, HL_FIELD_ORDER), {0}};

const hl_op_def hl_op_transpose = {.name = "transpose",
                                   .params_size = sizeof(hl_transpose_params),
                                   .fields = transpose_fields,
                                   .min_in = 1,
                                   .max_in = 1,
                                   .n_out = 1,
                                   .precision = HL_FOLLOWS,
                                   .low_in = 1,
                                   .low_out = 1,
                                   .shape = transpose_shape,
                                   .gradient = transpose_gradient,
                                   .reference = transpose_reference,
                                   .view = transpose_view};

hl_tensor hl_transpose(hl_graph *g, hl_tensor x, const int *order)
{
    hl_transpose_params p = {{0}};
    for (int i = 0; i < hl_shape_of(g, x).rank; i++)
        p.order[i] = order[i];
    return hl_graph_apply(g, &hl_op_transpose, 1, &x, &p);
}

/* ------------------------------------------------------------------ slice */

static bool axis_ok(hl_graph *g, const hl_node *n, int axis)
{
    hl_shape s = hl_node_in(g, n, 0)->shape;
    if (axis >= 0 && axis < s.rank)
        return true;
    hl_graph_fail(g, "%s: %s has no axis %d", n->op->name, hl_shape_print(s).text, axis);
    return false;
}

static bool slice_shape(hl_graph *g, hl_node *n)
{
    const hl_slice_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    hl_shape out = x->shape;
    if (!axis_ok(g, n, p->axis))
        return false;
    if (p->begin < 0 || p->end < p->begin || p->end > out.dim[p->axis]) {
        hl_graph_fail(g, "slice: [%lld,%lld) is not within axis %d of %s", (long long)p->begin,
                      (long long)p->end, p->axis, hl_shape_print(out).text);
        return false;
    }
    out.dim[p->axis] = p->end - p->begin;
    hl_node_out(g, n, 0, x->dtype, out);
    return !g->failed;
}

static void slice_reference(const hl_ref_call *c)
{
    const hl_slice_params *p = c->params;
    hl_shape in = c->in[0].shape;
    int64_t outer = hl_shape_span(in, 0, p->axis), inner = hl_shape_span(in, p->axis + 1, in.rank);
    int64_t rows = p->end - p->begin;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < rows * inner; i++)
            c->out[0].data[o * rows * inner + i] =
                c->in[0].data[(o * in.dim[p->axis] + p->begin) * inner + i];
}

static void slice_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                           hl_tensor *dx)
{
    const hl_slice_params *p = n->params;
    if (needed[0])
        dx[0] = hl_pad(g, dy[0], p->axis, p->begin, hl_shape_of(g, n->in[0]).dim[p->axis] - p->end);
}

/* Rows of a matrix lie together. */
static bool slice_view(const hl_graph *g, const hl_node *n, int64_t *offset)
{
    const hl_slice_params *p = n->params;
    hl_shape in = hl_shape_of(g, n->in[0]);
    *offset = p->begin * hl_shape_span(in, p->axis + 1, in.rank);
    return hl_shape_span(in, 0, p->axis) == 1;
}

static const hl_field slice_fields[] = {HL_FIELD(hl_slice_params, axis, HL_FIELD_INT),
                                        HL_FIELD(hl_slice_params, begin, HL_FIELD_SIZE),
                                        HL_FIELD(hl_slice_params, end, HL_FIELD_SIZE),
                                        {0}};

const hl_op_def hl_op_slice = {.name = "slice",
                               .params_size = sizeof(hl_slice_params),
                               .fields = slice_fields,
                               .min_in = 1,
                               .max_in = 1,
                               .n_out = 1,
                               .precision = HL_FOLLOWS,
                               .low_in = 1,
                               .low_out = 1,
                               .shape = slice_shape,
                               .gradient = slice_gradient,
                               .reference = slice_reference,
                               .view = slice_view,
                               .reads_part = true};

static int positive_axis(const hl_graph *g, hl_tensor x, int axis)
{
    return axis < 0 ? axis + hl_shape_of(g, x).rank : axis;
}

hl_tensor hl_slice(hl_graph *g, hl_tensor x, int axis, int64_t begin, int64_t end)
{
    hl_slice_params p;
    memset(&p, 0, sizeof p);
    p.axis = positive_axis(g, x, axis);
    p.begin = begin;
    p.end = end;
    return hl_graph_apply(g, &hl_op_slice, 1, &x, &p);
}

/* ------------------------------------------------------------------ concat */

static bool concat_shape(hl_graph *g, hl_node *n)
{
    const hl_concat_params *p = n->params;
    const hl_tensor_info *first = hl_node_in(g, n, 0);
    hl_shape out = first->shape;
    if (!axis_ok(g, n, p->axis))
        return false;
    for (int k = 1; k < n->n_in; k++) {
        const hl_tensor_info *x = hl_node_in(g, n, k);
        hl_shape s = x->shape;
        if (s.rank == out.rank)
            s.dim[p->axis] = out.dim[p->axis];
        if (!hl_shape_equal(s, out) || x->dtype != first->dtype) {
            hl_graph_fail(g, "concat: operand %d is %s %s, operand 0 is %s %s (axis %d may differ)", k,
                          hl_dtype_name(x->dtype), hl_shape_print(x->shape).text, hl_dtype_name(first->dtype),
                          hl_shape_print(first->shape).text, p->axis);
            return false;
        }
        out.dim[p->axis] += x->shape.dim[p->axis];
        if (hl_shape_count(out) < 0) { /* before the next sum could overflow */
            hl_graph_fail(g, "concat: a result of %s is too large", hl_shape_print(out).text);
            return false;
        }
    }
    hl_node_out(g, n, 0, first->dtype, out);
    return !g->failed;
}

static void concat_reference(const hl_ref_call *c)
{
    const hl_concat_params *p = c->params;
    hl_shape out = c->out[0].shape;
    int64_t outer = hl_shape_span(out, 0, p->axis), row = hl_shape_span(out, p->axis, out.rank), at = 0;
    for (int k = 0; k < c->n_in; k++) {
        int64_t part = hl_shape_span(c->in[k].shape, p->axis, out.rank);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < part; i++)
                c->out[0].data[o * row + at + i] = c->in[k].data[o * part + i];
        at += part;
    }
}

static void concat_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    const hl_concat_params *p = n->params;
    int64_t at = 0;
    for (int k = 0; k < n->n_in; k++) {
        int64_t size = hl_shape_of(g, n->in[k]).dim[p->axis];
        if (needed[k])
            dx[k] = hl_slice(g, dy[0], p->axis, at, at + size);
        at += size;
    }
}

static const hl_field concat_fields[] = {HL_FIELD(hl_concat_params, axis, HL_FIELD_INT), {0}};

const hl_op_def hl_op_concat = {.name = "concat",
                                .params_size = sizeof(hl_concat_params),
                                .fields = concat_fields,
                                .min_in = 1,
                                .max_in = -1,
                                .n_out = 1,
                                .precision = HL_FOLLOWS,
                                .low_in = ~0u,
                                .low_out = 1,
                                .shape = concat_shape,
                                .gradient = concat_gradient,
                                .reference = concat_reference};

hl_tensor hl_concat(hl_graph *g, int n, const hl_tensor *x, int axis)
{
    if (n < 1)
        return hl_graph_fail(g, "concat: there is nothing to join");
    hl_concat_params p = {positive_axis(g, x[0], axis)};
    return hl_graph_apply(g, &hl_op_concat, n, x, &p);
}

/* ------------------------------------------------------------------ pad */

static bool pad_shape(hl_graph *g, hl_node *n)
{
    const hl_pad_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    hl_shape out = x->shape;
    if (!axis_ok(g, n, p->axis))
        return false;
    const int64_t most = INT64_MAX / 4; /* the sum of three fits */
    if (p->before < 0 || p->after < 0 || p->before > most || p->after > most) {
        hl_graph_fail(g, "pad: %lld before and %lld after; both must be within 0 and %lld",
                      (long long)p->before, (long long)p->after, (long long)most);
        return false;
    }
    out.dim[p->axis] += p->before + p->after;
    hl_node_out(g, n, 0, x->dtype, out);
    return !g->failed;
}

static void pad_reference(const hl_ref_call *c)
{
    const hl_pad_params *p = c->params;
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t outer = hl_shape_span(in, 0, p->axis), inner = hl_shape_span(in, p->axis + 1, in.rank);
    int64_t from = in.dim[p->axis] * inner, to = out.dim[p->axis] * inner;
    memset(c->out[0].data, 0, (size_t)c->out[0].count * sizeof(double));
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < from; i++)
            c->out[0].data[o * to + p->before * inner + i] = c->in[0].data[o * from + i];
}

static void pad_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                         hl_tensor *dx)
{
    const hl_pad_params *p = n->params;
    int64_t size = hl_shape_of(g, n->in[0]).dim[p->axis];
    if (needed[0])
        dx[0] = hl_slice(g, dy[0], p->axis, p->before, p->before + size);
}

static const hl_field pad_fields[] = {HL_FIELD(hl_pad_params, axis, HL_FIELD_INT),
                                      HL_FIELD(hl_pad_params, before, HL_FIELD_SIZE),
                                      HL_FIELD(hl_pad_params, after, HL_FIELD_SIZE),
                                      {0}};

const hl_op_def hl_op_pad = {.name = "pad",
                             .params_size = sizeof(hl_pad_params),
                             .fields = pad_fields,
                             .min_in = 1,
                             .max_in = 1,
                             .n_out = 1,
                             .precision = HL_FOLLOWS,
                             .low_in = 1,
                             .low_out = 1,
                             .shape = pad_shape,
                             .gradient = pad_gradient,
                             .reference = pad_reference};

hl_tensor hl_pad(hl_graph *g, hl_tensor x, int axis, int64_t before, int64_t after)
{
    hl_pad_params p;
    memset(&p, 0, sizeof p);
    p.axis = positive_axis(g, x, axis);
    p.before = before;
    p.after = after;
    return hl_graph_apply(g, &hl_op_pad, 1, &x, &p);
}

/* ------------------------------------------------------------------ expand */

static bool expand_shape(hl_graph *g, hl_node *n)
{
    const hl_reshape_params *p = n->params;
    const hl_tensor_info *x = hl_node_in(g, n, 0);
    bool fits = x->shape.rank <= p->shape.rank;
    for (int i = 1; fits && i <= x->shape.rank; i++) {
        int64_t from = x->shape.dim[x->shape.rank - i];
        fits = from == 1 || from == p->shape.dim[p->shape.rank - i];
    }
    if (!fits) {
        hl_graph_fail(g, "expand: %s does not broadcast to %s", hl_shape_print(x->shape).text,
                      hl_shape_print(p->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, x->dtype, p->shape);
    return !g->failed;
}

static void expand_reference(const hl_ref_call *c)
{
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t rest = i, offset = 0, stride = 1;
        for (int k = 1; k <= in.rank; k++) {
            int64_t size = in.dim[in.rank - k];
            offset += size > 1 ? rest % out.dim[out.rank - k] * stride : 0;
            rest /= out.dim[out.rank - k];
            stride *= size;
        }
        c->out[0].data[i] = c->in[0].data[offset];
    }
}

static void expand_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                            hl_tensor *dx)
{
    if (needed[0])
        dx[0] = hl_sum_to(g, dy[0], hl_shape_of(g, n->in[0]));
}

const hl_op_def hl_op_expand = {.name = "expand",
                                .params_size = sizeof(hl_reshape_params),
                                .fields = shape_fields,
                                .min_in = 1,
                                .max_in = 1,
                                .n_out = 1,
                                .precision = HL_FOLLOWS,
                                .low_in = 1,
                                .low_out = 1,
                                .shape = expand_shape,
                                .gradient = expand_gradient,
                                .reference = expand_reference};

hl_tensor hl_expand(hl_graph *g, hl_tensor x, int rank, const int64_t *dim)
{
    hl_reshape_params p;
    memset(&p, 0, sizeof p);
    p.shape = hl_shape_make(rank, dim);
    if (x.id && g && !g->failed && hl_shape_equal(hl_shape_of(g, x), p.shape))
        return x;
    return hl_graph_apply(g, &hl_op_expand, 1, &x, &p);
}
