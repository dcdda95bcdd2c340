/* What lies behind cuBLASLt's handles and in its descriptors. */
#ifndef HL_CUDA_EMULATOR_CUBLASLT_OBJECTS_H
#define HL_CUDA_EMULATOR_CUBLASLT_OBJECTS_H

#include "tests/cuda_emulator/runtime.h"

#include <cublasLt.h>

#include <set>

struct cublasLtContext {
    int device;
};

namespace emulated
{

struct layout {
    int32_t type, order;
    uint64_t rows, cols;
    int64_t ld, stride;
    int32_t batches, known;
};

struct product {
    int32_t known, compute, scale, pointers, transpose[3], epilogue, bias_type, unused;
    const void *bias;
};

struct preference {
    int32_t known;
    uint32_t mode, alignment[4]; /* A, B, C, D */
    uint64_t workspace;
};

struct algorithm {
    uint32_t known, number, alignment[4], operands, result;
    uint64_t workspace;
};

static_assert(sizeof(layout) <= sizeof(cublasLtMatrixLayoutOpaque_t));
static_assert(sizeof(product) <= sizeof(cublasLtMatmulDescOpaque_t));
static_assert(sizeof(preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t));
static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t));

enum { KNOWN = 0x6c747473 };

extern std::set<cublasLtHandle_t> blas_handles;

/* The part of ours in an opaque descriptor. */
template <class Inside, class Opaque> Inside &inside(Opaque *opaque)
{
    return *reinterpret_cast<Inside *>(opaque->data);
}

} // namespace emulated

#endif
