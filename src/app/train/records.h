/* What a run leaves in its directory besides checkpoints: config.yaml, metrics.jsonl, loss.svg and
 * TensorBoard events. */
#ifndef HL_APP_RECORDS_H
#define HL_APP_RECORDS_H

#include "app/config/config.h"
#include "app/train/trainer.h"

typedef struct hl_records hl_records;

typedef struct hl_metrics {
    int64_t step; /* updates done so far */
    uint64_t epoch;
    const char *split; /* "train" or "valid" */
    hl_losses losses;
    double lr, samples_per_s, seconds; /* since the start of this process */
} hl_metrics;

/* Makes run.dir and writes config.yaml. resumed_step >= 0: metrics of later steps, which a killed run
 * left, are dropped. A run.dir with another run's metrics that is not resumed is an error. */
hl_status hl_records_open(const hl_config *cfg, int64_t resumed_step, hl_records **out, hl_error *err);
hl_status hl_records_add(hl_records *r, const hl_metrics *m, hl_error *err);
/* Draws loss.svg from all metrics so far. */
hl_status hl_records_draw(hl_records *r, hl_error *err);
hl_status hl_records_close(hl_records *r, hl_error *err); /* accepts NULL */

#endif
