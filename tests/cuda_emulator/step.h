/* A small step on the emulated device, made of calls as a plan makes them: a product by the library, dropout
 * (which reads the clock) and a convolution. */
#ifndef HL_TESTS_CUDA_EMULATOR_STEP_H
#define HL_TESTS_CUDA_EMULATOR_STEP_H

#include "tests/cuda_emulator/asserts.h"
#include "tests/kernel_call.h"

enum { STEP_B = 8, STEP_K = 16, STEP_H = 4, STEP_W = 6, STEP_N = STEP_H * STEP_W, STEP_O = 2 };
enum { STEP_CALLS = 3, STEP_OUT = STEP_B * STEP_O * STEP_N };

/* What a step takes from the host. */
typedef struct step_inputs {
    hl_clock clock;
    float x[STEP_B * STEP_K];
} step_inputs;

/* What lies on the device. */
typedef struct step_memory {
    step_inputs inputs;
    float weights[STEP_N * STEP_K], bias[STEP_N], kernel[STEP_O * 9];
    float hidden[STEP_B * STEP_N], dropped[STEP_B * STEP_N], outputs[STEP_OUT];
} step_memory;

typedef struct step {
    const hl_device_table *table;
    hl_device *device;
    hl_queue *queue;
    step_memory *memory; /* the device's */
    hl_call calls[STEP_CALLS];
    hl_view in[STEP_CALLS][4];
    hl_matmul_params product;
    hl_dropout_params dropout;
    hl_conv_params conv;
} step;

static inline hl_view step_view(float *data, int rank, const int64_t *dim)
{
    hl_view v = {.data = data, .shape.rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        v.shape.dim[i] = dim[i];
        v.count *= dim[i];
    }
    return v;
}
#define STEP_VIEW(data, rank, ...) step_view(data, rank, (const int64_t[]){__VA_ARGS__})

static inline hl_status step_prepare(step *s, int i, const char *op, const void *params, int n_in,
                                     hl_error *err)
{
    hl_call *c = &s->calls[i];
    c->params = params;
    c->n_in = n_in;
    c->in = s->in[i];
    c->n_out = 1;
    c->queue = s->queue;
    c->clock = &s->memory->inputs.clock;
    c->kernel = choose(&hl_backend_cuda, op, c);
    hl_status status = c->kernel->prepare ? c->kernel->prepare(c, err) : HL_OK;
    return status == HL_OK ? s->table->allocate(s->device, c->workspace_bytes, &c->workspace, err) : status;
}

/* hidden = relu(x weights^T + bias), dropped = dropout(hidden), outputs = relu(conv2d(dropped, kernel)) */
static inline hl_status step_make_calls(step *s, hl_error *err)
{
    step_memory *m = s->memory;
    s->product = (hl_matmul_params){.transpose_b = 1, .activation = HL_ACT_RELU};
    s->in[0][0] = STEP_VIEW(m->inputs.x, 2, STEP_B, STEP_K);
    s->in[0][1] = STEP_VIEW(m->weights, 2, STEP_N, STEP_K);
    s->in[0][2] = STEP_VIEW(m->bias, 1, STEP_N);
    s->calls[0].out[0] = STEP_VIEW(m->hidden, 2, STEP_B, STEP_N);
    s->dropout = (hl_dropout_params){.group = 1, .p = 0.5f, .stream = 5};
    s->in[1][0] = STEP_VIEW(m->hidden, 2, STEP_B, STEP_N);
    s->calls[1].out[0] = STEP_VIEW(m->dropped, 2, STEP_B, STEP_N);
    s->conv = (hl_conv_params){.stride = 1, .padding = 1, .activation = HL_ACT_RELU};
    s->in[2][0] = STEP_VIEW(m->dropped, 4, STEP_B, 1, STEP_H, STEP_W);
    s->in[2][1] = STEP_VIEW(m->kernel, 4, STEP_O, 1, 3, 3);
    s->calls[2].out[0] = STEP_VIEW(m->outputs, 4, STEP_B, STEP_O, STEP_H, STEP_W);
    hl_status status = step_prepare(s, 0, "matmul", &s->product, 4, err);
    if (status == HL_OK)
        status = step_prepare(s, 1, "dropout", &s->dropout, 1, err);
    return status == HL_OK ? step_prepare(s, 2, "conv2d", &s->conv, 3, err) : status;
}

static inline hl_status step_open(step *s, hl_error *err)
{
    memset(s, 0, sizeof *s);
    s->table = hl_backend_cuda.device;
    void *memory = NULL;
    float *weights = fill(STEP_N * STEP_K + STEP_N + STEP_O * 9, 11);
    hl_status status = s->table->open(0, &s->device, err);
    if (status == HL_OK)
        status = s->table->allocate(s->device, sizeof *s->memory, &memory, err);
    s->memory = memory;
    if (status == HL_OK)
        status = s->table->upload(
            s->device, s->memory->weights, weights,
            sizeof s->memory->weights + sizeof s->memory->bias + sizeof s->memory->kernel, err);
    if (status == HL_OK)
        status = s->table->queue_new(s->device,
                                     &(hl_traffic){.inputs = &s->memory->inputs,
                                                   .outputs = s->memory->outputs,
                                                   .in_bytes = sizeof(step_inputs),
                                                   .out_bytes = sizeof s->memory->outputs,
                                                   .marks = 2},
                                     &s->queue, err);
    free(weights);
    return status == HL_OK ? step_make_calls(s, err) : status;
}

static inline void step_close(step *s)
{
    if (!s->device)
        return;
    s->table->queue_free(s->queue);
    for (int i = 0; i < STEP_CALLS; i++) {
        if (s->calls[i].kernel && s->calls[i].kernel->release)
            s->calls[i].kernel->release(&s->calls[i]);
        s->table->release(s->device, s->calls[i].workspace);
    }
    s->table->release(s->device, s->memory);
    s->table->close(s->device);
}

static inline void step_inputs_of(step_inputs *inputs, uint32_t number)
{
    float *x = fill(STEP_B * STEP_K, 100 + number);
    *inputs = (step_inputs){.clock = {.seed = 3, .step = number}};
    memcpy(inputs->x, x, sizeof inputs->x);
    free(x);
}

static inline hl_status step_run_calls(step *s, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < STEP_CALLS && status == HL_OK; i++)
        status = s->calls[i].kernel->run(&s->calls[i], err);
    return status;
}

/* Hands over a step, by its calls or by what was recorded; the inputs are overwritten at once. */
static inline hl_status step_begin(step *s, uint32_t number, bool replayed, hl_error *err)
{
    step_inputs inputs;
    step_inputs_of(&inputs, number);
    hl_status status = s->table->begin(s->queue, &inputs, err);
    memset(&inputs, 0xff, sizeof inputs);
    if (status == HL_OK)
        status = replayed ? s->table->replay(s->queue, 0, err) : step_run_calls(s, err);
    return status == HL_OK ? s->table->finish(s->queue, err) : status;
}

static inline hl_status step_run(step *s, uint32_t number, bool replayed, float *outputs, hl_error *err)
{
    hl_status status = step_begin(s, number, replayed, err);
    return status == HL_OK ? s->table->wait(s->queue, outputs, err) : status;
}

static inline hl_status step_record(step *s, hl_error *err)
{
    hl_status status = s->table->record(s->queue, err);
    if (status == HL_OK)
        status = step_run_calls(s, err);
    hl_status ended = s->table->recorded(s->queue, 0, status == HL_OK ? err : NULL); /* whatever happened */
    return status == HL_OK ? ended : status;
}

#endif
