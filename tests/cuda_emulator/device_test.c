/* Devices and queues of the CUDA backend. */
#include "tests/cuda_emulator/step.h"

#include <cuda_runtime.h>
#include <pthread.h>
#include <stdio.h>

static const hl_device_table *table(void)
{
    return hl_backend_cuda.device;
}

/* ------------------------------------------------------------------ devices */

static void describes_a_device(void **state)
{
    (void)state;
    hl_device_info info;
    hl_error err = {0};
    int n = 0;
    hl_fault_memory((size_t)1 << 30);
    hl_fault_capability(8, 6);
    hl_fault_devices(2);
    assert_ok(table()->count(&n, &err), &err);
    assert_int_equal(n, 2);
    assert_ok(table()->describe(1, &info, &err), &err);
    assert_string_equal(info.device, "cuda:1");
    assert_true(strlen(info.name) > 0);
    assert_int_equal(info.memory, (size_t)1 << 30);
    assert_int_equal(info.free, (size_t)1 << 30);
    assert_int_equal(info.major, 8);
    assert_int_equal(info.minor, 6);
    assert_true(info.processors > 0);
    char version[32];
    snprintf(version, sizeof version, "%d.%d", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    assert_string_equal(info.runtime, version);
    assert_string_equal(info.driver, version);
}

static void absent_devices_say_so(void **state)
{
    (void)state;
    hl_device *device;
    hl_device_info info;
    hl_error err = {0};
    int n = 7;
    hl_fault_driver(0);
    assert_int_equal(table()->count(&n, &err), HL_ERR_UNSUPPORTED);
    assert_int_equal(n, 0);
    assert_says(&err, "driver version is insufficient");
    assert_says(&err, "cudaErrorInsufficientDriver");
    assert_int_equal(table()->open(0, &device, &err), HL_ERR_UNSUPPORTED);
    hl_fault_reset();
    hl_fault_devices(0);
    assert_int_equal(table()->count(&n, &err), HL_ERR_UNSUPPORTED);
    assert_says(&err, "cudaErrorNoDevice");
    hl_fault_reset();
    assert_int_equal(table()->open(1, &device, &err), HL_ERR_UNSUPPORTED);
    assert_says(&err, "cuda:1: there is no such GPU, 1 can be used");
    assert_int_equal(table()->describe(-1, &info, &err), HL_ERR_UNSUPPORTED);
}

static void opening_is_counted(void **state)
{
    (void)state;
    hl_device *first, *second, *other;
    hl_error err = {0};
    hl_fault_devices(2);
    assert_ok(table()->open(0, &first, &err), &err);
    assert_ok(table()->open(1, &other, &err), &err);
    assert_ok(table()->open(0, &second, &err), &err);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, other);
    table()->close(first);
    assert_int_equal(hl_emulated_holding().handles, 2);
    table()->close(second);
    assert_int_equal(hl_emulated_holding().handles, 1);
    table()->close(other);
    table()->close(NULL);
}

static void memory_runs_out_with_a_sentence(void **state)
{
    (void)state;
    hl_device *device;
    hl_error err = {0};
    void *some, *more;
    hl_fault_memory((size_t)1 << 20);
    assert_ok(table()->open(0, &device, &err), &err);
    assert_ok(table()->allocate(device, 1000, &some, &err), &err);
    assert_int_equal((uintptr_t)some % 256, 0);
    assert_int_equal(table()->allocate(device, (size_t)3 << 20, &more, &err), HL_ERR_MEMORY);
    assert_null(more);
    assert_says(&err, "cuda:0 has no memory for 3145728 bytes");
    assert_says(&err, "of its 1048576 are free");
    assert_ok(table()->allocate(device, 0, &more, &err), &err);
    table()->release(device, some);
    table()->release(device, more);
    table()->close(device);
}

static void copies_go_both_ways(void **state)
{
    (void)state;
    hl_device *device;
    hl_error err = {0};
    void *memory;
    char text[] = "to the device and back", back[sizeof text];
    assert_ok(table()->open(0, &device, &err), &err);
    assert_ok(table()->allocate(device, sizeof text, &memory, &err), &err);
    assert_ok(table()->upload(device, memory, text, sizeof text, &err), &err);
    assert_ok(table()->download(device, back, memory, sizeof text, &err), &err);
    assert_ok(table()->download(device, NULL, NULL, 0, &err), &err);
    assert_string_equal(back, text);
    table()->release(device, memory);
    table()->close(device);
}

static void a_copy_waits_for_the_queues(void **state)
{
    (void)state;
    float copied[STEP_OUT], returned[STEP_OUT];
    step s;
    hl_error err = {0};
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_begin(&s, 0, false, &err), &err);
    assert_ok(s.table->download(s.device, copied, s.memory->outputs, sizeof copied, &err), &err);
    assert_ok(s.table->wait(s.queue, returned, &err), &err);
    assert_memory_equal(copied, returned, sizeof copied);
    step_close(&s);
}

/* ------------------------------------------------------------------ steps */

enum { STEPS = 7 };

/* Each step alone, waited for before the next. */
static void run_one_by_one(float (*outputs)[STEP_OUT])
{
    step s;
    hl_error err = {0};
    assert_ok(step_open(&s, &err), &err);
    for (uint32_t i = 0; i < STEPS; i++)
        assert_ok(step_run(&s, i, false, outputs[i], &err), &err);
    step_close(&s);
}

static void assert_same(float (*got)[STEP_OUT], float (*want)[STEP_OUT])
{
    for (int i = 0; i < STEPS; i++)
        assert_memory_equal(got[i], want[i], sizeof *got);
    assert_memory_not_equal(want[0], want[1], sizeof *want);
}

static void two_steps_are_under_way(void **state)
{
    (void)state;
    static float want[STEPS][STEP_OUT], got[STEPS][STEP_OUT];
    step s;
    hl_error err = {0};
    run_one_by_one(want);
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_begin(&s, 0, false, &err), &err);
    for (uint32_t i = 1; i < STEPS; i++) {
        assert_ok(step_begin(&s, i, false, &err), &err);
        assert_ok(s.table->wait(s.queue, got[i - 1], &err), &err);
    }
    assert_ok(s.table->wait(s.queue, got[STEPS - 1], &err), &err);
    step_close(&s);
    assert_same(got, want);
}

static void replay_repeats_the_calls(void **state)
{
    (void)state;
    static float want[STEPS][STEP_OUT], got[STEPS][STEP_OUT];
    step s;
    hl_error err = {0};
    run_one_by_one(want);
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_run(&s, 0, false, got[0], &err), &err);
    assert_ok(step_record(&s, &err), &err);
    for (uint32_t i = 0; i < 2; i++)
        assert_ok(step_begin(&s, i, true, &err), &err);
    for (uint32_t i = 2; i < STEPS; i++) {
        assert_ok(s.table->wait(s.queue, got[i - 2], &err), &err);
        assert_ok(step_begin(&s, i, true, &err), &err);
    }
    for (uint32_t i = STEPS - 2; i < STEPS; i++)
        assert_ok(s.table->wait(s.queue, got[i], &err), &err);
    assert_ok(step_record(&s, &err), &err); /* in place of the first */
    step_close(&s);
    assert_same(got, want);
}

static void a_failed_recording_leaves_the_queue(void **state)
{
    (void)state;
    static float want[STEPS][STEP_OUT];
    float got[STEP_OUT];
    step s;
    hl_error err = {0};
    run_one_by_one(want);
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_run(&s, 0, false, got, &err), &err);

    /* a copy that waits is not for a recording */
    assert_ok(s.table->record(s.queue, &err), &err);
    assert_int_equal(s.table->upload(s.device, s.memory->bias, got, 4, &err), HL_ERR_DEVICE);
    assert_int_equal(s.table->recorded(s.queue, 0, &err), HL_ERR_DEVICE);
    assert_says(&err, "recording a step: ");
    assert_ok(step_run(&s, 1, false, got, &err), &err);
    assert_memory_equal(got, want[1], sizeof got);

    /* begun and left */
    assert_ok(s.table->record(s.queue, &err), &err);
    assert_ok(step_run_calls(&s, &err), &err);
    assert_ok(step_run(&s, 2, false, got, &err), &err);
    assert_memory_equal(got, want[2], sizeof got);

    assert_ok(step_record(&s, &err), &err);
    assert_ok(step_run(&s, 3, true, got, &err), &err);
    assert_memory_equal(got, want[3], sizeof got);
    step_close(&s);
}

static void *use_the_device(void *device)
{
    hl_error err = {0};
    void *memory;
    bool fine = table()->allocate(device, 100, &memory, &err) == HL_OK &&
                table()->upload(device, memory, "text", 5, &err) == HL_OK;
    table()->release(device, memory);
    return fine ? device : NULL;
}

/* While one thread records, another may do as it likes. */
static void recording_is_of_one_thread(void **state)
{
    (void)state;
    float got[STEP_OUT];
    step s;
    hl_error err = {0};
    pthread_t thread;
    void *fine;
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_run(&s, 0, false, got, &err), &err);
    assert_ok(s.table->record(s.queue, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, use_the_device, s.device), 0);
    assert_int_equal(pthread_join(thread, &fine), 0);
    assert_non_null(fine);
    assert_ok(step_run_calls(&s, &err), &err);
    assert_ok(s.table->recorded(s.queue, 0, &err), &err);
    assert_ok(step_run(&s, 1, true, got, &err), &err);
    step_close(&s);
}

/* Algorithms are measured at a first run; one that is recorded takes what the library thinks best. */
static void a_first_run_may_be_recorded(void **state)
{
    (void)state;
    static float want[STEPS][STEP_OUT];
    float got[STEP_OUT];
    step s;
    hl_error err = {0};
    run_one_by_one(want);
    assert_ok(step_open(&s, &err), &err);
    assert_int_equal(step_record(&s, &err), HL_ERR_DEVICE); /* cuDNN must be made outside */
    assert_says(&err,
                "conv2d of x [8,1,4,6] by w [2,1,3,3], stride 1 and padding 1: a step must have run once");
    hl_fault_reset();
    assert_ok(s.table->begin(s.queue, &(step_inputs){0}, &err), &err);
    assert_ok(s.calls[2].kernel->run(&s.calls[2], &err), &err);
    assert_ok(step_record(&s, &err), &err);
    assert_int_equal(hl_emulated_calls("cublasLtMatmul"), 1);
    assert_ok(step_run(&s, 4, true, got, &err), &err);
    assert_memory_equal(got, want[4], sizeof got);
    step_close(&s);
}

static void time_is_marked(void **state)
{
    (void)state;
    float out[STEP_OUT];
    step s;
    hl_error err = {0};
    assert_ok(step_open(&s, &err), &err);
    assert_true(s.table->between(s.queue, 0, 1) == 0);
    assert_ok(s.table->mark(s.queue, 0, &err), &err);
    assert_ok(step_begin(&s, 0, false, &err), &err);
    assert_ok(s.table->mark(s.queue, 1, &err), &err);
    assert_ok(s.table->wait(s.queue, out, &err), &err);
    assert_ok(step_run(&s, 1, false, out, &err), &err);
    assert_true(s.table->between(s.queue, 0, 1) > 0);
    step_close(&s);
}

static void a_queue_may_have_no_traffic(void **state)
{
    (void)state;
    hl_device *device;
    hl_queue *queue;
    hl_error err = {0};
    assert_ok(table()->open(0, &device, &err), &err);
    assert_ok(table()->queue_new(device, &(hl_traffic){0}, &queue, &err), &err);
    for (int i = 0; i < 3; i++) {
        assert_ok(table()->begin(queue, NULL, &err), &err);
        assert_ok(table()->finish(queue, &err), &err);
        assert_ok(table()->wait(queue, NULL, &err), &err);
    }
    table()->queue_free(queue);
    table()->queue_free(NULL);
    table()->close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(describes_a_device),
        FAULT_TEST(absent_devices_say_so),
        FAULT_TEST(opening_is_counted),
        FAULT_TEST(memory_runs_out_with_a_sentence),
        FAULT_TEST(copies_go_both_ways),
        FAULT_TEST(a_copy_waits_for_the_queues),
        FAULT_TEST(two_steps_are_under_way),
        FAULT_TEST(replay_repeats_the_calls),
        FAULT_TEST(a_failed_recording_leaves_the_queue),
        FAULT_TEST(recording_is_of_one_thread),
        FAULT_TEST(a_first_run_may_be_recorded),
        FAULT_TEST(time_is_marked),
        FAULT_TEST(a_queue_may_have_no_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
