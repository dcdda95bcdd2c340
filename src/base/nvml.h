/* What NVIDIA's management library tells of a GPU. It comes with the driver and is looked for at run time: hl
 * needs neither it nor its header. */
#ifndef HL_BASE_NVML_H
#define HL_BASE_NVML_H

#include "hl.h"

typedef struct hl_nvml hl_nvml;

/* Opens libnvidia-ml.so.1 (or what HL_NVML names) and the GPU at a PCI bus id such as "0000:3b:00.0", or,
 * where that is NULL, of that index in the library's own order. NULL on error, and why: HL_ERR_UNSUPPORTED
 * (no library, or not such a one), HL_ERR_DEVICE (it refuses), HL_ERR_MEMORY. */
hl_nvml *hl_nvml_open(const char *pci_bus_id, int index, hl_error *err);
void hl_nvml_close(hl_nvml *n);
/* Valid as long as n; "unknown" if the library does not tell. */
const char *hl_nvml_name(const hl_nvml *n);
const char *hl_nvml_driver(const hl_nvml *n);

typedef enum hl_gpu_value {
    HL_GPU_UTILISATION,  /* percent of the last while (the driver's, 1/6 s to 1 s) in which a kernel ran */
    HL_GPU_MEMORY,       /* bytes in use, by all processes */
    HL_GPU_CLOCK,        /* MHz of the streaming multiprocessors */
    HL_GPU_MEMORY_CLOCK, /* MHz */
    HL_GPU_TEMPERATURE,  /* degrees Celsius */
    HL_GPU_POWER,        /* watt */
    HL_GPU_VALUES
} hl_gpu_value;

/* As keys of JSON: "utilisation_percent", "memory_used_bytes", ... */
const char *hl_gpu_value_name(hl_gpu_value value);

/* Reads all of them. Those that this GPU or library does not tell are NAN; then HL_ERR_DEVICE, and the
 * message gives the reason of each. Takes milliseconds on some GPUs. */
hl_status hl_nvml_read(hl_nvml *n, double values[HL_GPU_VALUES], hl_error *err);

#endif
