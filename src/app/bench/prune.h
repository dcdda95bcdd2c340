/* Weights set to zero by their magnitude (Han et al., NeurIPS 2015). */
#ifndef HL_APP_PRUNE_H
#define HL_APP_PRUNE_H

#include "hl.h"

/* Sets that fraction (0..1) of the entries of every parameter of two or more dimensions to zero: those of the
 * smallest magnitude, the first of equals. Initialises what has no data yet. HL_ERR_MEMORY. */
hl_status hl_prune(hl_params *params, double fraction, hl_error *err);
/* The same of n numbers: `zeros` of them. False: no memory. */
bool hl_prune_values(float *w, int64_t n, int64_t zeros);

#endif
