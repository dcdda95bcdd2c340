/* Checkpoints: one HDF5 file with everything a run needs to go on, of which every bit is guarded.
 *
 *   user block         ours: magic, version, length, CRC32C of the structure, place and CRC32C of each
 *                      tensor's bytes (src/io/checkpoint_frame.h); any HDF5 reader skips it
 *   /                  attributes format, format_version, hl_version, step, epoch, seed, loader [u64]
 *   /parameters/NAME   f32, little-endian, contiguous; attribute crc32c (of the bytes)
 *   /optimizer/NAME    likewise: moments and counters
 *   /config            the resolved configuration, a text
 *   /normalization/NAME  f32 [count]: statistics of the data that the model was trained on
 *   /values            attributes: further numbers, u64 or f64
 *
 * Files are replaced whole or not at all, and verified before they take their place. Errors name file
 * and tensor, found and expected: HL_ERR_DATA for content, HL_ERR_IO for the system, HL_ERR_UNSUPPORTED
 * for a file of a newer hl. */
#ifndef HL_IO_CHECKPOINT_H
#define HL_IO_CHECKPOINT_H

#include "base/memory.h"
#include "hl.h"

enum { HL_CHECKPOINT_VERSION = 1, HL_CHECKPOINT_LOADER = 16 };

typedef struct hl_checkpoint_array {
    const char *name; /* as a parameter's: not empty, no '/' */
    size_t count;
    const float *values;
} hl_checkpoint_array;

typedef struct hl_checkpoint_value {
    const char *name;
    bool is_real; /* real counts, else integer */
    uint64_t integer;
    double real;
} hl_checkpoint_value;

/* What stands beside the tensors. The writer fills it and owns what it points to. */
typedef struct hl_checkpoint_meta {
    const char *hl_version; /* NULL: "" */
    uint64_t step, epoch, seed;
    int n_loader; /* position of the data loader: up to HL_CHECKPOINT_LOADER numbers of its own meaning */
    uint64_t loader[HL_CHECKPOINT_LOADER];
    const char *config; /* NULL: "" */
    int n_arrays;       /* normalisation statistics */
    const hl_checkpoint_array *arrays;
    int n_values;
    const hl_checkpoint_value *values;
} hl_checkpoint_meta;

/* NULL if there is none of that name. */
const hl_checkpoint_array *hl_checkpoint_find_array(const hl_checkpoint_meta *meta, const char *name);
const hl_checkpoint_value *hl_checkpoint_find_value(const hl_checkpoint_meta *meta, const char *name);

typedef struct hl_checkpoint_tensor {
    const char *name;
    hl_role role;
    hl_shape shape;
    int64_t count;
    uint64_t offset; /* in the file, bytes; 0 if count is 0 */
    uint32_t crc32c;
} hl_checkpoint_tensor;

typedef enum hl_checkpoint_flags {
    HL_CHECKPOINT_ALL = 0,
    HL_CHECKPOINT_PARAMETERS_ONLY = 1, /* no optimizer state: a model to ship, or to infer with */
} hl_checkpoint_flags;

/* ------------------------------------------------------------------ writing */

/* Writes path: temporary, fsync, read back and verify, rename, fsync of the directory. All parameters must
 * have data. Values of 16 bits are written as f32, which holds them exactly. */
hl_status hl_checkpoint_write_snapshot(const char *path, const hl_snapshot *params,
                                       const hl_checkpoint_meta *meta, hl_checkpoint_flags flags,
                                       hl_error *err);
/* Of a snapshot taken now. */
hl_status hl_checkpoint_write(const char *path, hl_params *params, const hl_checkpoint_meta *meta,
                              hl_checkpoint_flags flags, hl_error *err);
/* Writes dir/step-%06d.h5 (by meta->step; dir is made), swaps dir/last.h5 to it, and removes the oldest
 * step files until keep are left (0 keeps all; never the one just written), and what killed writers left.
 * *path (may be NULL) is the new file's name (hl_free). An error after the file is in place (link,
 * removal) is still an error; the checkpoint is good then, *path is set, and the message says it. */
hl_status hl_checkpoint_save(const char *dir, int keep, const hl_snapshot *params,
                             const hl_checkpoint_meta *meta, char **path, hl_error *err);

/* ------------------------------------------------------------------ reading */

/* A checkpoint whose structure is verified; its tensors are not read yet. */
typedef struct hl_checkpoint hl_checkpoint;

hl_status hl_checkpoint_open(const char *path, hl_checkpoint **checkpoint, hl_error *err);
void hl_checkpoint_close(hl_checkpoint *checkpoint);
/* Live until hl_checkpoint_close. Tensors are in the order they were written: parameters, then state. */
const hl_checkpoint_meta *hl_checkpoint_meta_of(const hl_checkpoint *checkpoint);
int hl_checkpoint_count(const hl_checkpoint *checkpoint);
const hl_checkpoint_tensor *hl_checkpoint_at(const hl_checkpoint *checkpoint, int index);
/* Fills a store in which the model is declared. Tensor for tensor, name and shape must agree, and none may
 * be missing or left over; with HL_CHECKPOINT_PARAMETERS_ONLY that holds for parameters, and the store's
 * state of the optimizer stays as it is. Nothing is touched before all this is checked. After an error in
 * the tensors' bytes the store's values are unspecified. */
hl_status hl_checkpoint_load(hl_checkpoint *checkpoint, hl_params *params, hl_checkpoint_flags flags,
                             hl_error *err);
/* Reads and checks every byte. */
hl_status hl_checkpoint_check(hl_checkpoint *checkpoint, hl_error *err);

/* open, load, close; and open, check, close. */
hl_status hl_checkpoint_read(const char *path, hl_params *params, hl_checkpoint_flags flags, hl_error *err);
hl_status hl_checkpoint_verify(const char *path, hl_error *err);

/* The valid step-*.h5 of the highest step in dir: every byte of it is checked. *path is NULL (and HL_OK
 * returned) if there is no step file, or no dir; else the caller's (hl_free). *damaged counts the newer
 * files that were passed over, and err->message tells what ails the newest of them. HL_ERR_DATA if there
 * are step files and none is valid. */
hl_status hl_checkpoint_latest(const char *dir, char **path, int *damaged, hl_error *err);

#endif
