#include "app/stress/summary.h"

#include "app/table.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* A member of a member of a member: "inference.latency_ms.p50". NULL if it is not there. */
static json_t *find(const json_t *from, const char *path)
{
    json_t *at = (json_t *)from; /* json_object_get takes what it does not change */
    for (const char *part = path; at && *part;) {
        char key[64];
        size_t n = strcspn(part, "/");
        snprintf(key, sizeof key, "%.*s", (int)n, part);
        at = json_object_get(at, key);
        part += n + (part[n] == '/');
    }
    return at;
}

static void add(json_t *row, const char *key, const json_t *phase, const char *path)
{
    json_t *value = find(phase, path);
    json_object_set(row, key, value ? value : json_null());
}

/* ------------------------------------------------------------------ phases */

enum { MIB = 1 << 20 };

static const hl_column overview[] = {
    {"name", "phase", -1, 0, NULL},
    {"seconds", "s", 1, 0, NULL},
    {"samples_per_s", "samples/s", 1, 0, "-"},
    {"p50", "p50 ms", 2, 0, "-"},
    {"p90", "p90 ms", 2, 0, "-"},
    {"p95", "p95 ms", 2, 0, "-"},
    {"p99", "p99 ms", 2, 0, "-"},
    {"max", "max ms", 2, 0, "-"},
    {"hz", "Hz", 1, 0, "-"},
    {"missed", "missed", 0, 0, "-"},
    {"trained_per_s", "trained/s", 1, 0, "-"},
    {"step", "step ms", 1, 0, "-"},
    {"loss_start", "loss", 4, 0, "-"},
    {"loss_end", "at end", 4, 0, "-"},
    {"skipped", "skipped", 0, 0, "-"},
    {"peak", "peak MiB", 1, MIB, "-"},
    {0},
};

static json_t *overview_row(const json_t *phase)
{
    static const struct {
        const char *key, *path;
    } cells[] = {{"name", "name"},
                 {"seconds", "seconds"},
                 {"samples_per_s", "inference/samples_per_s"},
                 {"p50", "inference/latency_ms/p50"},
                 {"p90", "inference/latency_ms/p90"},
                 {"p95", "inference/latency_ms/p95"},
                 {"p99", "inference/latency_ms/p99"},
                 {"max", "inference/latency_ms/max"},
                 {"missed", "inference/missed"},
                 {"trained_per_s", "training/samples_per_s"},
                 {"step", "training/step_ms/p50"},
                 {"loss_start", "training/loss_start"},
                 {"loss_end", "training/loss_end"},
                 {"skipped", "training/skipped"},
                 {"peak", "memory/measured_peak"}};
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        add(row, cells[i].key, phase, cells[i].path);
    if (json_is_number(find(phase, "inference/rate_hz")))
        add(row, "hz", phase, "inference/achieved_hz");
    return row;
}

static void append_overview(hl_text *t, const json_t *phases)
{
    json_t *rows = json_array();
    size_t i;
    json_t *phase;
    json_array_foreach((json_t *)phases, i, phase) json_array_append_new(rows, overview_row(phase));
    hl_table_append(t, HL_AS_TEXT, overview, rows);
    json_decref(rows);
    json_array_foreach((json_t *)phases, i, phase)
    {
        const json_t *held = find(phase, "inference/rate_hz") ? find(phase, "inference/rate_held") : NULL;
        if (json_is_false(held))
            hl_text_appendf(t, "%s: the rate of %g Hz could not be held\n",
                            json_string_value(find(phase, "name")),
                            json_number_value(find(phase, "inference/rate_hz")));
    }
}

/* ------------------------------------------------------------------ where time and memory went */

static void append_split(hl_text *t, const json_t *phase, const char *what, const char *of)
{
    size_t i;
    json_t *part;
    json_t *list = find(phase, what);
    if (!json_array_size(list))
        return;
    hl_text_appendf(t, "%s, %s, mean ms:", json_string_value(find(phase, "name")), of);
    json_array_foreach(list, i, part)
        hl_text_appendf(t, "%s %s %.3g", i ? "," : "", json_string_value(find(part, "name")),
                        json_number_value(find(part, "mean")));
    hl_text_appendf(t, "\n");
}

static void append_memory(hl_text *t, const json_t *phase)
{
    static const hl_column columns[] = {{"name", "MiB", -1, 0, NULL},
                                        {"planned", "planned", 1, MIB, NULL},
                                        {"current", "resident", 1, MIB, NULL},
                                        {"peak", "peak", 1, MIB, NULL},
                                        {0}};
    const json_t *memory = find(phase, "memory"), *slope = find(memory, "rss_slope");
    hl_text_appendf(t, "\n%s\n", json_string_value(find(phase, "name")));
    hl_table_append(t, HL_AS_TEXT, columns, find(memory, "categories"));
    hl_text_appendf(t, "RSS %.1f MiB", json_number_value(find(memory, "rss")) / MIB);
    if (json_is_number(find(memory, "difference_percent")))
        hl_text_appendf(t, ", peak %+.2f%% against the plan's",
                        json_number_value(find(memory, "difference_percent")));
    if (json_is_number(find(memory, "unaccounted_percent")))
        hl_text_appendf(t, ", unaccounted %.2f%% of RSS",
                        json_number_value(find(memory, "unaccounted_percent")));
    hl_text_appendf(t, ", allocations %lld", (long long)json_integer_value(find(memory, "allocations")));
    if (json_is_object(slope))
        hl_text_appendf(t, "\nRSS grows by %.3f MiB/min (95%%: %.3f to %.3f)",
                        json_number_value(find(slope, "bytes_per_minute")) / MIB,
                        json_number_value(find(slope, "low")) / MIB,
                        json_number_value(find(slope, "high")) / MIB);
    hl_text_appendf(t, "\n");
}

/* ------------------------------------------------------------------ the verdict */

static void append_limits(hl_text *t, const char *of, const json_t *limits)
{
    size_t i;
    json_t *line;
    json_array_foreach((json_t *)limits, i, line)
    {
        const json_t *value = find(line, "value");
        hl_text_appendf(t, "%s  %s: %s ", json_is_true(find(line, "pass")) ? "pass" : "FAIL", of,
                        json_string_value(find(line, "key")));
        if (json_is_number(value))
            hl_text_appendf(t, "%.6g", json_number_value(value));
        else
            hl_text_appendf(t, "was not measured");
        hl_text_appendf(t, " (limit %.6g)\n", json_number_value(find(line, "limit")));
    }
}

static void append_verdict(hl_text *t, const json_t *result)
{
    size_t i;
    json_t *phase;
    hl_text_appendf(t, "\n");
    json_array_foreach(find(result, "phases"), i, phase)
        append_limits(t, json_string_value(find(phase, "name")), find(phase, "limits"));
    append_limits(t, "whole run", find(result, "limits"));
    json_array_foreach(find(result, "failed"), i, phase)
        hl_text_appendf(t, "FAIL  %s\n", json_string_value(find(phase, "error")));
    hl_text_appendf(t, "verdict: %s%s\n", json_string_value(find(result, "verdict")),
                    json_is_true(find(result, "interrupted")) ? " (interrupted)" : "");
}

hl_status hl_stress_print(FILE *to, const json_t *result, hl_error *err)
{
    hl_text t = {0};
    size_t i;
    json_t *phase, *phases = find(result, "phases");
    append_overview(&t, phases);
    hl_text_appendf(&t, "\n");
    json_array_foreach(phases, i, phase)
    {
        append_split(&t, phase, "inference/split_ms", "inference");
        append_split(&t, phase, "training/split_ms", "training");
    }
    json_array_foreach(phases, i, phase) append_memory(&t, phase);
    append_verdict(&t, result);
    hl_status status = HL_OK;
    if (t.failed)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to print the result");
    else if (fputs(t.at, to) < 0 || fflush(to))
        status = hl_fail(err, HL_ERR_IO, "the result cannot be written: %s", strerror(errno));
    hl_text_free(&t);
    return status;
}
