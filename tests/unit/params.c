#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "graph/graph.h"
#include "run/params.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SHAPE(...)                                                                                           \
    hl_shape_make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static int declare(hl_params *params, const char *name, hl_shape shape, hl_init kind)
{
    int index = -1;
    hl_error err = {0};
    assert_int_equal(hl_params_declare(params, name, HL_PARAMETER, HL_F32, shape, (hl_init_rule){kind, 0, 0},
                                       &index, &err),
                     HL_OK);
    return index;
}

static void fill(hl_params *params)
{
    hl_error err = {0};
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
}

static void test_declare_and_find(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(7);
    assert_int_equal(hl_params_count(params), 0);
    assert_int_equal(hl_params_find(params, "a.weight"), -1);
    assert_int_equal(declare(params, "a.weight", SHAPE(3, 17), HL_FAN_IN), 0);
    assert_int_equal(declare(params, "a.bias", SHAPE(3), HL_ZEROS), 1);
    assert_int_equal(declare(params, "a.weight", SHAPE(3, 17), HL_ONES), 0); /* known: the first rule stays */
    assert_int_equal(hl_params_count(params), 2);
    assert_int_equal(hl_params_find(params, "a.bias"), 1);
    assert_int_equal(hl_params_find(params, "a.bia"), -1);
    hl_param_info info = hl_params_at(params, 0);
    assert_string_equal(info.name, "a.weight");
    assert_true(info.role == HL_PARAMETER && info.count == 51 && info.shape.rank == 2 && !info.data);
    fill(params);
    assert_true(hl_params_at(params, 0).data[0] != 1.0f);
    assert_true(hl_params_seed(params) == 7 && hl_params_version(params) == 0);
    hl_params_free(params);
    hl_params_free(NULL);
}

static void refuse(hl_params *params, const char *name, hl_role role, hl_shape shape, hl_init_rule init,
                   hl_status status, const char *a, const char *b)
{
    int index, before = hl_params_count(params);
    hl_error err = {0};
    assert_int_equal(hl_params_declare(params, name, role, HL_F32, shape, init, &index, &err), status);
    assert_non_null(strstr(err.message, a));
    assert_non_null(strstr(err.message, b));
    assert_int_equal(hl_params_count(params), before);
}

static void test_bad_declarations(void **state)
{
    (void)state;
    const hl_init_rule zeros = {HL_ZEROS, 0, 0};
    char name[HL_PARAM_NAME_MAX + 2];
    hl_params *params = hl_params_new(1);
    declare(params, "w", SHAPE(2, 3), HL_ZEROS);
    refuse(params, "w", HL_PARAMETER, SHAPE(3, 2), zeros, HL_ERR_SHAPE, "'w' is declared with shape [3,2]",
           "[2,3]");
    refuse(params, "w", HL_PARAMETER, SHAPE(2, 3, 1), zeros, HL_ERR_SHAPE, "[2,3,1]", "[2,3]");
    refuse(params, "w", HL_OPTIMIZER, SHAPE(2, 3), zeros, HL_ERR_USAGE, "state of the optimizer",
           "a parameter");
    refuse(params, "n", HL_PARAMETER, SHAPE(2, -3), zeros, HL_ERR_SHAPE, "'n'", "[2,-3]");
    refuse(params, "n", HL_PARAMETER, SHAPE(INT64_MAX, 2), zeros, HL_ERR_SHAPE, "'n'", "too large");
    refuse(params, "n", HL_PARAMETER, SHAPE(0, INT64_MAX, 2), zeros, HL_ERR_SHAPE, "'n'", "too large");
    refuse(params, "n", HL_PARAMETER, SHAPE(INT64_MAX / 4), zeros, HL_ERR_SHAPE, "'n'", "too large");
    refuse(params, "n", HL_PARAMETER, SHAPE(5), (hl_init_rule){HL_XAVIER, 0, 0}, HL_ERR_SHAPE, "Xavier",
           "[5]");
    refuse(params, "n", HL_PARAMETER, SHAPE(5), (hl_init_rule){HL_FAN_IN, -1, 0}, HL_ERR_USAGE, "fan-in",
           "-1");
    refuse(params, "", HL_PARAMETER, SHAPE(5), zeros, HL_ERR_USAGE, "1 to 255 bytes", "has 0");
    refuse(params, ".", HL_PARAMETER, SHAPE(5), zeros, HL_ERR_USAGE, "'.'", "dot");
    refuse(params, "a/b", HL_PARAMETER, SHAPE(5), zeros, HL_ERR_USAGE, "a/b", "byte 1");
    refuse(params, "a\n", HL_PARAMETER, SHAPE(5), zeros, HL_ERR_USAGE, "control character", "byte 1");
    memset(name, 'x', sizeof name);
    name[HL_PARAM_NAME_MAX + 1] = 0;
    refuse(params, name, HL_PARAMETER, SHAPE(5), zeros, HL_ERR_USAGE, "255", "has 256");
    name[HL_PARAM_NAME_MAX] = 0;
    declare(params, name, SHAPE(5), HL_ZEROS);
    hl_params_free(params);
}

static void test_thousands(void **state)
{
    (void)state;
    enum { N = 5000 };
    char name[32];
    hl_params *params = hl_params_new(1);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "layer.%d.weight", i);
        assert_int_equal(declare(params, name, SHAPE(1 + i % 3), HL_ONES), i);
    }
    const char *first = hl_params_at(params, 0).name; /* names do not move as the store grows */
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "layer.%d.weight", i);
        assert_int_equal(hl_params_find(params, name), i);
        assert_true(hl_params_at(params, i).count == 1 + i % 3);
    }
    assert_int_equal(hl_params_find(params, "layer.5000.weight"), -1);
    assert_ptr_equal(hl_params_at(params, 0).name, first);
    hl_params_free(params);
}

/* A plan of a model far beyond this machine costs nothing. */
static void test_declaring_allocates_nothing_large(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    uint64_t before = hl_alloc_count();
    declare(params, "huge", SHAPE(1 << 20, 1 << 20, 1 << 10), HL_FAN_IN);
    assert_true(hl_alloc_count() - before <= 3);
    assert_null(hl_params_at(params, 0).data);
    hl_error err = {0};
    assert_int_equal(hl_params_materialize(params, &err), HL_ERR_MEMORY);
    assert_non_null(strstr(err.message, "'huge'"));
    hl_params_free(params);
}

/* Order, number of threads and company do not change a value; name and seed do. */
static void test_values_are_a_function_of_seed_name_and_index(void **state)
{
    (void)state;
    enum { N = 100003 }; /* above the size that is filled by many threads */
    static const hl_init kinds[] = {HL_FAN_IN, HL_NORMAL};
    for (int k = 0; k < 2; k++) {
        hl_params *a = hl_params_new(42), *b = hl_params_new(42), *c = hl_params_new(43);
        int threads = omp_get_max_threads();
        declare(a, "x", SHAPE(N), kinds[k]);
        declare(a, "y", SHAPE(N), kinds[k]);
        declare(b, "other", SHAPE(9, 9), HL_XAVIER);
        declare(b, "y", SHAPE(N), kinds[k]);
        fill(b);
        declare(b, "x", SHAPE(N), kinds[k]);
        declare(c, "x", SHAPE(N), kinds[k]);
        omp_set_num_threads(1);
        fill(a);
        omp_set_num_threads(4);
        fill(b);
        fill(c);
        omp_set_num_threads(threads);
        const float *x = hl_params_at(a, 0).data, *y = hl_params_at(a, 1).data;
        assert_memory_equal(x, hl_params_at(b, 2).data, N * sizeof(float));
        assert_memory_equal(y, hl_params_at(b, 1).data, N * sizeof(float));
        int same_name = 0, same_seed = 0;
        for (int i = 0; i < N; i++) {
            same_name += x[i] == y[i];
            same_seed += x[i] == hl_params_at(c, 0).data[i];
        }
        assert_true(same_name < 10 && same_seed < 10);
        hl_params_free(a);
        hl_params_free(b);
        hl_params_free(c);
    }
}

/* The formula itself, so that a store made by another version of hl holds the same model. */
static void test_formula(void **state)
{
    (void)state;
    const uint64_t fnv_a = 0xAF63DC4C8601EC8Cu; /* FNV-1a-64 of "a", from its authors' test vectors */
    hl_params *params = hl_params_new(5);
    declare(params, "a", SHAPE(7, 4), HL_FAN_IN);
    fill(params);
    const float *data = hl_params_at(params, 0).data;
    for (uint64_t i = 0; i < 28; i++) {
        hl_philox w = hl_philox_block(5, (uint32_t)fnv_a, (uint32_t)(fnv_a >> 32), i / 4);
        assert_true(data[i] == 0.5f * (2.0f * hl_uniform_float(w.v[i % 4]) - 1.0f));
    }
    hl_params_free(params);
}

/* Moments of a large tensor against those of the distribution, within five standard errors. */
static void check_moments(hl_shape shape, hl_init_rule init, double variance, double least_max,
                          double most_max)
{
    int index;
    hl_error err = {0};
    hl_params *params = hl_params_new(11);
    assert_int_equal(hl_params_declare(params, "w", HL_PARAMETER, HL_F32, shape, init, &index, &err), HL_OK);
    fill(params);
    hl_param_info w = hl_params_at(params, index);
    double n = (double)w.count, sum = 0, squares = 0, most = 0, lag = 0;
    for (int64_t i = 0; i < w.count; i++) {
        sum += w.data[i];
        squares += (double)w.data[i] * w.data[i];
        lag += i ? (double)w.data[i] * w.data[i - 1] : 0;
        most = fmax(most, fabs(w.data[i]));
    }
    assert_true(fabs(sum / n) < 5 * sqrt(variance / n));
    assert_true(fabs(squares / n / variance - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(lag / n / variance) < 5 / sqrt(n));
    assert_true(most >= least_max && most <= most_max * 1.0000001);
    hl_params_free(params);
}

static void test_distributions(void **state)
{
    (void)state;
    check_moments(SHAPE(1000, 25, 2, 2), (hl_init_rule){HL_FAN_IN, 0, 0}, 0.01 / 3, 0.99 * 0.1, 0.1);
    check_moments(SHAPE(100000), (hl_init_rule){HL_FAN_IN, 16, 0}, 0.0625 / 3, 0.99 * 0.25, 0.25);
    check_moments(SHAPE(400, 300), (hl_init_rule){HL_FAN_IN, 64, 0}, 1.0 / 64 / 3, 0.99 * 0.125, 0.125);
    check_moments(SHAPE(300, 300), (hl_init_rule){HL_XAVIER, 0, 0}, 0.01 / 3, 0.99 * 0.1, 0.1);
    /* The largest of 100000 normals is outside 3.8..5.9 for one seed in 2500. */
    check_moments(SHAPE(1, 100000), (hl_init_rule){HL_NORMAL, 0, 0}, 1, 3.8, 5.9);
}

static void test_small_sizes_and_constants(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 3, 4, 5, 17};
    static const hl_init kinds[] = {HL_ZEROS, HL_ONES, HL_FAN_IN, HL_NORMAL};
    for (int k = 0; k < 4; k++)
        for (int s = 0; s < 6; s++) {
            hl_params *params = hl_params_new(1);
            declare(params, "w", SHAPE(sizes[s]), kinds[k]);
            fill(params);
            hl_param_info w = hl_params_at(params, 0);
            assert_non_null(w.data);
            for (int64_t i = 0; i < w.count; i++)
                if (k < 2)
                    assert_true(w.data[i] == (float)k);
                else
                    assert_true(w.data[i] != 0 && isfinite(w.data[i]));
            hl_params_free(params);
        }
    hl_params *params = hl_params_new(1);
    hl_shape scalar = {0};
    declare(params, "scalar", scalar, HL_ONES);
    declare(params, "nothing", SHAPE(0, 1 << 30, 1 << 20), HL_XAVIER);
    fill(params);
    assert_true(hl_params_at(params, 0).count == 1 && hl_params_at(params, 0).data[0] == 1.0f);
    assert_true(hl_params_at(params, 1).count == 0);
    hl_params_free(params);
}

static void test_materialize_keeps_what_is_there(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    declare(params, "a", SHAPE(4), HL_ONES);
    fill(params);
    hl_params_at(params, 0).data[2] = 9;
    declare(params, "b", SHAPE(4), HL_ONES);
    fill(params);
    assert_true(hl_params_at(params, 0).data[2] == 9 && hl_params_at(params, 1).data[2] == 1);
    hl_params_free(params);
}

/* A second session must not find fresh random weights where trained ones were. */
static void test_released_data(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    declare(params, "a", SHAPE(4), HL_ONES);
    hl_params_release_data(params, 0, HL_F32); /* has none yet: nothing is lost */
    fill(params);
    hl_params_release_data(params, 0, HL_F32);
    assert_null(hl_params_at(params, 0).data);
    assert_int_equal(hl_params_materialize(params, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'a' was let go"));
    assert_int_equal(hl_params_materialize_at(params, 0, &err), HL_ERR_USAGE);
    declare(params, "b", SHAPE(4), HL_ONES); /* one entry alone does not mind the other */
    assert_int_equal(hl_params_materialize_at(params, 1, &err), HL_OK);
    assert_true(hl_params_at(params, 1).data[3] == 1);
    assert_int_equal(hl_params_allocate(params, 0, &err), HL_OK);
    hl_params_at(params, 0).data[1] = 3;
    assert_int_equal(hl_params_allocate(params, 0, &err), HL_OK);
    fill(params);
    assert_true(hl_params_at(params, 0).data[1] == 3);
    hl_params_free(params);
}

static void test_no_memory(void **state)
{
    (void)state;
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_status status = HL_ERR_MEMORY;
        hl_alloc_fail_at(n);
        hl_params *params = hl_params_new(1);
        for (int i = 0; params && i < 100; i++) { /* past the first growth */
            char name[8];
            int index;
            snprintf(name, sizeof name, "p%d", i);
            status = hl_params_declare(params, name, HL_PARAMETER, HL_F32, SHAPE(2),
                                       (hl_init_rule){HL_ONES, 0, 0}, &index, &err);
            if (status != HL_OK) {
                assert_int_equal(hl_params_count(params), i);
                assert_int_equal(hl_params_find(params, name), -1);
                break;
            }
            assert_int_equal(hl_params_find(params, name), i);
        }
        if (status == HL_OK)
            status = hl_params_materialize(params, &err);
        hl_alloc_fail_at(0);
        hl_params_free(params);
        if (status == HL_OK)
            break;
        assert_int_equal(status, HL_ERR_MEMORY);
        failures++;
    }
    assert_int_equal(failures, 1 + 4 + 100 + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declare_and_find),
        cmocka_unit_test(test_bad_declarations),
        cmocka_unit_test(test_thousands),
        cmocka_unit_test(test_declaring_allocates_nothing_large),
        cmocka_unit_test(test_values_are_a_function_of_seed_name_and_index),
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_small_sizes_and_constants),
        cmocka_unit_test(test_materialize_keeps_what_is_there),
        cmocka_unit_test(test_released_data),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
