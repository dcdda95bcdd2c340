/* The graph that acts, in the robot's units: what is exported.
 *
 * inputs   the senses, raw; with a history "history" [B,T,F]; "previous" [B,A], raw; "smoothing" [B,1]
 * outputs  "action" [B,A], raw and smoothed; "compressed" [B,Z]; with a history "features" [B,F]; with the
 *          decoder "reconstructed" [B,C] */
#ifndef HL_EXPORT_ACTING_H
#define HL_EXPORT_ACTING_H

#include "layers/model.h"

/* stored = (raw - offset) / scale, per element of one observation; count 0: stored is raw. */
typedef struct hl_statistics {
    int64_t count;
    const float *offset, *scale;
} hl_statistics;

/* HL_ERR_DATA: "normalization of OF" has an element that is not finite, or a scale of 0. */
hl_status hl_statistics_check(const hl_statistics *s, const char *of, hl_error *err);

typedef struct hl_acting_options {
    hl_model_options model;
    hl_statistics sense[HL_MODEL_SENSES], action; /* of senses that the model does not read: ignored */
    bool decoder;
} hl_acting_options;

/* Adds the statistics to the store, as parameters ("normalization.action.scale"): one number where all are
 * equal, one per channel where a channel's are, none where they change nothing. NULL on error. */
hl_graph *hl_acting_graph(hl_params *params, const hl_acting_options *o, int64_t batch, hl_error *err);

#endif
