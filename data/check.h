/* Reads a whole data set of demonstrations and tells every fault: `hl data check`. */
#ifndef HL_DATA_CHECK_H
#define HL_DATA_CHECK_H

#include "data/demos.h"

#include <jansson.h>

/* With a shape: what training by these options would read, and as strictly.  shape NULL: every data set of
 * the files, by what their layout promises; of the options the files and the format count.
 *
 *   {"files": n, "demonstrations": n, "steps": n, "errors": n, "warnings": n,
 *    "faults": [{"level": "error" | "warning", "file", "path" (or null), "text": found and expected}]}
 *
 * A warning is what training takes as it is.  A fault of values is told once for a data set of a
 * demonstration: where it is first seen, and how often.  The caller's (json_decref); NULL on error:
 * HL_ERR_CONFIG (options), HL_ERR_MEMORY. */
json_t *hl_data_check(const hl_demos_options *options, const hl_data_shape *shape, hl_error *err);

#endif
