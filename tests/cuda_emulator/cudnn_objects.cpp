/* cuDNN's handles and descriptors. */
#include "tests/cuda_emulator/cudnn_objects.h"

#include <cstdio>
#include <cstring>

using namespace emulated;

std::set<cudnnHandle_t> emulated::dnn_handles;

static thread_local char last_message[256];

cudnnStatus_t emulated::say(cudnnStatus_t code, const char *why)
{
    snprintf(last_message, sizeof last_message, "%s", why);
    return code;
}

extern "C" size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

extern "C" size_t cudnnGetCudartVersion(void)
{
    return CUDART_VERSION;
}

extern "C" void cudnnGetLastErrorString(char *message, size_t size)
{
    snprintf(message, size, "%s", last_message);
}

extern "C" const char *cudnnGetErrorString(cudnnStatus_t code)
{
    switch (code) {
#define NAME(code)                                                                                           \
    case code:                                                                                               \
        return #code
        NAME(CUDNN_STATUS_SUCCESS);
        NAME(CUDNN_STATUS_NOT_INITIALIZED);
        NAME(CUDNN_STATUS_BAD_PARAM);
        NAME(CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
        NAME(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT);
        NAME(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
        NAME(CUDNN_STATUS_NOT_SUPPORTED);
        NAME(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
        NAME(CUDNN_STATUS_INTERNAL_ERROR);
        NAME(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED);
        NAME(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED);
        NAME(CUDNN_STATUS_EXECUTION_FAILED);
#undef NAME
    default:
        return "CUDNN_UNKNOWN_STATUS";
    }
}

extern "C" cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    LIBRARY_CALL(cudnnCreate, cudnnStatus_t);
    if (!handle)
        return say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "cudnnCreate: no place for the handle");
    if (!machine_has_device(current_device()) || device_broken())
        return say(CUDNN_STATUS_NOT_INITIALIZED, "cudnnCreate: no device that works");
    if (capture_forbids())
        return say(CUDNN_STATUS_INTERNAL_ERROR, "cudnnCreate: it allocates, which a capture does not allow");
    dnn_handles.insert(*handle = new cudnnContext{nullptr});
    held_handles++;
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    LIBRARY_CALL(cudnnDestroy, cudnnStatus_t);
    if (!dnn_handles.erase(handle))
        return say(CUDNN_STATUS_BAD_PARAM, "cudnnDestroy: not a handle");
    delete handle;
    held_handles--;
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    LIBRARY_CALL(cudnnSetStream, cudnnStatus_t);
    if (!dnn_handles.count(handle))
        return say(CUDNN_STATUS_BAD_PARAM, "cudnnSetStream: not a handle");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

template <class T> static cudnnStatus_t made(T **object)
{
    if (!object)
        return say(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no place for a descriptor");
    *object = new T{};
    held_handles++;
    return CUDNN_STATUS_SUCCESS;
}

template <class T> static cudnnStatus_t destroyed(T *object)
{
    if (object)
        held_handles--;
    delete object;
    return CUDNN_STATUS_SUCCESS;
}

#define OBJECT(Name, type)                                                                                   \
    extern "C" cudnnStatus_t cudnnCreate##Name##Descriptor(type *object)                                     \
    {                                                                                                        \
        LIBRARY_CALL(cudnnCreate##Name##Descriptor, cudnnStatus_t);                                          \
        return made(object);                                                                                 \
    }                                                                                                        \
    extern "C" cudnnStatus_t cudnnDestroy##Name##Descriptor(type object)                                     \
    {                                                                                                        \
        LIBRARY_CALL(cudnnDestroy##Name##Descriptor, cudnnStatus_t);                                         \
        return destroyed(object);                                                                            \
    }

OBJECT(Tensor, cudnnTensorDescriptor_t)
OBJECT(Filter, cudnnFilterDescriptor_t)
OBJECT(Convolution, cudnnConvolutionDescriptor_t)
OBJECT(Activation, cudnnActivationDescriptor_t)

/* ------------------------------------------------------------------ descriptors */

static cudnnStatus_t describe(cudnnTensorStruct *t, cudnnDataType_t type, cudnnTensorFormat_t format, int n,
                              int c, int h, int w)
{
    if (!t || n <= 0 || c <= 0 || h <= 0 || w <= 0 || (int64_t)n * c * h * w > INT32_MAX)
        return say(CUDNN_STATUS_BAD_PARAM, "a tensor's dimensions must be positive, and its size fit an int");
    if (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_HALF && type != CUDNN_DATA_BFLOAT16)
        return say(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "only float, half and bfloat16 are emulated");
    if (format != CUDNN_TENSOR_NCHW && format != CUDNN_TENSOR_NHWC)
        return say(CUDNN_STATUS_NOT_SUPPORTED, "only NCHW and NHWC are emulated");
    const int64_t dim[4] = {n, c, h, w};
    const int64_t planar[4] = {(int64_t)c * h * w, (int64_t)h * w, w, 1};
    const int64_t interleaved[4] = {(int64_t)c * h * w, 1, (int64_t)w * c, c};
    t->set = true;
    t->type = type;
    memcpy(t->dim, dim, sizeof dim);
    memcpy(t->stride, format == CUDNN_TENSOR_NCHW ? planar : interleaved, sizeof planar);
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format,
                                                    cudnnDataType_t type, int n, int c, int h, int w)
{
    LIBRARY_CALL(cudnnSetTensor4dDescriptor, cudnnStatus_t);
    return describe(t, type, format, n, c, h, w);
}

extern "C" cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t t, cudnnDataType_t type,
                                                    cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    LIBRARY_CALL(cudnnSetFilter4dDescriptor, cudnnStatus_t);
    return describe(t, type, format, k, c, h, w);
}

extern "C" cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t window, int pad_h,
                                                         int pad_w, int stride_h, int stride_w,
                                                         int dilation_h, int dilation_w,
                                                         cudnnConvolutionMode_t mode, cudnnDataType_t compute)
{
    LIBRARY_CALL(cudnnSetConvolution2dDescriptor, cudnnStatus_t);
    if (!window || pad_h < 0 || pad_w < 0 || stride_h <= 0 || stride_w <= 0 || dilation_h <= 0 ||
        dilation_w <= 0)
        return say(CUDNN_STATUS_BAD_PARAM, "a window's strides and dilations must be positive");
    if (mode != CUDNN_CROSS_CORRELATION || compute != CUDNN_DATA_FLOAT)
        return say(CUDNN_STATUS_NOT_SUPPORTED, "only cross correlation with sums in float is emulated");
    *window = {true, {pad_h, pad_w}, {stride_h, stride_w}, {dilation_h, dilation_w}, 1, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t window,
                                                     cudnnMathType_t math)
{
    LIBRARY_CALL(cudnnSetConvolutionMathType, cudnnStatus_t);
    if (!window || math < CUDNN_DEFAULT_MATH || math > CUDNN_FMA_MATH)
        return say(CUDNN_STATUS_BAD_PARAM, "not a kind of math");
    window->math = math;
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t window, int groups)
{
    LIBRARY_CALL(cudnnSetConvolutionGroupCount, cudnnStatus_t);
    if (!window || groups != 1)
        return say(CUDNN_STATUS_NOT_SUPPORTED, "groups are not emulated");
    return CUDNN_STATUS_SUCCESS;
}

extern "C" cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation,
                                                      cudnnActivationMode_t mode, cudnnNanPropagation_t,
                                                      double)
{
    LIBRARY_CALL(cudnnSetActivationDescriptor, cudnnStatus_t);
    if (!activation || (mode != CUDNN_ACTIVATION_RELU && mode != CUDNN_ACTIVATION_IDENTITY))
        return say(CUDNN_STATUS_NOT_SUPPORTED, "only ReLU and the identity are emulated");
    activation->mode = mode;
    return CUDNN_STATUS_SUCCESS;
}
