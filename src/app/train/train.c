/* hl train: from a configuration to a trained checkpoint. */
#include "app/command.h"
#include "app/train/progress.h"
#include "app/train/records.h"
#include "app/train/run_dir.h"
#include "app/train/saver.h"
#include "app/setup.h"
#include "app/stopping.h"
#include "app/tracing.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "optim/schedule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct run {
    const hl_config *cfg;
    hl_trainer_options trainer;
    hl_dataset *data;
    hl_loader *loader;
    hl_loader_position position; /* after the last batch that was trained on */
    hl_params *params;
    hl_session *train, *valid;
    hl_tracing *tracing;
    hl_records *records;
    hl_saver *saver;
    hl_checkpoint_meta meta; /* of the checkpoint being written */
    hl_checkpoint_array arrays[HL_SETUP_ARRAYS];
    int64_t step, resumed; /* updates done; resumed: by the run before, or -1 */
    double started;
    int64_t last_saved;
    int hold; /* on run.dir */
} run;

/* ------------------------------------------------------------------ checkpoints */

static hl_status open_saver(run *r, hl_error *err)
{
    char *config = hl_config_print(r->cfg);
    r->saver = hl_saver_new(r->cfg->run.dir, (int)r->cfg->checkpoint.keep, r->cfg->checkpoint.background);
    r->meta = (hl_checkpoint_meta){.hl_version = HL_VERSION,
                                   .seed = r->cfg->seed,
                                   .n_loader = 2,
                                   .config = config,
                                   .n_arrays = hl_normalization_arrays(&r->data->normalization, r->arrays),
                                   .arrays = r->arrays};
    return config && r->saver ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory to write checkpoints");
}

static hl_status save(run *r, hl_error *err)
{
    hl_status status = hl_saver_finish(r->saver, err); /* it reads r->meta */
    if (status != HL_OK)
        return status;
    r->meta.step = (uint64_t)r->step;
    r->meta.epoch = r->meta.loader[0] = r->position.epoch;
    r->meta.loader[1] = r->position.index;
    r->last_saved = r->step;
    return hl_saver_save(r->saver, r->params, &r->meta, err);
}

/* A run goes on as it was: what its numbers are a function of may not have changed. */
static hl_status check_same_run(const hl_checkpoint_meta *meta, const run *r, const char *path, hl_error *err)
{
    hl_config old;
    hl_status status = hl_config_parse_text(&old, meta->config, path, 0, NULL, err);
    if (status != HL_OK)
        return status;
    const struct {
        const char *key;
        uint64_t was, is;
    } fixed[] = {{"seed", old.seed, r->cfg->seed},
                 {"train.batch", (uint64_t)old.train.batch, (uint64_t)r->cfg->train.batch},
                 {"train.accumulate", (uint64_t)old.train.accumulate, (uint64_t)r->cfg->train.accumulate}};
    for (int i = 0; i < 3 && status == HL_OK; i++)
        if (fixed[i].was != fixed[i].is)
            status = hl_fail(err, HL_ERR_CONFIG, "%s was trained with %s %llu, the configuration says %llu",
                             path, fixed[i].key, (unsigned long long)fixed[i].was,
                             (unsigned long long)fixed[i].is);
    hl_config_free(&old);
    return status;
}

static hl_status resume_from(run *r, const char *path, hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_status status = hl_checkpoint_open(path, &c, err);
    if (status != HL_OK)
        return status;
    const hl_checkpoint_meta *meta = hl_checkpoint_meta_of(c);
    status = check_same_run(meta, r, path, err);
    if (status == HL_OK)
        status = hl_checkpoint_load(c, r->params, HL_CHECKPOINT_ALL, err);
    if (status == HL_OK) {
        r->step = r->resumed = r->last_saved = (int64_t)meta->step;
        r->position = (hl_loader_position){meta->loader[0], meta->loader[1]};
        fprintf(stderr, "hl: resuming %s at step %lld\n", path, (long long)r->step);
    }
    hl_checkpoint_close(c);
    return status;
}

static hl_status resume(run *r, const char *from, hl_error *err)
{
    char *latest = NULL;
    int damaged = 0;
    r->resumed = -1;
    if (!from)
        return HL_OK;
    if (strcmp(from, "auto"))
        return resume_from(r, from, err);
    hl_status status = hl_checkpoint_latest(r->cfg->run.dir, &latest, &damaged, err);
    if (status == HL_OK && damaged)
        fprintf(stderr, "hl: passed over %d damaged checkpoint(s): %s\n", damaged, err->message);
    if (status == HL_OK && latest) {
        status = resume_from(r, latest, err);
    } else if (status == HL_OK) {
        fprintf(stderr, "hl: no checkpoint in %s yet, starting from the beginning\n", r->cfg->run.dir);
        r->resumed = 0;
    }
    hl_free(latest);
    return status;
}

/* ------------------------------------------------------------------ opening */

static hl_status open_sessions(run *r, hl_error *err)
{
    const hl_session_options options = {.device = r->trainer.device, .precision = r->trainer.precision};
    const hl_session_options training = hl_training_session(&r->trainer);
    hl_graph *g = hl_training_graph(r->params, &r->trainer);
    r->train = hl_session_open(g, r->params, &training, err);
    hl_graph_free(g);
    if (!r->train)
        return err->status;
    if (strcmp(hl_session_device(r->train), "cpu") || r->trainer.precision != HL_PRECISION_FP32)
        fprintf(stderr, "hl: training on %s in %s\n", hl_session_device(r->train),
                hl_precision_name(r->trainer.precision));
    if (!r->cfg->train.valid_every || !r->data->count[HL_VALID])
        return HL_OK;
    g = hl_validation_graph(r->params, &r->trainer);
    r->valid = hl_session_open(g, r->params, &options, err);
    hl_graph_free(g);
    return r->valid ? HL_OK : err->status;
}

static hl_status open_loaders(run *r, hl_error *err)
{
    hl_loader_options o = {.split = HL_TRAIN,
                           .batch = r->cfg->train.batch,
                           .prefetch = (int)r->cfg->train.prefetch,
                           .seed = r->cfg->seed,
                           .order = HL_SHUFFLED,
                           .start = r->position};
    r->loader = hl_loader_new(r->data, &o, err);
    return r->loader ? HL_OK : err->status;
}

static hl_status open_run(run *r, const char *from, hl_error *err)
{
    hl_status status = hl_run_dir_check(r->cfg->run.dir, from, err); /* before what takes its time */
    if (status != HL_OK)
        return status;
    r->trainer = hl_setup_trainer(r->cfg);
    hl_setup_threads(r->cfg);
    r->data = hl_setup_dataset(r->cfg, err);
    r->params = hl_params_new(r->cfg->seed);
    if (!r->data || !r->params)
        return r->data ? hl_fail(err, HL_ERR_MEMORY, "no memory for parameters") : err->status;
    hl_setup_tell_data(r->cfg, r->data);
    hl_graph *declare = hl_training_graph(r->params, &r->trainer); /* names and shapes, for the checkpoint */
    const char *fault = hl_graph_error(declare);
    if (fault)
        status = hl_fail(err, HL_ERR_CONFIG, "%s", fault);
    hl_graph_free(declare);
    if (status == HL_OK && from && access(r->cfg->run.dir, F_OK) == 0)
        status = hl_run_dir_hold(r->cfg->run.dir, &r->hold,
                                 err); /* who writes there also removes what we read */
    if (status == HL_OK)
        status = resume(r, from, err);
    if (status == HL_OK)
        status = open_sessions(r, err);
    if (status == HL_OK)
        status = open_loaders(r, err);
    if (status == HL_OK)
        status = open_saver(r, err);
    if (status == HL_OK && r->hold < 0) /* a new run: no directory before all else is right */
        status = hl_run_dir_hold(r->cfg->run.dir, &r->hold, err);
    if (status == HL_OK)
        status = hl_records_open(r->cfg, r->resumed, &r->records, err);
    if (status == HL_OK && from && !strcmp(from, "auto"))
        status = hl_run_dir_link_last(r->cfg->run.dir, r->resumed, err);
    return status;
}

static void close_run(run *r)
{
    hl_records_close(r->records, NULL); /* closed already, unless something else failed */
    hl_saver_free(r->saver);
    hl_free((char *)r->meta.config);
    hl_session_free(r->train);
    hl_session_free(r->valid);
    hl_loader_free(r->loader);
    hl_dataset_close(r->data);
    hl_params_free(r->params);
    hl_run_dir_release(r->hold);
}

/* ------------------------------------------------------------------ steps */

static hl_status train_step(run *r, double lr, hl_error *err)
{
    for (int64_t micro = 0; micro < r->trainer.accumulate; micro++) {
        const hl_batch *batch;
        hl_status status = hl_loader_next(r->loader, &batch, err);
        if (status != HL_OK)
            return status;
        hl_feed(r->train, &r->trainer, micro, batch);
        r->position = batch->next;
    }
    hl_session_set(r->train, "lr", (float)lr);
    hl_session_set_step(r->train, (uint64_t)r->step);
    hl_status status = hl_session_run(r->train, err);
    r->step += status == HL_OK;
    return status;
}

/* Mean losses over the first valid_batches batches of the validation split, in order. */
static hl_status validate(run *r, hl_losses *mean, hl_error *err)
{
    hl_loader_options o = {
        .split = HL_VALID, .batch = r->cfg->train.batch, .prefetch = 0, .order = HL_SEQUENTIAL};
    hl_loader *loader = hl_loader_new(r->data, &o, err);
    hl_status status = loader ? hl_mean_losses(r->valid, &r->trainer, loader, r->cfg->train.valid_batches,
                                               NULL, mean, err)
                              : err->status;
    hl_loader_free(loader);
    return status;
}

static hl_status record(run *r, const char *split, hl_losses losses, double lr, double samples_per_s,
                        hl_error *err)
{
    hl_metrics m = {.step = r->step,
                    .epoch = r->position.epoch,
                    .split = split,
                    .losses = losses,
                    .lr = lr,
                    .samples_per_s = samples_per_s,
                    .seconds = hl_seconds() - r->started};
    return hl_records_add(r->records, &m, err);
}

/* Sums of the losses since the last line, so that a line tells of its whole interval. */
typedef struct interval {
    hl_losses sum;
    int64_t steps;
    double since;
} interval;

static void add_step(interval *i, hl_losses l)
{
    i->sum.total += l.total;
    i->sum.action += l.action;
    i->sum.reconstruction += l.reconstruction;
    i->sum.kl += l.kl;
    i->sum.information_retained += l.information_retained;
    i->sum.grad_norm += l.grad_norm;
    i->sum.skipped = l.skipped;
    i->sum.loss_scale = l.loss_scale;
    i->steps++;
}

static hl_losses mean_of(const interval *i)
{
    double n = (double)i->steps;
    return (hl_losses){i->sum.total / n,
                       i->sum.action / n,
                       i->sum.reconstruction / n,
                       i->sum.kl / n,
                       i->sum.information_retained / n,
                       i->sum.grad_norm / n,
                       i->sum.skipped,
                       i->sum.loss_scale};
}

static void show(hl_progress *progress, const run *r, hl_losses l)
{
    hl_progress_state state = {
        .step = r->step,
        .samples = (r->step - (r->resumed > 0 ? r->resumed : 0)) * r->trainer.batch * r->trainer.accumulate,
        .value = {{"loss", l.total}, {"action", l.action}, {"recon", l.reconstruction}}};
    state.n = 3;
    if (r->trainer.model.compressor == HL_HYBRID || r->trainer.model.compressor == HL_BOTTLENECK)
        state.value[state.n++] = (hl_progress_value){"kl", l.kl};
    state.value[state.n++] = (hl_progress_value){"grad", l.grad_norm};
    if (l.skipped > 0)
        state.value[state.n++] = (hl_progress_value){"skipped", l.skipped};
    hl_progress_show(progress, &state);
}

static hl_status log_interval(run *r, interval *i, double lr, hl_error *err)
{
    hl_losses l = mean_of(i);
    double t = hl_seconds(),
           rate = (double)(i->steps * r->trainer.batch * r->trainer.accumulate) / (t - i->since);
    hl_status status = record(r, "train", l, lr, rate, err);
    *i = (interval){.since = t};
    return status;
}

static hl_status after_step(run *r, interval *i, double lr, hl_progress *progress, hl_error *err)
{
    const hl_config *cfg = r->cfg;
    bool last = r->step == cfg->train.steps || hl_stop_asked;
    hl_status status = HL_OK;
    hl_losses now = hl_read_losses(r->train);
    add_step(i, now);
    show(progress, r, now);
    if (r->step % cfg->train.log_every == 0 || last)
        status = log_interval(r, i, lr, err);
    if (status == HL_OK && r->valid && (r->step % cfg->train.valid_every == 0 || last)) {
        hl_losses l;
        status = validate(r, &l, err);
        if (status == HL_OK)
            status = record(r, "valid", l, lr, NAN, err);
    }
    if (status == HL_OK && ((cfg->checkpoint.every && r->step % cfg->checkpoint.every == 0) || last))
        status = save(r, err);
    return status;
}

/* From the second step on: the first one is warm-up. */
static hl_status trace_sessions(run *r, hl_error *err)
{
    hl_status status = hl_tracing_add(r->tracing, r->train, "training", err);
    return status == HL_OK && r->valid ? hl_tracing_add(r->tracing, r->valid, "validation", err) : status;
}

static hl_status train_loop(run *r, hl_error *err)
{
    const hl_config *cfg = r->cfg;
    hl_lr_schedule schedule = hl_config_schedule(cfg);
    hl_progress *progress = hl_progress_new(&(hl_progress_options){.to = stderr,
                                                                   .first = r->step,
                                                                   .steps = cfg->train.steps,
                                                                   .every = cfg->train.log_every,
                                                                   .unit = "samples"});
    interval i = {.since = hl_seconds()};
    hl_status status = HL_OK;
    r->started = hl_seconds();
    for (bool first = true; r->step < cfg->train.steps && !hl_stop_asked && status == HL_OK; first = false) {
        double lr = hl_lr_at(&schedule, r->step);
        status = train_step(r, lr, err);
        if (status == HL_OK && first)
            status = trace_sessions(r, err);
        if (status == HL_OK)
            status = after_step(r, &i, lr, progress, err);
    }
    hl_progress_free(progress);
    if (status == HL_OK && r->last_saved != r->step)
        status = save(r, err);
    return status == HL_OK ? hl_saver_finish(r->saver, err) : status;
}

static hl_status train(const hl_config *cfg, const char *from, hl_tracing *tracing, hl_error *err)
{
    run r = {.cfg = cfg, .tracing = tracing, .last_saved = -1, .hold = -1};
    hl_stop_listen("\nhl: stopping after this step (once more: at once, without saving)\n");
    hl_status status = open_run(&r, from, err);
    if (status == HL_OK)
        status = train_loop(&r, err);
    if (status == HL_OK)
        status = hl_records_draw(r.records, err);
    if (status == HL_OK) {
        status = hl_records_close(r.records, err);
        r.records = NULL;
    }
    if (status == HL_OK)
        fprintf(stderr, "hl: %s at step %lld of %lld; checkpoint %s/last.h5\n",
                hl_stop_asked ? "stopped" : "done", (long long)r.step, (long long)cfg->train.steps,
                cfg->run.dir);
    if (status == HL_OK)
        status = hl_tracing_write(tracing, err);
    close_run(&r);
    return status;
}

static hl_status print_config(const hl_config *cfg, hl_error *err)
{
    char *text = hl_config_print(cfg);
    if (!text)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to print the configuration");
    fputs(text, stdout);
    hl_free(text);
    return HL_OK;
}

int hl_command_train(int argc, char **argv)
{
    const char *from = NULL;
    bool print = false;
    hl_tracing_request traced = {0};
    const hl_flag flags[] = {
        {"resume", HL_FLAG_TEXT, &from, "PATH|auto",
         "go on from a checkpoint; auto: the newest valid one of run.dir"},
        HL_TRACING_FLAGS(traced),
        {"print-config", HL_FLAG_BOOL, &print, NULL, "print the resolved configuration and exit"},
        {0},
    };
    const hl_usage usage = {
        "hl train CONFIG [key=value ...] [--resume PATH|auto] [--trace FILE.json]",
        "Trains the model that CONFIG (YAML) describes; key=value overrides single keys, as in\n"
        "train.steps=100. Writes run.dir/{config.yaml,metrics.jsonl,step-N.h5,last.h5,loss.svg} and\n"
        "TensorBoard events. Ctrl-C saves a checkpoint and exits. docs/config.md lists the keys.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_config cfg = {0};
    hl_tracing *tracing = NULL;
    hl_status status = hl_config_load(&cfg, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK && print) {
        status = print_config(&cfg, &err);
    } else if (status == HL_OK) {
        status = hl_tracing_open(&traced, argv[1], &tracing, &err);
        if (status == HL_OK)
            status = train(&cfg, from, tracing, &err);
    }
    hl_tracing_free(tracing);
    hl_config_free(&cfg);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
