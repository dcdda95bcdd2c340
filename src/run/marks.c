/* Points in time of a step: on the host read from the clock, on a device marks of its queue. Each of the
 * steps that may be under way has marks of its own, so a recorded step that sets some is recorded for each.
 */
#include "base/process.h"
#include "run/session.h"

void hl_session_begin_marks(hl_session *s)
{
    s->marking[s->started % HL_STEPS] = s->profile    ? HL_MARK_CALLS
                                        : s->parts.on ? HL_MARK_PARTS
                                                      : HL_MARK_NOTHING;
}

static int mark_of(const hl_session *s, int slot, int at)
{
    return slot * (s->plan->n_calls + HL_MARKS) + at;
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
