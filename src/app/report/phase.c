/* A phase: what it did, its inference, its training, its memory, the machine. */
#include "app/report/page.h"

#include <math.h>

static void append_rate(hl_page *p, const json_t *inference)
{
    const json_t *held = json_object_get(inference, "rate_held");
    double rate = hl_page_number(inference, "rate_hz");
    hl_page_fact(p, "pace");
    if (isnan(rate)) {
        hl_text_append(&p->html, "as fast as it can<small>achieved ");
    } else {
        hl_page_quantity(p, rate, HL_UNIT_HZ, "");
        if (json_is_false(held))
            hl_text_append(&p->html, " <span class=\"fail\">\u2717 not held</span>");
        hl_text_append(&p->html, "<small>achieved ");
    }
    hl_page_value(p, inference, "achieved_hz", HL_UNIT_HZ);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
}

static void append_deadline(hl_page *p, const json_t *inference)
{
    double deadline = hl_page_number(inference, "deadline_ms");
    if (isnan(deadline))
        return;
    hl_page_fact(p, "deadline");
    hl_page_quantity(p, deadline, HL_UNIT_MS, "");
    hl_text_append(&p->html, "<small>missed ");
    hl_page_value(p, inference, "missed", HL_UNIT_COUNT);
    hl_text_append(&p->html, " times, ");
    hl_page_value(p, inference, "miss_rate", HL_UNIT_FRACTION);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
}

/* What both kinds of run begin with. */
static void append_work(hl_page *p, const json_t *run, const char *count, const char *counted)
{
    hl_page_fact_value(p, "samples", run, "samples_per_s", HL_UNIT_PER_SECOND);
    hl_page_fact_value(p, "batch", run, "batch", HL_UNIT_COUNT);
    hl_page_fact_value(p, counted, run, count, HL_UNIT_COUNT);
    hl_page_fact_value(p, "threads", run, "threads", HL_UNIT_COUNT);
    if (*hl_page_string(run, "precision")) {
        hl_page_fact(p, "precision");
        hl_page_text(p, hl_page_string(run, "precision"));
        hl_page_fact_end(p);
    }
}

static void append_inference(hl_page *p, const json_t *run)
{
    hl_text_append(&p->html, "<h3>Inference</h3>\n<dl class=\"facts\">\n");
    append_work(p, run, "runs", "runs");
    append_rate(p, run);
    append_deadline(p, run);
    hl_text_append(&p->html, "</dl>\n<div class=\"cards\">\n");
    hl_page_times(p, run, false);
    hl_text_append(&p->html, "</div>\n");
}

static void append_training(hl_page *p, const json_t *run)
{
    hl_text_append(&p->html, "<h3>Training</h3>\n<dl class=\"facts\">\n");
    append_work(p, run, "iterations", "iterations");
    hl_page_fact(p, "loss");
    hl_page_value(p, run, "loss_start", HL_UNIT_NONE);
    hl_text_append(&p->html, " \u2192 ");
    hl_page_value(p, run, "loss_end", HL_UNIT_NONE);
    hl_page_fact_end(p);
    hl_page_fact_value(p, "gradient norm", run, "grad_norm", HL_UNIT_NONE);
    hl_page_fact_value(p, "steps skipped", run, "skipped", HL_UNIT_COUNT);
    hl_text_append(&p->html, "</dl>\n<div class=\"cards\">\n");
    hl_page_times(p, run, true);
    hl_text_append(&p->html, "</div>\n");
}

static void append_absent_part(hl_page *p, const json_t *phase, const char *key)
{
    hl_text_append(&p->html, "<p>");
    hl_page_absent(p, hl_page_reason(phase, key, ""));
    hl_text_append(&p->html, "</p>\n");
}

void hl_page_phase(hl_page *p, const json_t *phase, size_t index)
{
    const json_t *inference = json_object_get(phase, "inference"),
                 *training = json_object_get(phase, "training");
    const json_t *memory = json_object_get(phase, "memory"), *system = json_object_get(phase, "system");
    hl_text *t = &p->html;
    hl_text_appendf(t, "<section id=\"phase-%zu\">\n<h2>%zu. ", index + 1, index + 1);
    hl_page_text(p, hl_page_string(phase, "name"));
    hl_text_append(t, " <small>");
    hl_page_text(p, hl_page_string(phase, "kind"));
    hl_text_append(t, ", ");
    hl_page_value(p, phase, "seconds", HL_UNIT_SECONDS);
    hl_text_append(t, " after a warm-up of ");
    hl_page_value(p, phase, "warmup_seconds", HL_UNIT_SECONDS);
    hl_text_append(t, "</small></h2>\n");
    if (json_is_object(inference))
        append_inference(p, inference);
    if (json_is_object(training))
        append_training(p, training);
    hl_text_append(t, "<h3>Memory</h3>\n");
    if (json_is_object(memory))
        hl_page_memory(p, memory);
    else
        append_absent_part(p, phase, "memory");
    hl_text_append(t, "<h3>Machine</h3>\n");
    if (json_is_object(system))
        hl_page_system(p, system);
    else
        append_absent_part(p, phase, "system");
    hl_text_append(t, "</section>\n");
}
