/* The memory that a configuration or an exported model needs, by arithmetic. */
#ifndef HL_APP_PLANNED_H
#define HL_APP_PLANNED_H

#include "app/loaded.h"
#include "app/train/trainer.h"

enum { HL_PLANNED_MOST = 65536 }; /* samples, as train.batch */

typedef struct hl_planned {
    int64_t batch;
    hl_memory memory; /* peak_op: below */
    char peak_op[48];
    char *calls; /* a line per kernel call, the caller's (hl_free); NULL unless asked for */
} hl_planned;

/* A training step; frozen inference of `batch` rows. Of l->trained the configuration is read, and no more. */
hl_status hl_plan_training(const hl_trainer_options *o, bool calls, hl_planned *p, hl_error *err);
hl_status hl_plan_inference(const hl_loaded *l, int64_t batch, bool calls, hl_planned *p, hl_error *err);

/* The memory of a training step as a file for a browser, see io/memory_viz.h. */
hl_status hl_plan_picture(const hl_trainer_options *o, const char *path, hl_error *err);

/* hl plan --budget: prints the largest batches that fit, by precision. */
hl_status hl_plan_budget(const hl_loaded *l, size_t budget, bool json, hl_error *err);

#endif
