/* Roofs by arithmetic; the loops that measure them, by sanity alone. */
#include "app/bench/ceilings.h"

#include "kernels/cpu/ceilings.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 100 FLOP/s, 10 bytes/s: above 10 FLOP per byte arithmetic binds. bf16 is four times as fast. */
static const hl_ceilings machine = {.multiply_add = 100,
                                    .integers = 800,
                                    .matmul_integers = 900,
                                    .matmul = {[HL_PRECISION_FP32] = 80, [HL_PRECISION_BF16] = 400},
                                    .read = 10,
                                    .copy = 8,
                                    .triad = 7,
                                    .elementwise = 9};

static double percent(hl_precision p, double flops, double bytes, double seconds, const char *want)
{
    hl_roof r = {0};
    const char *bound;
    hl_roof_add(&r, &machine, "matmul", p, flops, bytes);
    double percent = hl_roof_percent(&r, seconds, &bound);
    assert_string_equal(bound, want);
    return percent;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9 * fabs(b);
}

static void the_lower_roof_binds(void **state)
{
    (void)state;
    assert_true(hl_ceilings_peak(&machine, "matmul", HL_PRECISION_FP32) == 100);
    assert_true(hl_ceilings_peak(&machine, "matmul", HL_PRECISION_BF16) == 400);
    assert_true(hl_ceilings_peak(&machine, "quantized_matmul", HL_PRECISION_BF16) == 900);
    assert_true(hl_ceilings_peak(&machine, "quantize", HL_PRECISION_FP32) == 100);
    assert_true(hl_ceilings_bandwidth(&machine) == 10);
    assert_true(near(percent(HL_PRECISION_FP32, 1000, 10, 20, "compute"), 50));
    assert_true(near(percent(HL_PRECISION_FP32, 1000, 200, 40, "memory"), 50));
    assert_true(near(percent(HL_PRECISION_BF16, 1000, 10, 20, "compute"), 12.5));
    assert_true(near(percent(HL_PRECISION_BF16, 1000, 40, 20, "memory"), 20));
    assert_true(near(percent(HL_PRECISION_FP32, 0, 100, 5, "cache"), 200));
    assert_true(percent(HL_PRECISION_FP32, 0, 0, 5, "memory") == 0);
}

static void without_time_or_ceilings_there_is_no_percent(void **state)
{
    (void)state;
    hl_roof r = {0};
    const char *bound;
    assert_true(isnan(percent(HL_PRECISION_FP32, 1000, 10, 0, "-")));
    assert_true(isnan(percent(HL_PRECISION_FP32, 1000, 10, NAN, "-")));
    hl_roof_add(&r, &(hl_ceilings){0}, "matmul", HL_PRECISION_FP32, 1, 1);
    assert_true(isnan(hl_roof_percent(&r, 1, &bound)));
}

/* 10 s of arithmetic and 2 s of memory. */
static void sums_are_bound_by_what_takes_longer(void **state)
{
    (void)state;
    hl_roof a = {0}, b = {0};
    const char *bound;
    hl_roof_add(&a, &machine, "matmul", HL_PRECISION_FP32, 1000, 10);
    hl_roof_add(&b, &machine, "matmul", HL_PRECISION_FP32, 0, 20);
    hl_roof_join(&a, &b);
    assert_true(near(hl_roof_percent(&a, 24, &bound), 50));
    assert_string_equal(bound, "compute");
    hl_roof_add(&a, &machine, "matmul", HL_PRECISION_FP32, 0, 120);
    assert_true(near(hl_roof_percent(&a, 24, &bound), 100));
    assert_string_equal(bound, "memory");
    assert_true(hl_roof_percent(&a, 12, &bound) > 100);
    assert_string_equal(bound, "cache");
}

/* ------------------------------------------------------------------ loops */

static void loops_stay_in_their_pool(void **state)
{
    (void)state;
    static hl_trial *const trials[] = {hl_trial_read, hl_trial_copy, hl_trial_triad, hl_trial_cache};
    static const size_t counts[] = {0, 1, 3, 17, 1000, 100003};
    for (int threads = 1; threads <= 3; threads += 2) {
        omp_set_num_threads(threads);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            float *pool = malloc((counts[c] + 1) * sizeof *pool); /* a sanitizer sees what lies beyond */
            for (size_t i = 0; i <= counts[c]; i++)
                pool[i] = 1;
            for (size_t t = 0; t < 4; t++) {
                double rate = trials[t](pool, counts[c]);
                assert_true(counts[c] < 10000 || (rate > 0 && isfinite(rate)));
            }
            assert_true(pool[counts[c]] == 1);
            free(pool);
        }
    }
}

static void a_copy_copies_and_a_triad_adds(void **state)
{
    (void)state;
    enum { N = 3 * 4096 };
    float pool[N];
    omp_set_num_threads(2);
    for (int i = 0; i < N; i++)
        pool[i] = (float)i;
    (void)hl_trial_copy(pool, N);
    assert_memory_equal(pool, pool + N / 2, N / 2 * sizeof *pool);
    for (int i = 0; i < N; i++)
        pool[i] = (float)(i % 4096);
    (void)hl_trial_triad(pool, N);
    for (int i = 0; i < N / 3; i++)
        assert_true(pool[i] == 1.5f * (float)i);
}

static void arithmetic_has_a_rate(void **state)
{
    (void)state;
    omp_set_num_threads(1);
    double rate = hl_best_of_trials(hl_trial_multiply_add, NULL, 0, 0);
    assert_true(rate > 0 && isfinite(rate));
    rate = hl_best_of_trials(hl_trial_integers, NULL, 0, 0);
    assert_true(rate > 0 && isfinite(rate));
    assert_true(hl_vector_floats() >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lower_roof_binds),
        cmocka_unit_test(without_time_or_ceilings_there_is_no_percent),
        cmocka_unit_test(sums_are_bound_by_what_takes_longer),
        cmocka_unit_test(loops_stay_in_their_pool),
        cmocka_unit_test(a_copy_copies_and_a_triad_adds),
        cmocka_unit_test(arithmetic_has_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
