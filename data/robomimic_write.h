/* Writes demonstrations in robomimic's HDF5 layout, one at a time from plain arrays, whatever world made
 * them.
 *
 *   /data             attributes total (int64), env_args (JSON)
 *   /data/demo_<i>    attribute num_samples; actions, states (float), rewards (float), dones (int64)
 *   /data/demo_<i>/obs/<key>    RGB uint8 (N,H,W,3), depth float (N,H,W,1), vectors float (N,D)
 *   /mask/{train,valid}         demo names, fixed-length strings
 *
 * The file appears under its name only when it is complete and safe on disk; until then it is a temporary
 * beside it, which a failure removes. */
#ifndef HL_DATA_ROBOMIMIC_WRITE_H
#define HL_DATA_ROBOMIMIC_WRITE_H

#include "data/demo_write.h"

typedef struct hl_robomimic_writer_options {
    const hl_field *fields; /* keys below obs, plain names */
    int n_fields;
    int64_t action;       /* A */
    int64_t states;       /* elements of a simulator state, 0: no states */
    const char *env_args; /* JSON object: env_name, type, env_kwargs; NULL: {} */
    int gzip;             /* 0 none, 1 fastest .. 9 */
    bool overwrite;       /* else a file of that name is an error */
} hl_robomimic_writer_options;

typedef struct hl_robomimic_writer hl_robomimic_writer;

/* Errors: HL_ERR_USAGE (options), HL_ERR_IO (exists already, cannot be created).  Strings are copied. */
hl_robomimic_writer *hl_robomimic_writer_new(const char *path, const hl_robomimic_writer_options *options,
                                             hl_error *err);
/* Appends demo_<i>, i counting from 0.  After an error the writer takes no more. */
hl_status hl_robomimic_write_demo(hl_robomimic_writer *w, const hl_demo *demo, hl_error *err);
/* Writes the masks, checks that the file reads back, moves it to its name. */
hl_status hl_robomimic_writer_finish(hl_robomimic_writer *w, hl_error *err);
/* Removes the temporary unless finished.  Accepts NULL. */
void hl_robomimic_writer_free(hl_robomimic_writer *w);

#endif
