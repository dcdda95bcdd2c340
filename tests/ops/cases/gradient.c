/* The gradient node. That its values are right is what every other op's cases check by differences;
 * here are its shapes, what it reaches and what it does not. */
#include "tests/ops/cases.h"

static void output_all(hl_graph *g, int n, const hl_tensor *d)
{
    static const char *const names[] = {"d0", "d1", "d2", "d3"};
    for (int k = 0; k < n; k++)
        hl_output(g, names[k], d[k]);
}

/* A small net: mse(gelu(x w^T + b) * x, t). size: B, C */
static void build_net(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor x = case_input(g, "x", 2, s[0], s[1], 0, 0), t = case_input(g, "t", 2, s[0], s[1], 0, 0);
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){s[1], s[1]}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_tensor b = hl_param(g, params, "b", 1, s + 1, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_tensor loss = hl_mse(g, hl_mul(g, hl_gelu(g, hl_linear(g, x, w, b)), x), t), d[4];
    hl_gradient(g, loss, 4, (hl_tensor[]){w, b, x, t}, d);
    output_all(g, 4, d);
}

/* By a value in the middle, by the loss itself (1) and by one that is used three times. */
static void build_inner(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), h = hl_exp(g, x);
    hl_tensor loss = hl_sum_all(g, hl_add(g, hl_mul(g, h, x), hl_add(g, x, h))), d[3];
    hl_gradient(g, loss, 3, (hl_tensor[]){h, loss, x}, d);
    output_all(g, 3, d);
}

/* What the loss does not depend on gets zeros, in its shape. */
static void build_unreached(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), other = case_input(g, "other", 2, s[0], 2, 0, 0);
    hl_tensor after = hl_scale(g, x, 2), d[3];
    hl_gradient(g, hl_sum_all(g, x), 3, (hl_tensor[]){other, after, x}, d);
    output_all(g, 3, d);
}

/* Straight through two casts: the derivative is rounded as the value was. */
static void build_cast(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), w = case_input(g, "w", 1, s[0], 0, 0, 0);
    hl_tensor h = hl_cast(g, hl_cast(g, x, HL_BF16), HL_F32), d[1];
    hl_gradient(g, hl_sum_all(g, hl_mul(g, h, w)), 1, &x, d);
    output_all(g, 1, d);
}

/* A loss of shape [1,1] is one number too. */
static void build_one_by_one(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params, (void)s;
    hl_tensor x = case_input(g, "x", 2, 1, 1, 0, 0), d[1];
    hl_gradient(g, hl_mul(g, x, x), 1, &x, d);
    output_all(g, 1, d);
}

/* A derivative of a derivative, where the first one is made of ops that have one: (x^3)'' = 6x. */
static void build_second(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), d[1], dd[1];
    hl_gradient(g, hl_sum_all(g, hl_mul(g, hl_mul(g, x, x), x)), 1, &x, d);
    hl_gradient(g, hl_sum_all(g, d[0]), 1, &x, dd);
    output_all(g, 1, dd);
}

static void build_vector(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), d[1];
    hl_gradient(g, hl_scale(g, x, 2), 1, &x, d);
    output_all(g, 1, d);
}

static void build_missing(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 1, s[0], 0, 0, 0), d[1];
    hl_gradient(g, hl_sum_all(g, x), 1, (hl_tensor[]){{0}}, d);
    output_all(g, 1, d);
}

const hl_case cases_gradient[] = {
    {"net", build_net, .size = {3, 17}},
    {"net of one", build_net, .size = {1, 1}},
    {"inner values", build_inner, .size = {17}},
    {"unreached", build_unreached, .size = {3}},
    {"straight through", build_cast, .size = {17}},
    {"loss [1,1]", build_one_by_one, .size = {0}},
    {"second", build_second, .size = {17}},
    {"empty", build_inner, .size = {0}},
    {"loss [3]", build_vector, .size = {3}, .error = "gradient: the loss must be one number, it is [3]"},
    {"by nothing", build_missing, .size = {3}, .error = "gradient: operand 1 is missing"},
    {0},
};
