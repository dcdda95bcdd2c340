/* This process, as the operating system sees it. */
#ifndef HL_BASE_PROCESS_H
#define HL_BASE_PROCESS_H

#include "hl.h"

/* Bytes of memory that are resident now; NAN where /proc does not tell. */
double hl_resident_bytes(void);
/* The most there were since the process began, or since hl_peak_resident_restart; NAN likewise. */
double hl_peak_resident_bytes(void);
/* A phase begins: its peak counts from what is resident now. HL_ERR_UNSUPPORTED where the operating system
 * does not let the process do so: then the peak stays that since its beginning. */
hl_status hl_peak_resident_restart(hl_error *err);
/* Seconds of processor time, of all threads, that this process has used. */
double hl_cpu_seconds(void);
/* Seconds on a clock that only goes forward. */
double hl_seconds(void);
/* The processor and its memory. */
void hl_describe_processor(hl_device_info *info);

#endif
