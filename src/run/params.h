/* The parameter store, inside the library: what graphs, sessions and checkpoints need beyond hl.h.
 * Not thread-safe: whoever declares, allocates or releases does so alone. */
#ifndef HL_RUN_PARAMS_H
#define HL_RUN_PARAMS_H

#include "run/backend.h"

/* The longest name, in bytes. A name may not be empty, "." or hold '/' or control characters, because
 * names are those of HDF5 data sets. */
enum { HL_PARAM_NAME_MAX = 255 };

/* Finds name, or declares it, without allocating its data. *index is its place in the store, which
 * never changes. init counts at the first declaration only. HL_ERR_SHAPE: known with another shape (both
 * are named), or a shape that is no shape; HL_ERR_USAGE: known in the other role, or a bad name. */
hl_status hl_params_declare(hl_params *params, const char *name, hl_role role, hl_dtype dtype, hl_shape shape,
                            hl_init_rule init, int *index, hl_error *err);
/* Memory on the host for one entry, zeroed if new and else left as it is: for those who overwrite all of
 * it (a checkpoint). hl_params_materialize will not initialise this entry any more, and what else holds its
 * values (a device, 16-bit copies) takes the new ones over. */
hl_status hl_params_allocate(hl_params *params, int index, hl_error *err);
/* Lets the host's values of one dtype go: a session holds them in a form of its own. Of the entry's own
 * dtype: hl_params_materialize refuses such a store, for it cannot bring the values back; hl_params_allocate
 * (a checkpoint) can. */
void hl_params_release_data(hl_params *params, int index, hl_dtype dtype);

/* ------------------------------------------------------------------ for sessions
 * An entry's values may be in several places and dtypes at once; a version per place tells which are the
 * newest. Any dtype but the entry's own is a copy rounded from it. */

/* For a session on this device, until hl_params_detach: the store's values go there when it asks for them. A
 * store is on one device at a time: from another one they come back first; HL_ERR_USAGE while sessions are
 * there. */
hl_status hl_params_attach(hl_params *params, const hl_device_table *table, int ordinal, hl_error *err);
void hl_params_detach(hl_params *params);
/* The newest values of an entry in a dtype, on the host or on the attached device; *data stays valid as long
 * as the store, unless hl_params_release_data lets it go. Initialises the entry if need be. */
hl_status hl_params_freshen(hl_params *params, int index, hl_dtype dtype, bool on_device, void **data,
                            hl_error *err);
/* Whether hl_params_freshen has nothing to do. */
bool hl_params_fresh(const hl_params *params, int index, hl_dtype dtype, bool on_device);
/* A session has updated the values there: they are the newest. Then, for a copy it has updated with them. */
void hl_params_updated(hl_params *params, int index, bool on_device);
void hl_params_updated_copy(hl_params *params, int index, hl_dtype dtype, bool on_device);
/* Allocates and initialises one entry, if it has no data yet. */
hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err);
uint64_t hl_params_seed(const hl_params *params);
/* Counts the updates of the values: starts at 0, one more with each hl_params_advance (a training step). */
uint64_t hl_params_version(const hl_params *params);
void hl_params_advance(hl_params *params);

#endif
