/* Sums in double. A sum of many terms is cut into pieces of fixed size, each summed by one thread,
 * and the pieces are added in order: the result does not depend on the number of threads. */
#ifndef HL_KERNELS_CPU_SUM_H
#define HL_KERNELS_CPU_SUM_H

#include "kernels/cpu/shape.h"

enum { HL_SUM_PIECE = 16384 }; /* terms */

/* Sum over i < n of an expression of i. Four running sums side by side hide the latency of an
 * addition; `quarter` is how far apart they run. */
#define HL_SUM(result, n, term)                                                                              \
    do {                                                                                                     \
        const int64_t quarter = (n) / 4;                                                                     \
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                                               \
        HL_PRAGMA(omp simd reduction(+ : s0, s1, s2, s3))                                                    \
        for (int64_t k = 0; k < quarter; k++) {                                                              \
            s0 += term(k);                                                                                   \
            s1 += term(k + quarter);                                                                         \
            s2 += term(k + 2 * quarter);                                                                     \
            s3 += term(k + 3 * quarter);                                                                     \
        }                                                                                                    \
        for (int64_t k = 4 * quarter; k < (n); k++)                                                          \
            s0 += term(k);                                                                                   \
        (result) = (s0 + s1) + (s2 + s3);                                                                    \
    } while (0)

static inline double hl_sum_plain(const float *x, int64_t n)
{
    double sum;
#define TERM(i) (double)x[i]
    HL_SUM(sum, n, TERM);
#undef TERM
    return sum;
}

static inline double hl_sum_squares(const float *x, int64_t n)
{
    double sum;
#define TERM(i) (double)x[i] * (double)x[i]
    HL_SUM(sum, n, TERM);
#undef TERM
    return sum;
}

/* Sum of (x[i] - mean)^2 */
static inline double hl_sum_deviation(const float *x, double mean, int64_t n)
{
    double sum;
#define TERM(i) ((double)x[i] - mean) * ((double)x[i] - mean)
    HL_SUM(sum, n, TERM);
#undef TERM
    return sum;
}

/* Sum of (a[i] - b[i])^2 */
static inline double hl_sum_squared_difference(const float *a, const float *b, int64_t n)
{
    double sum;
#define TERM(i) ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i])
    HL_SUM(sum, n, TERM);
#undef TERM
    return sum;
}

static inline double hl_sum_products(const float *a, const float *b, int64_t n)
{
    double sum;
#define TERM(i) (double)a[i] * (double)b[i]
    HL_SUM(sum, n, TERM);
#undef TERM
    return sum;
}

/* In order, from partial sums that lie `stride` apart. */
static inline double hl_sum_partial(const double *partial, int64_t n, int64_t stride)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += partial[i * stride];
    return sum;
}

/* Workspace of `a` x `b` doubles; HL_ERR_MEMORY if that overflows. */
hl_status hl_want_partials(hl_call *call, int64_t a, int64_t b, hl_error *err);

#endif
