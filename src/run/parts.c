/* Parts of a step: the calls of one section and phase, together, and on a device what the step moves. */
#include "base/error.h"
#include "run/session.h"

#include <string.h>

static int part_of(hl_parts *parts, const char *section, hl_phase phase)
{
    int i = 0;
    while (i < parts->n && (parts->list[i].phase != phase || strcmp(parts->list[i].section, section)))
        i++;
    if (i == parts->n)
        parts->list[parts->n++] = (hl_part){.section = section, .phase = phase};
    return i;
}

bool hl_parts_open(hl_session *s)
{
    const hl_plan *p = s->plan;
    hl_parts *parts = &s->parts;
    parts->list = hl_alloc((size_t)p->n_calls + 2, sizeof *parts->list);
    parts->of = hl_alloc((size_t)p->n_calls + 1, sizeof *parts->of);
    if (!parts->list || !parts->of)
        return false;
    if (s->table)
        part_of(parts, "input copy", HL_PHASE_FORWARD);
    for (int i = 0; i < p->n_calls; i += p->together[i])
        for (int k = i; k < i + p->together[i]; k++)
            parts->of[k] = part_of(parts, p->call_nodes[i]->label.section, p->call_nodes[i]->label.phase);
    if (s->table)
        part_of(parts, "output copy", HL_PHASE_FORWARD);
    return true;
}

void hl_parts_close(hl_session *s)
{
    hl_free(s->parts.list);
    hl_free(s->parts.of);
}

bool hl_parts_change(const hl_session *s, int call)
{
    return call <= 0 || call >= s->plan->n_calls || s->parts.of[call] != s->parts.of[call - 1];
}

/* The calls from one change of parts to the next are timed together. */
static void take_calls(hl_session *s, int slot)
{
    const int n = s->plan->n_calls;
    for (int first = 0, end; first < n; first = end) {
        for (end = first + 1; !hl_parts_change(s, end);)
            end++;
        s->parts.list[s->parts.of[first]].seconds += hl_session_between(s, slot, first, end);
    }
}

void hl_parts_take(hl_session *s, int slot)
{
    hl_parts *parts = &s->parts;
    const int n = s->plan->n_calls;
    if (s->marking[slot] == HL_MARK_NOTHING)
        return;
    for (int i = 0; i < parts->n; i++)
        parts->list[i].seconds = 0;
    take_calls(s, slot);
    if (!s->table)
        return;
    parts->list[0].seconds = hl_session_between(s, slot, n + HL_BEFORE_INPUTS, 0);
    parts->list[parts->n - 1].seconds = hl_session_between(s, slot, n, n + HL_AFTER_OUTPUTS);
}

void hl_session_time_parts(hl_session *s, bool on)
{
    s->parts.on = on;
}

int hl_session_parts(const hl_session *s)
{
    return s->parts.n;
}

hl_part hl_session_part(const hl_session *s, int index)
{
    if (index < 0 || index >= s->parts.n)
        return (hl_part){0};
    return s->parts.list[index];
}
