/* What training reads: samples of demonstrations, whatever file or world they come from.
 *
 * A sample is a window of `frames` consecutive observations, oldest first, ending at the moment
 * whose action is the target.  Before the start of an episode the first frame repeats. */
#ifndef HL_DATA_DATASET_H
#define HL_DATA_DATASET_H

#include "hl.h"

typedef enum hl_sense {
    HL_VISUAL,         /* [3,H,W] RGB in 0..1 */
    HL_DEPTH,          /* [1,H,W] metres scaled to 0..1 */
    HL_AUDIO,          /* [1024] spectrum */
    HL_TACTILE,        /* [128] taxels in 0..1 */
    HL_PROPRIOCEPTIVE, /* [64] */
    HL_SENSES
} hl_sense;

/* "visual", "depth", "audio", "tactile", "proprioceptive" */
const char *hl_sense_name(hl_sense sense);

/* What the model reads. */
typedef struct hl_data_shape {
    int64_t image;           /* height and width of visual and depth */
    int64_t size[HL_SENSES]; /* elements per frame; 0: the model does not use this sense */
    int64_t action;          /* A */
    int64_t frames;          /* 1 + length of the history */
} hl_data_shape;

/* Where a sample is written. The caller owns the memory; NULL for a sense of size 0. */
typedef struct hl_sample {
    float *sense[HL_SENSES]; /* [frames, size[s]] */
    float *presence;         /* [HL_SENSES] 1, or 0 where this sample lacks the sense (then zeros) */
    float *action;           /* [A] the target, normalised */
    float *action_mask;      /* [A] 1, or 0 for padded dimensions */
    float *previous;         /* [A] the action before it (zeros at the start of an episode) */
} hl_sample;

typedef enum hl_split { HL_TRAIN, HL_VALID, HL_SPLITS } hl_split;

/* Affine per element: stored = (raw - offset) / scale. Part of a checkpoint. count 0: identity. */
typedef struct hl_normalizer {
    int64_t count;
    float *offset, *scale; /* [count], owned */
} hl_normalizer;

typedef struct hl_normalization {
    hl_normalizer sense[HL_SENSES];
    hl_normalizer action;
} hl_normalization;

void hl_normalization_free(hl_normalization *n);
void hl_normalize(const hl_normalizer *n, float *x);   /* raw -> stored, in place, count elements */
void hl_denormalize(const hl_normalizer *n, float *x); /* stored -> raw */

typedef struct hl_dataset hl_dataset;

/* What a data set fills in: the first member of its own struct. */
struct hl_dataset {
    const char *name; /* "reach", "robomimic" */
    hl_data_shape shape;
    int64_t count[HL_SPLITS];       /* samples */
    hl_normalization normalization; /* owned by the data set */
    /* Reads sample `index` of a split. Called by one thread at a time. An error names file, path,
     * found and expected; a value that is not finite is an error (HL_ERR_DATA). */
    hl_status (*read)(hl_dataset *d, hl_split split, int64_t index, hl_sample *out, hl_error *err);
    void (*close)(hl_dataset *d);
};

void hl_dataset_close(hl_dataset *d); /* accepts NULL */

#endif
