/* Two nodes of the same op with the same operands and parameters are one. Random ops differ by
 * their streams; leaves and updates are never joined. */
#include "compile/passes.h"

#include "ops/ops.h"

#include <string.h>

typedef struct table {
    const hl_node **slot; /* of the new graph; open addressing */
    size_t mask;
} table;

static uint64_t mix(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}

static bool same(const hl_node *a, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params)
{
    return a->op == op && a->n_in == n_in && (!n_in || !memcmp(a->in, in, (size_t)n_in * sizeof *in)) &&
           (!op->params_size || !memcmp(a->params, params, op->params_size));
}

static bool join(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    table *t = r->context;
    if (n->op->updates || n->op == &hl_op_input || n->op == &hl_op_param)
        return false;
    uint64_t h = mix(0xCBF29CE484222325u, &n->op, sizeof n->op);
    h = mix(h, in, (size_t)n->n_in * sizeof *in);
    h = mix(h, n->params, n->op->params_size);
    size_t at = (size_t)h & t->mask;
    while (t->slot[at] && !same(t->slot[at], n->op, n->n_in, in, n->params))
        at = (at + 1) & t->mask;
    if (!t->slot[at])
        t->slot[at] = hl_graph_append(r->g, n->op, n->n_in, in, n->params);
    for (int k = 0; k < n->n_out; k++)
        out[k] = hl_node_output(t->slot[at], k);
    return true;
}

hl_graph *hl_pass_common_subexpressions(const hl_graph *g)
{
    table t = {.mask = 63};
    while (t.mask < 2 * (size_t)g->n_nodes)
        t.mask = 2 * t.mask + 1;
    t.slot = hl_alloc(t.mask + 1, sizeof(hl_node *));
    if (!t.slot)
        return NULL;
    hl_graph *out = hl_graph_rewrite(g, join, &t);
    hl_free((void *)t.slot);
    return out;
}
