/* hl bench: latency and throughput of inference, or of a training step, with random weights, at every point
 * of a sweep; and what the machine could do at most. */
#include "app/bench/bench.h"
#include "app/command.h"
#include "app/subject.h"
#include "base/error.h"
#include "base/memory.h"

#include <omp.h>
#include <stdio.h>

/* A run of what is asked for. */
typedef struct bench {
    const hl_bench_request *request;
    const hl_config *cfg;
    const char *config, *what;          /* the path; and with overrides */
    hl_ceilings ceilings[HL_LIST_MOST]; /* of each number of threads, for a profile */
    json_t *rows;
    hl_tracing *tracing;
    char device[32]; /* of the first row that ran */
    int n, failed;
    char first_failed[64]; /* and why: */
    hl_error first_error;
} bench;

/* ------------------------------------------------------------------ ceilings */

/* One for each number of threads. */
static hl_status measure_ceilings(bench *b, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < b->request->thread_counts.n && status == HL_OK; i++) {
        omp_set_num_threads((int)b->request->thread_counts.at[i]);
        status = hl_ceilings_measure(b->cfg->device, (double)b->request->seconds / 10, &b->ceilings[i], err);
    }
    return status;
}

/* Those for a row, or NULL where no profile is asked for. */
static const hl_ceilings *ceilings_over(const bench *b, int threads)
{
    const hl_list *counts = &b->request->thread_counts;
    for (int i = 0; b->request->profile && i < counts->n; i++)
        if (counts->at[i] == threads)
            return &b->ceilings[i];
    HL_ASSERT(!b->request->profile);
    return NULL;
}

static json_t *ceilings_json(const bench *b)
{
    json_t *all = json_array();
    int failed = !all;
    for (int i = 0; i < b->request->thread_counts.n; i++)
        failed |= json_array_append_new(all, hl_bench_ceilings_json(&b->ceilings[i]));
    if (!failed)
        return all;
    json_decref(all);
    return NULL;
}

/* Of the machine alone. */
static hl_status run_ceilings(bench *b, hl_error *err)
{
    hl_status status = measure_ceilings(b, err);
    json_t *ceilings = status == HL_OK ? ceilings_json(b) : NULL;
    if (status == HL_OK && !ceilings)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the results");
    if (status != HL_OK)
        return status;
    json_t *document = hl_bench_document(hl_precision_name((hl_precision)b->cfg->precision), b->what,
                                         b->ceilings[0].device, NULL, ceilings);
    status = hl_bench_print(document, b->request->format, err);
    json_decref(document);
    return status;
}

/* ------------------------------------------------------------------ the sweep */

static void note_failure(bench *b, const hl_bench_row *row)
{
    const hl_bench_point *p = &row->point;
    if (!b->failed++) {
        b->first_error = row->error;
        snprintf(b->first_failed, sizeof b->first_failed, "%s, batch %lld, %s",
                 p->training ? "training" : "inference", (long long)p->batch, hl_bench_precision(p));
    }
}

static hl_status run_sweep(bench *b, hl_error *err)
{
    const hl_bench_request *r = b->request;
    int failed = !(b->rows = json_array());
    hl_status status = r->profile ? measure_ceilings(b, err) : HL_OK;
    for (b->n = 0; b->n < hl_bench_rows(r) && status == HL_OK; b->n++) {
        hl_bench_row row;
        hl_bench_point point = hl_bench_point_of(r, b->n);
        hl_bench_measure(b->cfg, point, (double)r->seconds, ceilings_over(b, point.threads), b->tracing,
                         &row);
        if (row.error.status != HL_OK)
            note_failure(b, &row);
        else if (!b->device[0])
            snprintf(b->device, sizeof b->device, "%s", row.device);
        failed |= json_array_append_new(b->rows, hl_bench_row_json(&row));
        json_decref(row.profile);
    }
    if (status == HL_OK && b->failed == b->n) {
        *err = b->first_error;
        return err->status;
    }
    return status == HL_OK && failed ? hl_fail(err, HL_ERR_MEMORY, "no memory for the results") : status;
}

static hl_status print_sweep(bench *b, const json_t *other, hl_error *err)
{
    json_t *ceilings = b->request->profile ? ceilings_json(b) : NULL;
    const hl_bench_point first = hl_bench_point_of(b->request, 0);
    const char *precision = b->request->exported ? hl_bench_precision(&first)
                                                 : hl_precision_name((hl_precision)b->cfg->precision);
    json_t *document = hl_bench_document(precision, b->what, b->device, json_incref(b->rows), ceilings);
    hl_status status = HL_OK;
    if (document && other && !hl_bench_compare(document, other, b->request->compare))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to compare with %s", b->request->compare);
    if (status == HL_OK)
        status = hl_bench_print(document, b->request->format, err);
    json_decref(document);
    return status;
}

static hl_status run(bench *b, hl_bench_request *r, hl_error *err)
{
    json_t *other = NULL;
    hl_status status = hl_bench_read_request(r, b->cfg, err);
    if (status == HL_OK && r->ceilings)
        return run_ceilings(b, err);
    if (status == HL_OK && r->compare && !(other = hl_bench_read(r->compare, err)))
        status = err->status; /* before what takes its time */
    if (status == HL_OK)
        status = hl_tracing_open(&r->traced, b->config, &b->tracing, err);
    if (status == HL_OK)
        status = run_sweep(b, err);
    if (status == HL_OK)
        status = print_sweep(b, other, err);
    if (status == HL_OK)
        status = hl_tracing_write(b->tracing, err);
    hl_tracing_free(b->tracing);
    json_decref(other);
    json_decref(b->rows);
    return status;
}

static int report(const bench *b)
{
    if (!b->failed)
        return HL_EXIT_OK;
    fflush(stdout);
    fprintf(stderr, "hl: %d of %d rows did not run; the first (%s): %s\n", b->failed, b->n, b->first_failed,
            b->first_error.message);
    return HL_EXIT_FAILED;
}

int hl_command_bench(int argc, char **argv)
{
    hl_bench_request r = {.seconds = 5};
    const hl_flag flags[] = {
        {"batch", HL_FLAG_TEXT, &r.batch, "N,N,...",
         "batch sizes (default: 1,16; with --train: train.batch)"},
        {"precision", HL_FLAG_TEXT, &r.precision, "NAME,...",
         "fp32, tf32, bf16, fp16 (default: the key precision)"},
        {"threads", HL_FLAG_TEXT, &r.threads, "N,...", "CPU threads (default: the key threads)"},
        {"streams", HL_FLAG_TEXT, &r.streams, "N,...",
         "inference sessions side by side, each on a queue of its own: GPUs only"},
        {"sparsity", HL_FLAG_TEXT, &r.sparsity, "F,...",
         "inference with that fraction of each weight matrix, the smallest, set to zero"},
        {"train", HL_FLAG_BOOL, &r.train, NULL, "time training steps instead of inference"},
        {"seconds", HL_FLAG_INT, &r.seconds, "N",
         "least time per row (default 5); of --ceilings: ten times that of a figure"},
        {"compare", HL_FLAG_TEXT, &r.compare, "FILE.json",
         "beside what an earlier hl bench printed with --json"},
        {"profile", HL_FLAG_BOOL, &r.profile, NULL,
         "time per op and per kernel call, and percent of the ceiling that binds it"},
        {"ceilings", HL_FLAG_BOOL, &r.ceilings, NULL,
         "measure this machine: arithmetic, memory, cache; takes no CONFIG"},
        HL_TRACING_FLAGS(r.traced),
        {"format", HL_FLAG_TEXT, &r.format_name, "FORMAT", "text, json, csv or markdown"},
        {"json", HL_FLAG_BOOL, &r.json, NULL, "--format json"},
        {0},
    };
    const hl_usage usage = {
        "hl bench CONFIG|MODEL.safetensors [key=value ...] [--batch 1,16] [--train] [--format csv]\n"
        "       hl bench --ceilings [key=value ...]",
        "Times inference (a frozen session) or training steps with random weights and inputs, or an\n"
        "exported model, after a warm-up: percentiles, samples per second. Lists make a row of each "
        "combination; a row that\n"
        "cannot run says why, the others go on, and the exit code is 1. See docs/bench.md.",
        flags, 0, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!r.ceilings && n < 1)
        return hl_wrong_arguments(&usage, "an argument is missing");
    hl_error err = {0};
    hl_subject subject;
    hl_text what = {0};
    for (int i = 1; i <= n; i++)
        hl_text_appendf(&what, "%s%s", i > 1 ? " " : "", argv[i]);
    char *words = hl_text_take(&what);
    int first = r.ceilings ? 1 : 2; /* override */
    hl_status status = hl_subject_open(&subject, r.ceilings ? NULL : argv[1], n + 1 - first, argv + first,
                                       &err);
    r.exported = subject.exported;
    bench b = {.request = &r, .cfg = subject.cfg, .config = argv[1], .what = words};
    if (status == HL_OK && !words)
        status = hl_fail(&err, HL_ERR_MEMORY, "no memory for the command line");
    if (status == HL_OK)
        status = run(&b, &r, &err);
    hl_subject_close(&subject);
    hl_free(words);
    return status == HL_OK ? report(&b) : hl_report(&err);
}
