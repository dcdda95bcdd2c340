/* From a trained model to the graph that is exported: it acts, it is folded, and perhaps in integers. */
#ifndef HL_APP_STAGES_H
#define HL_APP_STAGES_H

#include "app/export/windows.h"
#include "export/calibrate.h"

typedef struct hl_stage_options {
    bool decoder;
    bool
        pooled; /* pools before convolutions are applied for good: products in integers read what they give */
} hl_stage_options;

/* One graph at two batches, 2 and 3: what differs between them scales with the batch. */
typedef struct hl_stage {
    hl_stage_options options;
    hl_graph *graph[2];
    hl_params *params; /* what the graphs read; may map values of `before` */
    struct hl_stage *before;
} hl_stage;

/* Free a stage and all before it; accepts NULL. */
void hl_stage_free(hl_stage *s);

/* The trained model acting, folded. It outlives the stage. NULL on error. */
hl_stage *hl_stage_fold(const hl_trained *t, const hl_stage_options *o, hl_error *err);

/* How layers are put into integers. */
typedef struct hl_stage_quantizing {
    const hl_config *data; /* operands are calibrated on its training split; NULL: row by row */
    hl_range range;
    int64_t samples;   /* to look at, at least one */
    double most_error; /* of a layer that loses more, relative, the weights stay in floats */
} hl_stage_quantizing;

/* The stage in integers, of which it becomes the owner, also on error. layers: the caller's. */
hl_stage *hl_stage_quantize(hl_stage *folded, const hl_trained *t, const hl_stage_quantizing *o,
                            hl_layers *layers, hl_error *err);

/* Weights that the graph reads. */
int64_t hl_stage_parameters(const hl_stage *s);

#endif
