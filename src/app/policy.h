/* A model that acts: sessions, normalisation, history and smoothing behind observe -> action. Rows are
 * independent robots (or episodes) that share one batch. */
#ifndef HL_APP_POLICY_H
#define HL_APP_POLICY_H

#include "data/dataset.h"
#include "layers/model.h"

typedef struct hl_policy hl_policy;

typedef struct hl_policy_options {
    int64_t rows;
    float smoothing; /* weight of the previous action, 0..1 */
    const char *device;
    hl_precision precision;
    bool frozen; /* see hl_session_options: the store's copy of the weights goes */
} hl_policy_options;

/* The graph of acting: inputs as hl_model_mode says, outputs "action", "compressed" and (with a history)
 * "features". */
hl_graph *hl_policy_graph(hl_params *params, const hl_model_options *model, int64_t rows, bool smoothing);
/* params, normalization must outlive the policy. NULL on error. */
hl_policy *hl_policy_new(hl_params *params, const hl_model_options *model,
                         const hl_normalization *normalization, hl_policy_options options, hl_error *err);
void hl_policy_free(hl_policy *p);
/* A row starts a new episode: no previous action; its history is its first observation, repeated. */
void hl_policy_reset(hl_policy *p, int64_t row);
/* Where to write raw observations before hl_policy_act: [rows, size]; NULL for a sense the model does
 * not read. They are normalised in place by hl_policy_act. */
float *hl_policy_sense(hl_policy *p, int sense);
/* Computes action [rows, A], in the robot's units. HL_ERR_DATA names a sense, row and element that is
 * not finite. */
hl_status hl_policy_act(hl_policy *p, float *action, hl_error *err);
hl_session *hl_policy_session(hl_policy *p);

#endif
