#include "app/stress/batches.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* The arrays of a batch and their sizes, in elements. */
enum { PRESENCE = HL_SENSES, ACTION, MASK, PREVIOUS, ARRAYS };

static void sizes_of(const hl_data_shape *shape, int64_t batch, size_t size[ARRAYS])
{
    for (int s = 0; s < HL_SENSES; s++)
        size[s] = (size_t)(batch * shape->frames * shape->size[s]);
    size[PRESENCE] = (size_t)(batch * HL_SENSES);
    size[ACTION] = size[MASK] = size[PREVIOUS] = (size_t)(batch * shape->action);
}

static void arrays_of(hl_batch *b, float **array[ARRAYS])
{
    for (int s = 0; s < HL_SENSES; s++)
        array[s] = &b->sense[s];
    array[PRESENCE] = &b->presence;
    array[ACTION] = &b->action;
    array[MASK] = &b->action_mask;
    array[PREVIOUS] = &b->previous;
}

static hl_status copy(hl_batches *b, const hl_batch *from, const size_t size[ARRAYS], hl_error *err)
{
    hl_batch source = *from;
    float **to[ARRAYS], **of[ARRAYS];
    float *next = b->memory[b->n] = hl_alloc_tensor(b->bytes, HL_USE_IO);
    if (!next)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %zu bytes of samples; use a smaller batch",
                       b->bytes);
    b->at[b->n].count = from->count;
    arrays_of(&b->at[b->n], to);
    arrays_of(&source, of);
    for (int i = 0; i < ARRAYS; i++) {
        *to[i] = *of[i] ? next : NULL;
        if (*of[i])
            memcpy(next, *of[i], size[i] * sizeof *next);
        next += size[i];
    }
    b->n++;
    return HL_OK;
}

hl_status hl_batches_draw(hl_dataset *data, int64_t batch, uint64_t seed, hl_batches *b, hl_error *err)
{
    size_t size[ARRAYS];
    const hl_loader_options o = {.split = HL_TRAIN, .batch = batch, .seed = seed, .order = HL_SHUFFLED};
    *b = (hl_batches){0};
    hl_loader *loader = hl_loader_new(data, &o, err);
    hl_status status = loader ? HL_OK : err->status;
    sizes_of(&data->shape, batch, size);
    for (int i = 0; i < ARRAYS; i++)
        b->bytes += size[i] * sizeof(float);
    for (int i = 0; i < HL_BATCHES && status == HL_OK; i++) {
        const hl_batch *read;
        status = hl_loader_next(loader, &read, err);
        if (status == HL_OK)
            status = copy(b, read, size, err);
    }
    hl_loader_free(loader);
    if (status != HL_OK)
        hl_batches_free(b);
    return status;
}

void hl_batches_free(hl_batches *b)
{
    for (int i = 0; i < HL_BATCHES; i++)
        hl_free_tensor(b->memory[i], b->bytes);
    *b = (hl_batches){0};
}

void hl_batches_feed(const hl_batch *batch, const hl_data_shape *shape, hl_session *s)
{
    for (int sense = 0; sense < HL_SENSES; sense++) {
        const size_t size = (size_t)shape->size[sense];
        const float *from = batch->sense[sense];
        float *to = hl_session_input(s, hl_sense_name((hl_sense)sense));
        for (int64_t row = 0; to && from && row < batch->count; row++)
            memcpy(to + (size_t)row * size, from + (size_t)((row + 1) * shape->frames - 1) * size,
                   size * sizeof *to);
    }
}
