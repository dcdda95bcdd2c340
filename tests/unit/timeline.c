/* Timelines: what a row tells of its span, also after many halvings. */
#include "base/timeline.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const hl_summary FOUR[] = {HL_SUMMARY_MEAN, HL_SUMMARY_MAX, HL_SUMMARY_SUM, HL_SUMMARY_LAST};

static void add(hl_timeline *t, double seconds, double value)
{
    hl_timeline_add(t, seconds, (double[]){value, value, value, value});
}

static void assert_row(const hl_timeline *t, int row, double seconds, double mean, double max, double sum,
                       double last)
{
    const double want[] = {mean, max, sum, last};
    assert_true(fabs(hl_timeline_seconds(t, row) - seconds) < 1e-9);
    for (int c = 0; c < 4; c++)
        if (!(fabs(hl_timeline_value(t, row, c) - want[c]) < 1e-9))
            fail_msg("row %d, column %d: %g, expected %g", row, c, hl_timeline_value(t, row, c), want[c]);
}

static void test_rows_as_they_come(void **state)
{
    (void)state;
    hl_timeline *t = hl_timeline_new(4, FOUR, 4, 1);
    assert_int_equal(hl_timeline_rows(t), 0);
    add(t, 0, 5);
    add(t, 2.25, 1);
    add(t, 2.75, 3);
    add(t, 2.5, 8); /* late */
    assert_int_equal(hl_timeline_rows(t), 3);
    assert_row(t, 0, 0, 5, 5, 5, 5);
    assert_true(isnan(hl_timeline_seconds(t, 1)) && isnan(hl_timeline_value(t, 1, 2)));
    assert_row(t, 2, 2.5, 4, 8, 12, 3);
    assert_int_equal(hl_timeline_added(t), 4);
    hl_timeline_free(t);
    hl_timeline_free(NULL);
}

static void test_neighbours_become_one(void **state)
{
    (void)state;
    hl_timeline *t = hl_timeline_new(4, FOUR, 4, 1);
    for (int i = 0; i < 4; i++)
        add(t, i, 10 + i);
    add(t, 0.5, 13); /* the mean weighs by how many there were */
    assert_int_equal(hl_timeline_rows(t), 4);
    add(t, 4, 7);
    assert_int_equal(hl_timeline_rows(t), 3);
    assert_row(t, 0, 0.5, 34.0 / 3, 13, 34, 11);
    assert_row(t, 1, 2.5, 12.5, 13, 25, 13);
    assert_row(t, 2, 4, 7, 7, 7, 7);
    /* Far away at once: all that was before is one row, or two. */
    add(t, 1000, 1);
    assert_int_equal(hl_timeline_rows(t), 1000 / 256 + 1);
    assert_row(t, 0, 10.5 / 6, 66.0 / 6, 13, 66, 7);
    assert_true(isnan(hl_timeline_value(t, 1, 0)));
    hl_timeline_clear(t);
    assert_int_equal(hl_timeline_rows(t), 0);
    assert_int_equal(hl_timeline_added(t), 0);
    add(t, 3, 2); /* the span is one second again */
    assert_int_equal(hl_timeline_rows(t), 4);
    assert_row(t, 3, 3, 2, 2, 2, 2);
    assert_true(isnan(hl_timeline_value(t, 0, 0)));
    hl_timeline_free(t);
}

/* Whatever the number of rows: at least half of them are in use, sums stay whole, means and times stay right.
 */
static void check_long(int rows, int n)
{
    hl_timeline *t = hl_timeline_new(4, FOUR, rows, 0.2);
    uint64_t before = hl_alloc_count();
    double sum = 0, previous = -1;
    for (int i = 0; i < n; i++)
        add(t, 0.2 * (i + 0.5), i);
    assert_int_equal(hl_alloc_count(), before);
    assert_in_range(hl_timeline_rows(t), n < rows ? n : rows / 2, rows);
    for (int r = 0; r < hl_timeline_rows(t); r++) {
        double seconds = hl_timeline_seconds(t, r), mean = hl_timeline_value(t, r, 0);
        assert_true(seconds > previous);
        assert_true(fabs(seconds - 0.2 * (mean + 0.5)) < 1e-7 * n);
        assert_true(hl_timeline_value(t, r, 1) == hl_timeline_value(t, r, 3)); /* it only grows */
        assert_true(hl_timeline_value(t, r, 1) >= mean);
        previous = seconds;
        sum += hl_timeline_value(t, r, 2);
    }
    assert_true(fabs(sum - 0.5 * n * (n - 1.0)) < 1e-9 * n * (double)n);
    hl_timeline_free(t);
}

static void test_a_run_of_any_length(void **state)
{
    (void)state;
    static const int rows[] = {2, 4, 6, 34, 600}, n[] = {1, 2, 3, 17, 600, 601, 100003};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof n / sizeof *n; k++)
            check_long(rows[i], n[k]);
}

static void test_no_value_is_no_zero(void **state)
{
    (void)state;
    hl_timeline *t = hl_timeline_new(4, FOUR, 2, 1);
    hl_timeline_add(t, 0.1, (double[]){NAN, NAN, NAN, NAN});
    assert_true(fabs(hl_timeline_seconds(t, 0) - 0.1) < 1e-12);
    for (int c = 0; c < 4; c++)
        assert_true(isnan(hl_timeline_value(t, 0, c)));
    hl_timeline_add(t, 0.3, (double[]){-4, NAN, 3, NAN});
    hl_timeline_add(t, 1.6, (double[]){-6, -1, NAN, 9});
    hl_timeline_add(t, 2.0, (double[]){NAN, NAN, NAN, NAN}); /* halves */
    assert_row(t, 0, 2.0 / 3, -5, -1, 3, 9);
    hl_timeline_free(t);
}

static void test_as_json(void **state)
{
    (void)state;
    hl_timeline *t = hl_timeline_new(2, FOUR, 4, 1);
    hl_text text = {0};
    json_t *none = hl_timeline_json(t);
    assert_int_equal(json_array_size(none), 0);
    json_decref(none);
    hl_timeline_add(t, 0.5, (double[]){1, 2});
    hl_timeline_add(t, 3.5, (double[]){NAN, -2.25});
    json_t *rows = hl_timeline_json(t);
    hl_json_append(&text, rows, HL_JSON_LINE);
    json_decref(rows);
    char *line = hl_text_take(&text);
    assert_string_equal(line, "[[0.5, 1.0, 2.0], [3.5, null, -2.25]]\n");
    hl_free(line);
    hl_timeline_free(t);
}

/* Two of them make the one that all values were added to, whichever has the longer rows. */
static void test_merged(void **state)
{
    (void)state;
    const int counts[][2] = {{0, 0}, {0, 3}, {3, 0}, {7, 8}, {1, 100}, {100, 1}, {37, 1000}};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        hl_timeline *part[2], *all = hl_timeline_new(4, FOUR, 8, 1);
        for (int which = 0; which < 2; which++) {
            part[which] = hl_timeline_new(4, FOUR, 8, 1);
            for (int i = 0; i < counts[k][which]; i++) {
                const double at = i + 0.25 * which, values[] = {i, 100 - i, 1, which ? NAN : i};
                hl_timeline_add(part[which], at, values);
                hl_timeline_add(all, at, values);
            }
        }
        hl_timeline_merge(part[0], part[1]);
        assert_int_equal(hl_timeline_rows(part[0]), hl_timeline_rows(all));
        assert_true(hl_timeline_added(part[0]) == hl_timeline_added(all));
        for (int row = 0; row < hl_timeline_rows(all); row++)
            for (int c = 0; c < 4; c++) {
                const double x = hl_timeline_value(part[0], row, c), y = hl_timeline_value(all, row, c);
                assert_true((isnan(x) && isnan(y)) || fabs(x - y) < 1e-9);
            }
        hl_timeline_free(all);
        hl_timeline_free(part[0]);
        hl_timeline_free(part[1]);
    }
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        hl_alloc_fail_at(n);
        assert_null(hl_timeline_new(2, FOUR, 600, 1));
    }
    hl_alloc_fail_at(0);
    hl_timeline *t = hl_timeline_new(1, FOUR, 2, 1);
    assert_non_null(t);
    hl_timeline_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_as_they_come),
        cmocka_unit_test(test_neighbours_become_one),
        cmocka_unit_test(test_a_run_of_any_length),
        cmocka_unit_test(test_no_value_is_no_zero),
        cmocka_unit_test(test_as_json),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
