#include "app/policy.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

struct hl_policy {
    hl_model_options model;
    hl_policy_options options;
    const hl_normalization *normalization;
    hl_session *session;
    float *sense[HL_MODEL_SENSES];
    float *history, *previous, *smoothing;
    const float *features, *action;
    int64_t width; /* of one history entry */
    bool *fresh;   /* [rows] at the start of an episode */
};

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

static hl_session *open_session(hl_policy *p, hl_params *params, hl_error *err)
{
    hl_graph *g = hl_policy_graph(params, &p->model, p->options.rows, p->options.smoothing > 0);
    const hl_session_options options = {
        .device = p->options.device, .frozen = p->options.frozen, .precision = p->options.precision};
    hl_session *s = hl_session_open(g, params, &options, err);
    hl_graph_free(g);
    return s;
}

hl_policy *hl_policy_new(hl_params *params, const hl_model_options *model,
                         const hl_normalization *normalization, hl_policy_options options, hl_error *err)
{
    hl_policy *p = hl_alloc(1, sizeof *p);
    if (!p) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for a policy");
        return NULL;
    }
    p->model = *model;
    p->options = options;
    p->normalization = normalization;
    p->width = hl_model_non_temporal(model);
    p->fresh = hl_alloc((size_t)options.rows, sizeof *p->fresh);
    p->session = p->fresh ? open_session(p, params, err) : NULL;
    if (!p->fresh)
        hl_fail(err, HL_ERR_MEMORY, "no memory for %lld rows", (long long)options.rows);
    if (!p->session) {
        hl_policy_free(p);
        return NULL;
    }
    for (int s = 0; s < HL_MODEL_SENSES; s++)
        p->sense[s] = hl_session_input(p->session, hl_model_sense(s));
    p->history = hl_session_input(p->session, "history");
    p->previous = hl_session_input(p->session, "previous");
    p->smoothing = hl_session_input(p->session, "smoothing");
    p->features = hl_session_output(p->session, "features");
    p->action = hl_session_output(p->session, "action");
    for (int64_t r = 0; r < options.rows; r++)
        hl_policy_reset(p, r);
    return p;
}

void hl_policy_free(hl_policy *p)
{
    if (!p)
        return;
    hl_session_free(p->session);
    hl_free(p->fresh);
    hl_free(p);
}

void hl_policy_reset(hl_policy *p, int64_t row)
{
    p->fresh[row] = true;
    if (p->smoothing)
        p->smoothing[row] = 0;
    if (p->previous)
        memset(p->previous + row * p->model.action, 0, (size_t)p->model.action * sizeof(float));
}

float *hl_policy_sense(hl_policy *p, int sense)
{
    return p->sense[sense];
}

hl_session *hl_policy_session(hl_policy *p)
{
    return p->session;
}

static hl_status take_senses(hl_policy *p, hl_error *err)
{
    for (int s = 0; s < HL_MODEL_SENSES; s++) {
        int64_t size = hl_model_sense_size(&p->model, s);
        for (int64_t r = 0; p->sense[s] && r < p->options.rows; r++) {
            float *x = p->sense[s] + r * size;
            for (int64_t i = 0; i < size; i++)
                if (!isfinite(x[i]))
                    return hl_fail(err, HL_ERR_DATA, "observation %lld: %s[%lld] is %g, it must be finite",
                                   (long long)r, hl_model_sense(s), (long long)i, (double)x[i]);
            hl_normalize(&p->normalization->sense[s], x);
        }
    }
    return HL_OK;
}

/* Rows that begin an episode get their first observation as their whole past: the features are
 * computed once to fill it. */
static hl_status begin_histories(hl_policy *p, hl_error *err)
{
    bool any = false;
    for (int64_t r = 0; r < p->options.rows; r++)
        any = any || p->fresh[r];
    if (!p->history || !any)
        return HL_OK;
    hl_status status = hl_session_run(p->session, err);
    for (int64_t r = 0; r < p->options.rows && status == HL_OK; r++)
        for (int64_t t = 0; p->fresh[r] && t < p->model.history; t++)
            memcpy(p->history + (r * p->model.history + t) * p->width, p->features + r * p->width,
                   (size_t)p->width * sizeof(float));
    return status;
}

static void push_history(hl_policy *p)
{
    size_t entry = (size_t)p->width * sizeof(float);
    for (int64_t r = 0; p->history && r < p->options.rows; r++) {
        float *past = p->history + r * p->model.history * p->width;
        memmove(past, past + p->width, (size_t)(p->model.history - 1) * entry);
        memcpy(past + (p->model.history - 1) * p->width, p->features + r * p->width, entry);
    }
}

hl_status hl_policy_act(hl_policy *p, float *action, hl_error *err)
{
    int64_t A = p->model.action;
    hl_status status = take_senses(p, err);
    if (status == HL_OK)
        status = begin_histories(p, err);
    if (status == HL_OK)
        status = hl_session_run(p->session, err);
    if (status != HL_OK)
        return status;
    push_history(p);
    for (int64_t r = 0; r < p->options.rows; r++) {
        p->fresh[r] = false;
        if (p->smoothing)
            p->smoothing[r] = p->options.smoothing;
        memcpy(action + r * A, p->action + r * A, (size_t)A * sizeof(float));
        hl_denormalize(&p->normalization->action, action + r * A);
    }
    if (p->previous)
        memcpy(p->previous, p->action, (size_t)(p->options.rows * A) * sizeof(float));
    return HL_OK;
}
