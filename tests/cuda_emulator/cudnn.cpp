/* cuDNN's convolutions by their definition: sums in double. */
#include "tests/cuda_emulator/cudnn_objects.h"
#include "tests/cuda_emulator/number.h"

#include <cstdio>
#include <cstring>
#include <vector>

using namespace emulated;

static cudaDataType_t number_type(const cudnnTensorStruct *t)
{
    return t->type == CUDNN_DATA_HALF       ? CUDA_R_16F
           : t->type == CUDNN_DATA_BFLOAT16 ? CUDA_R_16BF
                                            : CUDA_R_32F;
}

/* ------------------------------------------------------------------ which algorithms */

static int64_t output_size(const cudnnTensorStruct *x, const cudnnTensorStruct *w,
                           const cudnnConvolutionStruct *window, int axis)
{
    int64_t reach = (w->dim[2 + axis] - 1) * window->dilation[axis] + 1;
    int64_t room = x->dim[2 + axis] + 2 * window->pad[axis] - reach;
    return room < 0 ? 0 : room / window->stride[axis] + 1;
}

static cudnnStatus_t check(cudnnHandle_t handle, const cudnnTensorStruct *x, const cudnnTensorStruct *w,
                           const cudnnConvolutionStruct *window, const cudnnTensorStruct *y)
{
    if (!dnn_handles.count(handle))
        return say(CUDNN_STATUS_NOT_INITIALIZED, "not a handle");
    if (!x || !w || !window || !y || !x->set || !w->set || !window->set || !y->set)
        return say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a descriptor is not there, or not set");
    if (x->type != w->type || x->type != y->type)
        return say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "x, w and y differ in type");
    if (x->dim[1] != w->dim[1] || y->dim[0] != x->dim[0] || y->dim[1] != w->dim[0] ||
        y->dim[2] != output_size(x, w, window, 0) || y->dim[3] != output_size(x, w, window, 1))
        return say(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "x, w, y and the window do not fit together");
    return CUDNN_STATUS_SUCCESS;
}

namespace
{

struct choice {
    int algorithm;
    size_t memory;
    bool deterministic, supported;
};

/* Likeliest first: what is greedy or refused comes before what a careful caller takes. */
const choice FORWARD[] = {
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED, (size_t)1 << 40, true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, 0, true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, 4096, true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, 0, true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_GEMM, 1 << 20, true, true},
    {CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, 0, true, false},
};
const choice DATA[] = {
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, 0, false, true},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, 0, true, true},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, 4096, true, true},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, 0, true, false},
};
const choice FILTER[] = {
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, 0, false, true},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, 1024, false, true},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, 8192, true, true},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT, 0, true, false},
};

} // namespace

template <class Answer, size_t N>
static cudnnStatus_t answer(const choice (&choices)[N], const cudnnConvolutionStruct *window, int most,
                            int *n, Answer *answers)
{
    if (most < 1 || !n || !answers)
        return say(CUDNN_STATUS_BAD_PARAM, "no room for an answer");
    for (*n = 0; *n < most && *n < (int)N; ++*n) {
        const choice &c = choices[*n];
        Answer &a = answers[*n];
        a = {};
        a.algo = (decltype(a.algo))c.algorithm;
        a.status = c.supported ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
        a.time = -1;
        a.memory = c.memory;
        a.determinism = c.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
        a.mathType = window->math;
    }
    return CUDNN_STATUS_SUCCESS;
}

template <size_t N> static const choice *find(const choice (&choices)[N], int algorithm)
{
    for (const choice &c : choices)
        if (c.algorithm == algorithm && c.supported)
            return &c;
    return nullptr;
}

template <size_t N> static cudnnStatus_t workspace(const choice (&choices)[N], int algorithm, size_t *bytes)
{
    const choice *c = find(choices, algorithm);
    if (!c || !bytes)
        return say(CUDNN_STATUS_NOT_SUPPORTED, "there is no such algorithm for this convolution");
    *bytes = c->memory;
    return CUDNN_STATUS_SUCCESS;
}

#define ALGORITHMS(Kind, choices, Answer, Algorithm, A, a, B, b, C, c, x, w, y)                              \
    extern "C" cudnnStatus_t cudnnGetConvolution##Kind##Algorithm_v7(                                        \
        cudnnHandle_t handle, const A a, const B b, const cudnnConvolutionDescriptor_t window, const C c,    \
        const int most, int *n, Answer *answers)                                                             \
    {                                                                                                        \
        LIBRARY_CALL(cudnnGetConvolution##Kind##Algorithm_v7, cudnnStatus_t);                                \
        cudnnStatus_t code = check(handle, x, w, window, y);                                                 \
        return code ? code : answer(choices, window, most, n, answers);                                      \
    }                                                                                                        \
    extern "C" cudnnStatus_t cudnnGetConvolution##Kind##WorkspaceSize(                                       \
        cudnnHandle_t handle, const A a, const B b, const cudnnConvolutionDescriptor_t window, const C c,    \
        Algorithm algorithm, size_t *bytes)                                                                  \
    {                                                                                                        \
        LIBRARY_CALL(cudnnGetConvolution##Kind##WorkspaceSize, cudnnStatus_t);                               \
        cudnnStatus_t code = check(handle, x, w, window, y);                                                 \
        return code ? code : workspace(choices, algorithm, bytes);                                           \
    }                                                                                                        \
    extern "C" cudnnStatus_t cudnnGetConvolution##Kind##AlgorithmMaxCount(cudnnHandle_t, int *n)             \
    {                                                                                                        \
        *n = (int)(sizeof choices / sizeof *choices);                                                        \
        return CUDNN_STATUS_SUCCESS;                                                                         \
    }

ALGORITHMS(Forward, FORWARD, cudnnConvolutionFwdAlgoPerf_t, cudnnConvolutionFwdAlgo_t,
           cudnnTensorDescriptor_t, x, cudnnFilterDescriptor_t, w, cudnnTensorDescriptor_t, y, x, w, y)
ALGORITHMS(BackwardData, DATA, cudnnConvolutionBwdDataAlgoPerf_t, cudnnConvolutionBwdDataAlgo_t,
           cudnnFilterDescriptor_t, w, cudnnTensorDescriptor_t, y, cudnnTensorDescriptor_t, x, x, w, y)
ALGORITHMS(BackwardFilter, FILTER, cudnnConvolutionBwdFilterAlgoPerf_t, cudnnConvolutionBwdFilterAlgo_t,
           cudnnTensorDescriptor_t, x, cudnnTensorDescriptor_t, y, cudnnFilterDescriptor_t, w, x, w, y)

/* ------------------------------------------------------------------ the convolution */

namespace
{

enum part { OF_X, OF_W, OF_Y };

/* One of the three is the result. */
struct operation {
    cudnnTensorStruct shape[3];
    const void *data[3];
    part result;
    cudnnConvolutionStruct window;
    float alpha, beta;
    void *workspace;
    size_t workspace_bytes;
    /* forward only */
    const void *addend, *bias;
    float addend_factor;
    bool relu;
};

} // namespace

static size_t extent(const cudnnTensorStruct &t)
{
    return (size_t)(t.dim[0] * t.dim[1] * t.dim[2] * t.dim[3]) * number_bytes(number_type(&t));
}

static int64_t place_of(const cudnnTensorStruct &t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return n * t.stride[0] + c * t.stride[1] + h * t.stride[2] + w * t.stride[3];
}

static std::vector<double> numbers_of(const cudnnTensorStruct &t, const void *data, bool tf32)
{
    std::vector<double> numbers(extent(t) / number_bytes(number_type(&t)));
    for (size_t i = 0; i < numbers.size(); i++) {
        float x = number_get(data, number_type(&t), (int64_t)i);
        numbers[i] = tf32 ? number_tf32(x) : x;
    }
    return numbers;
}

/* Adds all products x w, y w or x y to where they belong. */
static void accumulate(const operation &o, const std::vector<double> (&in)[3], std::vector<double> &sums)
{
    const cudnnTensorStruct &x = o.shape[OF_X], &w = o.shape[OF_W], &y = o.shape[OF_Y];
    for (int64_t n = 0; n < y.dim[0]; n++)
        for (int64_t k = 0; k < y.dim[1]; k++)
            for (int64_t i = 0; i < y.dim[2]; i++)
                for (int64_t j = 0; j < y.dim[3]; j++) {
                    const size_t at_y = (size_t)place_of(y, n, k, i, j);
                    for (int64_t c = 0; c < x.dim[1]; c++)
                        for (int64_t p = 0; p < w.dim[2]; p++)
                            for (int64_t q = 0; q < w.dim[3]; q++) {
                                int64_t h = i * o.window.stride[0] - o.window.pad[0] +
                                            p * o.window.dilation[0];
                                int64_t v = j * o.window.stride[1] - o.window.pad[1] +
                                            q * o.window.dilation[1];
                                if (h < 0 || h >= x.dim[2] || v < 0 || v >= x.dim[3])
                                    continue;
                                const size_t at_x = (size_t)place_of(x, n, c, h, v),
                                             at_w = (size_t)place_of(w, k, c, p, q);
                                if (o.result == OF_Y)
                                    sums[at_y] += in[OF_X][at_x] * in[OF_W][at_w];
                                else if (o.result == OF_X)
                                    sums[at_x] += in[OF_Y][at_y] * in[OF_W][at_w];
                                else
                                    sums[at_w] += in[OF_X][at_x] * in[OF_Y][at_y];
                            }
                }
}

/* The bias' element for element i of the result. */
static int64_t channel_of(const cudnnTensorStruct &t, int64_t i)
{
    return t.stride[1] == 1 ? i % t.dim[1] : i / t.stride[1] % t.dim[1];
}

static void run(const operation &o)
{
    if (device_broken())
        return;
    const cudnnTensorStruct &result = o.shape[o.result];
    const cudaDataType_t type = number_type(&result);
    bool reachable = memory_is_mapped(o.workspace, o.workspace_bytes) &&
                     (!o.addend || memory_is_mapped(o.addend, extent(result))) &&
                     (!o.bias || memory_is_mapped(o.bias, (size_t)result.dim[1] * number_bytes(type)));
    for (int i = 0; i < 3; i++)
        reachable = reachable && memory_is_mapped(o.data[i], extent(o.shape[i]));
    if (!reachable) {
        fprintf(stderr, "CUDA emulator: a convolution reaches beyond memory of the device\n");
        return device_break(cudaErrorIllegalAddress);
    }
    if (o.workspace_bytes)
        memset(o.workspace, 0xff, o.workspace_bytes);
    const bool tf32 = result.type == CUDNN_DATA_FLOAT && o.window.math != CUDNN_FMA_MATH;
    std::vector<double> in[3], sums(extent(result) / number_bytes(type));
    for (int i = 0; i < 3; i++)
        if (i != o.result)
            in[i] = numbers_of(o.shape[i], o.data[i], tf32);
    accumulate(o, in, sums);
    void *to = const_cast<void *>(o.data[o.result]);
    for (int64_t i = 0; i < (int64_t)sums.size(); i++) {
        double x = o.alpha * sums[(size_t)i];
        if (o.beta != 0)
            x += (double)o.beta * number_get(to, type, i);
        if (o.addend && o.addend_factor != 0)
            x += (double)o.addend_factor * number_get(o.addend, type, i);
        if (o.bias)
            x += number_get(o.bias, type, channel_of(result, i));
        number_set(to, type, i, (float)(o.relu && x < 0 ? 0 : x));
    }
}

/* Checks what all three have in common, and queues it. */
static cudnnStatus_t submit(cudnnHandle_t handle, operation o, const choice *algorithm,
                            size_t workspace_bytes)
{
    if (!o.data[OF_X] || !o.data[OF_W] || !o.data[OF_Y])
        return say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a tensor is not there");
    if (!algorithm)
        return say(CUDNN_STATUS_NOT_SUPPORTED, "there is no such algorithm for this convolution");
    if (workspace_bytes < algorithm->memory || (algorithm->memory && !o.workspace))
        return say(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT, "the workspace is too small");
    for (int i = 0; i < 3; i++)
        if ((uintptr_t)o.data[i] % number_bytes(number_type(&o.shape[i])))
            return say(CUDNN_STATUS_BAD_PARAM, "a tensor is not aligned");
    o.workspace_bytes = algorithm->memory;
    if (device_broken() || stream_submit(handle->stream, [o] { run(o); }))
        return say(CUDNN_STATUS_EXECUTION_FAILED, "the stream did not take it");
    return CUDNN_STATUS_SUCCESS;
}

static operation operation_of(const cudnnTensorStruct *x, const void *x_data, const cudnnTensorStruct *w,
                              const void *w_data, const cudnnTensorStruct *y, const void *y_data, part result,
                              const cudnnConvolutionStruct *window, const void *alpha, const void *beta,
                              void *workspace)
{
    operation o = {{*x, *w, *y},
                   {x_data, w_data, y_data},
                   result,
                   *window,
                   *static_cast<const float *>(alpha),
                   beta ? *static_cast<const float *>(beta) : 0,
                   workspace,
                   0,
                   nullptr,
                   nullptr,
                   0,
                   false};
    return o;
}

extern "C" cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                                 const cudnnTensorDescriptor_t x, const void *x_data,
                                                 const cudnnFilterDescriptor_t w, const void *w_data,
                                                 const cudnnConvolutionDescriptor_t window,
                                                 cudnnConvolutionFwdAlgo_t algorithm, void *workspace,
                                                 size_t bytes, const void *beta,
                                                 const cudnnTensorDescriptor_t y, void *y_data)
{
    LIBRARY_CALL(cudnnConvolutionForward, cudnnStatus_t);
    if (cudnnStatus_t code = check(handle, x, w, window, y))
        return code;
    operation o = operation_of(x, x_data, w, w_data, y, y_data, OF_Y, window, alpha, beta, workspace);
    return submit(handle, o, find(FORWARD, algorithm), bytes);
}

extern "C" cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                                      const cudnnFilterDescriptor_t w, const void *w_data,
                                                      const cudnnTensorDescriptor_t y, const void *y_data,
                                                      const cudnnConvolutionDescriptor_t window,
                                                      cudnnConvolutionBwdDataAlgo_t algorithm,
                                                      void *workspace, size_t bytes, const void *beta,
                                                      const cudnnTensorDescriptor_t x, void *x_data)
{
    LIBRARY_CALL(cudnnConvolutionBackwardData, cudnnStatus_t);
    if (cudnnStatus_t code = check(handle, x, w, window, y))
        return code;
    operation o = operation_of(x, x_data, w, w_data, y, y_data, OF_X, window, alpha, beta, workspace);
    return submit(handle, o, find(DATA, algorithm), bytes);
}

extern "C" cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                                        const cudnnTensorDescriptor_t x, const void *x_data,
                                                        const cudnnTensorDescriptor_t y, const void *y_data,
                                                        const cudnnConvolutionDescriptor_t window,
                                                        cudnnConvolutionBwdFilterAlgo_t algorithm,
                                                        void *workspace, size_t bytes, const void *beta,
                                                        const cudnnFilterDescriptor_t w, void *w_data)
{
    LIBRARY_CALL(cudnnConvolutionBackwardFilter, cudnnStatus_t);
    if (cudnnStatus_t code = check(handle, x, w, window, y))
        return code;
    operation o = operation_of(x, x_data, w, w_data, y, y_data, OF_W, window, alpha, beta, workspace);
    return submit(handle, o, find(FILTER, algorithm), bytes);
}

extern "C" cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x, const void *x_data,
    const cudnnFilterDescriptor_t w, const void *w_data, const cudnnConvolutionDescriptor_t window,
    cudnnConvolutionFwdAlgo_t algorithm, void *workspace, size_t bytes, const void *addend_factor,
    const cudnnTensorDescriptor_t addend, const void *addend_data, const cudnnTensorDescriptor_t bias,
    const void *bias_data, const cudnnActivationDescriptor_t activation, const cudnnTensorDescriptor_t y,
    void *y_data)
{
    LIBRARY_CALL(cudnnConvolutionBiasActivationForward, cudnnStatus_t);
    if (cudnnStatus_t code = check(handle, x, w, window, y))
        return code;
    if (!addend || !bias || !bias_data || !activation || bias->dim[1] != y->dim[1] || bias->type != y->type ||
        memcmp(addend->dim, y->dim, sizeof y->dim) || addend->type != y->type)
        return say(CUDNN_STATUS_BAD_PARAM, "bias or addend do not fit the result");
    operation o = operation_of(x, x_data, w, w_data, y, y_data, OF_Y, window, alpha, nullptr, workspace);
    o.addend = addend_data;
    o.addend_factor = *static_cast<const float *>(addend_factor);
    o.bias = bias_data;
    o.relu = activation->mode == CUDNN_ACTIVATION_RELU;
    return submit(handle, o, find(FORWARD, algorithm), bytes);
}
