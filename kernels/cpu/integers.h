/* Vectors of 16-bit integers and sums of their products in 32 bits: exact, and on x86 one instruction for two
 * products per lane. (The u8 by s8 product of AVX2, vpmaddubsw, saturates in 16 bits.) Written like vec.h. */
#ifndef HL_KERNELS_CPU_INTEGERS_H
#define HL_KERNELS_CPU_INTEGERS_H

#include "kernels/cpu/vec.h"

#include <stdint.h>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512BW__)
#define SHORTS 32
#elif defined(__AVX2__)
#define SHORTS 16
#else
#define SHORTS 8
#endif
#define INTS (SHORTS / 2)

typedef int16_t shorts __attribute__((vector_size(SHORTS * 2)));
typedef int32_t ints __attribute__((vector_size(INTS * 4)));
/* The same at any element's address. */
typedef int16_t shorts_any __attribute__((vector_size(SHORTS * 2), aligned(2), may_alias));
typedef int32_t ints_any __attribute__((vector_size(INTS * 4), aligned(4), may_alias));
typedef int8_t bytes_any __attribute__((vector_size(SHORTS), aligned(1), may_alias));

/* As VEC_HOLD. */
#if defined(__AVX512BW__)
#define SHORTS_HOLD(v) __asm__("" : "+v"(v))
#elif defined(__SSE2__)
#define SHORTS_HOLD(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define SHORTS_HOLD(v) __asm__("" : "+w"(v))
#else
#define SHORTS_HOLD(v) ((void)0)
#endif

VEC_INLINE shorts shorts_load(const int16_t *p)
{
    return (shorts) * (const shorts_any *)p;
}

/* SHORTS integers of eight bits. */
VEC_INLINE shorts shorts_widen(const int8_t *p)
{
#if defined(__AVX512BW__)
    return (shorts)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif defined(__AVX2__)
    return (shorts)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    return __builtin_convertvector(*(const bytes_any *)p, shorts);
#endif
}

/* The first n of them, then zeros. */
VEC_INLINE shorts shorts_widen_part(const int8_t *p, size_t n)
{
    int8_t part[SHORTS] = {0};
    memcpy(part, p, n);
    return shorts_widen(part);
}

/* A pair of them in every lane of 32 bits. */
VEC_INLINE shorts shorts_splat_pair(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
#if defined(__AVX512BW__)
    return (shorts)_mm512_set1_epi32(pair);
#elif defined(__AVX2__)
    return (shorts)_mm256_set1_epi32(pair);
#else
    ints v;
    for (int i = 0; i < INTS; i++)
        v[i] = pair;
    return (shorts)v;
#endif
}

/* sum[i] + a[2i] b[2i] + a[2i+1] b[2i+1] */
VEC_INLINE ints ints_add_products(ints sum, shorts a, shorts b)
{
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
    return (ints)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return sum + (ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
    return (ints)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
#elif defined(__AVX2__)
    return sum + (ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return sum + (ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
    return sum + (ints)vpaddq_s32(low, high);
#else
    for (int i = 0; i < INTS; i++)
        sum[i] += a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return sum;
#endif
}

VEC_INLINE int32_t ints_sum(ints v)
{
    int32_t s[INTS];
    memcpy(s, &v, sizeof s);
    for (int n = INTS / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

#endif
