/* The monitor: what it says of a phase of work, of what cannot be watched, and that it is quick to stop. */
#include "app/stress/monitor.h"
#include "base/memory.h"
#include "base/process.h"
#include "tests/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen("written", "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename("written", path), 0);
}

static hl_monitor *made(const hl_monitor_options *o)
{
    hl_error err = {0};
    hl_monitor *m = hl_monitor_new(o, &err);
    if (!m)
        fail_msg("%s", err.message);
    return m;
}

static void start(hl_monitor *m)
{
    hl_error err = {0};
    if (hl_monitor_start(m, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void work(double seconds)
{
    volatile double x = 1;
    for (double begin = hl_seconds(); hl_seconds() < begin + seconds;)
        x = sqrt(x + 1);
}

static void rest(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&t, NULL);
}

static double number(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    if (!json_is_number(v))
        fail_msg("'%s' is no number", key);
    return json_number_value(v);
}

static void assert_said(const json_t *j, const char *key, const char *what)
{
    const char *text = json_string_value(json_object_get(j, key));
    if (!text || !strstr(text, what))
        fail_msg("%s: '%s' does not say '%s'", key, text ? text : "nothing", what);
}

/* Rows of so many columns at most, times going up. */
static void assert_rows(const json_t *rows, size_t least, size_t columns)
{
    double last = -1;
    size_t i;
    json_t *row;
    assert_in_range(json_array_size(rows), least, 600);
    json_array_foreach(rows, i, row)
    {
        assert_int_equal(json_array_size(row), columns);
        assert_true(json_number_value(json_array_get(row, 0)) > last);
        last = json_number_value(json_array_get(row, 0));
    }
}

static void test_a_phase_of_work(void **state)
{
    (void)state;
    hl_monitor *m = made(&(hl_monitor_options){.period = 0.01, .gpu = -1});
    uint64_t allocations = hl_alloc_count();
    double wall = hl_seconds(), cpu = hl_cpu_seconds();
    start(m);
    work(0.25);
    unsigned char *block = hl_alloc_tensor(32 * MIB, HL_USE_PACKED);
    memset(block, 1, 32 * MIB);
    work(0.25);
    hl_monitor_stop(m);
    double used = 100 * (hl_cpu_seconds() - cpu) / (hl_seconds() - wall);
    assert_int_equal(hl_alloc_count(), allocations + 1); /* the block */
    json_t *system = hl_monitor_system(m), *memory = hl_monitor_memory(m), *core;
    assert_true(system && memory);

    size_t cores = json_array_size(json_object_get(system, "cpu_percent")), i;
    double busy = 0;
    json_array_foreach(json_object_get(system, "cpu_percent"), i, core)
    {
        double percent = json_is_null(core) ? 0 : json_number_value(core);
        assert_true(percent >= 0 && percent <= 100);
        busy += percent;
    }
    assert_true(cores >= 1 && busy > 30);
    assert_true(fabs(number(system, "process_cpu_percent") - used) < 0.2 * used);
    assert_rows(json_object_get(system, "timeline"), 5, cores + 1);
    assert_true(json_is_null(json_object_get(system, "gpu")));
    assert_said(system, "gpu_absent", "none was asked about");
    assert_null(json_object_get(system, "cpu_absent"));

    json_t *timeline = json_object_get(memory, "timeline"), *slope = json_object_get(memory, "rss_slope");
    assert_rows(timeline, 7, 2);
    size_t last = json_array_size(timeline) - 1;
    double grown = json_number_value(json_array_get(json_array_get(timeline, last), 1)) -
                   json_number_value(json_array_get(json_array_get(timeline, 0), 1));
    assert_true(grown > 30 * MIB);
    assert_true(fabs(number(memory, "rss") - hl_resident_bytes()) < 8 * MIB);
    assert_true(number(slope, "bytes_per_minute") > 30 * MIB);
    assert_true(number(slope, "low") < number(slope, "bytes_per_minute"));
    assert_true(number(slope, "high") > number(slope, "bytes_per_minute"));
    assert_int_equal(number(slope, "samples"), json_array_size(timeline));
    assert_int_equal(number(memory, "allocations"), 1);
    json_t *categories = json_object_get(memory, "timeline_categories"),
           *names = json_object_get(categories, "names"), *rows = json_object_get(categories, "rows");
    assert_int_equal(json_array_size(names), HL_USES + 1);
    assert_string_equal(json_string_value(json_array_get(names, HL_USE_PACKED)), "packed");
    assert_string_equal(json_string_value(json_array_get(names, HL_USES)), "heap");
    assert_rows(rows, 7, HL_USES + 2);
    assert_true(json_number_value(json_array_get(json_array_get(rows, 0), 1 + HL_USE_PACKED)) == 0);
    assert_true(json_number_value(json_array_get(json_array_get(rows, last), 1 + HL_USE_PACKED)) == 32 * MIB);
    if (json_object_get(memory, "rss_peak_absent"))
        assert_said(memory, "rss_peak_absent", "clear_refs");
    else
        assert_true(number(memory, "rss_peak") >= number(memory, "rss") - MIB);
    json_decref(system);
    json_decref(memory);
    hl_free_tensor(block, 32 * MIB);
    hl_monitor_free(m);
}

static void test_a_phase_without_time(void **state)
{
    (void)state;
    setenv("HL_NVML", FAKE_NVML, 1);
    setenv("HL_FAKE_NVML", "", 1);
    hl_monitor *m = made(&(hl_monitor_options){.period = 3600});
    double begin = hl_seconds();
    for (int i = 0; i < 20; i++) {
        start(m);
        hl_monitor_stop(m);
        hl_monitor_stop(m); /* again: nothing to do */
    }
    assert_true(hl_seconds() - begin < 30);
    json_t *system = hl_monitor_system(m), *memory = hl_monitor_memory(m);
    assert_int_equal(json_array_size(json_object_get(system, "timeline")), 0);
    assert_int_equal(json_array_size(json_object_get(memory, "timeline")), 1); /* begin and end */
    assert_true(json_is_null(json_object_get(memory, "rss_slope")));
    assert_said(memory, "rss_slope_absent", "too few samples");
    assert_said(system, "gpu_absent", "shorter");
    assert_true(json_is_null(json_object_get(json_object_get(system, "gpu"), "power_w")));
    json_decref(system);
    json_decref(memory);
    start(m);
    hl_monitor_free(m); /* stops it */
    hl_monitor_free(NULL);
}

static void test_phases_do_not_mix(void **state)
{
    (void)state;
    write_file("stat", "cpu0 0 0 0 0\n");
    hl_monitor *m = made(&(hl_monitor_options){.period = 0.005, .gpu = -1, .proc_stat = "stat"});
    for (int phase = 0; phase < 3; phase++) {
        char text[64];
        snprintf(text, sizeof text, "cpu0 %d 0 0 1000\n", 1000 * phase);
        write_file("stat", text);
        start(m);
        rest(0.4);
        snprintf(text, sizeof text, "cpu0 %d 0 0 %d\n", 1000 * phase + 25 * phase, 1000 + 100 - 25 * phase);
        write_file("stat", text);
        rest(0.4);
        hl_monitor_stop(m);
        json_t *system = hl_monitor_system(m), *memory = hl_monitor_memory(m), *row, *timeline;
        size_t i;
        double most = 0;
        json_t *percent = json_array_get(json_object_get(system, "cpu_percent"), 0);
        assert_true(fabs(json_number_value(percent) - 25 * phase) < 1e-9);
        timeline = json_object_get(system, "timeline");
        assert_in_range(json_array_size(timeline), 2, 600);
        json_array_foreach(timeline, i, row)
        {
            most = fmax(most, json_number_value(json_array_get(row, 1)));
            assert_true(json_number_value(json_array_get(row, 0)) < 10);
        }
        assert_true(fabs(most - 25 * phase) < 1e-9);
        assert_int_equal(number(memory, "allocations"), 0);
        json_decref(system);
        json_decref(memory);
    }
    hl_monitor_free(m);
}

static void test_what_cannot_be_watched_is_said(void **state)
{
    (void)state;
    setenv("HL_NVML", "libnvidia-ml-not-here.so.1", 1);
    hl_monitor *m = made(&(hl_monitor_options){.period = 0.001, .proc_stat = "absent"});
    start(m);
    rest(0.5);
    hl_monitor_stop(m);
    json_t *system = hl_monitor_system(m);
    assert_true(json_is_null(json_object_get(system, "cpu_percent")));
    assert_said(system, "cpu_absent", "absent cannot be read");
    assert_int_equal(json_array_size(json_object_get(system, "timeline")), 0);
    assert_true(json_is_null(json_object_get(system, "gpu")));
    assert_said(system, "gpu_absent", "libnvidia-ml-not-here.so.1 cannot be opened");
    json_decref(system);
    hl_monitor_free(m);

    write_file("leaves", "cpu0 0 0 0 0\n");
    m = made(&(hl_monitor_options){.period = 0.001, .gpu = -1, .proc_stat = "leaves"});
    start(m);
    assert_int_equal(remove("leaves"), 0);
    rest(0.5);
    hl_monitor_stop(m);
    system = hl_monitor_system(m);
    assert_true(json_is_null(json_array_get(json_object_get(system, "cpu_percent"), 0)));
    assert_said(system, "cpu_absent", "leaves cannot be read");
    json_decref(system);
    hl_monitor_free(m);
}

static void test_a_gpu(void **state)
{
    (void)state;
    setenv("HL_NVML", FAKE_NVML, 1);
    setenv("HL_FAKE_NVML", "Power", 1);
    hl_monitor *m = made(&(hl_monitor_options){.period = 0.001, .gpu_bus = "0000:3b:00.0", .gpu = -1});
    start(m);
    rest(0.5);
    hl_monitor_stop(m);
    json_t *system = hl_monitor_system(m), *gpu = json_object_get(system, "gpu");
    assert_string_equal(json_string_value(json_object_get(gpu, "name")), "Fake H200");
    assert_string_equal(json_string_value(json_object_get(gpu, "driver")), "550.54.15");
    assert_true(number(gpu, "utilisation_percent") >= 50 && number(gpu, "utilisation_percent") <= 100);
    assert_true(json_is_integer(json_object_get(gpu, "memory_used_bytes")));
    assert_true(number(gpu, "memory_used_bytes") == 10754820096);
    assert_true(number(gpu, "clock_mhz") == 1980 && number(gpu, "memory_clock_mhz") == 3201);
    assert_true(number(gpu, "temperature_c") == 54);
    assert_true(json_is_null(json_object_get(gpu, "power_w")));
    assert_said(system, "gpu_absent", "does not tell power_w: Not Supported (3)");
    json_decref(system);
    setenv("HL_FAKE_NVML", "", 1); /* the next phase has all */
    start(m);
    rest(0.5);
    hl_monitor_stop(m);
    system = hl_monitor_system(m);
    assert_true(fabs(number(json_object_get(system, "gpu"), "power_w") - 412.345) < 1e-9);
    assert_null(json_object_get(system, "gpu_absent"));
    json_decref(system);
    hl_monitor_free(m);
}

/* Samples as fast as they go, beside threads that allocate: nothing is lost, and sampling does not allocate.
 */
static void test_as_fast_as_it_goes(void **state)
{
    (void)state;
    hl_monitor *m = made(&(hl_monitor_options){.period = 1e-9, .gpu = -1});
    start(m);
    for (int i = 0; i < 200; i++) {
        void *block = hl_alloc_tensor(100000, HL_USE_ARENA), *heap = hl_alloc(1, 100);
        rest(1e-4);
        hl_free(heap);
        hl_free_tensor(block, 100000);
    }
    hl_monitor_stop(m);
    json_t *memory = hl_monitor_memory(m);
    assert_int_equal(number(memory, "allocations"), 400);
    assert_rows(json_object_get(memory, "timeline"), 2, 2);
    json_decref(memory);
    hl_monitor_free(m);
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    const hl_monitor_options o = {.gpu = 0};
    hl_monitor *m = NULL;
    setenv("HL_NVML", FAKE_NVML, 1);
    for (uint64_t n = 1; !m; n++) {
        hl_error err = {0};
        assert_in_range(n, 1, 100);
        hl_alloc_fail_at(n);
        m = hl_monitor_new(&o, &err);
        if (!m)
            assert_int_equal(err.status, HL_ERR_MEMORY);
    }
    hl_alloc_fail_at(0);
    start(m);
    hl_monitor_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_phase_of_work),
        cmocka_unit_test(test_a_phase_without_time),
        cmocka_unit_test(test_phases_do_not_mix),
        cmocka_unit_test(test_what_cannot_be_watched_is_said),
        cmocka_unit_test(test_a_gpu),
        cmocka_unit_test(test_as_fast_as_it_goes),
        cmocka_unit_test(test_any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
