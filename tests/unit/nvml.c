/* What a GPU's management library tells, and all the ways in which it may not. */
#include "base/memory.h"
#include "base/nvml.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double TRUE_VALUES[HL_GPU_VALUES] = {
    [HL_GPU_UTILISATION] = 50,    [HL_GPU_MEMORY] = 10754820096.0, [HL_GPU_CLOCK] = 1980,
    [HL_GPU_MEMORY_CLOCK] = 3201, [HL_GPU_TEMPERATURE] = 54,       [HL_GPU_POWER] = 412.345,
};

/* Which library there is, and what fails in it. */
static void let(const char *library, const char *fails)
{
    setenv("HL_NVML", library, 1);
    setenv("HL_FAKE_NVML", fails, 1);
}

static void assert_refused(const char *pci, int index, hl_status status, const char *what)
{
    hl_error err = {0};
    assert_null(hl_nvml_open(pci, index, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, what))
        fail_msg("'%s' does not say '%s'", err.message, what);
}

static hl_nvml *opened(const char *pci, int index)
{
    hl_error err = {0};
    hl_nvml *n = hl_nvml_open(pci, index, &err);
    if (!n)
        fail_msg("%s", err.message);
    return n;
}

static void test_values(void **state)
{
    (void)state;
    let(FAKE_NVML, "");
    static const char *const ids[] = {NULL, "0000:3b:00.0"};
    for (int i = 0; i < 2; i++) {
        hl_nvml *n = opened(ids[i], 0);
        double values[HL_GPU_VALUES];
        hl_error err = {0};
        assert_string_equal(hl_nvml_name(n), "Fake H200");
        assert_string_equal(hl_nvml_driver(n), "550.54.15");
        uint64_t before = hl_alloc_count();
        assert_int_equal(hl_nvml_read(n, values, &err), HL_OK);
        assert_int_equal(hl_alloc_count(), before);
        for (int v = 0; v < HL_GPU_VALUES; v++)
            if (fabs(values[v] - TRUE_VALUES[v]) > 1e-6)
                fail_msg("%s: %g, expected %g", hl_gpu_value_name((hl_gpu_value)v), values[v],
                         TRUE_VALUES[v]);
        hl_nvml_close(n);
    }
    hl_nvml_close(NULL);
    for (int a = 0; a <= HL_GPU_VALUES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hl_gpu_value_name((hl_gpu_value)a), hl_gpu_value_name((hl_gpu_value)b));
}

static void test_what_is_not_told_is_no_number(void **state)
{
    (void)state;
    static const struct {
        const char *fails;
        int first, last;
    } cases[] = {
        {"Utilization", HL_GPU_UTILISATION, HL_GPU_UTILISATION},
        {"Memory", HL_GPU_MEMORY, HL_GPU_MEMORY},
        {"Clock", HL_GPU_CLOCK, HL_GPU_MEMORY_CLOCK},
        {"Temperature", HL_GPU_TEMPERATURE, HL_GPU_TEMPERATURE},
        {"Power", HL_GPU_POWER, HL_GPU_POWER},
        {"Utilization Memory Clock Temperature Power", 0, HL_GPU_VALUES - 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        let(FAKE_NVML, cases[i].fails);
        hl_nvml *n = opened(NULL, 0);
        double values[HL_GPU_VALUES];
        hl_error err = {0};
        assert_int_equal(hl_nvml_read(n, values, &err), HL_ERR_DEVICE);
        assert_non_null(strstr(err.message, "Fake H200 does not tell "));
        for (int v = 0; v < HL_GPU_VALUES; v++) {
            bool lost = v >= cases[i].first && v <= cases[i].last;
            char said[64];
            snprintf(said, sizeof said, "%s: Not Supported (3)", hl_gpu_value_name((hl_gpu_value)v));
            assert_int_equal(isnan(values[v]), lost);
            assert_int_equal(strstr(err.message, said) != NULL, lost);
        }
        hl_nvml_close(n);
    }
    let(FAKE_NVML, "Name Driver");
    hl_nvml *n = opened(NULL, 0);
    assert_string_equal(hl_nvml_name(n), "unknown");
    assert_string_equal(hl_nvml_driver(n), "unknown");
    hl_nvml_close(n);
}

static void test_why_there_is_none(void **state)
{
    (void)state;
    let("libnvidia-ml-not-here.so.1", "");
    assert_refused(NULL, 0, HL_ERR_UNSUPPORTED, "libnvidia-ml-not-here.so.1 cannot be opened");
    let("libm.so.6", "");
    assert_refused(NULL, 0, HL_ERR_UNSUPPORTED, "libm.so.6 has no nvmlInit_v2");
    let(FAKE_NVML_OLD, "");
    assert_refused(NULL, 0, HL_ERR_UNSUPPORTED, "has no nvmlDeviceGetPowerUsage");
    let(FAKE_NVML, "Init");
    assert_refused(NULL, 0, HL_ERR_DEVICE, "nvmlInit_v2: Not Supported (3)");
    let(FAKE_NVML, "Index BusId");
    assert_refused(NULL, 0, HL_ERR_DEVICE, "no GPU of index 0: Not Supported (3)");
    assert_refused("0000:3b:00.0", 0, HL_ERR_DEVICE, "no GPU at PCI bus '0000:3b:00.0': Not Supported (3)");
    let(FAKE_NVML, "");
    assert_refused(NULL, 17, HL_ERR_DEVICE, "no GPU of index 17: no reason given (12345)");
    assert_refused(NULL, -1, HL_ERR_DEVICE, "no GPU of index -1: expected 0 or more");
    assert_refused("0000:99:00.0", 0, HL_ERR_DEVICE, "'0000:99:00.0': Not Found (6)");
    hl_alloc_fail_at(1);
    assert_refused(NULL, 0, HL_ERR_MEMORY, "no memory");
    /* After all that it opens, so each refusal closed what it had opened. */
    hl_nvml_close(opened(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_is_not_told_is_no_number),
        cmocka_unit_test(test_why_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
