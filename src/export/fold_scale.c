/* x * s + t per feature, before or after a product:
 *     W (x * s) + b = (W s) x + b            the columns of W scaled
 *     W (x + t) + b = W x + (b + W t)        a convolution that pads reads zeros, not t: then it stays
 *     (W x + b) * s + t = (s W) x + (b s + t)
 * So an observation's normalisation joins the first layer, and an action's denormalisation the last. */
#include "export/constants.h"
#include "export/folding.h"

#include "base/memory.h"
#include "ops/ops.h"

#include <math.h>

/* An offset before a product becomes W t, of which x's own part of y is then taken away again. Where t is
 * large in the units that the product reads, digits would cancel (2^5: five of 24 bits), so it stays where it
 * is. */
static const double largest_offset = 32;

/* x op c with a constant, or x * factor + offset. */
typedef struct elementwise {
    const hl_node *node;
    hl_tensor x, c; /* of the old graph; c is absent from an affine */
} elementwise;

static bool is_scaling(const elementwise *e)
{
    return e->node->op == &hl_op_mul || e->node->op == &hl_op_div;
}

static bool is_offset(const elementwise *e)
{
    return e->node->op == &hl_op_add || e->node->op == &hl_op_sub;
}

static const hl_affine_params *affine_of(const elementwise *e)
{
    return e->node->op == &hl_op_affine ? e->node->params : NULL;
}

static bool elementwise_of(const hl_rewrite *r, const hl_node *n, elementwise *e)
{
    const hl_folding *f = r->context;
    if (!n)
        return false;
    *e = (elementwise){.node = n, .x = n->n_in ? n->in[0] : (hl_tensor){0}};
    if (n->op == &hl_op_affine)
        return !f->constant[e->x.id];
    if (!is_scaling(e) && !is_offset(e))
        return false;
    e->c = n->in[1];
    if ((n->op == &hl_op_add || n->op == &hl_op_mul) && f->constant[e->x.id]) {
        e->x = n->in[1];
        e->c = n->in[0];
    }
    return f->constant[e->c.id] && !f->constant[e->x.id] &&
           hl_shape_equal(hl_shape_of(r->old, e->x), hl_shape_of(r->old, hl_node_output(n, 0)));
}

/* ------------------------------------------------------------------ one number per feature */

/* Axis 1 of [B,C,H,W]. */
static bool per_channel(hl_shape c, int64_t channels)
{
    for (int k = 1; k <= c.rank; k++)
        if (c.dim[c.rank - k] != 1 && k != 3)
            return false;
    return c.rank <= 4 && hl_shape_count(c) == channels;
}

/* The last axes of x, which are one row of the product. */
static bool per_element(hl_shape x, hl_shape c, int64_t features)
{
    int64_t row = 1;
    int k = 1;
    for (; k <= x.rank && k <= c.rank && row < features; k++) {
        if (c.dim[c.rank - k] != x.dim[x.rank - k])
            return false;
        row *= x.dim[x.rank - k];
    }
    return row == features && hl_shape_count(c) == features;
}

/* Whether e's constant, if it has one, is one number for all or one per feature of the product. */
static bool fits(const hl_rewrite *r, const elementwise *e, const hl_product *p, int64_t features)
{
    if (!e->c.id || hl_info(r->old, e->c)->count == 1)
        return true;
    hl_shape c = hl_shape_of(r->old, e->c);
    return p->convolution ? per_channel(c, features) : per_element(hl_shape_of(r->old, e->x), c, features);
}

/* Old constant c in the new graph, as [n] with so many ones behind it: [n,1,1]. */
static hl_tensor feature(hl_rewrite *r, hl_tensor c, int ones)
{
    int64_t dim[HL_MAX_RANK] = {hl_info(r->old, c)->count, 1, 1, 1};
    return hl_reshape(r->g, r->map[c.id], 1 + ones, dim);
}

/* t op c for a node's op. */
static hl_tensor apply(hl_rewrite *r, const elementwise *e, hl_tensor t, hl_tensor c)
{
    return hl_graph_apply(r->g, e->node->op, 2, (hl_tensor[]){t, c}, NULL);
}

/* b + t, or b - t where e subtracts. */
static hl_tensor offset(hl_graph *g, const elementwise *e, hl_tensor b, hl_tensor t)
{
    bool minus = e->node->op == &hl_op_sub;
    if (!b.id)
        return minus ? hl_scale(g, t, -1) : t;
    return minus ? hl_sub(g, b, t) : hl_add(g, b, t);
}

/* Other weights instead of these: nobody else reads them. */
static bool may_change(const hl_rewrite *r, hl_tensor w)
{
    const hl_folding *f = r->context;
    return f->readers[w.id] == 1;
}

/* ------------------------------------------------------------------ after a product */

static bool scale_result(hl_rewrite *r, const elementwise *e, const hl_product *p, hl_tensor *w, hl_tensor *b)
{
    const hl_affine_params *a = affine_of(e);
    int after = p->convolution ? 3 : 1;
    if (is_offset(e)) {
        if (!b->id && hl_info(r->old, e->c)->count != p->out)
            return false;
        *b = offset(r->g, e, *b, feature(r, e->c, 0));
        return true;
    }
    if (!may_change(r, p->w) || (a && a->offset != 0 && !b->id))
        return false;
    *w = a ? hl_scale(r->g, *w, a->factor) : apply(r, e, *w, feature(r, e->c, after));
    if (b->id)
        *b = a ? hl_affine(r->g, *b, a->factor, a->offset) : apply(r, e, *b, feature(r, e->c, 0));
    return true;
}

static bool after_product(hl_rewrite *r, const hl_node *n, hl_tensor *out)
{
    elementwise e;
    hl_product p;
    if (!elementwise_of(r, n, &e) || !hl_product_of(r, hl_sole_source(r, e.x), &p) || !p.plain)
        return false;
    if ((p.convolution && hl_info(r->old, e.x)->node != p.node) || !fits(r, &e, &p, p.out))
        return false;
    hl_tensor w = hl_product_weights(r, &p), b = r->map[p.b.id];
    if (!scale_result(r, &e, &p, &w, &b))
        return false;
    hl_graph_set_label(r->g, p.node->label);
    hl_tensor y = hl_product_again(r, &p, r->map[p.x.id], w, b);
    out[0] = hl_reshape_to(r->g, y, hl_shape_of(r->old, hl_node_output(n, 0)));
    return true;
}

/* ------------------------------------------------------------------ before a product */

static bool pads(const hl_product *p)
{
    return p->convolution && ((const hl_conv_params *)p->node->params)->padding > 0;
}

/* Whether |t op s| (s absent: |t|) is small enough everywhere. */
static bool small(const hl_rewrite *r, const elementwise *t, const elementwise *s)
{
    hl_folding *f = r->context;
    hl_constant_values a = {0}, b = {1, NULL};
    f->status = hl_constant_read(r->old, t->c, f->from, &a, f->err);
    if (s && f->status == HL_OK)
        f->status = hl_constant_read(r->old, s->c, f->from, &b, f->err);
    bool yes = f->status == HL_OK;
    for (int64_t i = 0; yes && (i < a.count || i < b.count); i++) {
        double x = a.at[a.count > 1 ? i : 0], y = b.at ? b.at[b.count > 1 ? i : 0] : 1;
        x = s && s->node->op == &hl_op_div ? x / y : x * y;
        yes = fabs(x) <= largest_offset; /* not so for a NaN */
    }
    hl_free(a.at);
    hl_free(b.at);
    return yes;
}

/* The product of e.x alone; false: e stays. */
static bool move_offset(hl_rewrite *r, const hl_product *p, const elementwise *e, hl_tensor w, hl_tensor *b)
{
    if (pads(p) || !small(r, e, NULL))
        return false;
    *b = offset(r->g, e, *b, hl_product_shift(r->g, w, feature(r, e->c, p->convolution ? 2 : 0)));
    return true;
}

static bool move_affine(hl_rewrite *r, const hl_product *p, const elementwise *e, hl_tensor *w, hl_tensor *b)
{
    const hl_affine_params *a = affine_of(e);
    if (!may_change(r, p->w) || (a->offset != 0 && (pads(p) || !(fabs(a->offset) <= largest_offset))))
        return false;
    if (a->offset != 0) {
        hl_tensor sums = hl_reduce(r->g, *w, 1, hl_shape_of(r->g, *w).rank, 1);
        hl_tensor shift = hl_scale(r->g, sums, a->offset);
        *b = b->id ? hl_add(r->g, *b, shift) : shift;
    }
    *w = hl_scale(r->g, *w, a->factor);
    return true;
}

/* (x + t) * s: t first, as t * s in the units that the product reads; s remains, for the next time round.
 * Where t has to stay, so has s: x * s and t * s apart would cancel as W t does. */
static bool move_scaled_offset(hl_rewrite *r, const hl_product *p, const elementwise *e,
                               const elementwise *before, hl_tensor *x, hl_tensor w, hl_tensor *b)
{
    int after = p->convolution ? 2 : 0;
    if (!is_offset(before) || !fits(r, before, p, p->in) || !small(r, before, e))
        return false;
    hl_tensor t = apply(r, e, feature(r, before->c, after), feature(r, e->c, after));
    *b = offset(r->g, before, *b, hl_product_shift(r->g, w, t));
    *x = apply(r, e, r->map[before->x.id], r->map[e->c.id]);
    return true;
}

static bool offsets(const elementwise *e)
{
    return is_offset(e) || (affine_of(e) && affine_of(e)->offset != 0);
}

static bool move_scaling(hl_rewrite *r, const hl_product *p, const elementwise *e, hl_tensor *x, hl_tensor *w,
                         hl_tensor *b)
{
    elementwise before;
    if (!pads(p) && elementwise_of(r, hl_sole_source(r, e->x), &before) && offsets(&before))
        return move_scaled_offset(r, p, e, &before, x, *w, b);
    if (!may_change(r, p->w))
        return false;
    *w = apply(r, e, *w, feature(r, e->c, p->convolution ? 2 : 0));
    return true;
}

static bool before_product(hl_rewrite *r, const hl_node *n, hl_tensor *out)
{
    elementwise e;
    hl_product p;
    if (!hl_product_of(r, n, &p) || !elementwise_of(r, hl_sole_source(r, p.x), &e) || !fits(r, &e, &p, p.in))
        return false;
    if (p.convolution && hl_info(r->old, p.x)->node != e.node)
        return false;
    hl_tensor x = r->map[e.x.id], w = hl_product_weights(r, &p), b = r->map[p.b.id];
    bool moved = is_offset(&e)    ? move_offset(r, &p, &e, w, &b)
                 : is_scaling(&e) ? move_scaling(r, &p, &e, &x, &w, &b)
                                  : move_affine(r, &p, &e, &w, &b);
    if (moved)
        out[0] = hl_product_again(r, &p, hl_reshape_to(r->g, x, hl_shape_of(r->old, p.x)), w, b);
    return moved;
}

bool hl_fold_scale(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_folding *f = r->context;
    (void)in; /* operands are those of an earlier node */
    if (f->status != HL_OK || (!before_product(r, n, out) && !after_product(r, n, out)))
        return false;
    f->changed = true;
    return true;
}
