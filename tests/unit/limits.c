/* The verdict of the stress test. */
#include "app/stress/limits.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const hl_limits none = {.p99_ms = INFINITY,
                               .deadline_miss_rate = INFINITY,
                               .rss_slope_bytes_per_minute = INFINITY,
                               .skipped_steps = INFINITY};
static const hl_limits all = {100, 0, 5, 2.5, 1048576, (size_t)8 << 30, 3};
static const hl_figures kept = {100, 0, 5, 2.5, 1048576, 8589934592.0, 3}; /* exactly */

/* Nothing is set by default. */
static void test_none(void **state)
{
    (void)state;
    hl_config c;
    assert_int_equal(hl_config_defaults(&c, NULL), HL_OK);
    hl_figures nothing = hl_figures_none();
    hl_verdict v = hl_judge(&c.stress.limits, &nothing), w = hl_judge(&none, &kept);
    assert_true(v.n == 0 && v.pass && w.n == 0 && w.pass);
    assert_string_equal(hl_verdict_name(1, &v), "no limits");
    assert_string_equal(hl_verdict_name(0, NULL), "no limits");
    json_t *json = hl_verdict_json(&v);
    assert_int_equal(json_array_size(json), 0);
    json_decref(json);
    hl_config_free(&c);
}

static const char *const keys[HL_LIMITS] = {"p99_ms",
                                            "deadline_miss_rate",
                                            "min_samples_per_s",
                                            "min_training_samples_per_s",
                                            "rss_slope_bytes_per_minute",
                                            "peak_bytes",
                                            "skipped_steps"};

/* Each limit is kept by its own value, and by nothing worse; the others do not mind. */
static void test_each(void **state)
{
    (void)state;
    hl_verdict v = hl_judge(&all, &kept);
    assert_int_equal(v.n, HL_LIMITS);
    assert_true(v.pass);
    for (int i = 0; i < HL_LIMITS; i++) {
        const bool at_least = i == 2 || i == 3;
        const double exact = ((const double *)&kept)[i], beyond = at_least ? -INFINITY : INFINITY;
        const double worse[] = {nextafter(exact, beyond), beyond, NAN, -beyond};
        for (size_t k = 0; k < sizeof worse / sizeof *worse; k++) {
            hl_figures f = kept;
            ((double *)&f)[i] = worse[k];
            v = hl_judge(&all, &f);
            assert_false(v.pass);
            for (int j = 0; j < HL_LIMITS; j++) {
                assert_string_equal(v.at[j].key, keys[j]);
                assert_int_equal(v.at[j].pass, j != i);
                assert_int_equal(v.at[j].at_least, j == 2 || j == 3);
            }
        }
        hl_figures f = kept;
        ((double *)&f)[i] = nextafter(exact, -beyond);
        assert_true(hl_judge(&all, &f).pass);
    }
}

static void test_names(void **state)
{
    (void)state;
    hl_figures nothing = hl_figures_none();
    hl_verdict v[3] = {hl_judge(&none, &nothing), hl_judge(&all, &kept), hl_judge(&all, &nothing)};
    assert_string_equal(hl_verdict_name(1, v), "no limits");
    assert_string_equal(hl_verdict_name(2, v), "pass");
    assert_string_equal(hl_verdict_name(3, v), "fail");
    assert_string_equal(hl_verdict_name(1, v + 2), "fail");
}

static void test_worse(void **state)
{
    (void)state;
    hl_figures a = {1, 0.5, 10, NAN, -5, 100, 0}, b = {2, 0.25, 20, 3, -7, NAN, 1};
    hl_figures w = hl_figures_worse(a, b), v = hl_figures_worse(b, a);
    const hl_figures expected = {2, 0.5, 10, 3, -5, 100, 1};
    assert_memory_equal(&w, &expected, sizeof w);
    assert_memory_equal(&v, &expected, sizeof v);
    w = hl_figures_worse(hl_figures_none(), a);
    assert_true(w.p99_ms == 1 && w.samples_per_s == 10 && isnan(w.training_samples_per_s));
    w = hl_figures_worse(hl_figures_none(), hl_figures_none());
    for (int i = 0; i < HL_LIMITS; i++)
        assert_true(isnan(((double *)&w)[i]));
}

static void test_said(void **state)
{
    (void)state;
    const hl_limits limits = {.p99_ms = 100,
                              .deadline_miss_rate = 0,
                              .min_samples_per_s = 5,
                              .rss_slope_bytes_per_minute = INFINITY,
                              .peak_bytes = ((size_t)8 << 30) + 1,
                              .skipped_steps = INFINITY};
    const hl_figures f = {44.25, NAN, 4.5, NAN, NAN, 9000000001.0, NAN};
    hl_verdict v = hl_judge(&limits, &f);
    hl_text t = {0};
    json_t *json = hl_verdict_json(&v);
    hl_json_append(&t, json, HL_JSON_LINE);
    json_decref(json);
    char *text = hl_text_take(&t);
    assert_string_equal(
        text, "[{\"key\": \"p99_ms\", \"limit\": 100.0, \"value\": 44.25, \"pass\": true}, "
              "{\"key\": \"deadline_miss_rate\", \"limit\": 0.0, \"value\": null, \"pass\": false, "
              "\"reason\": \"was not measured\"}, "
              "{\"key\": \"min_samples_per_s\", \"limit\": 5.0, \"value\": 4.5, \"pass\": false}, "
              "{\"key\": \"peak_bytes\", \"limit\": 8589934593, \"value\": 9000000001, \"pass\": false}]\n");
    hl_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),  cmocka_unit_test(test_each), cmocka_unit_test(test_names),
        cmocka_unit_test(test_worse), cmocka_unit_test(test_said),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
