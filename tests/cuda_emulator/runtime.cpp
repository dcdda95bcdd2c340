/* Errors' names, devices, launches. */
#include "tests/cuda_emulator/runtime.h"

#include "tests/cuda_emulator/grid.h"

#include <cstdio>
#include <map>

/* ------------------------------------------------------------------ errors */

static const struct {
    cudaError_t code;
    const char *name, *text;
} errors[] = {
#define ERROR(code, text)                                                                                    \
    {                                                                                                        \
        code, #code, text                                                                                    \
    }
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
    ERROR(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
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
    make_current(ordinal);
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDevice(int *ordinal)
{
    CALL(cudaGetDevice);
    *ordinal = current_device();
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
    p->integrated = machine_now.integrated;
    p->hostRegisterSupported = machine_now.coherent;
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
    case cudaDevAttrComputeCapabilityMajor:
        *value = machine_now.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = machine_now.minor;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = PROCESSORS;
        break;
    case cudaDevAttrMaxThreadsPerBlock:
        *value = THREADS_PER_BLOCK;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = SHARED_BYTES;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = SHARED_BYTES_OPTIN;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = 2048;
        break;
    case cudaDevAttrWarpSize:
        *value = 32;
        break;
    case cudaDevAttrClockRate:
        *value = 1980000;
        break;
    case cudaDevAttrMemoryClockRate:
        *value = 2619000;
        break;
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = 5120;
        break;
    case cudaDevAttrL2CacheSize:
        *value = 50 << 20;
        break;
    case cudaDevAttrUnifiedAddressing:
        *value = 1;
        break;
    case cudaDevAttrConcurrentKernels:
        *value = 1;
        break;
    case cudaDevAttrAsyncEngineCount:
        *value = 3;
        break;
    case cudaDevAttrIntegrated:
        *value = machine_now.integrated;
        break;
    case cudaDevAttrHostRegisterSupported:
        *value = machine_now.coherent;
        break;
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrComputeMode:
        *value = 0;
        break;
    default:
        return fail(cudaErrorInvalidValue);
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

/* What the kernel is handed must be the device's. */
static bool check_arguments(const hl_emulated_kernel &kernel, int device)
{
    for (const void *p : kernel.pointers)
        if (!memory_is_reachable(p, device)) {
            fprintf(stderr,
                    "CUDA emulator: a kernel is handed the pointer %p, which is not to memory of device %d\n",
                    p, device);
            return false;
        }
    return true;
}

static void run_kernel(const hl_emulated_kernel &kernel, int device)
{
    if (device_broken())
        return;
    if (int code = kernel_fault())
        return device_break((cudaError_t)code);
    if (!check_arguments(kernel, device))
        return device_break(cudaErrorIllegalAddress);
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
    if (!g.x || !g.y || !g.z || g.x > (unsigned)GRID_X || g.y > (unsigned)GRID_YZ ||
        g.z > (unsigned)GRID_YZ || !threads || threads > THREADS_PER_BLOCK || b.z > 64)
        fail(cudaErrorInvalidConfiguration);
    else if (kernel.shared > most)
        fail(cudaErrorInvalidValue);
    else if (stream_device(stream) != current_device())
        fail(cudaErrorInvalidResourceHandle);
    else
        fail(stream_submit(stream, [kernel, device = current_device()] { run_kernel(kernel, device); }));
}
