/* Products in integers: which there are, what they lose, and what stays in floats. */
#include "export/calibrate.h"

#include "base/memory.h"
#include "ops/ops.h"
#include "tests/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* x [B,6] -> dense 5 -> relu -> product with a parameter as it lies [5,4] -> y [B,4] */
static hl_graph *two_layers(hl_params *params, int64_t batch)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){batch, 6});
    hl_tensor h = hl_relu(g, hl_dense(g, params, "first", x, 5));
    hl_tensor w = hl_param(g, params, "second.weight", 2, (int64_t[]){5, 4}, (hl_init_rule){HL_FAN_IN, 5, 0});
    hl_output(g, "y", hl_matmul(g, h, false, w, false));
    return g;
}

static hl_session *open(const hl_graph *g, hl_params *params)
{
    hl_error err = {0};
    hl_session *s = g ? hl_session_open(g, params, NULL, &err) : NULL;
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

static void run(hl_session *s)
{
    hl_error err = {0};
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void fill(hl_session *s, const char *name, float scale)
{
    float *x = hl_session_input(s, name);
    int64_t n = hl_shape_count(hl_session_shape(s, name));
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * (float)sin(0.7 * (double)(i + 1));
}

/* |a - b| / |b| */
static double off(const float *a, const float *b, int64_t n)
{
    double error = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        total += (double)b[i] * b[i];
    }
    return sqrt(error / total);
}

static void layers_are_products_of_parameters(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3);
    hl_graph *g = two_layers(params, 2);
    hl_tensor both = hl_matmul(g, hl_input(g, "a", HL_F32, 2, (int64_t[]){3, 4}), false,
                               hl_input(g, "b", HL_F32, 2, (int64_t[]){4, 5}), false);
    hl_output(g, "no parameter", both);
    hl_layers layers;
    assert_int_equal(hl_layers_of(g, &layers, &err), HL_OK);
    assert_int_equal(layers.n, 2);
    assert_string_equal(layers.at[0].name, "first.weight");
    assert_int_equal(layers.at[0].weights, 30);
    assert_string_equal(layers.at[1].name, "second.weight");
    assert_true(isnan(layers.at[1].error) && !layers.at[1].kept && layers.at[1].scale == 0);
    hl_layers_free(&layers);
    hl_graph_free(g);
    hl_params_free(params);
}

static void integers_come_close(void **state)
{
    (void)state;
    hl_error err = {0};
    const int64_t batches[] = {1, 3, 17};
    hl_params *params = hl_params_new(3), *to = hl_params_new(0);
    for (int i = 0; i < 3; i++) {
        hl_graph *g = two_layers(params, batches[i]);
        hl_layers layers;
        assert_int_equal(hl_layers_of(g, &layers, &err), HL_OK);
        hl_graph *q = hl_quantize_layers(g, params, to, &layers, &err);
        hl_session *floats = open(g, params), *integers = open(q, to);
        fill(floats, "x", 2);
        fill(integers, "x", 2);
        run(floats);
        run(integers);
        double error = off(hl_session_output(integers, "y"), hl_session_output(floats, "y"), batches[i] * 4);
        assert_true(error < 0.02);
        assert_true(error > 0); /* they are integers */
        hl_session_free(floats);
        hl_session_free(integers);
        hl_layers_free(&layers);
        hl_graph_free(g);
        hl_graph_free(q);
    }
    assert_int_equal(hl_params_find(to, "first.weight"), -1); /* nothing reads it in floats */
    const hl_param_info w = hl_params_at(to, hl_params_find(to, "second.weight.int8"));
    assert_true(w.dtype == HL_I8 && w.shape.dim[0] == 4 &&
                w.shape.dim[1] == 5); /* turned: rows are channels */
    const float *scale = hl_params_at(to, hl_params_find(to, "second.weight.scale")).data;
    const float *was = hl_params_at(params, hl_params_find(params, "second.weight")).data;
    for (int o = 0; o < 4; o++)
        for (int k = 0; k < 5; k++)
            assert_true(fabsf(scale[o] * ((int8_t *)w.bytes)[o * 5 + k] - was[k * 4 + o]) <=
                        scale[o] * 0.5001f);
    hl_params_free(to);
    hl_params_free(params);
}

/* One weight, read by two products whose operands differ a thousand times. */
static void operands_of_one_weight_have_their_own_scales(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3), *to = hl_params_new(0);
    hl_graph *g = hl_graph_new();
    for (int i = 0; i < 2; i++) {
        hl_tensor x = hl_input(g, i ? "large" : "small", HL_F32, 2, (int64_t[]){3, 6});
        hl_tensor w = hl_param(g, params, "both", 2, (int64_t[]){5, 6}, (hl_init_rule){HL_FAN_IN, 0, 0});
        hl_output(g, i ? "of large" : "of small", hl_linear(g, x, w, (hl_tensor){0}));
    }
    hl_layers layers;
    assert_int_equal(hl_layers_of(g, &layers, &err), HL_OK);
    assert_int_equal(layers.n, 2);
    layers.at[0].scale = 0.001f / 127;
    layers.at[1].scale = 1.0f / 127;
    for (int again = 0; again < 2; again++) { /* the second time they are found */
        hl_graph *q = hl_quantize_layers(g, params, to, &layers, &err);
        hl_session *floats = open(g, params), *integers = open(q, to);
        for (int i = 0; i < 2; i++) {
            fill(i ? integers : floats, "small", 0.001f);
            fill(i ? integers : floats, "large", 1);
        }
        run(floats);
        run(integers);
        const char *const outputs[] = {"of small", "of large"};
        for (int i = 0; i < 2; i++)
            assert_true(off(hl_session_output(integers, outputs[i]), hl_session_output(floats, outputs[i]),
                            15) < 0.02);
        hl_session_free(floats);
        hl_session_free(integers);
        hl_graph_free(q);
    }
    assert_int_equal(hl_params_count(to), 4); /* integers and scales once, two operands */
    hl_layers_free(&layers);
    hl_graph_free(g);
    hl_params_free(to);
    hl_params_free(params);
}

static void kept_layers_stay_as_they_are(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3), *to = hl_params_new(0);
    hl_graph *g = two_layers(params, 3);
    hl_layers layers;
    assert_int_equal(hl_layers_of(g, &layers, &err), HL_OK);
    layers.at[0].kept = layers.at[1].kept = true;
    hl_graph *q = hl_quantize_layers(g, params, to, &layers, &err);
    hl_session *floats = open(g, params), *same = open(q, to);
    fill(floats, "x", 2);
    fill(same, "x", 2);
    run(floats);
    run(same);
    assert_memory_equal(hl_session_output(same, "y"), hl_session_output(floats, "y"), 12 * sizeof(float));
    assert_ptr_equal(
        hl_params_at(to, hl_params_find(to, "first.weight")).data,
        hl_params_at(params, hl_params_find(params, "first.weight")).data); /* mapped, not copied */
    hl_session_free(floats);
    hl_session_free(same);
    hl_layers_free(&layers);
    hl_graph_free(g);
    hl_graph_free(q);
    hl_params_free(to);
    hl_params_free(params);
}

static void a_weight_that_is_not_finite_is_named(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3), *to = hl_params_new(0);
    hl_graph *g = two_layers(params, 2);
    hl_layers layers;
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    hl_params_at(params, hl_params_find(params, "second.weight")).data[7] = NAN;
    assert_int_equal(hl_layers_of(g, &layers, &err), HL_OK);
    assert_null(hl_quantize_layers(g, params, to, &layers, &err));
    assert_int_equal(err.status, HL_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "second.weight"));
    hl_layers_free(&layers);
    hl_graph_free(g);
    hl_params_free(to);
    hl_params_free(params);
}

static void no_memory_is_told(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(3);
    hl_graph *g = two_layers(params, 2);
    hl_error err = {0};
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    int failures = 0;
    for (uint64_t at = 1; at < 400; at++) {
        hl_layers layers = {0};
        hl_params *to = hl_params_new(0);
        err = (hl_error){0};
        hl_alloc_fail_at(at);
        hl_graph *q = hl_layers_of(g, &layers, &err) == HL_OK
                          ? hl_quantize_layers(g, params, to, &layers, &err)
                          : NULL;
        hl_alloc_fail_at(0);
        if (!q) {
            failures++;
            assert_true(err.status != HL_OK && err.message[0]);
        }
        hl_graph_free(q);
        hl_layers_free(&layers);
        hl_params_free(to);
    }
    assert_true(failures > 10);
    hl_graph_free(g);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ calibration */

typedef struct watched {
    hl_params *params, *to;
    hl_layers layers;
    hl_session *probe;
    hl_calibration *seen;
} watched;

static void watch(watched *w, hl_params *params, float scale_of_second)
{
    hl_error err = {0};
    hl_graph *g = two_layers(params, 3);
    w->params = params;
    w->to = hl_params_new(0);
    assert_int_equal(hl_layers_of(g, &w->layers, &err), HL_OK);
    w->layers.at[1].scale = scale_of_second;
    hl_graph *probe = hl_quantize_probe(g, params, w->to, &w->layers, &err);
    w->probe = open(probe, w->to);
    w->seen = hl_calibration_new(w->probe, &w->layers, &err);
    assert_non_null(w->seen);
    hl_graph_free(probe);
    hl_graph_free(g);
}

static void let_go(watched *w)
{
    hl_calibration_free(w->seen);
    hl_session_free(w->probe);
    hl_layers_free(&w->layers);
    hl_params_free(w->to);
}

static void scales_are_those_of_what_was_seen(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3);
    watched w;
    watch(&w, params, 0);
    float *x = hl_session_input(w.probe, "x");
    for (int run_no = 0; run_no < 700; run_no++) { /* 12600 elements of the operand, one of them an outlier */
        for (int i = 0; i < 18; i++)
            x[i] = (float)sin(0.37 * (run_no * 18 + i));
        if (run_no == 350)
            x[3] = -127;
        run(w.probe);
        assert_int_equal(hl_calibration_take(w.seen, &err), HL_OK);
    }
    hl_calibration_set_scales(w.seen, &w.layers, HL_RANGE_LARGEST);
    assert_true(w.layers.at[0].scale == 1);
    hl_calibration_set_scales(w.seen, &w.layers, HL_RANGE_PERCENTILE);
    assert_true(w.layers.at[0].scale * 127 >= 0.999f && w.layers.at[0].scale * 127 < 1.1f);
    assert_true(w.layers.at[1].scale > 0);
    let_go(&w);
    hl_params_free(params);
}

static void layers_that_lose_too_much_are_kept(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3);
    watched w;
    watch(&w, params, 1e-4f); /* the second layer's operand is cut off at 0.0127 */
    fill(w.probe, "x", 2);
    run(w.probe);
    assert_int_equal(hl_calibration_take(w.seen, &err), HL_OK);
    assert_int_equal(hl_calibration_keep(w.seen, &w.layers, 0.05), 1);
    assert_true(!w.layers.at[0].kept && w.layers.at[0].error > 0 && w.layers.at[0].error < 0.05);
    assert_true(w.layers.at[1].kept && w.layers.at[1].error > 0.5);
    let_go(&w);
    hl_params_free(params);
}

static void an_operand_that_is_not_finite_is_told(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(3);
    watched w;
    watch(&w, params, 0);
    fill(w.probe, "x", 2);
    hl_session_input(w.probe, "x")[4] = INFINITY;
    run(w.probe);
    assert_int_equal(hl_calibration_take(w.seen, &err), HL_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "first.weight"));
    let_go(&w);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_products_of_parameters),
        cmocka_unit_test(integers_come_close),
        cmocka_unit_test(operands_of_one_weight_have_their_own_scales),
        cmocka_unit_test(kept_layers_stay_as_they_are),
        cmocka_unit_test(a_weight_that_is_not_finite_is_named),
        cmocka_unit_test(no_memory_is_told),
        cmocka_unit_test(scales_are_those_of_what_was_seen),
        cmocka_unit_test(layers_that_lose_too_much_are_kept),
        cmocka_unit_test(an_operand_that_is_not_finite_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
