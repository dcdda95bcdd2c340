/* A session's kernel calls: what each computes and moves, and how long it took. */
#include "base/error.h"
#include "run/session.h"

#include <string.h>

void hl_session_profile(hl_session *s, bool on)
{
    if (on && !s->profile) {
        memset(s->seconds, 0, (size_t)s->plan->n_calls * sizeof *s->seconds);
        s->profiled_runs = 0;
    }
    s->profile = on;
}

/* Time is told for a group at its first call. */
void hl_profile_add(hl_session *s, int slot)
{
    const hl_plan *p = s->plan;
    if (!s->profile || s->marking[slot] != HL_MARK_CALLS)
        return;
    for (int i = 0; i < p->n_calls; i += p->together[i])
        s->seconds[i] += hl_session_between(s, slot, i, i + p->together[i]);
    s->profiled_runs++;
}

static double bytes_of(const hl_view *v)
{
    return (double)v->count * (double)hl_dtype_size(v->dtype);
}

/* x of x * x is read once. */
static bool is_repeated(const hl_node *n, int operand)
{
    for (int k = 0; k < operand; k++)
        if (n->in[k].id == n->in[operand].id)
            return true;
    return false;
}

int hl_session_calls(const hl_session *s)
{
    return s->plan->n_calls;
}

hl_call_info hl_session_call(const hl_session *s, int index)
{
    const hl_plan *p = s->plan;
    if (index < 0 || index >= p->n_calls)
        return (hl_call_info){0};
    const hl_call *c = &p->calls[index];
    const hl_node *n = p->call_nodes[index];
    hl_call_info info = {.index = index,
                         .op = c->kernel->op,
                         .kernel = c->kernel->name,
                         .section = n->label.section,
                         .phase = n->label.phase,
                         .flops = hl_node_flops(p->graph, n),
                         .seconds = s->seconds[index],
                         .runs = s->profiled_runs};
    hl_call_print_shapes(c, info.shapes, sizeof info.shapes);
    for (int k = 0; k < c->n_in; k++) {
        if (n->op->reads_part && k == 0)
            info.bytes_read += (double)c->out[0].count * (double)hl_dtype_size(c->in[0].dtype);
        else if (c->pack_bytes && c->pack_input == k)
            info.bytes_read += (double)c->pack_bytes;
        else if (n->in[k].id && !is_repeated(n, k))
            info.bytes_read += bytes_of(&c->in[k]);
    }
    for (int k = 0; k < c->n_out; k++)
        info.bytes_written += bytes_of(&c->out[k]);
    return info;
}
