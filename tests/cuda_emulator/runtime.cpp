/* Calls, errors, faults, devices, launches. */
#include "tests/cuda_emulator/runtime.h"

#include "tests/cuda_emulator/faults.h"
#include "tests/cuda_emulator/grid.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

/* ------------------------------------------------------------------ the machine, and its faults */

static const struct machine {
    int devices, driver, major, minor;
    size_t memory;
} AT_START = {1, CUDART_VERSION, 9, 0, (size_t)8 << 30};

static machine machine_now = AT_START;
static std::map<std::string, int64_t> calls;
static std::multimap<std::pair<std::string, int64_t>, int> injected; /* (function, its how manieth call) */
static cudaError_t sticky;
static std::recursive_mutex lock;
static thread_local cudaError_t last_error;
static thread_local int device_of_thread;

bool machine_has_device(int ordinal)
{
    return ordinal >= 0 && ordinal < machine_now.devices;
}

size_t machine_memory()
{
    return machine_now.memory;
}

int current_device()
{
    return device_of_thread;
}

void device_break(cudaError_t code)
{
    sticky = code;
}

cudaError_t device_broken()
{
    return sticky;
}

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

extern "C" void hl_fault_reset(void)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    machine_now = AT_START;
    calls.clear();
    injected.clear();
    sticky = cudaSuccess;
    last_error = cudaSuccess;
}

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

/* ------------------------------------------------------------------ errors */

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

static const struct {
    cudaError_t code;
    const char *name, *text;
} errors[] = {
#define ERROR(code, text) {code, #code, text}
    ERROR(cudaSuccess, "no error"),
    ERROR(cudaErrorInvalidValue, "invalid argument"),
    ERROR(cudaErrorMemoryAllocation, "out of memory"),
    ERROR(cudaErrorInitializationError, "initialization error"),
    ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    ERROR(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version"),
    ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    ERROR(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    ERROR(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ERROR(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    ERROR(cudaErrorNotReady, "device not ready"),
    ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    ERROR(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    ERROR(cudaErrorNotSupported, "operation not supported"),
    ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    ERROR(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"),
    ERROR(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences"),
    ERROR(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    ERROR(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    ERROR(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream"),
    ERROR(cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream"),
    ERROR(cudaErrorStreamCaptureWrongThread,
          "attempt to terminate a thread-local capture sequence from another thread"),
    ERROR(cudaErrorUnknown, "unknown error"),
#undef ERROR
};

extern "C" const char *cudaGetErrorName(cudaError_t code)
{
    for (auto &e : errors)
        if (e.code == code)
            return e.name;
    return "unrecognized error code";
}

extern "C" const char *cudaGetErrorString(cudaError_t code)
{
    for (auto &e : errors)
        if (e.code == code)
            return e.text;
    return "unrecognized error code";
}

/* ------------------------------------------------------------------ devices */

extern "C" cudaError_t cudaDriverGetVersion(int *version)
{
    CALL(cudaDriverGetVersion, NO_DEVICE);
    *version = machine_now.driver;
    return cudaSuccess;
}

extern "C" cudaError_t cudaRuntimeGetVersion(int *version)
{
    CALL(cudaRuntimeGetVersion, NO_DEVICE);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 0;
    CALL(cudaGetDeviceCount);
    *n = machine_now.devices;
    return cudaSuccess;
}

extern "C" cudaError_t cudaSetDevice(int ordinal)
{
    CALL(cudaSetDevice);
    if (!machine_has_device(ordinal))
        return fail(cudaErrorInvalidDevice);
    device_of_thread = ordinal;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDevice(int *ordinal)
{
    CALL(cudaGetDevice);
    *ordinal = device_of_thread;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceReset(void)
{
    CALL(cudaDeviceReset, CAPTURE_UNSAFE);
    device_wait();
    return cudaSuccess;
}

/* As an H100 has them. */
enum { THREADS_PER_BLOCK = 1024, SHARED_BYTES = 48 << 10, SHARED_BYTES_OPTIN = 227 << 10, PROCESSORS = 132 };
static const int GRID_X = 2147483647, GRID_YZ = 65535;

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int ordinal)
{
    CALL(cudaGetDeviceProperties);
    if (!machine_has_device(ordinal))
        return fail(cudaErrorInvalidDevice);
    *p = {};
    snprintf(p->name, sizeof p->name, "Emulated CUDA device");
    p->totalGlobalMem = machine_now.memory;
    p->sharedMemPerBlock = SHARED_BYTES;
    p->sharedMemPerBlockOptin = SHARED_BYTES_OPTIN;
    p->sharedMemPerMultiprocessor = SHARED_BYTES_OPTIN + 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = THREADS_PER_BLOCK;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = GRID_X;
    p->maxGridSize[1] = p->maxGridSize[2] = GRID_YZ;
    p->major = machine_now.major;
    p->minor = machine_now.minor;
    p->multiProcessorCount = PROCESSORS;
    p->textureAlignment = 512;
    p->l2CacheSize = 50 << 20;
    p->memoryBusWidth = 5120;
    p->concurrentKernels = p->unifiedAddressing = p->canMapHostMemory = 1;
    p->asyncEngineCount = 3;
    p->pciBusID = ordinal + 1;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int ordinal)
{
    CALL(cudaDeviceGetAttribute);
    if (!machine_has_device(ordinal))
        return fail(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = machine_now.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = machine_now.minor; break;
    case cudaDevAttrMultiProcessorCount: *value = PROCESSORS; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = THREADS_PER_BLOCK; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = SHARED_BYTES; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SHARED_BYTES_OPTIN; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrClockRate: *value = 1980000; break;
    case cudaDevAttrMemoryClockRate: *value = 2619000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 5120; break;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrConcurrentKernels: *value = 1; break;
    case cudaDevAttrAsyncEngineCount: *value = 3; break;
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrIntegrated:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrComputeMode: *value = 0; break;
    default: return fail(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

/* ------------------------------------------------------------------ launches */

static std::map<const void *, int> shared_allowed;

extern "C" cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    CALL(cudaFuncSetAttribute);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > SHARED_BYTES_OPTIN)
        return fail(cudaErrorInvalidValue);
    shared_allowed[function] = value;
    return cudaSuccess;
}

static void run_kernel(const hl_emulated_kernel &kernel)
{
    if (device_broken())
        return;
    if (int code = kernel_fault())
        return device_break((cudaError_t)code);
    for (size_t i = 0; i < kernel.pointers.size(); i++) {
        size_t room;
        if (kernel.pointers[i] && memory_place(kernel.pointers[i], &room) == PLACE_HOST) {
            fprintf(stderr, "CUDA emulator: pointer argument %zu of a kernel is %p, which is no memory of the device\n",
                    i, kernel.pointers[i]);
            return device_break(cudaErrorIllegalAddress);
        }
    }
    grid_run(kernel);
}

void hl_emulated_submit(hl_emulated_kernel kernel, cudaStream_t stream)
{
    CALL_NAME(cudaLaunchKernel);
    call entered(call_name);
    const dim3 &g = kernel.grid, &b = kernel.block;
    if (entered.code) {
        fail((cudaError_t)entered.code);
        return;
    }
    auto allowed = shared_allowed.find(kernel.function);
    size_t most = SHARED_BYTES;
    if (allowed != shared_allowed.end() && allowed->second > SHARED_BYTES)
        most = (size_t)allowed->second;
    uint64_t threads = (uint64_t)b.x * b.y * b.z;
    if (!g.x || !g.y || !g.z || g.x > (unsigned)GRID_X || g.y > (unsigned)GRID_YZ || g.z > (unsigned)GRID_YZ ||
        !threads || threads > THREADS_PER_BLOCK || b.z > 64)
        fail(cudaErrorInvalidConfiguration);
    else if (kernel.shared > most)
        fail(cudaErrorInvalidValue);
    else
        fail(stream_submit(stream, [kernel] { run_kernel(kernel); }));
}
