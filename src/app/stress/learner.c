#include "app/stress/learner.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { INPUT, FORWARD, BACKWARD, CLIP, OPTIMIZER, OUTPUT, PARTS };
static const char *const part_names[PARTS] = {"input copy", "forward",   "backward",
                                              "clip",       "optimizer", "output copy"};

static hl_session *open_session(const hl_learner_options *o, hl_error *err)
{
    const hl_session_options options = hl_training_session(&o->trainer);
    hl_graph *g = hl_training_graph(o->params, &o->trainer);
    hl_session *s = hl_session_open(g, o->params, &options, err);
    hl_graph_free(g);
    if (s)
        hl_session_time_parts(s, true);
    return s;
}

static void add_parts(const hl_session *s, double parts[PARTS])
{
    static const int of_phase[HL_PHASES] = {
        [HL_PHASE_FORWARD] = FORWARD,
        [HL_PHASE_BACKWARD] = BACKWARD,
        [HL_PHASE_CLIP] = CLIP,
        [HL_PHASE_UPDATE] = OPTIMIZER,
    };
    for (int i = 0; i < hl_session_parts(s); i++) {
        hl_part p = hl_session_part(s, i);
        int part = !strcmp(p.section, part_names[INPUT])    ? INPUT
                   : !strcmp(p.section, part_names[OUTPUT]) ? OUTPUT
                                                            : of_phase[p.phase];
        parts[part] += p.seconds;
    }
}

static hl_status step(hl_learner *l, int64_t number, hl_error *err)
{
    const hl_learner_options *o = &l->options;
    hl_feed(l->session, &o->trainer, 0, &o->batches->at[number % o->batches->n]);
    hl_session_set(l->session, "lr", (float)hl_lr_at(&o->schedule, number));
    return hl_session_run(l->session, err);
}

static void record(hl_learner *l, hl_losses losses, double started, double ended)
{
    double parts[PARTS] = {0}, in_session = 0;
    add_parts(l->session, parts);
    for (int i = 0; i < PARTS; i++)
        in_session += parts[i];
    parts[INPUT] += fmax(0, ended - started - in_session); /* what was before and after the kernels */
    hl_timing_record(l->timing, ended - l->options.race->began, ended - started, parts);
    if (l->steps < HL_BATCHES)
        l->first[l->steps] = losses.total;
    l->last[l->steps % HL_BATCHES] = losses.total;
    hl_timeline_add(l->loss, (double)++l->steps, &losses.total);
    if (isfinite(losses.grad_norm))
        l->norm += (losses.grad_norm - l->norm) / (double)++l->norms;
    l->skipped = losses.skipped;
    l->ended = ended;
}

static hl_status run(void *self, hl_error *err)
{
    hl_learner *l = self;
    const hl_learner_options *o = &l->options;
    hl_status status = HL_OK;
    while (status == HL_OK && !hl_race_ended(o->race) && !(o->steps && l->steps == o->steps)) {
        if (o->every && !hl_race_await_inferences(o->race, (l->steps + 1) * o->every))
            break;
        double started = hl_seconds();
        status = step(l, o->warmup + l->steps, err);
        if (status == HL_OK)
            record(l, hl_read_losses(l->session), started, hl_seconds());
        hl_race_count(o->race, 0, 1);
    }
    return status;
}

static hl_status open(void *self, hl_error *err)
{
    static const hl_summary mean[] = {HL_SUMMARY_MEAN};
    hl_learner *l = self;
    omp_set_num_threads(l->options.threads);
    l->timing = hl_timing_new(PARTS, part_names);
    l->loss = hl_timeline_new(1, mean, 600, 1);
    if (!l->timing || !l->loss)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to time training");
    l->session = open_session(&l->options, err);
    return l->session ? HL_OK : err->status;
}

static hl_status warm_up(void *self, hl_error *err)
{
    hl_learner *l = self;
    const hl_learner_options *o = &l->options;
    hl_status status = HL_OK;
    for (int64_t i = 0; i < o->warmup && status == HL_OK && !hl_race_ended(o->race); i++) {
        status = step(l, i, err);
        if (status == HL_OK)
            l->skipped_before = l->skipped = hl_read_losses(l->session).skipped;
    }
    return status;
}

static void close(void *self)
{
    hl_learner *l = self;
    hl_session_free(l->session);
    l->session = NULL;
}

hl_status hl_learner_start(hl_learner *l, const hl_learner_options *options, hl_error *err)
{
    static const hl_work learning = {"training", open, warm_up, run, close};
    *l = (hl_learner){.options = *options};
    return hl_runner_start(&l->runner, &learning, l, options->race, err);
}

static double mean_of(const double *losses, int64_t steps)
{
    const int64_t n = steps < HL_BATCHES ? steps : HL_BATCHES;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += losses[i];
    return n ? sum / (double)n : NAN;
}

double hl_learner_first_loss(const hl_learner *l)
{
    return mean_of(l->first, l->steps);
}

double hl_learner_last_loss(const hl_learner *l)
{
    return mean_of(l->last, l->steps);
}

void hl_learner_free(hl_learner *l)
{
    hl_timing_free(l->timing);
    hl_timeline_free(l->loss);
    *l = (hl_learner){0};
}
