/* hl plan --budget: the largest batches whose plans fit, found by bisection; nothing is run. */
#include "app/plan/planned.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "run/plan.h"

#include <stdio.h>
#include <string.h>

enum { INFERENCE, TRAINING, RECOMPUTING, USES };

static const char *const use_names[USES] = {"inference", "training", "training, recomputing"};
static const char *const use_keys[USES] = {"inference", "training", "training_recomputing"};

/* What fits of each use in one precision; batch 0: not even one sample does. */
typedef struct column {
    const char *precision;
    hl_planned fits[USES];
} column;

typedef struct answer {
    bool exported; /* the model is: it only acts, in one precision, and its parameters are the file's */
    int uses;
    size_t budget, initial, mapped; /* initial: the parameters alone; mapped: of an exported model */
    column columns[HL_PRECISIONS];
    int n;
} answer;

/* ------------------------------------------------------------------ the search */

static hl_status plan_one(const hl_loaded *l, int use, int64_t batch, hl_planned *p, hl_error *err)
{
    if (use == INFERENCE)
        return hl_plan_inference(l, batch, false, p, err);
    hl_trainer_options o = hl_setup_trainer(&l->trained.config);
    o.batch = batch;
    snprintf(o.recompute, sizeof o.recompute, "%s", use == RECOMPUTING ? "*" : "");
    o.budget = 0;
    return hl_plan_training(&o, false, p, err);
}

/* The next batch to try. */
static int64_t next_after(int64_t batch, bool fine)
{
    return fine ? batch + batch / 8 + 1 : batch ? 2 * batch : 1;
}

/* Between what fits and what is too much. */
static hl_status bisect(const hl_loaded *l, int use, size_t budget, int64_t too_much, hl_planned *fits,
                        hl_error *err)
{
    hl_status status = HL_OK;
    while (too_much - fits->batch > 1 && status == HL_OK) {
        hl_planned p;
        status = plan_one(l, use, (fits->batch + too_much) / 2, &p, err);
        if (status == HL_OK && p.memory.total <= budget)
            *fits = p;
        else
            too_much = (fits->batch + too_much) / 2;
    }
    return status;
}

/* Goes on from what is known to fit. In the end that does, and one sample more does not. Memory does not
 * quite grow with the batch, since kernels change at some sizes: where a doubled batch is too much, smaller
 * steps go on until half as much again is needed as there is. */
static hl_status find_largest(const hl_loaded *l, int use, size_t budget, hl_planned *fits, hl_error *err)
{
    bool fine = false;
    int64_t too_much = HL_PLANNED_MOST + 1;
    for (int64_t batch = next_after(fits->batch, fine); batch <= HL_PLANNED_MOST;) {
        hl_planned p;
        hl_status status = plan_one(l, use, batch, &p, err);
        if (status != HL_OK)
            return status;
        bool enough = p.memory.total <= budget;
        if (enough) {
            *fits = p;
            too_much = HL_PLANNED_MOST + 1;
        } else if (fine) {
            too_much = batch < too_much ? batch : too_much;
            if (p.memory.total / 3 * 2 > budget)
                break;
        }
        batch = next_after(enough || fine ? batch : fits->batch, fine || !enough);
        fine = fine || !enough;
    }
    return bisect(l, use, budget, too_much, fits, err);
}

static hl_status fill_column(const hl_loaded *l, int uses, size_t budget, column *c, hl_error *err)
{
    hl_status status = HL_OK;
    for (int use = 0; use < uses && status == HL_OK; use++) {
        if (use == RECOMPUTING)
            c->fits[use] = c->fits[TRAINING]; /* fits with nothing computed again */
        status = find_largest(l, use, budget, &c->fits[use], err);
    }
    return status;
}

static hl_status parameter_bytes(const hl_config *cfg, size_t *bytes, hl_error *err)
{
    hl_model_options model = hl_config_model(cfg);
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

static hl_status find_exported(const hl_loaded *l, answer *a, hl_error *err)
{
    hl_planned one;
    hl_status status = hl_plan_inference(l, 1, false, &one, err);
    if (status != HL_OK)
        return status;
    a->mapped = one.memory.by_kind[HL_MEM_MAPPED]; /* at any batch */
    a->uses = TRAINING;
    a->columns[a->n].precision = hl_model_about(l->exported, "precision");
    return fill_column(l, a->uses, a->budget, &a->columns[a->n++], err);
}

static hl_status find_configured(const hl_loaded *l, answer *a, hl_error *err)
{
    int ordinal;
    const hl_config *cfg = &l->trained.config;
    const hl_backend *backend = hl_backend_find(cfg->device, &ordinal, err);
    a->uses = USES;
    hl_status status = backend ? parameter_bytes(cfg, &a->initial, err) : err->status;
    if (status == HL_OK && a->budget < a->initial)
        status = hl_fail(err, HL_ERR_MEMORY,
                         "--budget: the parameters alone are %.1f MiB, more than the budget of %.1f MiB",
                         mib(a->initial), mib(a->budget));
    for (int p = 0; p < HL_PRECISIONS && status == HL_OK; p++) {
        if (p == HL_PRECISION_TF32 && !backend->device)
            continue;
        hl_loaded in_it = *l;
        in_it.trained.config.precision = p;
        a->columns[a->n].precision = hl_precision_name((hl_precision)p);
        status = fill_column(&in_it, a->uses, a->budget, &a->columns[a->n++], err);
    }
    return status;
}

static size_t initial_of(const answer *a, const column *c)
{
    (void)c;
    return a->initial;
}

static size_t mapped_of(const answer *a, const column *c)
{
    (void)c;
    return a->mapped;
}

static size_t peak_of(const answer *a, const column *c)
{
    size_t peak = a->initial;
    for (int use = 0; use < a->uses; use++)
        if (c->fits[use].batch && c->fits[use].memory.total > peak)
            peak = c->fits[use].memory.total;
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
            printf("  %10.1f", mib(p->memory.total));
        else
            printf("  %10s", "-");
    }
    printf("\n");
}

static void print_mib(const answer *a, const char *name, size_t (*of)(const answer *a, const column *c))
{
    printf("  %-22s", name);
    for (int i = 0; i < a->n; i++)
        printf("  %10.1f", mib(of(a, &a->columns[i])));
    printf("\n");
}

static void print_text(const answer *a)
{
    char title[32];
    snprintf(title, sizeof title, "budget %.1f MiB", mib(a->budget));
    printf("%-24s", title);
    for (int i = 0; i < a->n; i++)
        printf("  %10s", a->columns[i].precision);
    printf("\nlargest batch\n");
    for (int use = 0; use < a->uses; use++)
        print_batches(a, use);
    printf("MiB with it\n");
    if (!a->exported)
        print_mib(a, "initial", initial_of);
    for (int use = 0; use < a->uses; use++)
        print_totals(a, use);
    if (a->exported)
        print_mib(a, "mapped, beside it", mapped_of);
    else
        print_mib(a, "peak", peak_of);
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
    return json_pack("{s:I, s:I, s:o}", "batch", (json_int_t)p->batch, "total", (json_int_t)p->memory.total,
                     "bytes", bytes);
}

static hl_status print_json(const answer *a, hl_error *err)
{
    json_t *precisions = json_object();
    for (int i = 0; i < a->n; i++) {
        const column *c = &a->columns[i];
        json_t *fits = json_object();
        for (int use = 0; use < a->uses; use++)
            json_object_set_new(fits, use_keys[use], json_of(&c->fits[use]));
        if (!a->exported)
            json_object_set_new(fits, "peak", json_integer((json_int_t)peak_of(a, c)));
        json_object_set_new(precisions, c->precision, fits);
    }
    json_t *j = json_pack("{s:I, s:i, s:o}", "budget", (json_int_t)a->budget, "most", HL_PLANNED_MOST,
                          "precisions", precisions);
    json_object_set_new(j, a->exported ? "mapped" : "initial",
                        json_integer((json_int_t)(a->exported ? a->mapped : a->initial)));
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

hl_status hl_plan_budget(const hl_loaded *l, size_t budget, bool json, hl_error *err)
{
    answer a = {.exported = l->exported != NULL, .budget = budget};
    hl_status status = a.exported ? find_exported(l, &a, err) : find_configured(l, &a, err);
    if (status == HL_OK && json)
        status = print_json(&a, err);
    else if (status == HL_OK)
        print_text(&a);
    return status;
}
