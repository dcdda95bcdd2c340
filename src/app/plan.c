/* hl plan: the memory a configuration needs, by arithmetic. */
#include "app/command.h"
#include "app/policy.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>

enum { MOST_ROWS = 65536 }; /* as train.batch */

typedef struct planned {
    const char *what;
    int64_t batch;
    hl_memory memory;
    char peak_op[48];
    char *calls; /* --calls */
} planned;

static hl_status take(planned *p, hl_graph *g, const hl_session_options *o, bool calls, hl_error *err)
{
    hl_plan *plan = hl_plan_new(g, o, err);
    if (!plan)
        return err->status;
    p->memory = hl_plan_memory(plan);
    snprintf(p->peak_op, sizeof p->peak_op, "%s", p->memory.peak_op ? p->memory.peak_op : "-");
    p->memory.peak_op = NULL; /* the plan's */
    size_t size = calls ? hl_plan_print(plan, NULL, 0) + 1 : 0;
    p->calls = size ? hl_alloc(size, 1) : NULL;
    if (p->calls)
        hl_plan_print(plan, p->calls, size);
    hl_plan_free(plan);
    return size && !p->calls ? hl_fail(err, HL_ERR_MEMORY, "no memory to list the calls") : HL_OK;
}

static hl_status plan_training(const hl_config *cfg, planned *p, bool calls, hl_error *err)
{
    hl_trainer_options o = hl_setup_trainer(cfg);
    o.batch = p->batch;
    hl_params *params = hl_params_new(cfg->seed);
    hl_graph *g = params ? hl_training_graph(params, &o) : NULL;
    hl_session_options session = hl_training_session(&o);
    hl_status status = take(p, g, &session, calls, err);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

static hl_status plan_inference(const hl_config *cfg, planned *p, bool calls, hl_error *err)
{
    hl_model_options model = hl_config_model(cfg);
    hl_params *params = hl_params_new(cfg->seed);
    hl_graph *g = params ? hl_policy_graph(params, &model, p->batch, cfg->model.head.smoothing > 0) : NULL;
    hl_status status = take(p, g,
                            &(hl_session_options){.device = cfg->device,
                                                  .frozen = true,
                                                  .precision = (hl_precision)cfg->precision},
                            calls, err);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_text(const planned *p, int n)
{
    printf("%-14s", "MiB");
    for (int i = 0; i < n; i++)
        printf("  %10s %-3lld", p[i].what, (long long)p[i].batch);
    printf("\n");
    for (int k = 0; k < HL_MEM_KINDS; k++) {
        printf("%-14s", hl_memory_kind_name((hl_memory_kind)k));
        for (int i = 0; i < n; i++)
            printf("  %14.1f", mib(p[i].memory.by_kind[k]));
        printf("\n");
    }
    printf("%-14s", "total");
    for (int i = 0; i < n; i++)
        printf("  %14.1f", mib(p[i].memory.total));
    printf("\n");
    for (int i = 0; i < n; i++)
        printf("\n%s, batch %lld: fullest at call %d (%s); arena %.1f MiB, no placement needs less than %.1f "
               "MiB\n",
               p[i].what, (long long)p[i].batch, p[i].memory.peak_step, p[i].peak_op, mib(p[i].memory.arena),
               mib(p[i].memory.lower_bound));
    for (int i = 0; i < n; i++)
        if (p[i].calls)
            printf("\n%s, batch %lld\n%s", p[i].what, (long long)p[i].batch, p[i].calls);
}

static hl_status print_json(const planned *p, int n, hl_error *err)
{
    json_t *j = json_object();
    for (int i = 0; i < n; i++) {
        const hl_memory *m = &p[i].memory;
        json_t *by_kind = json_object();
        for (int k = 0; k < HL_MEM_KINDS; k++)
            json_object_set_new(by_kind, hl_memory_kind_name((hl_memory_kind)k),
                                json_integer((json_int_t)m->by_kind[k]));
        json_object_set_new(j, p[i].what,
                            json_pack("{s:I, s:o, s:I, s:I, s:I, s:i, s:s}", "batch", (json_int_t)p[i].batch,
                                      "bytes", by_kind, "total", (json_int_t)m->total, "arena",
                                      (json_int_t)m->arena, "lower_bound", (json_int_t)m->lower_bound,
                                      "peak_call", m->peak_step, "peak_op", p[i].peak_op));
    }
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

static hl_status plan(const hl_config *cfg, int64_t batch, bool json, bool calls, hl_error *err)
{
    planned p[2] = {{.what = "inference", .batch = batch > 0 ? batch : 1},
                    {.what = "training", .batch = batch > 0 ? batch : cfg->train.batch}};
    hl_setup_threads(cfg);
    hl_status status = plan_inference(cfg, &p[0], calls, err);
    if (status == HL_OK)
        status = plan_training(cfg, &p[1], calls, err);
    if (status == HL_OK && json)
        status = print_json(p, 2, err);
    else if (status == HL_OK)
        print_text(p, 2);
    hl_free(p[0].calls);
    hl_free(p[1].calls);
    return status;
}

int hl_command_plan(int argc, char **argv)
{
    int64_t batch = -1;
    bool json = false, calls = false;
    const hl_flag flags[] = {
        {"batch", HL_FLAG_INT, &batch, "N",
         "batch of both (default: 1 for inference, train.batch for training)"},
        {"calls", HL_FLAG_BOOL, &calls, NULL, "list the kernel calls"},
        {"json", HL_FLAG_BOOL, &json, NULL, "print JSON (bytes)"},
        {0},
    };
    const hl_usage usage = {
        "hl plan CONFIG [key=value ...] [--batch N] [--calls] [--json]",
        "Tells the memory that inference and a training step need, by category, before anything\n"
        "is allocated: bytes that are alive at the fullest moment.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    if (batch == 0 || batch > MOST_ROWS) {
        fprintf(stderr, "hl: --batch: %lld is not in 1..%d\n", (long long)batch, MOST_ROWS);
        return HL_EXIT_USAGE;
    }
    hl_config cfg;
    hl_status status = hl_config_load(&cfg, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK)
        status = plan(&cfg, batch, json, calls, &err);
    hl_config_free(&cfg);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
