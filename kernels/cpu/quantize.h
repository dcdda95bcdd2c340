/* Rows of reals as rows of integers. */
#ifndef HL_KERNELS_CPU_QUANTIZE_H
#define HL_KERNELS_CPU_QUANTIZE_H

#include "kernels/quantized.h"

/* x [rows,n] -> q [rows,width], zeros from column n on, and step [rows]: *given, or NULL: of each row. q are of
 * eight bits, stored as the products read them. */
void hl_quantize_rows(const float *x, int64_t rows, int64_t n, const float *given, int64_t width, int16_t *q,
                      float *step);

#endif
