/* The graph: nodes in order of creation, which is a topological order. Nodes and their parts live
 * in the graph's arena and never move. */
#ifndef HL_GRAPH_GRAPH_H
#define HL_GRAPH_GRAPH_H

#include "base/memory.h"
#include "base/shape.h"
#include "graph/op.h"

/* What a node belongs to. Says nothing about what it computes: nodes that differ in it alone are equal. */
typedef struct hl_label {
    const char *section; /* never NULL; one pointer per name and graph */
    hl_phase phase;
    bool again; /* computed before, and let go */
} hl_label;

struct hl_node {
    const hl_op_def *op;
    int index;
    int n_in, n_out;
    hl_tensor *in;
    int32_t first_out; /* id of output 0; the others follow */
    void *params;      /* the op's struct, zero-padded: nodes compare by memcmp */
    hl_label label;
};

typedef struct hl_tensor_info {
    hl_dtype dtype;
    hl_shape shape;
    int64_t count;
    hl_node *node; /* whose output it is */
    int output;    /* which one */
} hl_tensor_info;

typedef struct hl_graph_output {
    const char *name;
    hl_tensor tensor;
} hl_graph_output;

struct hl_graph {
    hl_arena *arena;
    hl_node **nodes;
    int n_nodes, cap_nodes;
    hl_tensor_info *tensors; /* [0] is no tensor */
    int n_tensors, cap_tensors;
    hl_graph_output *outputs;
    int n_outputs, cap_outputs;
    const char **sections;
    int n_sections, cap_sections;
    hl_label label;         /* that new nodes take */
    uint32_t streams;       /* random ops so far: each draws from its own stream */
    hl_precision precision; /* that it is compiled for */
    bool failed;
    char error[512];
};

/* The first error sticks. Always returns the bad tensor, so that a builder can return it. */
hl_tensor hl_graph_fail(hl_graph *g, const char *format, ...) HL_PRINTF(2, 3);

/* Appends a node and infers its outputs. params has op->params_size bytes. NULL after an error,
 * which is then in g. Absent optional operands are {0}. */
hl_node *hl_graph_append(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params);
/* The same for the common case of one interesting output. */
hl_tensor hl_graph_apply(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params);

static inline hl_tensor hl_node_output(const hl_node *n, int k)
{
    hl_tensor none = {0}, t = {n ? n->first_out + k : 0};
    return n ? t : none;
}

/* How many of a node's inputs it updates: op->updates, less the absent ones at the end. */
int hl_node_updates(const hl_node *n);

/* Nodes appended from here on take this label, which may be of another graph. */
void hl_graph_set_label(hl_graph *g, hl_label label);

/* Multiplications and additions, see op.h. */
double hl_node_flops(const hl_graph *g, const hl_node *n);

/* For shape rules. */
void hl_node_out(hl_graph *g, hl_node *n, int k, hl_dtype dtype, hl_shape shape);
/* Info of operand k; asserts that it is there. */
const hl_tensor_info *hl_node_in(const hl_graph *g, const hl_node *n, int k);

const hl_tensor_info *hl_info(const hl_graph *g, hl_tensor t);
/* The node that makes t, if it is an `op`; else NULL. */
const hl_node *hl_made_by(const hl_graph *g, hl_tensor t, const hl_op_def *op);

/* How many nodes and outputs read each tensor: an array of g->n_tensors, NULL if no memory. */
int *hl_graph_uses(const hl_graph *g);

/* Broken invariants (operand made after its reader, shape rule that disagrees) abort. */
void hl_graph_verify(const hl_graph *g);

/* ------------------------------------------------------------------ rewriting
 * A pass builds a new graph from an old one, node by node. For each node a rule may write other
 * outputs (tensors of the new graph) and return true; else the node is copied. What is written in the
 * place of a node takes its label, unless the rule sets another. */
typedef struct hl_rewrite {
    const hl_graph *old;
    hl_graph *g;     /* the new graph */
    hl_tensor *map;  /* old id -> new tensor */
    const int *uses; /* of old tensors */
    void *context;
} hl_rewrite;

typedef bool (*hl_rewrite_rule)(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out);

/* NULL if memory ran out. The new graph may carry an error. rule NULL: a copy. */
hl_graph *hl_graph_rewrite(const hl_graph *old, hl_rewrite_rule rule, void *context);

#endif
