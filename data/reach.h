/* The embedded world `reach`: a 19-joint arm at 10 Hz that should put its fingertip on a sphere.
 *
 * An action is 19 joint velocities as fractions of HL_REACH_SPEED, each in [-1, 1].  An episode is a
 * function of (seed, episode): start posture, target, the noise of demonstrations.  Success: the
 * fingertip within HL_REACH_TOLERANCE of the sphere's centre, which is to touch it, in 100 steps.
 *
 * Doing nothing or acting at random hardly ever succeeds; the expert practically always does. */
#ifndef HL_DATA_REACH_H
#define HL_DATA_REACH_H

#include "data/dataset.h"

enum { HL_REACH_ACTION = 19, HL_REACH_STEPS = 100 };

#define HL_REACH_PERIOD    0.1  /* seconds per step */
#define HL_REACH_SPEED     0.3  /* rad/s of a joint whose action is 1 */
#define HL_REACH_TOLERANCE 0.05 /* metres */

/* Episodes from this one on are in no data set: evaluate on them. */
#define HL_REACH_UNSEEN ((uint64_t)1 << 32)

/* ------------------------------------------------------------------ the world */

typedef struct hl_reach hl_reach;

/* All that changes in a world; observations are a function of it. */
typedef struct hl_reach_state {
    float angle[HL_REACH_ACTION];    /* rad */
    float velocity[HL_REACH_ACTION]; /* rad/s, over the last step */
    float target[3];                 /* centre of the sphere, m */
} hl_reach_state;

/* image: height and width of visual and depth, 8 to 4096; 0: a world without a camera.  The world
 * stands at episode 0 of seed 0.  NULL on error (HL_ERR_USAGE, HL_ERR_MEMORY). */
hl_reach *hl_reach_new(int64_t image, hl_error *err);
void hl_reach_free(hl_reach *world); /* accepts NULL */

void hl_reach_reset(hl_reach *world, uint64_t seed, uint64_t episode);

/* Sets joint angles, velocities and target, as one that hl_reach_get gave; counts as a reset. */
void hl_reach_set(hl_reach *world, const hl_reach_state *state);
hl_reach_state hl_reach_get(const hl_reach *world);

/* One frame of every sense that is not NULL, raw (not normalised): visual [3,H,W], depth [1,H,W],
 * audio [1024], tactile [128], proprioceptive [64].  Without a camera, visual and depth must be NULL. */
void hl_reach_observe(hl_reach *world, float *const sense[HL_SENSES]);

/* One step of 0.1 s.  Motors saturate: beyond +-1 an action has the effect of +-1.  Joints stop at
 * their limits, and a motion that would put a link into the floor stops before it.  An action that is
 * not finite is HL_ERR_NUMERIC, and the world stays as it was. */
hl_status hl_reach_act(hl_reach *world, const float action[HL_REACH_ACTION], hl_error *err);

/* What the demonstrator would do now: a smooth function of joint angles and target. */
void hl_reach_expert(const hl_reach *world, float action[HL_REACH_ACTION]);

int hl_reach_step(const hl_reach *world);        /* actions since the reset */
double hl_reach_distance(const hl_reach *world); /* fingertip to the sphere's centre, m */
/* Within HL_REACH_TOLERANCE now, or at any moment of the first 100 steps since the reset. */
bool hl_reach_success(const hl_reach *world);

/* ------------------------------------------------------------------ demonstrations */

/* The expert's episodes.  What is executed is its action plus noise that lingers (first-order
 * autoregressive per joint), so that the arm strays and the data shows how to come back; what is
 * recorded as the target is the expert's own action.  Zero or NAN fields do NOT take defaults: start
 * from hl_reach_defaults. */
typedef struct hl_reach_options {
    int64_t episodes;    /* every tenth is in the valid split */
    int64_t steps;       /* samples per episode */
    double noise;        /* standard deviation, as a fraction of full speed */
    double noise_memory; /* correlation of one step's noise with the next one's, 0 to below 1 */
    uint64_t seed;
    bool raw; /* leave senses and actions as the world gives them: identity normalization */
} hl_reach_options;

hl_reach_options hl_reach_defaults(void);

/* Runs the episodes at once, keeping states and actions (about 230 bytes a sample); observations are
 * made when read.  Unless raw, all is normalised by the train split: mean 0 per element, and standard
 * deviation 1 per element (audio, tactile, proprioceptive, action) or over the whole image (visual, depth:
 * without it the sphere is too faint beside the other senses to be learnt from).  Errors: HL_ERR_CONFIG for
 * options or a shape this world cannot fill, HL_ERR_MEMORY; then NULL.  Reading an index that is not there is
 * HL_ERR_USAGE. */
hl_dataset *hl_reach_dataset_open(const hl_reach_options *options, hl_data_shape shape, hl_error *err);

#endif
