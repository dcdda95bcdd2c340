/* What a session tells of its kernel calls: arithmetic by hand, sums, and time. */
#include "tests/small_model.h"

#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static hl_session *session_of(hl_graph *g, hl_params *params, hl_precision precision, bool frozen)
{
    hl_error err = {0};
    const hl_session_options o = {.device = "cpu", .frozen = frozen, .precision = precision};
    hl_session *s = hl_session_open(g, params, &o, &err);
    if (!s)
        fail_msg("%s", err.message);
    hl_graph_free(g);
    return s;
}

/* The only call of an op. */
static hl_call_info call_of(const hl_session *s, const char *op)
{
    hl_call_info found = {0};
    int n = 0;
    for (int i = 0; i < hl_session_calls(s); i++) {
        hl_call_info c = hl_session_call(s, i);
        assert_int_equal(c.index, i);
        if (strcmp(c.op, op))
            continue;
        found = c;
        n++;
    }
    assert_int_equal(n, 1);
    return found;
}

/* y = x w^T + b, [M,K] [N,K] [N] -> [M,N] */
static hl_session *product(hl_params *params, int64_t m, int64_t k, int64_t n, bool bias, bool frozen)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){m, k});
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){n, k}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_tensor b = {0};
    if (bias)
        b = hl_param(g, params, "b", 1, (int64_t[]){n}, (hl_init_rule){HL_ONES, 0, 0});
    hl_output(g, "y", hl_linear(g, x, w, b));
    return session_of(g, params, HL_PRECISION_FP32, frozen);
}

static void a_product_is_counted_by_hand(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 3, 17};
    for (int i = 0; i < 27; i++) {
        int64_t m = sizes[i % 3], k = sizes[i / 3 % 3], n = sizes[i / 9];
        for (int bias = 0; bias < 2; bias++) {
            hl_params *params = hl_params_new(1);
            hl_session *s = product(params, m, k, n, bias, false);
            hl_call_info c = call_of(s, "matmul");
            assert_true(c.flops >= 2.0 * (double)(m * k * n));
            assert_true(c.flops <= 2.0 * (double)(m * k * n) + (double)(m * n));
            assert_true(c.bytes_read == 4.0 * (double)(m * k + n * k + bias * n));
            assert_true(c.bytes_written == 4.0 * (double)(m * n));
            assert_true(c.seconds == 0 && c.runs == 0);
            hl_session_free(s);
            hl_params_free(params);
        }
    }
}

/* Whatever layout a kernel wants, a weight counts once. */
static void packed_weights_count_once(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *s = product(params, 16, 256, 128, true, true);
    hl_call_info c = call_of(s, "matmul");
    double packed = (double)hl_session_memory(s).by_kind[HL_MEM_PACKED], plain = 4.0 * 128 * 256;
    assert_true(c.bytes_read == 4.0 * (16 * 256 + 128) + (packed > 0 ? packed : plain));
    hl_session_free(s);
    hl_params_free(params);
}

static void the_same_operand_twice_is_read_once(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_params *params = hl_params_new(1);
    hl_tensor x = hl_input(g, "x", HL_F32, 1, (int64_t[]){17});
    hl_output(g, "y", hl_mul(g, x, x));
    hl_session *s = session_of(g, params, HL_PRECISION_FP32, false);
    hl_call_info c = call_of(s, "mul");
    assert_true(c.flops == 17 && c.bytes_read == 4 * 17 && c.bytes_written == 4 * 17);
    assert_string_equal(c.shapes, "[17] [17] -> [17]");
    hl_session_free(s);
    hl_params_free(params);
}

static void a_slice_reads_what_it_takes(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_params *params = hl_params_new(1);
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){17, 30});
    hl_output(g, "y", hl_slice(g, x, 1, 3, 6));
    hl_session *s = session_of(g, params, HL_PRECISION_FP32, false);
    hl_call_info c = call_of(s, "slice");
    assert_true(c.bytes_read == 4 * 17 * 3 && c.bytes_written == 4 * 17 * 3);
    hl_session_free(s);
    hl_params_free(params);
}

static void sixteen_bits_are_two_bytes(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_params *params = hl_params_new(1);
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){3, 17});
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){5, 17}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_output(g, "y", hl_linear(g, x, w, (hl_tensor){0}));
    hl_session *s = session_of(g, params, HL_PRECISION_BF16, false);
    hl_call_info c = call_of(s, "matmul"), cast = call_of(s, "cast");
    assert_true(c.bytes_read == 2 * (3 * 17 + 5 * 17));
    assert_true(cast.bytes_read == 4 * 3 * 17 && cast.bytes_written == 2 * 3 * 17);
    hl_session_free(s);
    hl_params_free(params);
}

static void many_operands_are_cut_not_overrun(void **state)
{
    (void)state;
    hl_graph *g = hl_graph_new();
    hl_params *params = hl_params_new(1);
    hl_tensor all[30];
    for (int i = 0; i < 30; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", i);
        all[i] = hl_input(g, name, HL_F32, 2, (int64_t[]){2, i + 1});
    }
    hl_output(g, "y", hl_concat(g, 30, all, 1));
    hl_session *s = session_of(g, params, HL_PRECISION_FP32, false);
    hl_call_info c = call_of(s, "concat");
    assert_int_equal(strlen(c.shapes), sizeof c.shapes - 1);
    assert_true(c.bytes_read == c.bytes_written && c.bytes_written == 4 * 2 * 465);
    hl_session_free(s);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ time */

static double profiled(const hl_session *s, uint64_t runs)
{
    double sum = 0;
    for (int i = 0; i < hl_session_calls(s); i++) {
        hl_call_info c = hl_session_call(s, i);
        assert_true(c.seconds >= 0 && isfinite(c.seconds));
        assert_true(c.runs == runs);
        assert_true(c.flops >= 0 && c.bytes_read >= 0 && c.bytes_written > 0);
        sum += c.seconds;
    }
    return sum;
}

static void run_times(hl_session *s, int n)
{
    hl_error err = {0};
    for (int i = 0; i < n; i++)
        if (hl_session_run(s, &err) != HL_OK)
            fail_msg("%s", err.message);
}

static void calls_add_up_to_the_step(void **state)
{
    (void)state;
    enum { RUNS = 5 };
    hl_params *params = hl_params_new(1);
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = hl_graph_new();
    hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = 3});
    hl_output(g, "action", m.action);
    hl_session *s = session_of(g, params, HL_PRECISION_FP32, true);
    small_model_inputs(s, 0, 1);
    run_times(s, 2);
    assert_true(profiled(s, 0) == 0); /* nobody asked */
    hl_session_profile(s, true);
    double began = hl_seconds();
    run_times(s, RUNS);
    double wall = hl_seconds() - began, sum = profiled(s, RUNS);
    assert_true(sum > 0 && sum <= wall);
    hl_session_profile(s, true); /* on already: goes on */
    run_times(s, 1);
    assert_true(profiled(s, RUNS + 1) > sum);
    hl_session_profile(s, false);
    double before = profiled(s, RUNS + 1);
    run_times(s, 1);
    assert_true(profiled(s, RUNS + 1) == before);
    hl_session_profile(s, true); /* anew */
    assert_true(profiled(s, 0) == 0);
    hl_session_free(s);
    hl_params_free(params);
}

static void text_is_of_the_same_calls(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *s = product(params, 3, 17, 5, true, false);
    hl_session_profile(s, true);
    run_times(s, 2);
    char text[4096], cut[32], line[160];
    size_t size = hl_session_profile_print(s, text, sizeof text);
    assert_true(size == strlen(text));
    hl_call_info c = call_of(s, "matmul");
    snprintf(line, sizeof line, "%s/%s %s\n", c.op, c.kernel, c.shapes);
    assert_non_null(strstr(text, line));
    assert_null(strstr(text, "nan"));
    assert_true(hl_session_profile_print(s, NULL, 0) == size);
    assert_true(hl_session_profile_print(s, cut, sizeof cut) == size && strlen(cut) == sizeof cut - 1);
    hl_session_free(s);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_product_is_counted_by_hand),
        cmocka_unit_test(packed_weights_count_once),
        cmocka_unit_test(the_same_operand_twice_is_read_once),
        cmocka_unit_test(a_slice_reads_what_it_takes),
        cmocka_unit_test(sixteen_bits_are_two_bytes),
        cmocka_unit_test(many_operands_are_cut_not_overrun),
        cmocka_unit_test(calls_add_up_to_the_step),
        cmocka_unit_test(text_is_of_the_same_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
