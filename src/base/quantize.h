/* Reals as integers of eight bits: x is about q step, q in -127..127. References, CPU kernels and CUDA's
 * compile these same lines, so that all of them find the same integers. */
#ifndef HL_BASE_QUANTIZE_H
#define HL_BASE_QUANTIZE_H

#include "base/half.h"

#include <float.h>
#include <math.h>
#include <stdint.h>

enum {
    HL_QUANTIZED_MOST = 127,
    /* Terms of the longest sum of products that 32 bits hold; weights of a file may be -128. */
    HL_QUANTIZED_TERMS = INT32_MAX / (HL_QUANTIZED_MOST * 128)
};

/* The magnitude of x as an integer that orders alike: NaN is above infinity, infinity above all numbers. */
HL_BOTH int32_t hl_magnitude(float x)
{
    return (int32_t)(hl_float_bits(x) & 0x7fffffffu);
}

/* The step for values up to a magnitude `most` (hl_magnitude): *given, or NULL: what maps most to 127. NaN
 * where one of them is not finite, so that what is computed from them shows it. */
HL_BOTH float hl_quantize_step(int32_t most, const float *given)
{
    float magnitude = hl_bits_float((uint32_t)most);
    float step = given ? *given : magnitude / (float)HL_QUANTIZED_MOST;
    return magnitude <= FLT_MAX ? step : NAN;
}

/* x / step to the nearest integer, ties to even, within -127..127 (NaN: anything in there). A step of 0 gives
 * what times 0 is 0. */
HL_BOTH int32_t hl_quantize(float x, float step)
{
    const float most = HL_QUANTIZED_MOST, round = 12582912.0f; /* 1.5*2^23: adding it leaves an integer */
    float q = x / step;
    q = q > -most ? q : -most;
    q = q < most ? q : most;
    return (int32_t)(hl_float_bits(q + round) - 0x4b400000u);
}

#endif
