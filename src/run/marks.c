/* Points in time of a step: on the host read from the clock, on a device marks of its queue. Each of the
 * steps that may be under way has marks of its own, so a recorded step that sets some is recorded for each.
 */
#include "base/process.h"
#include "run/session.h"

static int mark_of(const hl_session *s, int slot, int at)
{
    return slot * (s->plan->n_calls + HL_MARKS) + at;
}

/* The mark after all others lays a device's times on the host's clock. */
static int anchor(const hl_session *s)
{
    return mark_of(s, HL_STEPS, 0);
}

int hl_session_marks(const hl_session *s)
{
    return anchor(s) + 1;
}

/* A queue that has nothing to do reaches the anchor at once. */
static hl_status mark_anchor(hl_session *s, hl_error *err)
{
    hl_status status = s->table->mark(s->queue, anchor(s), err);
    s->anchored = hl_seconds();
    return status;
}

hl_status hl_session_begin_marks(hl_session *s, hl_error *err)
{
    hl_marking *marking = &s->marking[s->started % HL_STEPS];
    *marking = HL_MARK_NOTHING;
    if (s->parts.on)
        *marking = HL_MARK_PARTS;
    if (s->profile || hl_trace_wants(s))
        *marking = HL_MARK_CALLS;
    const bool idle = !s->pending || !s->anchored;
    return s->table && *marking == HL_MARK_CALLS && idle ? mark_anchor(s, err) : HL_OK;
}

hl_status hl_session_mark(hl_session *s, int at, hl_error *err)
{
    const int slot = (int)(s->started % HL_STEPS);
    const hl_marking marking = s->marking[slot];
    if (marking == HL_MARK_NOTHING || (marking == HL_MARK_PARTS && !hl_parts_change(s, at)))
        return HL_OK;
    if (s->table)
        return s->table->mark(s->queue, mark_of(s, slot, at), err);
    s->moments[at] = hl_seconds();
    return HL_OK;
}

double hl_session_between(const hl_session *s, int slot, int first, int second)
{
    if (s->table)
        return s->table->between(s->queue, mark_of(s, slot, first), mark_of(s, slot, second));
    return s->moments[second] - s->moments[first];
}

double hl_session_began(const hl_session *s, int slot)
{
    const int first = s->plan->n_calls + HL_BEFORE_INPUTS;
    if (s->table)
        return s->anchored + s->table->between(s->queue, anchor(s), mark_of(s, slot, first));
    return s->moments[first];
}
