/* What follows a product: bias and activation, in one pass over the result. */
#ifndef HL_KERNELS_CPU_EPILOGUE_H
#define HL_KERNELS_CPU_EPILOGUE_H

#include "kernels/cpu/common.h"

/* y [rows,N] = act(y + bias [N]); bias may be NULL. */
void hl_epilogue(float *y, int64_t rows, int64_t N, const float *bias, hl_activation activation);

#endif
