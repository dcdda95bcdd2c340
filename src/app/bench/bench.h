/* What the files of hl bench ask of each other. A point of the sweep is measured as a row (bench_row.c), told
 * in a JSON document (bench_report.c), perhaps beside that of another run (bench_compare.c), and printed. */
#ifndef HL_APP_BENCH_H
#define HL_APP_BENCH_H

#include "app/bench/ceilings.h"
#include "app/config/config.h"
#include "app/bench/sweep.h"
#include "app/table.h"
#include "app/tracing.h"

enum { HL_BENCH_STREAMS = 64 };

typedef struct hl_bench_point {
    bool training;
    int64_t batch;
    hl_precision precision;
    int threads;
    int streams;        /* sessions side by side, 1..HL_BENCH_STREAMS */
    double sparsity;    /* fraction of each weight matrix that is zero */
    hl_model *exported; /* NULL: random weights */
} hl_bench_point;

/* Of its weights and products: "int8", ... */
const char *hl_bench_precision(const hl_bench_point *p);

/* What the command line asks for. */
typedef struct hl_bench_request {
    const char *batch, *precision, *threads, *streams, *sparsity; /* lists; NULL: not given */
    const char *compare, *format_name;
    hl_tracing_request traced;
    bool train, profile, json, ceilings;
    int64_t seconds;
    hl_model *exported; /* to measure; NULL: the model of a configuration */
    hl_format format;   /* from here on: what hl_bench_read_request has read */
    hl_list batches, precisions, thread_counts, stream_counts, sparsities;
} hl_bench_request;

/* Reads lists and format; refuses what cannot be for any row. */
hl_status hl_bench_read_request(hl_bench_request *r, const hl_config *cfg, hl_error *err);
/* How many rows a sweep has, and one of them; batches change first. */
int hl_bench_rows(const hl_bench_request *r);
hl_bench_point hl_bench_point_of(const hl_bench_request *r, int row);

/* ------------------------------------------------------------------ rows */

/* Percentiles that are told: 50, 90, 95, 99, 99.9. */
enum { HL_BENCH_PERCENTILES = 5 };

typedef struct hl_bench_row {
    hl_bench_point point;
    hl_error error; /* not HL_OK: why it did not run; the rest is as it was */
    char device[32];
    int runs;
    double warmup_ms, min_ms, max_ms, percentile_ms[HL_BENCH_PERCENTILES], samples_per_s;
    size_t planned_bytes;
    double rss_bytes;     /* of the process while it ran */
    double action_change; /* by sparsity: |a - a'| / |a| over all actions; NAN: there is none */
    json_t *profile;      /* NULL: not asked for */
} hl_bench_row;

/* Measures for `seconds` or a few steps; profiles if there are ceilings (NULL: no), and records steps if
 * there is a tracing. What goes wrong is in row->error. row->profile is the caller's. */
void hl_bench_measure(const hl_config *cfg, hl_bench_point point, double seconds, const hl_ceilings *ceilings,
                      hl_tracing *tracing, hl_bench_row *row);

/* What a profiled session spent its time on, beside the ceilings: {ms, ops: [...], calls: [...]}, both
 * dearest first, with columns for a table. NULL: no memory. */
json_t *hl_bench_profile(const hl_session *s, hl_precision precision, const hl_ceilings *ceilings);
extern const hl_column hl_bench_op_columns[], hl_bench_call_columns[];

/* ------------------------------------------------------------------ the document */

/* A row as the document has it. NULL: no memory. */
json_t *hl_bench_row_json(const hl_bench_row *row);
json_t *hl_bench_ceilings_json(const hl_ceilings *c);
/* {version, device, ..., ceilings, results: rows}. Takes rows and ceilings; either may be NULL: there are
 * none. what: the path and overrides. */
json_t *hl_bench_document(const char *precision, const char *what, const char *device, json_t *rows,
                          json_t *ceilings);
/* The document, to stdout. HL_ERR_MEMORY if it is NULL. */
hl_status hl_bench_print(const json_t *document, hl_format format, hl_error *err);

/* Reads what an earlier hl bench has printed as JSON. NULL with a sentence that names the file. */
json_t *hl_bench_read(const char *path, hl_error *err);
/* Adds to each row of the document the median of the same row there, and under "compare" what else there is
 * to say. False: no memory. */
bool hl_bench_compare(json_t *document, const json_t *other, const char *path);

#endif
