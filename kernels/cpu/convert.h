/* Storage types to f32 and back. */
#ifndef HL_KERNELS_CPU_CONVERT_H
#define HL_KERNELS_CPU_CONVERT_H

#include "kernels/cpu/shape.h"

#include "base/half.h"

#include <string.h>

/* Elements [at, at + n) of x as f32. */
static inline void hl_widen(const hl_view *x, int64_t at, int64_t n, float *out)
{
    const uint16_t *half = (const uint16_t *)x->data + at;
    if (x->dtype == HL_F32)
        memcpy(out, (const float *)x->data + at, (size_t)n * sizeof *out);
    else if (x->dtype == HL_F16)
        for (int64_t i = 0; i < n; i++)
            out[i] = hl_f16_to_float(half[i]);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = hl_bf16_to_float(half[i]);
}

/* And back, rounded to nearest even. */
static inline void hl_narrow(const hl_view *y, int64_t at, int64_t n, const float *x)
{
    uint16_t *half = (uint16_t *)y->data + at;
    if (y->dtype == HL_F32)
        memcpy((float *)y->data + at, x, (size_t)n * sizeof *x);
    else if (y->dtype == HL_F16)
        for (int64_t i = 0; i < n; i++)
            half[i] = hl_float_to_f16(x[i]);
    else
        for (int64_t i = 0; i < n; i++)
            half[i] = hl_float_to_bf16(x[i]);
}

#endif
