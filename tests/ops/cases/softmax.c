#include "tests/ops/cases.h"

#include <math.h>

/* size: rank and dims, factor on x (a power of two) */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_input(g, "x", HL_F32, (int)s[0], s + 1);
    hl_output(g, "y", hl_softmax(g, hl_affine(g, x, (float)s[5], 0)));
}

/* Large numbers of either sign, where e^x alone would overflow or vanish. */
static void build_far(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_input(g, "x", HL_F32, (int)s[0], s + 1), high = hl_affine(g, hl_relu(g, x), 8, 0);
    hl_output(g, "high", hl_softmax(g, hl_add(g, high, hl_fill(g, 0, NULL, 1024))));
    hl_output(g, "low", hl_softmax(g, hl_sub(g, high, hl_fill(g, 0, NULL, 1024))));
}

/* A key that is masked out has weight 0; NaN stays NaN. */
static void build_special(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    const float value[] = {-INFINITY, NAN};
    for (int i = 0; i < 2; i++) {
        hl_tensor x[] = {hl_fill(g, 2, s, value[i]), hl_fill(g, 2, s, 0.5f)};
        hl_output(g, i ? "NaN" : "masked", hl_softmax(g, hl_concat(g, 2, x, 1)));
    }
}

#define SHIFT_WHY "about 1024 a float has 13 bits after the point, so rounding x is an error of 6e-5 in e^x"

const hl_case cases_softmax[] = {
    {"one number", build, .size = {1, 1, 0, 0, 0, 1}},
    {"3x17", build, .size = {2, 3, 17, 0, 0, 1}},
    {"3 dims", build, .size = {3, 2, 3, 5, 0, 4}},
    {"sharp", build, .size = {2, 17, 33, 0, 0, 64}},
    {"many", build, .size = {2, 3, 10007, 0, 0, 8}},
    {"far", build_far, .size = {2, 3, 17}, .loosen = 30, .loosen_why = SHIFT_WHY},
    {"special", build_special, .size = {3, 5}},
    {"no rows", build, .size = {2, 0, 3, 0, 0, 1}},
    {"no columns", build, .size = {2, 3, 0, 0, 0, 1}},
    {"scalar", build, .size = {0, 0, 0, 0, 0, 1}, .error = "softmax: a scalar has no last dim"},
    {0},
};

/* size: dims of dy, dims of y */
static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor in[] = {case_input(g, "dy", 2, s[0], s[1], 0, 0), case_input(g, "y", 2, s[2], s[3], 0, 0)};
    hl_output(g, "dx", hl_graph_apply(g, &hl_op_softmax_backward, 2, in, NULL));
}

const hl_case cases_softmax_backward[] = {
    {"1x1", build_backward, .size = {1, 1, 1, 1}},
    {"3x17", build_backward, .size = {3, 17, 3, 17}},
    {"many", build_backward, .size = {5, 4099, 5, 4099}},
    {"empty", build_backward, .size = {0, 3, 0, 3}},
    {"misfit", build_backward, .size = {3, 4, 4, 3},
     .error = "softmax_backward: dy [3,4] is not shaped as y [4,3]"},
    {0},
};
