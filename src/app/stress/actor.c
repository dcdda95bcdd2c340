#include "app/stress/actor.h"

#include "app/policy.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#include <omp.h>
#include <string.h>

enum { QUEUE, INPUT, H_MODULE, COMPRESSOR, L_MODULE, OUTPUT, PARTS };
static const char *const part_names[PARTS] = {"queue",      "input copy", "H-module",
                                              "compressor", "L-module",   "output copy"};

static hl_session *open_session(const hl_actor_options *o, hl_error *err)
{
    hl_graph *g = hl_policy_graph(o->params, &o->model, o->batch, o->smoothing);
    const hl_session_options options = {.device = o->device,
                                        .frozen = !o->beside_training,
                                        .concurrent = o->beside_training,
                                        .precision = o->precision};
    hl_session *s = hl_session_open(g, o->params, &options, err);
    hl_graph_free(g);
    if (s)
        hl_session_time_parts(s, true);
    return s;
}

/* What the session says of its step, by our names. */
static void add_parts(const hl_session *s, double parts[PARTS])
{
    for (int i = 0; i < hl_session_parts(s); i++) {
        hl_part p = hl_session_part(s, i);
        for (int k = INPUT; k < PARTS; k++)
            if (!strcmp(p.section, part_names[k]))
                parts[k] += p.seconds;
    }
}

/* One run, due at a time of hl_seconds. */
static hl_status act(hl_actor *a, double due, hl_error *err)
{
    const hl_actor_options *o = &a->options;
    const hl_batch *batch = &o->batches->at[a->runs % o->batches->n];
    double parts[PARTS] = {0}, started = hl_seconds();
    hl_batches_feed(batch, o->shape, a->session);
    double fed = hl_seconds();
    hl_status status = hl_session_run(a->session, err);
    if (status != HL_OK)
        return status;
    double ran = hl_seconds();
    memcpy(a->action, hl_session_output(a->session, "action"),
           (size_t)(o->batch * o->model.action) * sizeof(float));
    double ended = hl_seconds();
    parts[QUEUE] = started - due;
    parts[INPUT] = fed - started;
    parts[OUTPUT] = ended - ran;
    add_parts(a->session, parts);
    hl_timing_record(a->timing, ended - o->race->began, ended - due, parts);
    a->missed += o->deadline > 0 && ended - due > o->deadline;
    a->runs++;
    a->ended = ended;
    return HL_OK;
}

/* Leaves out the periods whose next one has begun by then, too; returns when the first of the others is due.
 */
static double leave_out(hl_actor *a, int64_t *tick, double now)
{
    const hl_actor_options *o = &a->options;
    double due = o->race->began + (double)*tick / o->rate;
    for (const double step = o->actors / o->rate; due + step <= now; due += step) {
        *tick += o->actors;
        a->left_out++;
    }
    return due;
}

/* When this actor's next run is due, which is number *tick of the phase; false: the phase has ended. */
static bool next_due(hl_actor *a, int64_t *tick, double *due)
{
    const hl_actor_options *o = &a->options;
    if (!(o->rate > 0)) {
        *due = hl_seconds();
        return !hl_race_ended(o->race);
    }
    if (!hl_race_sleep(o->race, o->race->began + (double)*tick / o->rate))
        return false;
    *due = leave_out(a, tick, hl_seconds());
    *tick += o->actors;
    return true;
}

static hl_status run(void *self, hl_error *err)
{
    hl_actor *a = self;
    int64_t tick = a->options.index;
    double due;
    hl_status status = HL_OK;
    while (status == HL_OK && next_due(a, &tick, &due)) {
        status = act(a, due, err);
        hl_race_count(a->options.race, 1, 0);
    }
    if (status == HL_OK && a->options.rate > 0) /* what passed while the last one ran */
        (void)leave_out(a, &tick, hl_race_stopped(a->options.race));
    return status;
}

static hl_status open(void *self, hl_error *err)
{
    hl_actor *a = self;
    const hl_actor_options *o = &a->options;
    omp_set_num_threads(o->threads); /* of this thread's kernels; before they are prepared */
    a->timing = hl_timing_new(PARTS, part_names);
    a->action = hl_alloc((size_t)(o->batch * o->model.action), sizeof *a->action);
    if (!a->timing || !a->action)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to time inference");
    a->session = open_session(o, err);
    return a->session ? HL_OK : err->status;
}

static hl_status warm_up(void *self, hl_error *err)
{
    hl_actor *a = self;
    const hl_actor_options *o = &a->options;
    hl_status status = HL_OK;
    for (int64_t i = 0; i < o->warmup && status == HL_OK && !hl_race_ended(o->race); i++) {
        hl_batches_feed(&o->batches->at[i % o->batches->n], o->shape, a->session);
        status = hl_session_run(a->session, err);
    }
    return status;
}

static void close(void *self)
{
    hl_actor *a = self;
    hl_session_free(a->session);
    a->session = NULL;
}

hl_status hl_actor_start(hl_actor *a, const hl_actor_options *options, hl_error *err)
{
    static const hl_work acting = {"inference", open, warm_up, run, close};
    *a = (hl_actor){.options = *options};
    return hl_runner_start(&a->runner, &acting, a, options->race, err);
}

void hl_actor_free(hl_actor *a)
{
    hl_timing_free(a->timing);
    hl_free(a->action);
    *a = (hl_actor){0};
}
