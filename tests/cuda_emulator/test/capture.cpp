/* Capturing a stream into a graph, and replaying it. */
#include "tests/cuda_emulator/test/test.h"

static __global__ void add(float *x, float y)
{
    *x += y;
}

static __global__ void copy(float *to, const float *from)
{
    *to = *from;
}

struct fixture {
    cudaStream_t stream, other;
    cudaEvent_t fork, join;
    float *x, *y;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    fixture()
    {
        const float zero = 0;
        GOOD(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        GOOD(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
        GOOD(cudaEventCreate(&fork));
        GOOD(cudaEventCreate(&join));
        x = on_device(1, &zero);
        y = on_device(1, &zero);
    }
    void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal)
    {
        GOOD(cudaStreamBeginCapture(stream, mode));
    }
    void end()
    {
        GOOD(cudaStreamEndCapture(stream, &graph));
        GOOD(cudaGraphInstantiate(&exec, graph, 0));
    }
    void replay()
    {
        GOOD(cudaGraphLaunch(exec, stream));
    }
    float value(const float *p)
    {
        GOOD(cudaStreamSynchronize(stream));
        return from_device(p, 1)[0];
    }
    ~fixture()
    {
        if (exec)
            cudaGraphExecDestroy(exec);
        if (graph)
            cudaGraphDestroy(graph);
        cudaStreamDestroy(stream);
        cudaStreamDestroy(other);
        cudaEventDestroy(fork);
        cudaEventDestroy(join);
        cudaFree(x);
        cudaFree(y);
    }
};

static void a_graph_replays_what_was_captured(void **)
{
    fixture f;
    f.begin();
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
    GOOD(cudaMemcpyAsync(f.y, f.x, 4, cudaMemcpyDeviceToDevice, f.stream));
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 2.0f);
    GOOD(cudaGetLastError());
    f.end();
    size_t nodes;
    GOOD(cudaGraphGetNodes(f.graph, nullptr, &nodes));
    assert_int_equal(nodes, 3);
    assert_true(f.value(f.x) == 0); /* nothing has run */
    f.replay();
    f.replay();
    assert_true(f.value(f.x) == 6);
    assert_true(f.value(f.y) == 4);
    GOOD(cudaGraphDestroy(f.graph)); /* its instance goes on */
    f.graph = nullptr;
    f.replay();
    assert_true(f.value(f.x) == 9);
}

static void a_capture_spreads_over_streams_by_events(void **)
{
    for (order order : {ORDER_FORWARD, ORDER_REVERSE, ORDER_SHUFFLE}) {
        fixture f;
        order_set(order);
        f.begin();
        hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
        GOOD(cudaEventRecord(f.fork, f.stream));
        GOOD(cudaStreamWaitEvent(f.other, f.fork, 0));
        hl_emulated_launch(copy, 1, 1, 0, f.other, f.y, static_cast<const float *>(f.x));
        GOOD(cudaEventRecord(f.join, f.other));
        GOOD(cudaStreamWaitEvent(f.stream, f.join, 0));
        hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 10.0f);
        f.end();
        f.replay();
        assert_true(f.value(f.y) == 1);
        assert_true(f.value(f.x) == 11);
        cudaStreamCaptureStatus status;
        GOOD(cudaStreamIsCapturing(f.other, &status));
        assert_int_equal(status, cudaStreamCaptureStatusNone);
    }
}

/* The same without the wait at the end of the fork, and work after it. */
static void branches_of_a_graph_have_no_order(void **)
{
    float got[2];
    for (order order : {ORDER_FORWARD, ORDER_REVERSE}) {
        fixture f;
        order_set(order);
        f.begin();
        GOOD(cudaEventRecord(f.fork, f.stream));
        GOOD(cudaStreamWaitEvent(f.other, f.fork, 0));
        hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 10.0f);
        hl_emulated_launch(copy, 1, 1, 0, f.other, f.y, static_cast<const float *>(f.x));
        GOOD(cudaEventRecord(f.join, f.other));
        GOOD(cudaStreamWaitEvent(f.stream, f.join, 0));
        f.end();
        f.replay();
        got[order] = f.value(f.y);
    }
    assert_true(got[ORDER_FORWARD] == 10);
    assert_true(got[ORDER_REVERSE] == 0);
}

static void work_that_is_not_joined_is_refused(void **)
{
    fixture f;
    f.begin();
    GOOD(cudaEventRecord(f.fork, f.stream));
    GOOD(cudaStreamWaitEvent(f.other, f.fork, 0));
    hl_emulated_launch(add, 1, 1, 0, f.other, f.x, 1.0f);
    assert_int_equal(cudaStreamEndCapture(f.stream, &f.graph), cudaErrorStreamCaptureUnjoined);
    assert_null(f.graph);
}

/* Each call fails, spoils the capture, and leaves the stream usable when that has ended. */
static void spoils(cudaError_t want, cudaStreamCaptureMode mode, cudaError_t (*call)(fixture &))
{
    fixture f;
    GOOD(cudaEventRecord(f.join, f.other)); /* outside */
    f.begin(mode);
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
    assert_int_equal(call(f), want);
    cudaStreamCaptureStatus status;
    GOOD(cudaStreamIsCapturing(f.stream, &status));
    assert_int_equal(status, cudaStreamCaptureStatusInvalidated);
    cudaGetLastError();
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
    assert_int_equal(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(f.stream, &f.graph), cudaErrorStreamCaptureInvalidated);
    assert_null(f.graph);
    cudaGetLastError();
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 5.0f);
    assert_true(f.value(f.x) == 5);
}

static void calls_that_a_capture_does_not_allow_spoil_it(void **)
{
    const auto mine = cudaStreamCaptureModeThreadLocal;
    const cudaError_t unsupported = cudaErrorStreamCaptureUnsupported;
    static void *p;
    spoils(unsupported, mine, [](fixture &) { return cudaMalloc(&p, 8); });
    spoils(unsupported, mine, [](fixture &) { return cudaMallocHost(&p, 8); });
    spoils(unsupported, mine, [](fixture &f) { return cudaFree(f.y); });
    spoils(unsupported, mine, [](fixture &) { return cudaDeviceSynchronize(); });
    spoils(unsupported, mine, [](fixture &f) { return cudaStreamSynchronize(f.stream); });
    spoils(unsupported, mine, [](fixture &f) { return cudaStreamSynchronize(f.other); });
    spoils(unsupported, mine, [](fixture &f) { return cudaStreamQuery(f.stream); });
    spoils(unsupported, mine, [](fixture &f) { return cudaEventSynchronize(f.join); });
    spoils(unsupported, mine, [](fixture &f) {
        float host;
        return cudaMemcpy(&host, f.x, 4, cudaMemcpyDeviceToHost);
    });
    spoils(cudaErrorStreamCaptureIsolation, mine,
           [](fixture &f) { return cudaStreamWaitEvent(f.stream, f.join, 0); });
    spoils(cudaErrorCapturedEvent, cudaStreamCaptureModeRelaxed, [](fixture &f) {
        GOOD(cudaEventRecord(f.fork, f.stream));
        return cudaEventSynchronize(f.fork);
    });
}

static void a_relaxed_capture_allows_them(void **)
{
    fixture f;
    void *p;
    f.begin(cudaStreamCaptureModeRelaxed);
    GOOD(cudaMalloc(&p, 8));
    GOOD(cudaFree(p));
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
    f.end();
    f.replay();
    assert_true(f.value(f.x) == 1);
}

static void captures_are_ended_where_they_began(void **)
{
    fixture f;
    cudaGraph_t none;
    assert_int_equal(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
                     cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(f.stream, &none), cudaErrorIllegalState);
    f.begin();
    assert_int_equal(cudaStreamBeginCapture(f.stream, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
    f.end();
    f.replay(); /* an empty graph */
    assert_true(f.value(f.x) == 0);
}

/* Waiting for the event that an external node records is waiting for the work before it. */
static void a_graph_records_events_for_those_outside(void **)
{
    fixture f;
    float milliseconds;
    f.begin();
    GOOD(cudaEventRecordWithFlags(f.fork, f.stream, cudaEventRecordExternal));
    hl_emulated_launch(add, 1, 1, 0, f.stream, f.x, 1.0f);
    GOOD(cudaEventRecordWithFlags(f.join, f.stream, cudaEventRecordExternal));
    size_t nodes;
    f.end();
    GOOD(cudaEventSynchronize(f.join)); /* not recorded, and not captured */
    GOOD(cudaGraphGetNodes(f.graph, nullptr, &nodes));
    assert_int_equal(nodes, 3);
    assert_int_equal(cudaEventElapsedTime(&milliseconds, f.fork, f.join), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
    for (int i = 1; i <= 2; i++) {
        f.replay();
        assert_int_equal(cudaEventElapsedTime(&milliseconds, f.fork, f.join), cudaErrorNotReady);
        cudaGetLastError();
        GOOD(cudaStreamWaitEvent(f.other, f.join, 0));
        hl_emulated_launch(copy, 1, 1, 0, f.other, f.y, static_cast<const float *>(f.x));
        GOOD(cudaEventSynchronize(f.join));
        GOOD(cudaEventElapsedTime(&milliseconds, f.fork, f.join));
        assert_true(milliseconds > 0);
        GOOD(cudaStreamSynchronize(f.other));
        assert_true(from_device(f.y, 1)[0] == (float)i);
    }
    GOOD(cudaEventDestroy(f.join));
    assert_int_equal(cudaGraphLaunch(f.exec, f.stream), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
    GOOD(cudaEventCreate(&f.join));
}

static void external_events_are_for_captures(void **)
{
    fixture f;
    assert_int_equal(cudaEventRecordWithFlags(f.fork, f.stream, cudaEventRecordExternal),
                     cudaErrorInvalidValue);
    cudaGetLastError();
    GOOD(cudaEventRecordWithFlags(f.fork, f.stream, cudaEventRecordDefault));
    GOOD(cudaEventSynchronize(f.fork));
}

const std::vector<CMUnitTest> capture_tests = {
    cmocka_unit_test(a_graph_records_events_for_those_outside),
    cmocka_unit_test(external_events_are_for_captures),
    cmocka_unit_test(a_graph_replays_what_was_captured),
    cmocka_unit_test(a_capture_spreads_over_streams_by_events),
    cmocka_unit_test(branches_of_a_graph_have_no_order),
    cmocka_unit_test(work_that_is_not_joined_is_refused),
    cmocka_unit_test(calls_that_a_capture_does_not_allow_spoil_it),
    cmocka_unit_test(a_relaxed_capture_allows_them),
    cmocka_unit_test(captures_are_ended_where_they_began),
};
