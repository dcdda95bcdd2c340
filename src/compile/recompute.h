/* Values that are computed again instead of being kept (Chen et al. 2016, "Training deep nets with sublinear
 * memory cost"). */
#ifndef HL_COMPILE_RECOMPUTE_H
#define HL_COMPILE_RECOMPUTE_H

#include "graph/graph.h"

/* How often one node may be computed again. */
enum { HL_RECOMPUTE_MOST = 2 };

/* When a node's results are let go: after which nodes of the graph, in any order; what comes later reads a
 * copy, which is made right before its first reader and shared by all until the next such moment. A copy
 * reads copies where what it reads has been let go too. */
typedef struct hl_let_go {
    int n, after[HL_RECOMPUTE_MOST];
} hl_let_go;

/* Where a node of the new graph is from. */
typedef struct hl_origin {
    int node;  /* of the old graph: what it computes */
    int place; /* of the old graph: in whose place; for a copy, that of its first reader */
} hl_origin;

/* A graph with g's results, bit by bit. let_go: by node of g. *origin: by node of the new graph, the caller's
 * (hl_free). NULL if memory ran out. */
hl_graph *hl_recompute(const hl_graph *g, const hl_let_go *let_go, hl_origin **origin);

#endif
