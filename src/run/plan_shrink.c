/* A smaller plan: values that nothing touches at the fullest moment are let go, and computed again when they
 * are read next. One after another, those first that give most bytes for the work. */
#include "run/plan_parts.h"

#include "base/error.h"
#include "compile/passes.h"
#include "compile/recompute.h"
#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

typedef struct search {
    const hl_graph *g;       /* compiled, and nothing computed again */
    const char *sections;    /* where values may go; NULL: everywhere */
    hl_let_go *let_go;       /* what has been decided: by node of g */
    const hl_plan *plan;     /* that comes of it */
    const hl_origin *origin; /* by node of the plan */
    int at, now;             /* the node of the plan at which it is fullest, and its place in g */
    int *base;               /* by tensor of the plan: what it is a view of */
    int *next;               /* by such a base: the place of its first reader at or after `at`, or -1 */
    int *last;               /* by tensor of g: the last place where some copy of it is read, or -1 */
    int *chosen, n_chosen;   /* nodes of g that go together */
} search;

/* ------------------------------------------------------------------ who reads what when */

static bool is_view(const hl_graph *g, const hl_node *n)
{
    int64_t offset;
    return n->op->view && n->op->view(g, n, &offset);
}

/* The node of g that a node of the plan is. */
static const hl_node *original(const search *s, const hl_node *n)
{
    return s->g->nodes[s->origin[n->index].node];
}

/* The tensor of g that a tensor of the plan is. */
static int original_tensor(const search *s, int id)
{
    const hl_tensor_info *t = &s->plan->graph->tensors[id];
    return original(s, t->node)->first_out + t->output;
}

static void read_at(search *s, hl_tensor t, int node)
{
    int b = s->base[t.id], place = s->origin[node].place;
    if (!b)
        return;
    int *last = &s->last[original_tensor(s, b)];
    *last = place > *last ? place : *last;
    if (node >= s->at && s->next[b] < 0)
        s->next[b] = place;
}

static void find_reads(search *s)
{
    const hl_graph *g = s->plan->graph;
    for (int i = 0; i < g->n_tensors; i++)
        s->next[i] = -1;
    for (int i = 0; i < s->g->n_tensors; i++)
        s->last[i] = -1;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        bool view = is_view(g, n);
        for (int k = 0; k < n->n_out; k++)
            s->base[n->first_out + k] = view ? s->base[n->in[0].id] : n->first_out + k;
        for (int k = 0; k < n->n_in && !view; k++)
            read_at(s, n->in[k], i);
    }
    for (int i = 0; i < g->n_outputs; i++)
        read_at(s, g->outputs[i].tensor, g->n_nodes - 1);
}

/* ------------------------------------------------------------------ what may go */

static bool allowed(const search *s, const char *section)
{
    size_t n = strlen(section);
    if (s->sections && !strcmp(s->sections, "*"))
        return true;
    for (const char *list = s->sections; list; list = *list ? list + 1 : NULL) {
        size_t length = strcspn(list, ",");
        if (length == n && !strncmp(list, section, n))
            return true;
        list += length;
    }
    return !s->sections;
}

static bool is_leaf(const hl_node *n)
{
    return n->op == &hl_op_input || n->op == &hl_op_param;
}

static bool may_go(const search *s, const hl_node *n)
{
    const hl_node *o = original(s, n);
    const hl_let_go *l = &s->let_go[o->index];
    for (int k = 0; k < n->n_out; k++)
        if (s->plan->storages[s->plan->locations[n->first_out + k].storage].pinned)
            return false;
    return !is_leaf(o) && !o->op->updates && o->label.phase == HL_PHASE_FORWARD && l->n < HL_RECOMPUTE_MOST &&
           !(l->n && l->after[l->n - 1] == s->now) && allowed(s, o->label.section);
}

/* Whether some copy of a value is there after the fullest moment anyway. */
static bool stays(const search *s, int base)
{
    return is_leaf(s->plan->graph->tensors[base].node) || s->last[original_tensor(s, base)] > s->now;
}

static bool is_chosen(const search *s, int node)
{
    for (int i = 0; i < s->n_chosen; i++)
        if (s->chosen[i] == node)
            return true;
    return false;
}

/* Adds a node and what has to be computed again for it: what it reads that will be gone. False if that may
 * not go. */
static bool choose(search *s, const hl_node *n, double *flops)
{
    const hl_graph *g = s->plan->graph;
    int node = original(s, n)->index;
    if (is_chosen(s, node))
        return true;
    if (!may_go(s, n))
        return false;
    s->chosen[s->n_chosen++] = node;
    *flops += hl_node_flops(g, n);
    for (int k = 0; k < n->n_in; k++) {
        int base = s->base[n->in[k].id];
        if (base && !stays(s, base) && !choose(s, g->tensors[base].node, flops))
            return false;
    }
    return true;
}

/* Bytes that nothing touches at the fullest moment, between one use and the next. */
static size_t idle_bytes(const search *s, const hl_node *n)
{
    size_t bytes = 0;
    for (int k = 0; k < n->n_out; k++) {
        const hl_tensor_info *t = &s->plan->graph->tensors[n->first_out + k];
        if (s->next[n->first_out + k] > s->now)
            bytes += (size_t)t->count * hl_dtype_size(t->dtype);
    }
    return bytes;
}

/* ------------------------------------------------------------------ one decision */

/* Chooses the nodes that give most bytes for their work; returns the bytes, 0: there are none. */
static size_t choose_best(search *s)
{
    const hl_graph *g = s->plan->graph;
    const hl_node *best_node = NULL;
    size_t best_bytes = 0;
    double best = 0, flops;
    for (int i = 0; i < s->at; i++) {
        const hl_node *n = g->nodes[i];
        size_t bytes = is_view(g, n) || !may_go(s, n) ? 0 : idle_bytes(s, n);
        s->n_chosen = 0;
        flops = 1;
        if (!bytes || !choose(s, n, &flops) || (double)bytes / flops <= best)
            continue;
        best = (double)bytes / flops;
        best_node = n;
        best_bytes = bytes;
    }
    s->n_chosen = 0;
    return best_node && choose(s, best_node, &flops) ? best_bytes : 0;
}

/* Lets go of so many bytes of the fullest moment. False if nothing could go. */
static bool decide(search *s, size_t goal)
{
    size_t gone = 0;
    for (size_t bytes; gone < goal && (bytes = choose_best(s)); gone += bytes) {
        for (int i = 0; i < s->n_chosen; i++) {
            hl_let_go *l = &s->let_go[s->chosen[i]];
            l->after[l->n++] = s->now;
        }
    }
    for (int i = 0; i < s->g->n_nodes; i++) /* a view goes with what it is a view of */
        if (is_view(s->g, s->g->nodes[i]))
            s->let_go[i] = s->let_go[hl_info(s->g, s->g->nodes[i]->in[0])->node->index];
    return gone > 0;
}

/* ------------------------------------------------------------------ the search */

/* The plan of all that has been decided. NULL with a sentence. */
static hl_plan *plan_again(const search *s, const hl_plan_target *target, hl_origin **origin, hl_error *err)
{
    hl_free(*origin);
    hl_graph *g = hl_recompute(s->g, s->let_go, origin);
    if (!g || g->failed) {
        hl_fail(err, HL_ERR_MEMORY, "%s", g ? g->error : "no memory to plan what is computed again");
        hl_graph_free(g);
        return NULL;
    }
    return hl_plan_graph(g, target, err);
}

static void look_at(search *s, const hl_plan *p, const hl_origin *origin)
{
    s->plan = p;
    s->origin = origin;
    s->at = p->n_calls ? p->call_nodes[p->memory.peak_step]->index : 0;
    s->now = origin[s->at].place;
    find_reads(s);
}

/* Decides until the plan fits, or nothing is left to decide; the smallest on the way. */
static hl_plan *find_smallest(search *s, const hl_plan_target *target, size_t budget, hl_error *err)
{
    enum { STEPS = 32 }; /* a part of the arena goes, then it is fullest elsewhere */
    hl_plan *best = NULL, *now;
    hl_origin *origin = NULL;
    bool more = true;
    while (more && (now = plan_again(s, target, &origin, err))) {
        look_at(s, now, origin);
        more = !(budget && now->memory.total <= budget) && decide(s, now->memory.arena / STEPS + 1);
        bool smaller = !best || now->memory.total < best->memory.total;
        hl_plan_free(smaller ? best : now);
        best = smaller ? now : best;
    }
    hl_free(origin);
    if (!more)
        return best;
    hl_plan_free(best);
    return NULL;
}

static hl_plan *shrink(const hl_plan *p, const hl_plan_target *target, const hl_session_options *o,
                       hl_error *err)
{
    size_t nodes = (size_t)p->graph->n_nodes, tensors = (size_t)p->graph->n_tensors;
    size_t most = (1 + HL_RECOMPUTE_MOST) * tensors; /* of a plan */
    search s = {.g = p->graph, .sections = o->recompute};
    hl_plan *smallest = NULL;
    int *room = hl_alloc(2 * most + tensors + nodes, sizeof *room);
    s.let_go = hl_alloc(nodes, sizeof *s.let_go);
    if (room && s.let_go) {
        s.base = room;
        s.next = s.base + most;
        s.last = s.next + most;
        s.chosen = s.last + tensors;
        smallest = find_smallest(&s, target, o->budget, err);
    } else {
        hl_fail(err, HL_ERR_MEMORY, "no memory to plan what is computed again");
    }
    hl_free(room);
    hl_free(s.let_go);
    return smallest;
}

/* ------------------------------------------------------------------ what was asked for */

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void refuse(const hl_plan *p, const hl_session_options *o, hl_error *err)
{
    char parts[512];
    size_t used = 0;
    for (int k = 0; k < HL_MEM_KINDS; k++)
        if (p->memory.by_kind[k] && used < sizeof parts)
            used += (size_t)snprintf(parts + used, sizeof parts - used, "%s%s %.1f", used ? ", " : "",
                                     hl_memory_kind_name((hl_memory_kind)k), mib(p->memory.by_kind[k]));
    hl_fail(
        err, HL_ERR_MEMORY,
        "at least %.1f MiB are needed (%s), %.1f MiB more than the budget of %.1f MiB; take a smaller batch, "
        "a lower precision%s or a larger budget",
        mib(p->memory.total), parts, mib(p->memory.total - o->budget), mib(o->budget),
        o->recompute ? ", more sections to compute again" : "");
}

static hl_status check_section(const hl_graph *g, const char *name, int length, hl_error *err)
{
    char known[256] = "";
    for (int i = 0; i < g->n_sections; i++) {
        size_t used = strlen(known);
        if (strlen(g->sections[i]) == (size_t)length && !strncmp(g->sections[i], name, (size_t)length))
            return HL_OK;
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", g->sections[i]);
    }
    return hl_fail(err, HL_ERR_USAGE, "recompute: there is no section '%.*s' in this graph; it has: %s",
                   length, name, known[0] ? known : "none");
}

static hl_status check_sections(const hl_graph *g, const char *list, hl_error *err)
{
    hl_status status = HL_OK;
    for (bool more = list && strcmp(list, "*"); more && status == HL_OK;) {
        int length = (int)strcspn(list, ",");
        status = check_section(g, list, length, err);
        more = list[length];
        list += length + more;
    }
    return status;
}

hl_plan *hl_plan_shrink(hl_plan *p, const hl_plan_target *target, const hl_session_options *o, hl_error *err)
{
    bool fits = !o->budget || p->memory.total <= o->budget;
    bool may = (o->recompute || o->budget) && !hl_pass_disabled("recompute");
    if (check_sections(p->graph, o->recompute, err) != HL_OK) {
        hl_plan_free(p);
        return NULL;
    }
    if (may && !(o->budget && fits)) {
        hl_plan *smallest = shrink(p, target, o, err);
        hl_plan_free(p);
        p = smallest;
    }
    if (p && o->budget && p->memory.total > o->budget) {
        refuse(p, o, err);
        hl_plan_free(p);
        p = NULL;
    }
    return p;
}
