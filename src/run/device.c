/* Devices by name. */
#include "base/error.h"
#include "base/process.h"
#include "run/plan.h"
#include "run/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const hl_backend *const *hl_backends(int *n)
{
    static const hl_backend *all[] = {&hl_backend_cpu, &hl_backend_cpu_portable, NULL};
    all[2] = hl_cuda_backend(NULL);
    *n = all[2] ? 3 : 2;
    return all;
}

/* NULL, and *n = 0, where there is no backend; *n = 0 with a reason where there is no driver. */
static const hl_backend *find_gpus(int *n, hl_error *why)
{
    *n = 0;
    const hl_backend *cuda = hl_cuda_backend(why);
    if (cuda && cuda->device->count(n, why) != HL_OK)
        *n = 0;
    return cuda;
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
    const hl_backend *cuda = find_gpus(&n, err);
    if (!cuda) {
        hl_fail_prefix(err, "device '%s'", device);
        return NULL;
    }
    if (n > 0 && gpu >= n) {
        hl_fail(err, HL_ERR_UNSUPPORTED,
                "device '%s': GPUs go from cuda:0 to cuda:%d ('hl devices' lists them)", device, n - 1);
        return NULL;
    }
    if (err)
        *err = (hl_error){0}; /* one may plan without a driver; opening the device will say what is wrong */
    *ordinal = gpu;
    return cuda;
}

const hl_backend *hl_backend_find(const char *device, int *ordinal, hl_error *err)
{
    int n;
    const hl_backend *cuda;
    *ordinal = 0;
    if (!device || !strcmp(device, "cpu"))
        return &hl_backend_cpu;
    if (!strcmp(device, "cpu:portable"))
        return &hl_backend_cpu_portable;
    if (!strcmp(device, "auto"))
        return (cuda = find_gpus(&n, NULL)) && n > 0 ? cuda : &hl_backend_cpu;
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
    const hl_backend *cuda = find_gpus(&n, why);
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
