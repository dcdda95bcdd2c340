#include "app/export/stages.h"

#include "base/error.h"
#include "base/memory.h"
#include "deploy/policy.h"
#include "export/acting.h"
#include "export/fold.h"
#include "ops/ops.h"

static const int64_t batches[2] = {2, 3};
enum { ROWS = 16 }; /* of a batch in which layers are looked at */

static hl_stage *stage_new(const hl_stage_options *o, hl_stage *before, hl_error *err)
{
    hl_stage *s = hl_alloc(1, sizeof *s);
    hl_params *params = hl_params_new(0);
    if (s && params) {
        *s = (hl_stage){.options = *o, .params = params, .before = before};
        return s;
    }
    hl_fail(err, HL_ERR_MEMORY, "no memory to export a model");
    hl_free(s);
    hl_params_free(params);
    hl_stage_free(before);
    return NULL;
}

void hl_stage_free(hl_stage *s)
{
    while (s) {
        hl_stage *before = s->before;
        hl_graph_free(s->graph[0]);
        hl_graph_free(s->graph[1]);
        hl_params_free(s->params); /* before the store whose values it maps */
        hl_free(s);
        s = before;
    }
}

/* ------------------------------------------------------------------ acting, folded */

static hl_statistics statistics(const hl_normalizer *n)
{
    return (hl_statistics){n->count, n->offset, n->scale};
}

static hl_graph *fold_at(const hl_trained *t, const hl_stage_options *o, int64_t batch, hl_params *to,
                         hl_error *err)
{
    hl_acting_options acting = {
        .model = t->model, .action = statistics(&t->normalization.action), .decoder = o->decoder};
    for (int s = 0; s < HL_SENSES; s++)
        acting.sense[s] = statistics(&t->normalization.sense[s]);
    hl_graph *g = hl_acting_graph(t->params, &acting, batch, err);
    hl_graph *folded =
        g ? hl_fold(g, t->params, to, &(hl_fold_options){.pool_before_convolution = o->pooled}, err) : NULL;
    hl_graph_free(g);
    return folded;
}

hl_stage *hl_stage_fold(const hl_trained *t, const hl_stage_options *o, hl_error *err)
{
    hl_stage *s = stage_new(o, NULL, err);
    for (int i = 0; s && i < 2; i++)
        if (!(s->graph[i] = fold_at(t, o, batches[i], s->params, err))) {
            hl_stage_free(s);
            return NULL;
        }
    return s;
}

int64_t hl_stage_parameters(const hl_stage *s)
{
    const hl_graph *g = s->graph[0];
    int64_t sum = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == &hl_op_param)
            sum += hl_info(g, hl_node_output(g->nodes[i], 0))->count;
    return sum;
}

/* ------------------------------------------------------------------ in integers */

/* Lets a probe of the layers act on recorded observations. */
static hl_status look(const hl_stage *folded, const hl_graph *at_rows, const hl_trained *t, hl_windows *w,
                      int64_t samples, const hl_layers *layers, hl_calibration **seen, hl_policy **acting,
                      hl_params *params, hl_error *err)
{
    float *action = hl_alloc((size_t)(ROWS * t->model.action), sizeof *action);
    hl_graph *probe = hl_quantize_probe(at_rows, folded->params, params, layers, err);
    hl_session *session = probe ? hl_session_open(probe, params, NULL, err) : NULL;
    hl_graph_free(probe);
    *acting = session ? hl_policy_over(session, 0, NULL, err) : NULL;
    *seen = *acting ? hl_calibration_new(session, layers, err) : NULL;
    hl_status status = *seen ? HL_OK : err->status;
    if (!action)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %d actions", ROWS);
    for (int64_t at = 0; at < samples && status == HL_OK; at += ROWS) {
        status = hl_windows_read(w, at, err);
        if (status == HL_OK)
            status = hl_windows_act(w, *acting, action, err);
        if (status == HL_OK)
            status = hl_calibration_take(*seen, err);
    }
    hl_free(action);
    return status;
}

typedef enum purpose { SET_SCALES, SET_ERRORS } purpose;

static hl_status observe(const hl_stage *folded, const hl_graph *at_rows, const hl_trained *t, hl_windows *w,
                         const hl_stage_quantizing *o, purpose sets, hl_layers *layers, hl_error *err)
{
    hl_calibration *seen = NULL;
    hl_policy *acting = NULL;
    hl_params *params = hl_params_new(0);
    hl_status status = params ? look(folded, at_rows, t, w, o->samples, layers, &seen, &acting, params, err)
                              : hl_fail(err, HL_ERR_MEMORY, "no memory to quantize a model");
    if (status == HL_OK && sets == SET_SCALES)
        hl_calibration_set_scales(seen, layers, o->range);
    else if (status == HL_OK)
        hl_calibration_keep(seen, layers, o->most_error);
    hl_calibration_free(seen);
    hl_policy_free(acting);
    hl_params_free(params);
    return status;
}

/* Scales of operands, if they are calibrated, and then what each layer loses with them. */
static hl_status look_at_layers(const hl_stage *folded, const hl_trained *t, const hl_stage_quantizing *o,
                                hl_layers *layers, hl_error *err)
{
    hl_graph *at_rows = fold_at(t, &folded->options, ROWS, folded->params, err);
    hl_windows *w = at_rows ? hl_windows_open(o->data ? o->data : &t->config, HL_TRAIN, o->samples, ROWS, err)
                            : NULL;
    hl_status status = w ? HL_OK : err->status;
    if (status == HL_OK && o->data)
        status = observe(folded, at_rows, t, w, o, SET_SCALES, layers, err);
    if (status == HL_OK)
        status = observe(folded, at_rows, t, w, o, SET_ERRORS, layers, err);
    hl_windows_close(w);
    hl_graph_free(at_rows);
    return status;
}

hl_stage *hl_stage_quantize(hl_stage *folded, const hl_trained *t, const hl_stage_quantizing *o,
                            hl_layers *layers, hl_error *err)
{
    *layers = (hl_layers){0};
    hl_stage *s = stage_new(&folded->options, folded, err);
    hl_status status = s ? hl_layers_of(folded->graph[0], layers, err) : err->status;
    if (status == HL_OK)
        status = look_at_layers(folded, t, o, layers, err);
    for (int i = 0; i < 2 && status == HL_OK; i++) {
        s->graph[i] = hl_quantize_layers(folded->graph[i], folded->params, s->params, layers, err);
        status = s->graph[i] ? HL_OK : err->status;
    }
    if (status == HL_OK)
        return s;
    hl_stage_free(s);
    return NULL;
}
