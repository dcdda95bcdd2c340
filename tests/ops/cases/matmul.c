#include "tests/ops/cases.h"

/* size: M, N, K, transpose_a, transpose_b, with bias */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor a = s[3] ? case_input(g, "a", 2, s[2], s[0], 0, 0) : case_input(g, "a", 2, s[0], s[2], 0, 0);
    hl_tensor b = s[4] ? case_input(g, "b", 2, s[1], s[2], 0, 0) : case_input(g, "b", 2, s[2], s[1], 0, 0);
    hl_tensor bias = s[5] ? case_input(g, "bias", 1, s[1], 0, 0, 0) : (hl_tensor){0};
    hl_output(g, "y", hl_matmul_bias(g, a, s[3], b, s[4], bias, HL_ACT_NONE));
}

/* The fused form that the compiler makes: addend and activation. size: M, N, K, activation */
static void build_fused(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_matmul_params p = {false, true, (hl_activation)s[3], HL_F32, HL_MATH_EXACT};
    hl_tensor in[] = {case_input(g, "a", 2, s[0], s[2], 0, 0), case_input(g, "b", 2, s[1], s[2], 0, 0),
                      case_input(g, "bias", 1, s[1], 0, 0, 0), case_input(g, "addend", 2, s[0], s[1], 0, 0)};
    hl_output(g, "y", hl_graph_apply(g, &hl_op_matmul, 4, in, &p));
}

static void build_linear(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 3, s[0], s[1], s[2], 0);
    hl_output(g, "y", hl_linear(g, x, case_input(g, "w", 2, s[3], s[4], 0, 0), (hl_tensor){0}));
}

static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y",
              hl_matmul(g, case_input(g, "a", 2, s[0], s[1], 0, 0), false,
                        case_input(g, "b", 2, s[2], s[3], 0, 0), false));
}

#define FUSED_WHY "fused after differentiation: never differentiated"

const hl_case cases_matmul[] = {
    {"1x1x1", build, .size = {1, 1, 1, 0, 0, 0}},
    {"nn", build, .size = {3, 17, 5, 0, 0, 1}},
    {"nt", build, .size = {17, 3, 33, 0, 1, 1}},
    {"tn", build, .size = {33, 17, 3, 1, 0, 0}},
    {"tt", build, .size = {3, 5, 17, 1, 1, 0}},
    {"nt wide", build, .size = {32, 130, 67, 0, 1, 1}},
    {"nt one row", build, .size = {1, 67, 129, 0, 1, 1}},
    {"nn rows 70", build, .size = {70, 40, 19, 0, 0, 0}},
    {"no rows", build, .size = {0, 3, 5, 0, 1, 0}},
    {"fused relu", build_fused, .size = {17, 33, 9, HL_ACT_RELU}, .no_gradient = FUSED_WHY},
    {"fused gelu", build_fused, .size = {3, 65, 17, HL_ACT_GELU}, .no_gradient = FUSED_WHY},
    {"fused addend", build_fused, .size = {33, 17, 70, HL_ACT_NONE}, .no_gradient = FUSED_WHY},
    {"linear", build_linear, .size = {2, 3, 7, 5, 7}},
    {"linear misfit", build_linear, .size = {2, 3, 7, 5, 6},
     .error = "x [2,3,7] must be the second of w [5,6]"},
    {"misfit", build_misfit, .size = {2, 3, 4, 5}, .error = "matmul: [2,3] and [4,5] do not fit"},
    {0},
};
