#include "app/report/schema.h"

/* MAY: null where it could not be measured, or does not apply. */
#define HAS(name, what) .key = name, .kind = what
#define MAY(name, what) HAS(name, what), .or_null = true

static const hl_schema_field limits[] = {
    {HAS("key", TEXT)}, {HAS("limit", NUMBER)}, {MAY("value", NUMBER)}, {MAY("pass", FLAG)}, {0},
};

static const hl_schema_field latency[] = {
    {MAY("min", NUMBER)},   {MAY("mean", NUMBER)}, {MAY("p50", NUMBER)},
    {MAY("p90", NUMBER)},   {MAY("p95", NUMBER)},  {MAY("p99", NUMBER)},
    {MAY("p99.9", NUMBER)}, {MAY("max", NUMBER)},  {0},
};

static const hl_schema_field split[] = {
    {HAS("name", TEXT)}, {MAY("mean", NUMBER)}, {MAY("p50", NUMBER)}, {MAY("p99", NUMBER)}, {0},
};

static const hl_schema_field inference[] = {
    {HAS("batch", COUNT)},
    {HAS("runs", COUNT)},
    {HAS("samples", COUNT)},
    {MAY("samples_per_s", NUMBER)},
    {MAY("threads", COUNT)},
    {MAY("precision", TEXT)},
    {MAY("rate_hz", NUMBER)},
    {MAY("achieved_hz", NUMBER)},
    {MAY("deadline_ms", NUMBER)},
    {MAY("missed", COUNT)},
    {MAY("miss_rate", NUMBER)},
    {MAY("rate_held", FLAG)},
    {MAY("latency_ms", OBJECT), .of = latency},
    {MAY("split_ms", LIST), .of = split},
    {MAY("histogram", ROWS), .columns = 3},
    {MAY("timeline", ROWS), .columns = 4},
    {0},
};

static const hl_schema_field training[] = {
    {HAS("batch", COUNT)},
    {HAS("iterations", COUNT)},
    {MAY("samples_per_s", NUMBER)},
    {MAY("threads", COUNT)},
    {MAY("step_ms", OBJECT), .of = latency},
    {MAY("split_ms", LIST), .of = split},
    {MAY("loss_start", NUMBER)},
    {MAY("loss_end", NUMBER)},
    {MAY("grad_norm", NUMBER)},
    {MAY("skipped", COUNT)},
    {MAY("loss", ROWS), .columns = 2},
    {MAY("histogram", ROWS), .columns = 3},
    {MAY("timeline", ROWS), .columns = 4},
    {0},
};

static const hl_schema_field gpu[] = {
    {MAY("utilisation_percent", NUMBER)},
    {MAY("memory_used_bytes", COUNT)},
    {MAY("clock_mhz", NUMBER)},
    {MAY("memory_clock_mhz", NUMBER)},
    {MAY("temperature_c", NUMBER)},
    {MAY("power_w", NUMBER)},
    {0},
};

/* The width of its timeline is that of cpu_percent, which check_widths holds. */
static const hl_schema_field system_fields[] = {
    {MAY("cpu_percent", SERIES)},
    {MAY("process_cpu_percent", NUMBER)},
    {MAY("timeline", ROWS)},
    {MAY("gpu", OBJECT), .of = gpu},
    {0},
};

static const hl_schema_field category[] = {
    {HAS("name", TEXT)}, {MAY("planned", WHOLE)}, {MAY("current", WHOLE)}, {MAY("peak", WHOLE)}, {0},
};

static const hl_schema_field peak_at[] = {
    {MAY("session", TEXT)}, {MAY("call", COUNT)}, {MAY("op", TEXT)}, {MAY("section", TEXT)}, {0},
};

static const hl_schema_field tensor[] = {
    {HAS("name", TEXT)},
    {HAS("bytes", COUNT)},
    {MAY("section", TEXT)},
    {0},
};

static const hl_schema_field slope[] = {
    {MAY("bytes_per_minute", NUMBER)},
    {MAY("low", NUMBER)},
    {MAY("high", NUMBER)},
    {MAY("samples", COUNT)},
    {0},
};

static const hl_schema_field by_category[] = {
    {HAS("names", NAMES)},
    {HAS("rows", ROWS)},
    {0},
};

static const hl_schema_field memory[] = {
    {HAS("categories", LIST), .of = category},
    {MAY("versions", COUNT)},
    {MAY("rss", COUNT)},
    {MAY("rss_peak", COUNT)},
    {MAY("device_bytes", COUNT)},
    {MAY("planned_peak", COUNT)},
    {MAY("measured_peak", COUNT)},
    {MAY("difference_percent", NUMBER)},
    {MAY("unaccounted", WHOLE)},
    {MAY("unaccounted_percent", NUMBER)},
    {MAY("peak_at", OBJECT), .of = peak_at},
    {MAY("largest", LIST), .of = tensor},
    {MAY("fragmentation", NUMBER)},
    {MAY("lower_bound", COUNT)},
    {MAY("allocations", COUNT)},
    {MAY("rss_slope", OBJECT), .of = slope},
    {MAY("timeline", ROWS), .columns = 2},
    {MAY("timeline_categories", OBJECT), .of = by_category},
    {0},
};

static const char *const phase_kinds[] = {"inference", "training", "mixed", "control", NULL};

static const hl_schema_field phase[] = {
    {HAS("name", TEXT)},
    {HAS("kind", TEXT), .choice = phase_kinds},
    {HAS("seconds", NUMBER)},
    {MAY("warmup_seconds", NUMBER)},
    {MAY("inference", OBJECT), .of = inference},
    {MAY("training", OBJECT), .of = training},
    {MAY("system", OBJECT), .of = system_fields},
    {MAY("memory", OBJECT), .of = memory},
    {HAS("limits", LIST), .of = limits},
    {0},
};

static const hl_schema_field machine[] = {
    {MAY("processor", TEXT)}, {MAY("cores", COUNT)}, {MAY("memory_bytes", COUNT)}, {MAY("gpu", TEXT)}, {0},
};

static const char *const result_kinds[] = {"stress", NULL};
static const char *const verdicts[] = {"pass", "fail", "no limits", NULL};

const hl_schema_field hl_schema[] = {
    {HAS("kind", TEXT), .choice = result_kinds},
    {HAS("hl", TEXT)},
    {HAS("started", TEXT)},
    {HAS("config", TEXT)},
    {MAY("model_parameters", COUNT)},
    {HAS("device", TEXT)},
    {HAS("precision", TEXT)},
    {HAS("machine", OBJECT), .of = machine},
    {HAS("interrupted", FLAG)},
    {HAS("phases", LIST), .of = phase},
    {HAS("limits", LIST), .of = limits},
    {HAS("verdict", TEXT), .choice = verdicts},
    {0},
};
