/* What quantizing does to a model, seen on data: how large operands get, and what each layer loses. */
#ifndef HL_EXPORT_CALIBRATE_H
#define HL_EXPORT_CALIBRATE_H

#include "export/quantize.h"

typedef struct hl_calibration hl_calibration;

typedef enum hl_range {
    HL_RANGE_LARGEST,    /* of an operand: the largest element seen */
    HL_RANGE_PERCENTILE, /* what 99.99% of the elements seen do not exceed: the few beyond are clipped */
} hl_range;

/* Looks at a session of hl_quantize_probe, whose layers and session outlive it. NULL if there is no memory.
 */
hl_calibration *hl_calibration_new(hl_session *probe, const hl_layers *layers, hl_error *err);
void hl_calibration_free(hl_calibration *c);
/* Takes in what the session's last run gave. HL_ERR_NUMERIC names a layer whose operand is not finite. */
hl_status hl_calibration_take(hl_calibration *c, hl_error *err);
/* Sets the scales of the layers' operands. */
void hl_calibration_set_scales(const hl_calibration *c, hl_layers *layers, hl_range range);
/* Sets the layers' errors; those above `most` are kept in floats. Returns how many. */
int hl_calibration_keep(const hl_calibration *c, hl_layers *layers, double most);

#endif
