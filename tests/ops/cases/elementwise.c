#include "tests/ops/cases.h"

#include <math.h>

/* An input whose rank and dims are s[0], s[1..]. */
static hl_tensor shaped(hl_graph *g, const char *name, const int64_t *s)
{
    return hl_input(g, name, HL_F32, (int)s[0], s + 1);
}

/* size: rank and up to 4 dims of a, then the same of b */
#define BINARY(op, second)                                                                                   \
    static void build_##op(hl_graph *g, hl_params *params, const int64_t *s)                                 \
    {                                                                                                        \
        (void)params;                                                                                        \
        hl_tensor a = shaped(g, "a", s), b = shaped(g, "b", s + 5);                                          \
        hl_output(g, "y", hl_##op(g, a, second));                                                            \
    }

BINARY(add, b)
BINARY(sub, b)
BINARY(mul, b)
/* Away from 0, where a quotient and its derivatives are of any size. */
BINARY(div, hl_affine(g, b, 0.5f, 2))

/* Operands of one memory: neither may be overwritten before the other is read. */
static void build_same(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_affine(g, shaped(g, "a", s), 2, 0);
    hl_output(g, "y", hl_mul(g, x, x));
}

static void build_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor a = shaped(g, "a", s);
    hl_output(g, "y", hl_add(g, a, hl_cast(g, shaped(g, "b", s + 5), HL_F16)));
}

#define BINARY_CASES(op)                                                                                     \
    {"1 and 1", build_##op, .size = {1, 1, 0, 0, 0, 1, 1}},                                                  \
        {"scalars", build_##op, .size = {0, 0, 0, 0, 0, 0}},                                                 \
        {"same shape", build_##op, .size = {2, 3, 17, 0, 0, 2, 3, 17}},                                      \
        {"many", build_##op, .size = {2, 5, 4099, 0, 0, 2, 5, 4099}},                                        \
        {"row", build_##op, .size = {2, 17, 3, 0, 0, 1, 3}},                                                 \
        {"row first", build_##op, .size = {1, 3, 0, 0, 0, 2, 17, 3}},                                        \
        {"column", build_##op, .size = {2, 17, 3, 0, 0, 2, 17, 1}},                                          \
        {"channel", build_##op, .size = {4, 2, 3, 5, 7, 3, 3, 1, 1}},                                        \
        {"scalar", build_##op, .size = {2, 3, 17, 0, 0, 0}},                                                 \
        {"scalar first", build_##op, .size = {0, 0, 0, 0, 0, 2, 3, 17}},                                     \
        {"both ways", build_##op, .size = {3, 3, 1, 5, 0, 2, 17, 1}},                                        \
        {"outer", build_##op, .size = {2, 4, 1, 0, 0, 1, 5}},                                                \
        {"batch of one", build_##op, .size = {3, 1, 4, 5, 0, 3, 3, 4, 5}},                                   \
        {"long rows", build_##op, .size = {2, 3, 5000, 0, 0, 2, 3, 1}},                                      \
        {"empty", build_##op, .size = {2, 0, 3, 0, 0, 1, 3}},                                                \
        {"empty last", build_##op, .size = {2, 3, 0, 0, 0, 2, 3, 1}},                                        \
    {                                                                                                        \
        "misfit", build_##op, .size = {2, 3, 4, 0, 0, 1, 3},                                                 \
                              .error = #op ": shapes [3,4] and [3] do not broadcast"                         \
    }

const hl_case cases_add[] = {
    BINARY_CASES(add),
    {"16 bit", build_half, .size = {1, 3, 0, 0, 0, 1, 3}, .error = "add: operand 1 is f16, it must be f32"},
    {0},
};
const hl_case cases_sub[] = {BINARY_CASES(sub), {0}};
const hl_case cases_mul[] = {BINARY_CASES(mul), {"itself", build_same, .size = {2, 3, 17}}, {0}};
const hl_case cases_div[] = {BINARY_CASES(div), {0}};

/* ------------------------------------------------------------------ unary */

/* size: rank and dims of x, factor on x (a power of two, so that scaling rounds nothing) */
#define UNARY(op)                                                                                            \
    static void build_##op(hl_graph *g, hl_params *params, const int64_t *s)                                 \
    {                                                                                                        \
        (void)params;                                                                                        \
        hl_output(g, "y", hl_##op(g, hl_affine(g, shaped(g, "x", s), (float)s[5], 0)));                      \
    }

UNARY(exp)
UNARY(relu)
UNARY(gelu)

static void build_affine(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_affine(g, shaped(g, "x", s), (float)s[5], -0.75f));
}

/* A NaN may not vanish. */
static void build_relu_nan(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_relu(g, hl_fill(g, (int)s[0], s + 1, NAN)));
}

static void build_exp_limits(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    static const float at[] = {NAN, INFINITY, -INFINITY, 88.5f, -87.0f, -110.0f};
    for (int i = 0; i < 6; i++) {
        char name[] = {'y', (char)('0' + i), 0};
        hl_output(g, name, hl_exp(g, hl_fill(g, (int)s[0], s + 1, at[i])));
    }
}

#define UNARY_CASES(op, wide)                                                                                \
    {"1", build_##op, .size = {1, 1, 0, 0, 0, 1}}, {"scalar", build_##op, .size = {0, 0, 0, 0, 0, 1}},       \
        {"3x17", build_##op, .size = {2, 3, 17, 0, 0, 1}},                                                   \
        {"wide", build_##op, .size = {1, 501, 0, 0, 0, wide}},                                               \
        {"many", build_##op, .size = {1, 20011, 0, 0, 0, 2}},                                                \
    {                                                                                                        \
        "empty", build_##op, .size = { 2, 3, 0, 0, 0, 1 }                                                    \
    }

const hl_case cases_affine[] = {UNARY_CASES(affine, 64), {0}};
const hl_case cases_exp[] = {UNARY_CASES(exp, 16), {"limits", build_exp_limits, .size = {1, 17}}, {0}};
const hl_case cases_relu[] = {UNARY_CASES(relu, 64), {"NaN", build_relu_nan, .size = {1, 17}}, {0}};
const hl_case cases_gelu[] = {UNARY_CASES(gelu, 16), {0}};

/* ------------------------------------------------------------------ backward */

#define BACKWARD(op)                                                                                         \
    static void build_##op(hl_graph *g, hl_params *params, const int64_t *s)                                 \
    {                                                                                                        \
        (void)params;                                                                                        \
        hl_tensor x = hl_affine(g, shaped(g, "x", s + 5), 8, 0);                                             \
        hl_tensor in[] = {shaped(g, "dy", s), x};                                                            \
        hl_output(g, "dx", hl_graph_apply(g, &hl_op_##op, 2, in, NULL));                                     \
    }

BACKWARD(relu_backward)
BACKWARD(gelu_backward)

#define BACKWARD_CASES(op)                                                                                   \
    {"1", build_##op, .size = {1, 1, 0, 0, 0, 1, 1}},                                                        \
        {"3x17", build_##op, .size = {2, 3, 17, 0, 0, 2, 3, 17}},                                            \
        {"many", build_##op, .size = {1, 20011, 0, 0, 0, 1, 20011}},                                         \
        {"empty", build_##op, .size = {1, 0, 0, 0, 0, 1, 0}},                                                \
    {                                                                                                        \
        "misfit", build_##op, .size = {1, 3, 0, 0, 0, 1, 4}, .error = #op ": shapes [3] and [4] differ"      \
    }

const hl_case cases_relu_backward[] = {BACKWARD_CASES(relu_backward), {0}};
const hl_case cases_gelu_backward[] = {BACKWARD_CASES(gelu_backward), {0}};
