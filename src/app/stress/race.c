#include "app/stress/race.h"

#include "base/condition.h"
#include "base/error.h"
#include "base/process.h"

hl_status hl_race_init(hl_race *r, const volatile sig_atomic_t *stop, hl_error *err)
{
    *r = (hl_race){.asked = stop};
    return hl_condition_init(&r->change, &r->lock)
               ? HL_OK
               : hl_fail(err, HL_ERR_MEMORY, "no memory for the threads of a phase");
}

void hl_race_destroy(hl_race *r)
{
    hl_condition_destroy(&r->change, &r->lock);
}

void hl_race_arrive(hl_race *r)
{
    pthread_mutex_lock(&r->lock);
    r->arrived++;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
}

void hl_race_await(hl_race *r, hl_stage stage)
{
    pthread_mutex_lock(&r->lock);
    while (r->stage < stage)
        pthread_cond_wait(&r->change, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

bool hl_race_ended(hl_race *r)
{
    pthread_mutex_lock(&r->lock);
    bool ended = r->stage >= HL_STAGE_STOP || r->failed || (r->asked && *r->asked);
    pthread_mutex_unlock(&r->lock);
    return ended;
}

void hl_race_count(hl_race *r, int64_t inferences, int64_t trainings)
{
    pthread_mutex_lock(&r->lock);
    r->inferences += inferences;
    r->trainings += trainings;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
}

bool hl_race_await_inferences(hl_race *r, int64_t inferences)
{
    pthread_mutex_lock(&r->lock);
    while (r->inferences < inferences && r->stage < HL_STAGE_STOP && !r->failed)
        pthread_cond_wait(&r->change, &r->lock);
    bool reached = r->inferences >= inferences && r->stage < HL_STAGE_STOP && !r->failed;
    pthread_mutex_unlock(&r->lock);
    return reached;
}

bool hl_race_sleep(hl_race *r, double until)
{
    pthread_mutex_lock(&r->lock);
    while (hl_seconds() < until && r->stage < HL_STAGE_STOP && !r->failed)
        (void)hl_condition_wait(&r->change, &r->lock, until); /* looks at the clock again */
    bool reached = r->stage < HL_STAGE_STOP && !r->failed;
    pthread_mutex_unlock(&r->lock);
    return reached;
}

double hl_race_stopped(hl_race *r)
{
    hl_race_await(r, HL_STAGE_STOP);
    return r->stopped; /* and stays */
}

void hl_race_fail(hl_race *r, const hl_error *err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->failed)
        r->err = *err;
    r->failed = true;
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
}

void hl_race_enter(hl_race *r, hl_stage stage)
{
    pthread_mutex_lock(&r->lock);
    r->stage = stage;
    r->arrived = 0;
    if (stage == HL_STAGE_RUN) {
        r->inferences = r->trainings = 0;
        r->began = hl_seconds();
    }
    if (stage == HL_STAGE_STOP)
        r->stopped = hl_seconds();
    pthread_cond_broadcast(&r->change);
    pthread_mutex_unlock(&r->lock);
}

void hl_race_await_arrivals(hl_race *r, int n)
{
    pthread_mutex_lock(&r->lock);
    while (r->arrived < n && !r->failed)
        pthread_cond_wait(&r->change, &r->lock);
    pthread_mutex_unlock(&r->lock);
}

bool hl_race_failed(hl_race *r)
{
    pthread_mutex_lock(&r->lock);
    bool failed = r->failed;
    pthread_mutex_unlock(&r->lock);
    return failed;
}
