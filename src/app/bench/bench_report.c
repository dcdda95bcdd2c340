/* The document that hl bench makes, and its forms on stdout. */
#include "app/bench/bench.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

#include <string.h>
#include <sys/resource.h>

/* ------------------------------------------------------------------ rows */

static const char *const percentile_keys[HL_BENCH_PERCENTILES] = {"median_ms", "p90_ms", "p95_ms", "p99_ms",
                                                                  "p999_ms"};

static json_t *times_json(const hl_bench_row *r)
{
    json_t *j = json_pack("{s:s, s:i, s:f, s:f}", "device", r->device, "runs", r->runs, "warmup_ms",
                          r->warmup_ms, "min_ms", r->min_ms);
    int failed = !j;
    for (int i = 0; i < HL_BENCH_PERCENTILES; i++)
        failed |= json_object_set_new(j, percentile_keys[i], json_real(r->percentile_ms[i]));
    json_t *rest = json_pack("{s:f, s:f, s:I, s:o, s:o}", "max_ms", r->max_ms, "samples_per_s",
                             r->samples_per_s, "planned_bytes", (json_int_t)r->planned_bytes, "rss_bytes",
                             hl_json_number(r->rss_bytes), "action_change", hl_json_number(r->action_change));
    failed |= json_object_update(j, rest);
    json_decref(rest);
    if (!failed)
        return j;
    json_decref(j);
    return NULL;
}

json_t *hl_bench_row_json(const hl_bench_row *r)
{
    const hl_bench_point *p = &r->point;
    json_t *row = json_pack("{s:s, s:I, s:s, s:i, s:i, s:f}", "what", p->training ? "training" : "inference",
                            "batch", (json_int_t)p->batch, "precision", hl_bench_precision(p), "threads",
                            p->threads, "streams", p->streams, "sparsity", p->sparsity);
    json_t *rest = r->error.status == HL_OK ? times_json(r) : json_pack("{s:s}", "error", r->error.message);
    int failed = json_object_update(row, rest);
    json_decref(rest);
    if (!failed && r->profile)
        failed = json_object_set(row, "profile", r->profile);
    if (!failed)
        return row;
    json_decref(row);
    return NULL;
}

static json_t *giga(double value)
{
    return value > 0 ? json_real(1e-9 * value) : json_null();
}

json_t *hl_bench_ceilings_json(const hl_ceilings *c)
{
    return json_pack(
        "{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "device", c->device,
        "threads", c->threads, "vector_floats", c->vector, "multiply_add_gflop_per_s", giga(c->multiply_add),
        "multiply_add_int8_gop_per_s", giga(c->integers), "matmul_fp32_gflop_per_s",
        giga(c->matmul[HL_PRECISION_FP32]), "matmul_tf32_gflop_per_s", giga(c->matmul[HL_PRECISION_TF32]),
        "matmul_bf16_gflop_per_s", giga(c->matmul[HL_PRECISION_BF16]), "matmul_fp16_gflop_per_s",
        giga(c->matmul[HL_PRECISION_FP16]), "matmul_int8_gop_per_s", giga(c->matmul_integers),
        "read_gbyte_per_s", giga(c->read), "copy_gbyte_per_s", giga(c->copy), "triad_gbyte_per_s",
        giga(c->triad), "cache_gbyte_per_s", giga(c->cache), "elementwise_gbyte_per_s", giga(c->elementwise));
}

/* ------------------------------------------------------------------ the document */

json_t *hl_bench_document(const char *precision, const char *what, const char *device, json_t *rows,
                          json_t *ceilings)
{
    struct rusage usage;
    hl_device_info cpu;
    hl_describe_processor(&cpu);
    getrusage(RUSAGE_SELF, &usage);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:o*, s:o*}", "version", HL_VERSION, "device",
                     device, "precision", precision, "config", what, "processor", cpu.name, "cores",
                     cpu.processors, "peak_rss_bytes", (json_int_t)usage.ru_maxrss * 1024, "ceilings",
                     ceilings, "results", rows);
}

/* ------------------------------------------------------------------ columns */

#define RATE(k, t)                                                                                           \
    {                                                                                                        \
        .key = k "_per_s", .title = t, .decimals = 1, .usual = "-"                                           \
    }

static const hl_column ceiling_columns[] = {
    {.key = "device", .title = "device"},
    {.key = "threads", .title = "threads"},
    {.key = "vector_floats", .title = "floats/vector", .usual = "0"},
    RATE("multiply_add_gflop", "FMA GFLOP/s"),
    RATE("multiply_add_int8_gop", "int8 GOP/s"),
    RATE("matmul_fp32_gflop", "matmul fp32"),
    RATE("matmul_tf32_gflop", "tf32"),
    RATE("matmul_bf16_gflop", "bf16"),
    RATE("matmul_fp16_gflop", "fp16"),
    RATE("matmul_int8_gop", "int8"),
    RATE("read_gbyte", "read GB/s"),
    RATE("copy_gbyte", "copy"),
    RATE("triad_gbyte", "triad"),
    RATE("elementwise_gbyte", "elementwise"),
    RATE("cache_gbyte", "cache"),
    {0},
};

#define MS(k, t)                                                                                             \
    {                                                                                                        \
        .key = k "_ms", .title = t, .decimals = 3                                                            \
    }

static const hl_column row_columns[] = {
    {.key = "what", .title = ""},
    {.key = "batch", .title = "batch"},
    {.key = "precision", .title = "precision"},
    {.key = "threads", .title = "threads"},
    {.key = "streams", .title = "streams", .usual = "1"},
    {.key = "sparsity", .title = "sparsity", .decimals = -1, .usual = "0"},
    {.key = "runs", .title = "runs"},
    {.key = "warmup_ms"},
    {.key = "min_ms"},
    MS("median", "median ms"),
    MS("p90", "p90"),
    MS("p95", "p95"),
    MS("p99", "p99"),
    MS("p999", "p99.9"),
    MS("max", "max"),
    {.key = "samples_per_s", .title = "samples/s", .decimals = 1},
    {.key = "planned_bytes", .title = "planned MiB", .decimals = 1, .unit = 1 << 20},
    {.key = "rss_bytes", .title = "RSS MiB", .decimals = 1, .unit = 1 << 20},
    {.key = "action_change", .title = "action change", .decimals = 4, .usual = "-"},
    {.key = "other_median_ms", .title = "other median", .decimals = 3, .usual = "-"},
    {.key = "ratio", .title = "ratio", .decimals = 3, .usual = "-"},
    {.key = "verdict", .title = "verdict", .usual = "-"},
    {.key = "error", .title = "why not", .usual = "-"},
    {0},
};

/* ------------------------------------------------------------------ printing */

static bool any_sparse(const json_t *rows)
{
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)rows, i,
                       row) if (json_number_value(json_object_get(row, "sparsity")) > 0) return true;
    return false;
}

static void append_profiles(hl_text *text, hl_format format, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *profile = json_object_get(row, "profile");
        if (!profile)
            continue;
        hl_text_appendf(text, "\n%s, batch %lld, %s, %lld threads: %.3f ms in kernels\n\n",
                        json_string_value(json_object_get(row, "what")),
                        (long long)json_integer_value(json_object_get(row, "batch")),
                        json_string_value(json_object_get(row, "precision")),
                        (long long)json_integer_value(json_object_get(row, "threads")),
                        json_number_value(json_object_get(profile, "ms")));
        hl_table_append(text, format, hl_bench_op_columns, json_object_get(profile, "ops"));
        hl_text_append(text, "\n");
        hl_table_append(text, format, hl_bench_call_columns, json_object_get(profile, "calls"));
    }
}

/* Where the other document comes from, and in what it is not like this one. */
static void append_comparison(hl_text *text, const json_t *compare)
{
    const json_t *differs = json_object_get(compare, "differs");
    hl_text_appendf(text, "\ncompared with %s: ratio is this median / the other\n",
                    json_string_value(json_object_get(compare, "file")));
    for (size_t i = 0; i < json_array_size(differs); i++)
        hl_text_appendf(text, "%s\n", json_string_value(json_array_get(differs, i)));
}

static void append_results(hl_text *text, hl_format format, const json_t *document)
{
    const json_t *compare = json_object_get(document, "compare"),
                 *rows = json_object_get(document, "results");
    json_t *all = json_copy((json_t *)rows);
    if (!all || (compare && json_array_extend(all, json_object_get(compare, "only_there"))))
        text->failed = true;
    hl_table_append(text, format, row_columns, all);
    if (format != HL_AS_CSV) {
        if (any_sparse(rows))
            hl_text_append(
                text, "\nsparsity: kernels are dense and multiply zeros as they do other numbers; action "
                      "change is |a - a'| / |a| against no sparsity\n");
        if (compare)
            append_comparison(text, compare);
    }
    json_decref(all);
}

hl_status hl_bench_print(const json_t *document, hl_format format, hl_error *err)
{
    const json_t *ceilings = json_object_get(document, "ceilings");
    const json_t *results = json_object_get(document, "results");
    hl_text text = {0};
    if (!document)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the results");
    if (format == HL_AS_JSON)
        return hl_json_print(stdout, document, err);
    if (results)
        append_results(&text, format, document);
    if (ceilings && !(results && format == HL_AS_CSV)) {
        hl_text_append(&text, results ? "\nceilings, measured before\n\n" : "");
        hl_table_append(&text, format, ceiling_columns, ceilings);
    }
    if (results && format != HL_AS_CSV)
        append_profiles(&text, format, results);
    char *string = hl_text_take(&text);
    if (!string)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to print the results");
    fputs(string, stdout); /* hl_main asks whether it could be written */
    hl_free(string);
    return HL_OK;
}
