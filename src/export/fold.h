/* Folding: what a graph computes from parameters alone is computed once, and what is linear after linear
 * becomes one. Exact in real arithmetic; docs/export.md says why. */
#ifndef HL_EXPORT_FOLD_H
#define HL_EXPORT_FOLD_H

#include "hl.h"

typedef struct hl_fold_options {
    /* The average pool of a convolution becomes a product with pooled patches here, and not in every session:
     * for those who change weights afterwards (quantization) and want to see the product that runs. */
    bool pool_before_convolution;
    /* Entries that stay as they are lie in from's memory, not in a copy: `from` outlives `to`, and no session
     * trains it or, frozen, lets its values go. */
    bool share;
} hl_fold_options;

/* A graph with g's inputs and outputs over `to`, whose entries are those of `from` that g's outputs still
 * need, under their names, and what was computed of them. Of g at another batch it finds the entries there,
 * and has the same structure, for nothing that is decided depends on the batch. (But what is repeated for
 * each row of the batch is not repeated at batch 1.) g must not update parameters. options may be NULL. NULL
 * on error. */
hl_graph *hl_fold(const hl_graph *g, hl_params *from, hl_params *to, const hl_fold_options *options,
                  hl_error *err);

#endif
