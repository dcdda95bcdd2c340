/* Frozen sessions: weights lie as their kernels want them, packed once for all frozen sessions of the store,
 * and what is then read no more is let go. */
#include "base/error.h"
#include "run/plan_parts.h"
#include "run/session.h"

/* Whether the session has a packed form for all that reads this storage. */
static bool has_packed(const hl_session *s, int storage)
{
    const hl_plan *p = s->plan;
    for (int i = 0; i < p->n_calls; i++)
        if (p->calls[i].pack_bytes && !s->packed[i] && hl_plan_packed_storage(p, i) == storage)
            return false;
    return hl_plan_only_packed(p, storage);
}

void hl_session_take_packed(hl_session *s)
{
    const hl_plan *p = s->plan;
    for (int i = 0; i < p->n_calls; i++) {
        if (!p->calls[i].pack_bytes)
            continue;
        const hl_packing what = hl_plan_packing(p, i);
        s->packed[i] = hl_params_take_packed(s->params, &what);
    }
    for (int i = 0; i < p->n_storages; i++)
        if (p->storages[i].kind == HL_IN_STORE && has_packed(s, i))
            s->uses.at[p->storages[i].use].let_go = true;
}

void hl_session_release_packed(hl_session *s)
{
    for (int i = 0; s->packed && i < s->plan->n_calls; i++)
        if (s->packed[i])
            hl_params_release_packed(s->params, s->packed[i]);
}

/* Calls of one session share, too. */
static hl_status pack_calls(hl_session *s, hl_error *err)
{
    hl_plan *p = s->plan;
    hl_status status = HL_OK;
    for (int i = 0; i < p->n_calls && status == HL_OK; i++) {
        hl_call *c = &p->calls[i];
        if (!c->pack_bytes)
            continue;
        const hl_packing what = hl_plan_packing(p, i);
        const hl_param_use *use = &s->uses.at[p->storages[hl_plan_packed_storage(p, i)].use];
        if (!s->packed[i])
            s->packed[i] = hl_params_take_packed(s->params, &what);
        if (!s->packed[i])
            status = hl_params_pack(s->params, &what, c, use->data, &s->packed[i], err);
        if (status == HL_OK)
            c->packed = hl_packed_data(s->packed[i]);
    }
    return status;
}

/* Whether some call reads this form of an entry of the store as it lies. */
static bool reads(const hl_plan *p, int param, hl_dtype dtype)
{
    for (int i = 0; i < p->n_storages; i++) {
        const hl_param_use *use = &p->uses[p->storages[i].use];
        if (p->storages[i].kind == HL_IN_STORE && use->param == param && use->dtype == dtype &&
            hl_plan_reads(p, i))
            return true;
    }
    return false;
}

/* Lets go of what nothing reads any more on the host: what was packed or went to the device, and parameters
 * of which only a copy is read. */
static void let_go(hl_session *s)
{
    const hl_plan *p = s->plan;
    for (int i = 0; i < p->n_storages; i++) {
        const hl_storage *st = &p->storages[i];
        if (st->kind != HL_IN_STORE || s->uses.at[st->use].let_go)
            continue;
        const hl_param_use use = s->uses.at[st->use];
        if (use.copy && (s->table || !reads(p, use.param, HL_F32)))
            hl_params_release_data(s->params, use.param, HL_F32);
        if (hl_plan_reads(p, i) && !s->table)
            continue;
        if (!s->table)
            hl_params_let_go(s->params, &s->uses, st->use, s->holds[0].buffer);
        hl_params_release_data(s->params, use.param, use.dtype);
    }
}

hl_status hl_session_freeze(hl_session *s, hl_error *err)
{
    hl_status status = pack_calls(s, err);
    if (status != HL_OK)
        return status;
    let_go(s);
    hl_session_address(s, 0);
    return HL_OK;
}
