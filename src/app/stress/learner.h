/* Who learns: a thread with a session that trains, without pause or at the pace of the actors. */
#ifndef HL_APP_STRESS_LEARNER_H
#define HL_APP_STRESS_LEARNER_H

#include "app/stress/batches.h"
#include "app/stress/runner.h"
#include "app/stress/timing.h"
#include "app/train/trainer.h"
#include "base/timeline.h"
#include "optim/schedule.h"

typedef struct hl_learner_options {
    hl_params *params;
    hl_trainer_options trainer; /* one micro-batch per step */
    hl_lr_schedule schedule;
    int64_t warmup;
    int64_t every; /* inference runs per step; 0: it does not wait for them */
    int64_t steps; /* after which it stops by itself; 0: never */
    int threads;   /* of the CPU */
    const hl_batches *batches;
    hl_race *race;
} hl_learner_options;

typedef struct hl_learner {
    hl_learner_options options;
    hl_runner runner;
    hl_session *session; /* until the stage HL_STAGE_CLOSE */
    hl_timing *timing;
    hl_timeline *loss;                          /* by step, not by time */
    int64_t steps, norms;                       /* norms: steps of a finite gradient */
    double norm;                                /* their mean */
    double first[HL_BATCHES], last[HL_BATCHES]; /* losses of the first steps, and of the last */
    double skipped_before, skipped;             /* steps, since the session was opened */
    double ended;                               /* hl_seconds */
} hl_learner;

/* As for actors (actor.h). */
hl_status hl_learner_start(hl_learner *l, const hl_learner_options *options, hl_error *err);
/* Means of them: both are of the same samples, so one may be held against the other. NAN before the first
 * step. */
double hl_learner_first_loss(const hl_learner *l);
double hl_learner_last_loss(const hl_learner *l);
void hl_learner_free(hl_learner *l);

#endif
