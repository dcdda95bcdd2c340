#include "run/memory_map.h"

#include "base/error.h"
#include "ops/ops.h"
#include "run/plan_parts.h"

#include <stdio.h>

/* ------------------------------------------------------------------ names */

/* The operands of an update beyond what it updates are gradients, but for scalars. */
static const char *gradient_of(const hl_plan *p, int storage)
{
    for (int i = p->first_update; i < p->n_calls; i++) {
        const hl_node *n = p->call_nodes[i];
        const int updates = hl_node_updates(n);
        for (int k = updates; updates && k < n->n_in; k++)
            if (n->in[k].id && p->locations[n->in[k].id].storage == storage &&
                hl_info(p->graph, n->in[0])->node->op == &hl_op_param)
                return ((hl_param_params *)hl_info(p->graph, n->in[0])->node->params)->name;
    }
    return NULL;
}

static const char *output_in(const hl_plan *p, int storage)
{
    for (int i = 0; i < p->graph->n_outputs; i++)
        if (p->locations[p->graph->outputs[i].tensor.id].storage == storage)
            return p->graph->outputs[i].name;
    return NULL;
}

/* By what people know it as: inputs, outputs and parameters have names, other values the op that makes them.
 */
static void name_value(const hl_plan *p, const hl_tensor_info *t, int storage, hl_piece *piece)
{
    const char *gradient = piece->kind == HL_MEM_GRADIENTS ? gradient_of(p, storage) : NULL;
    const char *output = output_in(p, storage);
    const size_t size = sizeof piece->name;
    if (t->node->op == &hl_op_input)
        snprintf(piece->name, size, "%s", ((hl_input_params *)t->node->params)->name);
    else if (t->node->op == &hl_op_param && piece->kind == HL_MEM_COPIES)
        snprintf(piece->name, size, "%s in %s", ((hl_param_params *)t->node->params)->name,
                 hl_dtype_name(t->dtype));
    else if (t->node->op == &hl_op_param)
        snprintf(piece->name, size, "%s", ((hl_param_params *)t->node->params)->name);
    else if (gradient)
        snprintf(piece->name, size, "gradient of %s", gradient);
    else if (output)
        snprintf(piece->name, size, "%s", output);
    else
        snprintf(piece->name, size, "%s %s%s", t->node->op->name, hl_shape_print(t->shape).text,
                 t->node->label.again ? " again" : "");
}

/* ------------------------------------------------------------------ pieces */

static hl_piece *add(hl_memory_map *m, hl_memory_kind kind, size_t bytes, hl_label label)
{
    hl_piece *piece = &m->pieces[m->n++];
    *piece = (hl_piece){
        .section = label.section, .phase = label.phase, .kind = kind, .bytes = bytes, .last = m->n_calls - 1};
    return piece;
}

static void add_storage(hl_memory_map *m, const hl_storage *s, const hl_tensor_info *first, size_t *used)
{
    const int index = (int)(s - m->plan->storages);
    hl_piece *piece = add(m, s->category, s->block.bytes, first->node->label);
    piece->in_arena = s->kind == HL_IN_ARENA;
    piece->offset = piece->in_arena ? s->block.offset : used[s->category];
    used[s->category] += hl_size_align(piece->bytes, HL_ALIGN);
    if (piece->in_arena && !s->traffic) {
        piece->first = s->block.first;
        piece->last = s->block.last < piece->last ? s->block.last : piece->last;
    }
    name_value(m->plan, first, index, piece);
}

/* Each storage is named by the first value in it. */
static void add_values(hl_memory_map *m, bool *seen, size_t *used)
{
    const hl_plan *p = m->plan;
    for (int id = 1; id < p->graph->n_tensors; id++) {
        const int storage = p->locations[id].storage;
        if (storage < 0 || seen[storage])
            continue;
        seen[storage] = true;
        if (p->storages[storage].kind == HL_IN_ARENA || !hl_plan_only_packed(p, storage))
            add_storage(m, &p->storages[storage], hl_info(p->graph, (hl_tensor){id}), used);
    }
}

static void add_scratch(hl_memory_map *m, int call)
{
    const hl_plan *p = m->plan;
    const hl_node *n = p->call_nodes[call];
    if (p->workspaces[call] < 0)
        return;
    const hl_storage *s = &p->storages[p->workspaces[call]];
    hl_piece *piece = add(m, HL_MEM_WORKSPACE, s->block.bytes, n->label);
    piece->in_arena = true;
    piece->offset = s->block.offset;
    piece->first = piece->last = call;
    snprintf(piece->name, sizeof piece->name, "scratch of %s", n->op->name);
}

static void add_packed(hl_memory_map *m, int call, size_t *used)
{
    const hl_call *c = &m->plan->calls[call];
    const hl_node *n = m->plan->call_nodes[call];
    if (!hl_plan_packs_first(m->plan, call))
        return;
    const hl_node *source = hl_info(m->plan->graph, n->in[c->pack_input])->node;
    hl_piece *piece = add(m, HL_MEM_PACKED, c->pack_bytes, n->label);
    piece->offset = used[HL_MEM_PACKED];
    used[HL_MEM_PACKED] += hl_size_align(c->pack_bytes, HL_ALIGN);
    snprintf(piece->name, sizeof piece->name, "%s packed for %s",
             source->op == &hl_op_param ? ((hl_param_params *)source->params)->name : source->op->name,
             n->op->name);
}

static bool add_all(hl_memory_map *m)
{
    const hl_plan *p = m->plan;
    size_t used[HL_MEM_KINDS] = {0};
    bool *seen = hl_alloc((size_t)p->n_storages + 1, sizeof *seen);
    if (!seen)
        return false;
    hl_piece *clock = add(m, HL_MEM_IO, hl_size_align(sizeof(hl_clock), HL_ALIGN), (hl_label){.section = ""});
    clock->in_arena = true;
    snprintf(clock->name, sizeof clock->name, "seed and step");
    add_values(m, seen, used);
    for (int i = 0; i < p->n_calls; i++) {
        add_scratch(m, i);
        add_packed(m, i, used);
    }
    hl_free(seen);
    return true;
}

/* ------------------------------------------------------------------ the map */

static void count_alive(hl_memory_map *m)
{
    for (int i = 0; i < m->n; i++)
        for (int call = m->pieces[i].first; call <= m->pieces[i].last; call++)
            m->alive[call][m->pieces[i].kind] += m->pieces[i].bytes;
}

hl_memory_map *hl_memory_map_new(const hl_plan *p, hl_error *err)
{
    hl_memory_map *m = hl_alloc(1, sizeof *m);
    if (m) {
        m->plan = p;
        m->memory = p->memory;
        m->peak_section = p->n_calls ? p->call_nodes[p->memory.peak_step]->label.section : "";
        m->n_calls = p->n_calls;
        m->pieces = hl_alloc((size_t)p->n_storages + (size_t)p->n_calls + 1, sizeof *m->pieces);
        m->alive = hl_alloc((size_t)p->n_calls + 1, sizeof *m->alive);
    }
    if (!m || !m->pieces || !m->alive || !add_all(m)) {
        hl_memory_map_free(m);
        hl_fail(err, HL_ERR_MEMORY, "no memory for a map of what %d calls need", p->n_calls);
        return NULL;
    }
    count_alive(m);
    return m;
}

void hl_memory_map_free(hl_memory_map *m)
{
    if (!m)
        return;
    hl_free(m->pieces);
    hl_free(m->alive);
    hl_free(m);
}

/* Puts piece i among the n largest so far, which there is room for `most` of. Returns how many they are. */
static int insert(const hl_memory_map *m, int i, int *largest, int n, int most)
{
    int at = n;
    while (at > 0 && m->pieces[largest[at - 1]].bytes < m->pieces[i].bytes)
        at--;
    if (at == most)
        return n;
    n += n < most;
    for (int k = n - 1; k > at; k--)
        largest[k] = largest[k - 1];
    largest[at] = i;
    return n;
}

int hl_memory_map_largest(const hl_memory_map *m, int call, int most, int *largest)
{
    int n = 0;
    for (int i = 0; i < m->n; i++)
        if (m->pieces[i].first <= call && call <= m->pieces[i].last)
            n = insert(m, i, largest, n, most);
    return n;
}

double hl_memory_fragmentation(const hl_memory *memory)
{
    return memory->arena ? 1 - (double)memory->lower_bound / (double)memory->arena : 0;
}
