/* What is in an HDF5 file of demonstrations: `hl data info`. */
#ifndef HL_DATA_DESCRIBE_H
#define HL_DATA_DESCRIBE_H

#include "hl.h"

#include <jansson.h>

/* Describes any HDF5 file.  The caller's (json_decref); NULL on error (HL_ERR_IO, HL_ERR_DATA,
 * HL_ERR_MEMORY).
 *
 *   {"file", "bytes", "format": "robomimic" | "libero" | "aloha" | "hdf5",
 *    "attributes": {...},                 of /data, or of / where there is no /data; JSON text is parsed
 *    "demonstrations": n, "steps": total, "length": {"min", "mean", "max"},
 *    "image_convention": "opengl" | ..., "masks": {"train": n, ...},
 *    "keys": [{"key": "obs/agentview_rgb", "dtype": "uint8", "shape": [84, 84, 3] (of one step, from the
 * first demonstration), "demonstrations": how many have it, "chunk": [1, 84, 84, 3] or null, "filters": n,
 *              "same_shape": do all agree}],
 *    "actions": {"key", "size", "min": [..], "max": [..], "finite": bool, "in_range": all within [-1, 1]},
 *    "mapping": {"visual": ["obs/agentview_rgb"], ...},   a guess at which keys are which sense
 *    "warnings": ["..."]}
 *
 * Without demonstrations (format "hdf5"), "keys" lists every data set with its whole shape.  Entries that do
 * not apply are absent.  Reads names, shapes and the actions, never images. */
json_t *hl_data_describe(const char *path, hl_error *err);

#endif
