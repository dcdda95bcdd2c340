/* c = op(a) op(b) in fp32, row-major, in plain C: packed panels around a register tile (Goto & van de
 * Geijn 2008, "Anatomy of high-performance matrix multiplication").  Every element of c is summed over k
 * in one order, whatever the tile it falls in and the number of threads.  Nothing is allocated: hl_gemm
 * keeps its panels on the stack, under 320 KiB per thread. */
#ifndef HL_KERNELS_CPU_GEMM_H
#define HL_KERNELS_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* op(a) [M,K] op(b) [K,N] -> c [M,N]; transpose_a: a lies as [K,M], transpose_b: b as [N,K].  ld*: floats
 * from one row (as it lies) to the next.  accumulate: added to c.  K = 0 is a sum of nothing.  All
 * threads share the work; within a parallel region call hl_gemm_serial. */
void hl_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, const float *a, int64_t lda,
             const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate);
/* The same numbers by the calling thread alone. */
void hl_gemm_serial(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, const float *a,
                    int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate);

/* ------------------------------------------------------------------ operands packed by the caller
 * For an operand that many products share: pack it once into memory of one's own (64-byte aligned). */

/* Bytes of a packed op(a) [M,K] and a packed op(b) [K,N], multiples of 64; false if they overflow. */
bool hl_gemm_left_bytes(int64_t M, int64_t K, size_t *bytes);
bool hl_gemm_right_bytes(int64_t K, int64_t N, size_t *bytes);
void hl_gemm_pack_left(bool transpose, int64_t M, int64_t K, const float *a, int64_t lda, float *packed);
void hl_gemm_pack_right(bool transpose, int64_t K, int64_t N, const float *b, int64_t ldb, float *packed);
/* Row k of a right operand [K,N] alone. */
void hl_gemm_pack_right_row(int64_t K, int64_t N, int64_t k, const float *row, float *packed);
/* The product of two packed operands, by the calling thread. */
void hl_gemm_packed(int64_t M, int64_t N, int64_t K, const float *left, const float *right, float *c,
                    int64_t ldc, bool accumulate);

#endif
