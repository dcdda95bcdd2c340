#include "app/export/parity_report.h"

#include <math.h>
#include <stdio.h>

bool hl_parity_near(const hl_export_told *t)
{
    return t->most_error <= 0 || t->parity->action.largest <= t->most_error;
}

/* ------------------------------------------------------------------ for people */

static void print_pair(const char *what, double before, double after, const char *unit)
{
    if (after > 0)
        printf("  %-20s %10.2f %-4s %10.2f %-4s  (%.2fx)\n", what, before, unit, after, unit, after / before);
    else
        printf("  %-20s %10.2f %-4s %10s\n", what, before, unit, "-");
}

static double rate(const hl_success *s)
{
    return (double)s->reached / (double)s->episodes;
}

static void print_layers(const hl_layers *layers)
{
    int kept = 0;
    int64_t weights = 0, all = 0;
    for (int i = 0; i < layers->n; i++) {
        kept += layers->at[i].kept;
        weights += layers->at[i].kept ? 0 : layers->at[i].weights;
        all += layers->at[i].weights;
    }
    printf("  layers in integers   %d of %d, with %.1f%% of their weights\n", layers->n - kept, layers->n,
           100 * (double)weights / (double)(all ? all : 1));
    for (int i = 0; i < layers->n; i++)
        if (layers->at[i].kept)
            printf("  stays in floats      %s (%.2g%% off in integers)\n", layers->at[i].name,
                   100 * layers->at[i].error);
}

static void print_distances(const hl_parity *p)
{
    printf("  action               largest error %.3g, mean %.3g; cosine %.6f (least %.6f)\n",
           p->action.largest, p->action.mean, p->action.cosine, p->action.cosine_least);
    printf("  compressed vector    largest error %.3g, %.3g%% of its length\n", p->compressed.largest,
           100 * p->compressed.relative);
    printf("                       over %lld validation samples\n", (long long)p->samples);
}

void hl_parity_print(const hl_export_told *t)
{
    const hl_parity *p = t->parity;
    printf("%s (%s) against %s\n", t->to, t->precision, t->from);
    if (p->samples)
        print_distances(p);
    if (t->layers)
        print_layers(t->layers);
    printf("  %-20s %15s %15s\n", "", "before", "after");
    print_pair("file", (double)p->before.file_bytes / (1 << 20), (double)p->after.file_bytes / (1 << 20),
               "MiB");
    print_pair("parameters", (double)p->before.parameters / 1e6, (double)p->after.parameters / 1e6, "M");
    print_pair("time to open", 1e3 * p->before.opening, 1e3 * p->after.opening, "ms");
    for (int i = 0; i < HL_PARITY_BATCHES; i++) {
        char what[32];
        snprintf(what, sizeof what, "latency, batch %lld", (long long)hl_parity_batches[i]);
        print_pair(what, 1e3 * p->before.latency[i], 1e3 * p->after.latency[i], "ms");
    }
    for (int i = 0; i < HL_PARITY_BATCHES; i++) {
        char what[32];
        snprintf(what, sizeof what, "memory, batch %lld", (long long)hl_parity_batches[i]);
        print_pair(what, (double)p->before.memory[i] / (1 << 20), (double)p->after.memory[i] / (1 << 20),
                   "MiB");
    }
    if (p->closed_loop)
        printf("  %-20s %10.1f %%    %10.1f %%     of %lld unseen episodes\n", "success (reach)",
               100 * rate(&p->before.success), 100 * rate(&p->after.success),
               (long long)p->after.success.episodes);
    if (!hl_parity_near(t))
        printf("  FAIL                 an action is %.3g off, --max-error allows %.3g\n", p->action.largest,
               t->most_error);
}

/* ------------------------------------------------------------------ JSON */

static json_t *distance_json(const hl_distance *d)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "max_error", hl_json_number(d->largest), "mean_error",
                     hl_json_number(d->mean), "relative_error", hl_json_number(d->relative), "cosine",
                     hl_json_number(d->cosine), "least_cosine", hl_json_number(d->cosine_least));
}

static json_t *side_json(const hl_parity_side *s, bool closed_loop)
{
    json_t *latency = json_object(), *memory = json_object();
    for (int i = 0; i < HL_PARITY_BATCHES; i++) {
        char batch[24];
        snprintf(batch, sizeof batch, "%lld", (long long)hl_parity_batches[i]);
        json_object_set_new(latency, batch, hl_json_number(1e3 * s->latency[i]));
        json_object_set_new(memory, batch, json_integer((json_int_t)s->memory[i]));
    }
    json_t *bytes = s->file_bytes ? json_integer((json_int_t)s->file_bytes) : json_null();
    json_t *j = json_pack("{s:o, s:I, s:o, s:o, s:o}", "file_bytes", bytes, "parameters",
                          (json_int_t)s->parameters, "opening_ms", hl_json_number(1e3 * s->opening),
                          "latency_ms_by_batch", latency, "memory_bytes_by_batch", memory);
    if (j && closed_loop)
        json_object_set_new(j, "success",
                            json_pack("{s:f, s:I, s:I, s:[f,f]}", "rate", rate(&s->success), "episodes",
                                      (json_int_t)s->success.episodes, "successes",
                                      (json_int_t)s->success.reached, "interval_95", s->success.low,
                                      s->success.high));
    return j;
}

static json_t *layers_json(const hl_layers *layers)
{
    json_t *list = json_array();
    for (int i = 0; i < layers->n; i++) {
        const hl_layer *l = &layers->at[i];
        json_array_append_new(list, json_pack("{s:s, s:I, s:b, s:o, s:o}", "weight", l->name, "weights",
                                              (json_int_t)l->weights, "integers", !l->kept, "relative_error",
                                              hl_json_number(l->error), "operand_scale",
                                              l->scale > 0 ? hl_json_number((double)l->scale) : json_null()));
    }
    return list;
}

json_t *hl_parity_json(const hl_export_told *t)
{
    const hl_parity *p = t->parity;
    json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "from", t->from, "to", t->to, "precision",
                          t->precision, "samples", (json_int_t)p->samples, "before",
                          side_json(&p->before, p->closed_loop), "after",
                          side_json(&p->after, p->closed_loop));
    if (j && p->samples) {
        json_object_set_new(j, "action", distance_json(&p->action));
        json_object_set_new(j, "compressed", distance_json(&p->compressed));
    }
    if (j && t->layers) {
        json_object_set_new(j, "calibration", json_string(t->range ? t->range : "each row"));
        json_object_set_new(j, "layers", layers_json(t->layers));
    }
    if (j && t->most_error > 0)
        json_object_set_new(j, "max_error_allowed", hl_json_number(t->most_error));
    if (j)
        json_object_set_new(j, "pass", p->samples ? json_boolean(hl_parity_near(t)) : json_null());
    if (j && !p->samples)
        json_object_set_new(j, "pass_absent", json_string("no actions were compared: --samples 0"));
    return j;
}
