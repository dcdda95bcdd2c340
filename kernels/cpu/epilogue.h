/* What follows a product: bias, addend, activation, in one pass over the result. */
#ifndef HL_KERNELS_CPU_EPILOGUE_H
#define HL_KERNELS_CPU_EPILOGUE_H

#include "kernels/cpu/common.h"

/* y [rows,N] = act(y + bias [N] + addend [rows,N]); bias and addend may be NULL. */
void hl_epilogue(float *y, int64_t rows, int64_t N, const float *bias, const float *addend,
                 hl_activation activation);

#endif
