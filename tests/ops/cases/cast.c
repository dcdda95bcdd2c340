#include "tests/ops/cases.h"

#define STAIRCASE                                                                                            \
    "rounding makes a staircase: its differences are not the straight-through derivative, which cases of "   \
    "`gradient` run"

/* There and back, so that the result can be compared. size: elements, type, then type on the way back,
 * binary exponent of a factor on x */
static void build_cast(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0);
    for (int64_t k = 0; k < s[3]; k++)
        x = hl_scale(g, x, 2);
    for (int64_t k = 0; k > s[3]; k--)
        x = hl_scale(g, x, 0.5f);
    x = hl_cast(g, hl_cast(g, x, (hl_dtype)s[1]), (hl_dtype)s[2]);
    hl_output(g, "y", hl_cast(g, x, HL_F32));
}

const hl_case cases_cast[] = {
    {"nothing to do", build_cast, .size = {17, HL_F32, HL_F32}},
    {"f16 1", build_cast, .size = {1, HL_F16, HL_F16}, .no_gradient = STAIRCASE},
    {"f16 17", build_cast, .size = {17, HL_F16, HL_F16}, .no_gradient = STAIRCASE},
    {"f16 subnormal", build_cast, .size = {501, HL_F16, HL_F16, -16}, .no_gradient = STAIRCASE},
    {"f16 overflow", build_cast, .size = {501, HL_F16, HL_F16, 17}, .no_gradient = STAIRCASE},
    {"bf16 3", build_cast, .size = {3, HL_BF16, HL_BF16}, .no_gradient = STAIRCASE},
    {"bf16 large", build_cast, .size = {501, HL_BF16, HL_BF16, 30}, .no_gradient = STAIRCASE},
    {"f16 to bf16", build_cast, .size = {17, HL_F16, HL_BF16}, .no_gradient = STAIRCASE},
    {"bf16 to f16", build_cast, .size = {17, HL_BF16, HL_F16}, .no_gradient = STAIRCASE},
    {"many", build_cast, .size = {20011, HL_BF16, HL_F16}, .no_gradient = STAIRCASE},
    {"empty", build_cast, .size = {0, HL_F16, HL_BF16}, .no_gradient = STAIRCASE},
    {0},
};
