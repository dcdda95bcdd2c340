#include "base/nvml.h"

#include "base/error.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in nvml.h, whose numbers and layouts do not change once they are published. */
typedef struct nvml_device *device;
typedef struct utilisation {
    unsigned gpu, memory; /* percent */
} utilisation;
typedef struct memory {
    unsigned long long total, free, used;
} memory;
enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, SENSOR_GPU = 0 };

/* All return 0 or a reason for error_string. */
typedef struct calls {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*driver)(char *, unsigned);
    int (*by_bus)(const char *, device *);
    int (*by_index)(unsigned, device *);
    int (*name)(device, char *, unsigned);
    int (*utilisation)(device, utilisation *);
    int (*memory)(device, memory *);
    int (*clock)(device, int, unsigned *);
    int (*temperature)(device, int, unsigned *);
    int (*power)(device, unsigned *);
} calls;

static const struct {
    const char *name;
    size_t at; /* in calls */
} symbols[] = {
    {"nvmlInit_v2", offsetof(calls, init)},
    {"nvmlShutdown", offsetof(calls, shutdown)},
    {"nvmlErrorString", offsetof(calls, error_string)},
    {"nvmlSystemGetDriverVersion", offsetof(calls, driver)},
    {"nvmlDeviceGetHandleByPciBusId_v2", offsetof(calls, by_bus)},
    {"nvmlDeviceGetHandleByIndex_v2", offsetof(calls, by_index)},
    {"nvmlDeviceGetName", offsetof(calls, name)},
    {"nvmlDeviceGetUtilizationRates", offsetof(calls, utilisation)},
    {"nvmlDeviceGetMemoryInfo", offsetof(calls, memory)},
    {"nvmlDeviceGetClockInfo", offsetof(calls, clock)},
    {"nvmlDeviceGetTemperature", offsetof(calls, temperature)},
    {"nvmlDeviceGetPowerUsage", offsetof(calls, power)},
};

struct hl_nvml {
    void *library;
    bool ready; /* init went well */
    calls call;
    device device;
    char name[128], driver[96];
};

/* ------------------------------------------------------------------ opening */

/* Every one of them has been there since the drivers of 2013: a library that lacks one is not NVIDIA's. */
static hl_status find_calls(hl_nvml *n, const char *path, hl_error *err)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(n->library, symbols[i].name);
        if (!found)
            return hl_fail(err, HL_ERR_UNSUPPORTED,
                           "%s has no %s: it is not NVIDIA's management library, or too old", path,
                           symbols[i].name);
        memcpy((char *)&n->call + symbols[i].at, &found, sizeof found);
    }
    return HL_OK;
}

static const char *reason(const hl_nvml *n, int code)
{
    const char *text = n->call.error_string(code);
    return text ? text : "no reason given";
}

static hl_status find_device(hl_nvml *n, const char *pci_bus_id, int index, hl_error *err)
{
    int code = n->call.init();
    if (code)
        return hl_fail(err, HL_ERR_DEVICE, "nvmlInit_v2: %s (%d)", reason(n, code), code);
    n->ready = true;
    if (pci_bus_id) {
        code = n->call.by_bus(pci_bus_id, &n->device);
        return code ? hl_fail(err, HL_ERR_DEVICE, "no GPU at PCI bus '%s': %s (%d)", pci_bus_id,
                              reason(n, code), code)
                    : HL_OK;
    }
    code = index < 0 ? -1 : n->call.by_index((unsigned)index, &n->device);
    return code ? hl_fail(err, HL_ERR_DEVICE, "no GPU of index %d: %s (%d)", index,
                          index < 0 ? "expected 0 or more" : reason(n, code), code)
                : HL_OK;
}

hl_nvml *hl_nvml_open(const char *pci_bus_id, int index, hl_error *err)
{
    const char *named = getenv("HL_NVML"), *path = named && *named ? named : "libnvidia-ml.so.1";
    hl_nvml *n = hl_alloc(1, sizeof *n);
    if (!n) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for NVIDIA's management library");
        return NULL;
    }
    hl_status status = HL_OK;
    n->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!n->library)
        status = hl_fail(err, HL_ERR_UNSUPPORTED, "%s cannot be opened, it comes with NVIDIA's driver: %s",
                         path, dlerror());
    if (status == HL_OK)
        status = find_calls(n, path, err);
    if (status == HL_OK)
        status = find_device(n, pci_bus_id, index, err);
    if (status != HL_OK) {
        hl_nvml_close(n);
        return NULL;
    }
    if (n->call.name(n->device, n->name, sizeof n->name))
        snprintf(n->name, sizeof n->name, "unknown");
    if (n->call.driver(n->driver, sizeof n->driver))
        snprintf(n->driver, sizeof n->driver, "unknown");
    return n;
}

void hl_nvml_close(hl_nvml *n)
{
    if (!n)
        return;
    if (n->ready)
        n->call.shutdown();
    if (n->library)
        dlclose(n->library);
    hl_free(n);
}

const char *hl_nvml_name(const hl_nvml *n)
{
    return n->name;
}

const char *hl_nvml_driver(const hl_nvml *n)
{
    return n->driver;
}

/* ------------------------------------------------------------------ reading */

const char *hl_gpu_value_name(hl_gpu_value value)
{
    static const char *const names[HL_GPU_VALUES] = {"utilisation_percent", "memory_used_bytes", "clock_mhz",
                                                     "memory_clock_mhz",    "temperature_c",     "power_w"};
    return (unsigned)value < HL_GPU_VALUES ? names[value] : "?";
}

static int read_value(const hl_nvml *n, hl_gpu_value value, double *to)
{
    utilisation busy = {0};
    memory bytes = {0};
    unsigned number = 0;
    int code = 0;
    switch (value) {
    case HL_GPU_UTILISATION:
        code = n->call.utilisation(n->device, &busy);
        *to = busy.gpu;
        break;
    case HL_GPU_MEMORY:
        code = n->call.memory(n->device, &bytes);
        *to = (double)bytes.used;
        break;
    case HL_GPU_CLOCK:
    case HL_GPU_MEMORY_CLOCK:
        code = n->call.clock(n->device, value == HL_GPU_CLOCK ? CLOCK_SM : CLOCK_MEMORY, &number);
        *to = number;
        break;
    case HL_GPU_TEMPERATURE:
        code = n->call.temperature(n->device, SENSOR_GPU, &number);
        *to = number;
        break;
    default:
        code = n->call.power(n->device, &number); /* milliwatt */
        *to = number / 1000.0;
    }
    return code;
}

hl_status hl_nvml_read(hl_nvml *n, double values[HL_GPU_VALUES], hl_error *err)
{
    char reasons[768] = "";
    size_t used = 0;
    for (int v = 0; v < HL_GPU_VALUES; v++) {
        int code = read_value(n, (hl_gpu_value)v, &values[v]);
        if (!code)
            continue;
        values[v] = NAN;
        if (used < sizeof reasons)
            used += (size_t)snprintf(reasons + used, sizeof reasons - used, "%s%s: %s (%d)", used ? "; " : "",
                                     hl_gpu_value_name((hl_gpu_value)v), reason(n, code), code);
    }
    return used ? hl_fail(err, HL_ERR_DEVICE, "%s does not tell %s", n->name, reasons) : HL_OK;
}
