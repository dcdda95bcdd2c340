/* Learning rate as a function of the step. */
#ifndef HL_OPTIM_SCHEDULE_H
#define HL_OPTIM_SCHEDULE_H

#include "hl.h"

typedef enum hl_schedule_kind { HL_CONSTANT, HL_LINEAR, HL_COSINE } hl_schedule_kind;

typedef struct hl_lr_schedule {
    hl_schedule_kind kind;
    double lr, min_lr; /* after the warm-up, and at the end (linear and cosine) */
    int64_t warmup;    /* steps of linear growth from lr/warmup to lr */
    int64_t steps;     /* of the whole run */
} hl_lr_schedule;

/* step counts from 0. Past the end the last value stays. */
double hl_lr_at(const hl_lr_schedule *s, int64_t step);

#endif
