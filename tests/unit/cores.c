/* How busy cores are: from files made up here, and from this machine's. */
#include "base/cores.h"
#include "base/memory.h"
#include "base/process.h"
#include "tests/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 4096 };

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void assert_near(double got, double want)
{
    if (!(isnan(want) ? isnan(got) : fabs(got - want) < 1e-9))
        fail_msg("%g, expected %g", got, want);
}

static void test_what_is_busy(void **state)
{
    (void)state;
    double percent[MOST];
    write_file("stat", "cpu  7 7 7 7 7 7 7 7 7 7\n"
                       "cpu0 100 10 20 1000 50 1 2 3 40 5\n"
                       "cpu1 100 10 20 1000 50 1 2 3 40 5\n"
                       "cpu2 5 5 5 5\nintr 1 2 3\ncpu3 9 9 9 9 9 9 9 9\n");
    hl_cores *c = hl_cores_new("stat", NULL);
    assert_non_null(c);
    assert_true(hl_cores_count(c) >= 3 && hl_cores_count(c) < MOST);
    /* cpu0: 10 user 1 nice 2 system 3 irq 4 softirq 5 steal of 25 + 60 idle + 15 waiting; guest does not
     * count again. cpu1 idles; cpu2, an old kernel's four columns, works. */
    write_file("stat", "cpu  7 7 7 7 7 7 7 7 7 7\n"
                       "cpu0 110 11 22 1060 65 4 6 8 99 99\n"
                       "cpu1 100 10 20 1100 50 1 2 3 40 5\n"
                       "cpu2 6 6 6 5\nintr 1 2 3\n");
    uint64_t before = hl_alloc_count();
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_int_equal(hl_alloc_count(), before);
    assert_near(percent[0], 25);
    assert_near(percent[1], 0);
    assert_near(percent[2], 100);
    for (int i = 3; i < hl_cores_count(c); i++)
        assert_near(percent[i], NAN);
    /* The same again: no time has passed. */
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_near(percent[0], NAN);
    hl_cores_free(c);
    hl_cores_free(NULL);
}

static void test_cores_go_and_come(void **state)
{
    (void)state;
    double percent[MOST];
    write_file("stat", "cpu0 0 0 0 0\ncpu1 50 0 0 50\ncpu2 0 0 0 0\n");
    hl_cores *c = hl_cores_new("stat", NULL);
    write_file("stat", "cpu0 1 0 0 1\ncpu2 1 0 0 3\ncpu70000 5 0 0 5\n");
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_near(percent[0], 50);
    assert_near(percent[1], NAN);
    assert_near(percent[2], 25);
    write_file("stat", "cpu0 2 0 0 2\ncpu1 10 0 0 60\ncpu2 1 0 0 2\n");
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_near(percent[0], 50);
    assert_near(percent[1], NAN); /* it was off */
    assert_near(percent[2], NAN); /* it counts backwards */
    write_file("stat", "cpu0 2 0 0 3\ncpu1 13 0 0 61\ncpu2 1 0 0 3\n");
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_near(percent[0], 0);
    assert_near(percent[1], 75);
    assert_near(percent[2], 0);
    /* The file is gone: said, and no core has a value, then or after. */
    hl_error err = {0};
    assert_int_equal(remove("stat"), 0);
    assert_int_equal(hl_cores_read(c, percent, &err), HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "stat cannot be read"));
    assert_near(percent[0], NAN);
    write_file("stat", "cpu0 9 0 0 9\ncpu1 99 0 0 99\ncpu2 9 0 0 9\n");
    assert_int_equal(hl_cores_read(c, percent, NULL), HL_OK);
    assert_near(percent[0], NAN);
    hl_cores_free(c);
}

static void assert_refused(const char *path, const char *what)
{
    hl_error err = {0};
    assert_null(hl_cores_new(path, &err));
    assert_int_equal(err.status, HL_ERR_UNSUPPORTED);
    if (!strstr(err.message, path) || !strstr(err.message, what))
        fail_msg("'%s' does not name %s and '%s'", err.message, path, what);
}

static void test_what_tells_of_no_core(void **state)
{
    (void)state;
    assert_refused("absent", "No such file");
    write_file("empty", "");
    assert_refused("empty", "no lines");
    write_file("sum", "cpu  1 2 3 4 5 6 7 8\nbtime 4\n");
    assert_refused("sum", "no lines");
    write_file("short", "cpu0 1 2 3\ncpu-1 1 2 3 4\ncpux 1 2 3 4\n");
    assert_refused("short", "no lines");
    write_file("many", "cpu65536 1 2 3 4\ncpu99999999999999999999999 1 2 3 4\n");
    assert_refused("many", "no lines");
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    write_file("one", "cpu0 1 2 3 4\n");
    for (uint64_t n = 1; n <= 4; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        assert_null(hl_cores_new("one", &err));
        assert_int_equal(err.status, HL_ERR_MEMORY);
    }
    hl_alloc_fail_at(0);
}

/* This machine: while this thread works, the cores together are as busy as one at least; elsewhere there is
 * no saying. */
static void test_this_machine(void **state)
{
    (void)state;
    double percent[MOST], sum = 0, begin = hl_seconds();
    hl_error err = {0};
    hl_cores *c = hl_cores_new("/proc/stat", &err);
    if (!c)
        fail_msg("%s", err.message);
    assert_in_range(hl_cores_count(c), 1, MOST);
    volatile double x = 1;
    while (hl_seconds() < begin + 0.3)
        x = sqrt(x + 1);
    assert_int_equal(hl_cores_read(c, percent, &err), HL_OK);
    for (int i = 0; i < hl_cores_count(c); i++) {
        assert_true(isnan(percent[i]) || (percent[i] >= 0 && percent[i] <= 100));
        sum += isnan(percent[i]) ? 0 : percent[i];
    }
    assert_true(sum > 30);
    hl_cores_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_busy),          cmocka_unit_test(test_cores_go_and_come),
        cmocka_unit_test(test_what_tells_of_no_core), cmocka_unit_test(test_any_allocation_may_fail),
        cmocka_unit_test(test_this_machine),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
