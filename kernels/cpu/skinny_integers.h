/* The product of a linear layer at small batch (skinny.h) with weights of eight bits: they are read once, as
 * they lie, and that is a quarter of the bytes. Sums are exact, so a result does not depend on the number of
 * threads. */
#ifndef HL_KERNELS_CPU_SKINNY_INTEGERS_H
#define HL_KERNELS_CPU_SKINNY_INTEGERS_H

#include "kernels/cpu/skinny.h"
#include "ops/params.h"

#include <stdint.h>

/* Sizes fixed at prepare time; immutable afterwards. */
typedef struct hl_skinny_integers {
    size_t m;          /* rows of the batch at most, 1..HL_SKINNY_MAX */
    size_t n_out;      /* rows of the weights, >= 1 */
    size_t n_in;       /* columns of the weights */
    size_t width;      /* of a quantized row: n_in and zeros up to whole vectors */
    int threads;       /* at most, >= 1 */
    size_t work_bytes; /* scratch of a call; 64-byte aligned */
} hl_skinny_integers;

/* False if the scratch size overflows. */
bool hl_skinny_integers_prepare(hl_skinny_integers *plan, size_t m, size_t n_out, size_t n_in, int threads);

/* What the sums become: y [m,n_out] = act(sum x_step[m] w_scale[n_out] + bias[n_out] + addend [m,n_out]);
 * bias and addend may be NULL, and addend may be y itself. */
typedef struct hl_scaling {
    const float *w_scale, *bias, *addend;
    hl_activation activation;
    float *y;
} hl_scaling;

/* x [m,n_in], m <= plan->m, quantized by *x_scale or (NULL) row by row; w [n_out,n_in]. */
void hl_skinny_integers_run(const hl_skinny_integers *plan, size_t m, const float *x, const float *x_scale,
                            const int8_t *w, const hl_scaling *scaling, void *work);

#endif
