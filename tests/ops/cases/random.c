#include "tests/ops/cases.h"

#include <math.h>

/* size: dims, percent dropped, streams taken before */
static void build_dropout(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    g->streams += (uint32_t)s[3];
    hl_output(g, "y", hl_dropout(g, case_input(g, "x", 2, s[0], s[1], 0, 0), (float)s[2] / 100));
}

/* Two in a row draw different numbers. */
static void build_twice(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 2, s[0], s[1], 0, 0);
    hl_output(g, "y", hl_sub(g, hl_dropout(g, x, 0.5f), hl_dropout(g, x, 0.5f)));
}

/* size: dims, percent, group */
static void build_group(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 2, s[0], s[1], 0, 0);
    hl_output(g, "y", hl_dropout_stream(g, x, (float)s[2] / 100, 3, s[3]));
}

static void build_nan(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_dropout(g, hl_fill(g, 1, s, NAN), 0.5f));
    hl_output(g, "z", hl_dropout(g, case_input(g, "x", 1, s[0], 0, 0, 0), NAN));
}

static void build_nan_values(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_dropout(g, hl_fill(g, 1, s, NAN), 0.5f));
}

const hl_case cases_dropout[] = {
    {"1", build_dropout, .size = {1, 1, 50}},
    {"3", build_dropout, .size = {1, 3, 50, 7}},
    {"17x17", build_dropout, .size = {17, 17, 10}},
    {"nearly all", build_dropout, .size = {3, 401, 99}},
    {"many", build_dropout, .size = {7, 2861, 30}},
    {"nothing dropped", build_dropout, .size = {3, 17, 0}},
    {"twice", build_twice, .size = {3, 17}},
    {"groups", build_group, .size = {6, 17, 50, 17}},
    {"last group cut", build_group, .size = {5, 7, 50, 4}},
    {"one group", build_group, .size = {3, 5, 50, 1000}},
    {"many groups", build_group, .size = {401, 50, 20, 25}},
    {"NaN values", build_nan_values, .size = {501}},
    {"empty", build_dropout, .size = {0, 3, 50}},
    {"all", build_dropout, .size = {3, 3, 100}, .error = "dropout: p = 1 is not in [0,1)"},
    {"negative", build_dropout, .size = {3, 3, -10}, .error = "is not in [0,1)"},
    {"NaN", build_nan, .size = {3}, .error = "is not in [0,1)"},
    {0},
};

static void build_normal(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "first", hl_normal(g, 2, s));
    hl_output(g, "second", hl_normal(g, 2, s));
}

/* z = mu + eps e^(logvar/2): noise that a gradient passes by. */
static void build_sample(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor mu = case_input(g, "mu", 2, s[0], s[1], 0, 0),
              logvar = case_input(g, "logvar", 2, s[0], s[1], 0, 0);
    hl_tensor spread = hl_exp(g, hl_scale(g, logvar, 0.5f));
    hl_output(g, "z", hl_add(g, mu, hl_mul(g, hl_normal(g, 2, s), spread)));
}

const hl_case cases_normal[] = {
    {"1", build_normal, .size = {1, 1}},
    {"3", build_normal, .size = {1, 3}},
    {"3x17", build_normal, .size = {3, 17}},
    {"many", build_normal, .size = {7, 2861}},
    {"sample", build_sample, .size = {3, 17}},
    {"empty", build_normal, .size = {0, 3}},
    {"negative", build_normal, .size = {3, -1}, .error = "normal: a result of shape [3,-1] is too large"},
    {0},
};
