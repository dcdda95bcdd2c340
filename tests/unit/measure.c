#include "app/measure.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void nothing_measured_is_not_a_number(void **state)
{
    (void)state;
    hl_measure *m = hl_measure_new(3, 2);
    assert_true(isnan(hl_measure_sparsity(m)) && isnan(hl_measure_information(m)));
    hl_measure_free(m);
    hl_measure_free(NULL);
}

static void sparsity_runs_from_equal_to_one_alone(void **state)
{
    (void)state;
    const float context[2] = {1, 2}, equal[4] = {-3, 3, 3, -3}, alone[4] = {0, 0, -7, 0}, none[4] = {0};
    hl_measure *m = hl_measure_new(2, 4);
    hl_measure_add(m, 1, context, context, equal);
    assert_true(fabs(hl_measure_sparsity(m)) < 1e-12);
    hl_measure_add(m, 1, context, context, alone);
    assert_true(fabs(hl_measure_sparsity(m) - 0.5) < 1e-12); /* the mean of 0 and 1 */
    hl_measure_add(m, 1, context, context, none);
    assert_true(fabs(hl_measure_sparsity(m) - 1.0 / 3) < 1e-12);
    hl_measure_free(m);
}

/* Two dimensions: one reconstructed with a sixteenth of its variance as error (2 bits), one not at all. */
static void information_is_half_the_log_of_what_is_explained(void **state)
{
    (void)state;
    const float context[8] = {-4, 1, 4, 1.5f, -4, 2, 4, 2.5f}, guess[8] = {-3, 0, 3, 0, -3, 0, 3, 0},
                z[1] = {1};
    hl_measure *m = hl_measure_new(2, 1);
    for (int i = 0; i < 4; i++)
        hl_measure_add(m, 1, context + 2 * i, guess + 2 * i, z);
    assert_true(fabs(hl_measure_information(m) - 2) < 1e-12);
    hl_measure_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_measured_is_not_a_number),
        cmocka_unit_test(sparsity_runs_from_equal_to_one_alone),
        cmocka_unit_test(information_is_half_the_log_of_what_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
