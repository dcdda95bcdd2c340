/* Sessions on an emulated GPU that fails: every CUDA call once, kernels, too little memory, no driver; and
 * what a session asks of CUDA in steady state. */
#include "tests/cuda_emulator/asserts.h"
#include "tests/device_session.h"

#include <driver_types.h>

/* ------------------------------------------------------------------ steady state */

/* Recorded once, then replayed; no step allocates. */
static void a_step_is_one_replay(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = trained(params, "cuda", HL_PRECISION_FP32);
    for (int step = 0; step < 2; step++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    int64_t captures = hl_emulated_calls("cudaStreamBeginCapture"), mallocs = hl_emulated_calls("cudaMalloc");
    int64_t replays = hl_emulated_calls("cudaGraphLaunch");
    uint64_t allocations = hl_alloc_count();
    assert_int_equal(captures, 1);
    for (int step = 0; step < 3; step++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_emulated_calls("cudaStreamBeginCapture"), captures);
    assert_int_equal(hl_emulated_calls("cudaMalloc"), mallocs);
    assert_int_equal(hl_emulated_calls("cudaGraphLaunch"), replays + 3);
    assert_int_equal(hl_alloc_count(), allocations);
    hl_session_free(s);
    hl_params_free(params);
    assert_nothing_held();
}

/* So it is while parts are timed: recorded once for each of the steps that may be under way, whose marks are
 * set by no call but the replay's. What was recorded without marks is there still. */
static void parts_are_timed_in_replay(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = trained(params, "cuda", HL_PRECISION_FP32);
    for (int step = 0; step < 3; step++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    int64_t captures = hl_emulated_calls("cudaStreamBeginCapture");
    hl_session_time_parts(s, true);
    for (int step = 0; step < 2; step++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_emulated_calls("cudaStreamBeginCapture"), captures + 2);
    int64_t replays = hl_emulated_calls("cudaGraphLaunch"),
            nodes = hl_emulated_calls("cudaEventRecordWithFlags");
    assert_true(nodes > 2 * 13);
    for (int step = 0; step < 5; step++) {
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        for (int i = 0; i < hl_session_parts(s); i++)
            assert_true(hl_session_part(s, i).seconds > 0);
    }
    hl_session_time_parts(s, false);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_emulated_calls("cudaStreamBeginCapture"), captures + 2);
    assert_int_equal(hl_emulated_calls("cudaGraphLaunch"), replays + 6);
    assert_int_equal(hl_emulated_calls("cudaEventRecordWithFlags"), nodes);
    hl_session_free(s);
    hl_params_free(params);
    assert_nothing_held();
}

/* ------------------------------------------------------------------ what may go wrong */

/* The n-th call of anything that allocates or launches fails: an error with a reason, nothing kept, and the
 * next attempt works. */
static void every_call_may_fail(void **state)
{
    (void)state;
    const struct {
        const char *function;
        int code;
        bool survived; /* an algorithm that fails while they are measured is not chosen, that is all */
    } faults[] = {{"cudaMalloc", cudaErrorMemoryAllocation, false},
                  {"cudaMemcpy", cudaErrorUnknown, false},
                  {"cudaMemcpyAsync", cudaErrorUnknown, false},
                  {"cudaStreamBeginCapture", cudaErrorUnknown, false},
                  {"cudaStreamEndCapture", cudaErrorUnknown, false},
                  {"cudaGraphInstantiate", cudaErrorMemoryAllocation, false},
                  {"cudaGraphLaunch", cudaErrorUnknown, false},
                  {"cudaEventRecord", cudaErrorUnknown, false},
                  {"cudaEventRecordWithFlags", cudaErrorUnknown, false},
                  {"cudaStreamWaitEvent", cudaErrorUnknown, false},
                  {"cudaEventSynchronize", cudaErrorUnknown, false},
                  {"cublasLtMatmul", 14 /* internal error */, true},
                  {"cudaMallocHost", cudaErrorMemoryAllocation, false},
                  {"cudaSetDevice", cudaErrorDevicesUnavailable, false}};
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
        int failed = 0;
        for (int nth = 1; nth < 400; nth = nth < 6 ? nth + 1 : nth * 3) {
            hl_error err = {0};
            hl_params *params = hl_params_new(5);
            hl_fault_reset();
            hl_fault_inject(faults[f].function, nth, faults[f].code);
            hl_session *s = training(params, "cuda", HL_PRECISION_FP32, &err);
            hl_status status = s ? HL_OK : err.status;
            if (s)
                hl_session_time_parts(s, !strcmp(faults[f].function, "cudaEventRecordWithFlags"));
            for (int step = 0; step < 3 && status == HL_OK; step++) {
                small_model_inputs(s, step, 1);
                status = hl_session_run(s, &err);
            }
            bool happened = hl_fault_pending() == 0;
            hl_fault_reset();
            if (happened && !faults[f].survived && (status == HL_OK || !err.message[0]))
                fail_msg("%s failed the %d. time, and nobody said so", faults[f].function, nth);
            failed += happened;
            hl_session_free(s);
            hl_params_free(params);
            assert_nothing_held();
        }
        if (!failed && strcmp(faults[f].function, "cudaMallocHost"))
            fail_msg("%s is never called", faults[f].function);
    }
}

static void a_broken_device_gives_no_results(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = trained(params, "cuda", HL_PRECISION_FP32);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    hl_fault_inject("kernel", 5, cudaErrorIllegalAddress);
    assert_int_not_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(err.status, HL_ERR_DEVICE);
    assert_non_null(strstr(err.message, "illegal"));
    hl_fault_reset();
    hl_session_free(s);
    hl_params_free(params);
}

static hl_session *under_way(hl_params *params, int steps)
{
    hl_error err = {0};
    hl_session *s = trained(params, "cuda", HL_PRECISION_FP32);
    for (int step = 0; step < 2; step++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    for (int step = 0; step < steps; step++)
        assert_int_equal(hl_session_start(s, &err), HL_OK);
    return s;
}

/* Of two steps under way the first fails, and the session is freed: both let go of the store. */
static void the_store_outlives_steps_that_fail(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = under_way(params, 2);
    hl_fault_inject("cudaEventSynchronize", 1, cudaErrorUnknown);
    hl_session_free(s);
    assert_int_equal(hl_fault_pending(), 0);
    s = trained(params, "cuda", HL_PRECISION_FP32);
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_session_free(s);
    hl_params_free(params);
    assert_nothing_held();
}

/* Where others read, a step is waited for before the next one starts: if it failed, both say so. */
static void a_step_that_failed_is_told_twice(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_graph *g = hl_graph_new();
    hl_model_options o = model();
    hl_output(g, "action", hl_model_build(g, params, &o, &(hl_model_mode){.batch = 1}).action);
    hl_session *reader = hl_session_open(g, params,
                                         &(hl_session_options){.device = "cuda", .concurrent = true}, &err);
    hl_graph_free(g);
    hl_session *s = under_way(params, 1);
    hl_fault_inject("cudaEventSynchronize", 1, cudaErrorUnknown);
    assert_int_equal(hl_session_start(s, &err), HL_ERR_DEVICE);
    assert_int_equal(hl_session_wait(s, &err), HL_ERR_DEVICE);
    assert_non_null(strstr(err.message, "the step failed, as was told"));
    assert_int_equal(hl_session_wait(s, &err), HL_ERR_USAGE);

    assert_int_equal(hl_session_start(s, &err), HL_OK);
    hl_fault_inject("cudaGraphLaunch", 1, cudaErrorUnknown); /* the first one is well, the second is not */
    assert_int_equal(hl_session_start(s, &err), HL_ERR_DEVICE);
    assert_int_equal(hl_session_start(s, &err), HL_OK);
    for (int step = 0; step < 2; step++)
        assert_int_equal(hl_session_wait(s, &err), HL_OK);
    assert_true(hl_params_version(params) == 4);
    assert_int_equal(hl_session_run(reader, &err), HL_OK);
    assert_true(hl_session_version(reader) == 4);
    hl_session_free(reader);
    hl_session_free(s);
    hl_params_free(params);
    hl_fault_reset();
    assert_nothing_held();
}

static void too_little_memory_says_what_would_fit(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_graph *g = training_graph(params, HL_PRECISION_FP32);
    hl_plan *plan = hl_plan_new(g, &(hl_session_options){.device = "cuda"}, &err);
    hl_memory m = hl_plan_memory(plan);
    hl_plan_free(plan);
    hl_graph_free(g);
    hl_fault_memory(m.total - m.arena / 2 + (1 << 19)); /* emulated blocks are rounded up a little */
    assert_null(training(params, "cuda", HL_PRECISION_FP32, &err));
    assert_int_equal(err.status, HL_ERR_MEMORY);
    if (!strstr(err.message, "parameters ") || !strstr(err.message, "optimizer ") ||
        !strstr(err.message, "% of this one"))
        fail_msg("%s", err.message);
    hl_fault_reset();
    hl_params_free(params);
    assert_nothing_held();
}

/* From one GPU to another with what was trained, but not while a session has addresses on the first. */
static void a_store_moves_between_devices(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_fault_devices(2);
    hl_params *moved = hl_params_new(5), *stayed = hl_params_new(5);
    hl_session *only = trained(stayed, "cuda:0", HL_PRECISION_FP32);
    for (int step = 0; step < 2; step++) {
        const char *const names[] = {"cuda:0", "cuda:1"};
        hl_session *s = trained(moved, names[step], HL_PRECISION_FP32);
        assert_string_equal(hl_session_device(s), names[step]);
        hl_session_set_step(s, (uint64_t)step);
        small_model_inputs(s, step, 1);
        small_model_inputs(only, step, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        assert_int_equal(hl_session_run(only, &err), HL_OK);
        assert_null(training(moved, names[1 - step], HL_PRECISION_FP32, &err));
        assert_int_equal(err.status, HL_ERR_USAGE);
        assert_non_null(strstr(err.message, "in use on another device"));
        hl_session_free(s);
    }
    outcome x = outcome_of(moved), y = outcome_of(stayed);
    assert_memory_equal(&x, &y, sizeof x);
    hl_session_free(only);
    hl_params_free(moved);
    hl_params_free(stayed);
    hl_fault_reset();
    assert_nothing_held();
}

static void without_a_driver(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_device_info info[4];
    hl_params *params = hl_params_new(5);
    assert_int_equal(hl_devices(info, 4, &err), 2);
    assert_string_equal(info[1].device, "cuda:0");
    hl_session *s = training(params, "cuda:1", HL_PRECISION_FP32, &err);
    assert_null(s);
    assert_non_null(strstr(err.message, "GPUs go from cuda:0 to cuda:0"));
    hl_fault_driver(0);
    assert_int_equal(hl_devices(info, 4, &err), 1);
    assert_non_null(strstr(err.message, "driver"));
    assert_null(training(params, "cuda", HL_PRECISION_FP32, &err));
    assert_int_equal(err.status, HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "device 'cuda:0'"));
    s = training(params, "auto", HL_PRECISION_FP32, &err); /* goes to the CPU */
    assert_non_null(s);
    hl_session_free(s);
    hl_fault_reset();
    hl_params_free(params);
    assert_nothing_held();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_one_replay),
        cmocka_unit_test(parts_are_timed_in_replay),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(a_broken_device_gives_no_results),
        cmocka_unit_test(the_store_outlives_steps_that_fail),
        cmocka_unit_test(a_step_that_failed_is_told_twice),
        cmocka_unit_test(too_little_memory_says_what_would_fit),
        cmocka_unit_test(a_store_moves_between_devices),
        cmocka_unit_test(without_a_driver),
    };
    hl_fault_reset();
    return cmocka_run_group_tests_name("sessions on a failing GPU", tests, NULL, NULL);
}
