/* What the compiler relies on when it pools patches before a convolution: equal values, in double, by
 * the references.  And small answers worked out by hand, as PyTorch gives them. */
#include "ops/ops.h"
#include "ops/reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Leaves hold a fixed pattern, or 1, 2, 3, ... where the test counts by hand. */
static void fill_pattern(void *context, const hl_node *leaf, double *data, int64_t count)
{
    (void)context;
    double phase = (double)((const hl_input_params *)leaf->params)->name[0];
    for (int64_t i = 0; i < count; i++)
        data[i] = sin(phase + 1.7 * (double)i) + 0.3 * cos(0.9 * (double)(i * i % 101));
}

static void fill_counting(void *context, const hl_node *leaf, double *data, int64_t count)
{
    (void)context;
    (void)leaf;
    for (int64_t i = 0; i < count; i++)
        data[i] = (double)(i + 1);
}

static hl_tensor input(hl_graph *g, const char *name, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return hl_input(g, name, HL_F32, 4, (int64_t[]){a, b, c, d});
}

static hl_reference evaluate(const hl_graph *g, hl_reference_leaf leaf)
{
    hl_error err = {0};
    hl_reference r;
    if (hl_graph_error(g))
        fail_msg("%s", hl_graph_error(g));
    if (hl_reference_run(g, leaf, NULL, 1, 0, &r, &err) != HL_OK)
        fail_msg("%s", err.message);
    return r;
}

/* s: B, C, H, W, O, kh, kw, stride, padding, h, w */
static double worst_difference(const int64_t *s)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = input(g, "x", s[0], s[1], s[2], s[3]), w = input(g, "w", s[4], s[1], s[5], s[6]);
    hl_tensor b = hl_input(g, "b", HL_F32, 1, &s[4]);
    hl_tensor pooled = hl_adaptive_avg_pool(g, hl_conv2d(g, x, w, b, (int)s[7], (int)s[8]), s[9], s[10]);
    hl_tensor patches = hl_patch_mean(g, x, (int)s[5], (int)s[6], (int)s[7], (int)s[8], s[9], s[10]);
    hl_tensor flat = hl_reshape(g, w, 2, (int64_t[]){s[4], -1});
    hl_tensor product = hl_transpose(g, hl_linear(g, patches, flat, b), (int[]){0, 3, 1, 2});
    hl_reference r = evaluate(g, fill_pattern);
    double worst = 0, size = 0;
    assert_true(hl_shape_equal(hl_shape_of(g, pooled), hl_shape_of(g, product)));
    for (int64_t i = 0; i < hl_info(g, pooled)->count; i++) {
        worst = fmax(worst, fabs(r.value[pooled.id][i] - r.value[product.id][i]));
        size = fmax(size, fabs(r.value[pooled.id][i]));
    }
    assert_true(size > 0.1);
    hl_reference_free(&r);
    hl_graph_free(g);
    return worst;
}

static void test_pool_of_convolution(void **state)
{
    (void)state;
    const int64_t cases[][11] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},   {2, 3, 8, 8, 5, 3, 3, 1, 1, 4, 4},
        {2, 3, 17, 15, 4, 3, 3, 2, 1, 7, 7}, {1, 2, 17, 9, 3, 5, 5, 2, 2, 1, 1},
        {1, 2, 5, 4, 3, 3, 3, 2, 0, 3, 5},   {2, 1, 3, 3, 2, 5, 5, 1, 2, 2, 2},
        {1, 3, 11, 10, 2, 2, 4, 3, 1, 2, 3}, {3, 2, 1, 17, 3, 1, 3, 1, 4, 3, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(worst_difference(cases[i]) < 1e-12);
}

static void assert_values(const hl_graph *g, hl_tensor t, const hl_reference *r, int64_t n,
                          const double *want)
{
    assert_int_equal(hl_info(g, t)->count, n);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(r->value[t.id][i] - want[i]) < 1e-12);
}

/* x = [[1,2,3],[4,5,6],[7,8,9]], w = [[1,2],[3,4]], b = 1: no kernel is turned around. */
static void test_convolution_by_hand(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_tensor x = input(g, "x", 1, 1, 3, 3), w = input(g, "w", 1, 1, 2, 2);
    hl_tensor b = hl_input(g, "b", HL_F32, 1, (int64_t[]){1});
    hl_tensor plain = hl_conv2d(g, x, w, b, 1, 0), padded = hl_conv2d(g, x, w, b, 2, 1);
    hl_reference r = evaluate(g, fill_counting);
    assert_values(g, plain, &r, 4, (double[]){38, 48, 68, 78});
    assert_values(g, padded, &r, 4, (double[]){5, 19, 37, 78});
    hl_reference_free(&r);
    hl_graph_free(g);
}

/* Five columns into three: [0,2), [1,4), [3,5). */
static void test_pool_by_hand(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_tensor x = input(g, "x", 1, 1, 1, 5);
    hl_tensor fewer = hl_adaptive_avg_pool(g, x, 1, 3), more = hl_adaptive_avg_pool(g, x, 2, 7);
    hl_reference r = evaluate(g, fill_counting);
    assert_values(g, fewer, &r, 3, (double[]){1.5, 3, 4.5});
    assert_values(g, more, &r, 14, (double[]){1, 1.5, 2.5, 3, 3.5, 4.5, 5, 1, 1.5, 2.5, 3, 3.5, 4.5, 5});
    hl_reference_free(&r);
    hl_graph_free(g);
}

/* The gates' order is i, f, g, o: with only one of them open, c or h shows it. H = 1, T = 2. */
static void fill_gates(void *context, const hl_node *leaf, double *data, int64_t count)
{
    const double *gates = context;
    bool weights = !strcmp(((const hl_input_params *)leaf->params)->name, "w");
    for (int64_t i = 0; i < count; i++)
        data[i] = weights ? 0.5 * (double)(i + 1) : gates[i];
}

static void test_lstm_by_hand(void **state)
{
    (void)state;
    const double gates[] = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8};
    hl_error err = {0};
    hl_reference r;
    for (int reverse = 0; reverse < 2; reverse++) {
        hl_graph *g = hl_graph_new();
        hl_lstm_params p = {reverse};
        hl_tensor in[] = {hl_input(g, "x", HL_F32, 3, (int64_t[]){1, 2, 4}),
                          hl_input(g, "w", HL_F32, 2, (int64_t[]){4, 1})};
        hl_node *n = hl_graph_append(g, &hl_op_lstm, 2, in, &p);
        assert_int_equal(hl_reference_run(g, fill_gates, (void *)gates, 1, 0, &r, &err), HL_OK);
        double h = 0, c = 0;
        for (int step = 0; step < 2; step++) {
            int t = reverse ? 1 - step : step;
            const double *a = gates + 4 * t;
            double i = 1 / (1 + exp(-a[0] - 0.5 * h)), f = 1 / (1 + exp(-a[1] - h));
            double candidate = tanh(a[2] + 1.5 * h), o = 1 / (1 + exp(-a[3] - 2 * h));
            c = f * c + i * candidate;
            h = o * tanh(c);
            assert_true(fabs(r.value[hl_node_output(n, 0).id][t] - h) < 1e-14);
            assert_true(fabs(r.value[hl_node_output(n, 1).id][t] - c) < 1e-14);
        }
        hl_reference_free(&r);
        hl_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_of_convolution),
        cmocka_unit_test(test_convolution_by_hand),
        cmocka_unit_test(test_pool_by_hand),
        cmocka_unit_test(test_lstm_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
