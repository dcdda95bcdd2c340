#include "app/stress/limits.h"

#include <math.h>
#include <stdio.h>

static const char not_measured[] = "was not measured";

hl_figures hl_figures_none(void)
{
    return (hl_figures){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

/* fmax and fmin return the other operand where one is NAN. */
hl_figures hl_figures_worse(hl_figures a, hl_figures b)
{
    return (hl_figures){
        .p99_ms = fmax(a.p99_ms, b.p99_ms),
        .deadline_miss_rate = fmax(a.deadline_miss_rate, b.deadline_miss_rate),
        .samples_per_s = fmin(a.samples_per_s, b.samples_per_s),
        .training_samples_per_s = fmin(a.training_samples_per_s, b.training_samples_per_s),
        .rss_slope_bytes_per_minute = fmax(a.rss_slope_bytes_per_minute, b.rss_slope_bytes_per_minute),
        .peak_bytes = fmax(a.peak_bytes, b.peak_bytes),
        .skipped_steps = fmax(a.skipped_steps, b.skipped_steps),
    };
}

hl_verdict hl_judge(const hl_limits *l, const hl_figures *f)
{
    const hl_judged all[HL_LIMITS] = {
        {"p99_ms", false, false, l->p99_ms, f->p99_ms, false},
        {"deadline_miss_rate", false, false, l->deadline_miss_rate, f->deadline_miss_rate, false},
        {"min_samples_per_s", true, false, l->min_samples_per_s, f->samples_per_s, false},
        {"min_training_samples_per_s", true, false, l->min_training_samples_per_s, f->training_samples_per_s,
         false},
        {"rss_slope_bytes_per_minute", false, false, l->rss_slope_bytes_per_minute,
         f->rss_slope_bytes_per_minute, false},
        {"peak_bytes", false, true, l->peak_bytes ? (double)l->peak_bytes : INFINITY, f->peak_bytes, false},
        {"skipped_steps", false, true, l->skipped_steps, f->skipped_steps, false},
    };
    hl_verdict v = {.pass = true};
    for (int i = 0; i < HL_LIMITS; i++) {
        hl_judged j = all[i];
        if (j.at_least ? j.limit <= 0 : isinf(j.limit))
            continue;
        j.pass = isfinite(j.value) && (j.at_least ? j.value >= j.limit : j.value <= j.limit);
        v.pass = v.pass && j.pass;
        v.at[v.n++] = j;
    }
    return v;
}

const char *hl_verdict_name(int n, const hl_verdict *verdicts)
{
    int limits = 0;
    bool pass = true;
    for (int i = 0; i < n; i++) {
        limits += verdicts[i].n;
        pass = pass && verdicts[i].pass;
    }
    return !limits ? "no limits" : pass ? "pass" : "fail";
}

/* ------------------------------------------------------------------ JSON */

static json_t *number(const hl_judged *j, double value)
{
    bool whole = j->whole && fabs(value) < 9e15 && value == floor(value);
    return whole ? json_integer((json_int_t)value) : hl_json_number(value);
}

json_t *hl_verdict_json(const hl_verdict *verdict)
{
    json_t *list = json_array();
    for (int i = 0; i < verdict->n; i++) {
        const hl_judged *j = &verdict->at[i];
        json_t *line = json_pack("{s:s, s:o, s:o, s:b}", "key", j->key, "limit", number(j, j->limit), "value",
                                 number(j, j->value), "pass", j->pass);
        bool good = line && (isfinite(j->value) ||
                             json_object_set_new(line, "reason", json_string(not_measured)) == 0);
        if (!good)
            json_decref(line);
        if (!good || json_array_append_new(list, line) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
