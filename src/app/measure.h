/* What a compressor keeps, measured over validation samples. */
#ifndef HL_APP_MEASURE_H
#define HL_APP_MEASURE_H

#include "hl.h"

typedef struct hl_measure hl_measure;

/* context and compressed: widths C and Z. NULL if there is no memory. */
hl_measure *hl_measure_new(int64_t context, int64_t compressed);
void hl_measure_free(hl_measure *m);
/* Adds B samples: context and reconstructed [B,C], compressed [B,Z]. */
void hl_measure_add(hl_measure *m, int64_t batch, const float *context, const float *reconstructed,
                    const float *compressed);

/* Hoyer's sparsity of the compressed vector, mean over samples: (sqrt(Z) - L1/L2) / (sqrt(Z) - 1); 0 if
 * all elements are equal, 1 if one alone is not zero (Hoyer, JMLR 5, 2004). NAN without samples. */
double hl_measure_sparsity(const hl_measure *m);
/* Estimate, in bits per sample, of the mutual information of context and reconstruction, and so from
 * below of context and compressed vector: the sum over dimensions of 1/2 log2(variance / squared error),
 * as for a Gaussian source with independent dimensions (Cover & Thomas, ch. 10); dimensions that are
 * reconstructed no better than by their mean count 0. Correlated dimensions make it too large: compare
 * it between compressors, not with a channel. NAN with fewer than two samples. */
double hl_measure_information(const hl_measure *m);

#endif
