/* The histogram beside the sorted samples themselves. */
#include "base/histogram.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

static void test_empty(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    hl_bar bar;
    assert_int_equal(hl_histogram_count(h), 0);
    assert_true(isnan(hl_histogram_min(h)) && isnan(hl_histogram_max(h)) && isnan(hl_histogram_mean(h)));
    assert_true(isnan(hl_histogram_percentile(h, 99)));
    assert_int_equal(hl_histogram_bars(h, HL_SPACING_LOG, 1, &bar), 0);
    hl_histogram_free(h);
    hl_histogram_free(NULL);
    hl_alloc_fail_at(1);
    assert_null(hl_histogram_new());
}

static void test_one_sample_is_every_percentile(void **state)
{
    (void)state;
    static const double values[] = {0, 1e-9, 1e-7, 2.047e-6, 2.049e-6, 0.123456789, 3600, 4398.046511103};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        hl_histogram *h = hl_histogram_new();
        hl_histogram_record(h, values[i]);
        assert_int_equal(hl_histogram_count(h), 1);
        for (double p = 0; p <= 100; p += 12.5)
            assert_true(fabs(hl_histogram_percentile(h, p) - values[i]) <= 1e-15 * values[i]);
        assert_true(fabs(hl_histogram_mean(h) - values[i]) <= 1e-15 * values[i]);
        hl_bar bars[3];
        for (int s = 0; s < 2; s++) {
            assert_int_equal(hl_histogram_bars(h, (hl_spacing)s, 3, bars), 1);
            assert_int_equal(bars[0].count, 1);
            assert_true(bars[0].low < bars[0].high && bars[0].high > values[i]);
            assert_true(bars[0].low <= values[i] * (1 + 1e-12) || values[i] == 0);
        }
        hl_histogram_free(h);
    }
}

static void test_what_is_no_sample_is_counted_apart(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    hl_histogram_record(h, NAN);
    hl_histogram_record(h, -1e-9);
    hl_histogram_record(h, -INFINITY);
    hl_histogram_record(h, INFINITY);
    hl_histogram_record(h, 4398.1);
    hl_histogram_record(h, 4398.046511104); /* 2^42 ns */
    hl_histogram_record(h, 1e300);
    assert_int_equal(hl_histogram_invalid(h), 3);
    assert_int_equal(hl_histogram_too_long(h), 4);
    assert_int_equal(hl_histogram_count(h), 0);
    hl_histogram_record(h, -0.0);
    assert_int_equal(hl_histogram_count(h), 1);
    hl_histogram *sum = hl_histogram_new();
    hl_histogram_merge(sum, h);
    hl_histogram_merge(sum, h);
    assert_int_equal(hl_histogram_invalid(sum), 6);
    assert_int_equal(hl_histogram_too_long(sum), 8);
    hl_histogram_clear(h);
    assert_int_equal(hl_histogram_invalid(h) + hl_histogram_too_long(h) + hl_histogram_count(h), 0);
    assert_true(isnan(hl_histogram_min(h)));
    hl_histogram_free(h);
    hl_histogram_free(sum);
}

/* By nearest rank, of sorted samples. */
static double exact_percentile(const double *sorted, int n, int per_mille)
{
    int rank = (n * per_mille + 999) / 1000;
    return sorted[(rank ? rank : 1) - 1];
}

/* From 100 ns to an hour, n samples of even spread in the logarithm, and the same n squeezed around 10 ms. */
static void check_against_sorted(int n, bool wide)
{
    static const int per_mille[] = {0, 1, 10, 250, 333, 500, 900, 950, 990, 999, 1000};
    double *x = malloc((size_t)n * sizeof *x), sum = 0;
    hl_histogram *h = hl_histogram_new();
    uint64_t seed = (uint64_t)n;
    for (int i = 0; i < n; i++) {
        x[i] = wide ? 1e-7 * pow(3.6e10, uniform(&seed)) : 0.01 + 0.001 * uniform(&seed);
        x[i] = round(x[i] * 1e9) / 1e9;
        sum += x[i];
        hl_histogram_record(h, x[i]);
    }
    qsort(x, (size_t)n, sizeof *x, ascending);
    assert_int_equal(hl_histogram_count(h), n);
    assert_true(fabs(hl_histogram_min(h) - x[0]) < 1e-12 * x[0]);
    assert_true(fabs(hl_histogram_max(h) - x[n - 1]) < 1e-12 * x[n - 1]);
    assert_true(fabs(hl_histogram_mean(h) - sum / n) < 1e-12 * sum);
    for (size_t i = 0; i < sizeof per_mille / sizeof *per_mille; i++) {
        double want = exact_percentile(x, n, per_mille[i]),
               got = hl_histogram_percentile(h, per_mille[i] / 10.0);
        if (got < want * (1 - 1e-12) || got > want * 1.001 || got > hl_histogram_max(h))
            fail_msg("%d samples, p%.1f: %.12g, sorted %.12g", n, per_mille[i] / 10.0, got, want);
    }
    free(x);
    hl_histogram_free(h);
}

static void test_percentiles_are_those_of_the_sorted_samples(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 10, 17, 100, 999, 1000, 1001, 30000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_against_sorted(sizes[i], true);
        check_against_sorted(sizes[i], false);
    }
}

/* One slow in a thousand: p99.9 is a fast one, and one sample more makes it the slow one. */
static void test_the_999th_of_1000(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    for (int i = 0; i < 999; i++)
        hl_histogram_record(h, 1e-3);
    hl_histogram_record(h, 1);
    assert_true(hl_histogram_percentile(h, 99.9) < 1.001e-3);
    assert_true(hl_histogram_percentile(h, 99.91) == 1);
    assert_true(hl_histogram_percentile(h, 100) == 1);
    hl_histogram_record(h, 1);
    assert_true(hl_histogram_percentile(h, 99.9) == 1);
    hl_histogram_free(h);
}

/* Both sides of every power of two: bucket by bucket nothing is lost or moved by more than 0.1%. */
static void test_octaves_meet(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    for (int e = 0; e < 42; e++)
        for (int64_t d = -1; d <= 1; d++) {
            double ns = (double)(((int64_t)1 << e) + d);
            hl_histogram_clear(h);
            hl_histogram_record(h, ns / 1e9);
            hl_histogram_record(h, 4000); /* so that the maximum does not tell it */
            double got = hl_histogram_percentile(h, 50) * 1e9;
            if (got < ns - 1e-6 * ns || got > ns * (1 + 1.0 / 1024) + 1e-6 * ns)
                fail_msg("%.0f ns came out as %.3f", ns, got);
        }
    hl_histogram_free(h);
}

static void test_merged_is_recorded_together(void **state)
{
    (void)state;
    hl_histogram *a = hl_histogram_new(), *b = hl_histogram_new(), *all = hl_histogram_new();
    uint64_t seed = 5;
    for (int i = 0; i < 5000; i++) {
        double x = uniform(&seed) * (i % 3 ? 1e-3 : 1);
        hl_histogram_record(i % 2 ? a : b, x);
        hl_histogram_record(all, x);
    }
    hl_histogram_merge(a, b);
    assert_int_equal(hl_histogram_count(a), 5000);
    assert_true(hl_histogram_min(a) == hl_histogram_min(all) && hl_histogram_max(a) == hl_histogram_max(all));
    assert_true(hl_histogram_mean(a) == hl_histogram_mean(all));
    for (double p = 0; p <= 100; p += 0.1)
        assert_true(hl_histogram_percentile(a, fmin(p, 100)) == hl_histogram_percentile(all, fmin(p, 100)));
    hl_histogram_clear(b);
    hl_histogram_merge(all, b); /* nothing */
    assert_true(hl_histogram_min(a) == hl_histogram_min(all));
    hl_histogram_free(a);
    hl_histogram_free(b);
    hl_histogram_free(all);
}

static void check_bars(const hl_histogram *h, hl_spacing spacing, int n)
{
    hl_bar bars[200];
    int got = hl_histogram_bars(h, spacing, n, bars);
    uint64_t sum = 0;
    assert_in_range(got, 1, n);
    for (int i = 0; i < got; i++) {
        assert_true(bars[i].low < bars[i].high && bars[i].count > 0);
        assert_true(i == 0 || bars[i].low >= bars[i - 1].high);
        double step = spacing == HL_SPACING_LOG ? log(bars[i].high / bars[i].low)
                                                : bars[i].high - bars[i].low,
               first = spacing == HL_SPACING_LOG ? log(bars[0].high / bars[0].low)
                                                 : bars[0].high - bars[0].low;
        assert_true(fabs(step - first) < 1e-6 * first);
        sum += bars[i].count;
    }
    assert_int_equal(sum, hl_histogram_count(h));
    assert_true(bars[0].low <= hl_histogram_min(h) && bars[got - 1].high > hl_histogram_max(h));
}

static void test_bars_hold_every_sample(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    uint64_t seed = 9;
    for (int i = 0; i < 10000; i++)
        hl_histogram_record(h, 1e-5 * pow(1e4, uniform(&seed)));
    for (int s = 0; s < 2; s++) {
        check_bars(h, (hl_spacing)s, 1);
        check_bars(h, (hl_spacing)s, 3);
        check_bars(h, (hl_spacing)s, 17);
        check_bars(h, (hl_spacing)s, 200);
    }
    hl_histogram_free(h);
}

static void test_bars_are_where_the_samples_are(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new();
    hl_bar bars[10];
    for (int i = 0; i < 5; i++)
        hl_histogram_record(h, 0.1);
    hl_histogram_record(h, 1.1);
    assert_int_equal(hl_histogram_bars(h, HL_SPACING_LINEAR, 10, bars), 2); /* eight are empty */
    assert_int_equal(bars[0].count, 5);
    assert_int_equal(bars[1].count, 1);
    assert_true(fabs(bars[0].low - 0.1) < 1e-4 && fabs(bars[0].high - 0.2) < 2e-3);
    assert_true(fabs(bars[1].low - 1.0) < 2e-3 && fabs(bars[1].high - 1.1) < 2e-3);
    hl_histogram_clear(h);
    for (int i = 0; i < 3; i++) /* three neighbouring nanoseconds: three bars, not ten */
        hl_histogram_record(h, (100 + i) * 1e-9);
    assert_int_equal(hl_histogram_bars(h, HL_SPACING_LINEAR, 10, bars), 3);
    hl_histogram_record(h, 0);
    assert_true(hl_histogram_bars(h, HL_SPACING_LOG, 10, bars) > 1);
    hl_histogram_free(h);
}

static void test_recording_allocates_nothing(void **state)
{
    (void)state;
    hl_histogram *h = hl_histogram_new(), *other = hl_histogram_new();
    hl_bar bars[50];
    uint64_t before = hl_alloc_count(), seed = 1;
    for (int i = 0; i < 100000; i++)
        hl_histogram_record(h, uniform(&seed));
    hl_histogram_merge(other, h);
    (void)hl_histogram_percentile(other, 99.9);
    (void)hl_histogram_bars(other, HL_SPACING_LOG, 50, bars);
    assert_int_equal(hl_alloc_count(), before);
    hl_histogram_free(h);
    hl_histogram_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one_sample_is_every_percentile),
        cmocka_unit_test(test_what_is_no_sample_is_counted_apart),
        cmocka_unit_test(test_percentiles_are_those_of_the_sorted_samples),
        cmocka_unit_test(test_the_999th_of_1000),
        cmocka_unit_test(test_octaves_meet),
        cmocka_unit_test(test_merged_is_recorded_together),
        cmocka_unit_test(test_bars_hold_every_sample),
        cmocka_unit_test(test_bars_are_where_the_samples_are),
        cmocka_unit_test(test_recording_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
