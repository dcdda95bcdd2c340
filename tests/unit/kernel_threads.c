/* Convolutions, pools, patches and the LSTM in plain C, forward and backward: the same bits whatever
 * the number of threads, and an error, not a crash, whichever allocation fails while planning. */
#include "hl.h"

#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hl_tensor input(hl_graph *g, const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return hl_input(g, name, HL_F32, rank, (int64_t[]){a, b, c, d});
}

static void give_gradients(hl_graph *g, hl_tensor loss, int n, const hl_tensor *wrt)
{
    hl_tensor d[8];
    hl_gradient(g, loss, n, wrt, d);
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        hl_output(g, name, d[i]);
    }
}

/* A mean of squares: its gradient differs from element to element. */
static hl_tensor squares(hl_graph *g, hl_tensor y)
{
    hl_output(g, "y", y);
    return hl_mean(g, hl_mul(g, y, y));
}

static hl_graph *convolution_graph(void)
{
    hl_graph *g = hl_graph_new();
    hl_tensor wrt[] = {input(g, "x", 4, 3, 5, 37, 29), input(g, "w", 4, 18, 5, 3, 3),
                       input(g, "b", 1, 18, 0, 0, 0)};
    hl_tensor y = hl_relu(g, hl_conv2d(g, wrt[0], wrt[1], wrt[2], 2, 1));
    give_gradients(g, squares(g, hl_adaptive_avg_pool(g, y, 7, 4)), 3, wrt);
    return g;
}

/* The compiler makes patch_mean of a pool right after a convolution. */
static hl_graph *patches_graph(void)
{
    hl_graph *g = hl_graph_new();
    hl_tensor wrt[] = {input(g, "x", 4, 3, 18, 37, 29), input(g, "w", 4, 5, 18, 3, 3)};
    hl_tensor y = hl_conv2d(g, wrt[0], wrt[1], (hl_tensor){0}, 1, 1);
    give_gradients(g, squares(g, hl_adaptive_avg_pool(g, y, 7, 4)), 2, wrt);
    return g;
}

static hl_graph *lstm_graph(void)
{
    hl_graph *g = hl_graph_new();
    hl_tensor wrt[] = {input(g, "x", 3, 29, 9, 5, 0), input(g, "wi", 2, 4 * 34, 5, 0, 0),
                       input(g, "wh", 2, 4 * 34, 34, 0, 0), input(g, "bi", 1, 4 * 34, 0, 0, 0),
                       input(g, "bh", 1, 4 * 34, 0, 0, 0)};
    hl_tensor y = hl_lstm(g, wrt[0], wrt[1], wrt[2], wrt[3], wrt[4], true);
    give_gradients(g, squares(g, y), 5, wrt);
    return g;
}

static size_t count_of(hl_shape s)
{
    size_t n = 1;
    for (int i = 0; i < s.rank; i++)
        n *= (size_t)s.dim[i];
    return n;
}

static const char *const leaves[] = {"x", "w", "b", "wi", "wh", "bi", "bh"};
static const char *const results[] = {"y", "d0", "d1", "d2", "d3", "d4"};

/* Runs on `threads` threads; all outputs one after another. */
static float *run(hl_graph *(*build)(void), int threads, size_t *count)
{
    hl_error err = {0};
    hl_graph *g = build();
    hl_params *params = hl_params_new(1);
    omp_set_num_threads(threads);
    hl_session *s = hl_session_new(g, params, "cpu:portable", &err);
    if (!s)
        fail_msg("%s", err.message);
    for (size_t k = 0; k < sizeof leaves / sizeof *leaves; k++) {
        float *x = hl_session_input(s, leaves[k]);
        for (size_t i = 0; x && i < count_of(hl_session_shape(s, leaves[k])); i++)
            x[i] = (float)((i * 2654435761u + k * 40503u) % 2003) / 1001.5f - 1.0f;
    }
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    float *all = NULL;
    *count = 0;
    for (size_t k = 0; k < sizeof results / sizeof *results; k++) {
        const float *y = hl_session_output(s, results[k]);
        size_t n = y ? count_of(hl_session_shape(s, results[k])) : 0;
        all = realloc(all, (*count + n + 1) * sizeof *all);
        assert_non_null(all);
        if (n)
            memcpy(all + *count, y, n * sizeof *all);
        *count += n;
    }
    hl_session_free(s);
    hl_params_free(params);
    hl_graph_free(g);
    return all;
}

static void check_threads(hl_graph *(*build)(void))
{
    int before = omp_get_max_threads();
    size_t n, m;
    float *one = run(build, 1, &n);
    assert_true(n > 1000);
    for (int threads = 2; threads <= 7; threads++) {
        float *many = run(build, threads, &m);
        assert_int_equal(n, m);
        assert_memory_equal(one, many, n * sizeof *one);
        free(many);
    }
    omp_set_num_threads(before);
    free(one);
}

static void test_threads(void **state)
{
    (void)state;
    check_threads(convolution_graph);
    check_threads(patches_graph);
    check_threads(lstm_graph);
}

/* The n-th allocation of planning fails, for every n until none does. */
static void check_failing_allocations(hl_graph *(*build)(void))
{
    hl_graph *g = build();
    bool done = false;
    assert_null(hl_graph_error(g));
    for (uint64_t n = 1; !done; n++) {
        hl_error err = {0};
        hl_session_options options = {.device = "cpu:portable"};
        assert_true(n < 100000);
        hl_alloc_fail_at(n);
        hl_plan *plan = hl_plan_new(g, &options, &err);
        hl_alloc_fail_at(0);
        done = plan != NULL;
        if (!done)
            assert_true(err.status != HL_OK && strlen(err.message) > 5);
        hl_plan_free(plan);
    }
    hl_graph_free(g);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    check_failing_allocations(convolution_graph);
    check_failing_allocations(patches_graph);
    check_failing_allocations(lstm_graph);
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
