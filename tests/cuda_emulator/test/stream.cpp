/* Memory, copies, streams and events: what nobody waits for has not happened. */
#include "tests/cuda_emulator/test/test.h"

#include <cmath>
#include <cstring>
#include <thread>

static __global__ void add_one(float *x, int n)
{
    for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += (int)(gridDim.x * blockDim.x))
        x[i] += 1;
}

static __global__ void twice(float *to, const float *from)
{
    *to = 2 * *from;
}

/* Two streams that do not wait for the legacy one, nor it for them. */
struct streams {
    cudaStream_t a, b;
    streams()
    {
        GOOD(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
        GOOD(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    }
    ~streams()
    {
        cudaStreamDestroy(a);
        cudaStreamDestroy(b);
    }
};

struct pinned {
    float *at;
    explicit pinned(size_t n)
    {
        GOOD(cudaMallocHost(reinterpret_cast<void **>(&at), n * sizeof(float)));
    }
    ~pinned()
    {
        cudaFreeHost(at);
    }
};

/* ------------------------------------------------------------------ memory */

static void new_memory_is_nan(void **)
{
    float *x = on_device<float>(100);
    for (float got : from_device(x, 100))
        assert_true(std::isnan(got));
    assert_int_equal((uintptr_t)x % 256, 0);
    cudaFree(x);
}

static void copies_are_checked(void **)
{
    float host[8] = {}, *x = on_device<float>(4);
    const cudaError_t bad = cudaErrorInvalidValue;
    assert_int_equal(cudaMemcpy(x, host, 17, cudaMemcpyHostToDevice), bad);    /* past the end */
    assert_int_equal(cudaMemcpy(x + 3, host, 8, cudaMemcpyHostToDevice), bad); /* past the end */
    assert_int_equal(cudaMemcpy(host, x, 4, cudaMemcpyHostToDevice), bad);     /* the wrong way */
    assert_int_equal(cudaMemcpy(x, host, 4, cudaMemcpyDeviceToDevice), bad);   /* not from the device */
    assert_int_equal(cudaMemcpy(x, nullptr, 4, cudaMemcpyHostToDevice), bad);
    assert_int_equal(cudaMemset(host, 0, 4), bad);
    assert_int_equal(cudaGetLastError(), bad);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    GOOD(cudaMemcpy(x + 3, host, 4, cudaMemcpyHostToDevice));
    GOOD(cudaMemcpy(x, host, 0, cudaMemcpyHostToDevice));
    assert_int_equal(cudaFree(host), bad);
    assert_int_equal(cudaFree(x + 1), bad);
    assert_int_equal(cudaFreeHost(x), bad);
    GOOD(cudaFree(x));
    GOOD(cudaFree(nullptr));
    assert_int_equal(cudaFree(x), bad);
}

static void memory_is_limited(void **)
{
    void *first, *second;
    size_t available, total;
    hl_fault_memory(1 << 20);
    GOOD(cudaMalloc(&first, 1000));
    GOOD(cudaMemGetInfo(&available, &total));
    assert_int_equal(total, 1 << 20);
    assert_int_equal(available, (1 << 20) - 1024);
    assert_int_equal(cudaMalloc(&second, 1 << 20), cudaErrorMemoryAllocation);
    assert_null(second);
    GOOD(cudaMalloc(&second, available));
    assert_int_equal(hl_emulated_holding().device_blocks, 2);
    assert_int_equal(hl_emulated_holding().device_bytes, available + 1000);
    cudaFree(first);
    cudaFree(second);
}

/* ------------------------------------------------------------------ laziness */

static void a_stream_runs_when_somebody_waits(void **)
{
    streams s;
    pinned to(1);
    const float one = 1;
    float *x = on_device(1, &one);
    order_set(ORDER_FORWARD);
    *to.at = 7;
    hl_emulated_launch(add_one, 1, 1, 0, s.a, x, 1);
    GOOD(cudaMemcpyAsync(to.at, x, 4, cudaMemcpyDeviceToHost, s.a));
    GOOD(cudaStreamSynchronize(s.b)); /* of another stream */
    assert_true(*to.at == 7);
    GOOD(cudaStreamSynchronize(s.a));
    assert_true(*to.at == 2);
    cudaFree(x);
}

/* b reads what a writes, without having been told to wait. */
static float unordered(order order)
{
    streams s;
    const float one = 1, ten = 10;
    float *x = on_device(1, &one), *y = on_device(1, &ten);
    order_set(order);
    hl_emulated_launch(add_one, 1, 1, 0, s.a, x, 1);
    hl_emulated_launch(twice, 1, 1, 0, s.b, y, static_cast<const float *>(x));
    GOOD(cudaStreamSynchronize(s.b));
    float got = from_device(y, 1)[0];
    cudaFree(x);
    cudaFree(y);
    return got;
}

static void a_missing_wait_shows(void **)
{
    assert_true(unordered(ORDER_FORWARD) == 2); /* b alone has run */
    assert_true(unordered(ORDER_REVERSE) == 4);
}

static void events_order_streams(void **)
{
    for (order order : {ORDER_FORWARD, ORDER_REVERSE, ORDER_SHUFFLE}) {
        streams s;
        cudaEvent_t event;
        const float one = 1;
        float *x = on_device(1, &one), *y = on_device<float>(1);
        order_set(order);
        GOOD(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
        GOOD(cudaStreamWaitEvent(s.b, event, 0)); /* never recorded: nothing to wait for */
        hl_emulated_launch(add_one, 1, 1, 0, s.a, x, 1);
        GOOD(cudaEventRecord(event, s.a));
        GOOD(cudaStreamWaitEvent(s.b, event, 0));
        hl_emulated_launch(twice, 1, 1, 0, s.b, y, static_cast<const float *>(x));
        assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
        GOOD(cudaStreamSynchronize(s.b));
        GOOD(cudaEventQuery(event));
        assert_true(from_device(y, 1)[0] == 4);
        GOOD(cudaEventDestroy(event));
        cudaFree(x);
        cudaFree(y);
    }
}

/* A record that is made anew does not take back what waits for the one before. */
static void a_wait_is_for_the_record_before_it(void **)
{
    streams s;
    cudaEvent_t event;
    const float one = 1;
    float *x = on_device(1, &one), *y = on_device<float>(1);
    order_set(ORDER_FORWARD);
    GOOD(cudaEventCreate(&event));
    hl_emulated_launch(add_one, 1, 1, 0, s.a, x, 1);
    GOOD(cudaEventRecord(event, s.a));
    GOOD(cudaStreamWaitEvent(s.b, event, 0));
    hl_emulated_launch(add_one, 1, 1, 0, s.a, x, 1);
    GOOD(cudaEventRecord(event, s.a));
    hl_emulated_launch(twice, 1, 1, 0, s.b, y, static_cast<const float *>(x));
    GOOD(cudaStreamSynchronize(s.b));
    assert_true(from_device(y, 1)[0] == 4);
    GOOD(cudaEventSynchronize(event));
    assert_true(from_device(x, 1)[0] == 3);
    GOOD(cudaEventDestroy(event));
    cudaFree(x);
    cudaFree(y);
}

static void time_passes_between_events(void **)
{
    streams s;
    cudaEvent_t first, second, untimed;
    float milliseconds = -1;
    float *x = on_device(std::vector<float>(1 << 16));
    GOOD(cudaEventCreate(&first));
    GOOD(cudaEventCreate(&second));
    GOOD(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    assert_int_equal(cudaEventElapsedTime(&milliseconds, first, second), cudaErrorInvalidResourceHandle);
    GOOD(cudaEventRecord(first, s.a));
    hl_emulated_launch(add_one, 8, 256, 0, s.a, x, 1 << 16);
    GOOD(cudaEventRecord(second, s.a));
    GOOD(cudaEventRecord(untimed, s.a));
    assert_int_equal(cudaEventElapsedTime(&milliseconds, first, second), cudaErrorNotReady);
    GOOD(cudaStreamSynchronize(s.a));
    GOOD(cudaEventElapsedTime(&milliseconds, first, second));
    assert_true(milliseconds > 0 && milliseconds < 10000);
    assert_int_equal(cudaEventElapsedTime(&milliseconds, first, untimed), cudaErrorInvalidResourceHandle);
    for (cudaEvent_t event : {first, second, untimed})
        GOOD(cudaEventDestroy(event));
    cudaFree(x);
}

static void the_legacy_stream_waits_for_blocking_ones(void **)
{
    cudaStream_t blocking;
    const float one = 1;
    float *x = on_device(1, &one);
    GOOD(cudaStreamCreate(&blocking));
    hl_emulated_launch(add_one, 1, 1, 0, blocking, x, 1);
    assert_true(from_device(x, 1)[0] == 2); /* a copy on the legacy stream */
    hl_emulated_launch(add_one, 1, 1, 0, nullptr, x, 1);
    hl_emulated_launch(add_one, 1, 1, 0, blocking, x, 1);
    GOOD(cudaStreamSynchronize(blocking));
    assert_true(from_device(x, 1)[0] == 4);
    GOOD(cudaStreamDestroy(blocking));
    cudaFree(x);
}

/* Pinned memory is read when the copy runs, pageable memory when it is asked for. */
static void only_pageable_sources_may_change_at_once(void **)
{
    streams s;
    pinned from(1);
    float pageable = 1, *x = on_device<float>(2);
    *from.at = 1;
    GOOD(cudaMemcpyAsync(x, from.at, 4, cudaMemcpyHostToDevice, s.a));
    GOOD(cudaMemcpyAsync(x + 1, &pageable, 4, cudaMemcpyHostToDevice, s.a));
    *from.at = pageable = 2;
    GOOD(cudaMemcpyAsync(&pageable, x + 1, 4, cudaMemcpyDeviceToHost, s.a));
    assert_true(pageable == 1); /* there when the call returns */
    assert_true(from_device(x, 1)[0] == 2);
    cudaFree(x);
}

static void threads_may_share_the_device(void **)
{
    auto work = [](float *x) {
        cudaStream_t stream;
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
        for (int i = 0; i < 50; i++) {
            hl_emulated_launch(add_one, 4, 64, 0, stream, x, 1000);
            if (i % 7 == 0)
                cudaStreamSynchronize(stream);
        }
        cudaStreamSynchronize(stream);
        cudaStreamDestroy(stream);
    };
    float *x[3];
    std::thread threads[3];
    for (int i = 0; i < 3; i++) {
        x[i] = on_device(std::vector<float>(1000));
        threads[i] = std::thread(work, x[i]);
    }
    for (int i = 0; i < 3; i++) {
        threads[i].join();
        for (float got : from_device(x[i], 1000))
            assert_true(got == 50);
        cudaFree(x[i]);
    }
}

static void handles_that_are_gone_are_refused(void **)
{
    cudaStream_t stream;
    cudaEvent_t event;
    GOOD(cudaStreamCreate(&stream));
    GOOD(cudaEventCreate(&event));
    GOOD(cudaStreamDestroy(stream));
    assert_int_equal(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaEventRecord(event, stream), cudaErrorInvalidResourceHandle);
    GOOD(cudaEventDestroy(event));
    assert_int_equal(cudaEventSynchronize(event), cudaErrorInvalidResourceHandle);
}

const std::vector<CMUnitTest> stream_tests = {
    cmocka_unit_test(new_memory_is_nan),
    cmocka_unit_test(copies_are_checked),
    cmocka_unit_test(memory_is_limited),
    cmocka_unit_test(a_stream_runs_when_somebody_waits),
    cmocka_unit_test(a_missing_wait_shows),
    cmocka_unit_test(events_order_streams),
    cmocka_unit_test(a_wait_is_for_the_record_before_it),
    cmocka_unit_test(time_passes_between_events),
    cmocka_unit_test(the_legacy_stream_waits_for_blocking_ones),
    cmocka_unit_test(only_pageable_sources_may_change_at_once),
    cmocka_unit_test(threads_may_share_the_device),
    cmocka_unit_test(handles_that_are_gone_are_refused),
};
