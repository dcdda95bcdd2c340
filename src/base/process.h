/* This process, as the operating system sees it. */
#ifndef HL_BASE_PROCESS_H
#define HL_BASE_PROCESS_H

#include "hl.h"

/* Bytes of memory that are resident now; NAN where /proc does not tell. */
double hl_resident_bytes(void);
/* Seconds on a clock that only goes forward. */
double hl_seconds(void);
/* The processor and its memory. */
void hl_describe_processor(hl_device_info *info);

#endif
