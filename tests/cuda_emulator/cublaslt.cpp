/* cublasLtMatmul by its definition. Sums are in double; what the library does not support is refused. */
#include "tests/cuda_emulator/cublaslt_objects.h"
#include "tests/cuda_emulator/number.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

using namespace emulated;

/* ------------------------------------------------------------------ what can be done */

namespace
{

struct matrices {
    layout a, b, c, d;
};

} // namespace

static bool has_transposed(const product &p, int which)
{
    return p.transpose[which] != CUBLAS_OP_N;
}

static bool is_sound(const layout &l)
{
    uint64_t least = l.order == CUBLASLT_ORDER_ROW ? l.cols : l.rows;
    return l.known == KNOWN && l.rows && l.cols && l.ld > 0 && (uint64_t)l.ld >= least && l.batches >= 1;
}

static cublasStatus_t check_shapes(const product &p, const matrices &m)
{
    for (const layout *l : {&m.a, &m.b, &m.c, &m.d})
        if (!is_sound(*l) || l->batches != m.d.batches)
            return CUBLAS_STATUS_INVALID_VALUE;
    bool ta = has_transposed(p, 0), tb = has_transposed(p, 1);
    uint64_t rows = ta ? m.a.cols : m.a.rows, inner = ta ? m.a.rows : m.a.cols;
    uint64_t inner_b = tb ? m.b.cols : m.b.rows, cols = tb ? m.b.rows : m.b.cols;
    bool fit = inner == inner_b && m.d.rows == rows && m.d.cols == cols && m.c.rows == rows &&
               m.c.cols == cols;
    return fit ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

static bool is_epilogue(int epilogue)
{
    switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
        return true;
    default:
        return false;
    }
}

/* Integers of eight bits, summed in 32: the first operand transposed and the second not, columns apart and both
 * dimensions of the first a multiple of four. */
static bool is_integer(const product &p, const matrices &m)
{
    bool types = p.compute == CUBLAS_COMPUTE_32I && p.scale == CUDA_R_32I && m.a.type == CUDA_R_8I &&
                 m.b.type == CUDA_R_8I && m.c.type == CUDA_R_32I && m.d.type == CUDA_R_32I;
    bool fours = m.a.ld % 4 == 0 && m.b.ld % 4 == 0 && m.c.ld % 4 == 0 && m.d.ld % 4 == 0 && m.a.rows % 4 == 0 &&
                 m.a.cols % 4 == 0;
    return types && fours && has_transposed(p, 0) && !has_transposed(p, 1) && p.epilogue == CUBLASLT_EPILOGUE_DEFAULT &&
           m.a.order == CUBLASLT_ORDER_COL && m.b.order == CUBLASLT_ORDER_COL && m.d.order == CUBLASLT_ORDER_COL;
}

/* The rows of the library's table of types that are for a scale in f32: a result is of the type of its
 * operands, or f32, and the bias is of the result's. */
static bool has_types(const product &p, const matrices &m)
{
    bool fast = p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    bool exact = p.compute == CUBLAS_COMPUTE_32F || p.compute == CUBLAS_COMPUTE_32F_PEDANTIC;
    bool bias = p.bias_type == -1 || p.bias_type == m.d.type;
    if (m.a.type == CUDA_R_8I)
        return is_integer(p, m);
    return (exact || (fast && m.a.type == CUDA_R_32F)) && p.scale == CUDA_R_32F &&
           number_bytes((cudaDataType_t)m.a.type) && m.a.type == m.b.type && m.c.type == m.d.type &&
           (m.d.type == m.a.type || m.d.type == CUDA_R_32F) &&
           (bias || !(p.epilogue & CUBLASLT_EPILOGUE_BIAS));
}

static cublasStatus_t check(const product &p, const matrices &m)
{
    if (p.known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const layout *l : {&m.a, &m.b, &m.c, &m.d})
        if (l->order != CUBLASLT_ORDER_COL && l->order != CUBLASLT_ORDER_ROW)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!has_types(p, m) || !is_epilogue(p.epilogue) || p.pointers != CUBLASLT_POINTER_MODE_HOST ||
        has_transposed(p, 2) || m.c.order != m.d.order)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return check_shapes(p, m);
}

static matrices inside_all(cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                           cublasLtMatrixLayout_t d)
{
    return {inside<layout>(a), inside<layout>(b), inside<layout>(c), inside<layout>(d)};
}

/* Three, the first of which wants no workspace. They are for the alignment that was promised and no less. */
extern "C" cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                                         cublasLtMatmulDesc_t operation,
                                                         cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                         cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                         cublasLtMatmulPreference_t wanted, int most,
                                                         cublasLtMatmulHeuristicResult_t *results, int *n)
{
    static const uint64_t workspaces[] = {0, 64 << 10, 4 << 20};
    LIBRARY_CALL(cublasLtMatmulAlgoGetHeuristic, cublasStatus_t);
    if (!blas_handles.count(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!operation || !a || !b || !c || !d || !results || !n || most <= 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    *n = 0;
    matrices m = inside_all(a, b, c, d);
    if (cublasStatus_t status = check(inside<product>(operation), m))
        return status;
    preference p = {KNOWN, 0, {256, 256, 256, 256}, 0};
    if (wanted)
        p = inside<preference>(wanted);
    if (p.known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (uint32_t i = 0; i < 3 && *n < most; i++) {
        if (workspaces[i] > p.workspace)
            continue;
        cublasLtMatmulHeuristicResult_t &r = results[(*n)++];
        r = {};
        inside<algorithm>(&r.algo) = {KNOWN,
                                      i + 1,
                                      {p.alignment[0], p.alignment[1], p.alignment[2], p.alignment[3]},
                                      (uint32_t)m.a.type,
                                      (uint32_t)m.d.type,
                                      workspaces[i]};
        r.workspaceSize = workspaces[i];
        r.state = CUBLAS_STATUS_SUCCESS;
        r.wavesCount = 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* Whether the algorithm, from anywhere, does this product. */
static cublasStatus_t check_algorithm(const cublasLtMatmulAlgo_t *algo, const product &p, const matrices &m,
                                      uint64_t *workspace)
{
    algorithm in;
    memcpy(&in, algo->data, sizeof in);
    if (in.known != KNOWN)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (in.operands != (uint32_t)m.a.type || in.result != (uint32_t)m.d.type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *workspace = in.workspace;
    return check(p, m);
}

extern "C" cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                                  cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                  cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                  const cublasLtMatmulAlgo_t *algo,
                                                  cublasLtMatmulHeuristicResult_t *result)
{
    LIBRARY_CALL(cublasLtMatmulAlgoCheck, cublasStatus_t);
    uint64_t workspace = 0;
    if (!blas_handles.count(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!operation || !a || !b || !c || !d || !algo || !result)
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = check_algorithm(algo, inside<product>(operation), inside_all(a, b, c, d),
                                            &workspace);
    *result = {};
    result->algo = *algo;
    result->workspaceSize = workspace;
    result->state = status;
    return status;
}

/* ------------------------------------------------------------------ the product */

namespace
{

struct operation {
    product p;
    matrices m;
    const void *a, *b, *c;
    void *d;
    double alpha, beta;
    void *workspace;
    size_t workspace_bytes;
};

} // namespace

static int64_t offset(const layout &l, int64_t row, int64_t col)
{
    return l.order == CUBLASLT_ORDER_ROW ? row * l.ld + col : col * l.ld + row;
}

static size_t extent(const layout &l)
{
    int64_t last = offset(l, (int64_t)l.rows - 1, (int64_t)l.cols - 1);
    int64_t batches = l.stride > 0 ? (l.batches - 1) * l.stride : 0;
    return (size_t)(batches + last + 1) * number_bytes((cudaDataType_t)l.type);
}

/* The matrix, or its transpose, as `lines` lines of `terms` numbers each. */
static std::vector<double> lines_of(const void *data, const layout &l, int64_t batch, bool by_rows, bool tf32)
{
    const int64_t lines = (int64_t)(by_rows ? l.rows : l.cols), terms = (int64_t)(by_rows ? l.cols : l.rows);
    std::vector<double> packed((size_t)(lines * terms));
    for (int64_t i = 0; i < lines; i++)
        for (int64_t k = 0; k < terms; k++) {
            double x = number_get(data, (cudaDataType_t)l.type,
                                 batch * l.stride + (by_rows ? offset(l, i, k) : offset(l, k, i)));
            packed[(size_t)(i * terms + k)] = tf32 ? number_tf32((float)x) : x;
        }
    return packed;
}

/* Four sums side by side, so that it is quick. */
static double dot(const double *a, const double *b, int64_t n)
{
    double sum[4] = {};
    int64_t k = 0;
    for (; k + 4 <= n; k += 4)
        for (int i = 0; i < 4; i++)
            sum[i] += a[k + i] * b[k + i];
    for (; k < n; k++)
        sum[0] += a[k] * b[k];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double activated(int epilogue, double x)
{
    if (epilogue & CUBLASLT_EPILOGUE_RELU)
        return x <= 0 ? 0 : x; /* NaN stays NaN */
    if (epilogue & CUBLASLT_EPILOGUE_GELU)
        return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    return x;
}

static void multiply(const operation &o, int64_t batch)
{
    const bool tf32 = o.p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const layout &d = o.m.d;
    const int64_t terms = (int64_t)(has_transposed(o.p, 0) ? o.m.a.rows : o.m.a.cols);
    std::vector<double> a = lines_of(o.a, o.m.a, batch, !has_transposed(o.p, 0), tf32);
    std::vector<double> b = lines_of(o.b, o.m.b, batch, has_transposed(o.p, 1), tf32);
    const cudaDataType_t type = (cudaDataType_t)d.type;
    for (int64_t col = 0; col < (int64_t)d.cols; col++)
        for (int64_t row = 0; row < (int64_t)d.rows; row++) {
            double x = o.alpha * dot(&a[(size_t)(row * terms)], &b[(size_t)(col * terms)], terms);
            if (o.beta != 0)
                x += o.beta * number_get(o.c, type, batch * o.m.c.stride + offset(o.m.c, row, col));
            if (o.p.epilogue & CUBLASLT_EPILOGUE_BIAS)
                x += number_get(o.p.bias, type, row);
            number_set(o.d, type, batch * d.stride + offset(d, row, col), activated(o.p.epilogue, x));
        }
}

static void run(const operation &o)
{
    bool bias = o.p.epilogue & CUBLASLT_EPILOGUE_BIAS;
    if (device_broken())
        return;
    if (!memory_is_mapped(o.a, extent(o.m.a)) || !memory_is_mapped(o.b, extent(o.m.b)) ||
        (o.beta != 0 && !memory_is_mapped(o.c, extent(o.m.c))) || !memory_is_mapped(o.d, extent(o.m.d)) ||
        (bias && !memory_is_mapped(o.p.bias, o.m.d.rows * number_bytes((cudaDataType_t)o.m.d.type))) ||
        !memory_is_mapped(o.workspace, o.workspace_bytes)) {
        fprintf(stderr, "CUDA emulator: cublasLtMatmul reaches beyond memory of the device\n");
        return device_break(cudaErrorIllegalAddress);
    }
    if (o.workspace_bytes)
        memset(o.workspace, 0xff, o.workspace_bytes);
    for (int64_t batch = 0; batch < o.m.d.batches; batch++)
        multiply(o, batch);
}

/* A host scalar of the product's type. */
static double scalar(const product &p, const void *value)
{
    return p.scale == CUDA_R_32I ? *static_cast<const int32_t *>(value) : *static_cast<const float *>(value);
}

static bool is_aligned(const void *p, uint32_t bytes)
{
    return !bytes || (uintptr_t)p % bytes == 0;
}

extern "C" cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t computation,
                                         const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                                         const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                                         const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                                         cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                                         void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    LIBRARY_CALL(cublasLtMatmul, cublasStatus_t);
    if (!blas_handles.count(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!computation || !alpha || !beta || !a || !b || !d || !a_layout || !b_layout || !c_layout || !d_layout)
        return CUBLAS_STATUS_INVALID_VALUE;
    operation o = {inside<product>(computation),
                   inside_all(a_layout, b_layout, c_layout, d_layout),
                   a,
                   b,
                   c,
                   d,
                   0,
                   0,
                   workspace,
                   0};
    cublasStatus_t status = check(o.p, o.m);
    o.alpha = scalar(o.p, alpha);
    o.beta = scalar(o.p, beta);
    if (!status && algo) {
        uint64_t needed = 0;
        const algorithm &in = inside<const algorithm>(algo);
        status = check_algorithm(algo, o.p, o.m, &needed);
        o.workspace_bytes = needed;
        if (!status && (needed > workspace_bytes || (needed && !is_aligned(workspace, 256))))
            status = CUBLAS_STATUS_INVALID_VALUE;
        if (!status && (!is_aligned(a, in.alignment[0]) || !is_aligned(b, in.alignment[1]) ||
                        !is_aligned(c, in.alignment[2]) || !is_aligned(d, in.alignment[3])))
            status = CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (status)
        return status;
    const bool integers = o.m.a.type == CUDA_R_8I;
    const uint32_t operand_bytes = integers ? 4 : (uint32_t)number_bytes((cudaDataType_t)o.m.a.type);
    const uint32_t result_bytes = (uint32_t)number_bytes((cudaDataType_t)o.m.d.type);
    bool needs_bias = o.p.epilogue & CUBLASLT_EPILOGUE_BIAS;
    if (!is_aligned(a, operand_bytes) || !is_aligned(b, operand_bytes) || !is_aligned(d, result_bytes) ||
        (o.beta != 0 && (!c || !is_aligned(c, result_bytes))) ||
        (needs_bias && (!o.p.bias || !is_aligned(o.p.bias, result_bytes))))
        return CUBLAS_STATUS_INVALID_VALUE;
    return device_broken() || stream_submit(stream, [o] { run(o); }) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                                     : CUBLAS_STATUS_SUCCESS;
}
