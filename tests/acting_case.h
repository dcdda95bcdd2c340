/* The acting graph's statistics, for tests. */
#ifndef HL_TESTS_ACTING_CASE_H
#define HL_TESTS_ACTING_CASE_H

#include "base/memory.h"
#include "data/dataset.h"
#include "export/acting.h"

#include <math.h>

/* Statistics that change everything: per element, but one scale for all of visual, and depth per channel. */
typedef struct statistics_case {
    hl_normalization normalization; /* owned */
    hl_acting_options options;      /* reads it */
} statistics_case;

static inline hl_normalizer statistics_of(int64_t count, int sense)
{
    hl_normalizer n = {count, hl_alloc((size_t)count, sizeof(float)), hl_alloc((size_t)count, sizeof(float))};
    for (int64_t i = 0; i < count; i++) {
        double at = sense == HL_DEPTH ? 0 : (double)i;
        n.offset[i] = (float)sin(at + sense);
        n.scale[i] = sense == HL_VISUAL ? 0.8f : (float)(1.2 + 0.7 * cos(2 * at + sense));
    }
    return n;
}

static inline statistics_case with_statistics(const hl_model_options *model)
{
    statistics_case c = {.options = {.model = *model}};
    for (int s = 0; s < HL_MODEL_SENSES; s++) {
        hl_normalizer n = statistics_of(hl_model_sense_size(model, s), s);
        c.normalization.sense[s] = n;
        c.options.sense[s] = (hl_statistics){n.count, n.offset, n.scale};
    }
    hl_normalizer a = c.normalization.action = statistics_of(model->action, HL_SENSES);
    c.options.action = (hl_statistics){a.count, a.offset, a.scale};
    return c;
}

#endif
