/* hl plan --budget: the largest batches whose plans fit, found by bisection; nothing is run. */
#include "app/plan/planned.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "deploy/model.h"
#include "run/params.h"
#include "run/plan.h"

#include <stdio.h>
#include <string.h>

enum { INFERENCE, TRAINING, RECOMPUTING, USES };

static const char *const use_names[USES] = {"inference", "training", "training, recomputing"};

/* What fits of each use in one precision; batch 0: not even one sample does. */
typedef struct column {
    hl_precision precision;
    const char *name; /* of the precision */
    hl_planned fits[USES];
} column;

typedef struct answer {
    size_t budget, initial; /* initial: the parameters alone */
    column columns[HL_PRECISIONS];
    int n, uses; /* of columns, of USES */
} answer;

/* ------------------------------------------------------------------ the search */

static hl_status plan_one(const hl_plan_of *of, int use, int64_t batch, hl_planned *p, hl_error *err)
{
    if (use == INFERENCE)
        return hl_plan_inference(of, batch, false, p, err);
    hl_trainer_options o = hl_setup_trainer(of->cfg);
    o.batch = batch;
    snprintf(o.recompute, sizeof o.recompute, "%s", use == RECOMPUTING ? "*" : "");
    o.budget = 0;
    return hl_plan_training(&o, false, p, err);
}

/* What a mapped file has counts: a step reads it, and it must be in memory for that. */
static size_t bytes_of(const hl_planned *p)
{
    return p->memory.total + p->memory.by_kind[HL_MEM_MAPPED];
}

/* The next batch to try. */
static int64_t next_after(int64_t batch, bool fine)
{
    return fine ? batch + batch / 8 + 1 : batch ? 2 * batch : 1;
}

/* Between what fits and what is too much. */
static hl_status bisect(const hl_plan_of *of, int use, size_t budget, int64_t too_much, hl_planned *fits,
                        hl_error *err)
{
    hl_status status = HL_OK;
    while (too_much - fits->batch > 1 && status == HL_OK) {
        hl_planned p;
        status = plan_one(of, use, (fits->batch + too_much) / 2, &p, err);
        if (status == HL_OK && bytes_of(&p) <= budget)
            *fits = p;
        else
            too_much = (fits->batch + too_much) / 2;
    }
    return status;
}

/* Goes on from what is known to fit. In the end that does, and one sample more does not. Memory does not
 * quite grow with the batch, since kernels change at some sizes: where a doubled batch is too much, smaller
 * steps go on until half as much again is needed as there is. */
static hl_status find_largest(const hl_plan_of *of, int use, size_t budget, hl_planned *fits, hl_error *err)
{
    bool fine = false;
    int64_t too_much = HL_PLANNED_MOST + 1;
    for (int64_t batch = next_after(fits->batch, fine); batch <= HL_PLANNED_MOST;) {
        hl_planned p;
        hl_status status = plan_one(of, use, batch, &p, err);
        if (status != HL_OK)
            return status;
        bool enough = bytes_of(&p) <= budget;
        if (enough) {
            *fits = p;
            too_much = HL_PLANNED_MOST + 1;
        } else if (fine) {
            too_much = batch < too_much ? batch : too_much;
            if (bytes_of(&p) / 3 * 2 > budget)
                break;
        }
        batch = next_after(enough || fine ? batch : fits->batch, fine || !enough);
        fine = fine || !enough;
    }
    return bisect(of, use, budget, too_much, fits, err);
}

static hl_status fill_column(const hl_plan_of *of, size_t budget, int uses, column *c, hl_error *err)
{
    hl_status status = HL_OK;
    hl_config cfg = *of->cfg;
    const hl_plan_of in_precision = {&cfg, of->exported};
    cfg.precision = (int)c->precision;
    for (int use = 0; use < uses && status == HL_OK; use++) {
        if (use == RECOMPUTING)
            c->fits[use] = c->fits[TRAINING]; /* fits with nothing computed again */
        status = find_largest(&in_precision, use, budget, &c->fits[use], err);
    }
    return status;
}

static size_t exported_bytes(const hl_model *m)
{
    const hl_params *params = hl_model_params(m);
    size_t sum = 0;
    for (int i = 0; i < hl_params_count(params); i++)
        sum += (size_t)hl_params_at(params, i).count * hl_dtype_size(hl_params_mapped(params, i));
    return sum;
}

static hl_status parameter_bytes(const hl_plan_of *of, size_t *bytes, hl_error *err)
{
    if (of->exported) {
        *bytes = exported_bytes(of->exported);
        return HL_OK;
    }
    hl_model_options model = hl_config_model(of->cfg);
    hl_params *params = hl_params_new(0);
    hl_status status = params ? hl_setup_declare(&model, true, params, err)
                              : hl_fail(err, HL_ERR_MEMORY, "no memory for a list of parameters");
    *bytes = 0;
    for (int i = 0; status == HL_OK && i < hl_params_count(params); i++)
        *bytes += (size_t)hl_params_at(params, i).count * sizeof(float);
    hl_params_free(params);
    return status;
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static hl_status find_answer(const hl_plan_of *of, answer *a, hl_error *err)
{
    int ordinal;
    const hl_backend *backend = hl_backend_find(of->cfg->device, &ordinal, err);
    hl_status status = backend ? parameter_bytes(of, &a->initial, err) : err->status;
    if (status == HL_OK && a->budget < a->initial)
        status = hl_fail(err, HL_ERR_MEMORY,
                         "--budget: the parameters alone are %.1f MiB, more than the budget of %.1f MiB",
                         mib(a->initial), mib(a->budget));
    a->uses = of->exported ? 1 : USES;
    for (int p = 0; p < (of->exported ? 1 : HL_PRECISIONS) && status == HL_OK; p++) {
        if (p == HL_PRECISION_TF32 && !backend->device)
            continue;
        column *c = &a->columns[a->n++];
        c->precision = (hl_precision)p;
        c->name = of->exported ? hl_model_about(of->exported, "precision") : hl_precision_name(c->precision);
        status = fill_column(of, a->budget, a->uses, c, err);
    }
    return status;
}

static size_t peak_of(const answer *a, const column *c)
{
    size_t peak = a->initial;
    for (int use = 0; use < USES; use++)
        if (c->fits[use].batch && bytes_of(&c->fits[use]) > peak)
            peak = bytes_of(&c->fits[use]);
    return peak;
}

/* ------------------------------------------------------------------ as text */

static void print_batches(const answer *a, int use)
{
    printf("  %-22s", use_names[use]);
    for (int i = 0; i < a->n; i++) {
        char text[24] = "-";
        int64_t batch = a->columns[i].fits[use].batch;
        if (batch)
            snprintf(text, sizeof text, "%s%lld", batch == HL_PLANNED_MOST ? ">=" : "", (long long)batch);
        printf("  %10s", text);
    }
    printf("\n");
}

static void print_totals(const answer *a, int use)
{
    printf("  %-22s", use_names[use]);
    for (int i = 0; i < a->n; i++) {
        const hl_planned *p = &a->columns[i].fits[use];
        if (p->batch)
            printf("  %10.1f", mib(bytes_of(p)));
        else
            printf("  %10s", "-");
    }
    printf("\n");
}

static void print_text(const answer *a)
{
    char title[32];
    snprintf(title, sizeof title, "budget %.1f MiB", mib(a->budget));
    printf("%-24s", title);
    for (int i = 0; i < a->n; i++)
        printf("  %10s", a->columns[i].name);
    printf("\nlargest batch\n");
    for (int use = 0; use < a->uses; use++)
        print_batches(a, use);
    printf("MiB with it\n  %-22s", "initial");
    for (int i = 0; i < a->n; i++)
        printf("  %10.1f", mib(a->initial));
    printf("\n");
    for (int use = 0; use < a->uses; use++)
        print_totals(a, use);
    printf("  %-22s", "peak");
    for (int i = 0; i < a->n; i++)
        printf("  %10.1f", mib(peak_of(a, &a->columns[i])));
    printf("\n");
}

/* ------------------------------------------------------------------ as JSON */

static json_t *json_of(const hl_planned *p)
{
    if (!p->batch)
        return json_null();
    json_t *bytes = json_object();
    for (int k = 0; k < HL_MEM_KINDS; k++)
        json_object_set_new(bytes, hl_memory_kind_name((hl_memory_kind)k),
                            json_integer((json_int_t)p->memory.by_kind[k]));
    return json_pack("{s:I, s:I, s:o}", "batch", (json_int_t)p->batch, "total", (json_int_t)bytes_of(p),
                     "bytes", bytes);
}

static hl_status print_json(const answer *a, hl_error *err)
{
    json_t *precisions = json_object();
    for (int i = 0; i < a->n; i++) {
        const column *c = &a->columns[i];
        json_object_set_new(precisions, c->name,
                            json_pack("{s:o, s:o, s:o, s:I}", "inference", json_of(&c->fits[INFERENCE]),
                                      "training", json_of(&c->fits[TRAINING]), "training_recomputing",
                                      json_of(&c->fits[RECOMPUTING]), "peak", (json_int_t)peak_of(a, c)));
    }
    json_t *j = json_pack("{s:I, s:I, s:i, s:o}", "budget", (json_int_t)a->budget, "initial",
                          (json_int_t)a->initial, "most", HL_PLANNED_MOST, "precisions", precisions);
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

hl_status hl_plan_budget(const hl_plan_of *of, size_t budget, bool json, hl_error *err)
{
    answer a = {.budget = budget};
    hl_status status = find_answer(of, &a, err);
    if (status == HL_OK && json)
        status = print_json(&a, err);
    else if (status == HL_OK)
        print_text(&a);
    return status;
}
