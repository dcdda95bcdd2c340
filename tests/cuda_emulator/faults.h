/* What a test asks of the emulated CUDA: faults, a smaller machine, and what is still held. Of the process,
 * all devices together. */
#ifndef HL_CUDA_EMULATOR_FAULTS_H
#define HL_CUDA_EMULATOR_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No faults, one device of 8 GiB, a driver, no sticky error, calls counted from 0. Memory that is held stays.
 * HL_EMULATOR_INTEGRATED=1: the device is integrated, and coherent. */
void hl_fault_reset(void);

/* The nth call from now (1: the next) of the function of this name returns `code` and does nothing else:
 *     hl_fault_inject("cudaMalloc", 3, cudaErrorMemoryAllocation);
 *     hl_fault_inject("cublasLtMatmul", 1, CUBLAS_STATUS_EXECUTION_FAILED);
 * "kernel" stands for the nth kernel to run: the device breaks there, and code sticks. Several may be
 * pending. A name that no function of the emulator has is an error of the test's, and aborts. */
void hl_fault_inject(const char *function, int nth, int code);
/* How many of them have not happened yet. */
int hl_fault_pending(void);

/* Every later call fails with this, as after an illegal access; 0 ends it. */
void hl_fault_sticky(int code);

void hl_fault_devices(int n);       /* 0: cudaErrorNoDevice */
void hl_fault_driver(int version);  /* 0: none, cudaErrorInsufficientDriver */
void hl_fault_memory(size_t bytes); /* of each device */
void hl_fault_capability(int major, int minor);
/* Devices whose memory is the host's; coherent: both may look at page-locked memory through their caches. */
void hl_fault_integrated(bool integrated, bool coherent);

/* How often the function was called since the last reset, calls that failed included. "kernel": kernels run.
 */
int64_t hl_emulated_calls(const char *function);

/* What was made and not freed: a test that ends with anything here leaks. */
typedef struct hl_emulated_held {
    size_t device_bytes;
    int device_blocks, pinned_blocks, streams, events, graphs,
        handles; /* handles: cuBLASLt's and cuDNN's objects */
} hl_emulated_held;
hl_emulated_held hl_emulated_holding(void);

#ifdef __cplusplus
}
#endif
#endif
