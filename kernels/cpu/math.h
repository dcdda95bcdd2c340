/* Formulas over rows. */
#ifndef HL_KERNELS_CPU_MATH_H
#define HL_KERNELS_CPU_MATH_H

#include "kernels/formulas.h"

/* The largest number of x, -infinity if there is none. Lanes side by side: compilers do not vectorise a
 * maximum by themselves unless they may forget about NaN, which is passed over here. */
static inline float hl_largest(const float *x, int64_t n)
{
    enum { LANES = 16 };
    float lane[LANES], most = -INFINITY;
    int64_t i = 0;
    for (int k = 0; k < LANES; k++)
        lane[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
    for (; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (int k = 0; k < LANES; k++)
        most = lane[k] > most ? lane[k] : most;
    return most;
}

/* Epilogue of a row of n values. */
static inline void hl_activate(float *y, int64_t n, hl_activation activation)
{
    if (activation == HL_ACT_RELU) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = hl_reluf(y[i]);
    } else if (activation == HL_ACT_GELU) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = hl_geluf(y[i]);
    }
}

#endif
