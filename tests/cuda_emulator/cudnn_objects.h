/* What lies behind cuDNN's handles. */
#ifndef HL_CUDA_EMULATOR_CUDNN_OBJECTS_H
#define HL_CUDA_EMULATOR_CUDNN_OBJECTS_H

#include "tests/cuda_emulator/runtime.h"

#include <cudnn.h>

#include <set>

struct cudnnContext {
    cudaStream_t stream;
};

struct cudnnTensorStruct {
    bool set;
    cudnnDataType_t type;
    int64_t dim[4], stride[4]; /* n, c, h, w; filters: k, c, h, w */
};

struct cudnnFilterStruct : cudnnTensorStruct {
};

struct cudnnConvolutionStruct {
    bool set;
    int pad[2], stride[2], dilation[2], groups;
    cudnnMathType_t math;
};

struct cudnnActivationStruct {
    cudnnActivationMode_t mode;
};

namespace emulated
{

extern std::set<cudnnHandle_t> dnn_handles;

/* Sets the text of cudnnGetLastErrorString, and returns code. */
cudnnStatus_t say(cudnnStatus_t code, const char *why);

} // namespace emulated

#endif
