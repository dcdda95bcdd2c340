/* Watches the machine while a phase of work runs: a thread of its own samples processor cores, GPU and memory
 * into timelines of fixed size, and allocates nothing. */
#ifndef HL_APP_MONITOR_H
#define HL_APP_MONITOR_H

#include "base/json.h"
#include "hl.h"

typedef struct hl_monitor hl_monitor;

typedef struct hl_monitor_options {
    double period;         /* seconds between samples [0: 0.2] */
    int gpu;               /* index, as nvidia-smi counts; -1: none is asked about */
    const char *gpu_bus;   /* PCI bus id instead of the index, or NULL */
    const char *proc_stat; /* where the cores' times are [NULL: "/proc/stat"] */
} hl_monitor_options;

/* What cannot be watched here (no /proc, no GPU) is told with its reason by the results; NULL only if there
 * is no memory. */
hl_monitor *hl_monitor_new(const hl_monitor_options *options, hl_error *err);
/* Stops it first. */
void hl_monitor_free(hl_monitor *m);

/* A phase begins: forgets the one before, and lets the peaks of memory begin anew (the operating system's,
 * and those of hl_allocated_now). Not while one runs. HL_ERR_MEMORY if there can be no thread. */
hl_status hl_monitor_start(hl_monitor *m, hl_error *err);
/* It ends; returns at once, but for a sample that is being taken. Does nothing if none runs. */
void hl_monitor_stop(hl_monitor *m);

/* Results of the last phase, once it ended: new references, NULL if there is no memory. What could not be
 * measured is null, and the reason stands beside it under a key that ends in "absent".
 *
 * {"cpu_percent": [mean per core], "process_cpu_percent", "timeline": [[seconds, core 0, core 1, ...], ...],
 *  "gpu": {"name", "driver", "utilisation_percent", "memory_used_bytes", "clock_mhz", "memory_clock_mhz",
 *          "temperature_c", "power_w"}}, the GPU's values being means */
json_t *hl_monitor_system(const hl_monitor *m);
/* {"rss", "rss_peak", "rss_slope": {"bytes_per_minute", "low", "high", "samples"}, "allocations",
 *  "timeline": [[seconds, rss], ...], "timeline_categories": {"names": [...], "rows": [[seconds, bytes, ...],
 * ...]}} rss_peak_absent: the peak could not begin anew, so rss_peak is null. allocations: how many this
 * process made meanwhile. Categories are bytes of tensors by use and of the heap, as allocated. */
json_t *hl_monitor_memory(const hl_monitor *m);

#endif
