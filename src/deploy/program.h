/* A graph written down, its batch free: what an exported model says it computes.
 *
 *   {"nodes": [
 *      {"op": "input", "name": "proprioceptive", "shape": ["B", 64]},
 *      {"op": "param", "name": "head.weight", "shape": [19, 64]},
 *      {"op": "matmul", "in": [0, 1, null, null], "transpose_b": true, "section": "L-module"}],
 *    "outputs": {"action": 2}}
 *
 * Nodes stand in an order in which each reads only what stands before it. An operand is the place of the node
 * that makes it, or [place, k] for a result of it other than the first, or null where an optional one is
 * absent. The other members of a node are the fields of its op's parameters (hl_field), left out where they
 * are zero or the first of their words. A dim, and any other size, is a number or a multiple of the batch:
 * "B", "4B". */
#ifndef HL_DEPLOY_PROGRAM_H
#define HL_DEPLOY_PROGRAM_H

#include "base/text.h"
#include "graph/graph.h"

/* Of what is read; a graph of the full model has some hundred nodes. */
enum {
    HL_PROGRAM_NODES = 16384,
    HL_PROGRAM_OPERANDS = 4096, /* of one node */
    HL_PROGRAM_OUTPUTS = 64,
    HL_PROGRAM_NAME = 255, /* bytes of an input's or output's name */
    HL_PROGRAM_BYTES = 1 << 26,
};

/* Appends the text of a graph to json. It is given built at batch 2 and at 3: what differs must be a multiple
 * of the batch. HL_ERR_USAGE: it is not, or the graph does more than compute outputs from inputs and
 * parameters. */
hl_status hl_program_write(const hl_graph *at_two, const hl_graph *at_three, hl_text *json, hl_error *err);

/* The graph at a batch. Its parameters are entries of params, found by name; none is declared. The text may
 * be anybody's: whatever is wrong with it is HL_ERR_DATA with a sentence that begins with name, and never a
 * graph that shape rules would refuse. */
hl_graph *hl_program_read(const char *json, const char *name, hl_params *params, int64_t batch,
                          hl_error *err);

#endif
