/* Floats of 16 bits, widened in registers. */
#ifndef HL_KERNELS_CPU_HALVES_H
#define HL_KERNELS_CPU_HALVES_H

#include "base/half.h"
#include "kernels/cpu/vec.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef uint16_t halves __attribute__((vector_size(2 * VEC_WIDTH), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * VEC_WIDTH)));

VEC_INLINE vec vec_from_bf16(const uint16_t *p)
{
#if VEC_WIDTH == 8 && defined(__AVX2__) /* gcc makes more of the conversion than this */
    return (vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)),
                                  16);
#else
    return (vec)(__builtin_convertvector(*(const halves *)p, words) << 16);
#endif
}

VEC_INLINE vec vec_from_f16(const uint16_t *p)
{
#if VEC_WIDTH == 16 && defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif VEC_WIDTH == 8 && defined(__F16C__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif VEC_WIDTH == 4 && defined(__aarch64__)
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vec v;
    for (int i = 0; i < VEC_WIDTH; i++)
        v[i] = hl_f16_to_float(p[i]);
    return v;
#endif
}

#endif
