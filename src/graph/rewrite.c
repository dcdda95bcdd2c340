#include "graph/graph.h"

#include "base/error.h"

static bool copy_node(hl_rewrite *r, const hl_node *n, hl_tensor *in, hl_tensor *out)
{
    hl_node *copy = hl_graph_append(r->g, n->op, n->n_in, in, n->params);
    for (int k = 0; k < n->n_out; k++)
        out[k] = hl_node_output(copy, k);
    return copy != NULL;
}

static bool rewrite_nodes(hl_rewrite *r, hl_rewrite_rule rule)
{
    for (int i = 0; i < r->old->n_nodes; i++) {
        const hl_node *n = r->old->nodes[i];
        hl_tensor *in = hl_alloc((size_t)n->n_in + (size_t)n->n_out + 1, sizeof *in);
        if (!in)
            return false;
        hl_tensor *out = in + n->n_in;
        hl_graph_set_label(r->g, n->label);
        for (int k = 0; k < n->n_in; k++)
            in[k] = r->map[n->in[k].id];
        if (!rule || !rule(r, n, in, out))
            copy_node(r, n, in, out);
        for (int k = 0; k < n->n_out; k++)
            r->map[n->first_out + k] = out[k];
        hl_free(in);
        if (r->g->failed)
            return true; /* the error is in the graph */
    }
    hl_graph_set_label(r->g, r->old->label);
    for (int i = 0; i < r->old->n_outputs; i++)
        hl_output(r->g, r->old->outputs[i].name, r->map[r->old->outputs[i].tensor.id]);
    return true;
}

hl_graph *hl_graph_rewrite(const hl_graph *old, hl_rewrite_rule rule, void *context)
{
    int *uses = hl_graph_uses(old);
    hl_rewrite r = {.old = old, .g = hl_graph_new(), .uses = uses, .context = context};
    r.map = hl_alloc((size_t)old->n_tensors, sizeof *r.map);
    bool ok = r.g && r.map && uses;
    if (ok) {
        r.g->streams = old->streams;
        r.g->precision = old->precision;
        ok = rewrite_nodes(&r, rule);
    }
    hl_free(uses);
    hl_free(r.map);
    if (!ok) {
        hl_graph_free(r.g);
        return NULL;
    }
    return r.g;
}
