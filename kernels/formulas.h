/* The formulas of elementwise ops, compiled by the CPU's kernels and by CUDA's. Elementary functions here
 * have no branch, no table and no call, so that a compiler vectorises them. Polynomials are
 * minimax fits (relative error, Lawson's iteration); errors below are the largest found over the
 * range, against libm in double, and tests/unit/math.c holds them. Built on IEEE single precision
 * without reassociation: never compile this with -ffast-math. */
#ifndef HL_KERNELS_FORMULAS_H
#define HL_KERNELS_FORMULAS_H

#include "base/half.h"
#include "ops/params.h"

#include <math.h>
#include <stdint.h>

/* e^x, relative error below 1e-7 where the result is normal; overflows to infinity, underflows through
 * subnormals to 0, NaN stays NaN. */
HL_BOTH float hl_expf(float x)
{
    const float round = 12582912.0f; /* 1.5*2^23: adding it leaves an integer */
    const float ln2_high = 0.693145751953125f,
                ln2_low = 1.428606820e-6f; /* 15 bits, so that n*high is exact */
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float shifted = x * 1.44269504f + round, n = shifted - round;
    float r = (x - n * ln2_high) - n * ln2_low; /* in +-ln(2)/2 */
    float p = 1.38144669e-3f;
    p = p * r + 8.36878041e-3f;
    p = p * r + 4.16683942e-2f;
    p = p * r + 1.66665201e-1f;
    p = p * r + 4.99999934e-1f;
    p = (p * r * r + r) + 1.0f;
    /* 2^n as a product of two, since 2^-150 and 2^128 are no normal floats. */
    uint32_t power = hl_float_bits(shifted) - 0x4b400000u;
    uint32_t first = ((power + 256u) >> 1) - 128u;
    return p * hl_bits_float((first + 127u) << 23) * hl_bits_float((power - first + 127u) << 23);
}

/* log u for 2^-24 <= u <= 1, relative error below 1.5e-7. */
HL_BOTH float hl_log_unit(float u)
{
    uint32_t bits = hl_float_bits(u) - 0x3f3504f3u + (64u << 23); /* sqrt(1/2) starts an octave */
    uint32_t octave = bits >> 23;
    float f = hl_bits_float((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0f; /* in sqrt(1/2)-1 .. sqrt(2)-1 */
    float p = 8.70043592e-2f;
    p = p * f - 1.42674870e-1f;
    p = p * f + 1.49147679e-1f;
    p = p * f - 1.65775847e-1f;
    p = p * f + 1.99630638e-1f;
    p = p * f - 2.50013370e-1f;
    p = p * f + 3.33339107e-1f;
    return (float)((int32_t)octave - 64) * 0.693147181f + (f + f * f * (p * f - 0.5f));
}

/* sin and cos of u turns, 0 <= u < 1 with 24 bits (so that the reduction is exact); absolute error
 * below 1.5e-7. */
HL_BOTH void hl_sincos_turns(float u, float *sine, float *cosine)
{
    int32_t quarter = (int32_t)(u * 4.0f + 0.5f); /* the nearest axis, 0..4 */
    float r = u - (float)quarter * 0.25f, r2 = r * r;
    float s = r * (6.28318529f + r2 * (-41.3416626f + r2 * (81.5925539f - 75.4020811f * r2)));
    float c = 1.0f + r2 * (-19.7392087f + r2 * (64.9393162f + r2 * (-85.4428523f + 59.2204131f * r2)));
    float along = quarter & 1 ? s : c, across = quarter & 1 ? c : s;
    *sine = quarter & 2 ? -across : across;
    *cosine = (quarter + 1) & 2 ? -along : along;
}

/* Phi(x) = erfc(-x/sqrt 2)/2 and phi(x) = Phi'(x). With z = |x|/sqrt 2, erfc z = e^(-z^2) (1 + w P(w)),
 * w = z/(2 + z), a map after Shepherd & Laframboise 1981; the fit is within 3e-8. Absolute error of
 * Phi below 1.2e-7; in the left tail, relative error below 1e-7 (4 + x^2). */
HL_BOTH float hl_normal_cdf(float x, float *density)
{
    float e = hl_expf(-0.5f * x * x);
    float az = 0.353553391f * fabsf(x);
    az = az > 1e6f ? 1e6f : az; /* infinity over infinity would be NaN */
    float w = az / (1.0f + az);
    float p = 5.31676474e-2f;
    p = p * w - 2.23256007e-1f;
    p = p * w + 2.96837584e-1f;
    p = p * w - 8.89800455e-2f;
    p = p * w + 7.58038162e-2f;
    p = p * w - 3.27358317e-1f;
    p = p * w - 2.72559594e-1f;
    p = p * w + 1.74309458f;
    p = p * w - 2.25675494f;
    float tail = 0.5f * e * (p * w + 1.0f);
    *density = 0.398942280f * e;
    return x > 0.0f ? 1.0f - tail : tail;
}

/* x Phi(x): error below 1e-7 (1 + |x|). */
HL_BOTH float hl_geluf(float x)
{
    float density;
    return x * hl_normal_cdf(x, &density);
}

/* Its derivative, Phi(x) + x phi(x): error below 2e-7. */
HL_BOTH float hl_gelu_slope(float x)
{
    float density, cdf = hl_normal_cdf(x, &density);
    return cdf + x * density;
}

/* NaN stays NaN. */
HL_BOTH float hl_reluf(float x)
{
    return x <= 0.0f ? 0.0f : x;
}

HL_BOTH float hl_activation_of(hl_activation activation, float x)
{
    return activation == HL_ACT_RELU ? hl_reluf(x) : activation == HL_ACT_GELU ? hl_geluf(x) : x;
}

#endif
