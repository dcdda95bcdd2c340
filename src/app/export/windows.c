#include "app/export/windows.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

struct hl_windows {
    hl_dataset *data;
    hl_split split;
    int64_t count, rows;
    float *sense[HL_SENSES]; /* [rows, frames, size], raw; NULL: the model does not read it */
    float *rest;             /* what a sample has besides: presence, action, its mask, the previous action */
};

static hl_status allocate(hl_windows *w, hl_error *err)
{
    const hl_data_shape *shape = &w->data->shape;
    bool ok = (w->rest = hl_alloc((size_t)(HL_SENSES + 3 * shape->action), sizeof *w->rest)) != NULL;
    for (int s = 0; s < HL_SENSES && ok; s++)
        if (shape->size[s])
            ok = (w->sense[s] = hl_alloc((size_t)(w->rows * shape->frames * shape->size[s]),
                                         sizeof *w->sense[s])) != NULL;
    return ok ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for %lld observations", (long long)w->rows);
}

hl_windows *hl_windows_open(const hl_config *cfg, hl_split split, int64_t samples, int64_t rows,
                            hl_error *err)
{
    hl_windows *w = hl_alloc(1, sizeof *w);
    if (!w) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for recorded observations");
        return NULL;
    }
    w->split = split;
    w->rows = rows;
    w->data = hl_setup_dataset(cfg, err);
    hl_status status = w->data ? allocate(w, err) : err->status;
    if (status == HL_OK && !w->data->count[split])
        status = hl_fail(err, HL_ERR_DATA, "the data has no samples that %s",
                         split == HL_VALID ? "validate (data.split)" : "train");
    if (status == HL_OK) {
        w->count = samples < w->data->count[split] ? samples : w->data->count[split];
        return w;
    }
    hl_windows_close(w);
    return NULL;
}

void hl_windows_close(hl_windows *w)
{
    if (!w)
        return;
    for (int s = 0; s < HL_SENSES; s++)
        hl_free(w->sense[s]);
    hl_free(w->rest);
    hl_dataset_close(w->data);
    hl_free(w);
}

int64_t hl_windows_count(const hl_windows *w)
{
    return w->count;
}

int64_t hl_windows_index(const hl_windows *w, int64_t i)
{
    const int64_t all = w->data->count[w->split], step = all / w->count, rest = all % w->count;
    return i * step + i * rest / w->count; /* i all / count, which might overflow */
}

static hl_status read_row(hl_windows *w, int64_t row, int64_t index, hl_error *err)
{
    const hl_data_shape *shape = &w->data->shape;
    hl_sample sample = {.presence = w->rest,
                        .action = w->rest + HL_SENSES,
                        .action_mask = w->rest + HL_SENSES + shape->action,
                        .previous = w->rest + HL_SENSES + 2 * shape->action};
    for (int s = 0; s < HL_SENSES; s++)
        sample.sense[s] = w->sense[s] ? w->sense[s] + row * shape->frames * shape->size[s] : NULL;
    hl_status status = w->data->read(w->data, w->split, index, &sample, err);
    for (int s = 0; s < HL_SENSES && status == HL_OK; s++)
        for (int64_t f = 0; sample.sense[s] && f < shape->frames; f++)
            hl_denormalize(&w->data->normalization.sense[s], sample.sense[s] + f * shape->size[s]);
    return status;
}

hl_status hl_windows_read(hl_windows *w, int64_t first, hl_error *err)
{
    hl_status status = HL_OK;
    for (int64_t r = 0; r < w->rows && status == HL_OK; r++)
        status = read_row(w, r, hl_windows_index(w, (first + r) % w->count), err);
    return status;
}

hl_status hl_windows_act(const hl_windows *w, hl_policy *policy, float *action, hl_error *err)
{
    const hl_data_shape *shape = &w->data->shape;
    hl_status status = HL_OK;
    for (int64_t r = 0; r < w->rows; r++)
        hl_policy_reset(policy, r);
    for (int64_t f = 0; f < shape->frames && status == HL_OK; f++) {
        for (int s = 0; s < HL_SENSES; s++) {
            float *to = w->sense[s] ? hl_policy_sense(policy, hl_sense_name((hl_sense)s)) : NULL;
            for (int64_t r = 0; to && r < w->rows; r++)
                memcpy(to + r * shape->size[s], w->sense[s] + (r * shape->frames + f) * shape->size[s],
                       (size_t)shape->size[s] * sizeof *to);
        }
        status = hl_policy_act(policy, action, err);
    }
    return status;
}
