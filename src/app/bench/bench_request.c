/* What the command line of hl bench asks for: lists, and the rows that they make. */
#include "app/bench/bench.h"
#include "app/setup.h"
#include "base/error.h"
#include "run/plan.h"

#include <omp.h>
#include <string.h>

enum { MOST_BATCH = 65536, MOST_THREADS = 1024, MOST_ROWS = 1024 };

static hl_status read_format(hl_bench_request *r, hl_error *err)
{
    r->format = r->json ? HL_AS_JSON : HL_AS_TEXT;
    if (!r->format_name)
        return HL_OK;
    if (!hl_format_named(r->format_name, &r->format))
        return hl_fail(err, HL_ERR_USAGE, "--format: '%s' is none of text, json, csv, markdown",
                       r->format_name);
    if (r->json && r->format != HL_AS_JSON)
        return hl_fail(err, HL_ERR_USAGE, "--json and --format %s contradict each other", r->format_name);
    if (r->profile && r->format == HL_AS_CSV)
        return hl_fail(err, HL_ERR_USAGE,
                       "--profile makes several tables, CSV holds one; use --format text, json or markdown");
    return HL_OK;
}

/* What its products in floats are computed in. */
static hl_precision products_of(const hl_model *m)
{
    int p = 0;
    while (p < HL_PRECISIONS && strcmp(hl_model_about(m, "precision"), hl_precision_name((hl_precision)p)))
        p++;
    return p < HL_PRECISIONS ? (hl_precision)p : HL_PRECISION_FP32; /* int8: the rest is fp32 */
}

static hl_status read_lists(hl_bench_request *r, const hl_config *cfg, hl_error *err)
{
    hl_status status = HL_OK;
    hl_setup_threads(cfg);
    r->batches = r->train ? (hl_list){1, {(double)cfg->train.batch}} : (hl_list){2, {1, 16}};
    r->precisions = (hl_list){1, {r->exported ? products_of(r->exported) : (hl_precision)cfg->precision}};
    r->thread_counts = (hl_list){1, {omp_get_max_threads()}};
    r->stream_counts = (hl_list){1, {1}};
    r->sparsities = (hl_list){1, {0}};
    if (r->batch)
        status = hl_list_integers("batch", r->batch, MOST_BATCH, &r->batches, err);
    if (status == HL_OK && r->precision)
        status = hl_list_precisions("precision", r->precision, &r->precisions, err);
    if (status == HL_OK && r->threads)
        status = hl_list_integers("threads", r->threads, MOST_THREADS, &r->thread_counts, err);
    if (status == HL_OK && r->streams)
        status = hl_list_integers("streams", r->streams, HL_BENCH_STREAMS, &r->stream_counts, err);
    if (status == HL_OK && r->sparsity)
        status = hl_list_fractions("sparsity", r->sparsity, &r->sparsities, err);
    return status;
}

int hl_bench_rows(const hl_bench_request *r)
{
    int64_t n = (int64_t)r->batches.n * r->precisions.n * r->thread_counts.n * r->stream_counts.n;
    return (int)(n * r->sparsities.n);
}

/* What cannot be for any row. */
static hl_status check_sweep(const hl_bench_request *r, const hl_backend *backend, hl_error *err)
{
    if (r->exported && (r->train || r->precision || r->sparsity))
        return hl_fail(err, HL_ERR_USAGE, "--%s is of a configuration: an exported model only acts, as it is",
                       r->train       ? "train"
                       : r->precision ? "precision"
                                      : "sparsity");
    if (r->train && (r->streams || r->sparsity))
        return hl_fail(err, HL_ERR_USAGE, "--%s is of inference: leave --train out",
                       r->streams ? "streams" : "sparsity");
    if (hl_bench_rows(r) > MOST_ROWS)
        return hl_fail(err, HL_ERR_USAGE, "the lists make %d rows, at most %d are measured; shorten one",
                       hl_bench_rows(r), MOST_ROWS);
    if (r->streams && !backend->device)
        return hl_fail(
            err, HL_ERR_USAGE,
            "--streams: sessions run side by side on GPUs only (device=cuda); on '%s' give --threads",
            backend->name);
    return HL_OK;
}

static hl_status check_ceilings(hl_bench_request *r, const hl_backend *backend, hl_error *err)
{
    if (r->batch || r->precision || r->streams || r->sparsity || r->compare || r->train || r->profile ||
        r->traced.path || r->traced.steps)
        return hl_fail(err, HL_ERR_USAGE,
                       "--ceilings is of the machine, not of a model: beside it stand --threads, --seconds, "
                       "--format and overrides such as device=cuda alone");
    double all = r->thread_counts.at[0];
    if (!r->threads && !backend->device && all > 1)
        r->thread_counts = (hl_list){2, {1, all}};
    return HL_OK;
}

hl_status hl_bench_read_request(hl_bench_request *r, const hl_config *cfg, hl_error *err)
{
    int ordinal;
    hl_status status = read_format(r, err);
    if (status == HL_OK)
        status = read_lists(r, cfg, err);
    const hl_backend *backend = status == HL_OK ? hl_backend_find(cfg->device, &ordinal, err) : NULL;
    if (!backend)
        return err->status;
    return r->ceilings ? check_ceilings(r, backend, err) : check_sweep(r, backend, err);
}

/* Row i of the sweep; batches change first. */
hl_bench_point hl_bench_point_of(const hl_bench_request *r, int i)
{
    hl_bench_point p = {.training = r->train, .exported = r->exported};
    p.batch = (int64_t)r->batches.at[i % r->batches.n];
    i /= r->batches.n;
    p.sparsity = r->sparsities.at[i % r->sparsities.n];
    i /= r->sparsities.n;
    p.streams = (int)r->stream_counts.at[i % r->stream_counts.n];
    i /= r->stream_counts.n;
    p.threads = (int)r->thread_counts.at[i % r->thread_counts.n];
    p.precision = (hl_precision)r->precisions.at[i / r->thread_counts.n];
    return p;
}

const char *hl_bench_precision(const hl_bench_point *p)
{
    return p->exported ? hl_model_about(p->exported, "precision") : hl_precision_name(p->precision);
}
