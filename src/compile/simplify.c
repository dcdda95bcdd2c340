/* Algebra that is exact (or rounds less): each rule looks at one node and what makes its operands,
 * and names a simpler tensor. */
#include "compile/passes.h"

#include "ops/ops.h"

#include <string.h>

static const hl_tensor none;

static bool is_fill(const hl_graph *g, hl_tensor t, float value)
{
    const hl_node *n = hl_made_by(g, t, &hl_op_fill);
    return n && ((const hl_fill_params *)n->params)->value == value;
}

static hl_tensor zeros(hl_graph *g, hl_shape s)
{
    return hl_fill(g, s.rank, s.dim, 0);
}

/* a and b padded alike: what the sum of two gradients of a slice is. */
static hl_tensor add_pads(hl_graph *g, const hl_tensor *in)
{
    const hl_node *a = hl_made_by(g, in[0], &hl_op_pad), *b = hl_made_by(g, in[1], &hl_op_pad);
    if (!a || !b || memcmp(a->params, b->params, sizeof(hl_pad_params)) ||
        !hl_shape_equal(hl_shape_of(g, a->in[0]), hl_shape_of(g, b->in[0])))
        return none;
    const hl_pad_params *p = a->params;
    return hl_pad(g, hl_add(g, a->in[0], b->in[0]), p->axis, p->before, p->after);
}

static hl_tensor simplify_binary(hl_graph *g, const hl_node *n, const hl_tensor *in, hl_shape out)
{
    for (int k = 0; k < 2; k++) {
        hl_tensor other = in[1 - k];
        bool whole = hl_shape_equal(hl_shape_of(g, other), out);
        if (n->op == &hl_op_add && is_fill(g, in[k], 0) && whole)
            return other;
        if (n->op == &hl_op_mul && is_fill(g, in[k], 1) && whole)
            return other;
        if (n->op == &hl_op_mul && is_fill(g, in[k], 0))
            return zeros(g, out);
    }
    if (n->op == &hl_op_sub && is_fill(g, in[1], 0) && hl_shape_equal(hl_shape_of(g, in[0]), out))
        return in[0];
    return n->op == &hl_op_add ? add_pads(g, in) : none;
}

static hl_tensor simplify_affine(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    const hl_affine_params *p = n->params;
    const hl_node *fill = hl_made_by(g, in[0], &hl_op_fill);
    if (p->factor == 1 && p->offset == 0)
        return in[0];
    const hl_node *pad = hl_made_by(g, in[0], &hl_op_pad);
    if (pad && p->offset == 0) { /* scale what is there, not the zeros */
        const hl_pad_params *by = pad->params;
        return hl_pad(g, hl_scale(g, pad->in[0], p->factor), by->axis, by->before, by->after);
    }
    if (!fill)
        return none;
    const hl_fill_params *f = fill->params;
    return hl_fill(g, f->shape.rank, f->shape.dim, f->value * p->factor + p->offset);
}

static hl_tensor simplify_reshape(hl_graph *g, const hl_tensor *in, hl_shape out)
{
    const hl_node *first = hl_made_by(g, in[0], &hl_op_reshape);
    if (hl_shape_equal(hl_shape_of(g, in[0]), out))
        return in[0];
    if (is_fill(g, in[0], 0))
        return zeros(g, out);
    return first ? hl_reshape_to(g, first->in[0], out) : none;
}

static hl_tensor simplify_transpose(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    const hl_transpose_params *p = n->params;
    const hl_node *first = hl_made_by(g, in[0], &hl_op_transpose);
    int rank = hl_shape_of(g, in[0]).rank, order[HL_MAX_RANK] = {0};
    bool identity = true;
    for (int i = 0; i < rank; i++) {
        order[i] = first ? ((const hl_transpose_params *)first->params)->order[p->order[i]] : p->order[i];
        identity = identity && order[i] == i;
    }
    if (identity)
        return first ? first->in[0] : in[0];
    return first ? hl_transpose(g, first->in[0], order) : none;
}

/* A slice of what pad or concat put there is the thing itself. */
static hl_tensor simplify_slice(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    const hl_slice_params *p = n->params;
    const hl_node *concat = hl_made_by(g, in[0], &hl_op_concat), *pad = hl_made_by(g, in[0], &hl_op_pad);
    if (p->begin == 0 && p->end == hl_shape_of(g, in[0]).dim[p->axis])
        return in[0];
    if (pad && ((const hl_pad_params *)pad->params)->axis == p->axis) {
        int64_t before = ((const hl_pad_params *)pad->params)->before;
        int64_t size = hl_shape_of(g, pad->in[0]).dim[p->axis];
        if (p->begin >= before && p->end <= before + size)
            return hl_slice(g, pad->in[0], p->axis, p->begin - before, p->end - before);
    }
    if (!concat || ((const hl_concat_params *)concat->params)->axis != p->axis)
        return none;
    int64_t at = 0;
    for (int k = 0; k < concat->n_in; k++) {
        int64_t size = hl_shape_of(g, concat->in[k]).dim[p->axis];
        if (p->begin >= at && p->end <= at + size)
            return hl_slice(g, concat->in[k], p->axis, p->begin - at, p->end - at);
        at += size;
    }
    return none;
}

static hl_tensor simplify_pad(hl_graph *g, const hl_node *n, const hl_tensor *in, hl_shape out)
{
    const hl_pad_params *p = n->params;
    if (p->before == 0 && p->after == 0)
        return in[0];
    return is_fill(g, in[0], 0) ? zeros(g, out) : none;
}

static hl_tensor simplify_reduce(hl_graph *g, const hl_node *n, const hl_tensor *in, hl_shape out)
{
    const hl_reduce_params *p = n->params;
    if (is_fill(g, in[0], 0))
        return zeros(g, out);
    if (hl_shape_span(hl_shape_of(g, in[0]), p->begin, p->end) != 1)
        return none;
    return hl_reshape_to(g, hl_scale(g, hl_cast(g, in[0], HL_F32), p->scale), out);
}

/* A transposed operand is a flag of the product. */
static hl_tensor simplify_matmul(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    hl_matmul_params p = *(const hl_matmul_params *)n->params;
    hl_tensor operand[4] = {in[0], in[1], in[2], in[3]};
    int *transposed[] = {&p.transpose_a, &p.transpose_b};
    bool changed = false;
    for (int k = 0; k < 2; k++) {
        const hl_node *t = hl_made_by(g, in[k], &hl_op_transpose);
        if (!t || ((const hl_transpose_params *)t->params)->order[0] != 1)
            continue;
        operand[k] = t->in[0];
        *transposed[k] = !*transposed[k];
        changed = true;
    }
    return changed ? hl_graph_apply(g, &hl_op_matmul, 4, operand, &p) : none;
}

/* Zeros and moves add nothing to a norm. */
static hl_tensor simplify_norm(hl_graph *g, const hl_node *n, const hl_tensor *in)
{
    hl_tensor *kept = hl_arena_alloc(g->arena, (size_t)n->n_in + 1, sizeof *kept);
    int count = 0;
    bool changed = false;
    for (int k = 0; kept && k < n->n_in; k++) {
        const hl_node *from = hl_info(g, in[k])->node;
        if (is_fill(g, in[k], 0)) {
            changed = true;
        } else if (from->op == &hl_op_pad || from->op == &hl_op_reshape || from->op == &hl_op_transpose) {
            kept[count++] = from->in[0];
            changed = true;
        } else {
            kept[count++] = in[k];
        }
    }
    return changed ? hl_graph_apply(g, n->op, count, kept, NULL) : none;
}

/* A gradient that is zero outside a run of rows (a slice of a parameter was used) or everywhere. */
static bool simplify_adamw(hl_graph *g, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    enum { GRADIENT = 4, OPERANDS = 8 };
    hl_adamw_params p = *(const hl_adamw_params *)n->params;
    hl_tensor operand[OPERANDS];
    if (!in[GRADIENT].id)
        return false;
    memcpy(operand, in, sizeof operand);
    const hl_node *pad = hl_made_by(g, in[GRADIENT], &hl_op_pad);
    if (is_fill(g, in[GRADIENT], 0)) {
        operand[GRADIENT] = none;
    } else if (pad) {
        const hl_pad_params *by = pad->params;
        hl_shape s = hl_shape_of(g, in[GRADIENT]);
        if (hl_shape_span(s, 0, by->axis) != 1)
            return false;
        p.offset += by->before * hl_shape_span(s, by->axis + 1, s.rank);
        operand[GRADIENT] = pad->in[0];
    } else {
        return false;
    }
    const hl_node *update = hl_graph_append(g, n->op, OPERANDS, operand, &p);
    for (int k = 0; k < n->n_out; k++)
        out[k] = hl_node_output(update, k);
    return true;
}

static bool rule(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    const hl_op_def *op = n->op;
    hl_tensor simpler = none;
    hl_shape shape = n->n_out ? hl_info(r->old, hl_node_output(n, 0))->shape : (hl_shape){0};
    if (op == &hl_op_adamw)
        return simplify_adamw(g, n, in, out);
    if (op == &hl_op_add || op == &hl_op_sub || op == &hl_op_mul)
        simpler = simplify_binary(g, n, in, shape);
    else if (op == &hl_op_affine)
        simpler = simplify_affine(g, n, in);
    else if (op == &hl_op_reshape)
        simpler = simplify_reshape(g, in, shape);
    else if (op == &hl_op_transpose)
        simpler = simplify_transpose(g, n, in);
    else if (op == &hl_op_slice)
        simpler = simplify_slice(g, n, in);
    else if (op == &hl_op_pad)
        simpler = simplify_pad(g, n, in, shape);
    else if (op == &hl_op_reduce)
        simpler = simplify_reduce(g, n, in, shape);
    else if (op == &hl_op_matmul)
        simpler = simplify_matmul(g, n, in);
    else if (op == &hl_op_global_norm)
        simpler = simplify_norm(g, n, in);
    else if ((op == &hl_op_concat && n->n_in == 1) ||
             (op == &hl_op_expand && hl_shape_equal(hl_shape_of(g, in[0]), shape)))
        simpler = in[0];
    out[0] = simpler;
    return simpler.id != 0;
}

hl_graph *hl_pass_simplify(const hl_graph *g)
{
    return hl_graph_rewrite(g, rule, NULL);
}
