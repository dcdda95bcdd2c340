#include "tests/ops/cases.h"

/* ------------------------------------------------------------------ input */

/* size: rank, dims */
static void build_input(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "x", hl_input(g, "x", HL_F32, (int)s[0], s + 1));
}

/* The same scalar twice is one input, with the first value. */
static void build_scalar(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params, (void)s;
    hl_tensor a = hl_scalar(g, "rate", 0.25f), b = hl_scalar(g, "rate", 8);
    hl_output(g, "y", hl_add(g, a, b));
}

static void build_input_twice(hl_graph *g, hl_params *params, const int64_t *s)
{
    build_input(g, params, s);
    hl_output(g, "again", hl_input(g, "x", HL_F32, (int)s[0], s + 1));
}

static void build_input_as_scalar(hl_graph *g, hl_params *params, const int64_t *s)
{
    build_input(g, params, s);
    hl_output(g, "again", hl_scalar(g, "x", 1));
}

const hl_case cases_input[] = {
    {"1", build_input, .size = {1, 1}},
    {"3x17", build_input, .size = {2, 3, 17}},
    {"rank 6", build_input, .size = {6, 1, 2, 1, 3, 2, 1}},
    {"scalar", build_scalar, .size = {0}},
    {"empty", build_input, .size = {2, 0, 3}},
    {"twice", build_input_twice, .size = {1, 3}, .error = "input 'x' is declared twice"},
    {"as scalar", build_input_as_scalar, .size = {1, 3},
     .error = "scalar 'x' is declared as an input already"},
    {"rank 7", build_input, .size = {7, 1, 1, 1, 1, 1, 1, 1}, .error = "input 'x': rank 7 is not in 0..6"},
    {"rank -1", build_input, .size = {-1}, .error = "rank -1"},
    {"negative", build_input, .size = {2, 3, -1}, .error = "input 'x': [3,-1] is negative or too large"},
    {"huge", build_input, .size = {3, INT64_MAX, 2, 3}, .error = "is negative or too large"},
    {0},
};

/* ------------------------------------------------------------------ param */

/* size: dims of the first declaration, dims of the second, init */
static void build_param(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_init_rule init = {(hl_init)s[4], 0, 0};
    hl_tensor a = hl_param(g, params, "layer.weight", 2, s, init);
    hl_tensor b = hl_param(g, params, "layer.weight", 2, s + 2, init);
    hl_output(g, "y", hl_add(g, a, hl_scale(g, b, 2)));
}

/* What an input is multiplied by is a parameter: its derivative goes through the leaf. */
static void build_used(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor w = hl_param(g, params, "weight", 2, s, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_output(g, "y", hl_mul(g, case_input(g, "x", 2, s[0], s[1], 0, 0), w));
}

static void build_two_roles(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor a = hl_param(g, params, "x", 2, s, (hl_init_rule){HL_ONES, 0, 0});
    hl_output(g, "y", hl_add(g, a, hl_state(g, params, "x", HL_F32, 0, 2, s)));
}

const hl_case cases_param[] = {
    {"1x1", build_param, .size = {1, 1, 1, 1, HL_ONES}},
    {"3x17", build_param, .size = {3, 17, 3, 17, HL_NORMAL}},
    {"fan in", build_param, .size = {17, 3, 17, 3, HL_FAN_IN}},
    {"used", build_used, .size = {3, 17}},
    {"empty", build_param, .size = {0, 3, 0, 3, HL_ZEROS}},
    {"other shape", build_param, .size = {3, 4, 4, 3, HL_ONES}, .error = "layer.weight"},
    {"two roles", build_two_roles, .size = {3, 4}, .error = "'x'"},
    {0},
};

/* ------------------------------------------------------------------ fill */

static void build_fill(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_fill(g, (int)s[0], s + 1, -0.375f);
    hl_output(g, "x", x);
    hl_output(g, "y", hl_exp(g, x));
}

const hl_case cases_fill[] = {
    {"scalar", build_fill, .size = {0}},
    {"1", build_fill, .size = {1, 1}},
    {"3x17", build_fill, .size = {2, 3, 17}},
    {"many", build_fill, .size = {1, 20011}},
    {"empty", build_fill, .size = {1, 0}},
    {"negative", build_fill, .size = {1, -3}, .error = "fill: a result of shape [-3] is too large"},
    {0},
};
