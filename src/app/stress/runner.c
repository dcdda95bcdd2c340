#include "app/stress/runner.h"

#include "base/error.h"

static hl_status go_through(const hl_runner *r, hl_error *err)
{
    hl_status status = r->work->open(r->self, err);
    if (status != HL_OK)
        return status;
    hl_race_arrive(r->race);
    hl_race_await(r->race, HL_STAGE_WARM_UP);
    status = r->work->warm_up(r->self, err);
    if (status != HL_OK)
        return status;
    hl_race_arrive(r->race);
    hl_race_await(r->race, HL_STAGE_RUN);
    status = r->work->run(r->self, err);
    if (status != HL_OK)
        return status;
    hl_race_await(r->race, HL_STAGE_STOP);
    hl_race_arrive(r->race);
    return HL_OK;
}

static void *thread(void *context)
{
    const hl_runner *r = context;
    hl_error err = {0};
    if (go_through(r, &err) != HL_OK) {
        (void)hl_fail_prefix(&err, "%s", r->work->name);
        hl_race_fail(r->race, &err);
    }
    hl_race_await(r->race, HL_STAGE_CLOSE);
    r->work->close(r->self);
    return NULL;
}

hl_status hl_runner_start(hl_runner *r, const hl_work *work, void *self, hl_race *race, hl_error *err)
{
    *r = (hl_runner){.work = work, .self = self, .race = race};
    r->started = pthread_create(&r->thread, NULL, thread, r) == 0;
    return r->started ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no thread for %s", work->name);
}

void hl_runner_join(hl_runner *r)
{
    if (r->started)
        pthread_join(r->thread, NULL);
    r->started = false;
}
