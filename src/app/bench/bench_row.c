/* One row of hl bench: a session (or several side by side) made, warmed up, and timed step by step. */
#include "app/bench/bench.h"
#include "app/policy.h"
#include "app/bench/prune.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 100000, LEAST_RUNS = 5, WARMUP_RUNS = 3 };

static double now_ms(void)
{
    return 1e3 * hl_seconds();
}

/* ------------------------------------------------------------------ sessions with something in them */

/* Sessions of one graph over one store, or of one exported model. */
typedef struct group {
    hl_params *params; /* NULL: of an exported model */
    int n;
    hl_session *session[HL_BENCH_STREAMS];
} group;

static void fill_inputs(hl_session *s)
{
    static const char *const names[] = {"visual",         "depth",   "audio",   "tactile",
                                        "proprioceptive", "history", "target",  "previous",
                                        "smoothing",      "mask",    "presence"};
    for (unsigned k = 0; k < sizeof names / sizeof *names; k++) {
        float *x = hl_session_input(s, names[k]);
        hl_shape shape = hl_session_shape(s, names[k]);
        int64_t count = 1;
        for (int i = 0; i < shape.rank; i++)
            count *= shape.dim[i];
        for (int64_t i = 0; x && i < count; i++)
            x[i] = (float)((i * 2654435761u + k) >> 8 & 0xffff) / 65536.0f - 0.5f;
    }
}

static hl_status open_exported(group *all, const hl_config *cfg, const hl_bench_point *p, hl_error *err)
{
    const hl_session_options o = {.device = cfg->device};
    while (all->n < p->streams) {
        hl_session *s = hl_model_session(p->exported, p->batch, &o, err);
        if (!s)
            return err->status;
        all->session[all->n++] = s;
        fill_inputs(s);
    }
    return HL_OK;
}

static hl_status open_sessions(group *all, const hl_graph *g, const hl_config *cfg, const hl_bench_point *p,
                               hl_error *err)
{
    const hl_session_options o = {.device = cfg->device, .frozen = !p->training, .precision = p->precision};
    hl_status status = p->sparsity > 0 ? hl_prune(all->params, p->sparsity, err) : HL_OK;
    while (status == HL_OK && all->n < p->streams) {
        hl_session *s = hl_session_open(g, all->params, &o, err);
        if (!s)
            return err->status;
        all->session[all->n++] = s;
        fill_inputs(s);
        if (p->training)
            status = hl_session_set(s, "lr", (float)cfg->optim.lr);
    }
    return status;
}

static void close_group(group *all)
{
    for (int k = 0; k < all->n; k++)
        hl_session_free(all->session[k]);
    hl_params_free(all->params);
    *all = (group){0};
}

static hl_status open_random(group *all, const hl_config *cfg, const hl_bench_point *p, hl_error *err)
{
    hl_trainer_options o = hl_setup_trainer(cfg);
    o.batch = p->batch;
    *all = (group){.params = hl_params_new(cfg->seed)};
    if (!all->params)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for parameters");
    hl_graph *g = p->training
                      ? hl_training_graph(all->params, &o)
                      : hl_policy_graph(all->params, &o.model, p->batch, cfg->model.head.smoothing > 0);
    hl_status status = g ? open_sessions(all, g, cfg, p, err)
                         : hl_fail(err, HL_ERR_MEMORY, "no memory for a graph");
    hl_graph_free(g);
    return status;
}

static hl_status open_group(group *all, const hl_config *cfg, const hl_bench_point *p, hl_error *err)
{
    *all = (group){0};
    hl_status status = p->exported ? open_exported(all, cfg, p, err) : open_random(all, cfg, p, err);
    if (status != HL_OK)
        close_group(all);
    return status;
}

/* ------------------------------------------------------------------ time */

/* Steps go to the sessions in turn; a step's time, in ms[0..*runs), is from its start until it has been
 * waited for. *elapsed: of all together. */
static hl_status time_steps(const group *all, double seconds, double *ms, int *runs, double *elapsed,
                            hl_error *err)
{
    double began[HL_BENCH_STREAMS], start = now_ms(), now = start;
    hl_status status = HL_OK;
    int pending = 0;
    for (; pending < all->n && status == HL_OK; pending++) {
        began[pending] = now_ms();
        status = hl_session_start(all->session[pending], err);
    }
    for (int k = 0; pending > 0 && status == HL_OK; k = (k + 1) % all->n) {
        status = hl_session_wait(all->session[k], err);
        now = now_ms();
        ms[(*runs)++] = now - began[k];
        if (status != HL_OK || *runs + pending > MOST_RUNS ||
            (*runs >= LEAST_RUNS && now - start >= 1e3 * seconds)) {
            pending--;
            continue;
        }
        began[k] = now;
        status = hl_session_start(all->session[k], err);
    }
    *elapsed = now - start;
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The nearest-rank percentile of a sorted array. */
static double percentile(const double *sorted, int n, double p)
{
    int rank = (int)ceil(p / 100 * n);
    return sorted[rank < 1 ? 0 : rank - 1];
}

static void summarise(hl_bench_row *row, double *ms, double elapsed)
{
    static const double told[HL_BENCH_PERCENTILES] = {50, 90, 95, 99, 99.9};
    qsort(ms, (size_t)row->runs, sizeof *ms, ascending);
    row->min_ms = ms[0];
    row->max_ms = ms[row->runs - 1];
    for (int i = 0; i < HL_BENCH_PERCENTILES; i++)
        row->percentile_ms[i] = percentile(ms, row->runs, told[i]);
    row->samples_per_s = (double)row->runs * (double)row->point.batch / (elapsed * 1e-3);
}

static hl_status measure_time(const group *all, double seconds, hl_bench_row *row, hl_error *err)
{
    double began = now_ms(), elapsed, *ms = hl_alloc(MOST_RUNS, sizeof *ms);
    hl_status status = ms ? HL_OK
                          : hl_fail(err, HL_ERR_MEMORY, "no memory for the times of %d steps", MOST_RUNS);
    for (int i = 0; i < WARMUP_RUNS * all->n && status == HL_OK; i++)
        status = hl_session_run(all->session[i % all->n], err);
    row->warmup_ms = now_ms() - began;
    if (status == HL_OK)
        status = time_steps(all, seconds, ms, &row->runs, &elapsed, err);
    if (status == HL_OK)
        summarise(row, ms, elapsed);
    hl_free(ms);
    return status;
}

/* Apart from the timed steps: on a device, steps that are profiled are not replayed. */
static hl_status measure_profile(hl_session *s, double seconds, const hl_ceilings *ceilings,
                                 hl_bench_row *row, hl_error *err)
{
    hl_status status = HL_OK;
    double end = hl_seconds() + seconds / 2;
    hl_session_profile(s, true);
    for (int i = 0; status == HL_OK && (i < LEAST_RUNS || hl_seconds() < end); i++)
        status = hl_session_run(s, err);
    hl_session_profile(s, false);
    if (status == HL_OK && !(row->profile = hl_bench_profile(s, row->point.precision, ceilings)))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for a profile");
    return status;
}

/* Apart from the timed steps, too, and all sessions in turn. */
static hl_status record_trace(const group *all, double seconds, hl_tracing *tracing, const hl_bench_row *row,
                              hl_error *err)
{
    const hl_bench_point *p = &row->point;
    hl_status status = HL_OK;
    for (int k = 0; k < all->n && status == HL_OK; k++) {
        char name[96];
        int used = snprintf(name, sizeof name, "%s, batch %lld, %s, threads %d",
                            p->training ? "training" : "inference", (long long)p->batch,
                            hl_bench_precision(p), p->threads);
        if (p->sparsity > 0)
            used += snprintf(name + used, sizeof name - (size_t)used, ", sparsity %g", p->sparsity);
        if (all->n > 1)
            snprintf(name + used, sizeof name - (size_t)used, ", session %d", k + 1);
        status = hl_tracing_add(tracing, all->session[k], name, err);
    }
    double end = hl_seconds() + seconds / 2;
    for (int i = 0; status == HL_OK && i < hl_tracing_steps(tracing); i++) {
        for (int k = 0; k < all->n && status == HL_OK; k++)
            status = hl_session_run(all->session[k], err);
        if (i + 1 >= LEAST_RUNS && hl_seconds() > end)
            break;
    }
    return status;
}

/* ------------------------------------------------------------------ what sparsity does to the action */

static int64_t count_of(const hl_session *s, const char *name)
{
    hl_shape shape = hl_session_shape(s, name);
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++)
        n *= shape.dim[i];
    return n;
}

/* The action of the same model with all its weights: the caller's. */
static hl_status dense_action(const hl_config *cfg, hl_bench_point p, float **action, hl_error *err)
{
    group dense;
    p.sparsity = 0;
    p.streams = 1;
    hl_status status = open_group(&dense, cfg, &p, err);
    if (status != HL_OK)
        return status;
    hl_session *s = dense.session[0];
    size_t n = (size_t)count_of(s, "action");
    status = hl_session_run(s, err);
    if (status == HL_OK && !(*action = hl_alloc(n, sizeof **action)))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %zu actions", n);
    if (status == HL_OK)
        memcpy(*action, hl_session_output(s, "action"), n * sizeof **action);
    close_group(&dense);
    return status;
}

static double change_from(const float *dense, const hl_session *s)
{
    const float *a = hl_session_output(s, "action");
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count_of(s, "action"); i++) {
        difference += ((double)a[i] - dense[i]) * ((double)a[i] - dense[i]);
        size += (double)dense[i] * dense[i];
    }
    return sqrt(difference / size);
}

/* ------------------------------------------------------------------ a row */

static hl_status measure_group(const group *all, double seconds, const hl_ceilings *ceilings,
                               const float *dense, hl_tracing *tracing, hl_bench_row *row, hl_error *err)
{
    hl_status status = measure_time(all, seconds, row, err);
    if (status != HL_OK)
        return status;
    hl_memory memory = hl_session_memory(all->session[0]);
    snprintf(row->device, sizeof row->device, "%s", hl_session_device(all->session[0]));
    row->rss_bytes = hl_resident_bytes();
    row->planned_bytes = memory.total + memory.by_kind[HL_MEM_MAPPED] + (size_t)(all->n - 1) * memory.arena;
    if (dense)
        row->action_change = change_from(dense, all->session[0]);
    if (ceilings)
        status = measure_profile(all->session[0], seconds, ceilings, row, err);
    return status == HL_OK ? record_trace(all, seconds, tracing, row, err) : status;
}

void hl_bench_measure(const hl_config *cfg, hl_bench_point point, double seconds, const hl_ceilings *ceilings,
                      hl_tracing *tracing, hl_bench_row *row)
{
    hl_config here = *cfg; /* what it owns stays cfg's */
    group all = {0};
    float *dense = NULL;
    HL_ASSERT(point.streams >= 1 && point.streams <= HL_BENCH_STREAMS);
    *row = (hl_bench_row){.point = point, .action_change = NAN};
    here.precision = (int)point.precision;
    here.threads = point.threads;
    hl_setup_threads(&here); /* before any session: kernels are chosen for a number of threads */
    hl_status status = point.sparsity > 0 ? dense_action(&here, point, &dense, &row->error) : HL_OK;
    if (status == HL_OK)
        status = open_group(&all, &here, &point, &row->error);
    if (status == HL_OK)
        status = measure_group(&all, seconds, ceilings, dense, tracing, row, &row->error);
    HL_ASSERT(status == row->error.status);
    close_group(&all);
    hl_free(dense);
}
