/* The prefetching loader: a thread reads samples into a ring of batches while the model computes.
 *
 * The order of samples is a function of (seed, epoch), and a place in it is (epoch, index): nothing else is
 * needed to resume exactly.  Batches cross the ends of epochs, so every batch is full, also where the set is
 * smaller than a batch. */
#ifndef HL_DATA_LOADER_H
#define HL_DATA_LOADER_H

#include "data/dataset.h"

typedef enum hl_loader_order {
    HL_SHUFFLED,  /* hl_permute(seed, epoch) */
    HL_SEQUENTIAL /* as they lie: validation */
} hl_loader_order;

/* index: samples of this epoch that came before, 0 .. count-1 */
typedef struct hl_loader_position {
    uint64_t epoch, index;
} hl_loader_position;

typedef struct hl_loader_options {
    hl_split split;
    int64_t batch; /* B */
    int prefetch;  /* batches read ahead; 0: no thread, read in hl_loader_next */
    uint64_t seed;
    hl_loader_order order;
    hl_loader_position start; /* {0}: the beginning */
} hl_loader_options;

/* Arrays are contiguous and 64-byte aligned, and belong to the loader. */
typedef struct hl_batch {
    float *sense[HL_SENSES]; /* [B, frames, size[s]], NULL for a sense of size 0 */
    float *presence;         /* [B, HL_SENSES] */
    float *action;           /* [B, A] */
    float *action_mask;      /* [B, A] */
    float *previous;         /* [B, A] */
    int64_t count;           /* B */
    int64_t in_epoch; /* the first of them that belong to the epoch of the first: B unless it ends here */
    hl_loader_position first; /* of its first sample */
    hl_loader_position next;  /* start here to continue after this batch */
} hl_batch;

typedef struct hl_loader hl_loader;

/* The data set must outlive the loader.  Several loaders may share one: reads take turns.  NULL on error:
 * HL_ERR_USAGE (batch < 1, a position outside the epoch), HL_ERR_DATA (an empty split), HL_ERR_MEMORY,
 * HL_ERR_IO (no thread). */
hl_loader *hl_loader_new(hl_dataset *dataset, const hl_loader_options *options, hl_error *err);
/* Hands out the oldest batch, waiting for it if need be; the one handed out before is recycled.  Allocates
 * nothing.  A sample that cannot be read is an error exactly where its batch would have come, and stays. */
hl_status hl_loader_next(hl_loader *l, const hl_batch **batch, hl_error *err);
/* Bytes of all batches together. */
size_t hl_loader_bytes(const hl_loader *l);
/* Times hl_loader_next had to wait for the thread: above 0 in steady state, reading is the bottleneck. */
uint64_t hl_loader_waits(const hl_loader *l);
/* Joins the thread after the sample it is reading.  Accepts NULL. */
void hl_loader_free(hl_loader *l);

#endif
