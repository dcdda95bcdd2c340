/* What hl bench measures of a device: sessions side by side, profiles, ceilings. No time is a figure here;
 * that all of it runs, and is what was asked for, is. */
#include "app/bench/bench.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char *const on_gpu[] = {"device=cuda", "model.refiner.layers=1"};

static int load(void **state)
{
    static hl_config cfg;
    hl_error err = {0};
    *state = &cfg;
    if (hl_config_load(&cfg, HL_SOURCE_DIR "/tests/cli/tiny.yaml", 2, on_gpu, &err) == HL_OK)
        return 0;
    print_error("%s\n", err.message);
    return -1;
}

static int unload(void **state)
{
    hl_config_free(*state);
    return 0;
}

static hl_bench_row measured(const hl_config *cfg, hl_bench_point p, const hl_ceilings *ceilings)
{
    hl_bench_row row;
    hl_bench_measure(cfg, p, 0, ceilings, NULL, &row);
    if (row.error.status != HL_OK)
        fail_msg("%s", row.error.message);
    assert_string_equal(row.device, "cuda:0");
    assert_true(row.runs >= 5 && row.min_ms > 0 && row.min_ms <= row.percentile_ms[0]);
    assert_true(row.percentile_ms[4] <= row.max_ms && row.samples_per_s > 0);
    return row;
}

static hl_bench_point inference(int streams, double sparsity)
{
    return (hl_bench_point){.batch = 2, .threads = 1, .streams = streams, .sparsity = sparsity};
}

/* Each has an arena of its own, all have one set of weights. */
static void sessions_run_side_by_side(void **state)
{
    size_t one = measured(*state, inference(1, 0), NULL).planned_bytes;
    size_t two = measured(*state, inference(2, 0), NULL).planned_bytes;
    size_t eight = measured(*state, inference(8, 0), NULL).planned_bytes;
    assert_true(two > one && eight - one == 7 * (two - one) && two < 2 * one);
    hl_bench_row row = measured(*state, inference(3, 0.5), NULL);
    assert_true(row.runs >= 5 && isfinite(row.action_change) && row.action_change > 0);
}

static void memory_may_run_out_between_them(void **state)
{
    int failures = 0;
    for (uint64_t n = 1; n < 4000; n += 211) {
        hl_bench_row row;
        hl_alloc_fail_at(n);
        hl_bench_measure(*state, inference(2, 0), 0, NULL, NULL, &row);
        hl_alloc_fail_at(0);
        if (row.error.status != HL_OK && !strstr(row.error.message, "memory"))
            fail_msg("%s", row.error.message);
        failures += row.error.status != HL_OK;
    }
    assert_true(failures >= 2);
}

static void a_device_has_ceilings_and_profiles(void **state)
{
    hl_ceilings c;
    hl_error err = {0};
    if (hl_ceilings_measure("cuda", 0, &c, &err) != HL_OK)
        fail_msg("%s", err.message);
    assert_string_equal(c.device, "cuda:0");
    assert_true(c.vector == 0 && c.multiply_add == 0 && c.read == 0 && c.copy == 0 && c.triad == 0 &&
                c.cache == 0);
    assert_true(c.elementwise > 0 && isfinite(c.elementwise));
    for (int p = 0; p < HL_PRECISIONS; p++)
        assert_true(c.matmul[p] > 0 && isfinite(c.matmul[p]));
    hl_bench_point training = {.training = true, .batch = 2, .threads = 1, .streams = 1};
    hl_bench_row row = measured(*state, training, &c);
    double ms = json_number_value(json_object_get(row.profile, "ms"));
    assert_true(ms > 0 && isfinite(ms));
    assert_true(json_array_size(json_object_get(row.profile, "ops")) > 5);
    json_decref(row.profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_run_side_by_side),
        cmocka_unit_test(memory_may_run_out_between_them),
        cmocka_unit_test(a_device_has_ceilings_and_profiles),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
