/* A queue: one stream that computes and one that brings inputs in beside it. A step's inputs go
 *     caller -> from_host -(copy stream)-> arrived -(compute stream)-> traffic.inputs
 * and its outputs traffic.outputs -(compute stream)-> to_host -> caller, over one of two slots. A direct step
 * has no such way to go: its kernels work in the caller's memory. */
#include "kernels/cuda/common.cuh"

#include "base/memory.h"

#include <string.h>

cudaStream_t hl_cuda_stream(const hl_queue *queue)
{
    return queue->compute;
}

/* ------------------------------------------------------------------ making */

/* urgent: what waits on it is started before the rest of what runs on others. */
static hl_status new_stream(cudaStream_t *stream, bool urgent, hl_error *err)
{
    int least = 0, greatest = 0;
    hl_status status = hl_cuda_check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "making a queue",
                                     err);
    if (status != HL_OK)
        return status;
    return hl_cuda_check(
        cudaStreamCreateWithPriority(stream, cudaStreamNonBlocking, urgent ? greatest : least),
        "making a queue", err);
}

static hl_status new_event(cudaEvent_t *event, unsigned flags, hl_error *err)
{
    return hl_cuda_check(cudaEventCreateWithFlags(event, flags), "making a queue", err);
}

static hl_status fill_slot(hl_slot *slot, const hl_traffic *traffic, hl_error *err)
{
    const char *what = "making a queue";
    hl_status status = new_event(&slot->sent, cudaEventDisableTiming, err);

    if (status == HL_OK)
        status = new_event(&slot->returned, cudaEventDisableTiming, err);
    if (status == HL_OK && traffic->in_bytes)
        status = hl_cuda_check(cudaMallocHost(&slot->from_host, traffic->in_bytes), what, err);
    if (status == HL_OK && traffic->in_bytes)
        status = hl_cuda_check(cudaMalloc(&slot->arrived, traffic->in_bytes), what, err);
    if (status == HL_OK && traffic->out_bytes)
        status = hl_cuda_check(cudaMallocHost(&slot->to_host, traffic->out_bytes), what, err);
    return status;
}

static hl_status fill_marks(hl_queue *q, hl_error *err)
{
    if (q->traffic.marks <= 0)
        return HL_OK;
    q->marks = static_cast<cudaEvent_t *>(hl_alloc((size_t)q->traffic.marks, sizeof *q->marks));
    if (!q->marks)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the %d marks of a queue", q->traffic.marks);
    hl_status status = HL_OK;
    for (int i = 0; i < q->traffic.marks && status == HL_OK; i++)
        status = new_event(&q->marks[i], cudaEventDefault, err);
    return status;
}

hl_status hl_cuda_queue_new(hl_device *device, const hl_traffic *traffic, hl_queue **queue, hl_error *err)
{
    *queue = NULL;
    hl_queue *q = static_cast<hl_queue *>(hl_alloc(1, sizeof *q));
    if (!q)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a queue");
    q->device = device;
    q->traffic = *traffic;
    hl_status status = hl_cuda_check(cudaSetDevice(device->ordinal), "making a queue", err);
    if (status == HL_OK)
        status = new_stream(&q->compute, traffic->urgent, err);
    if (status == HL_OK)
        status = new_stream(&q->copy, traffic->urgent, err);
    for (int i = 0; i < 2 && status == HL_OK; i++)
        status = fill_slot(&q->slots[i], traffic, err);
    if (status == HL_OK)
        status = fill_marks(q, err);
    if (status != HL_OK) {
        hl_cuda_queue_free(q);
        return status;
    }
    pthread_mutex_lock(&device->lock);
    q->next = device->queues;
    device->queues = *queue = q;
    pthread_mutex_unlock(&device->lock);
    return HL_OK;
}

static void free_event(cudaEvent_t event)
{
    if (event)
        (void)cudaEventDestroy(event);
}

static void free_slot(hl_slot *slot)
{
    free_event(slot->sent);

    free_event(slot->returned);
    (void)cudaFreeHost(slot->from_host);
    (void)cudaFreeHost(slot->to_host);
    (void)cudaFree(slot->arrived);
}

static void set_recording(hl_queue *q, bool recording)
{
    pthread_mutex_lock(&q->device->lock);
    q->recording = recording;
    pthread_mutex_unlock(&q->device->lock);
}

/* Leaves what was recorded so far. */
static void stop_recording(hl_queue *q)
{
    cudaGraph_t graph = NULL;
    if (!q->recording)
        return;
    if (cudaStreamEndCapture(q->compute, &graph) == cudaSuccess && graph)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    set_recording(q, false);
}

/* One that is not among them yet may be freed, too. */
static void leave_device(hl_queue *q)
{
    pthread_mutex_lock(&q->device->lock);
    hl_queue **link = &q->device->queues;
    while (*link && *link != q)
        link = &(*link)->next;
    if (*link)
        *link = q->next;
    pthread_mutex_unlock(&q->device->lock);
}

void hl_cuda_queue_free(hl_queue *q)
{
    if (!q)
        return;
    (void)cudaSetDevice(q->device->ordinal);
    leave_device(q);
    stop_recording(q);
    if (q->copy)
        (void)cudaStreamSynchronize(q->copy);
    if (q->compute)
        (void)cudaStreamSynchronize(q->compute);
    for (int i = 0; q->marks && i < q->traffic.marks; i++)
        free_event(q->marks[i]);
    for (int i = 0; i < 2; i++)
        free_slot(&q->slots[i]);
    for (int i = 0; i < HL_RECORDINGS; i++)
        if (q->recorded[i])
            (void)cudaGraphExecDestroy(q->recorded[i]);
    if (q->copy)
        (void)cudaStreamDestroy(q->copy);
    if (q->compute)
        (void)cudaStreamDestroy(q->compute);
    (void)cudaGetLastError(); /* a step that failed has been told of */
    hl_free(q->marks);
    hl_free(q);
}

hl_status hl_cuda_settle(hl_device *device, const char *what, hl_error *err)
{
    hl_status status = HL_OK;
    pthread_mutex_lock(&device->lock);
    for (hl_queue *q = device->queues; q && status == HL_OK; q = q->next)
        if (!q->recording)
            status = hl_cuda_check(cudaStreamSynchronize(q->compute), what, err);
    pthread_mutex_unlock(&device->lock);
    return status;
}

/* ------------------------------------------------------------------ a step */

/* Of the step that begins, or has begun and is not finished. */
static hl_slot *current_slot(hl_queue *q)
{
    return &q->slots[q->finished % 2];
}

/* caller -> from_host -> arrived */
static hl_status send(hl_queue *q, hl_slot *slot, const void *inputs, hl_error *err)
{
    const char *what = "sending the inputs of a step";
    size_t bytes = q->traffic.in_bytes;
    memcpy(slot->from_host, inputs, bytes);
    hl_status status = hl_cuda_check(
        cudaMemcpyAsync(slot->arrived, slot->from_host, bytes, cudaMemcpyHostToDevice, q->copy), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventRecord(slot->sent, q->copy), what, err);
    return status;
}

/* arrived -> traffic.inputs, after the steps that the queue has been handed. */
static hl_status take(hl_queue *q, hl_slot *slot, hl_error *err)
{
    const char *what = "taking the inputs of a step";
    hl_status status = hl_cuda_check(cudaStreamWaitEvent(q->compute, slot->sent, 0), what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaMemcpyAsync(q->traffic.inputs, slot->arrived, q->traffic.in_bytes,
                                               cudaMemcpyDeviceToDevice, q->compute),
                               what, err);
    return status;
}

/* A step that failed between begin and finish is begun anew, in the same slot: what is left of it may take a
 * mixture of its inputs and the new ones, which nobody sees. */
hl_status hl_cuda_begin(hl_queue *q, const void *inputs, hl_error *err)
{
    HL_ASSERT(q->finished - q->waited < 2);
    hl_slot *slot = current_slot(q);
    hl_status status = hl_cuda_check(cudaSetDevice(q->device->ordinal), "beginning a step", err);
    stop_recording(q);
    slot->direct = !inputs;
    if (slot->direct || !q->traffic.in_bytes || status != HL_OK)
        return status;
    status = send(q, slot, inputs, err);
    return status == HL_OK ? take(q, slot, err) : status;
}

hl_status hl_cuda_finish(hl_queue *q, hl_error *err)
{
    const char *what = "asking for the outputs of a step";
    hl_slot *slot = current_slot(q);
    hl_status status = HL_OK;
    HL_ASSERT(q->finished - q->waited < 2);
    if (q->traffic.out_bytes && !slot->direct)
        status = hl_cuda_check(cudaMemcpyAsync(slot->to_host, q->traffic.outputs, q->traffic.out_bytes,
                                               cudaMemcpyDeviceToHost, q->compute),
                               what, err);
    if (status == HL_OK)
        status = hl_cuda_check(cudaEventRecord(slot->returned, q->compute), what, err);
    if (status == HL_OK)
        q->finished++;
    return status;
}

hl_status hl_cuda_wait(hl_queue *q, void *outputs, hl_error *err)
{
    HL_ASSERT(q->waited < q->finished);
    hl_slot *slot = &q->slots[q->waited++ % 2];
    hl_status status = hl_cuda_check(cudaEventSynchronize(slot->returned), "running a step on the GPU", err);
    if (status == HL_OK && q->traffic.out_bytes && !slot->direct)
        memcpy(outputs, slot->to_host, q->traffic.out_bytes);
    return status;
}

/* ------------------------------------------------------------------ recording */

hl_status hl_cuda_record(hl_queue *q, hl_error *err)
{
    hl_status status = hl_cuda_check(cudaSetDevice(q->device->ordinal), "recording a step", err);
    stop_recording(q);
    if (status != HL_OK)
        return status;
    pthread_mutex_lock(&q->device->lock);
    status = hl_cuda_check(cudaStreamBeginCapture(q->compute, cudaStreamCaptureModeThreadLocal),
                           "recording a step", err);
    q->recording = status == HL_OK;
    pthread_mutex_unlock(&q->device->lock);
    return status;
}

hl_status hl_cuda_recorded(hl_queue *q, int place, hl_error *err)
{
    const char *what = "recording a step";
    cudaGraph_t graph = NULL;
    cudaGraphExec_t runnable = NULL;
    HL_ASSERT(place >= 0 && place < HL_RECORDINGS);
    if (!q->recording)
        return hl_fail(err, HL_ERR_DEVICE, "%s: it has not begun", what);
    hl_status status = hl_cuda_check(cudaStreamEndCapture(q->compute, &graph), what, err);
    if (status == HL_OK)
        set_recording(q, false); /* else it may still be on: stop_recording sees to that */
    if (status == HL_OK)
        status = hl_cuda_check(cudaGraphInstantiate(&runnable, graph, 0), what, err);
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (status != HL_OK)
        return status;
    if (q->recorded[place])
        (void)cudaGraphExecDestroy(q->recorded[place]);
    q->recorded[place] = runnable;
    return HL_OK;
}

hl_status hl_cuda_replay(hl_queue *q, int place, hl_error *err)
{
    HL_ASSERT(place >= 0 && place < HL_RECORDINGS && q->recorded[place]);
    return hl_cuda_check(cudaGraphLaunch(q->recorded[place], q->compute), "replaying a step", err);
}

/* ------------------------------------------------------------------ time */

/* In a recording it is a node, which sets the event each time that it is replayed. */
hl_status hl_cuda_mark(hl_queue *q, int index, hl_error *err)
{
    HL_ASSERT(index >= 0 && index < q->traffic.marks);
    cudaError_t code = q->recording
                           ? cudaEventRecordWithFlags(q->marks[index], q->compute, cudaEventRecordExternal)
                           : cudaEventRecord(q->marks[index], q->compute);
    return hl_cuda_check(code, "marking a point in time", err);
}

/* The second may follow what was waited for. Zero where one of the two was not reached. */
double hl_cuda_between(hl_queue *q, int first, int second)
{
    float milliseconds = 0;
    if (cudaEventSynchronize(q->marks[second]) != cudaSuccess ||
        cudaEventElapsedTime(&milliseconds, q->marks[first], q->marks[second]) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return 1e-3 * milliseconds;
}
