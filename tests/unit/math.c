/* kernels/cpu/math.h against libm in double. The limits are those its comments state. */
#include "kernels/cpu/math.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Calls check with floats from low to high, `steps` of them, both ends included. */
static void sweep(float low, float high, int steps, void (*check)(float))
{
    for (int i = 0; i <= steps; i++)
        check((float)(low + ((double)high - low) * i / steps));
}

static void within(double got, double want, double limit, float at)
{
    if (!(fabs(got - want) <= limit))
        fail_msg("at %.9g: %.12g, libm says %.12g, off by %.3g, allowed %.3g", (double)at, got, want,
                 fabs(got - want), limit);
}

static void check_exp(float x)
{
    double want = exp((double)x);
    /* Below the smallest normal the spacing of floats is what limits. */
    within((double)hl_expf(x), want, 1e-7 * want + 1.5e-45, x);
}

static void test_exp(void **state)
{
    (void)state;
    sweep(-1, 1, 2000003, check_exp);
    sweep(-110, 88.72f, 2000003, check_exp);
    assert_true(hl_expf(0) == 1 && hl_expf(-0.0f) == 1);
}

static void test_exp_limits(void **state)
{
    (void)state;
    assert_true(isnan(hl_expf(NAN)));
    assert_true(isinf(hl_expf(INFINITY)) && hl_expf(INFINITY) > 0);
    assert_true(hl_expf(-INFINITY) == 0);
    assert_true(isinf(hl_expf(88.73f)) && isfinite(hl_expf(88.72f)));
    assert_true(isinf(hl_expf(FLT_MAX)) && hl_expf(-FLT_MAX) == 0);
    assert_true(hl_expf(-103.5f) == 0x1p-149f && hl_expf(-104.5f) == 0);
}

/* All 2^24 values that a uniform draw gives. */
static void test_log(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 1u << 24; i++) {
        float u = (float)i * 0x1p-24f;
        double want = log((double)u);
        within((double)hl_log_unit(u), want, 1.5e-7 * fabs(want), u);
    }
}

static void test_sincos(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1u << 24; i += 3) {
        float u = (float)i * 0x1p-24f, sine, cosine;
        hl_sincos_turns(u, &sine, &cosine);
        within((double)sine, sin(2 * M_PI * (double)u), 1.5e-7, u);
        within((double)cosine, cos(2 * M_PI * (double)u), 1.5e-7, u);
    }
}

static void test_sincos_axes(void **state)
{
    (void)state;
    static const float axis[4][2] = {{0, 1}, {1, 0}, {0, -1}, {-1, 0}};
    for (int i = 0; i < 4; i++) {
        float sine, cosine;
        hl_sincos_turns((float)i / 4, &sine, &cosine);
        assert_true(sine == axis[i][0] && cosine == axis[i][1]);
    }
}

static double cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static double density(double x)
{
    return exp(-0.5 * x * x) * 0.5 * M_SQRT1_2 * M_2_SQRTPI;
}

static void check_normal(float x)
{
    float d;
    double want = cdf((double)x), got = (double)hl_normal_cdf(x, &d);
    within(got, want, 1.2e-7, x);
    within((double)d, density((double)x), 1e-7, x);
    if (x < 0 && x > -12)
        within(got, want, 1e-7 * (4 + (double)x * (double)x) * want, x);
    within((double)hl_geluf(x), (double)x * want, 1e-7 * (1 + fabs((double)x)), x);
    within((double)hl_gelu_slope(x), want + (double)x * density((double)x), 2e-7, x);
}

static void test_normal(void **state)
{
    (void)state;
    sweep(-1, 1, 1000003, check_normal);
    sweep(-40, 40, 2000003, check_normal);
    check_normal(1e20f);
    check_normal(-1e20f);
    check_normal(FLT_MIN);
    check_normal(0);
}

static void test_gelu_limits(void **state)
{
    (void)state;
    assert_true(isnan(hl_geluf(NAN)) && isnan(hl_gelu_slope(NAN)));
    assert_true(hl_geluf(INFINITY) == INFINITY);
    assert_true(hl_geluf(0) == 0 && hl_gelu_slope(0) == 0.5f);
    assert_true(hl_geluf(50) == 50 && hl_geluf(-50) == 0);
}

static void test_relu(void **state)
{
    (void)state;
    assert_true(isnan(hl_reluf(NAN)));
    assert_true(hl_reluf(-1) == 0 && hl_reluf(0) == 0 && hl_reluf(FLT_MIN) == FLT_MIN);
    assert_true(hl_reluf(INFINITY) == INFINITY && hl_reluf(-INFINITY) == 0);
}

/* In a loop, where the compiler makes vectors of it, and at every length of the remainder. */
static void test_vectors(void **state)
{
    (void)state;
    for (int64_t n = 0; n <= 40; n++) {
        float y[41];
        for (int64_t i = 0; i <= n; i++)
            y[i] = 0.3f * (float)i - 4;
        hl_activate(y, n, HL_ACT_GELU);
        for (int64_t i = 0; i < n; i++) {
            float x = 0.3f * (float)i - 4;
            within((double)y[i], (double)x * cdf((double)x), 1e-7 * (1 + fabs((double)x)), x);
        }
        assert_true(y[n] == 0.3f * (float)n - 4); /* one past the end is left alone */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),         cmocka_unit_test(test_exp_limits),
        cmocka_unit_test(test_log),         cmocka_unit_test(test_sincos),
        cmocka_unit_test(test_sincos_axes), cmocka_unit_test(test_normal),
        cmocka_unit_test(test_gelu_limits), cmocka_unit_test(test_relu),
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
