/* A policy in the simulated world: how often it succeeds. */
#ifndef HL_APP_CLOSED_LOOP_H
#define HL_APP_CLOSED_LOOP_H

#include "app/config/config.h"

typedef struct hl_success {
    int64_t episodes, reached;
    double low, high;     /* 95% interval of the rate (Wilson 1927) */
    double mean_distance; /* of the fingertip at the end, metres */
} hl_success;

/* HL_ERR_CONFIG: the world reach gives other senses than this model reads, or takes other actions. */
hl_status hl_closed_loop_fits(const hl_model_options *o, hl_error *err);
/* Episodes that no training saw, `rows` of them side by side: the policy's rows. */
hl_status hl_closed_loop(const hl_config *cfg, const hl_model_options *model, hl_policy *policy, int64_t rows,
                         int64_t episodes, hl_success *out, hl_error *err);

#endif
