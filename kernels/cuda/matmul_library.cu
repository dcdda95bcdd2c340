/* Products by cuBLASLt. Which of its algorithms: at a call's first run the likeliest are tried, and the
 * fastest is kept (algorithms.h). Only those that sum in a fixed order and in f32 are asked for. */
#include "kernels/cuda/algorithms.h"
#include "kernels/cuda/matmul.h"

enum { CANDIDATES = 8, TRIES = 8 };
/* One that comes later in the library's own order must be this much faster: noise is to decide nothing. */
static const float CLEARLY = 0.97f;

static hl_status check(cublasStatus_t code, const char *what, hl_error *err)
{
    if (code == CUBLAS_STATUS_SUCCESS)
        return HL_OK;
    (void)cudaGetLastError();
    return hl_fail(err, code == CUBLAS_STATUS_ALLOC_FAILED ? HL_ERR_MEMORY : HL_ERR_DEVICE,
                   "%s: cuBLASLt: %s (%s)", what, cublasLtGetStatusString(code), cublasLtGetStatusName(code));
}

/* ------------------------------------------------------------------ what a device keeps */

hl_status hl_cuda_matmul_open(hl_device *device, hl_error *err)
{
    cudaDeviceProp properties;
    hl_status status = hl_cuda_check(cudaGetDeviceProperties(&properties, device->ordinal), "opening a GPU",
                                     err);
    if (status == HL_OK)
        status = check(cublasLtCreate(&device->blas), "opening a GPU", err);
    if (status != HL_OK)
        return status;
    device->algorithms = hl_algorithms_open(properties.name, properties.multiProcessorCount,
                                            cublasLtGetVersion());
    return device->algorithms ? HL_OK
                              : hl_fail(err, HL_ERR_MEMORY, "no memory to open cuda:%d", device->ordinal);
}

void hl_cuda_matmul_close(hl_device *device)
{
    hl_algorithms_close(device->algorithms);
    if (device->blas)
        (void)cublasLtDestroy(device->blas);
}

/* ------------------------------------------------------------------ describing a product */

static cudaDataType_t type_of(hl_dtype dtype)
{
    return dtype == HL_F16    ? CUDA_R_16F
           : dtype == HL_BF16 ? CUDA_R_16BF
           : dtype == HL_I8   ? CUDA_R_8I
                              : CUDA_R_32F;
}

/* The largest power of two that p is a multiple of, at most 256. */
static uint32_t alignment(const void *p)
{
    uint32_t bytes = 256;
    while (reinterpret_cast<uintptr_t>(p) % bytes)
        bytes /= 2;
    return bytes;
}

/* 32 MB let the largest products be split for the whole of a Hopper GPU; small ones need little. */
size_t hl_product_scratch(const hl_product *p)
{
    double terms = (double)p->M * (double)p->N * (double)p->K;
    return terms >= 1 << 27 ? (size_t)32 << 20 : terms >= 1 << 20 ? (size_t)4 << 20 : (size_t)1 << 16;
}

/* Of a row-major matrix, read as the transposed column-major one. */
static hl_status new_layout(cublasLtMatrixLayout_t *layout, cudaDataType_t type, int64_t rows, int64_t columns,
                            hl_error *err)
{
    return check(cublasLtMatrixLayoutCreate(layout, type, (uint64_t)columns, (uint64_t)rows, columns), "matmul",
                 err);
}

template <class T>
static hl_status set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, T value,
                     hl_error *err)
{
    return check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value), "matmul", err);
}

/* Where it lies now: parameters move from version to version. */
static hl_status point_to_bias(const hl_call *c, const hl_product *p, hl_error *err)
{
    if (!p->adds_bias)
        return HL_OK;
    const void *bias = c->in[HL_MATMUL_BIAS].data;
    return set(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias, err);
}

/* The bias is the library's to add where it is aligned as its kernels read it. */
static hl_status set_bias(const hl_call *c, hl_product *p, hl_error *err)
{
    const void *bias = c->in[HL_MATMUL_BIAS].data;
    p->adds_bias = bias && alignment(bias) >= 16;
    if (!p->adds_bias)
        return HL_OK;
    hl_status status = set(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS, err);
    return status == HL_OK ? point_to_bias(c, p, err) : status;
}

static hl_status describe(const hl_call *c, hl_product *p, hl_error *err)
{
    const hl_matmul_params *params = static_cast<const hl_matmul_params *>(c->params);
    const hl_view *a = &c->in[HL_MATMUL_A], *b = &c->in[HL_MATMUL_B];
    const bool integers = a->dtype == HL_I8, tf32 = params->math == HL_MATH_TF32 && a->dtype == HL_F32;
    cublasComputeType_t compute = integers ? CUBLAS_COMPUTE_32I
                                  : tf32   ? CUBLAS_COMPUTE_32F_FAST_TF32
                                           : CUBLAS_COMPUTE_32F;
    cudaDataType_t scale = integers ? CUDA_R_32I : CUDA_R_32F;
    cublasOperation_t left = params->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                      right = params->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    hl_product_release(p); /* of a first run that failed */
    hl_status status = check(cublasLtMatmulDescCreate(&p->product, compute, scale), "matmul", err);
    if (status == HL_OK)
        status = set(p->product, CUBLASLT_MATMUL_DESC_TRANSA, left, err);
    if (status == HL_OK)
        status = set(p->product, CUBLASLT_MATMUL_DESC_TRANSB, right, err);
    if (status == HL_OK)
        status = set_bias(c, p, err);
    if (status == HL_OK)
        status = new_layout(&p->left, type_of(b->dtype), b->shape.dim[0], b->shape.dim[1], err);
    if (status == HL_OK)
        status = new_layout(&p->right, type_of(a->dtype), a->shape.dim[0], a->shape.dim[1], err);
    if (status == HL_OK)
        status = new_layout(&p->result, integers ? scale : type_of(params->out), p->M, p->N, err);
    return status;
}

void hl_product_release(hl_product *p)
{
    if (p->product)
        (void)cublasLtMatmulDescDestroy(p->product);
    for (cublasLtMatrixLayout_t layout : {p->left, p->right, p->result})
        if (layout)
            (void)cublasLtMatrixLayoutDestroy(layout);
    p->product = NULL;
    p->left = p->right = p->result = NULL;
}

static hl_product_key key_of(const hl_call *c, const hl_product *p)
{
    const hl_matmul_params *params = static_cast<const hl_matmul_params *>(c->params);
    const void *addend = c->in[HL_MATMUL_ADDEND].data, *y = c->out[0].data;
    return {.M = p->M,
            .N = p->N,
            .K = p->K,
            .workspace = hl_product_scratch(p),
            .transpose_a = params->transpose_a,
            .transpose_b = params->transpose_b,
            .operands = c->in[HL_MATMUL_A].dtype,
            .result = params->out,
            .math = params->math,
            .bias = p->adds_bias,
            .addend = addend != NULL,
            .in_place = addend == y,
            .align_a = alignment(c->in[HL_MATMUL_A].data),
            .align_b = alignment(c->in[HL_MATMUL_B].data),
            .align_c = alignment(addend ? addend : y),
            .align_d = alignment(y)};
}

/* ------------------------------------------------------------------ running */

/* y = op(a) op(b) + bias + addend */
static cublasStatus_t multiply(const hl_call *c, const hl_product *p, const cublasLtMatmulAlgo_t *algorithm,
                               const void *addend, void *y)
{
    const float float_one = 1;
    const int32_t integer_one = 1;
    const bool integers = c->in[HL_MATMUL_A].dtype == HL_I8;
    const uint32_t zero = 0; /* of either type */
    const void *one = integers ? static_cast<const void *>(&integer_one) : &float_one;
    return cublasLtMatmul(c->queue->device->blas, p->product, one, c->in[HL_MATMUL_B].data, p->left,
                          c->in[HL_MATMUL_A].data, p->right, addend ? one : &zero, addend ? addend : y,
                          p->result, y, p->result, algorithm, hl_scratch(c), hl_product_scratch(p),
                          hl_cuda_stream(c->queue));
}

/* The library's own ReLU makes zeros of NaN, its GELU is the approximation by tanh: ours follow it. */
hl_status hl_product_by_library(const hl_call *c, const hl_product *p, hl_error *err)
{
    const hl_matmul_params *params = static_cast<const hl_matmul_params *>(c->params);
    hl_status status = point_to_bias(c, p, err);
    if (status == HL_OK)
        status = check(multiply(c, p, &p->algorithm, c->in[HL_MATMUL_ADDEND].data, c->out[0].data), "matmul",
                       err);
    const hl_epilogue_work rest = {.y = &c->out[0],
                                   .bias = p->adds_bias ? NULL : c->in[HL_MATMUL_BIAS].data,
                                   .inner = 1,
                                   .channels = p->N,
                                   .activation = params->activation};
    return status == HL_OK ? hl_cuda_epilogue(c, &rest, err) : status;
}

/* ------------------------------------------------------------------ choosing */

/* What is measured with. */
typedef struct trial {
    cudaEvent_t begin, end;
    void *
        y; /* the call's result, or memory of its own where that is the addend as well; NULL: there is none */
    bool owned;
} trial;

static hl_status make_trial(const hl_call *c, trial *t, hl_error *err)
{
    const char *what = "measuring a product";
    const bool owned = c->in[HL_MATMUL_ADDEND].data == c->out[0].data;
    *t = trial{.y = owned ? NULL : c->out[0].data, .owned = owned};
    hl_status status = hl_cuda_check(cudaEventCreate(&t->begin), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventCreate(&t->end), what, err);
    if (status != HL_OK || !owned)
        return status;
    cudaError_t code = cudaMalloc(&t->y, (size_t)c->out[0].count * (c->out[0].dtype == HL_F32 ? 4 : 2));
    if (code != cudaErrorMemoryAllocation)
        return hl_cuda_check(code, what, err);
    (void)cudaGetLastError(); /* no failure: full memory is no reason not to run */
    return HL_OK;
}

static void free_trial(trial *t)
{
    if (t->begin)
        (void)cudaEventDestroy(t->begin);
    if (t->end)
        (void)cudaEventDestroy(t->end);
    if (t->owned)
        (void)cudaFree(t->y);
}

/* Not a failure, but that an algorithm does not do this product. */
static bool is_refusal(cublasStatus_t code)
{
    return code == CUBLAS_STATUS_NOT_SUPPORTED || code == CUBLAS_STATUS_INVALID_VALUE ||
           code == CUBLAS_STATUS_ARCH_MISMATCH;
}

/* Milliseconds of TRIES runs after a first one; infinity where the library refuses. */
static hl_status time_of(const hl_call *c, const hl_product *p, const trial *t,
                         const cublasLtMatmulAlgo_t *algorithm, float *milliseconds, hl_error *err)
{
    const char *what = "measuring a product";
    cudaStream_t stream = hl_cuda_stream(c->queue);
    const void *addend = t->owned ? t->y : c->in[HL_MATMUL_ADDEND].data;
    hl_status status = HL_OK;
    *milliseconds = INFINITY;
    for (int i = 0; i <= TRIES && status == HL_OK; i++) {
        cublasStatus_t code = multiply(c, p, algorithm, addend, t->y);
        if (is_refusal(code))
            return HL_OK;
        status = check(code, what, err);
        if (i == 0 && status == HL_OK)
            status = hl_cuda_check(cudaEventRecord(t->begin, stream), what, err);
    }
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventRecord(t->end, stream), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventSynchronize(t->end), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventElapsedTime(milliseconds, t->begin, t->end), what, err);
    return status;
}

/* The first of n that no later one is clearly faster than; *measured: whether that could be found out. */
static hl_status fastest(const hl_call *c, const hl_product *p,
                         const cublasLtMatmulHeuristicResult_t *candidates, int n, int *best, bool *measured,
                         hl_error *err)
{
    trial t;
    float least = INFINITY;
    hl_status status = make_trial(c, &t, err);
    *measured = t.y;
    for (int i = 0; i < n && t.y && status == HL_OK; i++) {
        float milliseconds;
        status = time_of(c, p, &t, &candidates[i].algo, &milliseconds, err);
        if (status == HL_OK && milliseconds < CLEARLY * least) {
            least = milliseconds;
            *best = i;
        }
    }
    free_trial(&t);
    return status;
}

template <class T>
static hl_status prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
                        T value, hl_error *err)
{
    return check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "matmul",
                 err);
}

static hl_status fill_preference(cublasLtMatmulPreference_t preference, const hl_product_key *key,
                                 hl_error *err)
{
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t value;
    } wanted[] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key->align_b}, /* the library's first operand is b */
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key->align_a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key->align_c},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key->align_d},
    };
    hl_status status = prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, key->workspace, err);
    for (const auto &w : wanted)
        if (status == HL_OK)
            status = prefer(preference, w.attribute, w.value, err);
    return status;
}

/* The library's likeliest first; none where it has none for such operands. */
static hl_status find_candidates(const hl_call *c, const hl_product *p, const hl_product_key *key,
                                 cublasLtMatmulHeuristicResult_t *candidates, int *n, hl_error *err)
{
    cublasLtMatmulPreference_t preference;
    *n = 0;
    hl_status status = check(cublasLtMatmulPreferenceCreate(&preference), "matmul", err);
    if (status != HL_OK)
        return status;
    status = fill_preference(preference, key, err);
    if (status == HL_OK) {
        cublasStatus_t code = cublasLtMatmulAlgoGetHeuristic(c->queue->device->blas, p->product, p->left,
                                                             p->right, p->result, p->result, preference,
                                                             CANDIDATES, candidates, n);
        if (code != CUBLAS_STATUS_NOT_SUPPORTED)
            status = check(code, "matmul", err);
    }
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

/* While a step is recorded, or without memory to measure in, the library's first is taken, and not
 * remembered. */
static hl_status search(const hl_call *c, hl_product *p, const hl_product_key *key, hl_error *err)
{
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    bool measured = !c->queue->recording;
    int n, best = 0;
    hl_status status = find_candidates(c, p, key, candidates, &n, err);
    if (status != HL_OK)
        return status;
    if (n == 0) {
        p->path = HL_BY_TILES;
        return HL_OK;
    }
    if (n > 1 && !c->queue->recording)
        status = fastest(c, p, candidates, n, &best, &measured, err);
    if (status != HL_OK)
        return status;
    p->algorithm = candidates[best].algo;
    if (measured)
        hl_algorithms_add(c->queue->device->algorithms, key, &p->algorithm);
    return HL_OK;
}

/* What a file says is believed if the library agrees. */
static bool runs(const hl_call *c, const hl_product *p, const cublasLtMatmulAlgo_t *algorithm)
{
    cublasLtMatmulHeuristicResult_t found;
    return cublasLtMatmulAlgoCheck(c->queue->device->blas, p->product, p->left, p->right, p->result,
                                   p->result, algorithm, &found) == CUBLAS_STATUS_SUCCESS &&
           found.workspaceSize <= hl_product_scratch(p);
}

hl_status hl_product_choose(const hl_call *c, hl_product *p, hl_error *err)
{
    hl_device *device = c->queue->device;
    hl_status status = describe(c, p, err);
    if (status != HL_OK)
        return status;
    const hl_product_key key = key_of(c, p);
    pthread_mutex_lock(&device->lock); /* also so that two do not measure at once */
    const cublasLtMatmulAlgo_t *known = hl_algorithms_find(device->algorithms, &key);
    if (known && runs(c, p, known))
        p->algorithm = *known;
    else
        status = search(c, p, &key, err);
    pthread_mutex_unlock(&device->lock);
    p->chosen = status == HL_OK;
    return status;
}
