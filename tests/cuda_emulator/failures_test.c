/* What the CUDA backend makes of failures: of each call that it makes, and of the device. */
#include "tests/cuda_emulator/step.h"

#include <cublasLt.h>
#include <cuda_runtime.h>
#include <cudnn.h>
#include <math.h>

/* All that a life has: opened, run plainly and recorded, closed. */
static hl_status live(float *plain, float *replayed, hl_error *err)
{
    step s;
    float weight;
    hl_status status = step_open(&s, err);
    if (status == HL_OK)
        status = step_run(&s, 1, false, plain, err);
    if (status == HL_OK)
        status = step_record(&s, err);
    if (status == HL_OK)
        status = step_run(&s, 1, true, replayed, err);
    if (status == HL_OK)
        status = s.table->download(s.device, &weight, s.memory->weights, sizeof weight, err);
    step_close(&s);
    return status;
}

typedef struct failing {
    const char *function;
    int code;
} failing;

static const failing CALLS[] = {
    {"cudaGetDeviceCount", cudaErrorUnknown},
    {"cudaSetDevice", cudaErrorUnknown},
    {"cudaGetDeviceProperties", cudaErrorUnknown},
    {"cudaMalloc", cudaErrorMemoryAllocation},
    {"cudaMalloc", cudaErrorUnknown},
    {"cudaMallocHost", cudaErrorMemoryAllocation},
    {"cudaMemcpy", cudaErrorUnknown},
    {"cudaMemcpyAsync", cudaErrorUnknown},
    {"cudaStreamSynchronize", cudaErrorUnknown},
    {"cudaStreamCreateWithPriority", cudaErrorUnknown},
    {"cudaStreamWaitEvent", cudaErrorUnknown},
    {"cudaEventCreate", cudaErrorUnknown},
    {"cudaEventCreateWithFlags", cudaErrorUnknown},
    {"cudaEventRecord", cudaErrorUnknown},
    {"cudaEventSynchronize", cudaErrorUnknown},
    {"cudaEventElapsedTime", cudaErrorUnknown},
    {"cudaStreamBeginCapture", cudaErrorUnknown},
    {"cudaStreamEndCapture", cudaErrorUnknown},
    {"cudaGraphInstantiate", cudaErrorUnknown},
    {"cudaGraphLaunch", cudaErrorUnknown},
    {"cudaLaunchKernel", cudaErrorLaunchOutOfResources},
    {"cublasLtCreate", CUBLAS_STATUS_NOT_INITIALIZED},
    {"cublasLtMatmulDescCreate", CUBLAS_STATUS_ALLOC_FAILED},
    {"cublasLtMatmulDescSetAttribute", CUBLAS_STATUS_INVALID_VALUE},
    {"cublasLtMatrixLayoutCreate", CUBLAS_STATUS_ALLOC_FAILED},
    {"cublasLtMatmulPreferenceCreate", CUBLAS_STATUS_ALLOC_FAILED},
    {"cublasLtMatmulPreferenceSetAttribute", CUBLAS_STATUS_INVALID_VALUE},
    {"cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_INTERNAL_ERROR},
    {"cublasLtMatmulAlgoGetHeuristic", CUBLAS_STATUS_NOT_SUPPORTED},
    {"cublasLtMatmul", CUBLAS_STATUS_EXECUTION_FAILED},
    {"cudnnCreate", CUDNN_STATUS_INTERNAL_ERROR},
    {"cudnnSetStream", CUDNN_STATUS_INTERNAL_ERROR},
    {"cudnnCreateTensorDescriptor", CUDNN_STATUS_ALLOC_FAILED},
    {"cudnnSetTensor4dDescriptor", CUDNN_STATUS_NOT_SUPPORTED},
    {"cudnnCreateFilterDescriptor", CUDNN_STATUS_ALLOC_FAILED},
    {"cudnnSetFilter4dDescriptor", CUDNN_STATUS_NOT_SUPPORTED},
    {"cudnnCreateConvolutionDescriptor", CUDNN_STATUS_ALLOC_FAILED},
    {"cudnnSetConvolution2dDescriptor", CUDNN_STATUS_BAD_PARAM},
    {"cudnnSetConvolutionMathType", CUDNN_STATUS_BAD_PARAM},
    {"cudnnGetConvolutionForwardAlgorithm_v7", CUDNN_STATUS_INTERNAL_ERROR},
    {"cudnnConvolutionForward", CUDNN_STATUS_EXECUTION_FAILED},
};

/* Another way to form a product rounds otherwise. */
static void assert_close(const float *got, const float *want)
{
    for (int i = 0; i < STEP_OUT; i++)
        assert_true(fabsf(got[i] - want[i]) < 1e-5f);
}

/* Whatever call fails, by itself: an error with a sentence, or results as if it had not; and nothing stays
 * held. */
static void every_failure_is_told_or_mended(void **state)
{
    (void)state;
    float want[STEP_OUT], plain[STEP_OUT], replayed[STEP_OUT];
    hl_error err = {0};
    assert_ok(live(want, replayed, &err), &err);
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        const failing *f = &CALLS[i];
        hl_fault_reset();
        assert_ok(live(plain, replayed, &err), &err);
        int told = 0, times = (int)hl_emulated_calls(f->function);
        if (!times)
            fail_msg("%s is never called", f->function);
        for (int nth = 1; nth <= times; nth++) {
            hl_fault_reset();
            hl_fault_inject(f->function, nth, f->code);
            memset(&err, 0, sizeof err);
            hl_status status = live(plain, replayed, &err);
            assert_int_equal(hl_fault_pending(), 0);
            if (status == HL_OK) {
                assert_close(plain, want);
                assert_close(replayed, want);
            } else {
                told++;
                assert_true(strlen(err.message) > 10);
            }
            if (!nothing_held())
                fail_msg("call %d of %s fails, and something stays held", nth, f->function);
        }
        if (!told && f->code != CUBLAS_STATUS_NOT_SUPPORTED)
            fail_msg("%s may fail without a word", f->function);
    }
}

/* A device that breaks while it computes is told of by the step, and by all that follow. */
static void a_broken_device_is_told(void **state)
{
    (void)state;
    float out[STEP_OUT];
    step s;
    hl_error err = {0};
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_run(&s, 0, false, out, &err), &err);
    hl_fault_inject("kernel", 2, cudaErrorIllegalAddress);
    assert_int_equal(step_run(&s, 1, false, out, &err), HL_ERR_DEVICE);
    assert_says(
        &err,
        "running a step on the GPU: an illegal memory access was encountered (cudaErrorIllegalAddress)");
    assert_int_equal(step_run(&s, 2, false, out, &err), HL_ERR_DEVICE);
    assert_int_equal(s.table->download(s.device, out, s.memory->outputs, 4, &err), HL_ERR_DEVICE);
    hl_fault_sticky(0);
    step_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(every_failure_is_told_or_mended),
        FAULT_TEST(a_broken_device_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
