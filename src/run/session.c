#include "run/session.h"

#include "base/error.h"
#include "base/process.h"
#include "compile/passes.h"
#include "ops/ops.h"
#include "run/params.h"

#include <string.h>

hl_session *hl_session_open(const hl_graph *g, hl_params *params, const hl_session_options *options,
                            hl_error *err)
{
    hl_session *s = hl_alloc(1, sizeof *s);
    if (!s) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for a session");
        return NULL;
    }
    s->params = params;
    s->concurrent = options && options->concurrent && !options->frozen;
    s->plan = hl_plan_new(g, options, err);
    if (!s->plan || hl_session_bind(s, err) != HL_OK ||
        (s->table && s->plan->frozen && hl_session_warm_up(s, NULL, err) != HL_OK)) {
        hl_session_free(s);
        return NULL;
    }
    return s;
}

hl_session *hl_session_new(const hl_graph *g, hl_params *params, const char *device, hl_error *err)
{
    return hl_session_open(g, params, &(hl_session_options){.device = device}, err);
}

void hl_session_free(hl_session *s)
{
    if (!s)
        return;
    while (s->pending)
        (void)hl_session_wait(s, NULL); /* after one that failed, too: each has a hold on the store */
    if (s->plan)
        hl_session_unbind(s);
    hl_plan_free(s->plan);
    hl_free(s->seconds);
    hl_free(s->moments);
    hl_parts_close(s);
    hl_free(s);
}

/* ------------------------------------------------------------------ inputs and outputs */

static hl_tensor find_output(const hl_session *s, const char *name)
{
    const hl_graph *g = s->plan->graph;
    for (int i = 0; i < g->n_outputs; i++)
        if (!strcmp(g->outputs[i].name, name))
            return g->outputs[i].tensor;
    return (hl_tensor){0};
}

float *hl_session_input(hl_session *s, const char *name)
{
    const hl_node *n = hl_graph_input(s->plan->graph, name);
    return n ? hl_session_host(s, s->plan->locations[n->first_out]) : NULL;
}

const float *hl_session_output(const hl_session *s, const char *name)
{
    hl_tensor t = find_output(s, name);
    return t.id ? hl_session_host(s, s->plan->locations[t.id]) : NULL;
}

hl_shape hl_session_shape(const hl_session *s, const char *name)
{
    const hl_node *n = hl_graph_input(s->plan->graph, name);
    return hl_shape_of(s->plan->graph, n ? hl_node_output(n, 0) : find_output(s, name));
}

hl_status hl_session_set(hl_session *s, const char *scalar, float value)
{
    const hl_node *n = hl_graph_input(s->plan->graph, scalar);
    if (!n || !((hl_input_params *)n->params)->scalar)
        return HL_ERR_USAGE;
    *(float *)hl_session_host(s, s->plan->locations[n->first_out]) = value;
    return HL_OK;
}

void hl_session_set_step(hl_session *s, uint64_t step)
{
    s->step = step;
}

uint64_t hl_session_step(const hl_session *s)
{
    return s->step;
}

uint64_t hl_session_version(const hl_session *s)
{
    return s->version;
}

hl_memory hl_session_memory(const hl_session *s)
{
    return s->plan->memory;
}

const hl_plan *hl_session_plan(const hl_session *s)
{
    return s->plan;
}

const char *hl_session_device(const hl_session *s)
{
    return s->plan->device;
}

/* ------------------------------------------------------------------ running */

static hl_status run_group(const hl_call *c, int n, hl_error *err)
{
    hl_status status = HL_OK;
    if (n > 1)
        return c->kernel->run_many(c, n, err);
    for (int i = 0; i < n && status == HL_OK; i++)
        status = c[i].kernel->run(&c[i], err);
    return status;
}

/* Of the step that starts. */
static hl_hold *next_hold(hl_session *s)
{
    return &s->holds[s->started % HL_STEPS];
}

/* Hands all calls over in order. */
static hl_status run_calls(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    hl_status status = HL_OK;
    for (int i = 0; i < p->n_calls; i += p->together[i]) {
        const hl_call *c = &p->calls[i];
        status = hl_session_mark(s, i, err);
        if (status == HL_OK && i == p->first_update && !s->table)
            status = hl_session_claim(s, next_hold(s), err);
        if (status != HL_OK)
            return status;
        status = run_group(c, p->together[i], err);
        if (status != HL_OK)
            return hl_fail_prefix(err, "kernel %s of op %s (call %d)", c->kernel->name, c->kernel->op, i);
    }
    return hl_session_mark(s, p->n_calls, err);
}

/* The slot whose marks a recording of this step sets; -1: it sets none. */
static int marks_to_record(const hl_session *s)
{
    const int slot = (int)(s->started % HL_STEPS);
    return s->marking[slot] == HL_MARK_NOTHING ? -1 : slot;
}

/* What the queue has recorded for the addresses that the calls have, and the marks; -1: nothing. */
static int recording_of(const hl_session *s)
{
    const size_t bytes = 2 * (size_t)s->uses.n * sizeof *s->addresses;
    for (int i = 0; i < s->recordings && i < HL_RECORDINGS; i++)
        if (s->recorded[i].marks == marks_to_record(s) && s->recorded[i].direct == s->direct &&
            !memcmp(s->recorded[i].addresses, s->addresses, bytes))
            return i;
    return -1;
}

/* In place of the oldest, if there are many. */
static hl_status record(hl_session *s, int *place, hl_error *err)
{
    *place = s->recordings % HL_RECORDINGS;
    hl_status status = s->table->record(s->queue, err);
    if (status == HL_OK)
        status = run_calls(s, err);
    hl_status ended = s->table->recorded(s->queue, *place, status == HL_OK ? err : NULL);
    status = status == HL_OK ? ended : status;
    if (status != HL_OK)
        return status;
    memcpy(s->recorded[*place].addresses, s->addresses, 2 * (size_t)s->uses.n * sizeof *s->addresses);
    s->recorded[*place].marks = marks_to_record(s);
    s->recorded[*place].direct = s->direct;
    s->recordings++;
    return HL_OK;
}

/* On a device the first steps are run call by call (kernels measure what is fastest for them), then one is
 * recorded for each set of addresses, and replayed. */
static hl_status run_on_device(hl_session *s, hl_error *err)
{
    enum { PLAIN_STEPS = 1 };
    const bool apart = s->marking[s->started % HL_STEPS] == HL_MARK_CALLS;
    if (apart || hl_pass_disabled("replay") || s->plain < PLAIN_STEPS) {
        s->plain += !apart;
        return run_calls(s, err);
    }
    int place = recording_of(s);
    hl_status status = place < 0 ? record(s, &place, err) : HL_OK;
    return status == HL_OK ? s->table->replay(s->queue, place, err) : status;
}

static void set_clock(hl_session *s)
{
    hl_clock *clock = (hl_clock *)(void *)(s->table ? s->crossing : s->arena);
    *clock = (hl_clock){hl_params_seed(s->params), (uint32_t)s->step, 0};
}

/* On a device, its traffic goes around the calls, and it claims at once: when a kernel runs, the host does
 * not know. */
static hl_status run_step(hl_session *s, hl_error *err)
{
    const int end = s->plan->n_calls;
    hl_status status = hl_session_begin_marks(s, err);
    if (status == HL_OK && s->table)
        status = hl_session_claim(s, next_hold(s), err);
    if (status == HL_OK)
        status = hl_session_mark(s, end + HL_BEFORE_INPUTS, err);
    if (status == HL_OK && s->table)
        status = s->table->begin(s->queue, s->direct ? NULL : s->crossing, err);
    if (status == HL_OK)
        status = s->table ? run_on_device(s, err) : run_calls(s, err);
    if (status == HL_OK && s->table)
        status = s->table->finish(s->queue, err);
    return status == HL_OK ? hl_session_mark(s, end + HL_AFTER_OUTPUTS, err) : status;
}

/* Waits on the device for the oldest step under way. */
static hl_status deliver(hl_session *s, hl_error *err)
{
    hl_hold *hold = &s->holds[(s->started - (uint64_t)s->pending) % HL_STEPS];
    s->outcome = s->table->wait(s->queue, s->crossing + s->plan->in_bytes, err);
    hl_session_let_go(s, hold, s->outcome == HL_OK);
    s->delivered = true;
    return s->outcome;
}

static hl_status end_oldest(hl_session *s, hl_error *err)
{
    if (s->table && !s->delivered)
        return deliver(s, err);
    return s->outcome == HL_OK
               ? HL_OK
               : hl_fail(err, s->outcome, "the step failed, as was told when the next one was to start");
}

static hl_status start(hl_session *s, bool direct, hl_error *err)
{
    const int most = s->table ? HL_STEPS : 1; /* on the host a step's outputs lie where the next one's will */
    if (s->pending == most)
        return hl_fail(err, HL_ERR_USAGE, "%d step%s under way: wait for one before the next is started",
                       most, most > 1 ? "s are" : " is");
    hl_status status = HL_OK;
    if (s->pending && !s->delivered && hl_plan_updates(s->plan) &&
        hl_params_publish_first(s->params, &s->uses))
        status = deliver(s, err);
    if (status == HL_OK)
        status = hl_session_hold(s, err);
    if (status != HL_OK)
        return status;
    hl_session_direct(s, direct);
    set_clock(s);
    status = run_step(s, err);
    if (status != HL_OK || !s->table)
        hl_session_let_go(s, next_hold(s), status == HL_OK);
    if (status != HL_OK)
        return status;
    s->started++;
    s->pending++;
    s->step++;
    return HL_OK;
}

/* Not direct: while the step is under way the caller may write the next inputs. */
hl_status hl_session_start(hl_session *s, hl_error *err)
{
    return start(s, false, err);
}

hl_status hl_session_wait(hl_session *s, hl_error *err)
{
    if (!s->pending)
        return hl_fail(err, HL_ERR_USAGE, "there is no step to wait for");
    const int slot = (int)((s->started - (uint64_t)s->pending) % HL_STEPS);
    hl_status status = end_oldest(s, err);
    s->delivered = false;
    s->pending--;
    s->version = s->holds[s->plan->frozen ? 0 : slot].version;
    if (status == HL_OK) {
        hl_profile_add(s, slot);
        hl_parts_take(s, slot);
        hl_trace_take(s, slot);
    }
    return status;
}

hl_status hl_session_run(hl_session *s, hl_error *err)
{
    while (s->pending) {
        hl_status status = hl_session_wait(s, err);
        if (status != HL_OK)
            return status;
    }
    hl_status status = start(s, s->shared, err);
    return status == HL_OK ? hl_session_wait(s, err) : status;
}

hl_status hl_session_warm_up(hl_session *s, double *seconds, hl_error *err)
{
    enum { STEPS = 3 }; /* one plain, one that is recorded, one as all later ones */
    if (hl_plan_updates(s->plan))
        return hl_fail(err, HL_ERR_USAGE,
                       "a session that updates parameters is warmed up by its first steps");
    double began = hl_seconds();
    uint64_t step = s->step;
    hl_status status = HL_OK;
    for (int i = 0; i < STEPS && status == HL_OK; i++)
        status = hl_session_run(s, err);
    s->step = step;
    s->warm_up_seconds += hl_seconds() - began;
    if (seconds)
        *seconds = s->warm_up_seconds;
    return status;
}
