/* Streams, events and graphs. Every piece of work has a number, larger for work handed over later, so that "all
 * that this stream had then" is one number. */
#include "tests/cuda_emulator/grid.h"
#include "tests/cuda_emulator/runtime.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>

namespace
{

/* A point in a stream: the work up to this number. */
struct point {
    uint64_t stream, number;
};

struct item {
    uint64_t number;
    std::function<void()> work;
    std::vector<point> after; /* in other streams */
};

struct node {
    std::function<void()> work;
    std::vector<size_t> after;
};

struct capture {
    std::vector<node> nodes;
    cudaStream_t origin;
    std::set<cudaStream_t> members;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool broken;
};

} // namespace

struct CUstream_st {
    uint64_t id;
    unsigned flags;
    int priority;
    std::deque<item> items;
    uint64_t last; /* number of the newest work */
    capture *into;
    std::vector<size_t> frontier; /* what the next node comes after */
};

struct CUevent_st {
    unsigned flags;
    bool recorded;
    point at;
    /* When it happened, and as which recording: shared with the work that will say so. */
    struct moment {
        uint64_t number;
        double seconds;
    };
    std::shared_ptr<moment> happened;
    capture *captured; /* recorded while capturing, last */
    std::vector<size_t> nodes;
};

struct CUgraph_st {
    std::vector<node> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<node>> nodes;
};

int held_streams, held_events, held_graphs, held_handles;

static CUstream_st legacy; /* id 0: the stream that waits for all, and all for it */
static std::map<uint64_t, cudaStream_t> streams = {{0, &legacy}};
static std::set<cudaEvent_t> events;
static std::set<cudaGraph_t> graphs;
static std::set<cudaGraphExec_t> execs;
static std::set<capture *> captures;
static uint64_t last_id, last_number;
static double held_call_time;

static double now()
{
    (void)held_call_time;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static cudaStream_t real(cudaStream_t stream)
{
    return !stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread ? &legacy : stream;
}

static bool is_stream(cudaStream_t stream)
{
    return std::any_of(streams.begin(), streams.end(), [=](auto &entry) { return entry.second == stream; });
}

static bool is_blocking(const CUstream_st *stream)
{
    return !(stream->flags & cudaStreamNonBlocking);
}

/* ------------------------------------------------------------------ running */

static void advance(uint64_t stream, uint64_t number);

static void run_first(cudaStream_t stream)
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

/* Brings a stream to a number, with the others as the order says. */
static void reach(uint64_t id, uint64_t number)
{
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

static void enqueue(cudaStream_t stream, std::function<void()> work, std::vector<point> after)
{
    stream->last = ++last_number;
    for (const point &p : implied(stream))
        after.push_back(p);
    stream->items.push_back({stream->last, std::move(work), std::move(after)});
}

static void break_capture(capture *c)
{
    c->broken = true;
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
        for (capture *c : captures)
            if (std::any_of(c->members.begin(), c->members.end(), is_blocking)) {
                break_capture(c);
                return cudaErrorStreamCaptureImplicit;
            }
    enqueue(stream, std::move(work), {});
    return cudaSuccess;
}

bool capture_forbids()
{
    bool forbids = false;
    for (capture *c : captures) {
        bool own = c->thread == std::this_thread::get_id();
        if (c->mode == cudaStreamCaptureModeGlobal || (c->mode == cudaStreamCaptureModeThreadLocal && own)) {
            break_capture(c);
            forbids = true;
        }
    }
    return forbids;
}

/* ------------------------------------------------------------------ streams */

static cudaError_t create(cudaStream_t *stream, unsigned flags, int priority)
{
    if (!stream || (flags & ~(unsigned)cudaStreamNonBlocking))
        return fail(cudaErrorInvalidValue);
    *stream = new CUstream_st{++last_id, flags, priority, {}, 0, nullptr, {}};
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

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    CALL(cudaStreamDestroy);
    if (!is_stream(stream) || stream == &legacy)
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->into)
        break_capture(stream->into), stream->into->members.erase(stream);
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
    return cudaErrorNotReady;
}

extern "C" cudaError_t cudaDeviceSynchronize(void)
{
    CALL(cudaDeviceSynchronize, CAPTURE_UNSAFE);
    device_wait();
    return fail(device_broken());
}

extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
    CALL(cudaLaunchHostFunc);
    return fail(stream_submit(stream, [function, data] { function(data); }));
}

/* ------------------------------------------------------------------ events */

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

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    CALL(cudaEventRecord);
    stream = real(stream);
    if (!is_stream(stream) || !events.count(event))
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->into) {
        if (stream->into->broken)
            return fail(cudaErrorStreamCaptureInvalidated);
        event->captured = stream->into;
        event->nodes = stream->frontier;
        return cudaSuccess;
    }
    auto happened = event->happened;
    uint64_t number = last_number + 1;
    cudaError_t code = stream_submit(stream, [happened, number] { *happened = {number, now()}; });
    if (code)
        return fail(code);
    event->captured = nullptr;
    event->recorded = true;
    event->at = {stream->id, number};
    return cudaSuccess;
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
            break_capture(event->captured);
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
    if (has_happened(event) || !streams.count(event->at.stream))
        return cudaSuccess;
    run_first(streams.at(event->at.stream));
    return device_broken() ? fail(device_broken()) : cudaErrorNotReady;
}

extern "C" cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t first, cudaEvent_t second)
{
    CALL(cudaEventElapsedTime);
    if (!milliseconds)
        return fail(cudaErrorInvalidValue);
    for (cudaEvent_t event : {first, second})
        if (!events.count(event) || !event->recorded || event->captured || (event->flags & cudaEventDisableTiming))
            return fail(cudaErrorInvalidResourceHandle);
    if (!has_happened(first) || !has_happened(second))
        return cudaErrorNotReady;
    *milliseconds = (float)(1e3 * (second->happened->seconds - first->happened->seconds));
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    CALL(cudaStreamWaitEvent);
    stream = real(stream);
    if (!is_stream(stream) || !events.count(event))
        return fail(cudaErrorInvalidResourceHandle);
    if (capture *c = event->captured) {
        if (!captures.count(c))
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

/* ------------------------------------------------------------------ capture */

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    CALL(cudaStreamBeginCapture);
    if (real(stream) == &legacy)
        return fail(cudaErrorStreamCaptureUnsupported);
    if (!is_stream(stream))
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->into)
        return fail(cudaErrorIllegalState);
    stream->into = new capture{{}, stream, {stream}, mode, std::this_thread::get_id(), false};
    stream->frontier.clear();
    captures.insert(stream->into);
    return cudaSuccess;
}

/* Every node comes before the end of the origin's stream. */
static bool is_joined(const capture *c)
{
    std::vector<bool> before(c->nodes.size());
    for (size_t i : c->origin->frontier)
        before[i] = true;
    for (size_t i = c->nodes.size(); i-- > 0;)
        for (size_t j : c->nodes[i].after)
            before[j] = before[j] || before[i];
    return std::all_of(before.begin(), before.end(), [](bool b) { return b; });
}

extern "C" cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    CALL(cudaStreamEndCapture);
    if (graph)
        *graph = nullptr;
    if (!is_stream(real(stream)) || !graph)
        return fail(cudaErrorInvalidValue);
    capture *c = real(stream)->into;
    if (!c)
        return fail(cudaErrorIllegalState);
    if (c->origin != stream) {
        break_capture(c);
        return fail(cudaErrorStreamCaptureUnmatched);
    }
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
        return fail(cudaErrorStreamCaptureWrongThread);
    cudaError_t code = c->broken       ? cudaErrorStreamCaptureInvalidated
                       : !is_joined(c) ? cudaErrorStreamCaptureUnjoined
                                       : cudaSuccess;
    if (!code) {
        *graph = new CUgraph_st{c->nodes};
        graphs.insert(*graph);
        held_graphs++;
    }
    for (cudaStream_t member : c->members)
        member->into = nullptr;
    captures.erase(c);
    delete c;
    return fail(code);
}

extern "C" cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    CALL(cudaStreamIsCapturing);
    if (!is_stream(real(stream)) || !status)
        return fail(cudaErrorInvalidValue);
    const capture *c = real(stream)->into;
    *status = !c          ? cudaStreamCaptureStatusNone
              : c->broken ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

/* ------------------------------------------------------------------ graphs */

/* Runs the nodes in an order that their edges allow. */
static void run_graph(const std::vector<node> &nodes)
{
    std::vector<size_t> missing(nodes.size()), ready;
    std::vector<std::vector<size_t>> before(nodes.size());
    for (size_t i = 0; i < nodes.size(); i++) {
        missing[i] = nodes[i].after.size();
        for (size_t j : nodes[i].after)
            before[j].push_back(i);
        if (!missing[i])
            ready.push_back(i);
    }
    while (!ready.empty() && !device_broken()) {
        size_t k = order_of() == ORDER_FORWARD   ? (size_t)(std::min_element(ready.begin(), ready.end()) - ready.begin())
                   : order_of() == ORDER_REVERSE ? (size_t)(std::max_element(ready.begin(), ready.end()) - ready.begin())
                                                 : order_random(ready.size());
        size_t i = ready[k];
        ready.erase(ready.begin() + (ptrdiff_t)k);
        nodes[i].work();
        for (size_t j : before[i])
            if (--missing[j] == 0)
                ready.push_back(j);
    }
}

static cudaError_t instantiate(cudaGraphExec_t *exec, cudaGraph_t graph)
{
    if (!exec || !graphs.count(graph))
        return fail(cudaErrorInvalidValue);
    *exec = new CUgraphExec_st{std::make_shared<const std::vector<node>>(graph->nodes)};
    execs.insert(*exec);
    held_graphs++;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    CALL(cudaGraphInstantiate);
    return instantiate(exec, graph);
}

extern "C" cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    CALL(cudaGraphInstantiateWithFlags);
    return instantiate(exec, graph);
}

extern "C" cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    CALL(cudaGraphUpload);
    return fail(execs.count(exec) && is_stream(real(stream)) ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    CALL(cudaGraphLaunch);
    if (!execs.count(exec))
        return fail(cudaErrorInvalidValue);
    auto nodes = exec->nodes;
    return fail(stream_submit(stream, [nodes] { run_graph(*nodes); }));
}

extern "C" cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *list, size_t *n)
{
    CALL(cudaGraphGetNodes);
    if (!graphs.count(graph) || !n || list) /* only their number is known here */
        return fail(cudaErrorInvalidValue);
    *n = graph->nodes.size();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    CALL(cudaGraphDestroy);
    if (!graphs.erase(graph))
        return fail(cudaErrorInvalidValue);
    delete graph;
    held_graphs--;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    CALL(cudaGraphExecDestroy);
    if (!execs.erase(exec))
        return fail(cudaErrorInvalidValue);
    delete exec;
    held_graphs--;
    return cudaSuccess;
}
