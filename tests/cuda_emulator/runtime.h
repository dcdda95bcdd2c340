/* What the parts of the emulated runtime share. All of it is behind one lock, which a `call` holds. */
#ifndef HL_CUDA_EMULATOR_RUNTIME_H
#define HL_CUDA_EMULATOR_RUNTIME_H

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>

/* ------------------------------------------------------------------ a call of an API function */

/* Whether a call may be made while a stream is being captured. */
enum capture_rule {
    CAPTURE_SAFE,
    CAPTURE_UNSAFE, /* it might wait: fails and invalidates the captures that forbid it to this thread */
    NO_DEVICE,      /* the call has nothing to do with devices: it fails only where a test says so */
};

/* Lives as long as an API function runs: holds the lock, counts, and knows whether the call must fail. */
struct call {
    int code; /* 0, or what to return instead of doing anything */
    explicit call(const char *function, capture_rule rule = CAPTURE_SAFE);
    ~call();
    call(const call &) = delete;
};

/* Remembers it for cudaGetLastError, and returns it. */
cudaError_t fail(cudaError_t code);

/* Makes the name one that faults can be injected into: all of them lie side by side. */
#define CALL_NAME(function)                                                                                  \
    static const char *const call_name __attribute__((section("hl_call_names"), used)) = #function

#define CALL(function, ...)                                                                                  \
    CALL_NAME(function);                                                                                     \
    call entered(call_name __VA_OPT__(, ) __VA_ARGS__);                                                      \
    if (entered.code)                                                                                        \
    return fail((cudaError_t)entered.code)

/* For libraries, whose functions fail with codes of their own. */
#define LIBRARY_CALL(function, status)                                                                       \
    CALL_NAME(function);                                                                                     \
    call entered(call_name, NO_DEVICE);                                                                      \
    if (entered.code)                                                                                        \
    return (status)entered.code

/* ------------------------------------------------------------------ memory (memory.cpp) */

enum place { PLACE_HOST, PLACE_PINNED, PLACE_DEVICE };

/* Where p lies, and how many bytes there are from p to the end of its allocation (host: SIZE_MAX). */
place memory_place(const void *p, size_t *room);
/* True: the device can reach all of it (or it is nothing): memory of a device, or page-locked. */
bool memory_is_mapped(const void *p, size_t bytes);
/* Whether a kernel on this device may be handed p: NULL, or to memory of the device, or pinned. */
bool memory_is_reachable(const void *p, int device);
/* The device's memory can be touched only between these, so that a host that reads it faults. */
void memory_open();
void memory_close();

/* ------------------------------------------------------------------ streams (stream.cpp)
 * Work is queued and runs when somebody waits for it: what nobody waited for has not happened.
 *   forward: only what is waited for runs, and other streams only as far as its events ask
 *   reverse: all other streams run first, as far as they can
 *   shuffle: at random */

/* Hands work to a stream: queued, or a node of the graph that is being captured. */
cudaError_t stream_submit(cudaStream_t stream, std::function<void()> work);
cudaError_t stream_wait(cudaStream_t stream);
bool stream_is_capturing(cudaStream_t stream);
/* -1: no such stream. The legacy stream is every device's. */
int stream_device(cudaStream_t stream);
void device_wait();
/* Breaks all captures that forbid this thread an unsafe call; true if there was one. */
bool capture_forbids();
/* Breaks all captures; true if there was one. */
bool capture_is_active();

/* ------------------------------------------------------------------ the machine (fault.cpp) */

struct machine {
    int devices, driver, major, minor;
    size_t memory; /* of each device */
    bool integrated, coherent;
};
extern machine machine_now;

/* The calling thread's device. */
int current_device();
void make_current(int ordinal);
bool machine_has_device(int ordinal);

/* Sets the error that sticks; what is queued will not run. */
void device_break(cudaError_t code);
cudaError_t device_broken();
/* Counts a kernel and tells what was injected for it. */
int kernel_fault();

/* Objects that are held, for hl_emulated_holding. */
extern int held_streams, held_events, held_graphs, held_handles;
void memory_held(size_t *bytes, int *blocks, int *pinned);

#endif
