/* Events. */
#include "tests/cuda_emulator/stream.h"

#include <chrono>

using namespace emulated;

int held_events;

static std::set<cudaEvent_t> events;

static double now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static cudaError_t create(cudaEvent_t *event, unsigned flags)
{
    if (!event || (flags & ~7u))
        return fail(cudaErrorInvalidValue);
    *event = new CUevent_st{flags, false, {}, std::make_shared<CUevent_st::moment>(), nullptr, {}};
    events.insert(*event);
    held_events++;
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    CALL(cudaEventCreate);
    return create(event, cudaEventDefault);
}

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    CALL(cudaEventCreateWithFlags);
    return create(event, flags);
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    CALL(cudaEventDestroy);
    if (!events.erase(event))
        return fail(cudaErrorInvalidResourceHandle);
    delete event;
    held_events--;
    return cudaSuccess;
}

/* What the capture has up to here is what waiting for the event will wait for. */
static cudaError_t record_in_capture(cudaEvent_t event, cudaStream_t stream)
{
    if (stream->into->broken)
        return fail(cudaErrorStreamCaptureInvalidated);
    event->captured = stream->into->shared_from_this();
    event->nodes = stream->frontier;
    return cudaSuccess;
}

static cudaError_t record(cudaEvent_t event, cudaStream_t stream)
{
    auto happened = event->happened;
    uint64_t number = next_number();
    cudaError_t code = stream_submit(stream, [happened, number] { *happened = {number, now()}; });
    if (code)
        return fail(code);
    event->captured = nullptr;
    event->recorded = true;
    event->at = {stream->id, number};
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    CALL(cudaEventRecord);
    stream = real(stream);
    if (!is_stream(stream) || !events.count(event))
        return fail(cudaErrorInvalidResourceHandle);
    return stream->into ? record_in_capture(event, stream) : record(event, stream);
}

/* External: a node of the graph, which records the event for all who wait outside. */
extern "C" cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags)
{
    CALL(cudaEventRecordWithFlags);
    stream = real(stream);
    if (!is_stream(stream) || !events.count(event))
        return fail(cudaErrorInvalidResourceHandle);
    if (flags == cudaEventRecordDefault)
        return stream->into ? record_in_capture(event, stream) : record(event, stream);
    if (flags != cudaEventRecordExternal || !stream->into)
        return fail(cudaErrorInvalidValue);
    cudaError_t code = stream_submit(stream, nullptr);
    if (!code)
        stream->into->nodes.back().event = event;
    return fail(code);
}

std::function<void()> emulated::event_in_graph(cudaEvent_t event, point launched)
{
    if (!events.count(event))
        return nullptr;
    auto happened = event->happened;
    event->captured = nullptr;
    event->recorded = true;
    event->at = launched;
    return [happened, launched] { *happened = {launched.number, now()}; };
}

static bool has_happened(const CUevent_st *event)
{
    return !event->recorded || event->happened->number >= event->at.number;
}

/* 0, or why nobody may wait for it on the host. */
static cudaError_t check_outside(cudaEvent_t event)
{
    if (!events.count(event))
        return cudaErrorInvalidResourceHandle;
    if (event->captured) {
        if (captures.count(event->captured))
            break_capture(event->captured.get());
        return cudaErrorCapturedEvent;
    }
    return capture_forbids() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    CALL(cudaEventSynchronize);
    if (cudaError_t code = check_outside(event))
        return fail(code);
    if (!has_happened(event) && streams.count(event->at.stream))
        reach(event->at.stream, event->at.number);
    return fail(device_broken());
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event)
{
    CALL(cudaEventQuery);
    if (cudaError_t code = check_outside(event))
        return fail(code);
    auto it = streams.find(event->at.stream);
    if (has_happened(event) || it == streams.end() || it->second->items.empty())
        return cudaSuccess;
    run_first(it->second);
    return fail(device_broken() ? device_broken() : cudaErrorNotReady);
}

extern "C" cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t first, cudaEvent_t second)
{
    CALL(cudaEventElapsedTime);
    if (!milliseconds)
        return fail(cudaErrorInvalidValue);
    for (cudaEvent_t event : {first, second})
        if (!events.count(event) || !event->recorded || event->captured ||
            (event->flags & cudaEventDisableTiming))
            return fail(cudaErrorInvalidResourceHandle);
    if (!has_happened(first) || !has_happened(second))
        return fail(cudaErrorNotReady);
    *milliseconds = (float)(1e3 * (second->happened->seconds - first->happened->seconds));
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    CALL(cudaStreamWaitEvent);
    stream = real(stream);
    if (!is_stream(stream) || !events.count(event))
        return fail(cudaErrorInvalidResourceHandle);
    if (capture *c = event->captured.get()) {
        if (!captures.count(event->captured))
            return fail(cudaErrorCapturedEvent); /* of a capture that has ended */
        if (stream->into && stream->into != c) {
            break_capture(c);
            break_capture(stream->into);
            return fail(cudaErrorStreamCaptureMerge);
        }
        if (stream == &legacy) {
            break_capture(c);
            return fail(cudaErrorStreamCaptureImplicit);
        }
        if (!stream->into)
            stream->frontier.clear();
        stream->into = c;
        c->members.insert(stream);
        stream->frontier.insert(stream->frontier.end(), event->nodes.begin(), event->nodes.end());
        return cudaSuccess;
    }
    if (stream->into) {
        break_capture(stream->into);
        return fail(cudaErrorStreamCaptureIsolation);
    }
    if (!has_happened(event))
        enqueue(stream, nullptr, {event->at});
    return cudaSuccess;
}
