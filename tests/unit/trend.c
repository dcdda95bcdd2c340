/* Slopes and intervals beside numbers worked out by hand or with NumPy, and how often the interval is wrong.
 */
#include "base/trend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.15g, expected %.15g", got, want);
}

/* From the tables, to ten digits. */
static void test_students_quantiles(void **state)
{
    (void)state;
    close_to(hl_student_t(0, 3), 0);
    close_to(hl_student_t(0.5, 1), 1);
    close_to(hl_student_t(0.95, 1), 12.7062047362);
    close_to(hl_student_t(0.95, 2), 4.3026527297);
    close_to(hl_student_t(0.95, 3), 3.1824463053);
    close_to(hl_student_t(0.95, 4), 2.7764451052);
    close_to(hl_student_t(0.95, 5), 2.5705818356);
    close_to(hl_student_t(0.95, 10), 2.2281388520);
    close_to(hl_student_t(0.95, 28), 2.0484071418);
    close_to(hl_student_t(0.95, 30), 2.0422724563);
    close_to(hl_student_t(0.99, 4), 4.6040948714);
    close_to(hl_student_t(0.95, 120), 1.9799304051);
}

static void assert_none(hl_trend t, int samples)
{
    assert_true(isnan(t.slope) && isnan(t.low) && isnan(t.high));
    assert_int_equal(t.samples, samples);
}

static void test_too_little_is_no_trend(void **state)
{
    (void)state;
    const double x[] = {0, 1, NAN, 3, 4}, y[] = {5, 6, 7, NAN, NAN}, same[] = {2, 2, 2, 2, 2},
                 value[] = {1, 2, 3, 4, 5};
    assert_none(hl_trend_fit(0, NULL, NULL), 0);
    assert_none(hl_trend_fit(1, x, y), 1);
    assert_none(hl_trend_fit(5, x, y), 2);
    assert_none(hl_trend_fit(5, same, value), 5);
}

static void test_a_straight_line(void **state)
{
    (void)state;
    double x[700], y[700];
    for (int n = 3; n <= 700; n += n < 20 ? 1 : 17) {
        for (int i = 0; i < n; i++) {
            x[i] = 1e6 + 0.2 * i; /* a clock that has run for long */
            y[i] = 4e9 - 1000 * (x[i] - 1e6);
        }
        hl_trend t = hl_trend_fit(n, x, y);
        assert_true(fabs(t.slope + 1000) < 1e-3 && t.low <= t.slope && t.high >= t.slope);
        assert_true(t.high - t.low < 1e-2 && t.samples == n && t.blocks >= 3 && t.blocks <= 30);
        for (int i = 0; i < n; i++)
            y[i] = 4e9;
        t = hl_trend_fit(n, x, y);
        assert_true(t.slope == 0 && t.low == 0 && t.high == 0);
    }
}

/* slope 0.8; residuals -0.4 0.8 -1 1.2 -0.6, sum of squares 3.6, which do not resemble each other:
 * 0.8 -+ t(3) * sqrt(3.6 / 3 / 10). */
static void test_by_hand(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3, 4}, y[] = {1, 3, 2, 5, 4};
    hl_trend t = hl_trend_fit(5, x, y);
    close_to(t.slope, 0.8);
    close_to(t.low, 0.8 - 3.1824463053 * sqrt(0.12));
    close_to(t.high, 0.8 + 3.1824463053 * sqrt(0.12));
    assert_int_equal(t.blocks, 5);
}

static void assert_trend(hl_trend t, double slope, double low, double high, int blocks)
{
    close_to(t.slope, slope);
    close_to(t.low, low);
    close_to(t.high, high);
    assert_int_equal(t.blocks, blocks);
}

/* Expected values from the same formulas in NumPy. */
static void test_blocks_and_likeness(void **state)
{
    (void)state;
    double x[500], y[500];
    const double x3[] = {0, 1, 3}, y3[] = {2, 1, 5};
    assert_trend(hl_trend_fit(3, x3, y3), 1.1428571428571428, -8.516361358798008, 10.802075644512293, 3);
    for (int i = 0; i < 17; i++) {
        x[i] = 0.5 * i;
        y[i] = -2 * x[i] + i * 7 % 5;
    }
    assert_trend(hl_trend_fit(17, x, y), -2.023542001070091, -2.2998233862285358, -1.7472606159116464, 8);
    int n = 0;
    for (int i = 0; i < 437; i++, n++) {
        x[n] = 0.2 * i + 1000;
        y[n] = 3 * x[n] + i * 7919 % 101 - 50 + 20 * sin(i / 15.0);
        if (i % 10 == 3) { /* what was not measured does not count */
            x[n + 1] = x[n];
            y[++n] = NAN;
        }
    }
    assert_int_equal(n, 481);
    hl_trend t = hl_trend_fit(n, x, y);
    assert_trend(t, 3.000680124938055, 2.6004271625032644, 3.4009330873728456, 30);
    assert_int_equal(t.samples, 437);
}

static double normal(uint64_t *seed)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*seed >> 11) / 9007199254740992.0;
    }
    return sum;
}

/* Of how many runs of 300 samples with that likeness the interval misses the true slope. */
static double misses(double keeps, double slope)
{
    enum { RUNS = 500, N = 300 };
    double x[N], y[N];
    uint64_t seed = 11;
    int missed = 0;
    for (int r = 0; r < RUNS; r++) {
        double level = normal(&seed) / sqrt(1 - keeps * keeps);
        for (int i = 0; i < N; i++) {
            level = keeps * level + normal(&seed);
            x[i] = 0.2 * i;
            y[i] = level + slope * x[i];
        }
        hl_trend t = hl_trend_fit(N, x, y);
        missed += slope < t.low || slope > t.high;
    }
    return (double)missed / RUNS;
}

static void test_the_interval_is_as_wrong_as_it_says(void **state)
{
    (void)state;
    assert_true(misses(0, 0) < 0.08 && misses(0, 0) > 0.005);
    assert_true(misses(0.5, 0.3) < 0.08);
    assert_true(misses(0.9, -2) < 0.11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_students_quantiles),
        cmocka_unit_test(test_too_little_is_no_trend),
        cmocka_unit_test(test_a_straight_line),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_blocks_and_likeness),
        cmocka_unit_test(test_the_interval_is_as_wrong_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
