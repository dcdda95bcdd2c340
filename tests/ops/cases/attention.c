#include "tests/ops/cases.h"

/* size: batch of q, B, T, S, heads, D, percent dropped */
static void operands(hl_graph *g, const int64_t *s, hl_tensor *in)
{
    in[0] = case_input(g, "q", 3, s[0], s[2], s[4] * s[5], 0);
    in[1] = case_input(g, "k", 3, s[1], s[3], s[4] * s[5], 0);
    in[2] = case_input(g, "v", 3, s[1], s[3], s[4] * s[5], 0);
}

/* Scores are spread by a factor of 4, so that the softmax is not near to uniform. */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor in[3];
    (void)params;
    operands(g, s, in);
    hl_output(g, "y", hl_attention(g, hl_scale(g, in[0], 4), in[1], in[2], (int)s[4], (float)s[6] / 100));
}

static void build_lse(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_attention_params p = {(int)s[4], (float)s[6] / 100, 5};
    hl_tensor in[3];
    (void)params;
    operands(g, s, in);
    const hl_node *n = hl_graph_append(g, &hl_op_attention, 3, in, &p);
    hl_output(g, "y", hl_node_output(n, 0));
    hl_output(g, "lse", hl_node_output(n, 1));
}

/* Attention to itself: one tensor as query, key and value. */
static void build_self(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 3, s[1], s[2], s[4] * s[5], 0);
    hl_output(g, "y", hl_attention(g, x, x, x, (int)s[4], (float)s[6] / 100));
}

/* Two with dropout in one graph draw from two streams. */
static void build_two(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor in[3];
    (void)params;
    operands(g, s, in);
    hl_tensor a = hl_attention(g, in[0], in[1], in[2], (int)s[4], 0.5f);
    hl_output(g, "y", hl_sub(g, a, hl_attention(g, in[0], in[1], in[2], (int)s[4], 0.5f)));
}

/* size: dims of q, dims of k, dims of v, heads */
static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor q = case_input(g, "q", 3, s[0], s[1], s[2], 0), k = case_input(g, "k", 3, s[3], s[4], s[5], 0);
    hl_tensor v = case_input(g, "v", 3, s[6], s[7], s[8], 0);
    hl_output(g, "y", hl_attention(g, q, k, v, (int)s[9], 0));
}

static void build_flat(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 2, s[0], s[1], 0, 0);
    hl_output(g, "y", hl_attention(g, x, x, x, 1, 0));
}

#define LSE_WHY "lse is for the backward op alone"

const hl_case cases_attention[] = {
    {"all ones", build, .size = {1, 1, 1, 1, 1, 1, 0}},
    {"one key", build, .size = {3, 3, 2, 1, 2, 5, 0}},
    {"one key dropped", build, .size = {3, 3, 2, 1, 2, 5, 50}},
    {"3 heads", build, .size = {2, 2, 5, 7, 3, 4, 0}},
    {"shared queries", build, .size = {1, 3, 5, 7, 2, 3, 0}},
    {"shared, dropped", build, .size = {1, 3, 5, 7, 2, 3, 30}},
    {"dropped", build, .size = {2, 2, 3, 17, 2, 3, 50}},
    {"many keys", build, .size = {2, 2, 3, 131, 1, 5, 0}},
    {"many keys dropped", build, .size = {1, 1, 3, 131, 2, 5, 20}},
    {"many queries", build, .size = {1, 1, 37, 19, 1, 8, 0}},
    {"wide heads", build, .size = {1, 2, 3, 5, 2, 67, 0}},
    {"wider heads", build, .size = {2, 2, 2, 3, 1, 130, 10}},
    {"threads", build, .size = {4, 4, 17, 65, 4, 8, 10}},
    {"itself", build_self, .size = {0, 2, 5, 0, 2, 3, 20}},
    {"two streams", build_two, .size = {2, 2, 3, 5, 2, 3}},
    {"lse", build_lse, .size = {2, 2, 3, 70, 2, 5, 10}, .no_gradient = LSE_WHY},
    {"no samples", build, .size = {0, 0, 2, 3, 2, 3, 0}},
    {"shared by no samples", build, .size = {1, 0, 2, 3, 2, 3, 0}},
    {"no queries", build, .size = {2, 2, 0, 3, 2, 3, 0}},
    {"no keys", build, .size = {2, 2, 3, 0, 2, 3, 0}, .error = "attention: k [2,0,6] holds no keys"},
    {"heads", build_misfit, .size = {2, 3, 10, 2, 4, 10, 2, 4, 10, 3},
     .error = "attention: 3 heads do not divide the width of q [2,3,10]"},
    {"no heads", build_misfit, .size = {2, 3, 10, 2, 4, 10, 2, 4, 10, 0},
     .error = "attention: 0 heads do not divide"},
    {"widths", build_misfit, .size = {2, 3, 10, 2, 4, 8, 2, 4, 8, 2},
     .error = "q [2,3,10], k [2,4,8] and v [2,4,8] must be"},
    {"batches", build_misfit, .size = {2, 3, 4, 3, 4, 4, 3, 4, 4, 2},
     .error = "q [2,3,4], k [3,4,4] and v [3,4,4] must be"},
    {"k and v", build_misfit, .size = {2, 3, 4, 2, 4, 4, 2, 5, 4, 2},
     .error = "k [2,4,4] and v [2,5,4] must be"},
    {"rank", build_flat, .size = {3, 4},
     .error = "attention: q [3,4], k [3,4] and v [3,4] must be [B or 1,T,C]"},
    {"all dropped", build, .size = {1, 1, 2, 3, 1, 2, 100},
     .error = "attention: dropout = 1 is not in [0,1)"},
    {0},
};

/* The backward op alone, on any y and lse. size as above; s[7]: T of dy */
static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_attention_params p = {(int)s[4], (float)s[6] / 100, 2};
    hl_tensor in[6];
    (void)params;
    in[0] = case_input(g, "dy", 3, s[1], s[7], s[4] * s[5], 0);
    operands(g, s, in + 1);
    in[4] = case_input(g, "y", 3, s[1], s[2], s[4] * s[5], 0);
    in[5] = hl_affine(g, case_input(g, "lse", 3, s[1], s[4], s[2], 0), 1, 3);
    const hl_node *n = hl_graph_append(g, &hl_op_attention_backward, 6, in, &p);
    hl_output(g, "dq", hl_node_output(n, 0));
    hl_output(g, "dk", hl_node_output(n, 1));
    hl_output(g, "dv", hl_node_output(n, 2));
}

const hl_case cases_attention_backward[] = {
    {"all ones", build_backward, .size = {1, 1, 1, 1, 1, 1, 0, 1}},
    {"3 heads", build_backward, .size = {2, 2, 5, 7, 3, 4, 0, 5}},
    {"shared queries", build_backward, .size = {1, 5, 17, 3, 2, 3, 0, 17}},
    {"dropped", build_backward, .size = {1, 2, 19, 70, 2, 3, 40, 19}},
    {"wide heads", build_backward, .size = {2, 2, 3, 5, 1, 129, 0, 3}},
    {"shared by no samples", build_backward, .size = {1, 0, 2, 3, 2, 3, 0, 2}},
    {"misfit", build_backward, .size = {2, 2, 3, 4, 1, 2, 0, 5},
     .error = "attention_backward: dy [2,5,2], y [2,3,2] and lse [2,1,3] do not belong to"},
    {0},
};
