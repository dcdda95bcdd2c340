#include "app/policy.h"

#include "deploy/policy.h"

#include <string.h>

hl_graph *hl_policy_graph(hl_params *params, const hl_model_options *model, int64_t rows, bool smoothing)
{
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = rows, .smoothing = smoothing};
    hl_model_nodes m = hl_model_build(g, params, model, &mode);
    hl_output(g, "action", m.action);
    hl_output(g, "compressed", m.compressed);
    if (model->history)
        hl_output(g, "features", m.features);
    return g;
}

static void normalize(const void *context, const char *sense, float *row)
{
    const hl_normalization *n = context;
    for (int s = 0; s < HL_SENSES; s++)
        if (!strcmp(sense, hl_sense_name((hl_sense)s)))
            hl_normalize(&n->sense[s], row);
}

static void denormalize(const void *context, float *row)
{
    const hl_normalization *n = context;
    hl_denormalize(&n->action, row);
}

hl_policy *hl_trained_policy(hl_params *params, const hl_model_options *model,
                             const hl_normalization *normalization, const hl_policy_options *options,
                             bool frozen, hl_error *err)
{
    const hl_policy_units units = {normalize, denormalize, normalization};
    const hl_session_options how = {
        .device = options->device, .frozen = frozen, .precision = options->precision};
    hl_graph *g = hl_policy_graph(params, model, options->rows, options->smoothing > 0);
    hl_session *s = hl_session_open(g, params, &how, err);
    hl_graph_free(g);
    return s ? hl_policy_over(s, options->smoothing, &units, err) : NULL;
}
