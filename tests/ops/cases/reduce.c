#include "tests/ops/cases.h"

/* size: rank and up to 4 dims of x, begin, end; the scale is -0.5 */
static void build_reduce(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_input(g, "x", HL_F32, (int)s[0], s + 1);
    hl_output(g, "y", hl_reduce(g, x, (int)s[5], (int)s[6], -0.5f));
}

/* size: rank and dims, axis */
static void build_sum(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_input(g, "x", HL_F32, (int)s[0], s + 1);
    hl_output(g, "y", hl_sum(g, x, (int)s[5]));
}

static void build_statistics(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_input(g, "x", HL_F32, (int)s[0], s + 1);
    hl_output(g, "sum", hl_sum_all(g, x));
    hl_output(g, "mean", hl_mean(g, x));
    hl_output(g, "variance", hl_variance(g, x));
}

const hl_case cases_reduce[] = {
    {"1", build_reduce, .size = {1, 1, 0, 0, 0, 0, 1}},
    {"last of 3x17", build_reduce, .size = {2, 3, 17, 0, 0, 1, 2}},
    {"first of 17x3", build_reduce, .size = {2, 17, 3, 0, 0, 0, 1}},
    {"middle", build_reduce, .size = {3, 5, 7, 3, 0, 1, 2}},
    {"two axes", build_reduce, .size = {4, 2, 3, 5, 7, 1, 3}},
    {"all axes", build_reduce, .size = {3, 3, 1, 17, 0, 0, 3}},
    {"long rows", build_reduce, .size = {2, 2, 40001, 0, 0, 1, 2}},
    {"long columns", build_reduce, .size = {2, 601, 5, 0, 0, 0, 1}},
    {"wide columns", build_reduce, .size = {2, 33, 1000, 0, 0, 0, 1}},
    {"long and wide", build_reduce, .size = {3, 2, 300, 140, 0, 1, 2}},
    {"no terms", build_reduce, .size = {2, 0, 3, 0, 0, 0, 1}},
    {"no results", build_reduce, .size = {2, 3, 0, 0, 0, 0, 1}},
    {"sum from the end", build_sum, .size = {3, 2, 3, 5, 0, -2}},
    {"statistics", build_statistics, .size = {2, 3, 17}},
    {"statistics of many", build_statistics, .size = {1, 40001}},
    {"no axes", build_reduce, .size = {2, 3, 4, 0, 0, 1, 1}, .error = "reduce: [1,1) are not axes of [3,4]"},
    {"too far", build_sum, .size = {2, 3, 4, 0, 0, 2}, .error = "are not axes of [3,4]"},
    {"variance of one", build_statistics, .size = {1, 1},
     .error = "variance: [1] has fewer than two elements"},
    {0},
};

/* size: dims of a, dims of b */
static void build_mse(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "loss",
              hl_mse(g, case_input(g, "a", 2, s[0], s[1], 0, 0), case_input(g, "b", 2, s[2], s[3], 0, 0)));
}

/* An error of exactly nothing. */
static void build_mse_same(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor a = case_input(g, "a", 2, s[0], s[1], 0, 0);
    hl_output(g, "loss", hl_mse(g, a, a));
}

const hl_case cases_mse[] = {
    {"1x1", build_mse, .size = {1, 1, 1, 1}},
    {"3x17", build_mse, .size = {3, 17, 3, 17}},
    {"many", build_mse, .size = {3, 20011, 3, 20011}},
    {"itself", build_mse_same, .size = {3, 17}},
    {"misfit", build_mse, .size = {3, 4, 4, 3}, .error = "mse: [3,4] and [4,3] must be equal and not empty"},
    {"empty", build_mse, .size = {0, 4, 0, 4}, .error = "must be equal and not empty"},
    {0},
};
