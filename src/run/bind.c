/* Binding: a plan's calls get addresses, in an arena and in the parameter store. */
#include "run/session.h"

#include "base/error.h"
#include "ops/ops.h"
#include "run/params.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ memory of the backend */

static hl_status allocate(hl_session *s, size_t bytes, hl_use use, unsigned char **memory, hl_error *err)
{
    void *got = NULL;
    hl_status status = HL_OK;
    if (!bytes)
        return HL_OK;
    if (s->table)
        status = s->table->allocate(s->device, bytes, &got, err);
    else if (!(got = hl_alloc_tensor(bytes, use)))
        status = hl_fail(err, HL_ERR_MEMORY, "%zu bytes cannot be allocated", bytes);
    *memory = got;
    return status;
}

static void release(hl_session *s, unsigned char *memory, size_t bytes)
{
    if (!s->table)
        hl_free_tensor(memory, bytes);
    else if (memory)
        s->table->release(s->device, memory);
}

/* What the plan needs, and how much smaller a batch would have to be: only the arena grows with it. */
static hl_status too_large(const hl_session *s, hl_error *err)
{
    const hl_memory *m = &s->plan->memory;
    char needs[256] = "", fits[128] = "use a smaller batch or model";
    size_t used = 0;
    for (int k = 0; k < HL_MEM_KINDS; k++)
        if (m->by_kind[k] && used < sizeof needs)
            used += (size_t)snprintf(needs + used, sizeof needs - used, "%s%s %.1f", used ? ", " : "",
                                     hl_memory_kind_name((hl_memory_kind)k),
                                     (double)m->by_kind[k] / (1 << 20));
    hl_device_info info;
    if (s->table && s->table->describe(s->plan->ordinal, &info, NULL) == HL_OK)
        snprintf(fits, sizeof fits, "a batch of %.0f%% of this one would fit in what is free",
                 100 * (double)info.free / (double)m->arena);
    return hl_fail_prefix(
        err,
        "no memory for an arena of %.1f MiB (the plan needs, in MiB: %s; total %.1f; see hl plan); "
        "%s",
        (double)m->arena / (1 << 20), needs, (double)m->total / (1 << 20), fits);
}

/* ------------------------------------------------------------------ addresses */

/* Where kernels have what crosses between the caller and the backend. */
static unsigned char *crossing(const hl_session *s)
{
    return s->direct ? s->crossing : s->arena;
}

static void *address(const hl_session *s, hl_location at)
{
    const hl_storage *storage = &s->plan->storages[at.storage];
    if (storage->kind == HL_IN_ARENA)
        return (storage->traffic ? crossing(s) : s->arena) + storage->block.offset + at.offset;
    const hl_param_use *use = &s->uses.at[storage->use];
    unsigned char *values = at.next ? use->next : use->data;
    return values ? values + at.offset : NULL;
}

void *hl_session_host(const hl_session *s, hl_location at)
{
    const hl_storage *storage = &s->plan->storages[at.storage];
    if (!s->table)
        return address(s, at);
    if (storage->kind != HL_IN_ARENA || !storage->traffic)
        return NULL;
    return s->crossing + storage->block.offset + at.offset;
}

static void bind_call(hl_session *s, int index)
{
    hl_plan *p = s->plan;
    hl_call *c = &p->calls[index];
    const hl_node *n = p->call_nodes[index];
    c->clock = (const hl_clock *)(const void *)crossing(s);
    c->queue = s->queue;
    for (int k = 0; k < n->n_in; k++)
        c->in[k].data = n->in[k].id ? address(s, p->locations[n->in[k].id]) : NULL;
    for (int k = 0; k < n->n_out; k++)
        c->out[k].data = address(s, p->locations[n->first_out + k]);
    if (p->workspaces[index] >= 0)
        c->workspace = address(s, (hl_location){.storage = p->workspaces[index]});
}

void hl_session_address(hl_session *s, int first)
{
    for (int i = first; i < s->plan->n_calls; i++)
        bind_call(s, i);
}

void hl_session_direct(hl_session *s, bool direct)
{
    if (s->direct == direct)
        return;
    s->direct = direct;
    hl_session_address(s, 0);
}

/* ------------------------------------------------------------------ opening */

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
            *(float *)hl_session_host(s, at) = in->value;
        else
            memset(hl_session_host(s, at), 0, s->plan->storages[at.storage].block.bytes);
    }
}

static hl_status open_device(hl_session *s, hl_error *err)
{
    const hl_plan *p = s->plan;
    hl_status status = s->table->open(p->ordinal, &s->device, err);
    if (status != HL_OK)
        return hl_fail_prefix(err, "device '%s' (device: cpu runs without a GPU)", p->device);
    status = hl_params_attach(s->params, s->table, p->ordinal, err);
    s->attached = status == HL_OK;
    return status;
}

/* Shared with the device, if it has such memory. */
static hl_status allocate_crossing(hl_session *s, hl_error *err)
{
    const size_t bytes = s->plan->in_bytes + s->plan->out_bytes;
    void *memory = NULL;
    hl_status status = s->table->share(s->device, bytes, &memory, err);
    if (status != HL_OK)
        return hl_fail_prefix(err, "inputs and outputs");
    s->shared = memory != NULL;
    s->crossing = memory ? memory : hl_alloc_tensor(bytes, HL_USE_IO);
    return s->crossing ? HL_OK
                       : hl_fail(err, HL_ERR_MEMORY, "no memory for %zu bytes of inputs and outputs", bytes);
}

static void release_crossing(hl_session *s)
{
    if (s->shared)
        s->table->unshare(s->device, s->crossing);
    else
        hl_free_tensor(s->crossing, s->plan->in_bytes + s->plan->out_bytes);
}

static hl_status open_queue(hl_session *s, hl_error *err)
{
    const hl_plan *p = s->plan;
    hl_status status = allocate_crossing(s, err);
    if (status != HL_OK)
        return status;
    hl_traffic traffic = {.inputs = s->arena,
                          .outputs = s->arena + p->in_bytes,
                          .in_bytes = p->in_bytes,
                          .out_bytes = p->out_bytes,
                          .marks = hl_session_marks(s),
                          .urgent = s->concurrent};
    return s->table->queue_new(s->device, &traffic, &s->queue, err);
}

static hl_status allocate_records(hl_session *s, hl_error *err)
{
    const size_t n = (size_t)s->uses.n + 1;
    const size_t calls = (size_t)s->plan->n_calls;
    bool ok = (s->seconds = hl_alloc(calls, sizeof *s->seconds)) != NULL;
    ok = ok && (s->moments = hl_alloc(calls + HL_MARKS, sizeof *s->moments)) != NULL;
    for (int i = 0; i < HL_STEPS && ok; i++)
        ok = (s->holds[i].buffer = hl_alloc(n, sizeof *s->holds[i].buffer)) != NULL;
    for (int i = 0; i < HL_RECORDINGS && ok && s->table; i++)
        ok = (s->recorded[i].addresses = hl_alloc(2 * n, sizeof *s->addresses)) != NULL;
    ok = ok && (s->addresses = hl_alloc(2 * n, sizeof *s->addresses)) != NULL;
    ok = ok && (s->packed = hl_alloc(calls + 1, sizeof *s->packed)) != NULL;
    ok = ok && hl_parts_open(s);
    return ok ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for a session of %d calls", s->plan->n_calls);
}

/* A frozen session holds what it reads for its life; for another one, this initialises what it will read. */
static hl_status bind_store(hl_session *s, hl_error *err)
{
    const bool lasting = s->plan->frozen;
    if (lasting)
        hl_session_take_packed(s);
    hl_status status = hl_params_bind(s->params, &s->uses, s->concurrent, err);
    if (status != HL_OK)
        return status;
    s->bound = true;
    status = hl_params_hold(s->params, &s->uses, lasting, s->holds[0].buffer, &s->holds[0].version, err);
    if (status != HL_OK && lasting) /* there is nothing to release */
        for (int i = 0; i < s->uses.n; i++)
            s->holds[0].buffer[i] = -1;
    if (status == HL_OK && !lasting)
        hl_params_release(s->params, &s->uses, lasting, s->holds[0].buffer);
    return status;
}

static hl_status bind(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    hl_status status = bind_store(s, err);
    if (status == HL_OK && (status = allocate(s, p->memory.arena, HL_USE_ARENA, &s->arena, err)) != HL_OK)
        return too_large(s, err);
    if (status == HL_OK && s->table)
        status = open_queue(s, err);
    if (status != HL_OK)
        return status;
    hl_session_address(s, 0);
    hl_poison(s->table ? s->crossing : s->arena, s->table ? p->in_bytes + p->out_bytes : p->memory.arena);
    set_inputs(s);
    return p->frozen ? hl_session_freeze(s, err) : HL_OK;
}

hl_status hl_session_bind(hl_session *s, hl_error *err)
{
    const hl_plan *p = s->plan;
    s->table = p->backend->device;
    s->uses = (hl_param_uses){.at = p->uses, .n = p->n_uses, .on_device = s->table != NULL};
    hl_status status = s->table ? open_device(s, err) : HL_OK;
    if (status == HL_OK)
        status = allocate_records(s, err);
    if (status != HL_OK)
        return status;
    hl_params_begin_opening(s->params);
    status = bind(s, err);
    hl_params_end_opening(s->params);
    return status;
}

static void unbind_store(hl_session *s)
{
    if (s->bound && s->plan->frozen)
        hl_params_release(s->params, &s->uses, true, s->holds[0].buffer);
    if (s->bound)
        hl_params_unbind(s->params, &s->uses, s->concurrent);
    hl_session_release_packed(s);
    if (s->attached)
        hl_params_detach(s->params);
    for (int i = 0; i < HL_STEPS; i++)
        hl_free(s->holds[i].buffer);
    for (int i = 0; i < HL_RECORDINGS; i++)
        hl_free((void *)s->recorded[i].addresses);
    hl_free((void *)s->addresses);
    hl_free((void *)s->packed);
}

void hl_session_unbind(hl_session *s)
{
    const hl_plan *p = s->plan;
    if (s->queue)
        s->table->queue_free(s->queue);
    unbind_store(s);
    if (s->table && !s->device)
        return; /* it could not be opened */
    release(s, s->arena, p->memory.arena);
    release_crossing(s);
    if (s->device)
        s->table->close(s->device);
}
