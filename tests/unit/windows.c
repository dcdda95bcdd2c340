/* Recorded observations for exporting: which of a split they are, and that a policy gets them. */
#include "app/export/windows.h"
#include "base/error.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static hl_config config(const char *data)
{
    hl_config c;
    hl_error err = {0};
    char text[256];
    snprintf(text, sizeof text, "model: {senses: [proprioceptive], image: 8}\ndata: {%s}\n", data);
    if (hl_config_parse_text(&c, text, "windows", 0, NULL, &err) != HL_OK)
        fail_msg("%s", err.message);
    return c;
}

/* They begin at the first sample, do not repeat, and leave no gap that is larger than it must be. */
static void assert_even(const hl_config *c, int64_t all, int64_t samples)
{
    hl_error err = {0};
    hl_windows *w = hl_windows_open(c, HL_TRAIN, samples, 2, &err);
    if (!w)
        fail_msg("%s", err.message);
    const int64_t n = hl_windows_count(w);
    assert_int_equal(n, samples < all ? samples : all);
    assert_int_equal(hl_windows_index(w, 0), 0);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = hl_windows_index(w, i), next = i + 1 < n ? hl_windows_index(w, i + 1) : all;
        assert_true(next - at >= all / n && next - at <= (all + n - 1) / n);
    }
    hl_windows_close(w);
}

static void test_even(void **state)
{
    (void)state;
    hl_config c = config("reach: {episodes: 10, steps: 7}");
    hl_error err = {0};
    hl_windows *all = hl_windows_open(&c, HL_TRAIN, INT64_MAX, 1, &err);
    assert_non_null(all);
    const int64_t n = hl_windows_count(all), samples[] = {1, 2, 3, 17, n - 1, n, n + 1};
    assert_int_equal(n, 63); /* every tenth episode validates */
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_even(&c, n, samples[i]);
    hl_windows_close(all);
    hl_config_free(&c);
}

static void test_none(void **state)
{
    (void)state;
    hl_config c = config("reach: {episodes: 5, steps: 7}"); /* of which none validates */
    hl_error err = {0};
    assert_null(hl_windows_open(&c, HL_VALID, 4, 2, &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    hl_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_even), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
