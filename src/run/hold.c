/* A step and the store: it holds the version it reads from its start to its end, and publishes what it wrote.
 * Addresses change from version to version; calls are given new ones only then. */
#include "run/session.h"

#include <string.h>

static void address(hl_session *s, int first)
{
    bool same = true;
    for (int i = 0; i < s->uses.n; i++) {
        void **was = &s->addresses[2 * i];
        same = same && was[0] == s->uses.at[i].data && was[1] == s->uses.at[i].next;
        was[0] = s->uses.at[i].data;
        was[1] = s->uses.at[i].next;
    }
    if (!same)
        hl_session_address(s, first);
}

hl_status hl_session_hold(hl_session *s, hl_error *err)
{
    hl_hold *hold = &s->holds[s->started % HL_STEPS];
    if (s->plan->frozen)
        return HL_OK;
    hl_status status = hl_params_hold(s->params, &s->uses, false, hold->buffer, &hold->version, err);
    if (status == HL_OK)
        address(s, 0);
    return status;
}

hl_status hl_session_claim(hl_session *s, hl_hold *hold, hl_error *err)
{
    if (!hl_plan_updates(s->plan))
        return HL_OK;
    hl_status status = hl_params_claim(s->params, &s->uses, err);
    hold->claimed = status == HL_OK;
    if (hold->claimed)
        address(s, s->plan->first_update);
    return status;
}

void hl_session_let_go(hl_session *s, hl_hold *hold, bool done)
{
    if (s->plan->frozen)
        return;
    if (hold->claimed && done)
        hl_params_publish(s->params, &s->uses);
    else if (hold->claimed)
        hl_params_abandon(s->params, &s->uses);
    hold->claimed = false;
    hl_params_release(s->params, &s->uses, false, hold->buffer);
}
