/* Acting with a model that is trained: over a checkpoint's parameters and normalisation. */
#ifndef HL_APP_POLICY_H
#define HL_APP_POLICY_H

#include "data/dataset.h"
#include "layers/model.h"

/* The graph of acting: inputs as hl_model_mode says, outputs "action", "compressed" and (with a history)
 * "features"; units are those of the normalisation. */
hl_graph *hl_policy_graph(hl_params *params, const hl_model_options *model, int64_t rows, bool smoothing);
/* An hl_policy over them, which must outlive it. hl_policy_act normalises the observations in place. frozen:
 * see hl_session_options: the store's copy of the weights goes. NULL on error. */
hl_policy *hl_trained_policy(hl_params *params, const hl_model_options *model,
                             const hl_normalization *normalization, const hl_policy_options *options,
                             bool frozen, hl_error *err);

#endif
