/* Rows of reals as rows of integers. */
#ifndef HL_KERNELS_CPU_QUANTIZE_H
#define HL_KERNELS_CPU_QUANTIZE_H

#include "kernels/quantized.h"

/* The largest magnitude (hl_magnitude) of x [n]. */
int32_t hl_largest_magnitude(const float *x, int64_t n);
/* x [rows,n] -> step [rows]: *given, or NULL: of each row; and its integers of eight bits, stored in 16 as
 * products read them: q [ceil(n / piece)][rows][piece], zeros after the last. */
void hl_quantize_rows(const float *x, int64_t rows, int64_t n, const float *given, int64_t piece, int16_t *q,
                      float *step);

#endif
