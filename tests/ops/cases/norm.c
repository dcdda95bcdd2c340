#include "tests/ops/cases.h"

#define NARROW_WHY                                                                                           \
    "a row of one element has deviation 0: 1/sqrt(eps) = 316 multiplies the rounding of everything after it"

/* x about 1 and gain about 1, as in a net. size: rows, C, activation */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_affine(g, case_input(g, "x", 2, s[0], s[1], 0, 0), 2, 0.5f);
    hl_tensor gain = hl_affine(g, case_input(g, "gain", 1, s[1], 0, 0, 0), 0.5f, 1);
    hl_norm_params p = {1e-5f, (hl_activation)s[2]};
    hl_tensor in[] = {x, gain, case_input(g, "bias", 1, s[1], 0, 0, 0)};
    const hl_node *n = hl_graph_append(g, &hl_op_layer_norm, 3, in, &p);
    hl_output(g, "y", hl_node_output(n, 0));
}

/* What the backward op reads, as outputs; no gradient passes through them. */
static void build_moments(hl_graph *g, hl_params *params, const int64_t *s)
{
    build(g, params, s);
    const hl_node *n = hl_made_by(g, g->outputs[0].tensor, &hl_op_layer_norm);
    hl_output(g, "mean", hl_node_output(n, 1));
    hl_output(g, "rstd", hl_node_output(n, 2));
}

/* Rows of three dims, through the builder. */
static void build_tokens(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor gain = case_input(g, "gain", 1, s[2], 0, 0, 0), bias = case_input(g, "bias", 1, s[2], 0, 0, 0);
    hl_output(g, "y", hl_layer_norm(g, case_input(g, "x", 3, s[0], s[1], s[2], 0), gain, bias));
}

/* Far from zero, exactly: x is a multiple of 2^-7. Subtracting the mean must not lose what is left. */
static void build_far(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_affine(g, case_input(g, "x", 2, s[0], s[1], 0, 0), 1, 2);
    x = hl_affine(g, hl_cast(g, hl_cast(g, x, HL_BF16), HL_F32), 1, 254);
    hl_tensor gain = case_input(g, "gain", 1, s[1], 0, 0, 0), bias = case_input(g, "bias", 1, s[1], 0, 0, 0);
    hl_output(g, "y", hl_layer_norm(g, x, gain, bias));
}

/* size: dims of x, of gain, of bias */
static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y",
              hl_layer_norm(g, case_input(g, "x", 2, s[0], s[1], 0, 0),
                            case_input(g, "gain", 1, s[2], 0, 0, 0),
                            case_input(g, "bias", 1, s[3], 0, 0, 0)));
}

static void build_scalar(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor gain = case_input(g, "gain", 1, s[0], 0, 0, 0), bias = case_input(g, "bias", 1, s[0], 0, 0, 0);
    hl_output(g, "y", hl_layer_norm(g, hl_scalar(g, "x", 1), gain, bias));
}

#define FUSED_WHY  "fused after differentiation: never differentiated"
#define MOMENT_WHY "mean and rstd are for the backward op alone"

const hl_case cases_layer_norm[] = {
    {"one element", build, .size = {3, 1, HL_ACT_NONE}, .loosen = 30, .loosen_why = NARROW_WHY},
    {"1x3", build, .size = {1, 3, HL_ACT_NONE}},
    {"3x17", build, .size = {3, 17, HL_ACT_NONE}},
    {"wide", build, .size = {2, 4097, HL_ACT_NONE}},
    {"many rows", build, .size = {601, 5, HL_ACT_NONE}, .loosen = 3,
     .loosen_why = "a row of 5 close numbers"},
    {"tokens", build_tokens, .size = {2, 3, 33}},
    {"far from zero", build_far, .size = {3, 257}, .no_gradient = "the operand is rounded: see cast"},
    {"moments", build_moments, .size = {3, 17, HL_ACT_NONE}, .no_gradient = MOMENT_WHY},
    {"fused relu", build, .size = {3, 33, HL_ACT_RELU}, .no_gradient = FUSED_WHY},
    {"fused gelu", build, .size = {33, 33, HL_ACT_GELU}, .no_gradient = FUSED_WHY},
    {"no rows", build, .size = {0, 3, HL_ACT_NONE}},
    {"gain misfit", build_misfit, .size = {2, 4, 3, 4},
     .error = "layer_norm: the gain is [3], for x [2,4] it must be [4]"},
    {"bias misfit", build_misfit, .size = {2, 4, 4, 1},
     .error = "layer_norm: the bias is [1], for x [2,4] it must be [4]"},
    {"no channels", build_misfit, .size = {2, 0, 0, 0},
     .error = "layer_norm: [2,0] has no elements in its last dim"},
    {"scalar", build_scalar, .size = {1}, .error = "layer_norm: [] has no elements in its last dim"},
    {0},
};

/* size: rows, C, rows of mean, C of dy */
static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor in[] = {case_input(g, "dy", 2, s[0], s[3], 0, 0), case_input(g, "x", 2, s[0], s[1], 0, 0),
                      case_input(g, "gain", 1, s[1], 0, 0, 0), case_input(g, "mean", 1, s[2], 0, 0, 0),
                      case_input(g, "rstd", 1, s[2], 0, 0, 0)};
    const hl_node *n = hl_graph_append(g, &hl_op_layer_norm_backward, 5, in, NULL);
    hl_output(g, "dx", hl_node_output(n, 0));
    hl_output(g, "dgain", hl_node_output(n, 1));
    hl_output(g, "dbias", hl_node_output(n, 2));
}

const hl_case cases_layer_norm_backward[] = {
    {"1x1", build_backward, .size = {1, 1, 1, 1}},
    {"3x17", build_backward, .size = {3, 17, 3, 17}},
    {"17x3", build_backward, .size = {17, 3, 17, 3}},
    {"wide", build_backward, .size = {2, 4097, 2, 4097}},
    {"many rows", build_backward, .size = {601, 65, 601, 65}},
    {"no rows", build_backward, .size = {0, 3, 0, 3}},
    {"dy misfit", build_backward, .size = {2, 4, 2, 5},
     .error = "layer_norm_backward: dy [2,5] is not shaped as x [2,4]"},
    {"mean misfit", build_backward, .size = {2, 4, 3, 4},
     .error = "mean [3] and rstd [3] do not belong to x [2,4]"},
    {0},
};
