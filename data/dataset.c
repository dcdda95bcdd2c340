#include "data/dataset.h"

#include "base/error.h"
#include "base/memory.h"

const char *hl_sense_name(hl_sense sense)
{
    static const char *const name[HL_SENSES] = {"visual", "depth", "audio", "tactile", "proprioceptive"};
    HL_ASSERT((unsigned)sense < HL_SENSES);
    return name[sense];
}

static void normalizer_free(hl_normalizer *n)
{
    hl_free(n->offset);
    hl_free(n->scale);
    *n = (hl_normalizer){0};
}

void hl_normalization_free(hl_normalization *n)
{
    for (int s = 0; s < HL_SENSES; s++)
        normalizer_free(&n->sense[s]);
    normalizer_free(&n->action);
}

void hl_normalize(const hl_normalizer *n, float *x)
{
    for (int64_t i = 0; i < n->count; i++)
        x[i] = (x[i] - n->offset[i]) / n->scale[i];
}

void hl_denormalize(const hl_normalizer *n, float *x)
{
    for (int64_t i = 0; i < n->count; i++)
        x[i] = x[i] * n->scale[i] + n->offset[i];
}

void hl_dataset_close(hl_dataset *d)
{
    if (d)
        d->close(d);
}
