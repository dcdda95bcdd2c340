/* hl eval: how good a model is, in closed loop and on held-out samples. */
#include "app/closed_loop.h"
#include "app/command.h"
#include "app/loaded.h"
#include "app/measure.h"
#include "base/error.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>

enum { MOST_EPISODES = 1000000 }; /* as eval.episodes */

typedef struct result {
    const char *checkpoint;
    uint64_t step;
    bool closed_loop, samples;
    const char *no_samples; /* why they cannot be measured */
    int64_t episodes;
    hl_success success;
    hl_losses losses;             /* means over `count` samples of the validation split */
    double sparsity, information; /* see app/measure.h */
    int64_t count;
} result;

/* ------------------------------------------------------------------ closed loop */

static hl_status closed_loop(const hl_loaded *l, int64_t episodes, hl_success *out, hl_error *err)
{
    const hl_config *cfg = &l->trained.config;
    const hl_policy_options o = {.rows = cfg->eval.batch < episodes ? cfg->eval.batch : episodes,
                                 .smoothing = (float)cfg->model.head.smoothing,
                                 .device = cfg->device,
                                 .precision = (hl_precision)cfg->precision};
    hl_status status = hl_closed_loop_fits(&l->trained.model, err);
    if (status != HL_OK)
        return status;
    hl_policy *policy = hl_loaded_policy(l, &o, err);
    status = policy ? hl_closed_loop(cfg, &l->trained.model, policy, o.rows, episodes, out, err)
                    : err->status;
    hl_policy_free(policy);
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
    if (r->no_samples)
        json_object_set_new(j, "samples_absent", json_string(r->no_samples));
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
    if (r->no_samples)
        printf("  validation samples    not measured: %s\n", r->no_samples);
}

/* Why there is no loss over samples; NULL: there is. */
static const char *no_samples_because(const hl_loaded *l)
{
    if (l->exported)
        return "an exported model only acts";
    return l->trained.decoder ? NULL : "it was exported without its decoder (hl export --with-decoder)";
}

static hl_status evaluate(const hl_loaded *l, result *r, hl_error *err)
{
    hl_status status = HL_OK;
    hl_setup_threads(&l->trained.config);
    if (!r->samples && !r->closed_loop)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: there is nothing to measure: %s; --reach runs it in the world reach",
                       r->checkpoint,
                       r->no_samples ? r->no_samples : "--closed-loop-only, and its data came from files");
    if (r->samples) /* first: it is quick, and finds what is wrong with the data; the weights are there still
                     */
        status = held_out(&l->trained, r, err);
    if (status == HL_OK && r->closed_loop)
        status = closed_loop(l, r->episodes, &r->success, err);
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
        "hl eval MODEL [key=value ...] [--episodes N] [--reach] [--json]",
        "Measures a checkpoint, or an exported model. Trained on the simulated world: its success rate in\n"
        "closed loop, with a 95% interval, on episodes no training saw. Of a checkpoint, on any data: loss\n"
        "and information retained over the validation split. key=value overrides keys of the model's\n"
        "configuration.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    if (episodes == 0 || episodes > MOST_EPISODES) {
        fprintf(stderr, "hl: --episodes: %lld is not in 1..%d\n", (long long)episodes, MOST_EPISODES);
        return HL_EXIT_USAGE;
    }
    hl_loaded l;
    hl_status status = hl_loaded_open(&l, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK) {
        const hl_config *cfg = &l.trained.config;
        result r = {.checkpoint = argv[1], .step = l.trained.step, .no_samples = no_samples_because(&l)};
        r.samples = !no_samples && !r.no_samples;
        r.closed_loop = reach || cfg->data.format == HL_FORMAT_REACH;
        r.episodes = episodes > 0 ? episodes : cfg->eval.episodes;
        status = evaluate(&l, &r, &err);
        if (status == HL_OK && json)
            status = print_json(&r, &err);
        else if (status == HL_OK)
            print_text(&r);
    }
    hl_loaded_close(&l);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
