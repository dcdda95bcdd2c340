/* What products of integers share: quantizing, and exact sums by cuBLASLt or, where it refuses, plainly. */
#ifndef HL_KERNELS_CUDA_INTEGERS_H
#define HL_KERNELS_CUDA_INTEGERS_H

#include "kernels/cuda/matmul.h"
#include "kernels/quantized.h"

/* cuBLASLt's products of integers: the second operand transposed, its rows and columns in fours, everything
 * at a multiple of 4 bytes. */
enum { HL_INTEGERS_IN_FOURS = 4 };

/* a [M,K] b [N,K]^T -> sums [M,N] of 32 bits; as the call that the ways of matmul.h take. */
typedef struct hl_integer_product {
    hl_matmul_params params;
    hl_view in[4];
    hl_call call;
    hl_product product;
} hl_integer_product;

/* Fills a zeroed *p; returns the bytes of scratch that a run takes. */
size_t hl_integers_prepare(hl_integer_product *p, int64_t M, int64_t N, int64_t K);
hl_status hl_integers_run(const hl_call *call, hl_integer_product *p, const int8_t *a, const int8_t *b,
                          int32_t *sums, void *scratch, hl_error *err);
void hl_integers_release(hl_integer_product *p);

/* x [rows,n] -> q [rows,n] and step [rows]: *given, or NULL: of each row. One launch, a block for a row. */
hl_status hl_quantize_rows(const hl_call *call, const float *x, int64_t rows, int64_t n, const float *given,
                           int8_t *q, float *step, hl_error *err);

/* The parts of a call's workspace, each at a multiple of HL_SCRATCH_ALIGN. */
typedef struct hl_parts {
    size_t bytes;
    bool overflows;
} hl_parts;

/* Adds a part; returns where it lies after hl_scratch(call). */
size_t hl_parts_add(hl_parts *parts, int64_t rows, int64_t columns, size_t size);

template <class T> T *hl_scratch_at(const hl_call *call, size_t at)
{
    return reinterpret_cast<T *>(static_cast<char *>(hl_scratch(call)) + at);
}

#endif
