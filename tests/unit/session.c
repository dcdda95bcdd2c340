/* Sessions of the whole (small) model: every pass may be switched off, nothing is allocated in steady
 * state, memory is what the plan says, runs repeat. */
#include "tests/small_model.h"

#include "base/memory.h"
#include "compile/passes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 3, STEPS = 3 };

typedef struct trained {
    double loss[STEPS], norm[STEPS];
    int n;
    double sums[400]; /* of each parameter, weighted */
} trained;

static hl_session *training_session(hl_params *params, const hl_model_options *o, const char *device)
{
    hl_error err = {0};
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = BATCH, .training = true, .decode = true};
    hl_model_nodes m = hl_model_build(g, params, o, &mode);
    hl_tensor target = hl_input(g, "target", HL_F32, 2, (int64_t[]){BATCH, o->action});
    hl_loss l = hl_model_loss(g, &m, target, (hl_tensor){0}, (hl_loss_weights){1, 0.1f, 0.01f});
    hl_output(g, "loss", l.total);
    hl_adamw(g, params, l.total, (hl_adamw_options){.eps = 1e-3f, .weight_decay = 0.01f, .clip = 1});
    hl_session *s = hl_session_new(g, params, device, &err);
    hl_graph_free(g);
    if (!s)
        fail_msg("%s", err.message);
    assert_int_equal(hl_session_set(s, "lr", 1e-3f), HL_OK);
    assert_int_equal(hl_session_set(s, "no such scalar", 1), HL_ERR_USAGE);
    return s;
}

static trained train(const hl_model_options *o, const char *device)
{
    hl_error err = {0};
    trained t = {.n = 0};
    hl_params *params = hl_params_new(5);
    hl_session *s = training_session(params, o, device);
    for (int step = 0; step < STEPS; step++) {
        small_model_inputs(s, step, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        t.loss[step] = *hl_session_output(s, "loss");
        t.norm[step] = *hl_session_output(s, "grad_norm");
    }
    for (int i = 0; i < hl_params_count(params) && t.n < 400; i++) {
        hl_param_info p = hl_params_at(params, i);
        double sum = 0;
        for (int64_t k = 0; k < p.count; k++)
            sum += p.data[k] * (1 + (double)(k % 7));
        t.sums[t.n++] = sum;
    }
    hl_session_free(s);
    hl_params_free(params);
    return t;
}

static void assert_close(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * (1 + fabs(b))))
        fail_msg("%.9g and %.9g differ by more than %g", a, b, tolerance);
}

static void assert_same_training(const trained *a, const trained *b, double tolerance)
{
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < STEPS; i++) {
        assert_true(isfinite(a->loss[i]) && a->norm[i] > 0);
        assert_close(a->loss[i], b->loss[i], tolerance);
        assert_close(a->norm[i], b->norm[i], 10 * tolerance);
    }
    for (int i = 0; i < a->n; i++)
        assert_close(a->sums[i], b->sums[i], 10 * tolerance);
}

/* Some gradients are zero but for rounding (the bias of attention's keys). AdamW's usual eps would make
 * steps of the size of lr from that noise; training_session's keeps it what it is. */
static const double TOLERANCE = 2e-6;

static void every_pass_can_be_disabled(void **state)
{
    (void)state;
    static const char *const switches[] = {"in_place", "reuse",
                                           ("simplify,single_key_attention,pool_before_convolution,"
                                            "common_subexpressions,dead_code,fuse,in_place,reuse")};
    for (int kind = 0; kind < 4; kind++) {
        hl_model_options o = small_model((hl_compressor)kind);
        o.history = kind == 0 ? 2 : 0;
        o.tokens = kind == 2 ? 1 : 4;
        trained all = train(&o, "cpu");
        for (const hl_pass *p = hl_passes; p->name; p++) {
            if (p->required)
                continue;
            setenv("HL_DISABLE_PASSES", p->name, 1);
            trained without = train(&o, "cpu");
            assert_same_training(&without, &all, TOLERANCE);
        }
        for (int i = 0; i < 3; i++) {
            setenv("HL_DISABLE_PASSES", switches[i], 1);
            trained without = train(&o, "cpu");
            assert_same_training(&without, &all, TOLERANCE);
        }
        unsetenv("HL_DISABLE_PASSES");
    }
}

static void an_unknown_pass_is_an_error(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_graph *g = hl_graph_new();
    hl_output(g, "y", hl_fill(g, 0, NULL, 1));
    setenv("HL_DISABLE_PASSES", "fuse,simplfy", 1);
    assert_null(hl_plan_new(g, NULL, &err));
    unsetenv("HL_DISABLE_PASSES");
    assert_non_null(strstr(err.message, "'simplfy'"));
    hl_graph_free(g);
}

static void runs_repeat_bitwise_and_devices_agree(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_HYBRID);
    trained a = train(&o, "cpu"), b = train(&o, "cpu"), portable = train(&o, "cpu:portable");
    assert_memory_equal(a.loss, b.loss, sizeof a.loss);
    assert_memory_equal(a.sums, b.sums, sizeof a.sums);
    assert_same_training(&portable, &a, TOLERANCE);
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    hl_params *params = hl_params_new(5);
    hl_session *s = training_session(params, &o, "cpu");
    small_model_inputs(s, 0, 1);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    uint64_t before = hl_alloc_count();
    for (int i = 0; i < 5; i++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_alloc_count(), before);
    hl_session_free(s);
    hl_params_free(params);
}

static void a_bad_step_changes_nothing_but_a_counter(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    hl_params *params = hl_params_new(5);
    hl_session *s = training_session(params, &o, "cpu");
    small_model_inputs(s, 0, 1);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    int n = hl_params_count(params);
    float **before = calloc((size_t)n, sizeof *before);
    for (int i = 0; i < n; i++) {
        hl_param_info p = hl_params_at(params, i);
        before[i] = malloc((size_t)p.count * 4 + 1);
        memcpy(before[i], p.data, (size_t)p.count * 4);
    }
    hl_session_input(s, "audio")[1] = NAN;
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_true(*hl_session_output(s, "skipped") == 1);
    for (int i = 0; i < n; i++) {
        hl_param_info p = hl_params_at(params, i);
        if (strcmp(p.name, "adamw.skipped"))
            assert_memory_equal(before[i], p.data, (size_t)p.count * 4);
        free(before[i]);
    }
    free(before);
    small_model_inputs(s, 0, 1);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_true(*hl_session_output(s, "skipped") == 1);
    assert_true(isfinite(*hl_session_output(s, "loss")));
    hl_session_free(s);
    hl_params_free(params);
}

/* Inference in a frozen session gives what a plain one gives. */
/* Of memory that is full of NaN, as a test may ask for, an input that nobody sets is nevertheless zeros. */
static void poison_spares_the_inputs(void **state)
{
    (void)state;
    static const char *const names[] = {"visual", "depth", "audio", "tactile", "proprioceptive", "target"};
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    setenv("HL_POISON_ARENA", "1", 1);
    hl_params *params = hl_params_new(5);
    hl_session *s = training_session(params, &o, "cpu");
    assert_true(isnan(*hl_session_output(s, "loss"))); /* nobody wrote it */
    for (int k = 0; k < 6; k++)
        for (int64_t i = 0; i < hl_shape_count(hl_session_shape(s, names[k])); i++)
            assert_true(hl_session_input(s, names[k])[i] == 0);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_true(isfinite(*hl_session_output(s, "loss")));
    hl_session_free(s);
    hl_params_free(params);
}

static void a_frozen_session_agrees(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    float action[2][BATCH * 3];
    for (int frozen = 0; frozen < 2; frozen++) {
        hl_params *params = hl_params_new(5);
        hl_graph *g = hl_graph_new();
        hl_model_mode mode = {.batch = BATCH};
        hl_output(g, "action", hl_model_build(g, params, &o, &mode).action);
        hl_session *s = hl_session_open(g, params, &(hl_session_options){.device = "cpu", .frozen = frozen},
                                        &err);
        assert_non_null(s);
        small_model_inputs(s, 0, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        memcpy(action[frozen], hl_session_output(s, "action"), sizeof action[frozen]);
        hl_session_free(s);
        hl_graph_free(g);
        hl_params_free(params);
    }
    for (int i = 0; i < BATCH * 3; i++)
        assert_close(action[1][i], action[0][i], 1e-6);
}

static void the_plan_accounts_for_every_byte(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_HYBRID);
    hl_params *params = hl_params_new(5);
    hl_session *s = training_session(params, &o, "cpu");
    hl_memory m = hl_session_memory(s);
    size_t parameters = 0, optimizer = 0;
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        *(p.role == HL_PARAMETER ? &parameters : &optimizer) += (size_t)p.count * 4;
    }
    assert_int_equal(m.by_kind[HL_MEM_PARAMETERS], parameters);
    assert_int_equal(m.by_kind[HL_MEM_OPTIMIZER], optimizer);
    assert_true(m.arena >= m.lower_bound);
    assert_true((double)m.arena <= 1.1 * (double)m.lower_bound);
    assert_int_equal(m.total, m.arena + parameters + optimizer);
    size_t alive = m.by_kind[HL_MEM_GRADIENTS] + m.by_kind[HL_MEM_ACTIVATIONS] + m.by_kind[HL_MEM_WORKSPACE] +
                   m.by_kind[HL_MEM_IO];
    assert_int_equal(alive, m.lower_bound);
    hl_session_free(s);
    hl_params_free(params);
}

/* Whichever allocation fails, the answer is an error, not a crash. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_ATTENTION);
    int failed = 0;
    for (uint64_t n = 1; n < 100000; n += 1 + n / 20) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_params *params = hl_params_new(5);
        hl_graph *g = params ? hl_graph_new() : NULL;
        hl_session *s = NULL;
        if (g) {
            hl_model_mode mode = {.batch = 1};
            hl_output(g, "action", hl_model_build(g, params, &o, &mode).action);
            s = hl_session_new(g, params, "cpu", &err);
        }
        hl_alloc_fail_at(0);
        failed += s == NULL;
        if (g && !s)
            assert_true(err.status != HL_OK && err.message[0]);
        bool done = s != NULL;
        hl_session_free(s);
        hl_graph_free(g);
        hl_params_free(params);
        if (done)
            break;
    }
    assert_true(failed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pass_can_be_disabled),
        cmocka_unit_test(an_unknown_pass_is_an_error),
        cmocka_unit_test(runs_repeat_bitwise_and_devices_agree),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(a_bad_step_changes_nothing_but_a_counter),
        cmocka_unit_test(a_frozen_session_agrees),
        cmocka_unit_test(poison_spares_the_inputs),
        cmocka_unit_test(the_plan_accounts_for_every_byte),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
