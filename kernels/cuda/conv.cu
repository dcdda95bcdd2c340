/* Convolutions by cuDNN, in NCHW as the tensors lie. Of its algorithms only those that are products of
 * matrices: they are deterministic, and round like a product where Winograd's and Fourier's lose digits.
 *
 * cuDNN's result has the type of its operands. Where ours are of 16 bits and the result is f32, the operands
 * are widened first: tf32 holds them as they are, so that tensor cores multiply them exactly. */
#include "kernels/cuda/epilogue.h"

#include "base/memory.h"

#include <cudnn.h>
#include <stdio.h>

enum { X, W, BIAS }; /* of conv2d; backward_data has dy, w, backward_filter x, dy */

typedef enum conv_kind { FORWARD, DATA, FILTER } conv_kind;

/* What a call keeps. The descriptors are made at the first run: they need the library, a plan does not. */
typedef struct convolution {
    conv_kind kind;
    size_t widened[2]; /* bytes of the operands as f32, at the beginning of the workspace; 0: as they are */
    size_t scratch;    /* bytes the library may use after that */
    bool chosen;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t window;
    int algorithm;
} convolution;

static const hl_conv_params *params_of(const hl_call *c)
{
    return static_cast<const hl_conv_params *>(c->params);
}

static const hl_view *x_of(const hl_call *c, conv_kind kind)
{
    return kind == DATA ? &c->out[0] : &c->in[0];
}

static const hl_view *w_of(const hl_call *c, conv_kind kind)
{
    return kind == FILTER ? &c->out[0] : &c->in[1];
}

static const hl_view *y_of(const hl_call *c, conv_kind kind)
{
    return kind == FORWARD ? &c->out[0] : &c->in[kind == FILTER];
}

/* ------------------------------------------------------------------ errors */

/* "conv2d of x [32,3,64,64] by w [16,3,7,7], stride 2 and padding 3" */
static void describe(const hl_call *c, conv_kind kind, char *text, size_t size)
{
    const int64_t *x = x_of(c, kind)->shape.dim, *w = w_of(c, kind)->shape.dim;
    snprintf(text, size, "%s of x [%lld,%lld,%lld,%lld] by w [%lld,%lld,%lld,%lld], stride %d and padding %d",
             c->kernel->op, (long long)x[0], (long long)x[1], (long long)x[2], (long long)x[3],
             (long long)w[0], (long long)w[1], (long long)w[2], (long long)w[3], params_of(c)->stride,
             params_of(c)->padding);
}

static hl_status refuse(const hl_call *c, conv_kind kind, hl_status status, const char *why, hl_error *err)
{
    char what[256];
    describe(c, kind, what, sizeof what);
    return hl_fail(err, status, "%s: %s", what, why);
}

static hl_status check(cudnnStatus_t code, const hl_call *c, conv_kind kind, hl_error *err)
{
    if (code == CUDNN_STATUS_SUCCESS)
        return HL_OK;
    (void)cudaGetLastError();
    char why[256];
    snprintf(why, sizeof why, "cuDNN: %s", cudnnGetErrorString(code));
    return refuse(c, kind, code == CUDNN_STATUS_ALLOC_FAILED ? HL_ERR_MEMORY : HL_ERR_DEVICE, why, err);
}

/* ------------------------------------------------------------------ planning */

/* As much as a copy of all operands in another layout, twice, and something for small ones; the largest go
 * without. */
static size_t scratch_for(const hl_call *c, conv_kind kind)
{
    const size_t least = (size_t)8 << 20, most = (size_t)256 << 20;
    double bytes = 8.0 * ((double)x_of(c, kind)->count + (double)w_of(c, kind)->count +
                          (double)y_of(c, kind)->count);
    return bytes + (double)least < (double)most ? least + (size_t)bytes : most;
}

/* cuDNN counts in int. */
static bool countable(const hl_view *v)
{
    bool fits = v->count <= INT32_MAX;
    for (int i = 0; i < v->shape.rank; i++)
        fits = fits && v->shape.dim[i] <= INT32_MAX;
    return fits;
}

static size_t widened_bytes(const hl_view *v)
{
    return hl_size_align((size_t)v->count * sizeof(float), HL_SCRATCH_ALIGN);
}

static bool is_empty(const hl_call *c)
{
    return !c->in[0].count || !c->in[1].count || !c->out[0].count;
}

static hl_status prepare(hl_call *c, conv_kind kind, hl_error *err)
{
    if (!countable(&c->in[0]) || !countable(&c->in[1]) || !countable(&c->out[0]))
        return refuse(c, kind, HL_ERR_UNSUPPORTED,
                      "a tensor has more elements than cuDNN can count, 2^31 - 1", err);
    convolution *k = static_cast<convolution *>(hl_alloc(1, sizeof *k));
    if (!k)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a convolution");
    k->kind = kind;
    for (int i = 0; i < 2 && c->out[0].dtype != c->in[0].dtype; i++)
        k->widened[i] = widened_bytes(&c->in[i]);
    k->scratch = scratch_for(c, kind);
    c->workspace_bytes = is_empty(c) ? 0 : k->widened[0] + k->widened[1] + k->scratch + HL_SCRATCH_ALIGN;
    c->state = k;
    return HL_OK;
}

static void release_descriptors(convolution *k)
{
    if (k->x)
        (void)cudnnDestroyTensorDescriptor(k->x);
    if (k->y)
        (void)cudnnDestroyTensorDescriptor(k->y);
    if (k->w)
        (void)cudnnDestroyFilterDescriptor(k->w);
    if (k->window)
        (void)cudnnDestroyConvolutionDescriptor(k->window);
    k->x = k->y = NULL;
    k->w = NULL;
    k->window = NULL;
}

static void release(hl_call *c)
{
    convolution *k = static_cast<convolution *>(c->state);
    if (k)
        release_descriptors(k);
    hl_free(k);
    c->state = NULL;
}

/* ------------------------------------------------------------------ the first run */

/* Sums are in f32. FMA_MATH is exact products; DEFAULT_MATH lets f32 operands be rounded to tf32. */
static cudnnMathType_t math_of(const hl_call *c)
{
    if (c->in[0].dtype != HL_F32)
        return c->out[0].dtype == HL_F32 ? CUDNN_DEFAULT_MATH : CUDNN_TENSOR_OP_MATH;
    return params_of(c)->math == HL_MATH_TF32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

static cudnnStatus_t set_tensor(cudnnTensorDescriptor_t *tensor, cudnnDataType_t type, const int64_t *dim)
{
    cudnnStatus_t code = cudnnCreateTensorDescriptor(tensor);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    return cudnnSetTensor4dDescriptor(*tensor, CUDNN_TENSOR_NCHW, type, (int)dim[0], (int)dim[1], (int)dim[2],
                                      (int)dim[3]);
}

static cudnnStatus_t set_filter(cudnnFilterDescriptor_t *filter, cudnnDataType_t type, const int64_t *dim)
{
    cudnnStatus_t code = cudnnCreateFilterDescriptor(filter);
    if (code != CUDNN_STATUS_SUCCESS)
        return code;
    return cudnnSetFilter4dDescriptor(*filter, type, CUDNN_TENSOR_NCHW, (int)dim[0], (int)dim[1], (int)dim[2],
                                      (int)dim[3]);
}

static cudnnStatus_t set_window(cudnnConvolutionDescriptor_t *window, const hl_conv_params *p,
                                cudnnMathType_t math)
{
    cudnnStatus_t code = cudnnCreateConvolutionDescriptor(window);
    if (code == CUDNN_STATUS_SUCCESS)
        code = cudnnSetConvolution2dDescriptor(*window, p->padding, p->padding, p->stride, p->stride, 1, 1,
                                               CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    return code == CUDNN_STATUS_SUCCESS ? cudnnSetConvolutionMathType(*window, math) : code;
}

static cudnnStatus_t make_descriptors(const hl_call *c, convolution *k)
{
    hl_dtype dtype = c->out[0].dtype;
    cudnnDataType_t type = dtype == HL_F16    ? CUDNN_DATA_HALF
                           : dtype == HL_BF16 ? CUDNN_DATA_BFLOAT16
                                              : CUDNN_DATA_FLOAT;
    release_descriptors(k); /* of a first run that failed */
    cudnnStatus_t code = set_tensor(&k->x, type, x_of(c, k->kind)->shape.dim);
    if (code == CUDNN_STATUS_SUCCESS)
        code = set_filter(&k->w, type, w_of(c, k->kind)->shape.dim);
    if (code == CUDNN_STATUS_SUCCESS)
        code = set_tensor(&k->y, type, y_of(c, k->kind)->shape.dim);
    return code == CUDNN_STATUS_SUCCESS ? set_window(&k->window, params_of(c), math_of(c)) : code;
}

static bool is_product(cudnnConvolutionFwdAlgo_t algorithm)
{
    return algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM ||
           algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM ||
           algorithm == CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
}
static bool is_product(cudnnConvolutionBwdDataAlgo_t algorithm)
{
    return algorithm == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
}
static bool is_product(cudnnConvolutionBwdFilterAlgo_t algorithm)
{
    return algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
}

/* The first of the library's n answers, likeliest first, that will do: its number, or n. */
template <class Answer>
static int first_fitting(const Answer *answers, int n, const convolution *k, bool exact)
{
    int i = 0;
    for (; i < n; i++) {
        bool tensor_cores = answers[i].mathType == CUDNN_TENSOR_OP_MATH ||
                            answers[i].mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
        if (answers[i].status == CUDNN_STATUS_SUCCESS && answers[i].determinism == CUDNN_DETERMINISTIC &&
            answers[i].memory <= k->scratch && is_product(answers[i].algo) && !(exact && tensor_cores))
            break;
    }
    return i;
}

/* ask(most, &n, answers) is the library's question. */
template <class Answer, class Ask>
static hl_status choose_from(const hl_call *c, convolution *k, Ask ask, hl_error *err)
{
    enum { MOST = 16 };
    Answer answers[MOST];
    int n = 0;
    const bool exact = math_of(c) == CUDNN_FMA_MATH;
    hl_status status = check(ask(MOST, &n, answers), c, k->kind, err);
    if (status != HL_OK)
        return status;
    int chosen = first_fitting(answers, n, k, exact);
    if (chosen == n)
        return refuse(c, k->kind, HL_ERR_UNSUPPORTED, "cuDNN has no deterministic algorithm for it", err);
    k->algorithm = answers[chosen].algo;
    /* An exact window stays FMA_MATH, whatever the answer calls that. */
    return exact ? HL_OK
                 : check(cudnnSetConvolutionMathType(k->window, answers[chosen].mathType), c, k->kind, err);
}

static hl_status choose(const hl_call *c, convolution *k, cudnnHandle_t dnn, hl_error *err)
{
    hl_status status = check(make_descriptors(c, k), c, k->kind, err);
    if (status != HL_OK)
        return status;
    if (k->kind == FORWARD) {
        auto ask = [&](int most, int *n, cudnnConvolutionFwdAlgoPerf_t *answers) {
            return cudnnGetConvolutionForwardAlgorithm_v7(dnn, k->x, k->w, k->window, k->y, most, n, answers);
        };
        status = choose_from<cudnnConvolutionFwdAlgoPerf_t>(c, k, ask, err);
    } else if (k->kind == DATA) {
        auto ask = [&](int most, int *n, cudnnConvolutionBwdDataAlgoPerf_t *answers) {
            return cudnnGetConvolutionBackwardDataAlgorithm_v7(dnn, k->w, k->y, k->window, k->x, most, n,
                                                               answers);
        };
        status = choose_from<cudnnConvolutionBwdDataAlgoPerf_t>(c, k, ask, err);
    } else {
        auto ask = [&](int most, int *n, cudnnConvolutionBwdFilterAlgoPerf_t *answers) {
            return cudnnGetConvolutionBackwardFilterAlgorithm_v7(dnn, k->x, k->y, k->window, k->w, most, n,
                                                                 answers);
        };
        status = choose_from<cudnnConvolutionBwdFilterAlgoPerf_t>(c, k, ask, err);
    }
    k->chosen = status == HL_OK;
    return status;
}

/* ------------------------------------------------------------------ every run */

static cudnnStatus_t convolve(const hl_call *c, const convolution *k, cudnnHandle_t dnn,
                              const void *const *in)
{
    const float one = 1, zero = 0;
    void *scratch = static_cast<char *>(hl_scratch(c)) + k->widened[0] + k->widened[1],
         *result = c->out[0].data;
    if (k->kind == FORWARD)
        return cudnnConvolutionForward(dnn, &one, k->x, in[0], k->w, in[1], k->window,
                                       (cudnnConvolutionFwdAlgo_t)k->algorithm, scratch, k->scratch, &zero,
                                       k->y, result);
    if (k->kind == DATA)
        return cudnnConvolutionBackwardData(dnn, &one, k->w, in[1], k->y, in[0], k->window,
                                            (cudnnConvolutionBwdDataAlgo_t)k->algorithm, scratch, k->scratch,
                                            &zero, k->x, result);
    return cudnnConvolutionBackwardFilter(dnn, &one, k->x, in[0], k->y, in[1], k->window,
                                          (cudnnConvolutionBwdFilterAlgo_t)k->algorithm, scratch, k->scratch,
                                          &zero, k->w, result);
}

/* in: where the operands are, which is the workspace for those that it widens. */
static hl_status widen(const hl_call *c, const convolution *k, const void **in, hl_error *err)
{
    hl_status status = HL_OK;
    char *to = static_cast<char *>(hl_scratch(c));
    for (int i = 0; i < 2 && status == HL_OK; i++) {
        in[i] = k->widened[i] ? to : c->in[i].data;
        const hl_view wide = {.data = to, .dtype = HL_F32, .shape = c->in[i].shape, .count = c->in[i].count};
        const hl_epilogue_work work = {.y = &wide, .x = c->in[i].data, .x_type = c->in[i].dtype};
        if (k->widened[i])
            status = hl_cuda_epilogue(c, &work, err);
        to += k->widened[i];
    }
    return status;
}

/* The device's handle, on the call's queue. */
static hl_status handle_of(const hl_call *c, conv_kind kind, hl_error *err)
{
    hl_device *device = c->queue->device;
    if (!device->dnn && c->queue->recording) /* making it is not for a recording */
        return refuse(c, kind, HL_ERR_DEVICE, "a step must have run once before it is recorded", err);
    hl_status status = device->dnn ? HL_OK : check(cudnnCreate(&device->dnn), c, kind, err);
    return status == HL_OK ? check(cudnnSetStream(device->dnn, hl_cuda_stream(c->queue)), c, kind, err)
                           : status;
}

/* With the device's lock: the handle serves one queue at a time. */
static hl_status run_locked(const hl_call *c, convolution *k, const void *const *in, hl_error *err)
{
    hl_status status = handle_of(c, k->kind, err);
    cudnnHandle_t dnn = c->queue->device->dnn;
    if (status == HL_OK && !k->chosen)
        status = choose(c, k, dnn, err);
    return status == HL_OK ? check(convolve(c, k, dnn, in), c, k->kind, err) : status;
}

static hl_status run(const hl_call *c, hl_error *err)
{
    convolution *k = static_cast<convolution *>(c->state);
    const hl_view *y = &c->out[0];
    const hl_view *bias = k->kind == FORWARD ? &c->in[BIAS] : NULL;
    if (!y->count)
        return HL_OK;
    if (is_empty(c)) /* the gradient of weights that no image has used */
        return hl_cuda_check(cudaMemsetAsync(y->data, 0, (size_t)y->count * (y->dtype == HL_F32 ? 4 : 2),
                                             hl_cuda_stream(c->queue)),
                             c->kernel->op, err);
    const void *in[2];
    hl_status status = widen(c, k, in, err);
    if (status != HL_OK)
        return status;
    pthread_mutex_lock(&c->queue->device->lock);
    status = run_locked(c, k, in, err);
    pthread_mutex_unlock(&c->queue->device->lock);
    const hl_epilogue_work rest = {.y = y,
                                   .bias = bias ? bias->data : NULL,
                                   .inner = y->shape.dim[2] * y->shape.dim[3],
                                   .channels = y->shape.dim[1],
                                   .activation = params_of(c)->activation};
    return status == HL_OK ? hl_cuda_epilogue(c, &rest, err) : status;
}

void hl_cuda_conv_close(hl_device *device)
{
    if (device->dnn)
        (void)cudnnDestroy(device->dnn);
}

/* ------------------------------------------------------------------ kernels */

static bool accepts(const hl_call *c)
{
    return hl_mixed_dtypes(c, params_of(c)->out);
}

#define CONVOLUTION(id, kind)                                                                                \
    static hl_status prepare_##id(hl_call *c, hl_error *err)                                                 \
    {                                                                                                        \
        return prepare(c, kind, err);                                                                        \
    }                                                                                                        \
    extern "C" {                                                                                             \
    extern const hl_kernel hl_cuda_##id;                                                                     \
    const hl_kernel hl_cuda_##id = {.op = #id,                                                               \
                                    .name = "cuda",                                                          \
                                    .accepts = accepts,                                                      \
                                    .prepare = prepare_##id,                                                 \
                                    .run = run,                                                              \
                                    .release = release};                                                     \
    }

CONVOLUTION(conv2d, FORWARD)
CONVOLUTION(conv2d_backward_data, DATA)
CONVOLUTION(conv2d_backward_filter, FILTER)
