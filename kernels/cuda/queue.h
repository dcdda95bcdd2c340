/* A device and a queue of this backend, and what the kernels take from them. */
#ifndef HL_KERNELS_CUDA_QUEUE_H
#define HL_KERNELS_CUDA_QUEUE_H

#include "run/backend.h"

#include <cuda_runtime.h>
#include <pthread.h>

/* One GPU, shared by all who opened it. */
struct hl_device {
    int ordinal, opened;
    bool shares;          /* its memory is the host's, and the host's caches know what it does there */
    hl_device *next;      /* of those that are open */
    pthread_mutex_t lock; /* of all that follows, and of a queue's `recording` */
    hl_queue *queues;
    struct cublasLtContext *blas;
    struct hl_algorithms *algorithms; /* chosen for products so far */
    struct cudnnContext *dnn;         /* made by the first convolution */
};

/* What one step sends and gets back lies in one of two slots, so that a step's traffic overlaps the
 * computation of the one before. A slot is free again when its step has been waited for. */
typedef struct hl_slot {
    bool direct;               /* the step is brought nothing, and nothing is brought back */
    void *from_host, *to_host; /* page-locked host memory */
    void *arrived;             /* the inputs on the device, before the queue takes them */
    cudaEvent_t sent;          /* arrived is filled */
    cudaEvent_t returned;      /* to_host is filled */
} hl_slot;

struct hl_queue {
    hl_device *device;
    hl_queue *next; /* of the device's */
    hl_traffic traffic;
    cudaStream_t compute, copy;
    hl_slot slots[2];
    uint64_t finished, waited; /* steps; that which begins is number `finished` */
    bool recording;
    cudaGraphExec_t recorded[HL_RECORDINGS];
    cudaEvent_t *marks;
};

/* Waits for all that the device's queues were handed. One that records has been handed nothing: it is passed
 * over, since to wait for it, or for the whole device, would end the recording. */
hl_status hl_cuda_settle(hl_device *device, const char *what, hl_error *err);

/* The functions of hl_device_table that are about queues. */
hl_status hl_cuda_queue_new(hl_device *device, const hl_traffic *traffic, hl_queue **queue, hl_error *err);
void hl_cuda_queue_free(hl_queue *queue);
hl_status hl_cuda_begin(hl_queue *queue, const void *inputs, hl_error *err);
hl_status hl_cuda_finish(hl_queue *queue, hl_error *err);
hl_status hl_cuda_wait(hl_queue *queue, void *outputs, hl_error *err);
hl_status hl_cuda_record(hl_queue *queue, hl_error *err);
hl_status hl_cuda_recorded(hl_queue *queue, int place, hl_error *err);
hl_status hl_cuda_replay(hl_queue *queue, int place, hl_error *err);
hl_status hl_cuda_mark(hl_queue *queue, int index, hl_error *err);
double hl_cuda_between(hl_queue *queue, int first, int second);

/* The stream that a queue's kernels run on. */
cudaStream_t hl_cuda_stream(const hl_queue *queue);

/* Opens and closes what the products keep with a device, and closes what the convolutions do. */
hl_status hl_cuda_matmul_open(hl_device *device, hl_error *err);
void hl_cuda_matmul_close(hl_device *device);
void hl_cuda_conv_close(hl_device *device);

#endif
