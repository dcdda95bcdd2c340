/* Storage types of the libraries' operands. */
#ifndef HL_CUDA_EMULATOR_NUMBER_H
#define HL_CUDA_EMULATOR_NUMBER_H

#include "base/half.h"

#include <library_types.h>

#include <cstddef>
#include <cstdint>

/* 0: not one that is emulated */
inline size_t number_bytes(cudaDataType_t type)
{
    return type == CUDA_R_32F || type == CUDA_R_32I    ? 4
           : type == CUDA_R_16F || type == CUDA_R_16BF ? 2
           : type == CUDA_R_8I                         ? 1
                                                       : 0;
}

/* In double, which holds integers of 32 bits. */
inline double number_get(const void *data, cudaDataType_t type, int64_t i)
{
    if (type == CUDA_R_8I)
        return static_cast<const int8_t *>(data)[i];
    if (type == CUDA_R_32I)
        return static_cast<const int32_t *>(data)[i];
    if (type == CUDA_R_16F)
        return hl_f16_to_float(static_cast<const uint16_t *>(data)[i]);
    if (type == CUDA_R_16BF)
        return hl_bf16_to_float(static_cast<const uint16_t *>(data)[i]);
    return static_cast<const float *>(data)[i];
}

inline void number_set(void *data, cudaDataType_t type, int64_t i, double number)
{
    const float value = (float)number;
    if (type == CUDA_R_32I)
        static_cast<int32_t *>(data)[i] = (int32_t)number;
    else if (type == CUDA_R_16F)
        static_cast<uint16_t *>(data)[i] = hl_float_to_f16(value);
    else if (type == CUDA_R_16BF)
        static_cast<uint16_t *>(data)[i] = hl_float_to_bf16(value);
    else
        static_cast<float *>(data)[i] = value;
}

/* As tensor cores take an f32: 10 bits of mantissa, to nearest even. */
inline float number_tf32(float x)
{
    uint32_t u = hl_float_bits(x);
    if ((u & 0x7f800000u) == 0x7f800000u)
        return x;
    return hl_bits_float((u + 0xfffu + (u >> 13 & 1)) & ~0x1fffu);
}

#endif
