#include "deploy/policy.h"

#include "base/error.h"
#include "base/memory.h"
#include "ops/ops.h"
#include "run/session.h"

#include <math.h>
#include <string.h>

typedef struct sense {
    const char *name;
    float *at;    /* [rows, size] */
    int64_t size; /* of one row */
} sense;

struct hl_policy {
    hl_session *session;
    hl_policy_units units;
    float weight; /* of the previous action */
    int64_t rows;
    sense *senses;
    int n_senses;
    float *history, *previous, *smoothing; /* [B,T,F], [B,A], [B,1]; NULL: the graph has none */
    const float *features, *action;        /* [B,F], [B,A] */
    int64_t entries, width;                /* T and F */
    int64_t action_size;                   /* A */
    bool *fresh;                           /* [rows] at the start of an episode */
};

/* ------------------------------------------------------------------ opening */

static hl_status want(const hl_session *s, const char *name, hl_shape shape, hl_error *err)
{
    hl_shape is = hl_session_shape(s, name);
    if (hl_shape_equal(is, shape))
        return HL_OK;
    return hl_fail(err, HL_ERR_DATA, "the model's '%s' is %s, to act it must be %s", name,
                   hl_shape_print(is).text, hl_shape_print(shape).text);
}

static hl_status find_outputs(hl_policy *p, hl_error *err)
{
    p->action = hl_session_output(p->session, "action");
    p->features = hl_session_output(p->session, "features");
    hl_shape shape = hl_session_shape(p->session, "action");
    if (!p->action || shape.rank != 2 || shape.dim[0] < 1)
        return hl_fail(err, HL_ERR_DATA, "the model has no output 'action' [B,A]: it does not act");
    p->rows = shape.dim[0];
    p->action_size = shape.dim[1];
    return HL_OK;
}

static hl_status find_history(hl_policy *p, hl_error *err)
{
    hl_shape shape = hl_session_shape(p->session, "history");
    p->history = hl_session_input(p->session, "history");
    p->entries = shape.dim[1];
    p->width = shape.dim[2];
    if (!p->features || p->entries < 1)
        return hl_fail(err, HL_ERR_DATA, "the model reads a history %s, but %s", hl_shape_print(shape).text,
                       p->features ? "of no entries" : "has no output 'features' to make it from");
    hl_status status = want(p->session, "history", (hl_shape){3, {p->rows, p->entries, p->width}}, err);
    return status == HL_OK ? want(p->session, "features", (hl_shape){2, {p->rows, p->width}}, err) : status;
}

static hl_status find_sense(hl_policy *p, const char *name, hl_shape shape, hl_error *err)
{
    if (shape.rank < 1 || shape.dim[0] != p->rows)
        return hl_fail(err, HL_ERR_DATA, "the model's input '%s' is %s, to act its first dim must be %lld",
                       name, hl_shape_print(shape).text, (long long)p->rows);
    p->senses[p->n_senses++] = (sense){name, hl_session_input(p->session, name),
                                       hl_shape_span(shape, 1, shape.rank)};
    return HL_OK;
}

static hl_status find_input(hl_policy *p, const hl_input_params *in, hl_error *err)
{
    if (!strcmp(in->name, "history"))
        return find_history(p, err);
    if (!strcmp(in->name, "previous")) {
        p->previous = hl_session_input(p->session, in->name);
        return want(p->session, in->name, (hl_shape){2, {p->rows, p->action_size}}, err);
    }
    if (!strcmp(in->name, "smoothing")) {
        p->smoothing = hl_session_input(p->session, in->name);
        return want(p->session, in->name, (hl_shape){2, {p->rows, 1}}, err);
    }
    return in->scalar ? HL_OK : find_sense(p, in->name, in->shape, err);
}

static hl_status find_values(hl_policy *p, hl_error *err)
{
    const hl_graph *g = p->session->plan->graph;
    hl_status status = find_outputs(p, err);
    if (status != HL_OK)
        return status;
    p->fresh = hl_alloc((size_t)p->rows, sizeof *p->fresh);
    p->senses = hl_alloc((size_t)g->n_nodes, sizeof *p->senses);
    if (!p->fresh || !p->senses)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a policy of %lld rows", (long long)p->rows);
    for (int i = 0; i < g->n_nodes && status == HL_OK; i++)
        if (g->nodes[i]->op == &hl_op_input)
            status = find_input(p, g->nodes[i]->params, err);
    if (status == HL_OK && p->weight > 0 && (!p->smoothing || !p->previous))
        status = hl_fail(err, HL_ERR_USAGE,
                         "the model has no inputs 'previous' and 'smoothing': it cannot smooth "
                         "its actions");
    return status;
}

hl_policy *hl_policy_over(hl_session *session, float smoothing, const hl_policy_units *units, hl_error *err)
{
    hl_policy *p = hl_alloc(1, sizeof *p);
    if (!p) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for a policy");
        hl_session_free(session);
        return NULL;
    }
    p->session = session;
    p->weight = smoothing;
    p->units = units ? *units : (hl_policy_units){0};
    hl_status status = HL_OK;
    if (!(smoothing >= 0 && smoothing <= 1))
        status = hl_fail(err, HL_ERR_USAGE, "a smoothing of %g is not within 0 and 1", (double)smoothing);
    if (status == HL_OK)
        status = find_values(p, err);
    if (status != HL_OK) {
        hl_policy_free(p);
        return NULL;
    }
    for (int64_t r = 0; r < p->rows; r++)
        HL_ASSERT(hl_policy_reset(p, r) == HL_OK);
    return p;
}

hl_policy *hl_policy_new(hl_model *m, const hl_policy_options *options, hl_error *err)
{
    hl_policy_options o = options ? *options : (hl_policy_options){0};
    const hl_session_options how = {.device = o.device, .precision = o.precision, .frozen = true};
    const int64_t rows = o.rows ? o.rows : 1;
    hl_session *s = hl_model_session(m, rows, &how, err);
    hl_policy *p = s ? hl_policy_over(s, o.smoothing, NULL, err) : NULL;
    if (!p || p->rows == rows)
        return p;
    hl_fail(err, HL_ERR_DATA, "the model gives %lld actions for a batch of %lld: its batch is not free",
            (long long)p->rows, (long long)rows);
    hl_policy_free(p);
    return NULL;
}

void hl_policy_free(hl_policy *p)
{
    if (!p)
        return;
    hl_session_free(p->session);
    hl_free(p->senses);
    hl_free(p->fresh);
    hl_free(p);
}

float *hl_policy_sense(hl_policy *p, const char *name)
{
    for (int k = 0; k < p->n_senses; k++)
        if (!strcmp(p->senses[k].name, name))
            return p->senses[k].at;
    return NULL;
}

hl_session *hl_policy_session(hl_policy *p)
{
    return p->session;
}

/* ------------------------------------------------------------------ acting */

hl_status hl_policy_reset(hl_policy *p, int64_t row)
{
    if (row < 0 || row >= p->rows)
        return HL_ERR_USAGE;
    p->fresh[row] = true;
    if (p->smoothing)
        p->smoothing[row] = 0;
    if (p->previous)
        memset(p->previous + row * p->action_size, 0, (size_t)p->action_size * sizeof(float));
    return HL_OK;
}

static hl_status check_senses(const hl_policy *p, hl_error *err)
{
    for (int k = 0; k < p->n_senses; k++) {
        const sense *s = &p->senses[k];
        for (int64_t i = 0; i < p->rows * s->size; i++)
            if (!isfinite(s->at[i]))
                return hl_fail(err, HL_ERR_DATA, "observation %lld: %s[%lld] is %g, it must be finite",
                               (long long)(i / s->size), s->name, (long long)(i % s->size), (double)s->at[i]);
    }
    return HL_OK;
}

static void convert_senses(hl_policy *p)
{
    for (int k = 0; k < p->n_senses && p->units.observation; k++)
        for (int64_t r = 0; r < p->rows; r++)
            p->units.observation(p->units.context, p->senses[k].name,
                                 p->senses[k].at + r * p->senses[k].size);
}

/* What is not finite would be part of every later step of its row: "what" says which result x is. */
static hl_status check_result(const hl_policy *p, const char *what, const float *x, int64_t size,
                              hl_error *err)
{
    for (int64_t i = 0; i < p->rows * size; i++)
        if (!isfinite(x[i]))
            return hl_fail(err, HL_ERR_NUMERIC,
                           "%s[%lld] of row %lld is %g: the observation is beyond what the model's precision "
                           "holds, or its weights are damaged",
                           what, (long long)(i % size), (long long)(i / size), (double)x[i]);
    return HL_OK;
}

/* Rows that begin an episode get their first observation as their whole past: the features are
 * computed once to fill it. */
static hl_status begin_histories(hl_policy *p, hl_error *err)
{
    bool any = false;
    for (int64_t r = 0; r < p->rows; r++)
        any = any || p->fresh[r];
    if (!p->history || !any)
        return HL_OK;
    hl_status status = hl_session_run(p->session, err);
    if (status == HL_OK)
        status = check_result(p, "features", p->features, p->width, err);
    for (int64_t r = 0; r < p->rows && status == HL_OK; r++)
        for (int64_t t = 0; p->fresh[r] && t < p->entries; t++)
            memcpy(p->history + (r * p->entries + t) * p->width, p->features + r * p->width,
                   (size_t)p->width * sizeof(float));
    return status;
}

static void push_history(hl_policy *p)
{
    size_t entry = (size_t)p->width * sizeof(float);
    for (int64_t r = 0; p->history && r < p->rows; r++) {
        float *past = p->history + r * p->entries * p->width;
        memmove(past, past + p->width, (size_t)(p->entries - 1) * entry);
        memcpy(past + (p->entries - 1) * p->width, p->features + r * p->width, entry);
    }
}

/* What the step gave is the caller's. */
static hl_status give_actions(const hl_policy *p, float *action, hl_error *err)
{
    memcpy(action, p->action, (size_t)(p->rows * p->action_size) * sizeof(float));
    for (int64_t r = 0; r < p->rows && p->units.action; r++)
        p->units.action(p->units.context, action + r * p->action_size);
    return check_result(p, "action", action, p->action_size, err);
}

/* And the next step's past. */
static void move_on(hl_policy *p)
{
    push_history(p);
    if (p->previous)
        memcpy(p->previous, p->action, (size_t)(p->rows * p->action_size) * sizeof(float));
    for (int64_t r = 0; r < p->rows; r++) {
        p->fresh[r] = false;
        if (p->smoothing)
            p->smoothing[r] = p->weight;
    }
}

hl_status hl_policy_act(hl_policy *p, float *action, hl_error *err)
{
    hl_status status = check_senses(p, err);
    if (status != HL_OK)
        return status;
    convert_senses(p);
    status = begin_histories(p, err);
    if (status == HL_OK)
        status = hl_session_run(p->session, err);
    if (status == HL_OK && p->history)
        status = check_result(p, "features", p->features, p->width, err);
    if (status == HL_OK)
        status = give_actions(p, action, err);
    if (status == HL_OK)
        move_on(p);
    return status;
}
