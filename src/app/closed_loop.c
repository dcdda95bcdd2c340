#include "app/closed_loop.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/reach.h"

#include <math.h>

static void wilson(hl_success *s)
{
    double n = (double)s->episodes, p = (double)s->reached / n, z = 1.959963984540054, z2 = z * z;
    double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    s->low = centre - half;
    s->high = centre + half;
}

/* One row of the batch: a world and the episode in it. */
typedef struct seat {
    hl_reach *world;
    int64_t episode; /* -1: empty */
} seat;

static void begin(seat *s, int64_t row, const hl_config *cfg, int64_t episode, hl_policy *policy)
{
    s->episode = episode;
    hl_reach_reset(s->world, cfg->eval.seed, HL_REACH_UNSEEN + (uint64_t)episode);
    hl_policy_reset(policy, row);
}

static void observe(seat *s, int64_t row, const hl_model_options *o, hl_policy *policy)
{
    float *sense[HL_SENSES];
    for (int k = 0; k < HL_SENSES; k++) {
        float *all = hl_policy_sense(policy, hl_sense_name((hl_sense)k));
        sense[k] = all ? all + row * hl_model_sense_size(o, k) : NULL;
    }
    hl_reach_observe(s->world, sense);
}

/* Rows run side by side; one that has ended takes the next episode. An episode ends when it succeeds or
 * runs out of steps. */
static hl_status run_rows(const hl_config *cfg, const hl_model_options *model, hl_policy *policy, seat *seats,
                          int64_t rows, float *action, hl_success *out, hl_error *err)
{
    int64_t next = 0, running = 0;
    hl_status status = HL_OK;
    for (int64_t r = 0; r < rows && next < out->episodes; r++, running++)
        begin(&seats[r], r, cfg, next++, policy);
    while (running && status == HL_OK) {
        for (int64_t r = 0; r < rows; r++)
            observe(&seats[r], r, model, policy);
        status = hl_policy_act(policy, action, err);
        for (int64_t r = 0; r < rows && status == HL_OK; r++) {
            seat *s = &seats[r];
            if (s->episode < 0)
                continue;
            status = hl_reach_act(s->world, action + r * model->action, err);
            bool reached = hl_reach_success(s->world);
            if (!reached && hl_reach_step(s->world) < cfg->eval.steps)
                continue;
            out->reached += reached;
            out->mean_distance += hl_reach_distance(s->world) / (double)out->episodes;
            s->episode = -1;
            if (next < out->episodes)
                begin(s, r, cfg, next++, policy);
            else
                running--;
        }
    }
    return status;
}

hl_status hl_closed_loop_fits(const hl_model_options *o, hl_error *err)
{
    if (o->action != HL_REACH_ACTION)
        return hl_fail(err, HL_ERR_CONFIG, "the world reach takes %d-D actions, this model gives %lld-D ones",
                       HL_REACH_ACTION, (long long)o->action);
    const int64_t sizes[] = {1024, 128, 64};
    for (int k = HL_AUDIO; k < HL_SENSES; k++)
        if (o->senses[k] && hl_model_sense_size(o, k) != sizes[k - HL_AUDIO])
            return hl_fail(err, HL_ERR_CONFIG,
                           "model.%s.size: the world reach gives %lld elements, the model reads %lld",
                           hl_sense_name((hl_sense)k), (long long)sizes[k - HL_AUDIO],
                           (long long)hl_model_sense_size(o, k));
    return HL_OK;
}

hl_status hl_closed_loop(const hl_config *cfg, const hl_model_options *model, hl_policy *policy, int64_t rows,
                         int64_t episodes, hl_success *out, hl_error *err)
{
    const bool camera = model->senses[HL_VISUAL] || model->senses[HL_DEPTH];
    hl_status status = hl_closed_loop_fits(model, err);
    if (status != HL_OK)
        return status;
    *out = (hl_success){.episodes = episodes};
    seat *seats = hl_alloc((size_t)rows, sizeof *seats);
    float *action = hl_alloc((size_t)(rows * model->action), sizeof *action);
    if (!seats || !action)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %lld episodes side by side", (long long)rows);
    for (int64_t r = 0; r < rows && status == HL_OK; r++) {
        seats[r].episode = -1;
        seats[r].world = hl_reach_new(camera ? model->image : 0, err);
        status = seats[r].world ? HL_OK : err->status;
    }
    if (status == HL_OK)
        status = run_rows(cfg, model, policy, seats, rows, action, out, err);
    for (int64_t r = 0; seats && r < rows; r++)
        hl_reach_free(seats[r].world);
    hl_free(seats);
    hl_free(action);
    wilson(out);
    return status;
}
