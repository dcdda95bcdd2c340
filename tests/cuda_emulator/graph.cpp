/* Capturing streams into graphs, and running those. */
#include "tests/cuda_emulator/grid.h"
#include "tests/cuda_emulator/stream.h"

#include <algorithm>

using namespace emulated;

struct CUgraph_st {
    std::vector<node> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<node>> nodes;
};

int held_graphs;

static std::set<cudaGraph_t> graphs;
static std::set<cudaGraphExec_t> execs;

/* ------------------------------------------------------------------ capture */

void emulated::break_capture(capture *c)
{
    c->broken = true;
}

bool capture_is_active()
{
    for (auto &c : captures)
        break_capture(c.get());
    return !captures.empty();
}

bool capture_forbids()
{
    bool forbids = false;
    for (auto &c : captures) {
        bool own = c->thread == std::this_thread::get_id();
        if (c->mode == cudaStreamCaptureModeGlobal || (c->mode == cudaStreamCaptureModeThreadLocal && own)) {
            break_capture(c.get());
            forbids = true;
        }
    }
    return forbids;
}

void emulated::end_capture(capture *c)
{
    for (cudaStream_t member : c->members)
        member->into = nullptr;
    captures.erase(c->shared_from_this());
}

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    CALL(cudaStreamBeginCapture);
    if (real(stream) == &legacy)
        return fail(cudaErrorStreamCaptureUnsupported);
    if (!is_stream(stream))
        return fail(cudaErrorInvalidResourceHandle);
    if (stream->into)
        return fail(cudaErrorIllegalState);
    auto made = std::make_shared<capture>();
    made->origin = stream;
    made->members = {stream};
    made->mode = mode;
    made->thread = std::this_thread::get_id();
    captures.insert(made);
    stream->into = made.get();
    stream->frontier.clear();
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
    end_capture(c);
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
        size_t k = order_of() == ORDER_FORWARD
                       ? (size_t)(std::min_element(ready.begin(), ready.end()) - ready.begin())
                   : order_of() == ORDER_REVERSE
                       ? (size_t)(std::max_element(ready.begin(), ready.end()) - ready.begin())
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

extern "C" cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph,
                                                     unsigned long long)
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
    auto nodes = std::make_shared<std::vector<node>>(*exec->nodes);
    if (!is_stream(real(stream)))
        return fail(cudaErrorInvalidResourceHandle);
    if (real(stream)->into) /* graphs within graphs are not known here */
        return fail(cudaErrorInvalidValue);
    for (node &n : *nodes)
        if (n.event && !(n.work = event_in_graph(n.event, {real(stream)->id, next_number()})))
            return fail(cudaErrorInvalidResourceHandle);
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
