/* hl eval: how good a checkpoint is, in closed loop and on held-out samples. */
#include "app/command.h"
#include "app/measure.h"
#include "app/policy.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "data/reach.h"

#include <math.h>
#include <stdio.h>

enum { MOST_EPISODES = 1000000 }; /* as eval.episodes */

typedef struct success {
    int64_t episodes, reached;
    double low, high;     /* 95% interval of the rate (Wilson 1927) */
    double mean_distance; /* of the fingertip at the end, metres */
} success;

typedef struct result {
    const char *checkpoint;
    uint64_t step;
    bool closed_loop, samples;
    success success;
    hl_losses losses;             /* means over `count` samples of the validation split */
    double sparsity, information; /* see app/measure.h */
    int64_t count;
} result;

static void wilson(success *s)
{
    double n = (double)s->episodes, p = (double)s->reached / n, z = 1.959963984540054, z2 = z * z;
    double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    s->low = centre - half;
    s->high = centre + half;
}

/* ------------------------------------------------------------------ closed loop */

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
        float *all = hl_policy_sense(policy, hl_model_sense(k));
        sense[k] = all ? all + row * hl_model_sense_size(o, k) : NULL;
    }
    hl_reach_observe(s->world, sense);
}

/* Rows run side by side; one that has ended takes the next episode. An episode ends when it succeeds or
 * runs out of steps. */
static hl_status run_rows(const hl_trained *t, hl_policy *policy, seat *seats, int64_t rows, float *action,
                          success *out, hl_error *err)
{
    const hl_config *cfg = &t->config;
    int64_t next = 0, running = 0;
    hl_status status = HL_OK;
    for (int64_t r = 0; r < rows && next < out->episodes; r++, running++)
        begin(&seats[r], r, cfg, next++, policy);
    while (running && status == HL_OK) {
        for (int64_t r = 0; r < rows; r++)
            observe(&seats[r], r, &t->model, policy);
        status = hl_policy_act(policy, action, err);
        for (int64_t r = 0; r < rows && status == HL_OK; r++) {
            seat *s = &seats[r];
            if (s->episode < 0)
                continue;
            status = hl_reach_act(s->world, action + r * t->model.action, err);
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

static hl_status check_fits_reach(const hl_model_options *o, hl_error *err)
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

static hl_status closed_loop(const hl_trained *t, success *out, hl_error *err)
{
    int64_t rows = t->config.eval.batch < out->episodes ? t->config.eval.batch : out->episodes;
    hl_status status = check_fits_reach(&t->model, err);
    if (status != HL_OK)
        return status;
    hl_policy_options o = {
        .rows = rows,
        .smoothing = (float)t->config.model.head.smoothing,
        .device = t->config.device,
        .precision = (hl_precision)t->config.precision,
    };
    hl_policy *policy = hl_trained_policy(t->params, &t->model, &t->normalization, &o, false, err);
    seat *seats = hl_alloc((size_t)rows, sizeof *seats);
    float *action = hl_alloc((size_t)(rows * t->model.action), sizeof *action);
    if (!policy)
        status = err->status;
    else if (!seats || !action)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %lld episodes side by side", (long long)rows);
    bool camera = t->model.senses[HL_VISUAL] || t->model.senses[HL_DEPTH];
    for (int64_t r = 0; r < rows && status == HL_OK; r++) {
        seats[r].episode = -1;
        seats[r].world = hl_reach_new(camera ? t->model.image : 0, err);
        status = seats[r].world ? HL_OK : err->status;
    }
    if (status == HL_OK)
        status = run_rows(t, policy, seats, rows, action, out, err);
    for (int64_t r = 0; seats && r < rows; r++)
        hl_reach_free(seats[r].world);
    hl_policy_free(policy);
    hl_free(seats);
    hl_free(action);
    wilson(out);
    return status;
}

/* ------------------------------------------------------------------ held-out samples */

static hl_status held_out(const hl_trained *t, result *out, hl_error *err)
{
    hl_trainer_options o = hl_setup_trainer(&t->config);
    hl_dataset *data = hl_setup_dataset(&t->config, err);
    if (data && !data->count[HL_VALID]) {
        hl_dataset_close(data);
        return hl_fail(err, HL_ERR_DATA,
                       "%s: no demonstration of the data validates; --closed-loop-only does without",
                       out->checkpoint);
    }
    hl_loader_options loading = {.split = HL_VALID, .batch = o.batch, .order = HL_SEQUENTIAL};
    hl_loader *loader = data ? hl_loader_new(data, &loading, err) : NULL;
    hl_graph *g = loader ? hl_validation_graph(t->params, &o) : NULL;
    const hl_session_options options = {.device = o.device, .precision = o.precision};
    hl_session *s = g ? hl_session_open(g, t->params, &options, err) : NULL;
    int64_t n = t->config.train.valid_batches;
    hl_measure *measure = s ? hl_measure_new(hl_model_context(&o.model), o.model.compressed) : NULL;
    hl_status status = s ? HL_OK : err->status;
    if (s && !measure)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to measure the compressor");
    if (status == HL_OK)
        status = hl_mean_losses(s, &o, loader, n, measure, &out->losses, err);
    if (status == HL_OK) {
        out->count = n * o.batch;
        out->sparsity = hl_measure_sparsity(measure);
        out->information = hl_measure_information(measure);
    }
    hl_measure_free(measure);
    hl_session_free(s);
    hl_graph_free(g);
    hl_loader_free(loader);
    hl_dataset_close(data);
    return status;
}

/* ------------------------------------------------------------------ the command */

static hl_status print_json(const result *r, hl_error *err)
{
    const hl_losses *l = &r->losses;
    json_t *j = json_pack("{s:s, s:I}", "checkpoint", r->checkpoint, "step", (json_int_t)r->step);
    if (r->closed_loop)
        json_object_update_new(j,
                               json_pack("{s:f, s:I, s:I, s:[f,f], s:f}", "success_rate",
                                         (double)r->success.reached / (double)r->success.episodes, "episodes",
                                         (json_int_t)r->success.episodes, "successes",
                                         (json_int_t)r->success.reached, "interval_95", r->success.low,
                                         r->success.high, "mean_final_distance_m", r->success.mean_distance));
    if (r->samples)
        json_object_update_new(j, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "samples",
                                            (json_int_t)r->count, "loss", hl_json_number(l->total), "action",
                                            hl_json_number(l->action), "reconstruction",
                                            hl_json_number(l->reconstruction), "kl", hl_json_number(l->kl),
                                            "information_retained", hl_json_number(l->information_retained),
                                            "sparsity", hl_json_number(r->sparsity),
                                            "mutual_information_bits", hl_json_number(r->information)));
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

static void print_text(const result *r)
{
    printf("%s, step %llu\n", r->checkpoint, (unsigned long long)r->step);
    if (r->closed_loop)
        printf("  closed loop (reach)   %.1f%% of %lld unseen episodes succeed (95%% interval %.1f..%.1f%%)\n"
               "                        fingertip to target at the end: %.3f m on average\n",
               100.0 * (double)r->success.reached / (double)r->success.episodes,
               (long long)r->success.episodes, 100 * r->success.low, 100 * r->success.high,
               r->success.mean_distance);
    if (r->samples) {
        printf("  validation samples    loss %.4f: action %.4f, reconstruction %.4f", r->losses.total,
               r->losses.action, r->losses.reconstruction);
        if (isfinite(r->losses.kl))
            printf(", kl %.4f", r->losses.kl);
        printf(" (%lld samples)\n  information retained  %.3f; about %.0f bits a sample; sparsity %.3f\n",
               (long long)r->count, r->losses.information_retained, r->information, r->sparsity);
    }
}

static hl_status evaluate(const hl_trained *t, result *r, hl_error *err)
{
    hl_status status = HL_OK;
    hl_setup_threads(&t->config);
    if (r->samples) /* first: it is quick, and finds what is wrong with the data */
        status = held_out(t, r, err);
    if (status == HL_OK && r->closed_loop)
        status = closed_loop(t, &r->success, err);
    return status;
}

int hl_command_eval(int argc, char **argv)
{
    int64_t episodes = -1;
    bool json = false, reach = false, no_samples = false;
    const hl_flag flags[] = {
        {"episodes", HL_FLAG_INT, &episodes, "N", "closed-loop episodes (default: eval.episodes)"},
        {"reach", HL_FLAG_BOOL, &reach, NULL, "run in the world reach though the data came from files"},
        {"closed-loop-only", HL_FLAG_BOOL, &no_samples, NULL, "leave the validation samples out"},
        {"json", HL_FLAG_BOOL, &json, NULL, "print JSON"},
        {0},
    };
    const hl_usage usage = {
        "hl eval CHECKPOINT [key=value ...] [--episodes N] [--reach] [--json]",
        "Measures a checkpoint. Trained on the simulated world: its success rate in closed loop, with\n"
        "a 95% interval, on episodes no training saw. On any data: loss and information retained over\n"
        "the validation split. key=value overrides keys of the checkpoint's configuration.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    if (episodes == 0 || episodes > MOST_EPISODES) {
        fprintf(stderr, "hl: --episodes: %lld is not in 1..%d\n", (long long)episodes, MOST_EPISODES);
        return HL_EXIT_USAGE;
    }
    hl_trained t;
    hl_status status = hl_trained_load(&t, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK) {
        result r = {.checkpoint = argv[1], .step = t.step, .samples = !no_samples};
        r.closed_loop = reach || t.config.data.format == HL_FORMAT_REACH;
        r.success.episodes = episodes > 0 ? episodes : t.config.eval.episodes;
        status = evaluate(&t, &r, &err);
        if (status == HL_OK && json)
            status = print_json(&r, &err);
        else if (status == HL_OK)
            print_text(&r);
    }
    hl_trained_free(&t);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
