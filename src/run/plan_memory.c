/* A plan's arena, and the account of its bytes. */
#include "run/plan_parts.h"

#include "base/error.h"
#include "compile/passes.h"

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

hl_status hl_plan_place(hl_plan *p, hl_error *err)
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
    hl_placement placement;
    hl_status status = hl_place(blocks, n, p->n_calls + 1, !hl_pass_disabled("reuse"), &placement, err);
    n = 0;
    for (int i = 0; i < p->n_storages; i++) {
        if (!is_scratch(&p->storages[i]))
            continue;
        p->storages[i].block = blocks[n++];
        p->storages[i].block.offset += crossing;
    }
    p->memory.arena = placement.bytes + crossing;
    p->memory.lower_bound = placement.lower_bound + crossing;
    p->memory.peak_step = placement.fullest < p->n_calls || !p->n_calls ? placement.fullest : p->n_calls - 1;
    hl_free(blocks);
    return status;
}

/* Bytes of each category that are alive at one call. */
static void count_alive(const hl_plan *p, int step, size_t by_kind[HL_MEM_KINDS])
{
    by_kind[HL_MEM_IO] += hl_size_align(sizeof(hl_clock), HL_ALIGN);
    for (int i = 0; i < p->n_storages; i++) {
        const hl_storage *s = &p->storages[i];
        if (s->kind == HL_IN_ARENA && (s->traffic || (s->block.first <= step && step <= s->block.last)))
            by_kind[s->category] += s->block.bytes;
    }
}

void hl_plan_account(hl_plan *p)
{
    hl_memory *m = &p->memory;
    m->peak_op = p->n_calls ? p->call_nodes[m->peak_step]->op->name : NULL;
    count_alive(p, m->peak_step, m->by_kind);
    for (int i = 0; i < p->n_calls; i++)
        m->by_kind[HL_MEM_PACKED] += hl_plan_packs_first(p, i) ? p->calls[i].pack_bytes : 0;
    for (int i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == HL_IN_STORE && !hl_plan_only_packed(p, i))
            m->by_kind[p->storages[i].category] += p->storages[i].block.bytes;
    m->total = m->arena + m->by_kind[HL_MEM_PARAMETERS] + m->by_kind[HL_MEM_COPIES] +
               m->by_kind[HL_MEM_OPTIMIZER] + m->by_kind[HL_MEM_PACKED];
}
