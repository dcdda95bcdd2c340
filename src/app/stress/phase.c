#include "app/stress/phase.h"

#include "app/setup.h"
#include "app/stress/account.h"
#include "app/stress/actor.h"
#include "app/stress/learner.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum { ACTORS = 64 };

typedef struct work {
    const hl_phase_setup *setup;
    const hl_stress_phase *phase;
    bool acts, trains, raced; /* raced: there is a race */
    hl_params *params;
    hl_batches observations, demonstrations;
    hl_race race;
    hl_learner learner;
    hl_actor actors[ACTORS];
    int n_actors, n_threads; /* threads: of the race */
    double warmed, seconds;  /* how long */
    json_t *memory;
    double peak_bytes;
} work;

/* ------------------------------------------------------------------ options */

/* Both sides get what they ask for; who does not ask gets a quarter to act with, the rest to learn. */
static void share_threads(const work *w, int *acting, int *learning)
{
    const int all = w->setup->cfg->threads > 0 ? (int)w->setup->cfg->threads : omp_get_num_procs();
    *acting = (w->trains ? all / 4 : all) / (int)w->phase->streams;
    *acting = *acting > 1 ? *acting : 1;
    if (w->phase->threads)
        *acting = (int)w->phase->threads;
    *learning = w->acts ? all - *acting * (int)w->phase->streams : all;
    if (w->phase->train_threads)
        *learning = (int)w->phase->train_threads;
    *learning = *learning > 1 ? *learning : 1;
}

static hl_trainer_options trainer_of(const work *w)
{
    hl_trainer_options o = hl_setup_trainer(w->setup->cfg);
    o.batch = w->phase->train_batch ? w->phase->train_batch : o.batch;
    o.accumulate = 1;
    o.precision = hl_config_phase_precision(w->setup->cfg, w->phase);
    return o;
}

static hl_status start_learner(work *w, int threads, hl_error *err)
{
    hl_learner_options o = {.params = w->params,
                            .trainer = trainer_of(w),
                            .schedule = hl_config_schedule(w->setup->cfg),
                            .warmup = w->phase->warmup,
                            .every = w->phase->every,
                            .steps = w->phase->iterations,
                            .threads = threads,
                            .batches = &w->demonstrations,
                            .race = &w->race};
    hl_status status = hl_learner_start(&w->learner, &o, err);
    if (status == HL_OK)
        hl_race_await_arrivals(&w->race, ++w->n_threads);
    return status;
}

static hl_status start_actors(work *w, int threads, hl_error *err)
{
    const hl_config *cfg = w->setup->cfg;
    const hl_stress_phase *p = w->phase;
    hl_actor_options o = {.params = w->params,
                          .model = hl_config_model(cfg),
                          .smoothing = cfg->model.head.smoothing > 0,
                          .device = cfg->device,
                          .precision = hl_config_phase_precision(cfg, p),
                          .beside_training = w->trains || p->streams > 1,
                          .batch = p->batch,
                          .warmup = p->warmup,
                          .rate = p->rate_hz,
                          .deadline = p->deadline_ms > 0 ? 1e-3 * p->deadline_ms
                                      : p->rate_hz > 0   ? 1 / p->rate_hz
                                                         : 0,
                          .actors = (int)p->streams,
                          .threads = threads,
                          .batches = &w->observations,
                          .shape = &w->setup->data->shape,
                          .race = &w->race};
    hl_status status = HL_OK;
    for (; o.index < o.actors && status == HL_OK && !hl_race_failed(&w->race); o.index++) {
        status = hl_actor_start(&w->actors[w->n_actors], &o, err);
        if (status != HL_OK)
            break;
        w->n_actors++;
        hl_race_await_arrivals(&w->race, ++w->n_threads); /* sessions are opened one at a time */
    }
    return status;
}

/* ------------------------------------------------------------------ running */

static hl_status open(work *w, hl_error *err)
{
    const hl_config *cfg = w->setup->cfg;
    int acting, learning;
    hl_status status = hl_race_init(&w->race, w->setup->stop, err);
    if (status != HL_OK)
        return status;
    w->raced = true;
    w->params = hl_params_new(cfg->seed);
    if (!w->params)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for parameters");
    if (w->acts)
        status = hl_batches_draw(w->setup->data, w->phase->batch, cfg->seed, &w->observations, err);
    if (status == HL_OK && w->trains)
        status = hl_batches_draw(w->setup->data, trainer_of(w).batch, cfg->seed + 1, &w->demonstrations, err);
    share_threads(w, &acting, &learning);
    if (status == HL_OK && w->trains)
        status = start_learner(w, learning, err);
    if (status == HL_OK && w->acts && !hl_race_failed(&w->race))
        status = start_actors(w, acting, err);
    return status;
}

static bool is_over(work *w)
{
    const hl_stress_phase *p = w->phase;
    pthread_mutex_lock(&w->race.lock);
    const int64_t done = w->trains ? w->race.trainings : w->race.inferences;
    pthread_mutex_unlock(&w->race.lock);
    return hl_race_ended(&w->race) || (p->iterations && done >= p->iterations) ||
           (p->seconds > 0 && hl_seconds() - w->race.began >= p->seconds);
}

static void await_end(work *w)
{
    enum { LOOKS = 20 }; /* per second: for who interrupts */
    const hl_stress_phase *p = w->phase;
    while (!is_over(w)) {
        double next = hl_seconds() + 1.0 / LOOKS, end = w->race.began + p->seconds;
        hl_race_sleep(&w->race, p->seconds > 0 && end < next ? end : next);
    }
}

static hl_planned_sessions sessions_of(const work *w)
{
    hl_planned_sessions s = {.trains = w->trains,
                             .batches = (size_t)w->observations.n * w->observations.bytes +
                                        (size_t)w->demonstrations.n * w->demonstrations.bytes};
    if (w->trains)
        s.at[s.n++] = w->learner.session;
    for (int i = 0; i < w->n_actors; i++)
        s.at[s.n++] = w->actors[i].session;
    s.on_device = strcmp(hl_session_device(s.at[0]), "cpu") &&
                  strcmp(hl_session_device(s.at[0]), "cpu:portable");
    return s;
}

/* While all threads wait for the start. */
static hl_status trace_sessions(work *w, hl_error *err)
{
    char name[64];
    const char *phase = hl_config_phase_name(w->phase);
    snprintf(name, sizeof name, "%.40s: training", phase);
    hl_status status = w->trains ? hl_tracing_add(w->setup->tracing, w->learner.session, name, err) : HL_OK;
    for (int i = 0; i < w->n_actors && status == HL_OK; i++) {
        snprintf(name, sizeof name, "%.40s: inference %d", phase, i);
        status = hl_tracing_add(w->setup->tracing, w->actors[i].session, name, err);
    }
    return status;
}

static hl_status run(work *w, hl_error *err)
{
    double began = hl_seconds();
    hl_race_enter(&w->race, HL_STAGE_WARM_UP);
    hl_race_await_arrivals(&w->race, w->n_threads);
    w->warmed = hl_seconds() - began;
    hl_status status = hl_race_failed(&w->race) ? HL_OK : trace_sessions(w, err);
    if (status == HL_OK && !hl_race_failed(&w->race))
        status = hl_monitor_start(w->setup->monitor, err);
    if (status != HL_OK || hl_race_failed(&w->race))
        return status;
    hl_race_enter(&w->race, HL_STAGE_RUN);
    await_end(w);
    hl_race_enter(&w->race, HL_STAGE_STOP);
    hl_race_await_arrivals(&w->race, w->n_threads);
    w->seconds = hl_seconds() - w->race.began;
    hl_monitor_stop(w->setup->monitor);
    if (hl_race_failed(&w->race))
        return HL_OK;
    const hl_planned_sessions sessions = sessions_of(w);
    w->memory = hl_stress_account(&sessions, w->setup->monitor, &w->peak_bytes);
    return w->memory ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the account of memory");
}

static void close_all(work *w)
{
    hl_race_enter(&w->race, HL_STAGE_CLOSE);
    for (int i = 0; i < w->n_actors; i++)
        hl_runner_join(&w->actors[i].runner);
    hl_runner_join(&w->learner.runner);
    hl_race_destroy(&w->race);
    hl_params_free(w->params);
    hl_batches_free(&w->observations);
    hl_batches_free(&w->demonstrations);
}

/* ------------------------------------------------------------------ the result */

static json_t *number_or_null(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static json_t *inference_json(work *w, hl_figures *f)
{
    const hl_stress_phase *p = w->phase;
    hl_actor *first = &w->actors[0];
    int64_t runs = 0, missed = 0, left_out = 0;
    double ended = p->rate_hz > 0 ? w->race.stopped : w->race.began; /* paced: the last period counts whole */
    for (int i = 0; i < w->n_actors; i++) {
        const hl_actor *a = &w->actors[i];
        runs += a->runs;
        missed += a->missed + a->left_out;
        left_out += a->left_out;
        ended = a->ended > ended ? a->ended : ended;
        if (i)
            hl_timing_merge(first->timing, a->timing);
    }
    const double seconds = ended - w->race.began, due = (double)(runs + left_out);
    const double deadline = first->options.deadline;
    f->p99_ms = 1e3 * hl_histogram_percentile(hl_timing_whole(first->timing), 99);
    f->samples_per_s = seconds > 0 ? (double)(runs * p->batch) / seconds : NAN;
    f->deadline_miss_rate = deadline > 0 && due > 0 ? (double)missed / due : NAN;
    json_t *j = json_pack("{s:I, s:I, s:I, s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "batch",
                          (json_int_t)p->batch, "runs", (json_int_t)runs, "samples",
                          (json_int_t)(runs * p->batch), "samples_per_s", hl_json_number(f->samples_per_s),
                          "threads", first->options.threads, "precision",
                          hl_precision_name(first->options.precision), "rate_hz", number_or_null(p->rate_hz),
                          "achieved_hz", hl_json_number(seconds > 0 ? (double)runs / seconds : NAN),
                          "deadline_ms", number_or_null(1e3 * deadline), "missed",
                          deadline > 0 ? json_integer((json_int_t)missed) : json_null(), "miss_rate",
                          hl_json_number(f->deadline_miss_rate), "rate_held",
                          p->rate_hz > 0 ? json_boolean(!left_out) : json_null());
    json_object_set_new(j, "latency_ms", hl_timing_latency(first->timing));
    json_object_set_new(j, "split_ms", hl_timing_split(first->timing));
    json_object_set_new(j, "histogram", hl_timing_histogram(first->timing));
    json_object_set_new(j, "timeline", hl_timing_timeline(first->timing));
    return j;
}

static json_t *training_json(work *w, hl_figures *f)
{
    const hl_learner *l = &w->learner;
    const double seconds = l->ended - w->race.began, skipped = l->skipped - l->skipped_before;
    const int64_t batch = l->options.trainer.batch;
    f->training_samples_per_s = l->steps ? (double)(l->steps * batch) / seconds : NAN;
    f->skipped_steps = skipped;
    json_t *j = json_pack(
        "{s:I, s:I, s:o, s:i, s:o, s:o, s:o, s:o, s:I}", "batch", (json_int_t)batch, "iterations",
        (json_int_t)l->steps, "samples_per_s", hl_json_number(f->training_samples_per_s), "threads",
        l->options.threads, "step_ms", hl_timing_latency(l->timing), "loss_start",
        hl_json_number(hl_learner_first_loss(l)), "loss_end", hl_json_number(hl_learner_last_loss(l)),
        "grad_norm", hl_json_number(l->norms ? l->norm : NAN), "skipped", (json_int_t)skipped);
    json_object_set_new(j, "split_ms", hl_timing_split(l->timing));
    json_object_set_new(j, "loss", hl_timeline_json(l->loss));
    json_object_set_new(j, "histogram", hl_timing_histogram(l->timing));
    json_object_set_new(j, "timeline", hl_timing_timeline(l->timing));
    return j;
}

static hl_status make_result(work *w, hl_phase_result *r, hl_error *err)
{
    static const char *const kinds[] = {"inference", "training", "mixed", "control"};
    r->figures = hl_figures_none();
    json_t *inference = w->acts ? inference_json(w, &r->figures) : json_null();
    json_t *training = w->trains ? training_json(w, &r->figures) : json_null();
    json_t *slope = json_object_get(json_object_get(w->memory, "rss_slope"), "bytes_per_minute");
    r->figures.rss_slope_bytes_per_minute = json_is_number(slope) ? json_number_value(slope) : NAN;
    r->figures.peak_bytes = w->peak_bytes;
    r->verdict = hl_judge(&w->phase->limits, &r->figures);
    r->json = json_pack("{s:s, s:s, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "name",
                        hl_config_phase_name(w->phase), "kind", kinds[w->phase->kind], "seconds", w->seconds,
                        "warmup_seconds", w->warmed, "inference", inference, "training", training, "system",
                        hl_monitor_system(w->setup->monitor), "memory", json_incref(w->memory), "limits",
                        hl_verdict_json(&r->verdict));
    return r->json ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the result");
}

hl_status hl_phase_run(const hl_phase_setup *setup, hl_phase_result *result, hl_error *err)
{
    work *w = hl_alloc(1, sizeof *w);
    *result = (hl_phase_result){0};
    if (!w)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a phase");
    *w = (work){.setup = setup,
                .phase = setup->phase,
                .acts = setup->phase->kind != HL_STRESS_TRAINING,
                .trains = setup->phase->kind != HL_STRESS_INFERENCE};
    hl_status status = open(w, err);
    if (status == HL_OK && !hl_race_failed(&w->race))
        status = run(w, err);
    if (status == HL_OK && hl_race_failed(&w->race)) {
        *err = w->race.err;
        status = err->status;
    }
    if (w->raced)
        close_all(w);
    if (status == HL_OK)
        status = make_result(w, result, err);
    if (status != HL_OK)
        (void)hl_fail_prefix(err, "phase '%s'", hl_config_phase_name(setup->phase));
    json_decref(w->memory);
    for (int i = 0; i < w->n_actors; i++)
        hl_actor_free(&w->actors[i]);
    hl_learner_free(&w->learner);
    hl_free(w);
    return status;
}
