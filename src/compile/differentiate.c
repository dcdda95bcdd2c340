/* Reverse-mode differentiation: each gradient node becomes the backward nodes it stands for. */
#include "compile/passes.h"

#include "base/error.h"
#include "ops/ops.h"

/* Reverse accumulation over the nodes [0, nodes) of g, which grows meanwhile. */
typedef struct sweep {
    hl_graph *g;
    int nodes, tensors;
    bool *needed;       /* [tensors] lies on a way from wrt */
    hl_tensor *adjoint; /* [tensors] d loss / d tensor so far */
} sweep;

static void mark_needed(sweep *s, int n, const hl_tensor *wrt)
{
    for (int i = 0; i < n; i++)
        s->needed[wrt[i].id] = true;
    for (int i = 0; i < s->nodes; i++) {
        const hl_node *node = s->g->nodes[i];
        bool needed = false;
        for (int k = 0; k < node->n_in; k++)
            needed = needed || s->needed[node->in[k].id];
        for (int k = 0; k < node->n_out; k++)
            s->needed[node->first_out + k] |= needed;
    }
}

static void accumulate(sweep *s, hl_tensor to, hl_tensor d)
{
    hl_tensor *sum = &s->adjoint[to.id];
    *sum = sum->id ? hl_add(s->g, *sum, d) : d;
}

/* What is appended from here on is the backward of a node. */
static void set_backward_of(sweep *s, const hl_node *n)
{
    hl_graph_set_label(s->g, (hl_label){n->label.section, HL_PHASE_BACKWARD, false});
}

static void differentiate_node(sweep *s, const hl_node *n)
{
    hl_tensor dy[HL_OP_MAX_OUT] = {{0}};
    bool reached = false, needed_any = false;
    HL_ASSERT(n->n_out <= HL_OP_MAX_OUT);
    for (int k = 0; k < n->n_out; k++) {
        dy[k] = s->adjoint[n->first_out + k];
        reached = reached || dy[k].id;
    }
    bool *needed = hl_arena_alloc(s->g->arena, (size_t)n->n_in + 1, sizeof *needed);
    hl_tensor *dx = hl_arena_alloc(s->g->arena, (size_t)n->n_in + 1, sizeof *dx);
    if (!needed || !dx) {
        hl_graph_fail(s->g, "no memory for the gradient of %s", n->op->name);
        return;
    }
    for (int k = 0; k < n->n_in; k++) {
        needed[k] = n->in[k].id && s->needed[n->in[k].id];
        needed_any = needed_any || needed[k];
    }
    if (!reached || !needed_any)
        return;
    if (!n->op->gradient) {
        hl_graph_fail(s->g, "gradient: the op %s has no derivative", n->op->name);
        return;
    }
    set_backward_of(s, n);
    n->op->gradient(s->g, n, dy, needed, dx);
    for (int k = 0; k < n->n_in && !s->g->failed; k++)
        if (needed[k] && dx[k].id)
            accumulate(s, n->in[k], dx[k]);
}

static void sweep_backward(sweep *s, int n, const hl_tensor *in, hl_tensor *out)
{
    hl_shape loss = hl_shape_of(s->g, in[0]);
    mark_needed(s, n, in + 1);
    set_backward_of(s, hl_info(s->g, in[0])->node);
    hl_tensor one = hl_fill(s->g, loss.rank, loss.dim, 1);
    if (s->g->failed)
        return;
    s->adjoint[in[0].id] = one;
    for (int i = s->nodes - 1; i >= 0 && !s->g->failed; i--)
        differentiate_node(s, s->g->nodes[i]);
    for (int i = 0; i < n && !s->g->failed; i++) {
        hl_shape shape = hl_shape_of(s->g, in[i + 1]);
        out[i] = s->adjoint[in[i + 1].id];
        if (!out[i].id)
            out[i] = hl_fill(s->g, shape.rank, shape.dim, 0);
    }
}

static bool expand_gradient(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    if (n->op != &hl_op_gradient)
        return false;
    sweep s = {.g = r->g, .nodes = r->g->n_nodes, .tensors = r->g->n_tensors};
    s.needed = hl_alloc((size_t)s.tensors, sizeof *s.needed);
    s.adjoint = hl_alloc((size_t)s.tensors, sizeof *s.adjoint);
    if (s.needed && s.adjoint)
        sweep_backward(&s, n->n_out, in, out);
    else
        hl_graph_fail(r->g, "no memory to differentiate %d nodes", s.nodes);
    hl_free(s.needed);
    hl_free(s.adjoint);
    return true;
}

hl_graph *hl_pass_differentiate(const hl_graph *g)
{
    return hl_graph_rewrite(g, expand_gradient, NULL);
}
