/* Vectors of floats as wide as the target has them, through the vector extension of gcc and clang.
 * Intrinsics appear only where the extension cannot say it: fused multiply-add (contraction may be off)
 * and broadcasts. VEC_WIDTH may be forced to test the other widths: the compiler then splits or narrows
 * the vectors. */
#ifndef HL_KERNELS_CPU_VEC_H
#define HL_KERNELS_CPU_VEC_H

#include <stddef.h>
#include <string.h>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE__)
#include <xmmintrin.h>
#endif

#ifndef VEC_WIDTH
#if defined(__AVX512F__)
#define VEC_WIDTH 16
#elif defined(__AVX__)
#define VEC_WIDTH 8
#else
#define VEC_WIDTH 4
#endif
#endif

#if VEC_WIDTH != 4 && VEC_WIDTH != 8 && VEC_WIDTH != 16
#error "VEC_WIDTH must be 4, 8 or 16 floats"
#endif

typedef float vec __attribute__((vector_size(VEC_WIDTH * 4)));
/* The same vector at any float's address. */
typedef float vec_any __attribute__((vector_size(VEC_WIDTH * 4), aligned(4), may_alias));

#define VEC_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 16")
#endif

VEC_INLINE vec vec_load(const float *p)
{
    return (vec) * (const vec_any *)p;
}

VEC_INLINE void vec_store(float *p, vec v)
{
    *(vec_any *)p = (vec_any)v;
}

VEC_INLINE vec vec_splat(float x)
{
#if VEC_WIDTH == 16 && defined(__AVX512F__)
    return (vec)_mm512_set1_ps(x);
#elif VEC_WIDTH == 8 && defined(__AVX__)
    return (vec)_mm256_set1_ps(x);
#else
    vec v;
    for (int i = 0; i < VEC_WIDTH; i++)
        v[i] = x;
    return v;
#endif
}

/* a*b + c, in one rounding where the target can. */
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
#if VEC_WIDTH == 16 && defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif VEC_WIDTH == 8 && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* Holds a loaded operand in a register: gcc otherwise folds the load into each of its uses, and the
 * load ports, two per cycle, become the limit instead of the multipliers. */
#if VEC_WIDTH == 16 && defined(__AVX512F__)
#define VEC_HOLD(v) __asm__("" : "+v"(v))
#elif VEC_WIDTH == 8 && defined(__AVX__)
#define VEC_HOLD(v) __asm__("" : "+x"(v))
#else
#define VEC_HOLD(v) ((void)0)
#endif

/* p[0..VEC_WIDTH) += v, in double. Sums of thousands of products are kept this way: a run of a few dozen
 * is added up in fp32, the runs in double, which leaves little more than the rounding of the operands. */
VEC_INLINE void vec_add_to(double *p, vec v)
{
#if VEC_WIDTH == 16 && defined(__AVX512F__)
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256((__m512)v));
    __m512d high = _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)v), 1)));
    _mm512_storeu_pd(p, _mm512_add_pd(_mm512_loadu_pd(p), low));
    _mm512_storeu_pd(p + 8, _mm512_add_pd(_mm512_loadu_pd(p + 8), high));
#elif VEC_WIDTH == 8 && defined(__AVX__)
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v));
    __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1));
    _mm256_storeu_pd(p, _mm256_add_pd(_mm256_loadu_pd(p), low));
    _mm256_storeu_pd(p + 4, _mm256_add_pd(_mm256_loadu_pd(p + 4), high));
#else
    for (int i = 0; i < VEC_WIDTH; i++)
        p[i] += (double)v[i];
#endif
}

VEC_INLINE float vec_sum(vec v)
{
    float s[VEC_WIDTH];
    memcpy(s, &v, sizeof s);
    for (int n = VEC_WIDTH / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}

#endif
