/* A GPU whose memory is the host's: the same numbers as on one with its own, and nothing is copied where the
 * caller waits for each step; where it does not, inputs and outputs are, as everywhere. */
#include "tests/cuda_emulator/asserts.h"
#include "run/backend.h"
#include "tests/device_session.h"

#include <driver_types.h>

enum { RUNS = 6, ACTIONS = BATCH * 3 };

static hl_session *acting_on(hl_params *params, hl_session_options options)
{
    options.device = "cuda";
    return acting(params, options);
}

/* Copies that were asked for so far, in recordings too. */
static int64_t copies(void)
{
    return hl_emulated_calls("cudaMemcpy") + hl_emulated_calls("cudaMemcpyAsync");
}

static void run_well(hl_session *s)
{
    hl_error err = {0};
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void start_well(hl_session *s, int step)
{
    hl_error err = {0};
    small_model_inputs(s, step, 1);
    if (hl_session_start(s, &err) != HL_OK)
        fail_msg("%s", err.message);
    small_model_inputs(s, 77, NAN); /* they are the caller's again */
}

static void wait_for(hl_session *s, const float *want)
{
    hl_error err = {0};
    if (hl_session_wait(s, &err) != HL_OK)
        fail_msg("%s", err.message);
    assert_memory_equal(hl_session_output(s, "action"), want, ACTIONS * sizeof *want);
}

/* The actions of RUNS steps, each waited for; returns the copies that all but the first two made. */
static int64_t act(float (*actions)[ACTIONS], hl_session_options options)
{
    int64_t before = 0;
    hl_params *params = hl_params_new(5);
    hl_session *s = acting_on(params, options);
    for (int i = 0; i < RUNS; i++) {
        before = i == 2 ? copies() : before;
        small_model_inputs(s, i, 1);
        run_well(s);
        memcpy(actions[i], hl_session_output(s, "action"), sizeof *actions);
    }
    const int64_t made = copies() - before;
    hl_session_free(s);
    hl_params_free(params);
    return made;
}

static void actions_of(float (*actions)[ACTIONS])
{
    hl_fault_integrated(false, true);
    act(actions, (hl_session_options){.frozen = true});
    hl_fault_integrated(true, true);
}

/* ------------------------------------------------------------------ step by step */

static void steps_copy_nothing(void **state)
{
    (void)state;
    for (int frozen = 0; frozen < 2; frozen++)
        for (int precision = HL_PRECISION_FP32; precision <= HL_PRECISION_FP16; precision++) {
            const hl_session_options o = {.frozen = frozen, .precision = (hl_precision)precision};
            float apart[RUNS][ACTIONS], together[RUNS][ACTIONS];
            hl_fault_reset();
            hl_fault_integrated(false, true);
            /* in, on, and back */
            assert_int_equal(act(apart, o), 3 * (RUNS - 2));
            assert_int_equal(hl_emulated_calls("cudaHostAlloc"), 0);
            hl_fault_integrated(true, true);
            assert_int_equal(act(together, o), 0);
            assert_int_equal(hl_emulated_calls("cudaHostAlloc"), 1);
            assert_memory_equal(together, apart, sizeof apart);
            assert_memory_not_equal(apart[0], apart[1], sizeof *apart);
        }
}

/* Dropout reads the clock, losses come back, parameters stay where they are. */
static void training_is_the_same(void **state)
{
    (void)state;
    hl_fault_integrated(false, true);
    outcome apart = train("cuda", HL_PRECISION_FP32);
    hl_fault_integrated(true, true);
    outcome together = train("cuda", HL_PRECISION_FP32);
    assert_memory_equal(&together, &apart, sizeof apart);
}

/* A caller that never writes an input twice finds it as it left it. */
static void inputs_stay(void **state)
{
    (void)state;
    float want[RUNS][ACTIONS];
    actions_of(want);
    hl_params *params = hl_params_new(5);
    hl_session *s = acting_on(params, (hl_session_options){.frozen = true});
    small_model_inputs(s, 3, 1);
    for (int i = 0; i < 3; i++) {
        run_well(s);
        assert_memory_equal(hl_session_output(s, "action"), want[3], sizeof *want);
    }
    hl_session_free(s);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ steps under way */

/* The caller writes as soon as a step has started; steps that are waited for at once come in between. One
 * recording for each of the two ways. */
static void steps_under_way_have_inputs_of_their_own(void **state)
{
    (void)state;
    float want[RUNS][ACTIONS];
    actions_of(want);
    hl_params *params = hl_params_new(5);
    hl_session *s = acting_on(params, (hl_session_options){.frozen = true});
    for (int round = 0; round < 3; round++) {
        int64_t before = copies();
        start_well(s, 0);
        for (int i = 1; i < RUNS; i++) {
            start_well(s, i);
            wait_for(s, want[i - 1]);
        }
        assert_int_equal(copies() - before, 3 * RUNS);
        if (round == 1) { /* run waits for what is under way, and reads the inputs that are there now */
            small_model_inputs(s, 2, 1);
            run_well(s);
            assert_memory_equal(hl_session_output(s, "action"), want[2], sizeof *want);
            continue;
        }
        wait_for(s, want[RUNS - 1]);
        before = copies();
        small_model_inputs(s, 1, 1);
        run_well(s);
        assert_memory_equal(hl_session_output(s, "action"), want[1], sizeof *want);
        assert_int_equal(copies(), before);
    }
    assert_int_equal(hl_emulated_calls("cudaStreamBeginCapture"), 2 + 1); /* want's */
    hl_session_free(s);
    hl_params_free(params);
}

/* Two sessions at once, one of which is waited for. */
static void sessions_share_apart_from_each_other(void **state)
{
    (void)state;
    float want[RUNS][ACTIONS];
    actions_of(want);
    hl_params *params = hl_params_new(5);
    hl_session *a = acting_on(params, (hl_session_options){0}),
               *b = acting_on(params, (hl_session_options){0});
    for (int i = 0; i < RUNS; i++) {
        start_well(a, i);
        small_model_inputs(b, RUNS - 1 - i, 1);
        run_well(b);
        assert_memory_equal(hl_session_output(b, "action"), want[RUNS - 1 - i], sizeof *want);
        wait_for(a, want[i]);
    }
    hl_session_free(a);
    hl_session_free(b);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ where it is not shared, and failures */

/* A Tegra whose host does not cache page-locked memory, and a GPU with its own memory that could register. */
static void others_have_their_own(void **state)
{
    (void)state;
    const bool machines[][2] = {{true, false}, {false, true}, {false, false}};
    for (int i = 0; i < 3; i++) {
        hl_device *device;
        hl_error err = {0};
        void *memory = &device;
        hl_fault_integrated(machines[i][0], machines[i][1]);
        const hl_device_table *table = hl_backend_cuda.device;
        assert_ok(table->open(0, &device, &err), &err);
        assert_ok(table->share(device, 64, &memory, &err), &err);
        assert_null(memory);
        table->unshare(device, NULL);
        table->close(device);
    }
}

static void the_host_sees_shared_memory(void **state)
{
    (void)state;
    hl_device *device;
    hl_error err = {0};
    void *memory;
    hl_fault_integrated(true, true);
    const hl_device_table *table = hl_backend_cuda.device;
    assert_ok(table->open(0, &device, &err), &err);
    assert_ok(table->share(device, 0, &memory, &err), &err);
    assert_null(memory);
    assert_ok(table->share(device, 17, &memory, &err), &err);
    assert_int_equal((uintptr_t)memory % 16, 0);
    memset(memory, 3, 17);
    assert_int_equal(hl_emulated_holding().pinned_blocks, 1);
    table->unshare(device, memory);
    hl_fault_inject("cudaHostAlloc", 1, cudaErrorMemoryAllocation);
    assert_int_equal(table->share(device, 17, &memory, &err), HL_ERR_MEMORY);
    assert_says(&err, "no memory for 17 bytes that the host and cuda:0 share");
    hl_fault_inject("cudaHostAlloc", 1, cudaErrorUnknown);
    assert_int_equal(table->share(device, 17, &memory, &err), HL_ERR_DEVICE);
    table->close(device);
}

/* Each call of a session's life fails once; a step after one that failed is right. */
static void failures_are_told(void **state)
{
    (void)state;
    const char *const functions[] = {"cudaDeviceGetAttribute", "cudaHostAlloc",    "cudaStreamBeginCapture",
                                     "cudaGraphLaunch",        "cudaEventRecord",  "cudaEventSynchronize",
                                     "cudaGraphInstantiate",   "cudaLaunchKernel", "cudaSetDevice"};
    float want[RUNS][ACTIONS];
    actions_of(want);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        int failed = 0;
        for (int nth = 1; nth < 100; nth = nth < 3 ? nth + 1 : nth * 5) {
            hl_error err = {0};
            hl_params *params = hl_params_new(5);
            hl_graph *g = hl_graph_new();
            hl_model_options o = model();
            hl_output(g, "action", hl_model_build(g, params, &o, &(hl_model_mode){.batch = BATCH}).action);
            hl_fault_reset();
            hl_fault_integrated(true, true);
            hl_fault_inject(functions[f], nth, cudaErrorUnknown);
            hl_session *s = hl_session_open(g, params, &(hl_session_options){.device = "cuda"}, &err);
            hl_status status = s ? HL_OK : err.status;
            for (int i = 0; i < 3 && status == HL_OK; i++) {
                small_model_inputs(s, i, 1);
                status = hl_session_run(s, &err);
            }
            const bool happened = hl_fault_pending() == 0;
            hl_fault_reset();
            hl_fault_integrated(true, true);
            if (happened && (status == HL_OK || !err.message[0]))
                fail_msg("%s failed the %d. time, and nobody said so", functions[f], nth);
            failed += happened;
            if (s) {
                small_model_inputs(s, 4, 1);
                run_well(s);
                assert_memory_equal(hl_session_output(s, "action"), want[4], sizeof *want);
            }
            hl_session_free(s);
            hl_graph_free(g);
            hl_params_free(params);
            assert_nothing_held();
        }
        if (!failed)
            fail_msg("%s is never called", functions[f]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(steps_copy_nothing),
        FAULT_TEST(training_is_the_same),
        FAULT_TEST(inputs_stay),
        FAULT_TEST(steps_under_way_have_inputs_of_their_own),
        FAULT_TEST(sessions_share_apart_from_each_other),
        FAULT_TEST(others_have_their_own),
        FAULT_TEST(the_host_sees_shared_memory),
        FAULT_TEST(failures_are_told),
    };
    return cmocka_run_group_tests_name("memory that host and GPU share", tests, NULL, NULL);
}
