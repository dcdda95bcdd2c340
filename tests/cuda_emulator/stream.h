/* What streams, events and graphs are made of. Every piece of work has a number, larger for work handed over
 * later, so that "all that this stream had then" is one number. */
#ifndef HL_CUDA_EMULATOR_STREAM_H
#define HL_CUDA_EMULATOR_STREAM_H

#include "tests/cuda_emulator/runtime.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace emulated
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
    cudaEvent_t event = nullptr; /* that it records, instead of work */
};

struct capture : std::enable_shared_from_this<capture> {
    std::vector<node> nodes;
    cudaStream_t origin;
    std::set<cudaStream_t> members;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool broken = false;
};

} // namespace emulated

struct CUstream_st {
    uint64_t id;
    int device;
    unsigned flags;
    int priority;
    std::deque<emulated::item> items;
    uint64_t last; /* number of the newest work */
    emulated::capture *into;
    std::vector<size_t> frontier; /* what the next node comes after */
};

struct CUevent_st {
    unsigned flags;
    bool recorded;
    emulated::point at;
    /* When it happened, and as which recording: shared with the work that will say so. */
    struct moment {
        uint64_t number;
        double seconds;
    };
    std::shared_ptr<moment> happened;
    std::shared_ptr<emulated::capture> captured; /* the last record was for a graph */
    std::vector<size_t> nodes;
};

namespace emulated
{

/* By id; 0 is the legacy stream, which waits for all that are blocking, and they for it. */
extern std::map<uint64_t, cudaStream_t> streams;
extern CUstream_st legacy;
extern std::set<std::shared_ptr<capture>> captures; /* under way */

/* The stream that a handle stands for. */
cudaStream_t real(cudaStream_t stream);
bool is_stream(cudaStream_t stream);

/* Runs the first work of a stream, and what that must come after. */
void run_first(cudaStream_t stream);
/* Brings a stream to a number, with the others as the order says. */
void reach(uint64_t id, uint64_t number);
/* The number that the next work will have. */
uint64_t next_number();
/* work may be empty: then the stream only waits. */
void enqueue(cudaStream_t stream, std::function<void()> work, std::vector<point> after);

void break_capture(capture *c);
/* Lets its streams go. */
void end_capture(capture *c);

/* An event that a graph records, launched as the work of this number: what records it when that runs. Empty
 * if the event is gone. */
std::function<void()> event_in_graph(cudaEvent_t event, point launched);

} // namespace emulated

#endif
