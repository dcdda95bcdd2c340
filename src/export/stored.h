/* How parameters lie in an exported file. */
#ifndef HL_EXPORT_STORED_H
#define HL_EXPORT_STORED_H

#include "graph/graph.h"

/* The dtype in which a session of the graph reads each entry, by place in the store: what its compiler
 * decides. dtypes [hl_params_count]; HL_DTYPES: nothing reads it. An entry that anything reads in f32 stays
 * so. */
hl_status hl_stored_dtypes(const hl_graph *g, hl_params *params, hl_precision precision, hl_dtype *dtypes,
                           hl_error *err);
/* Elements [begin, begin + n) of an entry, which must be finite and stay so in the dtype. to: in 16 bits;
 * NULL where the dtype is the entry's own: they are only looked at. */
hl_status hl_stored_values(const hl_param_info *info, int64_t begin, int64_t n, hl_dtype dtype, uint16_t *to,
                           hl_error *err);

#endif
