/* The parameter store, inside the library: what graphs, sessions and checkpoints need beyond hl.h.
 * Not thread-safe: whoever declares, allocates or releases does so alone. */
#ifndef HL_RUN_PARAMS_H
#define HL_RUN_PARAMS_H

#include "hl.h"

/* The longest name, in bytes. A name may not be empty, "." or hold '/' or control characters, because
 * names are those of HDF5 data sets. */
enum { HL_PARAM_NAME_MAX = 255 };

/* Finds name, or declares it, without allocating its data. *index is its place in the store, which
 * never changes. init counts at the first declaration only. HL_ERR_SHAPE: known with another shape (both
 * are named), or a shape that is no shape; HL_ERR_USAGE: known in the other role, or a bad name. */
hl_status hl_params_declare(hl_params *params, const char *name, hl_role role, hl_shape shape,
                            hl_init_rule init, int *index, hl_error *err);
/* Memory for the data of one entry, zeroed if new and else left as it is: for those who overwrite all of
 * it (a checkpoint). hl_params_materialize will not initialise this entry any more. */
hl_status hl_params_allocate(hl_params *params, int index, hl_error *err);
/* Lets the data of one entry go: a session holds it in a form of its own. hl_params_materialize refuses
 * such a store, for it cannot bring the values back; hl_params_allocate (a checkpoint) can. */
void hl_params_release_data(hl_params *params, int index);
/* Allocates and initialises one entry, if it has no data yet. */
hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err);
uint64_t hl_params_seed(const hl_params *params);
/* Counts the updates of the values: starts at 0, one more with each hl_params_advance (a training step). */
uint64_t hl_params_version(const hl_params *params);
void hl_params_advance(hl_params *params);

#endif
