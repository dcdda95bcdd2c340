#include "run/plan_parts.h"

#include "base/error.h"
#include "compile/passes.h"
#include "compile/schedule.h"
#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ kernels */

static bool all_f32(const hl_call *c)
{
    for (int k = 0; k < c->n_in; k++)
        if (c->in[k].count && c->in[k].dtype != HL_F32)
            return false;
    for (int k = 0; k < c->n_out; k++)
        if (c->out[k].dtype != HL_F32)
            return false;
    return true;
}

const hl_kernel *hl_kernel_for(const hl_backend *b, const char *op, const hl_call *call)
{
    for (int i = 0; i < b->n_kernels; i++) {
        const hl_kernel *k = b->kernels[i];
        if (!strcmp(k->op, op) && (k->accepts ? k->accepts(call) : all_f32(call)))
            return k;
    }
    return NULL;
}

static hl_status choose_kernel(const hl_backend *b, const char *op, hl_call *call, hl_error *err)
{
    call->kernel = hl_kernel_for(b, op, call);
    if (call->kernel)
        return HL_OK;
    return hl_fail(err, HL_ERR_UNSUPPORTED, "%s has no kernel for op %s (operand 0: %s %s; result: %s)",
                   b->name, op, call->n_in ? hl_dtype_name(call->in[0].dtype) : "none",
                   call->n_in ? hl_shape_print(call->in[0].shape).text : "",
                   call->n_out ? hl_dtype_name(call->out[0].dtype) : "none");
}

static hl_view view_of(const hl_plan *p, hl_tensor t)
{
    hl_view v = {0};
    if (!t.id)
        return v;
    const hl_tensor_info *info = hl_info(p->graph, t);
    const hl_storage *s = &p->storages[p->locations[t.id].storage];
    v.dtype = info->dtype;
    v.shape = info->shape;
    v.count = info->count;
    v.constant = p->frozen && s->kind == HL_IN_STORE;
    return v;
}

/* ------------------------------------------------------------------ calls */

static hl_status make_call(hl_plan *p, const hl_node *n, hl_view *operands, hl_error *err)
{
    int index = p->n_calls;
    hl_call *c = &p->calls[index];
    *c = (hl_call){.params = n->params, .n_in = n->n_in, .n_out = n->n_out, .in = operands};
    for (int k = 0; k < n->n_in; k++)
        c->in[k] = view_of(p, n->in[k]);
    for (int k = 0; k < n->n_out; k++)
        c->out[k] = view_of(p, hl_node_output(n, k));
    p->call_nodes[index] = n;
    p->workspaces[index] = -1;
    hl_status status = choose_kernel(p->backend, n->op->name, c, err);
    if (status != HL_OK)
        return status;
    p->n_calls++; /* from here on hl_plan_free releases it */
    if (c->kernel->prepare && (status = c->kernel->prepare(c, err)) != HL_OK)
        return hl_fail_prefix(err, "op %s", n->op->name);
    if (c->workspace_bytes)
        p->workspaces[index] = hl_plan_add_storage(p, HL_IN_ARENA, c->workspace_bytes, HL_MEM_WORKSPACE,
                                                   index);
    return HL_OK;
}

static hl_status make_calls(hl_plan *p, const int *order, hl_error *err)
{
    size_t used = 0;
    for (int i = 0; i < p->graph->n_nodes; i++) {
        const hl_node *n = p->graph->nodes[order[i]];
        if (!hl_plan_makes_call(p->graph, n))
            continue;
        hl_status status = make_call(p, n, p->views + used, err);
        if (status != HL_OK)
            return status;
        used += (size_t)n->n_in;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ calls that go together */

static int storage_of(const hl_plan *p, hl_tensor t)
{
    return t.id ? p->locations[t.id].storage : -1;
}

/* Whether call `later` touches what call `earlier` writes. */
static bool depends(const hl_plan *p, int later, int earlier)
{
    const hl_node *b = p->call_nodes[later], *a = p->call_nodes[earlier];
    for (int w = 0; w < a->n_out; w++) {
        int written = storage_of(p, hl_node_output(a, w));
        for (int k = 0; k < b->n_in; k++)
            if (storage_of(p, b->in[k]) == written)
                return true;
        for (int k = 0; k < b->n_out; k++)
            if (storage_of(p, hl_node_output(b, k)) == written)
                return true;
    }
    return false;
}

static void group_calls(hl_plan *p)
{
    for (int i = 0; i < p->n_calls; i += p->together[i]) {
        const hl_kernel *kernel = p->calls[i].kernel;
        int end = i + 1;
        for (bool apart = !kernel->run_many; !apart && end < p->n_calls && p->calls[end].kernel == kernel;) {
            for (int k = i; k < end && !apart; k++)
                apart = depends(p, end, k);
            end += !apart;
        }
        p->together[i] = end - i;
    }
}

/* At the begin of a group. */
static void find_first_update(hl_plan *p)
{
    p->first_update = p->n_calls;
    for (int i = 0; i < p->n_calls && p->first_update == p->n_calls; i += p->together[i])
        for (int k = i; k < i + p->together[i]; k++)
            if (hl_node_updates(p->call_nodes[k]))
                p->first_update = i;
}

bool hl_plan_updates(const hl_plan *p)
{
    return p->first_update < p->n_calls;
}

/* ------------------------------------------------------------------ the plan */

static bool allocate(hl_plan *p)
{
    const hl_graph *g = p->graph;
    size_t operands = 0, params = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        operands += (size_t)g->nodes[i]->n_in;
        params += g->nodes[i]->op == &hl_op_param;
    }
    p->uses = hl_alloc(params + 1, sizeof *p->uses);
    p->storages = hl_alloc((size_t)g->n_tensors + (size_t)g->n_nodes, sizeof *p->storages);
    p->locations = hl_alloc((size_t)g->n_tensors, sizeof *p->locations);
    p->calls = hl_alloc((size_t)g->n_nodes, sizeof *p->calls);
    p->call_nodes = hl_alloc((size_t)g->n_nodes, sizeof *p->call_nodes);
    p->views = hl_alloc(operands + 1, sizeof *p->views);
    p->workspaces = hl_alloc((size_t)g->n_nodes, sizeof *p->workspaces);
    p->together = hl_alloc((size_t)g->n_nodes, sizeof *p->together);
    return p->uses && p->together && p->storages && p->locations && p->calls && p->call_nodes && p->views &&
           p->workspaces;
}

static hl_status fill_plan(hl_plan *p, hl_error *err)
{
    int *order = hl_alloc((size_t)p->graph->n_nodes, sizeof *order), *reads = hl_graph_uses(p->graph);
    hl_status status = HL_OK;
    if (!order || !reads || !allocate(p))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to plan %d nodes", p->graph->n_nodes);
    if (status == HL_OK)
        status = hl_schedule(p->graph, order, err);
    if (status == HL_OK) {
        p->locations[0].storage = -1;
        hl_plan_add_view_reads(p->graph, reads);
        hl_plan_locate(p, order, reads);
        status = make_calls(p, order, err);
    }
    if (status == HL_OK)
        status = hl_plan_place(p, err);
    if (status == HL_OK) {
        group_calls(p);
        find_first_update(p);
        hl_plan_account(p);
    }
    hl_free(order);
    hl_free(reads);
    return status;
}

hl_plan *hl_plan_graph(hl_graph *g, const hl_plan_target *target, hl_error *err)
{
    hl_plan *p = hl_alloc(1, sizeof *p);
    if (!p) {
        hl_graph_free(g);
        hl_fail(err, HL_ERR_MEMORY, "no memory for a plan");
        return NULL;
    }
    p->backend = target->backend;
    p->ordinal = target->ordinal;
    snprintf(p->device, sizeof p->device, p->backend->device ? "%s:%d" : "%s", p->backend->name, p->ordinal);
    p->frozen = target->frozen;
    p->graph = g;
    if (fill_plan(p, err) == HL_OK)
        return p;
    hl_plan_free(p);
    return NULL;
}

hl_plan *hl_plan_new(const hl_graph *g, const hl_session_options *options, hl_error *err)
{
    static const hl_session_options none = {0};
    options = options ? options : &none;
    hl_plan_target target = {.frozen = options->frozen};
    target.backend = hl_backend_find(options->device, &target.ordinal, err);
    if (!target.backend)
        return NULL;
    if (options->precision == HL_PRECISION_TF32 && !target.backend->device) {
        hl_fail(err, HL_ERR_UNSUPPORTED, "precision tf32 is computed by GPUs only; on device '%s' use fp32",
                target.backend->name);
        return NULL;
    }
    hl_graph *compiled = hl_compile(g, options->precision, err);
    hl_plan *p = compiled ? hl_plan_graph(compiled, &target, err) : NULL;
    return p ? hl_plan_shrink(p, &target, options, err) : NULL;
}

void hl_plan_free(hl_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_calls; i++)
        if (p->calls[i].kernel->release)
            p->calls[i].kernel->release(&p->calls[i]);
    hl_free(p->storages);
    hl_free(p->uses);
    hl_free(p->locations);
    hl_free(p->calls);
    hl_free((void *)p->call_nodes);
    hl_free(p->views);
    hl_free(p->workspaces);
    hl_free(p->together);
    hl_graph_free(p->graph);
    hl_free(p);
}

hl_memory hl_plan_memory(const hl_plan *p)
{
    return p->memory;
}

const char *hl_precision_name(hl_precision precision)
{
    static const char *const names[HL_PRECISIONS] = {"fp32", "tf32", "bf16", "fp16"};
    return precision < HL_PRECISIONS ? names[precision] : "?";
}

const char *hl_memory_kind_name(hl_memory_kind kind)
{
    static const char *const names[HL_MEM_KINDS] = {"parameters", "16-bit copies", "gradients",
                                                    "optimizer",  "activations",   "workspace",
                                                    "packed",     "input/output",  "mapped"};
    return kind < HL_MEM_KINDS ? names[kind] : "?";
}
