/* The smallest weights become zero, and no others. */
#include "app/bench/prune.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int by_magnitude(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
    return x < y ? -1 : x > y;
}

/* Against sorting: what is kept is what was, nothing kept is smaller than anything zeroed. */
static void check_pruned(const float *before, int64_t n, int64_t zeros)
{
    float *w = malloc((size_t)n * sizeof *w), *sorted = malloc((size_t)n * sizeof *w);
    memcpy(w, before, (size_t)n * sizeof *w);
    memcpy(sorted, before, (size_t)n * sizeof *w);
    qsort(sorted, (size_t)n, sizeof *sorted, by_magnitude);
    assert_true(hl_prune_values(w, n, zeros));
    int64_t changed = 0, now_zero = 0, were_zero = 0;
    for (int64_t i = 0; i < n; i++) {
        if (w[i] != before[i]) {
            assert_true(w[i] == 0 && fabsf(before[i]) <= fabsf(sorted[zeros - 1]));
            changed++;
        } else if (before[i] != 0 && zeros > 0) {
            assert_true(fabsf(before[i]) >= fabsf(sorted[zeros - 1]));
        }
        now_zero += w[i] == 0;
        were_zero += before[i] == 0;
    }
    assert_true(now_zero == (zeros > were_zero ? zeros : were_zero));
    assert_true(changed == now_zero - were_zero);
    free(w);
    free(sorted);
}

static void the_smallest_go(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 3, 17, 1000, 70001};
    float *w = malloc(70001 * sizeof *w);
    for (int kind = 0; kind < 4; kind++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int64_t n = sizes[s];
            for (int64_t i = 0; i < n; i++) {
                float x = (float)(i * 2654435761 % 10007) / 5003 - 1;
                w[i] = kind == 0   ? x
                       : kind == 1 ? (float)(i % 3 - 1) /* many are equal */
                       : kind == 2 ? x * 1e-42f         /* denormal */
                                   : ldexpf(x, (int)(i % 200) - 100);
            }
            for (int k = 0; k <= 4; k++)
                check_pruned(w, n, n * k / 4);
            check_pruned(w, n, 1);
        }
    }
    free(w);
}

static void what_is_not_finite_goes_last(void **state)
{
    (void)state;
    float w[4] = {NAN, 2, -INFINITY, -3};
    assert_true(hl_prune_values(w, 4, 2));
    assert_true(isnan(w[0]) && w[1] == 0 && isinf(w[2]) && w[3] == 0);
    assert_true(hl_prune_values(w, 4, 3));
    assert_true(isnan(w[0]) && w[2] == 0);
    assert_true(hl_prune_values(w, 0, 0));
}

static hl_params *small_store(void)
{
    hl_params *params = hl_params_new(3);
    hl_graph *g = hl_graph_new();
    int64_t w[] = {17, 30}, b[] = {17};
    hl_param(g, params, "w", 2, w, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_param(g, params, "b", 1, b, (hl_init_rule){HL_ONES, 0, 0});
    hl_state(g, params, "m", HL_F32, 1, 2, w);
    hl_graph_free(g);
    return params;
}

static void matrices_of_the_model_alone(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = small_store();
    assert_int_equal(hl_prune(params, 0.5, &err), HL_OK);
    for (int i = 0; i < 3; i++) {
        hl_param_info p = hl_params_at(params, i);
        int zeros = 0;
        for (int64_t k = 0; k < p.count; k++)
            zeros += p.data[k] == 0;
        assert_int_equal(zeros, i == 0 ? 255 : 0);
    }
    hl_params_free(params);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1; n < 10; n++) {
        hl_error err = {0};
        hl_params *params = small_store();
        hl_alloc_fail_at(n);
        hl_status status = hl_prune(params, 0.5, &err);
        hl_alloc_fail_at(0);
        assert_true(status == HL_OK || (status == HL_ERR_MEMORY && strstr(err.message, "no memory")));
        failures += status != HL_OK;
        hl_params_free(params);
    }
    assert_int_equal(failures, 4); /* three entries, one count */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_go),
        cmocka_unit_test(what_is_not_finite_goes_last),
        cmocka_unit_test(matrices_of_the_model_alone),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
