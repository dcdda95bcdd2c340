/* Runs a graph through the references, in double: the oracle of every test. */
#ifndef HL_OPS_REFERENCE_H
#define HL_OPS_REFERENCE_H

#include "ops/ops.h"

/* Writes a leaf's (input or param) values. */
typedef void (*hl_reference_leaf)(void *context, const hl_node *leaf, double *data, int64_t count);

/* All values of a graph: value[id], NULL for id 0. Freed with hl_reference_free. */
typedef struct hl_reference {
    int n;
    double **value;
} hl_reference;

/* g must have no gradient nodes left. */
hl_status hl_reference_run(const hl_graph *g, hl_reference_leaf leaf, void *context, uint64_t seed,
                           uint32_t step, hl_reference *out, hl_error *err);
void hl_reference_free(hl_reference *r);

#endif
