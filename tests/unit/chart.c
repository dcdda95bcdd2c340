#include "app/draw/chart.h"
#include "app/draw/chart_axis.h"
#include "base/memory.h"

#include "tests/temporary.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Every element closed in turn, nothing in it that is no number: what any SVG reader asks first. */
static void assert_well_formed(const char *svg)
{
    char open[16][16];
    int depth = 0;
    for (const char *at = svg; (at = strchr(at, '<'));) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        size_t n = strcspn(at + 1, " />\n");
        if (at[1] == '/') {
            size_t length = strcspn(at + 2, ">");
            assert_true(depth > 0 && strlen(open[depth - 1]) == length);
            assert_memory_equal(open[--depth], at + 2, length);
        } else if (end[-1] != '/') {
            assert_true(depth < 16 && n > 0 && n < 16);
            snprintf(open[depth++], 16, "%.*s", (int)n, at + 1);
        }
        at = end;
    }
    assert_int_equal(depth, 0);
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    assert_non_null(strstr(svg, "prefers-color-scheme:dark"));
}

static char *draw(const hl_chart *chart)
{
    char *svg = hl_chart_svg(chart);
    assert_non_null(svg);
    assert_well_formed(svg);
    return svg;
}

static char *draw_one(size_t n, const double *x, const double *y, bool log_y)
{
    hl_chart_series s = {"loss", n, x, y};
    return draw(&(hl_chart){"Title", "step", "loss", log_y, 1, &s});
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

/* The d attribute of the first series' path, whose class is "line c0" and which is not the legend's. */
static const char *path_of(const char *svg)
{
    const char *legend = strstr(svg, "<path class=\"line c0\"");
    assert_non_null(legend);
    const char *path = strstr(legend + 1, "<path class=\"line c0\" d=\"");
    assert_non_null(path);
    static char d[1 << 20];
    path = strstr(path, "d=\"") + 3;
    size_t n = strcspn(path, "\"");
    assert_true(n < sizeof d);
    memcpy(d, path, n);
    d[n] = 0;
    return d;
}

static void test_a_line(void **state)
{
    (void)state;
    const double x[] = {0, 5, 10}, y[] = {0, 10, 5};
    char *svg = draw_one(3, x, y, false);
    assert_string_equal(path_of(svg), "M76.0 426.0L456.0 66.0L836.0 246.0");
    assert_int_equal(count(svg, "<circle"), 0);
    assert_non_null(strstr(svg, ">10</text>"));
    hl_free(svg);
}

static void test_few_points(void **state)
{
    (void)state;
    const double x[] = {3, 4, 5}, y[] = {2, NAN, 7};
    char *svg = draw_one(0, NULL, NULL, true);
    assert_non_null(strstr(svg, "no data"));
    assert_string_equal(path_of(svg), "");
    hl_free(svg);
    for (int log_y = 0; log_y < 2; log_y++) {
        svg = draw_one(1, x, y, log_y);
        assert_int_equal(count(svg, "<circle"), 1);
        assert_null(strstr(svg, "no data"));
        hl_free(svg);
        svg = draw_one(3, x, y, log_y); /* two points, apart */
        assert_int_equal(count(svg, "<circle"), 2);
        assert_int_equal(count(path_of(svg), "M"), 2);
        assert_int_equal(count(path_of(svg), "L"), 0);
        hl_free(svg);
        svg = draw_one(1, x + 1, y + 1, log_y);
        assert_non_null(strstr(svg, "no data"));
        hl_free(svg);
    }
    svg = draw(&(hl_chart){"Title", "", "", true, 0, NULL});
    assert_non_null(strstr(svg, "no data"));
    hl_free(svg);
}

static void test_gaps(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, bad[] = {NAN, INFINITY, -INFINITY, 1e301, -DBL_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const double y[] = {bad[i], 1, 2, bad[i], bad[i], 3, 4, 5, bad[i]};
        char *svg = draw_one(9, x, y, i % 2);
        assert_int_equal(count(path_of(svg), "M"), 2);
        assert_int_equal(count(path_of(svg), "L"), 3);
        assert_int_equal(count(svg, "<circle"), 0);
        hl_free(svg);
    }
    const double y[] = {1, 10, 0, 10, 100, -5, 1, 2, 3}; /* a log axis has no place for 0 and less */
    char *svg = draw_one(9, x, y, true);
    assert_int_equal(count(path_of(svg), "M"), 3);
    hl_free(svg);
    svg = draw_one(9, x, y, false);
    assert_int_equal(count(path_of(svg), "M"), 1);
    hl_free(svg);
}

enum { MANY = 100000 };

/* Many points become few, but a spike of one point is there at its full height. */
static void test_many_points(void **state)
{
    (void)state;
    double *x = calloc(MANY, sizeof *x), *y = calloc(MANY, sizeof *y);
    assert_true(x && y);
    for (int i = 0; i < MANY; i++) {
        x[i] = i;
        y[i] = 1 + 0.1 * ((i * 7919) % 100) / 100;
    }
    y[54321] = 10;
    y[65432] = 0;
    char *svg = draw_one(MANY, x, y, false);
    assert_true(strlen(svg) < 80000);
    assert_int_equal(count(path_of(svg), " 66.0"), 1);  /* the top */
    assert_int_equal(count(path_of(svg), " 426.0"), 1); /* the bottom */
    assert_int_equal(count(path_of(svg), "M"), 1);
    hl_free(svg);
    for (int i = 0; i < MANY; i++) /* gaps everywhere: none wide enough to be seen */
        if (i % 3)
            y[i] = NAN;
    svg = draw_one(MANY, x, y, true);
    assert_true(strlen(svg) < 80000);
    assert_int_equal(count(path_of(svg), "M"), 1);
    hl_free(svg);
    for (int i = 0; i < MANY; i++) /* not in order */
        x[i] = (i * 7919) % MANY;
    svg = draw_one(MANY, x, y, true);
    hl_free(svg);
    free(x);
    free(y);
}

static void test_texts(void **state)
{
    (void)state;
    const double x[] = {0, 1}, y[] = {1, 2};
    char names[30][100];
    hl_chart_series s[30];
    for (int i = 0; i < 30; i++) {
        snprintf(names[i], sizeof names[i], "<series> & \"%d\" \x01 %.*s", i, i,
                 "a name that is long, long, long");
        s[i] = (hl_chart_series){names[i], 2, x, y};
    }
    char *svg = draw(&(hl_chart){"a < b & c\n]]>", "x<", "y&", false, 30, s});
    assert_non_null(strstr(svg, "a &lt; b &amp; c ]]&gt;"));
    assert_null(strchr(svg, '\x01'));
    assert_int_equal(count(svg, "class=\"line c0"), 8); /* four series of that colour, and their legend */
    hl_free(svg);
}

static void test_extreme_values(void **state)
{
    (void)state;
    static const double ends[][2] = {{-1e300, 1e300}, {0, 5e-324},    {5e-324, 1e300}, {1e-300, 1e300},
                                     {-3, -3},        {1e9, 1e9 + 1}, {0, 0},          {1, 1 + 1e-15},
                                     {0.1, 0.3},      {2, 9e8}};
    const double x[] = {0, 1};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int log_y = 0; log_y < 2; log_y++) {
            hl_free(draw_one(2, x, ends[i], log_y));
            hl_free(draw_one(2, ends[i], x, log_y)); /* as x */
        }
}

/* ------------------------------------------------------------------ axes */

static void assert_ticks(hl_axis a, int n, const char *first, const char *second, const char *last)
{
    assert_int_equal(a.ticks, n);
    assert_string_equal(hl_axis_label(&a, 0).text, first);
    assert_string_equal(hl_axis_label(&a, 1).text, second);
    assert_string_equal(hl_axis_label(&a, n - 1).text, last);
}

static void test_ticks(void **state)
{
    (void)state;
    assert_ticks(hl_axis_new(0, 1000, false, false, 8, 0, 1), 6, "0", "200", "1000");
    assert_ticks(hl_axis_new(0, 999, false, false, 8, 0, 1), 5, "0", "200", "800");
    assert_ticks(hl_axis_new(0.013, 0.94, false, true, 7, 0, 1), 6, "0", "0.2", "1.0");
    assert_ticks(hl_axis_new(-0.31, 0.3, false, true, 7, 0, 1), 8, "-0.4", "-0.3", "0.3");
    assert_ticks(hl_axis_new(0.003, 4, true, true, 7, 0, 1), 11, "0.002", "0.005", "5");
    assert_ticks(hl_axis_new(1e-8, 10, true, true, 7, 0, 1), 5, "1e-08", "1e-06", "1");
    assert_ticks(hl_axis_new(1e8, 1e8 + 4, false, true, 7, 0, 1), 5, "100000000", "100000001", "100000004");
    hl_axis a = hl_axis_new(0.1, 0.2, true, true, 7, 0, 1);
    assert_false(a.log);
}

/* Whatever the range: 2 to 20 ticks, rising, inside, with labels that differ; ends outside the range. */
static void test_ticks_of_many_ranges(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int k = 0; k < 20000; k++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double low = ldexp(1 + (double)(seed & 1023) / 1024, (int)(seed >> 10 & 63) - 32);
        double high = low * (1 + ldexp(1, (int)(seed >> 20 & 31) - 16));
        bool log_scale = seed >> 30 & 1, widen = seed >> 31 & 1;
        if (seed >> 32 & 1 && !log_scale)
            low = -low;
        hl_axis a = hl_axis_new(low, high, log_scale, widen, 7, 100, 0);
        double slack = 1e-6 * (high - low);
        assert_true(a.low <= low + slack && a.high >= high - slack && a.ticks <= 20);
        assert_true(a.ticks >= (widen ? 2 : 1));
        for (int i = 0; i < a.ticks; i++) {
            double at = hl_axis_place(&a, a.tick[i]);
            assert_true(at >= -1e-4 && at <= 100 + 1e-4);
            if (i)
                assert_true(a.tick[i] > a.tick[i - 1]);
            if (i)
                assert_string_not_equal(hl_axis_label(&a, i).text, hl_axis_label(&a, i - 1).text);
        }
    }
}

/* ------------------------------------------------------------------ files, memory */

static void test_save(void **state)
{
    (void)state;
    const double x[] = {0, 1}, y[] = {1, 2};
    hl_chart_series s = {"loss", 2, x, y};
    hl_chart chart = {"Title", "step", "loss", false, 1, &s};
    hl_error err = {0};
    assert_int_equal(hl_chart_save(&chart, temporary_path("loss.svg"), &err), HL_OK);
    assert_int_equal(temporary_count(temporary_dir, ".svg"), 1);
    assert_int_equal(hl_chart_save(&chart, temporary_path("no/such/loss.svg"), &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, "loss.svg"));
    for (uint64_t n = 1;; n++) {
        hl_alloc_fail_at(n);
        char *svg = hl_chart_svg(&chart);
        hl_alloc_fail_at(0);
        if (svg) {
            assert_true(n > 5);
            hl_free(svg);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line), cmocka_unit_test(test_few_points),
        cmocka_unit_test(test_gaps),   cmocka_unit_test(test_many_points),
        cmocka_unit_test(test_texts),  cmocka_unit_test(test_extreme_values),
        cmocka_unit_test(test_ticks),  cmocka_unit_test(test_ticks_of_many_ranges),
        cmocka_unit_test(test_save),
    };
    return cmocka_run_group_tests_name("chart", tests, temporary_make, temporary_drop);
}
