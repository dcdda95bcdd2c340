/* GPUs: what there is, opening, memory; and the backend's table. */
#include "kernels/cuda/common.cuh"

#include "base/memory.h"

#include <stdio.h>

/* ------------------------------------------------------------------ errors */

/* A failure that is not of the work but of the machine: nothing can ever run there. */
static bool is_absence(cudaError_t code)
{
    return code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver ||
           code == cudaErrorNoKernelImageForDevice;
}

hl_status hl_cuda_check(cudaError_t code, const char *what, hl_error *err)
{
    if (code == cudaSuccess)
        return HL_OK;
    (void)cudaGetLastError(); /* CUDA would tell the next one who asks once more */
    hl_status status = code == cudaErrorMemoryAllocation ? HL_ERR_MEMORY
                       : is_absence(code)                ? HL_ERR_UNSUPPORTED
                                                         : HL_ERR_DEVICE;
    return hl_fail(err, status, "%s: %s (%s)", what, cudaGetErrorString(code), cudaGetErrorName(code));
}

/* An absent operand has no elements. */
bool hl_cuda_one_dtype(const hl_call *call)
{
    hl_dtype dtype = call->out[0].dtype;
    for (int k = 0; k < call->n_in; k++)
        if (call->in[k].count && call->in[k].dtype != dtype)
            return false;
    for (int k = 1; k < call->n_out; k++)
        if (call->out[k].count && call->out[k].dtype != dtype)
            return false;
    return true;
}

/* ------------------------------------------------------------------ which there are */

static hl_status device_count(int *n, hl_error *err)
{
    *n = 0;
    return hl_cuda_check(cudaGetDeviceCount(n), "looking for GPUs", err);
}

/* 13020 is "13.2" */
static void print_version(char *text, size_t size, int version)
{
    snprintf(text, size, "%d.%d", version / 1000, version % 1000 / 10);
}

static hl_status known(int ordinal, hl_error *err)
{
    int n;
    hl_status status = device_count(&n, err);
    if (status == HL_OK && (ordinal < 0 || ordinal >= n))
        return hl_fail(err, HL_ERR_UNSUPPORTED,
                       "cuda:%d: there is no such GPU, %d can be used (from cuda:0 on)", ordinal, n);
    return status;
}

static hl_status device_describe(int ordinal, hl_device_info *info, hl_error *err)
{
    cudaDeviceProp properties;
    int driver = 0, runtime = 0;
    *info = hl_device_info{};
    hl_status status = known(ordinal, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaGetDeviceProperties(&properties, ordinal), "describing a GPU", err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaSetDevice(ordinal), "describing a GPU", err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaMemGetInfo(&info->free, &info->memory), "asking for a GPU's memory", err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaDriverGetVersion(&driver), "asking for the driver's version", err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaRuntimeGetVersion(&runtime), "asking for CUDA's version", err);
    if (status != HL_OK)
        return status;
    snprintf(info->device, sizeof info->device, "cuda:%d", ordinal);
    snprintf(info->name, sizeof info->name, "%.*s", (int)sizeof info->name - 1, properties.name);
    info->major = properties.major;
    info->minor = properties.minor;
    info->processors = properties.multiProcessorCount;
    print_version(info->driver, sizeof info->driver, driver);
    print_version(info->runtime, sizeof info->runtime, runtime);
    return HL_OK;
}

/* ------------------------------------------------------------------ opening */

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static hl_device *open_devices;

/* Whether kernels read and write the host's memory where it lies at no cost: a GPU with memory of its own
 * would go through a bus for each value, and a Tegra before Xavier has the host read page-locked memory past
 * its caches. Only what is coherent can register memory. */
static hl_status find_shares(hl_device *device, hl_error *err)
{
    const char *what = "asking whose memory a GPU has";
    int integrated = 0, coherent = 0;
    hl_status status = hl_cuda_check(
        cudaDeviceGetAttribute(&integrated, cudaDevAttrIntegrated, device->ordinal), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(
            cudaDeviceGetAttribute(&coherent, cudaDevAttrHostRegisterSupported, device->ordinal), what, err);
    device->shares = integrated && coherent;
    return status;
}

static void free_device(hl_device *device)
{
    (void)cudaSetDevice(device->ordinal);
    hl_cuda_conv_close(device);
    hl_cuda_matmul_close(device);
    pthread_mutex_destroy(&device->lock);
    hl_free(device);
}

static hl_status new_device(int ordinal, hl_device **device, hl_error *err)
{
    hl_status status = known(ordinal, err);
    if (status != HL_OK)
        return status;
    hl_device *d = static_cast<hl_device *>(hl_alloc(1, sizeof *d));
    if (!d)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to open cuda:%d", ordinal);
    d->ordinal = ordinal;
    pthread_mutex_init(&d->lock, NULL);
    status = hl_cuda_check(cudaSetDevice(ordinal), "opening a GPU", err);
    if (status == HL_OK)
        status = find_shares(d, err);
    if (status == HL_OK)
        status = hl_cuda_matmul_open(d, err);
    if (status != HL_OK) {
        free_device(d);
        return status;
    }
    d->next = open_devices;
    open_devices = *device = d;
    return HL_OK;
}

static hl_status device_open(int ordinal, hl_device **device, hl_error *err)
{
    hl_status status = HL_OK;
    pthread_mutex_lock(&opening);
    hl_device *d = open_devices;
    while (d && d->ordinal != ordinal)
        d = d->next;
    if (!d)
        status = new_device(ordinal, &d, err);
    if (status == HL_OK) {
        d->opened++;
        *device = d;
    }
    pthread_mutex_unlock(&opening);
    return status;
}

static void device_close(hl_device *device)
{
    if (!device)
        return;
    pthread_mutex_lock(&opening);
    if (--device->opened == 0) {
        hl_device **link = &open_devices;
        while (*link != device)
            link = &(*link)->next;
        *link = device->next;
        free_device(device);
    }
    pthread_mutex_unlock(&opening);
}

/* ------------------------------------------------------------------ memory */

static hl_status device_allocate(hl_device *device, size_t bytes, void **memory, hl_error *err)
{
    *memory = NULL;
    hl_status status = hl_cuda_check(cudaSetDevice(device->ordinal), "allocating memory", err);
    if (status != HL_OK || !bytes)
        return status;
    cudaError_t code = cudaMalloc(memory, bytes);
    if (code != cudaErrorMemoryAllocation)
        return hl_cuda_check(code, "allocating memory", err);
    size_t free = 0, total = 0;
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&free, &total);
    return hl_fail(err, HL_ERR_MEMORY,
                   "cuda:%d has no memory for %zu bytes: %zu of its %zu are free; a smaller batch needs less "
                   "(see hl plan)",
                   device->ordinal, bytes, free, total);
}

static void device_release(hl_device *device, void *memory)
{
    (void)cudaSetDevice(device->ordinal);
    (void)cudaFree(memory);
}

/* One address for both: unified addressing, as in every process of 64 bits. */
static hl_status device_share(hl_device *device, size_t bytes, void **memory, hl_error *err)
{
    *memory = NULL;
    if (!device->shares || !bytes)
        return HL_OK;
    hl_status status = hl_cuda_check(cudaSetDevice(device->ordinal), "sharing memory", err);
    if (status != HL_OK)
        return status;
    cudaError_t code = cudaHostAlloc(memory, bytes, cudaHostAllocMapped);
    if (code == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %zu bytes that the host and cuda:%d share", bytes,
                       device->ordinal);
    }
    return hl_cuda_check(code, "sharing memory", err);
}

static void device_unshare(hl_device *device, void *memory)
{
    (void)cudaSetDevice(device->ordinal);
    (void)cudaFreeHost(memory);
}

/* The default stream, which copies here, and the queues do not wait for each other, and a copy from pageable
 * memory may return before it is done: hence both are waited for. */
static hl_status copy_in_turn(hl_device *device, void *to, const void *from, size_t bytes,
                              cudaMemcpyKind kind, const char *what, hl_error *err)
{
    if (!bytes)
        return HL_OK;
    hl_status status = hl_cuda_check(cudaSetDevice(device->ordinal), what, err);
    if (status == HL_OK)
        status = hl_cuda_settle(device, what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaMemcpy(to, from, bytes, kind), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaStreamSynchronize(cudaStreamLegacy), what, err);
    return status;
}

static hl_status device_upload(hl_device *device, void *to, const void *from, size_t bytes, hl_error *err)
{
    return copy_in_turn(device, to, from, bytes, cudaMemcpyHostToDevice, "copying to the GPU", err);
}

static hl_status device_download(hl_device *device, void *to, const void *from, size_t bytes, hl_error *err)
{
    return copy_in_turn(device, to, from, bytes, cudaMemcpyDeviceToHost, "copying from the GPU", err);
}

/* ------------------------------------------------------------------ the backend */

extern "C" {
#define HL_KERNEL(name) extern const hl_kernel hl_cuda_##name;
#include "kernels/cuda/kernels.def"
#undef HL_KERNEL
}

#define HL_KERNEL(name) &hl_cuda_##name,
static const hl_kernel *const kernels[] = {
#include "kernels/cuda/kernels.def"
};
#undef HL_KERNEL

static const hl_device_table table = {.count = device_count,
                                      .describe = device_describe,
                                      .open = device_open,
                                      .close = device_close,
                                      .allocate = device_allocate,
                                      .release = device_release,
                                      .upload = device_upload,
                                      .download = device_download,
                                      .share = device_share,
                                      .unshare = device_unshare,
                                      .queue_new = hl_cuda_queue_new,
                                      .queue_free = hl_cuda_queue_free,
                                      .begin = hl_cuda_begin,
                                      .finish = hl_cuda_finish,
                                      .wait = hl_cuda_wait,
                                      .record = hl_cuda_record,
                                      .recorded = hl_cuda_recorded,
                                      .replay = hl_cuda_replay,
                                      .mark = hl_cuda_mark,
                                      .between = hl_cuda_between};

const char *const hl_cuda_version = HL_BACKEND_VERSION;
const hl_backend hl_backend_cuda = {"cuda", kernels, (int)(sizeof kernels / sizeof *kernels), &table};
