/* Acting: a deployed model as a checkpoint's policy does, step by step; and what it refuses. */
#include "app/policy.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "deploy/model.h"
#include "deploy/policy.h"
#include "export/write.h"
#include "tests/small_model.h"
#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { A = 3, T = 3 };

static hl_model_options with_history(int64_t history)
{
    hl_model_options o = small_model(HL_HYBRID);
    o.history = history;
    return o;
}

static hl_model *written(const char *name, hl_graph *two, hl_graph *three, hl_params *params)
{
    hl_error err = {0};
    const char *path = temporary_path(name);
    if (hl_model_write(path, two, three, params, HL_PRECISION_FP32, 0, NULL, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    hl_model *m = hl_model_open(path, &err);
    if (!m)
        fail_msg("%s", err.message);
    return m;
}

/* A model whose units are the robot's: what a normalisation of nothing leaves. */
static hl_model *deployed(hl_params *params, const hl_model_options *o, bool smoothing)
{
    return written("policy.safetensors", hl_policy_graph(params, o, 2, smoothing),
                   hl_policy_graph(params, o, 3, smoothing), params);
}

static hl_policy *acting(hl_model *m, int64_t rows, float smoothing)
{
    hl_error err = {0};
    hl_policy *p = hl_policy_new(m, &(hl_policy_options){.rows = rows, .smoothing = smoothing}, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

/* Row r sees what depends on its episode and the step in it. */
static void observe(hl_policy *p, const hl_model_options *o, int64_t row, int episode, int step)
{
    for (int s = 0; s < HL_MODEL_SENSES; s++) {
        int64_t size = hl_model_sense_size(o, s);
        float *x = hl_policy_sense(p, hl_model_sense(s));
        assert_non_null(x);
        for (int64_t i = 0; i < size; i++)
            x[row * size + i] = (float)sin((double)(i * 7 + s * 31 + step * 101 + episode * 977) * 0.7);
    }
}

static void act(hl_policy *p, float *action)
{
    hl_error err = {0};
    if (hl_policy_act(p, action, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* Normalisation that changes every element of everything. */
static hl_normalization units_of(const hl_model_options *o)
{
    hl_normalization n = {0};
    for (int s = 0; s <= HL_SENSES; s++) {
        hl_normalizer *to = s < HL_SENSES ? &n.sense[s] : &n.action;
        to->count = s < HL_SENSES ? hl_model_sense_size(o, s) : o->action;
        to->offset = hl_alloc((size_t)to->count, sizeof(float));
        to->scale = hl_alloc((size_t)to->count, sizeof(float));
        for (int64_t i = 0; i < to->count; i++) {
            to->offset[i] = 0.25f * (float)(i % 3);
            to->scale[i] = 0.5f + (float)(i % 5);
        }
    }
    return n;
}

/* ------------------------------------------------------------------ what it does */

/* One episode of one row, alone in its batch, in the graph's units. */
static void episode_alone(hl_model *m, const hl_model_options *o, float smoothing, int episode, int steps,
                          float *actions)
{
    hl_policy *p = acting(m, 0, smoothing);
    for (int step = 0; step < steps; step++) {
        observe(p, o, 0, episode, step);
        act(p, actions + step * A);
    }
    hl_policy_free(p);
}

static void assert_close(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 2e-6f))
            fail_msg("element %lld: %.9g and %.9g", (long long)i, (double)a[i], (double)b[i]);
}

/* Rows that share a batch, and begin episodes when they like, act as each would alone. */
static void rows_are_independent(void **state)
{
    (void)state;
    enum { ROWS = 3, STEPS = 7 };
    for (int64_t history = 0; history <= T; history += T) {
        hl_model_options o = with_history(history);
        hl_params *params = hl_params_new(5);
        hl_model *m = deployed(params, &o, true);
        hl_policy *p = acting(m, ROWS, 0.3f);
        int episode[ROWS] = {0, 1, 2}, at[ROWS] = {0};
        for (int step = 0; step < STEPS; step++) {
            float action[ROWS * A], alone[STEPS * A];
            for (int r = 0; r < ROWS; r++) {
                if (step > 0 && step % (r + 2) == 0) { /* row r: an episode of r + 2 steps */
                    hl_policy_reset(p, r);
                    episode[r] += 10;
                    at[r] = 0;
                }
                observe(p, &o, r, episode[r], at[r]);
            }
            act(p, action);
            for (int r = 0; r < ROWS; r++) {
                episode_alone(m, &o, 0.3f, episode[r], at[r] + 1, alone);
                assert_close(action + r * A, alone + at[r] * A, A);
                at[r]++;
            }
        }
        hl_policy_free(p);
        hl_model_free(m);
        hl_params_free(params);
    }
}

/* action = (1 - w) new + w previous, the first of an episode new; and the history tells. */
static void smoothing_is_what_it_says(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    hl_model_options o = with_history(0);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, true);
    float raw[STEPS * A], smooth[STEPS * A], previous[A];
    episode_alone(m, &o, 0, 4, STEPS, raw);
    episode_alone(m, &o, 0.75f, 4, STEPS, smooth);
    for (int step = 0; step < STEPS; step++)
        for (int j = 0; j < A; j++) {
            float expected = step ? 0.25f * raw[step * A + j] + 0.75f * previous[j] : raw[j];
            assert_close(&smooth[step * A + j], &expected, 1);
            previous[j] = smooth[step * A + j];
        }
    hl_model_free(m);
    hl_params_free(params);
}

static void history_is_read(void **state)
{
    (void)state;
    hl_model_options o = with_history(T);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, false);
    hl_policy *p = acting(m, 1, 0);
    float first[A], again[A], later[A];
    observe(p, &o, 0, 1, 0);
    act(p, first);
    observe(p, &o, 0, 1, 0);
    act(p, again); /* the past is the same observation */
    assert_close(first, again, A);
    observe(p, &o, 0, 2, 0);
    act(p, later);
    observe(p, &o, 0, 1, 0);
    act(p, again);
    assert_true(again[0] != first[0] || again[1] != first[1] || again[2] != first[2]);
    hl_policy_reset(p, 0);
    observe(p, &o, 0, 1, 0);
    act(p, again);
    assert_memory_equal(first, again, sizeof first);
    hl_policy_free(p);
    hl_model_free(m);
    hl_params_free(params);
}

/* A checkpoint's policy is the same with its units around: raw = unit(graph). */
static void a_checkpoint_acts_alike(void **state)
{
    (void)state;
    enum { ROWS = 2, STEPS = 4 };
    hl_error err = {0};
    hl_model_options o = with_history(T);
    hl_normalization n = units_of(&o);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, true);
    hl_policy_options how = {.rows = ROWS, .smoothing = 0.3f};
    hl_policy *plain = acting(m, ROWS, 0.3f), *trained = hl_trained_policy(params, &o, &n, &how, false, &err);
    assert_non_null(trained);
    for (int step = 0; step < STEPS; step++) {
        float a[ROWS * A], b[ROWS * A];
        for (int r = 0; r < ROWS; r++) {
            observe(trained, &o, r, r, step);
            for (int s = 0; s < HL_MODEL_SENSES; s++) {
                int64_t size = hl_model_sense_size(&o, s);
                float *x = hl_policy_sense(plain, hl_model_sense(s)) + r * size;
                memcpy(x, hl_policy_sense(trained, hl_model_sense(s)) + r * size, (size_t)size * sizeof *x);
                hl_normalize(&n.sense[s], x);
            }
        }
        act(trained, a);
        act(plain, b);
        for (int r = 0; r < ROWS; r++)
            hl_denormalize(&n.action, b + r * A);
        assert_close(a, b, (int64_t)ROWS * A);
    }
    hl_policy_free(plain);
    hl_policy_free(trained);
    hl_normalization_free(&n);
    hl_model_free(m);
    hl_params_free(params);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    hl_model_options o = with_history(T);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, true);
    hl_policy *p = acting(m, 2, 0.5f);
    float action[2 * A];
    act(p, action);
    uint64_t before = hl_alloc_count();
    for (int step = 0; step < 4; step++) {
        observe(p, &o, step % 2, 3, step);
        if (step == 2)
            hl_policy_reset(p, 1);
        act(p, action);
    }
    assert_int_equal(hl_alloc_count(), before);
    hl_policy_free(p);
    hl_model_free(m);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ what it refuses */

static void what_is_not_finite_is_named(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = with_history(T);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, true);
    hl_policy *p = acting(m, 2, 0.5f);
    float action[2 * A] = {7, 7, 7, 7, 7, 7}, expected[2 * A];
    assert_null(hl_policy_sense(p, "smell"));
    assert_null(hl_policy_sense(p, "previous"));
    for (int r = 0; r < 2; r++)
        observe(p, &o, r, r, 0);
    act(p, expected);
    hl_policy_reset(p, 0);
    hl_policy_reset(p, 1);
    hl_policy_sense(p, "tactile")[7 + 4] = NAN;
    assert_int_equal(hl_policy_act(p, action, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "observation 1: tactile[4] is "));
    assert_true(action[0] == 7);
    for (int r = 0; r < 2; r++)
        observe(p, &o, r, r, 0);
    act(p, action); /* as if the other had not been */
    assert_memory_equal(action, expected, sizeof action);
    hl_policy_free(p);
    hl_model_free(m);
    hl_params_free(params);
}

/* Beyond what 32 bits hold on the way: it is told, and the next step is as if it had not been. */
static void a_result_that_is_not_finite_is_named(void **state)
{
    (void)state;
    for (int history = 0; history <= T; history += T) {
        hl_error err = {0};
        hl_model_options o = with_history(history);
        hl_params *params = hl_params_new(5);
        hl_model *m = deployed(params, &o, true);
        hl_policy *p = acting(m, 2, 0.5f), *other = acting(m, 2, 0.5f);
        float action[2 * A], expected[2 * A];
        for (int step = 0; step < 4; step++) {
            for (int r = 0; r < 2; r++) {
                observe(p, &o, r, r, step);
                observe(other, &o, r, r, step);
            }
            if (step % 2 == 0) { /* at the start of an episode, and later */
                for (int s = 0; s < HL_MODEL_SENSES; s++)
                    for (int64_t i = 0, n = hl_model_sense_size(&o, s); i < n; i++)
                        hl_policy_sense(p, hl_model_sense(s))[n + i] = 3e38f;
                assert_int_equal(hl_policy_act(p, action, &err), HL_ERR_NUMERIC);
                assert_non_null(strstr(err.message, "of row 1 is "));
                observe(p, &o, 1, 1, step);
            }
            act(p, action);
            act(other, expected);
            assert_memory_equal(action, expected, sizeof action);
        }
        hl_policy_free(p);
        hl_policy_free(other);
        hl_model_free(m);
        hl_params_free(params);
    }
}

static hl_graph *of_two_rows(void)
{
    hl_graph *g = hl_graph_new();
    hl_output(g, "action", hl_relu(g, hl_input(g, "tactile", HL_F32, 2, (int64_t[]){2, 4})));
    return g;
}

static void a_batch_that_is_fixed_is_refused(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_model *m = written("fixed.safetensors", of_two_rows(), of_two_rows(), params);
    for (int rows = 1; rows <= 3; rows++) {
        hl_error err = {0};
        hl_policy *p = hl_policy_new(m, &(hl_policy_options){.rows = rows}, &err);
        assert_int_equal(p != NULL, rows == 2);
        if (!p) {
            assert_int_equal(err.status, HL_ERR_DATA);
            assert_non_null(strstr(err.message, "its batch is not free"));
        }
        hl_policy_free(p);
    }
    hl_error err = {0};
    assert_int_equal(hl_model_check_batch(m, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "'tactile' is [2,4] for a batch of 1 and [2,4] for a batch of 2"));
    hl_model_free(m);
    hl_params_free(params);
}

static void one_name_is_one_value(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_graph *g = of_two_rows();
    hl_output(g, "tactile", hl_gelu(g, hl_input(g, "audio", HL_F32, 2, (int64_t[]){2, 3})));
    assert_null(hl_session_new(g, params, NULL, &err));
    assert_int_equal(err.status, HL_ERR_SHAPE);
    assert_string_equal(err.message, "output 'tactile' has the name of an input");
    hl_graph_free(g);
    hl_params_free(params);
}

static void options_are_checked(void **state)
{
    (void)state;
    hl_model_options o = with_history(0);
    hl_params *params = hl_params_new(5);
    hl_model *smooth = deployed(params, &o, true);
    hl_model *plain = deployed(params, &o, false);
    const float wrong[] = {-0.1f, 1.1f, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        hl_error err = {0};
        assert_null(hl_policy_new(smooth, &(hl_policy_options){.smoothing = wrong[i]}, &err));
        assert_int_equal(err.status, HL_ERR_USAGE);
    }
    hl_error err = {0};
    assert_null(hl_policy_new(plain, &(hl_policy_options){.smoothing = 0.5f}, &err));
    assert_non_null(strstr(err.message, "'smoothing'"));
    assert_null(hl_policy_new(plain, &(hl_policy_options){.rows = -1}, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_policy_new(plain, &(hl_policy_options){.device = "abacus"}, &err));
    hl_policy *p = hl_policy_new(plain, NULL, &err);
    assert_non_null(p);
    assert_int_equal(hl_session_shape(hl_policy_session(p), "action").dim[0], 1);
    assert_int_equal(hl_policy_reset(p, 0), HL_OK);
    assert_int_equal(hl_policy_reset(p, 1), HL_ERR_USAGE);
    assert_int_equal(hl_policy_reset(p, -1), HL_ERR_USAGE);
    assert_null(hl_model_input(plain, -1).name);
    assert_null(hl_model_input(plain, hl_model_inputs(plain)).name);
    assert_null(hl_model_output(plain, hl_model_outputs(plain)).name);
    assert_null(hl_session_call(hl_policy_session(p), -1).op);
    assert_null(hl_session_part(hl_policy_session(p), 1000).section);
    hl_policy_free(p);
    hl_policy_free(NULL);
    hl_model_free(NULL);
    hl_model_free(smooth);
    hl_model_free(plain);
    hl_params_free(params);
}

/* Graphs that are right and do not act. */
static hl_graph *odd_graph(int kind, int64_t rows)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "tactile", HL_F32, 2, (int64_t[]){rows, 4});
    hl_tensor y = hl_relu(g, x), one = hl_slice(g, y, 1, 0, 1);
    int64_t few[] = {rows, 3}, cube[] = {rows, 2, 4}, wrong[] = {rows, 2, 5}, none[] = {rows, 0, 4};
    if (kind == 1)
        y = hl_reshape(g, y, 3, (int64_t[]){rows, 2, 2});
    if (kind == 2)
        y = hl_add(g, y, hl_input(g, "extra", HL_F32, 2, (int64_t[]){1, 4}));
    if (kind == 3)
        y = hl_add(g, y, hl_concat(g, 2, (hl_tensor[]){hl_input(g, "previous", HL_F32, 2, few), one}, 1));
    if (kind == 4)
        y = hl_add(g, y, hl_input(g, "smoothing", HL_F32, 2, (int64_t[]){rows, 4}));
    if (kind >= 5)
        y = hl_add(g, y,
                   hl_slice(g,
                            hl_sum(g,
                                   hl_input(g, "history", HL_F32, 3,
                                            kind == 7   ? none
                                            : kind == 6 ? wrong
                                                        : cube),
                                   1),
                            1, 0, 4));
    if (kind == 6 || kind == 7)
        hl_output(g, "features", x);
    hl_output(g, kind == 0 ? "motion" : "action", y);
    return g;
}

static void graphs_that_do_not_act_are_refused(void **state)
{
    (void)state;
    static const char *const says[] = {"no output 'action'", "no output 'action'", "'extra'",
                                       "'previous'",         "'smoothing'",        "no output 'features'",
                                       "'features'",         "no entries"};
    for (int kind = 0; kind < 8; kind++) {
        hl_error err = {0};
        hl_params *params = hl_params_new(1);
        hl_graph *g = odd_graph(kind, 2);
        hl_session *s = hl_session_new(g, params, NULL, &err);
        if (!s)
            fail_msg("%d: %s", kind, err.message);
        assert_null(hl_policy_over(s, 0, NULL, &err));
        if (err.status != HL_ERR_DATA || !strstr(err.message, says[kind]))
            fail_msg("%d: %s", kind, err.message);
        hl_graph_free(g);
        hl_params_free(params);
    }
}

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    hl_model_options o = with_history(T);
    hl_params *params = hl_params_new(5);
    hl_model *m = deployed(params, &o, true);
    hl_policy *p = NULL;
    for (uint64_t n = 1; !p; n += n > 100 ? 13 : 1) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        p = hl_policy_new(m, NULL, &err);
        hl_alloc_fail_at(0);
        assert_true(p || (err.status != HL_OK && *err.message));
        assert_true(n < 100000);
    }
    hl_policy_free(p);
    hl_model_free(m);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_independent),
        cmocka_unit_test(smoothing_is_what_it_says),
        cmocka_unit_test(history_is_read),
        cmocka_unit_test(a_checkpoint_acts_alike),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(a_result_that_is_not_finite_is_named),
        cmocka_unit_test(a_batch_that_is_fixed_is_refused),
        cmocka_unit_test(one_name_is_one_value),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(graphs_that_do_not_act_are_refused),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
