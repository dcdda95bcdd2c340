#include "export/acting.h"

#include "base/error.h"
#include "run/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One array of statistics: how many numbers say it, and which. */
typedef struct reduced {
    hl_statistic kind;
    int64_t stride, count; /* number i is at i * stride */
} reduced;

static bool runs_of_equals(const float *x, int64_t count, int64_t run)
{
    for (int64_t i = 0; i < count; i++)
        if (x[i] != x[i - i % run])
            return false;
    return true;
}

/* channel: elements of one channel; 1: there are none. neutral: what changes nothing. */
static reduced reduce(const float *x, int64_t count, int64_t channel, float neutral)
{
    if (!count)
        return (reduced){HL_NO_STATISTIC, 1, 0};
    if (runs_of_equals(x, count, count))
        return x[0] == neutral ? (reduced){HL_NO_STATISTIC, 1, 0} : (reduced){HL_ONE_FOR_ALL, 1, 1};
    if (channel > 1 && runs_of_equals(x, count, channel))
        return (reduced){HL_PER_CHANNEL, channel, count / channel};
    return (reduced){HL_PER_ELEMENT, 1, count};
}

/* What is there already stays, so that a graph of another batch may be built while others read it. */
static hl_status store(hl_params *params, const char *of, const char *what, const float *x, reduced r,
                       hl_error *err)
{
    char name[64];
    if (r.kind == HL_NO_STATISTIC)
        return HL_OK;
    snprintf(name, sizeof name, "normalization.%s.%s", of, what);
    int index = hl_params_find(params, name);
    HL_ASSERT(index >= 0);
    hl_param_info info = hl_params_at(params, index);
    bool same = info.data != NULL;
    for (int64_t i = 0; same && i < r.count; i++)
        same = info.data[i] == x[i * r.stride];
    if (same)
        return HL_OK;
    hl_status status = hl_params_allocate(params, index, err);
    if (status != HL_OK)
        return status;
    info = hl_params_at(params, index);
    for (int64_t i = 0; i < r.count; i++)
        info.data[i] = x[i * r.stride];
    return HL_OK;
}

hl_status hl_statistics_check(const hl_statistics *s, const char *of, hl_error *err)
{
    for (int64_t i = 0; i < s->count; i++)
        if (!isfinite(s->offset[i]) || !isfinite(s->scale[i]) || s->scale[i] == 0)
            return hl_fail(
                err, HL_ERR_DATA,
                "normalization of %s: element %lld has offset %g and scale %g; both must be finite "
                "and the scale other than 0",
                of, (long long)i, (double)s->offset[i], (double)s->scale[i]);
    return HL_OK;
}

static hl_status check(const hl_statistics *s, const char *of, int64_t want, hl_error *err)
{
    if (s->count && s->count != want)
        return hl_fail(err, HL_ERR_SHAPE, "normalization of %s: %lld elements, the model has %lld", of,
                       (long long)s->count, (long long)want);
    return hl_statistics_check(s, of, err);
}

typedef struct both {
    reduced offset, scale;
} both;

static both reduce_both(const hl_statistics *s, int64_t channel)
{
    return (both){reduce(s->offset, s->count, channel, 0), reduce(s->scale, s->count, channel, 1)};
}

static hl_status store_both(hl_params *params, const char *of, const hl_statistics *s, both b, hl_error *err)
{
    hl_status status = store(params, of, "offset", s->offset, b.offset, err);
    return status == HL_OK ? store(params, of, "scale", s->scale, b.scale, err) : status;
}

/* All that a graph reads besides the checkpoint's entries: the senses', then the action's. */
typedef struct table {
    both at[HL_MODEL_SENSES + 1];
    hl_model_statistics kinds;
} table;

static hl_status survey(const hl_acting_options *o, table *t, hl_error *err)
{
    both *action = &t->at[HL_MODEL_SENSES];
    hl_status status = check(&o->action, "action", o->model.action, err);
    if (status != HL_OK)
        return status;
    *action = reduce_both(&o->action, 1);
    t->kinds.action.offset = action->offset.kind;
    t->kinds.action.scale = action->scale.kind;
    for (int s = 0; s < HL_MODEL_SENSES; s++) {
        int64_t size = hl_model_sense_size(&o->model, s);
        bool image = s < 2; /* visual and depth */
        if (!size)
            continue;
        status = check(&o->sense[s], hl_model_sense(s), size, err);
        if (status != HL_OK)
            return status;
        t->at[s] = reduce_both(&o->sense[s], image ? o->model.image * o->model.image : 1);
        t->kinds.sense[s].offset = t->at[s].offset.kind;
        t->kinds.sense[s].scale = t->at[s].scale.kind;
    }
    return HL_OK;
}

static hl_graph *build(hl_params *params, const hl_acting_options *o, const hl_model_statistics *statistics,
                       int64_t batch)
{
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = batch, .smoothing = true, .decode = o->decoder, .statistics = statistics};
    hl_model_nodes m = hl_model_build(g, params, &o->model, &mode);
    hl_output(g, "action", m.action);
    hl_output(g, "compressed", m.compressed);
    if (o->model.history)
        hl_output(g, "features", m.features);
    if (o->decoder)
        hl_output(g, "reconstructed", m.reconstructed);
    return g;
}

hl_graph *hl_acting_graph(hl_params *params, const hl_acting_options *o, int64_t batch, hl_error *err)
{
    table t = {0};
    if (survey(o, &t, err) != HL_OK)
        return NULL;
    hl_graph *g = build(params, o, &t.kinds, batch);
    hl_status status = HL_OK;
    if (!g)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the graph of a model");
    else if (hl_graph_error(g))
        status = hl_fail(err, HL_ERR_SHAPE, "%s", hl_graph_error(g));
    for (int s = 0; s < HL_MODEL_SENSES && status == HL_OK; s++)
        status = store_both(params, hl_model_sense(s), &o->sense[s], t.at[s], err);
    if (status == HL_OK)
        status = store_both(params, "action", &o->action, t.at[HL_MODEL_SENSES], err);
    if (status == HL_OK)
        return g;
    hl_graph_free(g);
    return NULL;
}
