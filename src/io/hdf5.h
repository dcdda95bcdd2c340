/* What every user of libhdf5 needs: one at a time, no printing, its message in our sentence. */
#ifndef HL_IO_HDF5_H
#define HL_IO_HDF5_H

#include "hl.h"

#include <hdf5.h>

/* HDF5's own handler of errors, as it was before. */
typedef struct hl_hdf5_scope {
    H5E_auto2_t handler;
    void *data;
} hl_hdf5_scope;

/* Between these two libhdf5 prints nothing, and of the threads that use them this one alone is in it:
 * not every build of libhdf5 is thread-safe. They nest. Keep them short: a loader and a checkpoint
 * writer share the lock. */
hl_hdf5_scope hl_hdf5_begin(void);
void hl_hdf5_end(hl_hdf5_scope scope);

/* The sentence, then libhdf5's innermost reason in brackets. To be called right after the call that
 * failed: the next one clears the reason. */
hl_status hl_hdf5_fail(hl_error *err, hl_status status, const char *format, ...) HL_PRINTF(3, 4);

#endif
