/* Which of cuBLASLt's algorithms was found the fastest for a product: remembered by the device, and in a file
 * from one process to the next, so that the same algorithm, hence the same rounding, is used again. */
#ifndef HL_KERNELS_CUDA_ALGORITHMS_H
#define HL_KERNELS_CUDA_ALGORITHMS_H

#include "hl.h"

#include <cublasLt.h>

/* All that an algorithm may depend on. No padding: compared by memcmp, and written to the file as it is. */
typedef struct hl_product_key {
    int64_t M, N, K;
    uint64_t workspace; /* bytes */
    int32_t transpose_a, transpose_b;
    int32_t operands, result;                    /* hl_dtype */
    int32_t math;                                /* hl_math */
    int32_t bias, addend, in_place;              /* 0 or 1; in_place: the addend lies where the result goes */
    uint32_t align_a, align_b, align_c, align_d; /* bytes, at most 256 */
} hl_product_key;

typedef struct hl_algorithms hl_algorithms;

/* Those of a device, from its file if there is one: HL_CUDA_CACHE names the directory (empty: no file), else
 * $XDG_CACHE_HOME/hl or ~/.cache/hl. A file that cannot be read, is damaged or is not of this device and
 * library is passed over. NULL: no memory. */
hl_algorithms *hl_algorithms_open(const char *device, int processors, uint64_t library);
/* NULL: none is known. */
const cublasLtMatmulAlgo_t *hl_algorithms_find(const hl_algorithms *a, const hl_product_key *key);
/* Remembers one, in place of what was known for the key; without memory for it, does not. */
void hl_algorithms_add(hl_algorithms *a, const hl_product_key *key, const cublasLtMatmulAlgo_t *algorithm);
/* Writes the file if something was added, and frees a; accepts NULL. A file that cannot be written is not. */
void hl_algorithms_close(hl_algorithms *a);

#endif
