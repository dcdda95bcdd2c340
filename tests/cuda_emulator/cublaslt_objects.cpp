/* cuBLASLt's handles and descriptors. */
#include "tests/cuda_emulator/cublaslt_objects.h"

#include <cstring>

using namespace emulated;

std::set<cublasLtHandle_t> emulated::blas_handles;

/* ------------------------------------------------------------------ handle */

extern "C" cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    LIBRARY_CALL(cublasLtCreate, cublasStatus_t);
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!machine_has_device(current_device()) || device_broken())
        return CUBLAS_STATUS_NOT_INITIALIZED;
    blas_handles.insert(*handle = new cublasLtContext{current_device()});
    held_handles++;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    LIBRARY_CALL(cublasLtDestroy, cublasStatus_t);
    if (!blas_handles.erase(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    held_handles--;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" size_t cublasLtGetVersion(void)
{
    return CUBLAS_VERSION;
}

extern "C" size_t cublasLtGetCudartVersion(void)
{
    return CUDART_VERSION;
}

static const struct {
    cublasStatus_t code;
    const char *name, *text;
} statuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH",
     "the function requires a feature absent from the device architecture"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED",
     "the requested functionality is not supported"},
};

extern "C" const char *cublasLtGetStatusName(cublasStatus_t status)
{
    for (auto &s : statuses)
        if (s.code == status)
            return s.name;
    return "<unknown>";
}

extern "C" const char *cublasLtGetStatusString(cublasStatus_t status)
{
    for (auto &s : statuses)
        if (s.code == status)
            return s.text;
    return "<unknown>";
}

extern "C" const char *cublasGetStatusName(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

extern "C" const char *cublasGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusString(status);
}

/* ------------------------------------------------------------------ descriptors */

/* A value of an attribute, which must have the size that it has. */
template <class T> static cublasStatus_t take(T &to, const void *from, size_t bytes)
{
    if (!from || bytes != sizeof to)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&to, from, sizeof to);
    return CUBLAS_STATUS_SUCCESS;
}

template <class Opaque> static cublasStatus_t made(Opaque **descriptor)
{
    if (!descriptor)
        return CUBLAS_STATUS_INVALID_VALUE;
    *descriptor = new Opaque{};
    held_handles++;
    return CUBLAS_STATUS_SUCCESS;
}

template <class Opaque> static cublasStatus_t destroyed(Opaque *descriptor)
{
    if (!descriptor)
        return CUBLAS_STATUS_SUCCESS;
    delete descriptor;
    held_handles--;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t descriptor, size_t size,
                                                            cudaDataType type, uint64_t rows, uint64_t cols,
                                                            int64_t ld)
{
    if (!descriptor || size < sizeof(layout))
        return CUBLAS_STATUS_INVALID_VALUE;
    inside<layout>(descriptor) = {type, CUBLASLT_ORDER_COL, rows, cols, ld, 0, 1, KNOWN};
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *descriptor, cudaDataType type,
                                                     uint64_t rows, uint64_t cols, int64_t ld)
{
    LIBRARY_CALL(cublasLtMatrixLayoutCreate, cublasStatus_t);
    cublasStatus_t status = made(descriptor);
    return status ? status
                  : cublasLtMatrixLayoutInit_internal(*descriptor, sizeof **descriptor, type, rows, cols, ld);
}

extern "C" cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t descriptor)
{
    LIBRARY_CALL(cublasLtMatrixLayoutDestroy, cublasStatus_t);
    return destroyed(descriptor);
}

extern "C" cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t descriptor,
                                                           cublasLtMatrixLayoutAttribute_t attribute,
                                                           const void *value, size_t bytes)
{
    LIBRARY_CALL(cublasLtMatrixLayoutSetAttribute, cublasStatus_t);
    if (!descriptor || inside<layout>(descriptor).known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    layout &l = inside<layout>(descriptor);
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        return take(l.type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return take(l.order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        return take(l.rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        return take(l.cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        return take(l.ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return take(l.batches, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return take(l.stride, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

extern "C" cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t descriptor, size_t size,
                                                          cublasComputeType_t compute, cudaDataType_t scale)
{
    if (!descriptor || size < sizeof(product))
        return CUBLAS_STATUS_INVALID_VALUE;
    inside<product>(descriptor) = {KNOWN,
                                   compute,
                                   scale,
                                   CUBLASLT_POINTER_MODE_HOST,
                                   {CUBLAS_OP_N, CUBLAS_OP_N, CUBLAS_OP_N},
                                   CUBLASLT_EPILOGUE_DEFAULT,
                                   -1,
                                   0,
                                   nullptr};
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *descriptor,
                                                   cublasComputeType_t compute, cudaDataType_t scale)
{
    LIBRARY_CALL(cublasLtMatmulDescCreate, cublasStatus_t);
    cublasStatus_t status = made(descriptor);
    return status ? status
                  : cublasLtMatmulDescInit_internal(*descriptor, sizeof **descriptor, compute, scale);
}

extern "C" cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor)
{
    LIBRARY_CALL(cublasLtMatmulDescDestroy, cublasStatus_t);
    return destroyed(descriptor);
}

extern "C" cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor,
                                                         cublasLtMatmulDescAttributes_t attribute,
                                                         const void *value, size_t bytes)
{
    LIBRARY_CALL(cublasLtMatmulDescSetAttribute, cublasStatus_t);
    if (!descriptor || inside<product>(descriptor).known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    product &p = inside<product>(descriptor);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        return take(p.compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        return take(p.scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return take(p.pointers, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return take(p.transpose[0], value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return take(p.transpose[1], value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSC:
        return take(p.transpose[2], value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return take(p.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return take(p.bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        return take(p.bias_type, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t descriptor,
                                                                size_t size)
{
    if (!descriptor || size < sizeof(preference))
        return CUBLAS_STATUS_INVALID_VALUE;
    inside<preference>(descriptor) = {KNOWN, CUBLASLT_SEARCH_BEST_FIT, {256, 256, 256, 256}, 0};
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *descriptor)
{
    LIBRARY_CALL(cublasLtMatmulPreferenceCreate, cublasStatus_t);
    cublasStatus_t status = made(descriptor);
    return status ? status : cublasLtMatmulPreferenceInit_internal(*descriptor, sizeof **descriptor);
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t descriptor)
{
    LIBRARY_CALL(cublasLtMatmulPreferenceDestroy, cublasStatus_t);
    return destroyed(descriptor);
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t descriptor,
                                                               cublasLtMatmulPreferenceAttributes_t attribute,
                                                               const void *value, size_t bytes)
{
    LIBRARY_CALL(cublasLtMatmulPreferenceSetAttribute, cublasStatus_t);
    uint32_t ignored;
    if (!descriptor || inside<preference>(descriptor).known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    preference &p = inside<preference>(descriptor);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
        return take(p.mode, value, bytes);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return take(p.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return take(p.alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return take(p.alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return take(p.alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return take(p.alignment[3], value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
    case CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT:
    case CUBLASLT_MATMUL_PREF_IMPL_MASK:
        return bytes == sizeof(uint64_t) ? CUBLAS_STATUS_SUCCESS : take(ignored, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}
