/* A graph whose batch is free: the same graph built at batch 2 and at batch 3. What is alike in both does not
 * depend on the batch; what differs must be a multiple of it. (Two and three, because what holds for both
 * holds for every batch: a one would broadcast.) */
#ifndef HL_GRAPH_BATCH_H
#define HL_GRAPH_BATCH_H

#include "graph/graph.h"

/* A dim, or a size among an op's parameters. */
typedef struct hl_batch_size {
    int64_t count; /* elements, or */
    bool per_row;  /* elements for each row of the batch */
} hl_batch_size;

/* False: the two are no size of a free batch. */
bool hl_batch_size_find(int64_t at_two, int64_t at_three, hl_batch_size *size);
/* The size at a batch. */
int64_t hl_batch_size_at(hl_batch_size size, int64_t batch);
/* Dim k of tensor t, of two graphs that hl_batch_check has found to be one. */
hl_batch_size hl_batch_dim(const hl_graph *at_two, const hl_graph *at_three, hl_tensor t, int k);

/* Whether they are one graph: the same ops on the same operands, outputs of the same names, and dims that are
 * sizes of a free batch. HL_ERR_USAGE names node and shapes. The ops' parameters are not compared. */
hl_status hl_batch_check(const hl_graph *at_two, const hl_graph *at_three, hl_error *err);

#endif
