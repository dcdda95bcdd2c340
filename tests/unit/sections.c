/* Labels of nodes: the section of the model and the phase of the step that every call of a plan tells. */
#include "tests/small_model.h"

#include "app/policy.h"
#include "app/train/trainer.h"
#include "base/memory.h"
#include "compile/passes.h"
#include "ops/ops.h"
#include "run/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const sections[] = {"H-module", "compressor", "decoder", "L-module", "loss", "optimizer"};
enum { SECTIONS = 6, OPTIMIZER = 5 };

static int section_index(const char *name)
{
    for (int i = 0; i < SECTIONS; i++)
        if (!strcmp(sections[i], name))
            return i;
    fail_msg("there is no section '%s'", name);
    return -1;
}

static hl_plan *plan_of(const hl_graph *g, hl_precision precision)
{
    hl_error err = {0};
    hl_plan *p = hl_plan_new(g, &(hl_session_options){.precision = precision}, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

static hl_plan *training_plan(hl_compressor compressor, int64_t accumulate, hl_precision precision)
{
    hl_params *params = hl_params_new(1);
    hl_trainer_options o = {.model = small_model(compressor),
                            .weights = {1, 0.1f, 0.01f},
                            .adamw = {.clip = 1, .loss_scale = precision == HL_PRECISION_FP16 ? 256 : 0},
                            .batch = 3,
                            .accumulate = accumulate,
                            .presence = accumulate > 1,
                            .mask = accumulate > 1};
    o.model.history = compressor == HL_HYBRID ? 2 : 0;
    hl_graph *g = hl_training_graph(params, &o);
    hl_plan *p = plan_of(g, precision);
    hl_graph_free(g);
    hl_params_free(params);
    return p;
}

static bool ends_in_backward(const char *op)
{
    const char *at = strstr(op, "_backward");
    return at && strlen(op) - (size_t)(at - op) <= strlen("_backward_filter");
}

/* All sections and phases are there, and each call has the one that its op can have. */
static void assert_training_labels(const hl_plan *p, bool in_turn)
{
    int seen[SECTIONS][HL_PHASES] = {{0}};
    hl_phase before = HL_PHASE_FORWARD;
    for (int i = 0; i < p->n_calls; i++) {
        const hl_node *n = p->call_nodes[i];
        const char *op = n->op->name;
        seen[section_index(n->label.section)][n->label.phase]++;
        if (ends_in_backward(op))
            assert_int_equal(n->label.phase, HL_PHASE_BACKWARD);
        if (!strcmp(op, "attention") || !strcmp(op, "layer_norm") || !strcmp(op, "mse"))
            assert_int_equal(n->label.phase, HL_PHASE_FORWARD);
        if (!strcmp(op, "adamw"))
            assert_int_equal(n->label.phase, HL_PHASE_UPDATE);
        if (!strcmp(op, "global_norm") || !strcmp(op, "update_gate") || !strcmp(op, "loss_scale"))
            assert_int_equal(n->label.phase, HL_PHASE_CLIP);
        if (n->label.phase >= HL_PHASE_CLIP)
            assert_string_equal(n->label.section, "optimizer");
        for (int k = 0; k < n->n_in && in_turn; k++)
            assert_true(!n->in[k].id || hl_info(p->graph, n->in[k])->node->label.phase <= n->label.phase);
        if (in_turn && strcmp(op, "expand")) /* the caller's copies of state come last */
            assert_true(n->label.phase >= before);
        before = n->label.phase;
    }
    for (int s = 0; s < OPTIMIZER; s++)
        assert_true(seen[s][HL_PHASE_FORWARD] && seen[s][HL_PHASE_BACKWARD]);
    assert_true(seen[OPTIMIZER][HL_PHASE_CLIP] >= 2 && seen[OPTIMIZER][HL_PHASE_UPDATE] > 50);
}

static void every_call_of_training_has_a_label(void **state)
{
    (void)state;
    static const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    for (int kind = 0; kind < 4; kind++)
        for (int precision = 0; precision < 3; precision++)
            for (int64_t accumulate = 1; accumulate <= 3; accumulate += 2) {
                hl_plan *p = training_plan((hl_compressor)kind, accumulate, precisions[precision]);
                /* micro-batches share what is equal, and their forward follows the backward before */
                assert_training_labels(p, accumulate == 1);
                hl_plan_free(p);
            }
}

static void every_call_of_inference_is_forward(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        int seen[SECTIONS] = {0};
        hl_params *params = hl_params_new(1);
        hl_model_options o = small_model((hl_compressor)kind);
        hl_graph *g = hl_policy_graph(params, &o, 2, true);
        hl_plan *p = plan_of(g, kind % 2 ? HL_PRECISION_BF16 : HL_PRECISION_FP32);
        for (int i = 0; i < p->n_calls; i++) {
            assert_int_equal(p->call_nodes[i]->label.phase, HL_PHASE_FORWARD);
            seen[section_index(p->call_nodes[i]->label.section)]++;
        }
        assert_true(seen[0] && seen[1] && !seen[2] && seen[3] && !seen[4] && !seen[5]);
        if (kind % 2 == 0) /* else the outputs are converted last */
            assert_string_equal(p->call_nodes[p->n_calls - 1]->label.section, "L-module"); /* smoothing */
        hl_plan_free(p);
        hl_graph_free(g);
        hl_params_free(params);
    }
}

static void labels_survive_without_any_pass(void **state)
{
    (void)state;
    for (const hl_pass *pass = hl_passes; pass->name; pass++) {
        if (pass->required)
            continue;
        setenv("HL_DISABLE_PASSES", pass->name, 1);
        hl_plan *p = training_plan(HL_HYBRID, 1, HL_PRECISION_BF16);
        assert_training_labels(p, false);
        hl_plan_free(p);
    }
    setenv("HL_DISABLE_PASSES",
           "simplify,single_key_attention,pool_before_convolution,common_subexpressions,dead_code,fuse", 1);
    hl_plan *p = training_plan(HL_HYBRID, 1, HL_PRECISION_FP32);
    assert_training_labels(p, false);
    hl_plan_free(p);
    unsetenv("HL_DISABLE_PASSES");
}

/* The k-th call's label, of a plan of y. */
static void assert_calls(hl_graph *g, hl_tensor y, int n, const char *const *ops, const char *const *names)
{
    hl_output(g, "y", y);
    hl_plan *p = plan_of(g, HL_PRECISION_FP32);
    assert_int_equal(p->n_calls, n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(p->call_nodes[i]->op->name, ops[i]);
        assert_string_equal(p->call_nodes[i]->label.section, names[i]);
    }
    hl_plan_free(p);
    hl_graph_free(g);
}

static void a_section_lasts_until_the_next(void **state)
{
    (void)state;
    char name[] = "first";
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 1, (int64_t[]){4});
    assert_string_equal(hl_section(g, name), "");
    name[0] = 'w'; /* the graph has its own copy */
    x = hl_exp(g, x);
    assert_string_equal(hl_section(g, "second"), "first");
    x = hl_gelu(g, x);
    assert_string_equal(hl_section(g, NULL), "second");
    x = hl_mul(g, x, x);
    assert_string_equal(hl_section(g, "first"), "");
    x = hl_relu(g, x);
    assert_string_equal(hl_section(g, ""), "first");
    char text[2000];
    assert_true(hl_graph_print(g, text, sizeof text) < sizeof text);
    assert_non_null(strstr(text, "second     forward        gelu"));
    assert_non_null(strstr(text, "-          forward        mul"));
    assert_calls(g, x, 4, (const char *const[]){"exp", "gelu", "mul", "relu"},
                 (const char *const[]){"first", "second", "", "first"});
    assert_string_equal(hl_section(NULL, "x"), "");
    assert_string_equal(hl_phase_name(HL_PHASE_CLIP), "clip");
    assert_string_equal(hl_phase_name(HL_PHASES), "?");
}

static void equal_nodes_of_two_sections_are_one(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 1, (int64_t[]){4});
    hl_section(g, "first");
    hl_tensor a = hl_exp(g, x);
    hl_section(g, "second");
    hl_tensor b = hl_exp(g, x);
    assert_calls(g, hl_sub(g, a, hl_mul(g, b, b)), 3, (const char *const[]){"exp", "mul", "sub"},
                 (const char *const[]){"first", "second", "second"});
}

static void a_fused_product_stays_in_its_section(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){4, 4});
    hl_section(g, "product");
    hl_tensor y = hl_matmul(g, x, false, x, true);
    hl_section(g, "activation");
    assert_calls(g, hl_relu(g, y), 1, (const char *const[]){"matmul"}, (const char *const[]){"product"});
}

/* A value read forward and its reader's gradient: what is only backward's is labelled so. */
static void backward_is_of_the_section_it_differentiates(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 1, (int64_t[]){4}), dx;
    hl_section(g, "inner");
    hl_tensor y = hl_gelu(g, x);
    hl_section(g, "outer");
    hl_tensor loss = hl_sum_all(g, hl_exp(g, y));
    hl_section(g, "elsewhere");
    hl_gradient(g, loss, 1, &x, &dx);
    hl_output(g, "dx", dx);
    hl_output(g, "twice", hl_affine(g, dx, 2, 1));
    hl_plan *p = plan_of(g, HL_PRECISION_FP32);
    bool gelu = false, twice = false;
    for (int i = 0; i < p->n_calls; i++) {
        const hl_node *n = p->call_nodes[i];
        if (!strcmp(n->op->name, "gelu_backward")) {
            assert_string_equal(n->label.section, "inner");
            assert_int_equal(n->label.phase, HL_PHASE_BACKWARD);
            gelu = true;
        }
        if (!strcmp(n->op->name, "affine")) {
            assert_string_equal(n->label.section, "elsewhere");
            assert_int_equal(n->label.phase, HL_PHASE_BACKWARD); /* it reads what is */
            twice = true;
        }
    }
    assert_true(gelu && twice);
    size_t size = hl_plan_print(p, NULL, 0) + 1;
    char *text = malloc(size);
    hl_plan_print(p, text, size);
    assert_non_null(strstr(text, "inner      backward       gelu_backward"));
    free(text);
    hl_plan_free(p);
    hl_graph_free(g);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    int failed = 0;
    for (uint64_t n = 1; n < 1000; n++) {
        hl_alloc_fail_at(n);
        hl_graph *g = hl_graph_new();
        hl_tensor x = hl_fill(g, 0, NULL, 1);
        for (int i = 0; i < 100 && g; i++) {
            char name[8];
            name[0] = (char)('a' + i % 26);
            name[1] = (char)('a' + i / 26);
            name[2] = 0;
            hl_section(g, name);
            x = hl_exp(g, x);
        }
        hl_alloc_fail_at(0);
        bool done = g && !hl_graph_error(g);
        failed += !done;
        if (done)
            assert_string_equal(hl_section(g, NULL), "vd");
        hl_graph_free(g);
        if (done)
            break;
    }
    assert_true(failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_lasts_until_the_next),
        cmocka_unit_test(equal_nodes_of_two_sections_are_one),
        cmocka_unit_test(a_fused_product_stays_in_its_section),
        cmocka_unit_test(backward_is_of_the_section_it_differentiates),
        cmocka_unit_test(every_call_of_training_has_a_label),
        cmocka_unit_test(every_call_of_inference_is_forward),
        cmocka_unit_test(labels_survive_without_any_pass),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("sections", tests, NULL, NULL);
}
