#include "compile/schedule.h"

#include "base/error.h"

/* Readers of each tensor that have not run yet. */
static bool may_run(const hl_node *n, const int *unread, const bool *done_tensor)
{
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k].id && !done_tensor[n->in[k].id])
            return false;
    for (int k = 0; k < hl_node_updates(n); k++)
        if (unread[n->in[k].id] > 1) /* itself is one */
            return false;
    return true;
}

/* Views of a parameter read it too. */
static int root_of(const hl_graph *g, int id)
{
    for (;;) {
        const hl_node *n = g->tensors[id].node;
        int64_t offset;
        if (!n || !n->op->view || !n->op->view(g, n, &offset))
            return id;
        id = n->in[0].id;
    }
}

static void count_readers(const hl_graph *g, int *unread)
{
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++)
            unread[root_of(g, g->nodes[i]->in[k].id)]++;
}

hl_status hl_schedule(const hl_graph *g, int *order, hl_error *err)
{
    int *unread = hl_alloc((size_t)g->n_tensors, sizeof *unread);
    bool *done = hl_alloc((size_t)g->n_tensors + (size_t)g->n_nodes, sizeof *done);
    if (!unread || !done) {
        hl_free(unread);
        hl_free(done);
        return hl_fail(err, HL_ERR_MEMORY, "no memory to schedule %d nodes", g->n_nodes);
    }
    bool *ran = done + g->n_tensors;
    count_readers(g, unread);
    for (int count = 0, before = -1; count < g->n_nodes;) {
        HL_ASSERT(count != before); /* a round without progress: a cycle */
        before = count;
        for (int i = 0; i < g->n_nodes; i++) {
            const hl_node *n = g->nodes[i];
            if (ran[i] || !may_run(n, unread, done))
                continue;
            ran[i] = true;
            order[count++] = i;
            for (int k = 0; k < n->n_in; k++)
                unread[root_of(g, n->in[k].id)]--;
            for (int k = 0; k < n->n_out; k++)
                done[n->first_out + k] = true;
        }
    }
    hl_free(unread);
    hl_free(done);
    return HL_OK;
}
