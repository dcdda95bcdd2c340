/* Streams: handing work over, and running it. */
#include "tests/cuda_emulator/stream.h"

#include "tests/cuda_emulator/grid.h"

#include <algorithm>

using namespace emulated;

namespace emulated
{

CUstream_st legacy;
std::map<uint64_t, cudaStream_t> streams = {{0, &legacy}};
std::set<std::shared_ptr<capture>> captures;

} // namespace emulated

int held_streams;

static uint64_t last_id, last_number;

cudaStream_t emulated::real(cudaStream_t stream)
{
    return !stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread ? &legacy : stream;
}

bool emulated::is_stream(cudaStream_t stream)
{
    return std::any_of(streams.begin(), streams.end(), [=](auto &entry) { return entry.second == stream; });
}

static bool is_blocking(const CUstream_st *stream)
{
    return !(stream->flags & cudaStreamNonBlocking);
}

/* ------------------------------------------------------------------ running */

static void advance(uint64_t stream, uint64_t number);

void emulated::run_first(cudaStream_t stream)
{
    item first = std::move(stream->items.front());
    stream->items.pop_front();
    for (const point &p : first.after)
        advance(p.stream, p.number);
    if (device_broken() || !first.work)
        return;
    memory_open();
    first.work();
    memory_close();
}

/* Runs a stream's work up to a number, and what that must come after. */
static void advance(uint64_t id, uint64_t number)
{
    auto it = streams.find(id); /* a stream that is gone had nothing left */
    while (it != streams.end() && !it->second->items.empty() && it->second->items.front().number <= number)
        run_first(it->second);
}

static std::vector<cudaStream_t> pending()
{
    std::vector<cudaStream_t> list;
    for (auto &[id, stream] : streams)
        if (!stream->items.empty())
            list.push_back(stream);
    return list;
}

void emulated::reach(uint64_t id, uint64_t number)
{
    if (pending().empty())
        return;
    memory_open(); /* once for all that will run */
    if (order_of() == ORDER_REVERSE) {
        std::vector<cudaStream_t> others = pending();
        for (auto it = others.rbegin(); it != others.rend(); ++it)
            if ((*it)->id != id)
                advance((*it)->id, UINT64_MAX);
    }
    cudaStream_t target = streams.at(id);
    while (order_of() == ORDER_SHUFFLE && !target->items.empty() && target->items.front().number <= number) {
        std::vector<cudaStream_t> list = pending();
        run_first(list[order_random(list.size())]);
    }
    advance(id, number);
    memory_close();
}

void device_wait()
{
    for (cudaStream_t stream : pending())
        reach(stream->id, UINT64_MAX);
}

cudaError_t stream_wait(cudaStream_t stream)
{
    stream = real(stream);
    reach(stream->id, UINT64_MAX);
    return device_broken();
}

int stream_device(cudaStream_t stream)
{
    return !is_stream(real(stream)) ? -1 : real(stream) == &legacy ? current_device() : stream->device;
}

bool stream_is_capturing(cudaStream_t stream)
{
    return is_stream(real(stream)) && real(stream)->into;
}

/* ------------------------------------------------------------------ handing over */

/* What the legacy stream's rule adds to work of a stream. */
static std::vector<point> implied(const CUstream_st *stream)
{
    std::vector<point> after;
    if (stream == &legacy) {
        for (auto &[id, other] : streams)
            if (other != &legacy && is_blocking(other) && !other->items.empty())
                after.push_back({id, other->last});
    } else if (is_blocking(stream) && !legacy.items.empty()) {
        after.push_back({0, legacy.last});
    }
    return after;
}

uint64_t emulated::next_number()
{
    return last_number + 1;
}

void emulated::enqueue(cudaStream_t stream, std::function<void()> work, std::vector<point> after)
{
    stream->last = ++last_number;
    for (const point &p : implied(stream))
        after.push_back(p);
    stream->items.push_back({stream->last, std::move(work), std::move(after)});
}

cudaError_t stream_submit(cudaStream_t stream, std::function<void()> work)
{
    stream = real(stream);
    if (!is_stream(stream))
        return cudaErrorInvalidResourceHandle;
    if (capture *c = stream->into) {
        if (c->broken)
            return cudaErrorStreamCaptureInvalidated;
        c->nodes.push_back({std::move(work), stream->frontier});
        stream->frontier = {c->nodes.size() - 1};
        return cudaSuccess;
    }
    if (stream == &legacy)
        for (auto &c : captures)
            if (std::any_of(c->members.begin(), c->members.end(), is_blocking)) {
                break_capture(c.get());
                return cudaErrorStreamCaptureImplicit;
            }
    enqueue(stream, std::move(work), {});
    return cudaSuccess;
}

/* ------------------------------------------------------------------ streams */

static cudaError_t create(cudaStream_t *stream, unsigned flags, int priority)
{
    if (!stream || (flags & ~(unsigned)cudaStreamNonBlocking))
        return fail(cudaErrorInvalidValue);
    *stream = new CUstream_st{++last_id, current_device(), flags, priority, {}, 0, nullptr, {}};
    streams[last_id] = *stream;
    held_streams++;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    CALL(cudaStreamCreate);
    return create(stream, cudaStreamDefault, 0);
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    CALL(cudaStreamCreateWithFlags);
    return create(stream, flags, 0);
}

extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    CALL(cudaStreamCreateWithPriority);
    return create(stream, flags, priority);
}

extern "C" cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    CALL(cudaDeviceGetStreamPriorityRange);
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

/* For a stream that goes away: its capture cannot succeed any more. */
static void leave_capture(cudaStream_t stream)
{
    capture *c = stream->into;
    if (!c)
        return;
    break_capture(c);
    c->members.erase(stream);
    if (c->origin == stream)
        end_capture(c);
}

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    CALL(cudaStreamDestroy);
    if (!is_stream(stream) || stream == &legacy)
        return fail(cudaErrorInvalidResourceHandle);
    leave_capture(stream);
    advance(stream->id, UINT64_MAX); /* what it was handed still happens */
    streams.erase(stream->id);
    delete stream;
    held_streams--;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    CALL(cudaStreamSynchronize);
    if (!is_stream(real(stream)))
        return fail(cudaErrorInvalidResourceHandle);
    if (real(stream)->into)
        break_capture(real(stream)->into);
    if (real(stream)->into || capture_forbids())
        return fail(cudaErrorStreamCaptureUnsupported);
    return fail(stream_wait(stream));
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    CALL(cudaStreamQuery);
    stream = real(stream);
    if (!is_stream(stream))
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->into) {
        break_capture(stream->into);
        return fail(cudaErrorStreamCaptureUnsupported);
    }
    if (stream->items.empty())
        return fail(device_broken());
    run_first(stream); /* so that asking again and again comes to an end */
    return fail(cudaErrorNotReady);
}

extern "C" cudaError_t cudaDeviceSynchronize(void)
{
    CALL(cudaDeviceSynchronize);
    if (capture_is_active()) /* whosever it is: it is part of the device's work */
        return fail(cudaErrorStreamCaptureUnsupported);
    device_wait();
    return fail(device_broken());
}

extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    CALL(cudaLaunchHostFunc);
    return fail(stream_submit(stream, [function, data] { function(data); }));
}
