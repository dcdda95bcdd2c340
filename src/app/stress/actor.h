/* Who acts: a thread with a session that infers, as fast as it can or at a rate. */
#ifndef HL_APP_STRESS_ACTOR_H
#define HL_APP_STRESS_ACTOR_H

#include "app/stress/batches.h"
#include "app/stress/runner.h"
#include "app/stress/timing.h"

typedef struct hl_actor_options {
    hl_params *params;
    hl_model_options model;
    bool smoothing;
    const char *device;
    hl_precision precision;
    bool beside_training;
    int64_t batch, warmup;
    double rate, deadline; /* runs per second of all actors together, seconds; 0: none */
    int index, actors;     /* this one, of so many */
    int threads;           /* of the CPU */
    const hl_batches *batches;
    const hl_data_shape *shape;
    hl_race *race;
} hl_actor_options;

/* Times are told from when a run was due: a run that waits for the one before it is late by that, too (Tene's
 * coordinated omission). A control loop acts on the newest observation, so when it is late by whole periods
 * it leaves them out: they are missed. */
typedef struct hl_actor {
    hl_actor_options options;
    hl_runner runner;
    hl_session *session; /* until the stage HL_STAGE_CLOSE */
    hl_timing *timing;
    float *action; /* where the caller would have it */
    int64_t runs, missed, left_out;
    double ended; /* hl_seconds */
} hl_actor;

/* Starts a.runner, of which the session is open when it has arrived. HL_ERR_MEMORY. */
hl_status hl_actor_start(hl_actor *a, const hl_actor_options *options, hl_error *err);
/* Once it is joined. */
void hl_actor_free(hl_actor *a);

#endif
