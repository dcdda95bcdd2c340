/* The compiler: an array of passes, each from graph to graph. Any that is not required can be
 * switched off by name (HL_DISABLE_PASSES=fuse,simplify) to find a fault: results stay the same. */
#ifndef HL_COMPILE_PASSES_H
#define HL_COMPILE_PASSES_H

#include "graph/graph.h"

typedef struct hl_pass {
    const char *name;
    const char *help;
    /* The new graph, NULL if memory ran out. */
    hl_graph *(*run)(const hl_graph *g);
    bool required;
} hl_pass;

/* In the order they run; an entry may come twice. Ends with name NULL. */
extern const hl_pass hl_passes[];

/* A new graph ready to be planned, or NULL. Does not change g. */
hl_graph *hl_compile(const hl_graph *g, hl_precision precision, hl_error *err);

/* Whether HL_DISABLE_PASSES names this pass (or one of the planner's switches: in_place, reuse, replay,
 * recompute). */
bool hl_pass_disabled(const char *name);

hl_graph *hl_pass_simplify(const hl_graph *g);
hl_graph *hl_pass_single_key_attention(const hl_graph *g);
hl_graph *hl_pass_pool_before_convolution(const hl_graph *g);
hl_graph *hl_pass_common_subexpressions(const hl_graph *g);
hl_graph *hl_pass_dead_code(const hl_graph *g);
hl_graph *hl_pass_differentiate(const hl_graph *g);
hl_graph *hl_pass_lower_precision(const hl_graph *g);
hl_graph *hl_pass_fuse(const hl_graph *g);
hl_graph *hl_pass_detach_outputs(const hl_graph *g);

#endif
