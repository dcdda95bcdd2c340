/* Matrix products of a linear layer at small batch: the batch m is 1 to HL_SKINNY_MAX rows, the
 * weights [n_out, n_in] (row-major, as they lie in a checkpoint) are far larger than any cache.
 * Every kernel reads or writes the weight matrix exactly once, in software-prefetched tiles, and
 * keeps the batch in the first two cache levels.
 *
 *   hl_skinny_nt  y[m,o]  = x[m,i] w[o,i]^T     forward
 *   hl_skinny_nn  dx[m,i] = dy[m,o] w[o,i]      gradient of the input
 *   hl_skinny_tn  dw[o,i] = dy[m,o]^T x[m,i]    gradient of the weights
 *
 * Sums run over the reduced index in ascending order in blocks of fixed length (hl_skinny_nt at
 * m == 1: in lanes), whatever the number of threads, so a result does not depend on it; and the
 * blocks keep rounding errors small where the sum is long.
 * The blocking follows Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication",
 * ACM TOMS 34(3), 2008. */
#ifndef HL_KERNELS_CPU_SKINNY_H
#define HL_KERNELS_CPU_SKINNY_H

#include "hl.h"

#include <stdbool.h>
#include <stddef.h>

enum { HL_SKINNY_MAX = 64 };

typedef enum hl_skinny_product { HL_SKINNY_NT, HL_SKINNY_NN, HL_SKINNY_TN } hl_skinny_product;

/* Sizes fixed at prepare time; immutable afterwards, so threads may share it. */
typedef struct hl_skinny {
    size_t m;          /* rows of the batch, 1..HL_SKINNY_MAX */
    size_t n_out;      /* rows of the weights, >= 1 */
    size_t n_in;       /* columns of the weights, >= 1 */
    int threads;       /* OpenMP threads to use at most, >= 1 */
    size_t work_bytes; /* scratch that the call needs; 64-byte aligned, not shared by calls that run
                        * at the same time; contents need not survive */
} hl_skinny;

/* Plans one of the products. False if the scratch size overflows; sizes outside the ranges above are
 * a bug of the caller. */
bool hl_skinny_prepare(hl_skinny *plan, hl_skinny_product product, size_t m, size_t n_out, size_t n_in,
                       int threads);

/* y [m, n_out] = x [m, n_in] w^T + bias [n_out] + addend [m, n_out]; bias and addend may be NULL, and
 * addend may be y itself. w is of any float type, at m == 1 f32. */
void hl_skinny_nt(const hl_skinny *plan, const float *x, const void *w, hl_dtype w_type, const float *bias,
                  const float *addend, float *y, void *work);

/* dx [m, n_in] = or += (accumulate) dy [m, n_out] w. */
void hl_skinny_nn(const hl_skinny *plan, const float *dy, const float *w, bool accumulate, float *dx,
                  void *work);

/* dw [n_out, n_in] = or += dy^T x. */
void hl_skinny_tn(const hl_skinny *plan, const float *dy, const float *x, bool accumulate, float *dw,
                  void *work);

#endif
