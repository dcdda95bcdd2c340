/* How busy each processor core is, all processes together. */
#ifndef HL_BASE_CORES_H
#define HL_BASE_CORES_H

#include "hl.h"

typedef struct hl_cores hl_cores;

/* path: "/proc/stat", or a file like it. Takes a first reading. NULL on error: HL_ERR_UNSUPPORTED where there
 * is no such file or it tells of no core, HL_ERR_MEMORY. */
hl_cores *hl_cores_new(const char *path, hl_error *err);
void hl_cores_free(hl_cores *c);
/* Cores of this machine, also those that are switched off. */
int hl_cores_count(const hl_cores *c);
/* Percent of the time since the last reading (steps of 10 ms) that each core was busy: [count]. NaN for one
 * that was off at either end, and where no time has passed. Allocates nothing. */
hl_status hl_cores_read(hl_cores *c, double *percent, hl_error *err);

#endif
