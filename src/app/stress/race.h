/* What the threads of a phase have in common: they are opened one after the other, and then warm up, run and
 * stop together. */
#ifndef HL_APP_STRESS_RACE_H
#define HL_APP_STRESS_RACE_H

#include "hl.h"

#include <pthread.h>
#include <signal.h>

typedef enum hl_stage {
    HL_STAGE_OPEN,
    HL_STAGE_WARM_UP,
    HL_STAGE_RUN,   /* measured */
    HL_STAGE_STOP,  /* what is under way ends */
    HL_STAGE_CLOSE, /* what is open may be freed */
} hl_stage;

typedef struct hl_race {
    pthread_mutex_t lock;
    pthread_cond_t change; /* of any member; by the monotonic clock */
    hl_stage stage;
    double stopped;                     /* hl_seconds when HL_STAGE_STOP began */
    int arrived;                        /* threads that have done what the stage asks for */
    double began;                       /* hl_seconds when the stage HL_STAGE_RUN began */
    int64_t inferences;                 /* runs that have ended */
    int64_t trainings;                  /* steps that have ended */
    const volatile sig_atomic_t *asked; /* to stop */
    bool failed;                        /* a thread did; it has arrived at all stages */
    hl_error err;                       /* of the first one */
} hl_race;

/* stop: becomes true when somebody interrupts; NULL: nobody does. HL_ERR_MEMORY. */
hl_status hl_race_init(hl_race *r, const volatile sig_atomic_t *stop, hl_error *err);
void hl_race_destroy(hl_race *r);

/* For those who run in it. Arrived: the thread has done what the stage asked for. Blocks until `stage` has
 * begun.
 */
void hl_race_arrive(hl_race *r);
void hl_race_await(hl_race *r, hl_stage stage);
/* Whether there is nothing more to do: somebody has stopped it, or failed. */
bool hl_race_ended(hl_race *r);
/* Adds to what has ended. */
void hl_race_count(hl_race *r, int64_t inferences, int64_t trainings);
/* Waits until `inferences` runs have ended; false: the stage ended before. */
bool hl_race_await_inferences(hl_race *r, int64_t inferences);
/* Sleeps until a time of hl_seconds; false: the stage ended before. */
bool hl_race_sleep(hl_race *r, double until);
/* When HL_STAGE_STOP began, which it waits for. */
double hl_race_stopped(hl_race *r);
/* Tells that it cannot go on. The stage ends. */
void hl_race_fail(hl_race *r, const hl_error *err);

/* For who holds it. A new stage, to be arrived at by all again. */
void hl_race_enter(hl_race *r, hl_stage stage);
/* Waits until n threads have arrived, or one has failed. */
void hl_race_await_arrivals(hl_race *r, int n);
bool hl_race_failed(hl_race *r);

#endif
