/* Folding from within: the rules, and what they share. Rules look at the old graph only, so that how often a
 * value is read is known, and build in the new one; they run until none finds anything. */
#ifndef HL_EXPORT_FOLDING_H
#define HL_EXPORT_FOLDING_H

#include "graph/graph.h"

/* The context of a rule. */
typedef struct hl_folding {
    hl_params *from;
    const bool *constant; /* by tensor of the old graph, see constants.h */
    const int *readers;   /* of old tensors: outputs, and nodes that are not constants themselves */
    bool changed;         /* a rule found something */
    hl_status status;     /* of reading values */
    hl_error *err;
} hl_folding;

/* y = x W^T + b or a convolution, with weights (and bias) that are constants. */
typedef struct hl_product {
    const hl_node *node;
    hl_tensor x, w, b; /* of the old graph; b may be absent */
    int64_t in, out;   /* features (channels) of x and y */
    bool convolution;
    bool plain; /* y is just that: no activation, nothing else added */
} hl_product;

bool hl_product_of(const hl_rewrite *r, const hl_node *n, hl_product *p);
/* Its weights in the new graph, [out,in] or [out,in,h,w]. */
hl_tensor hl_product_weights(const hl_rewrite *r, const hl_product *p);
/* The product again, of tensors of the new graph; what else is in p's node stays. */
hl_tensor hl_product_again(hl_rewrite *r, const hl_product *p, hl_tensor x, hl_tensor w, hl_tensor b);
/* W t per output feature, t one number or one per input feature ([in], or [in,1,1] for a convolution): what
 * t added to x adds to y, where y reads no padding. Summed in double. */
hl_tensor hl_product_shift(hl_graph *g, hl_tensor w, hl_tensor t);

/* The node behind old tensor t, seen through reshapes, if nobody else reads a value on the way; else NULL. */
const hl_node *hl_sole_source(const hl_rewrite *r, hl_tensor t);

bool hl_fold_linear(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out);
bool hl_fold_scale(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out);

#endif
