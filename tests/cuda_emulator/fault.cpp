/* The machine as a test wants it, and what every call asks of it first. */
#include "tests/cuda_emulator/faults.h"

#include "tests/cuda_emulator/runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

int held_handles;

static const machine AT_START = {
    1, CUDART_VERSION, 9, 0, (size_t)8 << 30, getenv("HL_EMULATOR_INTEGRATED") != nullptr, true};

machine machine_now = AT_START;
static std::map<std::string, int64_t> calls;
static std::multimap<std::pair<std::string, int64_t>, int> injected; /* (function, its how manieth call) */
static cudaError_t sticky;
static std::recursive_mutex lock;
static thread_local cudaError_t last_error;
static thread_local int device_of_thread;

/* ------------------------------------------------------------------ the state */

bool machine_has_device(int ordinal)
{
    return ordinal >= 0 && ordinal < machine_now.devices;
}

int current_device()
{
    return device_of_thread;
}

void make_current(int ordinal)
{
    device_of_thread = ordinal;
}

void device_break(cudaError_t code)
{
    sticky = code;
}

cudaError_t device_broken()
{
    return sticky;
}

/* ------------------------------------------------------------------ calls */

/* Counts; 0, or what was injected. */
static int count_call(const char *function)
{
    auto it = injected.find({function, ++calls[function]});
    if (it == injected.end())
        return 0;
    int code = it->second;
    injected.erase(it);
    return code;
}

int kernel_fault()
{
    CALL_NAME(kernel);
    return count_call(call_name);
}

call::~call()
{
    lock.unlock();
}

call::call(const char *function, capture_rule rule)
{
    lock.lock();
    code = count_call(function);
    if (code || rule == NO_DEVICE)
        return;
    if (!machine_now.driver)
        code = cudaErrorInsufficientDriver;
    else if (!machine_now.devices)
        code = cudaErrorNoDevice;
    else if (sticky)
        code = sticky;
    else if (rule == CAPTURE_UNSAFE && capture_forbids())
        code = cudaErrorStreamCaptureUnsupported;
}

cudaError_t fail(cudaError_t code)
{
    if (code)
        last_error = code;
    return code;
}

/* ------------------------------------------------------------------ what tests ask for */

extern "C" void hl_fault_reset(void)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now = AT_START;
    calls.clear();
    injected.clear();
    sticky = cudaSuccess;
    last_error = cudaSuccess;
}

/* The names that CALL_NAME made, side by side by the linker. */
extern "C" const char *const __start_hl_call_names[], *const __stop_hl_call_names[];

static void check_name(const char *function)
{
    for (const char *const *name = __start_hl_call_names; name < __stop_hl_call_names; name++)
        if (!strcmp(*name, function))
            return;
    fprintf(stderr, "CUDA emulator: there is no function %s that could fail\n", function);
    abort();
}

extern "C" void hl_fault_inject(const char *function, int nth, int code)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    check_name(function);
    injected.insert({{function, calls[function] + nth}, code});
}

extern "C" int hl_fault_pending(void)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    return (int)injected.size();
}

extern "C" void hl_fault_sticky(int code)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    sticky = (cudaError_t)code;
}

extern "C" void hl_fault_devices(int n)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now.devices = n;
}

extern "C" void hl_fault_driver(int version)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now.driver = version;
}

extern "C" void hl_fault_memory(size_t bytes)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now.memory = bytes;
}

extern "C" void hl_fault_capability(int major, int minor)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now.major = major;
    machine_now.minor = minor;
}

extern "C" void hl_fault_integrated(bool integrated, bool coherent)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now.integrated = integrated;
    machine_now.coherent = coherent;
}

extern "C" int64_t hl_emulated_calls(const char *function)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    check_name(function);
    auto it = calls.find(function);
    return it == calls.end() ? 0 : it->second;
}

extern "C" hl_emulated_held hl_emulated_holding(void)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    hl_emulated_held held = {};
    memory_held(&held.device_bytes, &held.device_blocks, &held.pinned_blocks);
    held.streams = held_streams;
    held.events = held_events;
    held.graphs = held_graphs;
    held.handles = held_handles;
    return held;
}

/* ------------------------------------------------------------------ the last error */

extern "C" cudaError_t cudaGetLastError(void)
{
    cudaError_t code = sticky ? sticky : last_error;
    last_error = cudaSuccess;
    return code;
}

extern "C" cudaError_t cudaPeekAtLastError(void)
{
    return sticky ? sticky : last_error;
}
