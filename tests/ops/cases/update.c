#include "tests/ops/cases.h"

#include <math.h>

/* ------------------------------------------------------------------ global norm */

/* size: number of tensors, then the elements of each */
static void build_norm(hl_graph *g, hl_params *params, const int64_t *s)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    hl_tensor x[5] = {{0}};
    (void)params;
    for (int k = 0; k < s[0]; k++)
        x[k] = hl_scale(g, case_input(g, names[k], 1, s[1 + k], 0, 0, 0), (float)(k + 1));
    hl_output(g, "norm", hl_global_norm(g, (int)s[0], x));
}

/* Large numbers whose squares no float holds. */
static void build_norm_huge(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x[] = {hl_fill(g, 1, s, 0x1p100f), hl_fill(g, 1, s, 0x1p-100f)};
    hl_tensor norm = hl_global_norm(g, 2, x);
    hl_output(g, "norm", hl_scale(g, norm, 0x1p-100f));
    hl_output(g, "NaN", hl_global_norm(g, 1, (hl_tensor[]){hl_fill(g, 1, s, NAN)}));
}

const hl_case cases_global_norm[] = {
    {"1", build_norm, .size = {1, 1}},
    {"three", build_norm, .size = {3, 17, 1, 3}},
    {"with an empty one", build_norm, .size = {3, 17, 0, 3}},
    {"many elements", build_norm, .size = {3, 40001, 16384, 16385}},
    {"nothing", build_norm, .size = {0}},
    {"huge", build_norm_huge, .size = {17}},
    {0},
};

/* ------------------------------------------------------------------ gate */

static void gate_scaled(hl_graph *g, hl_params *params, float norm, float loss, float loss_scale, float clip)
{
    hl_tensor count = hl_state(g, params, "count", HL_F32, 0, 0, NULL),
              skipped = hl_state(g, params, "skipped", HL_F32, 0, 0, NULL);
    hl_tensor none = {0}, scale = loss_scale > 0 ? hl_scalar(g, "loss_scale", loss_scale) : none;
    hl_gate gate = hl_update_gate(g, count, skipped, hl_scalar(g, "norm", norm), hl_scalar(g, "loss", loss),
                                  scale, clip);
    hl_output(g, "count", gate.count);
    hl_output(g, "skipped", gate.skipped);
    hl_output(g, "factor", gate.factor);
}

static void gate(hl_graph *g, hl_params *params, float norm, float loss, float clip)
{
    gate_scaled(g, params, norm, loss, 0, clip);
}

/* size: norm and clip in quarters, loss scale */
static void build_gate_scaled(hl_graph *g, hl_params *params, const int64_t *s)
{
    gate_scaled(g, params, (float)s[0] / 4, 1, (float)s[2], (float)s[1] / 4);
}

/* size: norm and clip in quarters */
static void build_gate(hl_graph *g, hl_params *params, const int64_t *s)
{
    gate(g, params, (float)s[0] / 4, 1, (float)s[1] / 4);
}

static void build_gate_loss_nan(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)s;
    gate(g, params, 1, NAN, 1);
}

static void build_gate_norm_nan(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)s;
    gate(g, params, NAN, 1, 0);
}

static void build_gate_infinite(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)s;
    gate(g, params, INFINITY, -INFINITY, 1);
}

static void build_gate_vector(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor one = hl_scalar(g, "one", 1), many = case_input(g, "many", 1, s[0], 0, 0, 0);
    hl_tensor count = hl_state(g, params, "count", HL_F32, 0, 0, NULL),
              skipped = hl_state(g, params, "skipped", HL_F32, 0, 0, NULL);
    hl_output(g, "factor", hl_update_gate(g, count, skipped, one, many, (hl_tensor){0}, 1).factor);
}

const hl_case cases_update_gate[] = {
    {"below the clip", build_gate, .size = {2, 4}},
    {"above the clip", build_gate, .size = {40, 4}},
    {"no clip", build_gate, .size = {40, 0}},
    {"no gradient", build_gate, .size = {0, 4}},
    {"loss is NaN", build_gate_loss_nan, .size = {0}},
    {"norm is NaN", build_gate_norm_nan, .size = {0}},
    {"both infinite", build_gate_infinite, .size = {0}},
    {"loss scale", build_gate_scaled, .size = {2, 4, 1024}},
    {"loss scale, clipped", build_gate_scaled, .size = {40, 4, 65536}},
    {"vector", build_gate_vector, .size = {3},
     .error = "update_gate: operand 3 is [3], it must be one number"},
    {0},
};

/* ------------------------------------------------------------------ loss scale */

/* size: loss scale, good steps so far, factor, interval */
static void build_loss_scale(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor scale = hl_state(g, params, "loss_scale", HL_F32, (float)s[0], 0, NULL);
    hl_tensor good = hl_state(g, params, "good", HL_F32, (float)s[1], 0, NULL);
    hl_gate gate = {{0}, {0}, hl_scalar(g, "factor", (float)s[2])};
    hl_update_loss_scale(g, scale, good, gate, (int)s[3]);
    const hl_node *n = g->failed ? NULL : g->nodes[g->n_nodes - 1];
    hl_output(g, "loss_scale'", hl_node_output(n, 0));
    hl_output(g, "good'", hl_node_output(n, 1));
}

const hl_case cases_loss_scale[] = {
    {"good step", build_loss_scale, .size = {1024, 3, 1, 5}},
    {"grows", build_loss_scale, .size = {1024, 4, 1, 5}},
    {"grows at once", build_loss_scale, .size = {1024, 0, 0, 1}},
    {"skipped", build_loss_scale, .size = {1024, 4, -1, 5}},
    {"not below 1", build_loss_scale, .size = {1, 4, -1, 5}},
    {"not above 2^24", build_loss_scale, .size = {16777216, 4, 1, 5}},
    {"no interval", build_loss_scale, .size = {1024, 4, 1, 0}, .error = "an interval of 0 steps is below 1"},
    {0},
};

/* ------------------------------------------------------------------ AdamW */

/* Appends the update and declares what comes of it. size: elements, offset and count of the gradient
 * (-1: absent), factor in quarters, decay in percent, steps counted, dtype of a copy (0: none) */
static void update(hl_graph *g, hl_params *params, hl_tensor p, hl_tensor m, hl_tensor v, const int64_t *s)
{
    hl_adamw_params a = {s[1], 0.9f, 0.999f, 1e-8f, (float)s[4] / 100, 5, 0};
    hl_tensor gradient = s[2] < 0 ? (hl_tensor){0} : case_input(g, "gradient", 1, s[2], 0, 0, 0);
    hl_tensor low = s[6] ? hl_state(g, params, "low", (hl_dtype)s[6], 3, 1, s) : (hl_tensor){0};
    hl_tensor in[] = {p,
                      m,
                      v,
                      low,
                      gradient,
                      hl_scalar(g, "factor", (float)s[3] / 4),
                      hl_scalar(g, "lr", 0.0625f),
                      hl_scalar(g, "count", (float)s[5])};
    const hl_node *n = hl_graph_append(g, &hl_op_adamw, 8, in, &a);
    const char *const names[] = {"p'", "m'", "v'", "low'"};
    for (int k = 0; n && k < n->n_out; k++)
        hl_output(g, names[k], hl_cast(g, hl_node_output(n, k), HL_F32));
}

/* The first step, moments in bf16. */
static void build_first_bf16(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 1, s, (hl_init_rule){HL_NORMAL, 0, 0});
    bool partial = s[2] < s[0]; /* then moments are zero elsewhere: so they are everywhere */
    hl_tensor m = hl_state(g, params, "m", HL_BF16, partial ? 0 : 0.125f, 1, s);
    update(g, params, p, m, hl_state(g, params, "v", HL_BF16, partial ? 0 : 0.5f, 1, s), s);
}

static void build_mixed_moments(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 1, s, (hl_init_rule){HL_NORMAL, 0, 0});
    update(g, params, p, hl_state(g, params, "m", HL_BF16, 0, 1, s),
           hl_state(g, params, "v", HL_F32, 0, 1, s), s);
}

/* The first step: moments are zero. */
static void build_first(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 1, s, (hl_init_rule){HL_NORMAL, 0, 0});
    update(g, params, p, hl_state(g, params, "m", HL_F32, 0, 1, s), hl_state(g, params, "v", HL_F32, 0, 1, s),
           s);
}

/* A later one: the moments hold something. */
static void build_later(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 1, s, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_tensor m = hl_param(g, params, "m", 1, s, (hl_init_rule){HL_NORMAL, 0, 0});
    update(g, params, p, m, hl_param(g, params, "v", 1, s, (hl_init_rule){HL_ONES, 0, 0}), s);
}

/* Through the builder, with a gradient that a slice of the parameter has left zero elsewhere: the
 * compiler makes a partial update of it. size: rows, C, rows of the gradient, rows before it */
static void build_sliced(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 2, s, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_tensor m = hl_state(g, params, "m", HL_F32, 0, 2, s), v = hl_state(g, params, "v", HL_F32, 0, 2, s);
    hl_tensor gradient = case_input(g, "gradient", 2, s[2], s[1], 0, 0);
    gradient = hl_pad(g, gradient, 0, s[3], s[0] - s[2] - s[3]);
    hl_gate gate = {hl_scalar(g, "count", 1), {0}, hl_scalar(g, "factor", 0.5f)};
    hl_adamw_update(g, p, m, v, gradient, gate, hl_scalar(g, "lr", 0.125f), 0.25f,
                    (hl_adamw_options){.beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f});
    const hl_node *n = g->failed ? NULL : g->nodes[g->n_nodes - 1];
    hl_output(g, "p'", hl_node_output(n, 0));
    hl_output(g, "m'", hl_node_output(n, 1));
    hl_output(g, "v'", hl_node_output(n, 2));
}

static void build_no_gradient(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor p = hl_param(g, params, "p", 1, s, (hl_init_rule){HL_NORMAL, 0, 0}),
              one = hl_scalar(g, "one", 1);
    hl_adamw_update(g, p, hl_state(g, params, "m", HL_F32, 0, 1, s),
                    hl_state(g, params, "v", HL_F32, 0, 1, s), (hl_tensor){0}, (hl_gate){one, one, one}, one,
                    0, (hl_adamw_options){0});
}

#define LOOSE(factor, why) .loosen = factor, .loosen_why = why

const hl_case cases_adamw[] = {
    {"1", build_first, .size = {1, 0, 1, 4, 1, 1}},
    {"3, clipped", build_first, .size = {3, 0, 3, 1, 1, 1}},
    {"17, later", build_later, .size = {17, 0, 17, 4, 10, 100}},
    {"many", build_later, .size = {40001, 0, 40001, 3, 1, 3}},
    {"no decay", build_later, .size = {17, 0, 17, 4, 0, 2}},
    {"front", build_first, .size = {17, 0, 5, 4, 10, 1}},
    {"middle", build_first, .size = {17, 3, 9, 2, 10, 1}},
    {"back", build_first, .size = {17, 16, 1, 4, 10, 1}},
    {"middle of many", build_first, .size = {60000, 20000, 15000, 4, 10, 1}},
    {"covers nothing", build_first, .size = {17, 17, 0, 4, 10, 1}},
    {"absent", build_first, .size = {20011, 0, -1, 4, 10, 1}},
    {"absent, no decay", build_first, .size = {17, 0, -1, 4, 0, 1}},
    {"skipped", build_later, .size = {17, 0, 17, -4, 10, 5}},
    {"skipped, first", build_first, .size = {40001, 0, 40001, -4, 10, 0}},
    {"factor 0", build_later, .size = {17, 0, 17, 0, 10, 5}},
    {"sliced", build_sliced, .size = {9, 5, 3, 3}},
    {"empty", build_first, .size = {0, 0, 0, 4, 10, 1}},
    {"bf16 copy", build_later, .size = {1003, 0, 1003, 4, 10, 2, HL_BF16},
     LOOSE(1400, "the copy has 8 bits")},
    {"f16 copy, partial", build_first, .size = {1003, 7, 900, 4, 10, 2, HL_F16},
     LOOSE(180, "the copy has 11 bits")},
    {"copy, skipped", build_later, .size = {17, 0, 17, -4, 10, 2, HL_BF16}},
    {"copy, absent", build_first, .size = {17, 0, -1, 4, 10, 2, HL_BF16}, LOOSE(1400, "the copy has 8 bits")},
    {"bf16 moments", build_first_bf16, .size = {1003, 0, 1003, 4, 10, 2},
     LOOSE(2700, "rounded to 8 bits, up or down")},
    {"bf16 moments, partial", build_first_bf16, .size = {5003, 3, 4097, 4, 10, 2, HL_BF16},
     LOOSE(2700, "rounded to 8 bits, up or down")},
    {"bf16 moments, skipped", build_first_bf16, .size = {17, 0, 17, -4, 10, 2}},
    {"mixed moments", build_mixed_moments, .size = {17, 0, 17, 4, 10, 2},
     .error = "they must be both f32 or both bf16"},
    {"too many", build_first, .size = {17, 10, 8, 4, 1, 1},
     .error = "gradient of 8 elements do not fit [17]"},
    {"before", build_first, .size = {17, -1, 8, 4, 1, 1}, .error = "do not fit [17]"},
    {"no gradient", build_no_gradient, .size = {3}, .error = "adamw: there is no gradient"},
    {0},
};
