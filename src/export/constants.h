/* Constants: tensors that a graph computes from parameters alone. */
#ifndef HL_EXPORT_CONSTANTS_H
#define HL_EXPORT_CONSTANTS_H

#include "base/memory.h"
#include "graph/graph.h"

/* Which tensors are constants: [g->n_tensors], the caller's (hl_free). f32 parameters, and what follows from
 * constants by ops that draw no random numbers. A fill or an expansion is none, because the batch may be in
 * its shape: so constants are the same at every batch. NULL if no memory. */
bool *hl_constants_find(const hl_graph *g);

typedef struct hl_constant_values {
    int64_t count;
    float *at; /* the caller's (hl_free) */
} hl_constant_values;

/* The values of one of them, over `from`. err is not NULL. */
hl_status hl_constant_read(const hl_graph *g, hl_tensor t, hl_params *from, hl_constant_values *values,
                           hl_error *err);

/* g over `to`: each constant that something else reads is an entry of it. Parameters keep their names and
 * values (share: and memory, see fold.h); the others are named by what they are made of, and computed unless
 * `to` has them. err is not NULL. NULL on error. */
hl_graph *hl_constants_store(const hl_graph *g, hl_params *from, hl_params *to, bool share, hl_error *err);

/* Names of the entries, by tensor: NULL where kept is false. Parameters keep theirs; no other has the name of
 * an entry of `from`. The array and the names lie in the arena. NULL if no memory. */
const char **hl_constant_names(const hl_graph *g, const bool *kept, const hl_params *from, hl_arena *arena);

#endif
