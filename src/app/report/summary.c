/* The head of the page: what ran, the verdict, and the phases beside each other. */
#include "app/report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ limits */

/* Limits of which one phase or the whole run has some: how many, and how many were kept or broken. */
typedef struct tally {
    size_t all, passed, failed;
} tally;

static void count_limits(tally *n, const json_t *limits)
{
    for (size_t i = 0; i < json_array_size(limits); i++) {
        const json_t *pass = json_object_get(json_array_get(limits, i), "pass");
        n->all++;
        n->passed += json_is_true(pass);
        n->failed += json_is_false(pass);
    }
}

static tally count_all_limits(const json_t *result)
{
    tally n = {0};
    const json_t *phases = json_object_get(result, "phases");
    count_limits(&n, json_object_get(result, "limits"));
    for (size_t i = 0; i < json_array_size(phases); i++)
        count_limits(&n, json_object_get(json_array_get(phases, i), "limits"));
    return n;
}

/* A limit's key says what it is measured in. */
static hl_unit unit_of(const char *key)
{
    if (hl_ends_in(key, "bytes_per_minute"))
        return HL_UNIT_BYTES_PER_MINUTE;
    if (hl_ends_in(key, "bytes"))
        return HL_UNIT_BYTES;
    if (hl_ends_in(key, "_ms"))
        return HL_UNIT_MS;
    if (hl_ends_in(key, "_per_s"))
        return HL_UNIT_PER_SECOND;
    if (hl_ends_in(key, "_rate"))
        return HL_UNIT_FRACTION;
    return hl_ends_in(key, "_percent") ? HL_UNIT_PERCENT : HL_UNIT_COUNT;
}

static void append_result(hl_page *p, const json_t *pass)
{
    hl_text_append(&p->html, json_is_true(pass)    ? "<td class=\"pass\">\u2713 pass</td>"
                             : json_is_false(pass) ? "<td class=\"fail\">\u2717 fail</td>"
                                                   : "<td class=\"absent\">not judged</td>");
}

static void append_limits(hl_page *p, const char *where, const json_t *limits)
{
    for (size_t i = 0; i < json_array_size(limits); i++) {
        const json_t *limit = json_array_get(limits, i);
        const char *key = hl_page_string(limit, "key");
        hl_page_row(p, key, HL_NO_KEY);
        hl_page_cell_text(p, where);
        hl_text_append(&p->html, strncmp(key, "min_", 4) ? "<td>at most " : "<td>at least ");
        hl_page_value(p, limit, "limit", unit_of(key));
        hl_text_append(&p->html, "</td>");
        hl_page_cell(p, limit, "value", unit_of(key));
        append_result(p, json_object_get(limit, "pass"));
        hl_page_row_end(p);
    }
}

static void append_verdict(hl_page *p)
{
    static const char *const heads[] = {"limit", "where", "allowed", "measured", "result"};
    const json_t *phases = json_object_get(p->result, "phases");
    if (!count_all_limits(p->result).all)
        return;
    hl_page_table(p, "Limits", "llrrr", heads);
    append_limits(p, "the whole run", json_object_get(p->result, "limits"));
    for (size_t i = 0; i < json_array_size(phases); i++) {
        const json_t *phase = json_array_get(phases, i);
        append_limits(p, hl_page_string(phase, "name"), json_object_get(phase, "limits"));
    }
    hl_page_table_end(p);
}

/* ------------------------------------------------------------------ headline */

static void append_failed(hl_page *p, const json_t *phases)
{
    for (size_t i = 0; i < json_array_size(phases); i++) {
        hl_text_append(&p->html, "<p class=\"warning\"><strong>Could not run.</strong> ");
        hl_page_text(p, hl_page_string(json_array_get(phases, i), "error"));
        hl_text_append(&p->html, "</p>\n");
    }
}

static void append_headline(hl_page *p)
{
    const char *verdict = hl_page_string(p->result, "verdict");
    const json_t *not_run = json_object_get(p->result, "failed");
    tally n = count_all_limits(p->result);
    hl_text *t = &p->html;
    hl_text_append(t, "<h1>Stress test ");
    if (!strcmp(verdict, "pass"))
        hl_text_appendf(t, "<span class=\"pass\">\u2713 passed</span> <small>%zu of %zu limits kept</small>",
                        n.passed, n.all);
    else if (json_array_size(not_run))
        hl_text_appendf(
            t, "<span class=\"fail\">\u2717 failed</span> <small>phases that could not run: %zu</small>",
            json_array_size(not_run));
    else if (!strcmp(verdict, "fail"))
        hl_text_appendf(t,
                        "<span class=\"fail\">\u2717 failed</span> <small>%zu of %zu limits broken</small>",
                        n.failed, n.all);
    else
        hl_text_append(t, "<small>no limits were set</small>");
    hl_text_append(t, "</h1>\n");
    append_failed(p, not_run);
    if (json_is_true(json_object_get(p->result, "interrupted")))
        hl_text_append(
            t, "<p class=\"warning\"><strong>Interrupted.</strong> The run was ended before all phases were "
               "done. What follows is what had been measured until then.</p>\n");
}

static void append_machine(hl_page *p)
{
    const json_t *m = json_object_get(p->result, "machine");
    hl_page_fact(p, "machine");
    if (*hl_page_string(m, "processor"))
        hl_page_text(p, hl_page_string(m, "processor"));
    else
        hl_page_absent(p, hl_page_reason(m, "processor", ""));
    hl_text_append(&p->html, "<small>cores: ");
    hl_page_value(p, m, "cores", HL_UNIT_COUNT);
    hl_text_append(&p->html, "; memory: ");
    hl_page_value(p, m, "memory_bytes", HL_UNIT_BYTES);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    hl_page_fact(p, "GPU");
    if (*hl_page_string(m, "gpu"))
        hl_page_text(p, hl_page_string(m, "gpu"));
    else
        hl_page_absent(p, hl_page_reason(m, "gpu", ""));
    hl_page_fact_end(p);
}

static void append_fact_text(hl_page *p, const char *name, const char *text, const char *small)
{
    hl_page_fact(p, name);
    hl_page_text(p, text);
    hl_text_append(&p->html, "<small>");
    hl_page_text(p, small);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
}

/* When, in the words of people, and for how long. */
static void append_started(hl_page *p)
{
    const json_t *phases = json_object_get(p->result, "phases");
    const char *at = hl_page_string(p->result, "started");
    bool known = strlen(at) == 20 && at[10] == 'T' && at[19] == 'Z'; /* 2026-11-21T17:00:00Z */
    double seconds = 0;
    char day[12] = "", rest[128] = "";
    for (size_t i = 0; i < json_array_size(phases); i++)
        seconds += hl_page_number(json_array_get(phases, i), "seconds");
    if (known)
        snprintf(day, sizeof day, "%.10s", at);
    snprintf(rest, sizeof rest, "%.8s%s%s in phases: %zu", known ? at + 11 : "", known ? " UTC, " : "",
             hl_quantity_of(seconds, HL_UNIT_SECONDS).shown.text, json_array_size(phases));
    append_fact_text(p, "started", known ? day : at, rest);
}

static void append_run(hl_page *p)
{
    char version[80];
    snprintf(version, sizeof version, "hl %s", hl_excerpt_of(hl_page_string(p->result, "hl")).text);
    hl_text_append(&p->html, "<dl class=\"facts\">\n");
    append_fact_text(p, "configuration", hl_page_string(p->result, "config"), version);
    hl_page_fact(p, "model");
    hl_page_value(p, p->result, "model_parameters", HL_UNIT_COUNT);
    hl_text_append(&p->html, "<small>parameters</small>");
    hl_page_fact_end(p);
    append_fact_text(p, "device", hl_page_string(p->result, "device"),
                     hl_page_string(p->result, "precision"));
    append_started(p);
    append_machine(p);
    hl_text_append(&p->html, "</dl>\n");
}

/* ------------------------------------------------------------------ phases beside each other */

typedef struct line {
    const char *name;
    const char *part, *object; /* where key lies: phase.part.object.key; object NULL: phase.part.key */
    const char *key;
    hl_unit unit;
    const char *where; /* a key of the part: where that is null, this does not apply; NULL: it does */
} line;

static const line lines[] = {
    {.name = "Inference"},
    {"batch", "inference", NULL, "batch", HL_UNIT_COUNT, NULL},
    {"samples", "inference", NULL, "samples_per_s", HL_UNIT_PER_SECOND, NULL},
    {"latency p50", "inference", "latency_ms", "p50", HL_UNIT_MS, NULL},
    {"p90", "inference", "latency_ms", "p90", HL_UNIT_MS, NULL},
    {"p95", "inference", "latency_ms", "p95", HL_UNIT_MS, NULL},
    {"p99", "inference", "latency_ms", "p99", HL_UNIT_MS, NULL},
    {"p99.9", "inference", "latency_ms", "p99.9", HL_UNIT_MS, NULL},
    {"max", "inference", "latency_ms", "max", HL_UNIT_MS, NULL},
    {"deadlines missed", "inference", NULL, "missed", HL_UNIT_COUNT, "deadline_ms"},
    {"share missed", "inference", NULL, "miss_rate", HL_UNIT_FRACTION, "deadline_ms"},
    {.name = "Training"},
    {"batch", "training", NULL, "batch", HL_UNIT_COUNT, NULL},
    {"samples", "training", NULL, "samples_per_s", HL_UNIT_PER_SECOND, NULL},
    {"step p50", "training", "step_ms", "p50", HL_UNIT_MS, NULL},
    {"p99", "training", "step_ms", "p99", HL_UNIT_MS, NULL},
    {"max", "training", "step_ms", "max", HL_UNIT_MS, NULL},
    {"loss at the end", "training", NULL, "loss_end", HL_UNIT_NONE, NULL},
    {"steps skipped", "training", NULL, "skipped", HL_UNIT_COUNT, NULL},
    {.name = "Memory and CPU"},
    {"peak, planned", "memory", NULL, "planned_peak", HL_UNIT_BYTES, NULL},
    {"peak, measured", "memory", NULL, "measured_peak", HL_UNIT_BYTES, NULL},
    {"peak RSS", "memory", NULL, "rss_peak", HL_UNIT_BYTES, NULL},
    {"CPU of the process", "system", NULL, "process_cpu_percent", HL_UNIT_PERCENT, NULL},
};

/* Whether a phase has this at all, measured or not. */
static bool applies(const line *l, const json_t *phase)
{
    const json_t *part = json_object_get(phase, l->part);
    if (json_is_object(part))
        return !l->where || !json_is_null(json_object_get(part, l->where));
    return *hl_page_reason(phase, l->part, "");
}

static void append_cell(hl_page *p, const line *l, const json_t *phase)
{
    const json_t *part = json_object_get(phase, l->part);
    if (!applies(l, phase))
        hl_text_append(&p->html, "<td>\u2013</td>");
    else if (!json_is_object(part))
        hl_page_cell_quantity(p, NAN, l->unit, hl_page_reason(phase, l->part, ""));
    else if (l->object && !json_is_object(json_object_get(part, l->object)))
        hl_page_cell_quantity(p, NAN, l->unit, hl_page_reason(part, l->object, ""));
    else
        hl_page_cell(p, l->object ? json_object_get(part, l->object) : part, l->key, l->unit);
}

static void append_line(hl_page *p, const line *l, const json_t *phases)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(phases); i++)
        any = any || applies(l, json_array_get(phases, i));
    if (!any)
        return;
    hl_page_row(p, l->name, HL_NO_KEY);
    for (size_t i = 0; i < json_array_size(phases); i++)
        append_cell(p, l, json_array_get(phases, i));
    hl_page_row_end(p);
}

static void append_phases(hl_page *p)
{
    const json_t *phases = json_object_get(p->result, "phases");
    if (!json_array_size(phases)) {
        hl_text_append(&p->html, "<p class=\"nothing\">No phase ran.</p>\n");
        return;
    }
    hl_page_table_begin(p, "The phases beside each other");
    hl_text_append(&p->html, "<th scope=\"col\">phase</th>");
    for (size_t i = 0; i < json_array_size(phases); i++) {
        hl_text_appendf(&p->html, "<th scope=\"col\"><a href=\"#phase-%zu\">", i + 1);
        hl_page_text(p, hl_page_string(json_array_get(phases, i), "name"));
        hl_text_append(&p->html, "</a></th>");
    }
    hl_page_table_body(p);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (lines[i].part)
            append_line(p, &lines[i], phases);
        else
            hl_text_appendf(&p->html,
                            "</tbody>\n<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\" "
                            "colspan=\"%zu\">%s</th></tr>\n",
                            json_array_size(phases) + 1, lines[i].name);
    }
    hl_page_table_end(p);
}

void hl_page_summary(hl_page *p)
{
    hl_text_append(&p->html, "<header>\n");
    append_headline(p);
    append_run(p);
    hl_text_append(&p->html,
                   "</header>\n<main>\n<section class=\"summary\" aria-label=\"Summary\">\n<div>\n");
    append_verdict(p);
    hl_page_ranges(p);
    hl_text_append(&p->html, "</div>\n");
    append_phases(p);
    hl_text_append(&p->html, "</section>\n");
}
