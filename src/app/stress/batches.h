/* Samples that a stress test works on: a few batches, read from the data set before anything is measured. */
#ifndef HL_APP_STRESS_BATCHES_H
#define HL_APP_STRESS_BATCHES_H

#include "data/loader.h"
#include "layers/model.h"

enum { HL_BATCHES = 4 };

typedef struct hl_batches {
    int n;
    hl_batch at[HL_BATCHES]; /* position fields are not set */
    size_t bytes;            /* of a batch */
    void *memory[HL_BATCHES];
} hl_batches;

/* Batches of `batch` samples of the train split, in random order. After an error *b is {0}. */
hl_status hl_batches_draw(hl_dataset *data, int64_t batch, uint64_t seed, hl_batches *b, hl_error *err);
void hl_batches_free(hl_batches *b);

/* Copies the newest frame of each sample's senses into the inputs of a session of hl_policy_graph. */
void hl_batches_feed(const hl_batch *batch, const hl_data_shape *shape, hl_session *s);

#endif
