#include "app/export/parity.h"

#include "app/loaded.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const int64_t hl_parity_batches[HL_PARITY_BATCHES] = {1, 16};

/* ------------------------------------------------------------------ distances */

typedef struct sums {
    hl_distance d;
    double error, total; /* sums of squares */
    int64_t elements, samples;
} sums;

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa == 0 && bb == 0 ? 1 : ab / sqrt(aa * bb);
}

/* Rows of n elements each. */
static void add_rows(sums *s, int64_t rows, int64_t n, const float *reference, const float *x)
{
    for (int64_t r = 0; r < rows; r++, s->samples++) {
        const double c = cosine(reference + r * n, x + r * n, n);
        s->d.cosine_least = s->samples ? fmin(s->d.cosine_least, c) : c;
        s->d.cosine += c;
    }
    for (int64_t i = 0; i < rows * n; i++, s->elements++) {
        const double difference = fabs((double)x[i] - reference[i]);
        s->d.largest = difference > s->d.largest || isnan(difference) ? difference : s->d.largest;
        s->d.mean += difference;
        s->error += difference * difference;
        s->total += (double)reference[i] * reference[i];
    }
}

static hl_distance distance_of(const sums *s)
{
    hl_distance d = s->d;
    d.mean /= (double)s->elements;
    d.cosine /= (double)s->samples;
    d.relative = s->total > 0 ? sqrt(s->error / s->total) : s->error > 0 ? INFINITY : 0;
    return d;
}

/* ------------------------------------------------------------------ on the same observations */

typedef struct pair {
    hl_loaded loaded[2];
    hl_policy *before, *after;
    float *action[2];  /* [rows,A] */
    double opening[2]; /* seconds */
} pair;

static hl_status open_pair(pair *p, const hl_parity_request *q, hl_policy_options o, hl_error *err)
{
    const char *const paths[] = {q->before, q->after};
    hl_policy **const policies[] = {&p->before, &p->after};
    *p = (pair){0};
    for (int i = 0; i < 2; i++) {
        const double began = hl_seconds();
        hl_status status = hl_loaded_open(&p->loaded[i], paths[i], q->n_overrides, q->overrides, err);
        if (status != HL_OK)
            return status;
        o.device = p->loaded[0].trained.config.device;
        *policies[i] = hl_loaded_policy(&p->loaded[i], &o, err);
        if (!*policies[i])
            return err->status;
        p->opening[i] = hl_seconds() - began;
        p->action[i] = hl_alloc((size_t)(o.rows * p->loaded[i].trained.model.action), sizeof(float));
        if (!p->action[i])
            return hl_fail(err, HL_ERR_MEMORY, "no memory for %lld actions", (long long)o.rows);
    }
    return HL_OK;
}

static void close_pair(pair *p)
{
    hl_policy_free(p->before);
    hl_policy_free(p->after);
    for (int i = 0; i < 2; i++) {
        hl_free(p->action[i]);
        hl_loaded_close(&p->loaded[i]);
    }
}

static const float *compressed(hl_policy *p)
{
    return hl_session_output(hl_policy_session(p), "compressed");
}

static hl_status compare(const hl_parity_request *q, pair *p, int64_t rows, hl_parity *out, hl_error *err)
{
    hl_windows *w = q->held_out;
    const hl_model_options *o = &p->loaded[0].trained.model;
    sums action = {0}, z = {0};
    hl_status status = HL_OK;
    out->samples = hl_windows_count(w);
    for (int64_t at = 0; at < out->samples && status == HL_OK; at += rows) {
        const int64_t n = out->samples - at < rows ? out->samples - at : rows;
        status = hl_windows_read(w, at, err);
        if (status == HL_OK)
            status = hl_windows_act(w, p->before, p->action[0], err);
        if (status == HL_OK)
            status = hl_windows_act(w, p->after, p->action[1], err);
        if (status == HL_OK) {
            add_rows(&action, n, o->action, p->action[0], p->action[1]);
            add_rows(&z, n, o->compressed, compressed(p->before), compressed(p->after));
        }
    }
    out->action = distance_of(&action);
    out->compressed = distance_of(&z);
    return status;
}

/* ------------------------------------------------------------------ timed in turn */

enum { LEAST_RUNS = 9, MOST_RUNS = 201 };
static const double seconds_each = 2; /* of both together, unless that is too few runs */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static hl_status time_run(hl_policy *p, double *seconds, hl_error *err)
{
    const double began = hl_seconds();
    hl_status status = hl_session_run(hl_policy_session(p), err);
    *seconds = hl_seconds() - began;
    return status;
}

/* One run of each after the other, so that what else the machine does is shared. */
static hl_status time_pair(pair *p, double *before, double *after, hl_error *err)
{
    double times[2][MOST_RUNS], discarded;
    const double began = hl_seconds();
    int n = 0;
    hl_status status = time_run(p->before, &discarded, err);
    if (status == HL_OK)
        status = time_run(p->after, &discarded, err);
    while (status == HL_OK && n < MOST_RUNS && (n < LEAST_RUNS || hl_seconds() - began < seconds_each)) {
        status = time_run(p->before, &times[0][n], err);
        if (status == HL_OK)
            status = time_run(p->after, &times[1][n++], err);
    }
    if (status != HL_OK)
        return status;
    qsort(times[0], (size_t)n, sizeof **times, ascending);
    qsort(times[1], (size_t)n, sizeof **times, ascending);
    *before = times[0][n / 2];
    *after = times[1][n / 2];
    return HL_OK;
}

/* What is mapped counts: a step touches all of it. */
static size_t memory_of(hl_policy *p)
{
    const hl_memory m = hl_session_memory(hl_policy_session(p));
    return m.total + m.by_kind[HL_MEM_MAPPED];
}

static hl_status measure_batch(const hl_parity_request *q, int index, hl_parity *out, hl_error *err)
{
    const int64_t rows = hl_parity_batches[index];
    const bool comparing = index == HL_PARITY_BATCHES - 1 && q->held_out;
    pair p;
    hl_status status = open_pair(&p, q, (hl_policy_options){.rows = rows}, err);
    if (status == HL_OK && comparing)
        status = compare(q, &p, rows, out, err);
    if (status == HL_OK)
        status = time_pair(&p, &out->before.latency[index], &out->after.latency[index], err);
    if (status == HL_OK) {
        out->before.memory[index] = memory_of(p.before);
        out->after.memory[index] = memory_of(p.after);
    }
    if (status == HL_OK && index == 0) {
        out->before.opening = p.opening[0];
        out->after.opening = p.opening[1];
    }
    close_pair(&p);
    return status;
}

/* ------------------------------------------------------------------ in the same episodes */

static hl_status close_the_loop(const hl_parity_request *q, const hl_config *cfg, hl_parity *out,
                                hl_error *err)
{
    const int64_t rows = cfg->eval.batch < q->episodes ? cfg->eval.batch : q->episodes;
    pair p;
    hl_status status = open_pair(
        &p, q, (hl_policy_options){.rows = rows, .smoothing = (float)cfg->model.head.smoothing}, err);
    const hl_model_options *model = &p.loaded[0].trained.model;
    if (status == HL_OK)
        status = hl_closed_loop(cfg, model, p.before, rows, q->episodes, &out->before.success, err);
    if (status == HL_OK)
        status = hl_closed_loop(cfg, model, p.after, rows, q->episodes, &out->after.success, err);
    close_pair(&p);
    return status;
}

hl_status hl_parity_measure(const hl_parity_request *q, const hl_config *cfg, hl_parity *out, hl_error *err)
{
    hl_status status = HL_OK;
    *out = (hl_parity){.closed_loop = q->episodes > 0};
    for (int i = HL_PARITY_BATCHES - 1; i >= 0 && status == HL_OK; i--) /* the comparison first */
        status = measure_batch(q, i, out, err);
    return status == HL_OK && q->episodes > 0 ? close_the_loop(q, cfg, out, err) : status;
}
