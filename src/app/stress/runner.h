/* A thread of a race: it opens what it needs, warms up, runs and stops with the others, stage by stage. */
#ifndef HL_APP_STRESS_RUNNER_H
#define HL_APP_STRESS_RUNNER_H

#include "app/stress/race.h"

/* What a thread does, with the `self` it was started with. Those that fail say why, and the race ends. */
typedef struct hl_work {
    const char *name; /* errors begin with it */
    hl_status (*open)(void *self, hl_error *err);
    hl_status (*warm_up)(void *self, hl_error *err); /* until hl_race_ended at the latest, as run does */
    hl_status (*run)(void *self, hl_error *err);
    void (*close)(void *self); /* whatever has failed */
} hl_work;

typedef struct hl_runner {
    const hl_work *work;
    void *self;
    hl_race *race;
    pthread_t thread;
    bool started; /* there is a thread to join */
} hl_runner;

/* Starts the thread, which arrives when it has opened. HL_ERR_MEMORY. */
hl_status hl_runner_start(hl_runner *r, const hl_work *work, void *self, hl_race *race, hl_error *err);
/* After the stage HL_STAGE_CLOSE has begun. Does nothing if there is no thread. */
void hl_runner_join(hl_runner *r);

#endif
