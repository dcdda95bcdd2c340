#include "app/stress/race.h"

#include "base/error.h"
#include "base/process.h"

#include <math.h>
#include <time.h>

hl_status hl_race_init(hl_race *r, hl_error *err)
{
    pthread_condattr_t monotonic;
    *r = (hl_race){0};
    bool made = !pthread_condattr_init(&monotonic);
    if (made) {
        made = !pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) &&
               !pthread_cond_init(&r->change, &monotonic);
        pthread_condattr_destroy(&monotonic);
    }
    if (made && pthread_mutex_init(&r->lock, NULL)) {
        pthread_cond_destroy(&r->change);
        made = false;
    }
    return made ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the threads of a phase");
}

void hl_race_destroy(hl_race *r)
{
    pthread_cond_destroy(&r->change);
    pthread_mutex_destroy(&r->lock);
}

static void wait_until(hl_race *r, double seconds)
{
    struct timespec until = {(time_t)floor(seconds), (long)(1e9 * (seconds - floor(seconds)))};
    (void)pthread_cond_timedwait(&r->change, &r->lock, &until); /* who waits looks at the clock again */
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
    bool ended = r->stage >= HL_STAGE_STOP || r->failed;
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
        wait_until(r, until);
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
