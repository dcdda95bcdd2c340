/* Where each value of a plan lies: in the arena, in the store, or on another value. */
#include "run/plan_parts.h"

#include "compile/passes.h"
#include "ops/ops.h"

int hl_plan_add_storage(hl_plan *p, hl_place_kind kind, size_t bytes, hl_memory_kind category, int first)
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

static hl_memory_kind category_of(const hl_plan *p, const hl_param_params *param)
{
    if (param->role == HL_OPTIMIZER)
        return HL_MEM_OPTIMIZER;
    if (param->mapped && param->mapped_as == param->dtype && !p->backend->device)
        return HL_MEM_MAPPED;
    return param->copy ? HL_MEM_COPIES : HL_MEM_PARAMETERS;
}

static void locate_output(hl_plan *p, const hl_node *n, int k, int step, const int *reads)
{
    const hl_tensor_info *t = hl_info(p->graph, hl_node_output(n, k));
    hl_location *at = &p->locations[n->first_out + k];
    int64_t offset = 0;
    if (n->op == &hl_op_param) {
        const hl_param_params *param = n->params;
        at->storage = hl_plan_add_storage(p, HL_IN_STORE, (size_t)t->count * hl_dtype_size(t->dtype),
                                          category_of(p, param), step);
        p->storages[at->storage].use = p->n_uses;
        p->uses[p->n_uses++] = (hl_param_use){
            .param = param->index, .dtype = param->dtype, .copy = param->copy};
        return;
    }
    if (k < hl_node_updates(n)) { /* the next value of a variable lies where the old one did, or apart */
        *at = p->locations[n->in[k].id];
        at->next = true;
        p->uses[p->storages[at->storage].use].updated = true;
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
            p->storages[at->storage].unread += reads[n->first_out];
            return;
        }
    }
    at->storage = hl_plan_add_storage(p, HL_IN_ARENA, (size_t)t->count * hl_dtype_size(t->dtype),
                                      HL_MEM_ACTIVATIONS, step);
    p->storages[at->storage].unread = reads[n->first_out + k];
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

bool hl_plan_makes_call(const hl_graph *g, const hl_node *n)
{
    int64_t offset;
    return n->op != &hl_op_input && n->op != &hl_op_param && !is_view(g, n, &offset);
}

void hl_plan_add_view_reads(const hl_graph *g, int *uses)
{
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        int64_t offset;
        const hl_node *n = g->nodes[i];
        if (is_view(g, n, &offset))
            uses[n->in[0].id] += uses[n->first_out];
    }
}

/* Every value gets a storage, in the order of running. Inputs are pinned before anything could be
 * written over them; an output's storage ends its life at the end. */
void hl_plan_locate(hl_plan *p, const int *order, const int *reads)
{
    const hl_graph *g = p->graph;
    int step = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[order[i]];
        for (int k = 0; k < n->n_out; k++)
            locate_output(p, n, k, step, reads);
        extend_life(p, n, step);
        if (n->op == &hl_op_input)
            pin(p, hl_node_output(n, 0), HL_GOES_IN, g->n_nodes);
        if (hl_plan_makes_call(g, n))
            step++;
    }
    for (int i = 0; i < g->n_outputs; i++)
        pin(p, g->outputs[i].tensor, HL_COMES_OUT, g->n_nodes);
}
