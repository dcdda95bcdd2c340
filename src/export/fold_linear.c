/* Linear after linear with nothing between:
 *     W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)
 * where the product has fewer weights than its factors. */
#include "export/folding.h"

#include "ops/ops.h"

/* The factors may go: nobody else reads them. */
static bool fewer_weights(const hl_rewrite *r, const hl_product *first, const hl_product *second)
{
    const hl_folding *f = r->context;
    int64_t before = hl_info(r->old, first->w)->count + hl_info(r->old, second->w)->count;
    int64_t after = hl_shape_count((hl_shape){2, {second->out, first->in}}); /* -1: more than there can be */
    return f->readers[first->w.id] == 1 && f->readers[second->w.id] == 1 && after >= 0 && after < before;
}

bool hl_fold_linear(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    hl_graph *g = r->g;
    hl_folding *f = r->context;
    hl_product first, second;
    (void)in; /* operands are those of the first */
    if (!hl_product_of(r, n, &second) || second.convolution ||
        !hl_product_of(r, hl_sole_source(r, second.x), &first) || first.convolution || !first.plain ||
        first.out != second.in || !fewer_weights(r, &first, &second))
        return false;
    hl_tensor w1 = hl_product_weights(r, &first), w2 = hl_product_weights(r, &second);
    hl_tensor b = r->map[second.b.id];
    if (first.b.id) {
        hl_tensor shift = hl_product_shift(g, w2, r->map[first.b.id]);
        b = b.id ? hl_add(g, shift, b) : shift;
    }
    out[0] = hl_product_again(r, &second, r->map[first.x.id], hl_matmul(g, w2, false, w1, false), b);
    f->changed = true;
    return true;
}
