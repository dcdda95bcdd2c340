/* What the calls of a plan pack, and which parameters are then read no more as they lie. */
#include "run/plan.h"

#include "base/error.h"

static bool packs(const hl_call *c, int operand)
{
    return c->pack_bytes && c->pack_input == operand;
}

bool hl_plan_reads(const hl_plan *p, int storage)
{
    for (int i = 0; i < p->n_calls; i++) {
        const hl_node *n = p->call_nodes[i];
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k].id && p->locations[n->in[k].id].storage == storage && !packs(&p->calls[i], k))
                return true;
    }
    return false;
}

bool hl_plan_only_packed(const hl_plan *p, int storage)
{
    bool packed = false;
    for (int i = 0; i < p->n_calls && !packed; i++)
        packed = p->calls[i].pack_bytes && hl_plan_packed_storage(p, i) == storage;
    return packed && !hl_plan_reads(p, storage);
}

static hl_location packed_location(const hl_plan *p, int call)
{
    return p->locations[p->call_nodes[call]->in[p->calls[call].pack_input].id];
}

int hl_plan_packed_storage(const hl_plan *p, int call)
{
    return packed_location(p, call).storage;
}

hl_packing hl_plan_packing(const hl_plan *p, int call)
{
    const hl_call *c = &p->calls[call];
    const hl_location at = packed_location(p, call);
    const hl_storage *s = &p->storages[at.storage];
    HL_ASSERT(s->kind == HL_IN_STORE); /* nothing else is constant */
    return (hl_packing){.param = p->uses[s->use].param,
                        .dtype = p->uses[s->use].dtype,
                        .on_device = p->backend->device != NULL,
                        .offset = at.offset,
                        .shape = c->in[c->pack_input].shape,
                        .kernel = c->kernel,
                        .bytes = c->pack_bytes,
                        .key = c->pack_key,
                        .key_bytes = c->pack_key_bytes};
}

bool hl_plan_packs_first(const hl_plan *p, int call)
{
    if (!p->calls[call].pack_bytes)
        return false;
    const hl_packing own = hl_plan_packing(p, call);
    for (int i = 0; i < call; i++) {
        if (!p->calls[i].pack_bytes)
            continue;
        const hl_packing other = hl_plan_packing(p, i);
        if (hl_packing_equal(&own, &other))
            return false;
    }
    return true;
}
