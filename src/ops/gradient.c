/* A derivative as an expression: one node that stands for d loss / d wrt[i] until the compiler's
 * `differentiate` pass replaces it. So what can be simplified is simplified before it is
 * differentiated, and its gradient is never built. */
#include "ops/ops.h"

static bool gradient_shape(hl_graph *g, hl_node *n)
{
    if (hl_node_in(g, n, 0)->count != 1) {
        hl_graph_fail(g, "gradient: the loss must be one number, it is %s",
                      hl_shape_print(hl_node_in(g, n, 0)->shape).text);
        return false;
    }
    for (int k = 1; k < n->n_in; k++)
        hl_node_out(g, n, k - 1, HL_F32, hl_node_in(g, n, k)->shape);
    return hl_want_dtypes(g, n) && !g->failed;
}

const hl_op_def hl_op_gradient = {.name = "gradient",
                                  .min_in = 1,
                                  .max_in = -1,
                                  .n_out = -1,
                                  .phase = HL_PHASE_BACKWARD,
                                  .shape = gradient_shape};

void hl_gradient(hl_graph *g, hl_tensor loss, int n, const hl_tensor *wrt, hl_tensor *gradients)
{
    hl_node *node = NULL;
    hl_tensor *in = g && !g->failed ? hl_arena_alloc(g->arena, (size_t)n + 1, sizeof *in) : NULL;
    if (in) {
        in[0] = loss;
        for (int k = 0; k < n; k++)
            in[k + 1] = wrt[k];
        node = hl_graph_append(g, &hl_op_gradient, n + 1, in, NULL);
    } else if (g) {
        hl_graph_fail(g, "no memory for a gradient of %d tensors", n);
    }
    for (int k = 0; k < n; k++)
        gradients[k] = hl_node_output(node, k);
}
