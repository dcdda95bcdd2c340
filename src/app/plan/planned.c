#include "app/plan/planned.h"

#include "app/policy.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/memory_viz.h"

#include <stdio.h>

/* plan: NULL after an error. */
static hl_status take(hl_planned *p, hl_plan *plan, bool calls, hl_error *err)
{
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

hl_status hl_plan_training(const hl_trainer_options *o, bool calls, hl_planned *p, hl_error *err)
{
    *p = (hl_planned){.batch = o->batch};
    hl_session_options session = hl_training_session(o);
    hl_params *params = hl_params_new(0);
    hl_graph *g = params ? hl_training_graph(params, o) : NULL;
    hl_status status = take(p, hl_plan_new(g, &session, err), calls, err);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

hl_status hl_plan_picture(const hl_trainer_options *o, const char *path, hl_error *err)
{
    hl_session_options session = hl_training_session(o);
    hl_params *params = hl_params_new(0);
    hl_graph *g = params ? hl_training_graph(params, o) : NULL;
    hl_plan *plan = hl_plan_new(g, &session, err);
    hl_memory_map *map = plan ? hl_memory_map_new(plan, err) : NULL;
    hl_status status = map ? hl_memory_viz_save(path, map, err) : err->status;
    hl_memory_map_free(map);
    hl_plan_free(plan);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

static hl_status plan_configured(const hl_config *cfg, bool calls, hl_planned *p, hl_error *err)
{
    hl_session_options session = {
        .device = cfg->device, .frozen = true, .precision = (hl_precision)cfg->precision};
    hl_model_options model = hl_config_model(cfg);
    hl_params *params = hl_params_new(0);
    hl_graph *g = params ? hl_policy_graph(params, &model, p->batch, cfg->model.head.smoothing > 0) : NULL;
    hl_status status = take(p, hl_plan_new(g, &session, err), calls, err);
    hl_graph_free(g);
    hl_params_free(params);
    return status;
}

hl_status hl_plan_inference(const hl_loaded *l, int64_t batch, bool calls, hl_planned *p, hl_error *err)
{
    const hl_config *cfg = &l->trained.config;
    *p = (hl_planned){.batch = batch};
    if (!l->exported)
        return plan_configured(cfg, calls, p, err);
    return take(p, hl_model_plan(l->exported, batch, &(hl_session_options){.device = cfg->device}, err),
                calls, err);
}
