/* 16-bit floats: IEEE 754 binary16 and bfloat16, round to nearest even. Compiles as C and CUDA C++. */
#ifndef HL_BASE_HALF_H
#define HL_BASE_HALF_H

#include <stdint.h>
#include <string.h>

#ifndef HL_BOTH
#if defined(__CUDACC__)
#define HL_BOTH static inline __host__ __device__
#else
#define HL_BOTH static inline
#endif
#endif

HL_BOTH uint32_t hl_float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

HL_BOTH float hl_bits_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

HL_BOTH float hl_bf16_to_float(uint16_t h)
{
    return hl_bits_float((uint32_t)h << 16);
}

HL_BOTH uint16_t hl_float_to_bf16(float x)
{
    uint32_t u = hl_float_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40); /* a NaN stays one */
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

/* One of the two neighbours, the upper one with the probability of the distance from the lower: right on
 * average. random16 is uniform in 0..65535. What is a bf16 already stays. */
HL_BOTH uint16_t hl_float_to_bf16_stochastic(float x, uint32_t random16)
{
    uint32_t u = hl_float_bits(x);
    if ((u & 0x7f800000u) == 0x7f800000u)
        return hl_float_to_bf16(x); /* infinity and NaN */
    return (uint16_t)((u + random16) >> 16);
}

HL_BOTH float hl_f16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31)
        return hl_bits_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24, exact in float */
        float x = (float)mantissa * 5.9604644775390625e-8f;
        return sign ? -x : x;
    }
    return hl_bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

HL_BOTH uint16_t hl_float_to_f16(float x)
{
    uint32_t u = hl_float_bits(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000u) { /* below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits */
        uint32_t r = hl_float_bits(hl_bits_float(a) + 0.5f) - 0x3f000000u;
        return (uint16_t)(sign | r);
    }
    return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + (a >> 13 & 1)) >> 13));
}

#endif
