/* Operands of the quantized ops, for the kernels of every backend. Compiles as C and CUDA C++. */
#ifndef HL_KERNELS_QUANTIZED_H
#define HL_KERNELS_QUANTIZED_H

#include "base/quantize.h"
#include "run/backend.h"

enum { HL_QUANTIZED_X, HL_QUANTIZED_W, HL_QUANTIZED_W_SCALE };
/* quantized_matmul and quantized_conv2d after those. */
enum { HL_QUANTIZED_BIAS = 3, HL_QUANTIZED_ADDEND, HL_QUANTIZED_X_SCALE };
enum { HL_QUANTIZED_CONV_BIAS = 3, HL_QUANTIZED_CONV_X_SCALE };

/* w is of integers, all else f32. */
static inline bool hl_quantized_accepts(const hl_call *c)
{
    bool fits = c->out[0].dtype == HL_F32;
    for (int k = 0; k < c->n_in; k++)
        fits = fits && (!c->in[k].shape.rank || c->in[k].dtype == (k == HL_QUANTIZED_W ? HL_I8 : HL_F32));
    return fits;
}

#endif
