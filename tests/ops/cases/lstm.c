#include "tests/ops/cases.h"

/* size: B, T, I, H, reverse */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 3, s[0], s[1], s[2], 0);
    hl_tensor w_input = case_input(g, "w_input", 2, 4 * s[3], s[2], 0, 0);
    hl_tensor w_hidden = case_input(g, "w_hidden", 2, 4 * s[3], s[3], 0, 0);
    hl_tensor b_input = case_input(g, "b_input", 1, 4 * s[3], 0, 0, 0);
    hl_tensor b_hidden = case_input(g, "b_hidden", 1, 4 * s[3], 0, 0, 0);
    hl_output(g, "h", hl_lstm(g, x, w_input, w_hidden, b_input, b_hidden, s[4]));
}

/* All three outputs of the op. size: B, T, H, reverse, factor on x (large: saturated gates) */
static void build_op(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_lstm_params p = {s[3]};
    hl_tensor x = hl_scale(g, case_input(g, "x", 3, s[0], s[1], 4 * s[2], 0), s[4] ? (float)s[4] : 1.0f);
    hl_node *n = hl_graph_append(g, &hl_op_lstm, 2,
                                 (hl_tensor[]){x, case_input(g, "w", 2, 4 * s[2], s[2], 0, 0)}, &p);
    hl_output(g, "h", hl_node_output(n, 0));
    hl_output(g, "c", hl_node_output(n, 1));
    hl_output(g, "gates", hl_node_output(n, 2));
}

/* size: T, gates, rows of w, columns of w */
static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_lstm_params p = {false};
    hl_tensor in[] = {case_input(g, "x", 3, 2, s[0], s[1], 0), case_input(g, "w", 2, s[2], s[3], 0, 0)};
    hl_output(g, "h", hl_graph_apply(g, &hl_op_lstm, 2, in, &p));
}

#define STATES_WHY "the gradient is of h alone: c and gates are kept for it, not given out"

const hl_case cases_lstm[] = {
    {"all ones", build, .size = {1, 1, 1, 1, 0}},
    {"one step", build, .size = {3, 1, 5, 4, 0}},
    {"one step, reverse", build, .size = {3, 1, 5, 4, 1}},
    {"two steps", build, .size = {1, 2, 3, 3, 0}},
    {"two steps, reverse", build, .size = {1, 2, 3, 3, 1}},
    {"long", build, .size = {2, 17, 3, 5, 0}},
    {"long, reverse", build, .size = {2, 17, 3, 5, 1}},
    {"wide", build, .size = {3, 3, 7, 33, 0}},
    {"many sequences", build, .size = {70, 3, 2, 3, 1}},
    {"no sequences", build, .size = {0, 3, 2, 3, 0}},
    {"states", build_op, .size = {17, 5, 9, 0}, .no_gradient = STATES_WHY},
    {"states, reverse", build_op, .size = {3, 9, 17, 1}, .no_gradient = STATES_WHY},
    {"saturated", build_op, .size = {3, 7, 17, 0, 200}, .no_gradient = STATES_WHY},
    {"shared by threads", build_op, .size = {33, 5, 32, 0}, .no_gradient = STATES_WHY},
    {"misfit", build_misfit, .size = {3, 8, 12, 3},
     .error = "lstm: x [2,3,8] must be [B,T,4H] and w_hidden [12,3] must be [4H,H]"},
    {"w not square", build_misfit, .size = {3, 12, 12, 4}, .error = "w_hidden [12,4] must be [4H,H]"},
    {"no width", build_misfit, .size = {3, 0, 0, 0}, .error = "w_hidden [0,0] must be [4H,H]"},
    {"no steps", build_misfit, .size = {0, 12, 12, 3}, .error = "lstm: x [2,0,12] has no time steps"},
    {0},
};

/* size: B, T, H, reverse, steps more in c than fit */
static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_lstm_params p = {s[3]};
    hl_tensor in[] = {case_input(g, "dh", 3, s[0], s[1], s[2], 0),
                      case_input(g, "w", 2, 4 * s[2], s[2], 0, 0),
                      case_input(g, "c", 3, s[0], s[1] + s[4], s[2], 0),
                      case_input(g, "gates", 3, s[0], s[1], 4 * s[2], 0)};
    hl_output(g, "dx", hl_graph_apply(g, &hl_op_lstm_backward, 4, in, &p));
}

const hl_case cases_lstm_backward[] = {
    {"all ones", build_backward, .size = {1, 1, 1, 0}},
    {"one step, reverse", build_backward, .size = {3, 1, 5, 1}},
    {"steps", build_backward, .size = {2, 5, 3, 0}},
    {"steps, reverse", build_backward, .size = {2, 5, 3, 1}},
    {"wide", build_backward, .size = {3, 2, 33, 0}},
    {"many sequences", build_backward, .size = {70, 3, 3, 1}},
    {"no sequences", build_backward, .size = {0, 3, 2, 0}},
    {"misfit", build_backward, .size = {2, 3, 5, 0, 1},
     .error = "lstm_backward: dh [2,3,5] and c [2,4,5] must be [2,3,5]"},
    {0},
};
