#include "app/bench/ceilings.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "kernels/cpu/ceilings.h"
#include "ops/ops.h"
#include "run/plan.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ the host's processor */

enum { POOL_FLOATS = 3 << 26 }; /* 768 MiB: each loop goes through far more than a last cache holds */

static hl_status measure_host(double seconds, hl_ceilings *c, hl_error *err)
{
    float *pool = hl_alloc_tensor(POOL_FLOATS * sizeof *pool, HL_USE_OTHER);
    if (!pool)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the %zu MiB that bandwidth is measured on",
                       POOL_FLOATS * sizeof *pool >> 20);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < POOL_FLOATS; i++)
        pool[i] = 1;
    c->vector = hl_vector_floats();
    c->multiply_add = hl_best_of_trials(hl_trial_multiply_add, NULL, 0, seconds);
    c->integers = hl_best_of_trials(hl_trial_integers, NULL, 0, seconds);
    c->read = hl_best_of_trials(hl_trial_read, pool, POOL_FLOATS, seconds);
    c->copy = hl_best_of_trials(hl_trial_copy, pool, POOL_FLOATS, seconds);
    c->triad = hl_best_of_trials(hl_trial_triad, pool, POOL_FLOATS, seconds);
    c->cache = hl_best_of_trials(hl_trial_cache, pool, POOL_FLOATS, seconds);
    hl_free_tensor(pool, POOL_FLOATS * sizeof *pool);
    return HL_OK;
}

/* ------------------------------------------------------------------ any device, by a small graph on it */

/* A graph of size n around one call of `op`. */
typedef struct probe {
    const char *op;
    int64_t least, most;
    hl_tensor (*build)(hl_graph *g, hl_params *params, int64_t n);
} probe;

static hl_tensor random_param(hl_graph *g, hl_params *params, const char *name, int rank, const int64_t *dim)
{
    return hl_param(g, params, name, rank, dim, (hl_init_rule){.kind = HL_FAN_IN});
}

static hl_tensor build_matmul(hl_graph *g, hl_params *params, int64_t n)
{
    int64_t dim[] = {n, n};
    return hl_matmul(g, random_param(g, params, "a", 2, dim), false, random_param(g, params, "b", 2, dim),
                     true);
}

static hl_tensor build_quantized(hl_graph *g, hl_params *params, int64_t n)
{
    int64_t dim[] = {n, n};
    hl_tensor none = {0}, w = hl_state(g, params, "w", HL_I8, 0, 2, dim);
    return hl_quantized_matmul(g, random_param(g, params, "x", 2, dim), w,
                               random_param(g, params, "scale", 1, dim), none, none);
}

static hl_tensor build_affine(hl_graph *g, hl_params *params, int64_t n)
{
    return hl_affine(g, random_param(g, params, "x", 1, &n), 2, 1);
}

static const probe matmul = {"matmul", 256, 8192, build_matmul};
static const probe quantized_matmul = {"quantized_matmul", 256, 8192, build_quantized};
static const probe affine = {"affine", 1 << 18, 1 << 27, build_affine};

/* The call of that op, if it was faster than *best so far. */
static void take_faster(const hl_session *s, const char *op, hl_call_info *best)
{
    for (int i = 0; i < hl_session_calls(s); i++) {
        hl_call_info c = hl_session_call(s, i);
        if (!strcmp(c.op, op) && c.seconds > 0 && (best->seconds == 0 || c.seconds < best->seconds))
            *best = c;
    }
}

static hl_status time_probe(hl_session *s, const char *op, double seconds, hl_call_info *best, hl_error *err)
{
    enum { LEAST = 3 };
    double end = hl_seconds() + seconds;
    hl_status status = HL_OK;
    *best = (hl_call_info){0};
    for (int i = 0; status == HL_OK && (i < LEAST || hl_seconds() < end); i++) {
        hl_session_profile(s, true);
        status = hl_session_run(s, err);
        hl_session_profile(s, false);
        take_faster(s, op, best);
    }
    if (status == HL_OK && best->seconds == 0)
        status = hl_fail(err, HL_ERR_UNSUPPORTED, "%s: a large %s took no time that can be measured",
                         hl_session_device(s), op);
    return status;
}

static hl_status run_probe(const probe *p, int64_t n, const hl_session_options *o, double seconds,
                           hl_call_info *best, hl_ceilings *c, hl_error *err)
{
    hl_params *params = hl_params_new(1);
    hl_graph *g = params ? hl_graph_new() : NULL;
    if (g)
        hl_output(g, "sum", hl_sum_all(g, p->build(g, params, n))); /* a result that is cheap to bring back */
    hl_session *s = g ? hl_session_open(g, params, o, err) : NULL;
    hl_status status = s   ? time_probe(s, p->op, seconds, best, err)
                       : g ? err->status
                           : hl_fail(err, HL_ERR_MEMORY, "no memory for a graph");
    if (s)
        snprintf(c->device, sizeof c->device, "%s", hl_session_device(s));
    hl_session_free(s);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

/* The fastest call at the least size that takes long enough to be timed well. */
static hl_status measure_probe(const probe *p, const hl_session_options *o, double seconds,
                               hl_call_info *best, hl_ceilings *c, hl_error *err)
{
    const double long_enough = 0.01;
    int64_t n = p->least;
    hl_status status = run_probe(p, n, o, 0, best, c, err);
    while (status == HL_OK && n < p->most && best->seconds < long_enough) {
        n *= 2;
        status = run_probe(p, n, o, 0, best, c, err);
    }
    return status == HL_OK ? run_probe(p, n, o, seconds, best, c, err) : status;
}

static hl_status measure_kernels(const char *device, bool host, double seconds, hl_ceilings *c, hl_error *err)
{
    hl_call_info best;
    hl_session_options o = {.device = device, .frozen = true};
    hl_status status = measure_probe(&affine, &o, seconds, &best, c, err);
    if (status == HL_OK)
        c->elementwise = (best.bytes_read + best.bytes_written) / best.seconds;
    for (int p = 0; p < HL_PRECISIONS && status == HL_OK; p++) {
        if (host && p == HL_PRECISION_TF32)
            continue; /* of GPUs only */
        o.precision = (hl_precision)p;
        status = measure_probe(&matmul, &o, seconds, &best, c, err);
        if (status == HL_OK)
            c->matmul[p] = best.flops / best.seconds;
    }
    o.precision = HL_PRECISION_FP32;
    if (status == HL_OK)
        status = measure_probe(&quantized_matmul, &o, seconds, &best, c, err);
    if (status == HL_OK)
        c->matmul_integers = best.flops / best.seconds;
    return status;
}

hl_status hl_ceilings_measure(const char *device, double seconds, hl_ceilings *c, hl_error *err)
{
    int ordinal;
    const hl_backend *backend = hl_backend_find(device, &ordinal, err);
    *c = (hl_ceilings){.threads = omp_get_max_threads()};
    if (!backend)
        return err->status;
    bool host = !backend->device;
    hl_status status = host ? measure_host(seconds, c, err) : HL_OK;
    return status == HL_OK ? measure_kernels(device, host, seconds, c, err) : status;
}

/* ------------------------------------------------------------------ roofs */

double hl_ceilings_peak(const hl_ceilings *c, const char *op, hl_precision precision)
{
    static const char quantized[] = "quantized_";
    if (!strncmp(op, quantized, sizeof quantized - 1))
        return fmax(c->integers, c->matmul_integers);
    return fmax(c->multiply_add, c->matmul[precision]);
}

double hl_ceilings_bandwidth(const hl_ceilings *c)
{
    return fmax(fmax(c->read, c->copy), fmax(c->triad, c->elementwise));
}

void hl_roof_add(hl_roof *r, const hl_ceilings *c, const char *op, hl_precision precision, double flops,
                 double bytes)
{
    double computing = flops / hl_ceilings_peak(c, op, precision), moving = bytes / hl_ceilings_bandwidth(c);
    r->seconds += fmax(computing, moving);
    r->computing += computing >= moving ? computing : 0;
}

void hl_roof_join(hl_roof *r, const hl_roof *other)
{
    r->seconds += other->seconds;
    r->computing += other->computing;
}

double hl_roof_percent(const hl_roof *r, double seconds, const char **bound)
{
    *bound = "-";
    if (!(seconds > 0) || !isfinite(r->seconds))
        return NAN;
    *bound = r->computing > 0 && 2 * r->computing >= r->seconds ? "compute"
             : seconds < r->seconds                             ? "cache"
                                                                : "memory";
    return 100 * r->seconds / seconds;
}
