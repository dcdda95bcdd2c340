#include "run/plan.h"

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

/* ------------------------------------------------------------------ storages */

static int add_storage(hl_plan *p, hl_place_kind kind, size_t bytes, hl_memory_kind category, int first)
{
    p->storages[p->n_storages] = (hl_storage){
        .kind = kind, .category = category, .block = {.bytes = bytes, .first = first, .last = first}};
    return p->n_storages++;
}

static bool is_view(const hl_graph *g, const hl_node *n, int64_t *offset)
{
    return n->op->view && n->op->view(g, n, offset);
}

/* Whether output 0 of n may lie on operand k: nothing reads that memory later. */
static bool may_overwrite(const hl_plan *p, const hl_node *n, int k)
{
    if (k >= 32 || !(n->op->in_place >> k & 1) || !n->in[k].id)
        return false;
    const hl_storage *s = &p->storages[p->locations[n->in[k].id].storage];
    const hl_tensor_info *out = hl_info(p->graph, hl_node_output(n, 0));
    int reads = 0;
    for (int i = 0; i < n->n_in; i++)
        reads += n->in[i].id && p->locations[n->in[i].id].storage == p->locations[n->in[k].id].storage;
    return s->kind == HL_IN_ARENA && !s->pinned && s->unread == reads && reads == 1 &&
           p->locations[n->in[k].id].offset == 0 &&
           s->block.bytes == (size_t)out->count * hl_dtype_size(out->dtype);
}

/* Reads that are to come for whatever lies where t lies: of t and of every view of it. */
static int reads_of(const hl_graph *g, const int *uses, int id)
{
    int reads = uses[id];
    for (int i = 0; i < g->n_nodes; i++) {
        int64_t offset;
        const hl_node *n = g->nodes[i];
        if (n->n_in && n->in[0].id == id && is_view(g, n, &offset))
            reads += reads_of(g, uses, n->first_out);
    }
    return reads;
}

static void locate_output(hl_plan *p, const hl_node *n, int k, int step, const int *uses)
{
    const hl_tensor_info *t = hl_info(p->graph, hl_node_output(n, k));
    hl_location *at = &p->locations[n->first_out + k];
    int64_t offset = 0;
    if (n->op == &hl_op_param) {
        const hl_param_params *param = n->params;
        at->storage = add_storage(p, HL_IN_STORE, (size_t)t->count * hl_dtype_size(t->dtype),
                                  param->role == HL_OPTIMIZER ? HL_MEM_OPTIMIZER
                                  : param->dtype != HL_F32    ? HL_MEM_COPIES
                                                              : HL_MEM_PARAMETERS,
                                  step);
        p->storages[at->storage].param = param->index;
        p->storages[at->storage].dtype = param->dtype;
        return;
    }
    if (k < hl_node_updates(n)) { /* the next value of a variable lies where the old one did */
        *at = p->locations[n->in[k].id];
        p->storages[at->storage].updated = true;
        return;
    }
    if (k == 0 && is_view(p->graph, n, &offset)) {
        *at = p->locations[n->in[0].id];
        at->offset += (size_t)offset * hl_dtype_size(t->dtype);
        return;
    }
    for (int i = 0; i < n->n_in && k == 0 && !hl_pass_disabled("in_place"); i++) {
        if (may_overwrite(p, n, i)) {
            *at = p->locations[n->in[i].id];
            p->storages[at->storage].unread += reads_of(p->graph, uses, n->first_out);
            return;
        }
    }
    at->storage = add_storage(p, HL_IN_ARENA, (size_t)t->count * hl_dtype_size(t->dtype), HL_MEM_ACTIVATIONS,
                              step);
    p->storages[at->storage].unread = reads_of(p->graph, uses, n->first_out + k);
}

/* Lifetimes: a storage is alive from its first write to its last read. */
static void extend_life(hl_plan *p, const hl_node *n, int step)
{
    for (int k = 0; k < n->n_in; k++) {
        if (!n->in[k].id)
            continue;
        hl_storage *s = &p->storages[p->locations[n->in[k].id].storage];
        s->block.last = step > s->block.last ? step : s->block.last;
        s->unread--;
        bool gradient = n->op->updates && k >= n->op->updates && hl_info(p->graph, n->in[k])->shape.rank;
        if (gradient && s->kind == HL_IN_ARENA)
            s->category = HL_MEM_GRADIENTS;
    }
}

/* An output may be an input, or lie on it: then nothing needs to come back. */
static void pin(hl_plan *p, hl_tensor t, hl_traffic_kind traffic, int steps)
{
    hl_storage *s = &p->storages[p->locations[t.id].storage];
    if (s->kind != HL_IN_ARENA)
        return;
    if (traffic == HL_GOES_IN)
        s->block.first = 0;
    s->block.last = steps;
    s->category = HL_MEM_IO;
    s->pinned = true;
    if (s->traffic == HL_STAYS)
        s->traffic = traffic;
}

static bool makes_call(const hl_graph *g, const hl_node *n)
{
    int64_t offset;
    return n->op != &hl_op_input && n->op != &hl_op_param && !is_view(g, n, &offset);
}

/* Every value gets a storage, in the order of running. Inputs are pinned before anything could be
 * written over them; an output's storage ends its life at the end. */
static void locate(hl_plan *p, const int *order, const int *uses)
{
    const hl_graph *g = p->graph;
    int step = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[order[i]];
        for (int k = 0; k < n->n_out; k++)
            locate_output(p, n, k, step, uses);
        extend_life(p, n, step);
        if (n->op == &hl_op_input)
            pin(p, hl_node_output(n, 0), HL_GOES_IN, g->n_nodes);
        if (makes_call(g, n))
            step++;
    }
    for (int i = 0; i < g->n_outputs; i++)
        pin(p, g->outputs[i].tensor, HL_COMES_OUT, g->n_nodes);
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
        p->workspaces[index] = add_storage(p, HL_IN_ARENA, c->workspace_bytes, HL_MEM_WORKSPACE, index);
    return HL_OK;
}

static hl_status make_calls(hl_plan *p, const int *order, hl_error *err)
{
    size_t used = 0;
    for (int i = 0; i < p->graph->n_nodes; i++) {
        const hl_node *n = p->graph->nodes[order[i]];
        if (!makes_call(p->graph, n))
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

/* ------------------------------------------------------------------ memory */

/* What crosses lies together, so that one copy moves it. Returns where it ends. */
static size_t place_traffic(hl_plan *p, hl_traffic_kind kind, size_t at)
{
    for (int i = 0; i < p->n_storages; i++) {
        hl_storage *s = &p->storages[i];
        if (s->kind != HL_IN_ARENA || s->traffic != kind)
            continue;
        s->block.bytes = hl_size_align(s->block.bytes ? s->block.bytes : 1, HL_ALIGN);
        s->block.offset = at;
        at += s->block.bytes;
    }
    return at;
}

static bool is_scratch(const hl_storage *s)
{
    return s->kind == HL_IN_ARENA && s->traffic == HL_STAYS;
}

static hl_status place_storages(hl_plan *p, hl_error *err)
{
    hl_block *blocks = hl_alloc((size_t)p->n_storages + 1, sizeof *blocks);
    int n = 0;
    if (!blocks)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to place %d tensors", p->n_storages);
    p->in_bytes = place_traffic(p, HL_GOES_IN, hl_size_align(sizeof(hl_clock), HL_ALIGN));
    size_t crossing = place_traffic(p, HL_COMES_OUT, p->in_bytes);
    p->out_bytes = crossing - p->in_bytes;
    for (int i = 0; i < p->n_storages; i++)
        if (is_scratch(&p->storages[i]))
            blocks[n++] = p->storages[i].block;
    hl_status status = hl_place(blocks, n, p->n_calls + 1, !hl_pass_disabled("reuse"), &p->memory.arena,
                                &p->memory.lower_bound, err);
    n = 0;
    for (int i = 0; i < p->n_storages; i++) {
        if (!is_scratch(&p->storages[i]))
            continue;
        p->storages[i].block = blocks[n++];
        p->storages[i].block.offset += crossing;
    }
    p->memory.arena += crossing;
    p->memory.lower_bound += crossing;
    hl_free(blocks);
    return status;
}

/* Bytes of each category that are alive at one call. */
static size_t alive_at(const hl_plan *p, int step, size_t by_kind[HL_MEM_KINDS])
{
    size_t sum = hl_size_align(sizeof(hl_clock), HL_ALIGN);
    by_kind[HL_MEM_IO] += sum;
    for (int i = 0; i < p->n_storages; i++) {
        const hl_storage *s = &p->storages[i];
        if (s->kind == HL_IN_ARENA && (s->traffic || (s->block.first <= step && step <= s->block.last))) {
            by_kind[s->category] += s->block.bytes;
            sum += s->block.bytes;
        }
    }
    return sum;
}

/* A parameter that only packing kernels read needs no copy of its own once they have packed it. */
static bool only_packed(const hl_plan *p, int storage)
{
    int readers = 0;
    for (int i = 0; i < p->n_calls; i++) {
        const hl_node *n = p->call_nodes[i];
        for (int k = 0; k < n->n_in; k++) {
            if (!n->in[k].id || p->locations[n->in[k].id].storage != storage)
                continue;
            readers++;
            if (!p->calls[i].pack_bytes || p->calls[i].pack_input != k)
                return false;
        }
    }
    return readers > 0;
}

bool hl_plan_reads(const hl_plan *p, int param, hl_dtype dtype, const bool *read)
{
    for (int i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == HL_IN_STORE && p->storages[i].param == param &&
            p->storages[i].dtype == dtype && read[i])
            return true;
    return false;
}

static void account(hl_plan *p)
{
    hl_memory *m = &p->memory;
    size_t fullest = 0;
    for (int i = 0; i < p->n_calls; i++) {
        size_t by_kind[HL_MEM_KINDS] = {0}, sum = alive_at(p, i, by_kind);
        if (sum >= fullest) {
            fullest = sum;
            m->peak_step = i;
            m->peak_op = p->call_nodes[i]->op->name;
        }
    }
    alive_at(p, m->peak_step, m->by_kind);
    for (int i = 0; i < p->n_calls; i++)
        m->by_kind[HL_MEM_PACKED] += p->calls[i].pack_bytes;
    for (int i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == HL_IN_STORE && !only_packed(p, i))
            m->by_kind[p->storages[i].category] += p->storages[i].block.bytes;
    m->total = m->arena + m->by_kind[HL_MEM_PARAMETERS] + m->by_kind[HL_MEM_COPIES] +
               m->by_kind[HL_MEM_OPTIMIZER] + m->by_kind[HL_MEM_PACKED];
}

/* ------------------------------------------------------------------ the plan */

static bool allocate(hl_plan *p)
{
    const hl_graph *g = p->graph;
    size_t operands = 0;
    for (int i = 0; i < g->n_nodes; i++)
        operands += (size_t)g->nodes[i]->n_in;
    p->storages = hl_alloc((size_t)g->n_tensors + (size_t)g->n_nodes, sizeof *p->storages);
    p->locations = hl_alloc((size_t)g->n_tensors, sizeof *p->locations);
    p->calls = hl_alloc((size_t)g->n_nodes, sizeof *p->calls);
    p->call_nodes = hl_alloc((size_t)g->n_nodes, sizeof *p->call_nodes);
    p->views = hl_alloc(operands + 1, sizeof *p->views);
    p->workspaces = hl_alloc((size_t)g->n_nodes, sizeof *p->workspaces);
    p->together = hl_alloc((size_t)g->n_nodes, sizeof *p->together);
    return p->together && p->storages && p->locations && p->calls && p->call_nodes && p->views &&
           p->workspaces;
}

static hl_status fill_plan(hl_plan *p, hl_error *err)
{
    int *order = hl_alloc((size_t)p->graph->n_nodes, sizeof *order), *uses = hl_graph_uses(p->graph);
    hl_status status = HL_OK;
    if (!order || !uses || !allocate(p))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to plan %d nodes", p->graph->n_nodes);
    if (status == HL_OK)
        status = hl_schedule(p->graph, order, err);
    if (status == HL_OK) {
        p->locations[0].storage = -1;
        locate(p, order, uses);
        status = make_calls(p, order, err);
    }
    if (status == HL_OK)
        status = place_storages(p, err);
    if (status == HL_OK) {
        group_calls(p);
        account(p);
    }
    hl_free(order);
    hl_free(uses);
    return status;
}

hl_plan *hl_plan_new(const hl_graph *g, const hl_session_options *options, hl_error *err)
{
    static const hl_session_options none = {0};
    options = options ? options : &none;
    int ordinal = 0;
    const hl_backend *backend = hl_backend_find(options->device, &ordinal, err);
    if (!backend)
        return NULL;
    if (options->precision == HL_PRECISION_TF32 && !backend->device) {
        hl_fail(err, HL_ERR_UNSUPPORTED, "precision tf32 is computed by GPUs only; on device '%s' use fp32",
                backend->name);
        return NULL;
    }
    hl_plan *p = hl_alloc(1, sizeof *p);
    if (!p) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for a plan");
        return NULL;
    }
    p->backend = backend;
    p->ordinal = ordinal;
    snprintf(p->device, sizeof p->device, backend->device ? "%s:%d" : "%s", backend->name, ordinal);
    p->frozen = options->frozen;
    p->graph = hl_compile(g, options->precision, err);
    if (!p->graph || fill_plan(p, err) != HL_OK) {
        hl_plan_free(p);
        return NULL;
    }
    return p;
}

void hl_plan_free(hl_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_calls; i++)
        if (p->calls[i].kernel->release)
            p->calls[i].kernel->release(&p->calls[i]);
    hl_free(p->storages);
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
                                                    "packed",     "input/output"};
    return kind < HL_MEM_KINDS ? names[kind] : "?";
}
