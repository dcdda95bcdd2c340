#include "compile/recompute.h"

#include "base/error.h"

typedef struct copies {
    const hl_let_go *let_go; /* by old node */
    int *made;               /* by old node: in whose place what the map has of it was made */
    hl_origin *origin;       /* by new node */
} copies;

static void refresh(hl_rewrite *r, const hl_node *n, int place);

/* n once more in the new graph, reading what the map says now. */
static void append(hl_rewrite *r, const hl_node *n, int place)
{
    copies *c = r->context;
    hl_tensor *in = hl_arena_alloc(r->g->arena, (size_t)n->n_in + 1, sizeof *in);
    if (!in) {
        hl_graph_fail(r->g, "no memory to compute %s again", n->op->name);
        return;
    }
    for (int k = 0; k < n->n_in; k++)
        in[k] = r->map[n->in[k].id];
    const hl_node *now = hl_graph_append(r->g, n->op, n->n_in, in, n->params);
    for (int k = 0; k < n->n_out; k++)
        r->map[n->first_out + k] = hl_node_output(now, k);
    if (now)
        c->origin[now->index] = (hl_origin){n->index, place};
    c->made[n->index] = place;
}

static void copy(hl_rewrite *r, const hl_node *n, int place)
{
    hl_label reader = r->g->label;
    refresh(r, n, place);
    hl_graph_set_label(r->g, (hl_label){n->label.section, reader.phase, true});
    append(r, n, place);
    r->g->label = reader;
}

static bool is_gone(const copies *c, int node, int place)
{
    for (int i = 0; i < c->let_go[node].n; i++)
        if (c->let_go[node].after[i] >= c->made[node] && c->let_go[node].after[i] < place)
            return true;
    return false;
}

/* Copies what n reads and is gone by then. */
static void refresh(hl_rewrite *r, const hl_node *n, int place)
{
    for (int k = 0; k < n->n_in && !r->g->failed; k++) {
        const hl_node *from = n->in[k].id ? hl_info(r->old, n->in[k])->node : NULL;
        if (from && is_gone(r->context, from->index, place))
            copy(r, from, place);
    }
}

static bool rule(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    (void)in; /* of before the copies */
    refresh(r, n, n->index);
    append(r, n, n->index);
    for (int k = 0; k < n->n_out; k++)
        out[k] = r->map[n->first_out + k];
    return true;
}

hl_graph *hl_recompute(const hl_graph *g, const hl_let_go *let_go, hl_origin **origin)
{
    size_t n = (size_t)g->n_nodes;
    copies c = {.let_go = let_go, .made = hl_alloc(n, sizeof *c.made)};
    c.origin = hl_alloc((1 + HL_RECOMPUTE_MOST) * n, sizeof *c.origin);
    hl_graph *out = c.made && c.origin ? hl_graph_rewrite(g, rule, &c) : NULL;
    hl_free(c.made);
    if (!out) {
        hl_free(c.origin);
        c.origin = NULL;
    }
    *origin = c.origin;
    return out;
}
