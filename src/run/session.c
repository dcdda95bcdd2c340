#include "run/session.h"

#include "base/error.h"
#include "base/process.h"
#include "ops/ops.h"
#include "run/params.h"

#include <string.h>

/* ------------------------------------------------------------------ binding */

static void *address(const hl_session *s, hl_location at)
{
    const hl_storage *storage = &s->plan->storages[at.storage];
    if (storage->kind == HL_IN_ARENA)
        return s->arena + storage->block.offset + at.offset;
    unsigned char *data = (unsigned char *)hl_params_at(s->params, storage->param).data;
    return data ? data + at.offset : NULL;
}

static void bind_call(hl_session *s, int index)
{
    hl_plan *p = s->plan;
    hl_call *c = &p->calls[index];
    const hl_node *n = p->call_nodes[index];
    c->clock = &s->clock;
    for (int k = 0; k < n->n_in; k++)
        c->in[k].data = n->in[k].id ? address(s, p->locations[n->in[k].id]) : NULL;
    for (int k = 0; k < n->n_out; k++)
        c->out[k].data = address(s, p->locations[n->first_out + k]);
    if (p->workspaces[index] >= 0)
        c->workspace = address(s, (hl_location){p->workspaces[index], 0});
}

static size_t packed_bytes(const hl_plan *p)
{
    size_t sum = 0;
    for (int i = 0; i < p->n_calls; i++)
        sum += hl_size_align(p->calls[i].pack_bytes, HL_ALIGN);
    return sum;
}

/* Packs the weights of a frozen session, then lets go of those that nothing reads as they lie. */
static hl_status pack_weights(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    size_t total = packed_bytes(p), used = 0;
    if (!total)
        return HL_OK;
    s->packed = hl_alloc_tensor(total);
    if (!s->packed)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %zu bytes of packed weights", total);
    hl_poison(s->packed, total);
    bool *kept = hl_alloc((size_t)hl_params_count(s->params), sizeof *kept);
    if (!kept)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to pack weights");
    hl_status status = HL_OK;
    for (int i = 0; i < p->n_calls; i++) {
        hl_call *c = &p->calls[i];
        for (int k = 0; k < c->n_in; k++) {
            const hl_node *n = p->call_nodes[i];
            const hl_storage *from = n->in[k].id ? &p->storages[p->locations[n->in[k].id].storage] : NULL;
            if (from && from->kind == HL_IN_STORE && !(c->pack_bytes && c->pack_input == k))
                kept[from->param] = true;
        }
        if (!c->pack_bytes || status != HL_OK)
            continue;
        c->packed = s->packed + used;
        used += hl_size_align(c->pack_bytes, HL_ALIGN);
        status = c->kernel->pack(c, c->in[c->pack_input].data, c->packed, err);
    }
    for (int i = 0; i < p->n_storages && status == HL_OK; i++)
        if (p->storages[i].kind == HL_IN_STORE && !kept[p->storages[i].param])
            hl_params_release_data(s->params, p->storages[i].param);
    for (int i = 0; i < p->n_calls && status == HL_OK; i++)
        bind_call(s, i);
    hl_free(kept);
    return status;
}

/* What a caller does not set is the scalar's value, or zeros. */
static void set_inputs(hl_session *s)
{
    const hl_graph *g = s->plan->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_input_params *in = g->nodes[i]->params;
        if (g->nodes[i]->op != &hl_op_input)
            continue;
        hl_location at = s->plan->locations[g->nodes[i]->first_out];
        if (in->scalar)
            *(float *)address(s, at) = in->value;
        else
            memset(address(s, at), 0, s->plan->storages[at.storage].block.bytes);
    }
}

static hl_status open_session(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    hl_status status = HL_OK;
    for (int i = 0; i < p->n_storages && status == HL_OK; i++)
        if (p->storages[i].kind == HL_IN_STORE)
            status = hl_params_materialize_at(s->params, p->storages[i].param, err);
    if (status != HL_OK)
        return status;
    s->arena = hl_alloc_tensor(p->memory.arena);
    s->seconds = hl_alloc((size_t)p->n_calls, sizeof *s->seconds);
    if (!s->arena || !s->seconds)
        return hl_fail(err, HL_ERR_MEMORY,
                       "no memory for an arena of %zu bytes; a smaller batch needs less (see hl plan)",
                       p->memory.arena);
    for (int i = 0; i < p->n_calls; i++)
        bind_call(s, i);
    hl_poison(s->arena, p->memory.arena);
    set_inputs(s);
    s->clock.seed = hl_params_seed(s->params);
    return p->frozen ? pack_weights(s, err) : HL_OK;
}

hl_session *hl_session_open(const hl_graph *g, hl_params *params, const hl_session_options *options,
                            hl_error *err)
{
    hl_session *s = hl_alloc(1, sizeof *s);
    if (!s) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for a session");
        return NULL;
    }
    s->params = params;
    s->plan = hl_plan_new(g, options, err);
    if (!s->plan || open_session(s, err) != HL_OK) {
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
    if (s->plan) {
        hl_free_tensor(s->arena, s->plan->memory.arena);
        hl_free_tensor(s->packed, packed_bytes(s->plan));
    }
    hl_plan_free(s->plan);
    hl_free(s->seconds);
    hl_free(s);
}

/* ------------------------------------------------------------------ inputs and outputs */

static const hl_node *find_input(const hl_session *s, const char *name)
{
    const hl_graph *g = s->plan->graph;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == &hl_op_input && !strcmp(((hl_input_params *)g->nodes[i]->params)->name, name))
            return g->nodes[i];
    return NULL;
}

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
    const hl_node *n = find_input(s, name);
    return n ? address(s, s->plan->locations[n->first_out]) : NULL;
}

const float *hl_session_output(const hl_session *s, const char *name)
{
    hl_tensor t = find_output(s, name);
    return t.id ? address(s, s->plan->locations[t.id]) : NULL;
}

hl_shape hl_session_shape(const hl_session *s, const char *name)
{
    const hl_node *n = find_input(s, name);
    return hl_shape_of(s->plan->graph, n ? hl_node_output(n, 0) : find_output(s, name));
}

hl_status hl_session_set(hl_session *s, const char *scalar, float value)
{
    const hl_node *n = find_input(s, scalar);
    if (!n || !((hl_input_params *)n->params)->scalar)
        return HL_ERR_USAGE;
    *(float *)address(s, s->plan->locations[n->first_out]) = value;
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

hl_memory hl_session_memory(const hl_session *s)
{
    return s->plan->memory;
}

/* ------------------------------------------------------------------ running */

hl_status hl_session_run(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    double before = s->profile ? hl_seconds() : 0;
    s->clock.step = (uint32_t)s->step;
    for (int i = 0; i < p->n_calls; i++) {
        const hl_call *c = &p->calls[i];
        hl_status status = c->kernel->run(c, err);
        if (status != HL_OK)
            return hl_fail_prefix(err, "kernel %s of op %s (call %d)", c->kernel->name, c->kernel->op, i);
        if (s->profile) {
            double after = hl_seconds();
            s->seconds[i] += after - before;
            before = after;
        }
    }
    s->profiled_runs += s->profile;
    s->step++;
    return HL_OK;
}

void hl_session_profile(hl_session *s, bool on)
{
    if (on && !s->profile) {
        memset(s->seconds, 0, (size_t)s->plan->n_calls * sizeof *s->seconds);
        s->profiled_runs = 0;
    }
    s->profile = on;
}
