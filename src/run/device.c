/* Devices by name. */
#include "base/error.h"
#include "base/process.h"
#include "run/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HL_CUDA
static const hl_backend *const cuda = &hl_backend_cuda;
#else
static const hl_backend *const cuda = NULL;
#endif

const hl_backend *const *hl_backends(int *n)
{
    static const hl_backend *all[3];
    all[0] = &hl_backend_cpu;
    all[1] = &hl_backend_cpu_portable;
    all[2] = cuda;
    *n = cuda ? 3 : 2;
    return all;
}

static hl_status count_gpus(int *n, hl_error *err)
{
    *n = 0;
    if (!cuda)
        return hl_fail(err, HL_ERR_UNSUPPORTED, "this build has no CUDA (configure with -DHL_CUDA=ON)");
    return cuda->device->count(n, err);
}

/* N of "cuda:N", 0 of "cuda"; -1: it is neither. */
static int gpu_of(const char *device)
{
    if (strncmp(device, "cuda", 4))
        return -1;
    if (!device[4])
        return 0;
    if (device[4] != ':' || !device[5] || strlen(device + 5) > 4 ||
        strspn(device + 5, "0123456789") != strlen(device + 5))
        return -1;
    return atoi(device + 5);
}

static const hl_backend *find_gpu(const char *device, int gpu, int *ordinal, hl_error *err)
{
    int n;
    if (!cuda) {
        hl_fail(err, HL_ERR_UNSUPPORTED, "device '%s': this build has no CUDA (configure with -DHL_CUDA=ON)",
                device);
        return NULL;
    }
    hl_error why = {0};
    if (count_gpus(&n, &why) == HL_OK && gpu >= n) {
        hl_fail(err, HL_ERR_UNSUPPORTED,
                "device '%s': there are %d GPUs, numbered from 0 ('hl devices' lists them)", device, n);
        return NULL;
    }
    *ordinal = gpu; /* without a driver one may plan; opening the device will say what is wrong */
    return cuda;
}

const hl_backend *hl_backend_find(const char *device, int *ordinal, hl_error *err)
{
    int n = 0;
    *ordinal = 0;
    if (!device || !strcmp(device, "cpu"))
        return &hl_backend_cpu;
    if (!strcmp(device, "cpu:portable"))
        return &hl_backend_cpu_portable;
    if (!strcmp(device, "auto"))
        return count_gpus(&n, NULL) == HL_OK && n > 0 ? cuda : &hl_backend_cpu;
    if (gpu_of(device) >= 0)
        return find_gpu(device, gpu_of(device), ordinal, err);
    hl_fail(err, HL_ERR_UNSUPPORTED, "device '%s' is not one of: auto, cpu, cpu:portable, cuda, cuda:N",
            device);
    return NULL;
}

int hl_devices(hl_device_info *info, int max, hl_error *why)
{
    int n = 0, found = 1;
    if (max > 0)
        hl_describe_processor(&info[0]);
    if (count_gpus(&n, why) != HL_OK)
        return found;
    for (int i = 0; i < n; i++) {
        hl_device_info gpu = {0};
        if (cuda->device->describe(i, &gpu, why) != HL_OK)
            continue;
        snprintf(gpu.device, sizeof gpu.device, "cuda:%d", i);
        if (found < max)
            info[found] = gpu;
        found++;
    }
    return found;
}
